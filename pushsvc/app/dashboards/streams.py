"""`/v1/stream`: one URL, four transports, as each client negotiates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, get_args

import trio
from msgspec import Meta
from quart import Response, request, websocket
from quart_trio import QuartTrio

from pushsvc.app.dashboards import eventsource
from pushsvc.app.dashboards.admission import Admission
from pushsvc.app.dashboards.attachment import Attachment, abort_callback
from pushsvc.app.dashboards.negotiation import Negotiation
from pushsvc.app.dashboards.stream_body import StreamBody
from pushsvc.app.dashboards.switching import Switching
from pushsvc.app.http import parameters, problems
from pushsvc.app.http.coding import Coding
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import (
    ASKED,
    CURSOR,
    STEP,
    TEXT,
    WINDOW,
    Content,
    Parameter,
    described,
    described_socket,
)
from pushsvc.app.http.guard import access_request_of, admitted_request
from pushsvc.core.delivery import documents, wire
from pushsvc.core.delivery.merge import Merge
from pushsvc.core.delivery.negotiate import Transport, choose_subprotocol
from pushsvc.errors import Overloaded, Problem
from pushsvc.listen.connection import connection_of
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.inbound import Auth, Watch
from pushsvc.transport.longpoll import poll
from pushsvc.transport.websocket import converse

_PARAMETERS: Final = (
    ASKED,
    STEP,
    Parameter("since", CURSOR, "Go on after this cursor."),
    WINDOW,
    Parameter(
        "points",
        Annotated[int, Meta(ge=4)],
        "About so many of each series are enough for the window: its samples are merged to points "
        "with their lowest and highest. States keep all changes.",
    ),
    Parameter("max_hz", Annotated[float, Meta(gt=0)], "Frames a second at most."),
    Parameter("merge", Merge, "What becomes of several samples within one frame."),
    Parameter(
        "heartbeat",
        str,
        "Seconds of quiet that the way here bears: after that many comes a heartbeat, within "
        "bounds; hello says after how many. A long poll is answered by then.",
    ),
)


@contextmanager
def undetached(scope: Any) -> Iterator[None]:
    """Within this context the connection's socket may still be detached; afterwards it stays with
    the server."""
    connection = connection_of(scope)
    try:
        yield
    finally:
        if connection is not None:
            connection.keep()


def install(app: QuartTrio, context: Context) -> None:
    hub, pacing = context.hub, context.pacing
    admission, negotiation = Admission(context), Negotiation(context)
    attachment = Attachment(context)
    switching = Switching(hub)
    problems.answer_by(app, "/v1/stream", _refuse)

    def observe(transport: Transport, began: float) -> None:
        observed = context.pipeline.observed
        observed.handshakes.of(transport.value).add(trio.current_time() - began)

    @app.get("/v1/stream")
    @described(
        "Watch series live",
        "What comes back is negotiated: a WebSocket with Upgrade, else by Accept. Each event, "
        "line, message or element of `documents` is one Document.",
        parameters=(
            *_PARAMETERS,
            Parameter("wait", str, "Long poll: how long to wait for news."),
            Parameter("Last-Event-ID", CURSOR, "As EventSource sends it; beats since.", "header"),
        ),
        answers={
            101: "A WebSocket (subprotocol pushsvc.v1): each text message is a Document, and "
            "clients may send Watch and Auth. It closes with 1008 where it is refused, 1012 when "
            "the server goes away, 1013 when it is full, 4001 and 4003 for tokens that aren't good "
            "or may not, 4101 for one that expired.",
            200: Content(
                "The stream. Who accepts events alone, as EventSource does, is told here of what "
                "may mend itself as well: an error, a goaway and retry:.",
                {
                    "text/event-stream": TEXT,
                    "application/x-ndjson": TEXT,
                    "application/json": documents.Poll,
                },
            ),
            400: "A parameter can't be read; for a selector, position says where.",
            406: "Nothing that is accepted is on offer, or in no content coding that is.",
            422: "Beyond a limit.",
            503: "Full, or going away; come back after Retry-After seconds.",
        },
    )
    async def stream() -> Response:
        began = trio.current_time()
        connection = connection_of(request.scope)
        access_request, decision = admitted_request()
        try:
            admission.check(counted=False)
            stream = await negotiation.negotiate(access_request, decision)
            admission.check_room(stream, decision)
            if stream.transport is not Transport.LONGPOLL:
                admission.check()
        except Problem:
            if connection is not None:
                connection.keep()
            raise
        if stream.transport is not Transport.LONGPOLL and request.method != "HEAD":
            body = StreamBody(attachment, stream, decision)
            observe(stream.transport, began)
            return _response(stream.media_type, body, stream.coding)
        if connection is not None:
            connection.keep()
        if request.method == "HEAD":
            return _response(stream.media_type, b"", stream.coding)
        asked = parameters.seconds(request.args, "wait")
        # A poll has no heartbeats. A client that needs them is behind a proxy that cuts silent
        # connections, and is answered before that happens.
        quiet = stream.spec.heartbeat if "heartbeat" in request.args else math.inf
        longest = min(pacing.poll_wait, quiet)
        wait = longest if asked is None else min(asked, longest)
        hold, switches = switching.hold(stream.start.since, asked, longest, decision.address)
        answer = await poll(
            hub,
            stream.spec,
            stream.start,
            AsgiCarrier(abort_callback(connection)),
            hold=hold,
            wait=max(0.0, wait - hold),
            wake_ticker=context.pipeline.wake_ticker,
            address=decision.address,
            account=decision.account,
            attached=lambda subscriber: context.leases.begin(subscriber, decision.principal),
            switches=switches,
        )
        return _response(stream.media_type, answer)

    @app.websocket("/v1/stream")
    @described_socket(
        "Watch series live",
        "Subprotocol pushsvc.v1, or none. It closes with 1008 where it is refused, 1012 when the "
        "server goes away, 1013 when it is full, 4001 and 4003 for tokens that aren't good or may "
        "not, 4100 for a client that takes nothing, 4101 for a token that expired. 4000 to 4099: "
        "don't come back as you are; 4100 to 4199: come back with back-off, and the newest cursor.",
        sends={type_.__name__.lower(): type_ for type_ in get_args(documents.Document)},
        takes={"watch": Watch, "auth": Auth},
        parameters=_PARAMETERS,
    )
    async def stream_websocket() -> Response | None:
        began = trio.current_time()
        connection = connection_of(websocket.scope)
        with undetached(websocket.scope):
            subprotocol = choose_subprotocol(websocket.requested_subprotocols)
            admission.check()
            carrier = AsgiCarrier(abort_callback(connection))
            try:
                access_request, decision = admitted_request()
                stream = await negotiation.negotiate(access_request, decision)
                subscriber = attachment.subscribe(stream, decision, carrier)
            except Overloaded:
                raise
            except Problem as problem:
                # A page can't read the status of a refused handshake, so the problem is sent on the
                # open socket.
                await websocket.accept(subprotocol=subprotocol)
                said = wire.error(problem.code, problem.detail, **problem.extra)
                await websocket.send(said.json.decode())
                await websocket.close(problem.close_code, problem.code)
                return None
            detached = False
            try:
                await websocket.accept(subprotocol=subprotocol)
                observe(stream.transport, began)
                if "Sec-WebSocket-Extensions" not in websocket.headers:
                    detached = attachment.detach(connection, subscriber, "websocket")
                if detached:
                    # cancelled at once, like all tasks of the connection
                    await trio.sleep_forever()
            except BaseException:
                if not detached:
                    attachment.unsubscribe(subscriber)
                raise
        try:
            ending = await converse(
                subscriber,
                carrier,
                attachment.conversation(),
                send=websocket.send,
                receive=websocket.receive,
            )
            await websocket.close(ending.close_code, ending.reason)
        finally:
            attachment.unsubscribe(subscriber)
        return None


def _refuse(problem: Problem) -> Response:
    told = eventsource.told(access_request_of(request), problem)
    if told is None:
        return problems.respond(problem)
    response = _response(eventsource.MEDIA_TYPE, told)
    if problem.code == problems.CROWDED and request.http_version < "2":
        response.headers["Connection"] = "close"
    return response


def _response(media_type: str, body: bytes | StreamBody, coding: Coding = "identity") -> Response:
    response = Response(body, content_type=media_type)
    if coding != "identity":
        response.headers["Content-Encoding"] = coding
    response.timeout = None
    # With no-transform and X-Accel-Buffering proxies pass each event on without buffering it.
    response.headers["Cache-Control"] = "no-store, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Vary"] = "Accept, Accept-Encoding"
    return response
