"""`/v1/stream`: one URL, four transports, as each client negotiates."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Annotated, Any, Final, get_args

import trio
from msgspec import Meta
from quart import Response, request, websocket
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio

from pushsvc.app.dashboards import eventsource
from pushsvc.app.dashboards.attachment import Attachment
from pushsvc.app.dashboards.switching import Switching
from pushsvc.app.http import parameters, problems
from pushsvc.app.http.coding import Coding, accepted
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import (
    CURSOR,
    SELECT,
    TEXT,
    WINDOW,
    Content,
    Parameter,
    described,
    described_socket,
)
from pushsvc.app.http.guard import principal_of_request
from pushsvc.auth.principal import Principal, account
from pushsvc.core.delivery import documents, wire
from pushsvc.core.delivery.merge import Merge
from pushsvc.core.delivery.negotiate import Offer, Transport, choose_subprotocol, needs_events
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import GZIP_HEAD, GzipEnd, Text, chunked, text_wire
from pushsvc.core.hub import Start
from pushsvc.errors import Overloaded, Problem
from pushsvc.listen.address import group
from pushsvc.listen.server import Connection, connection_of
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.inbound import Auth, Watch
from pushsvc.transport.longpoll import poll
from pushsvc.transport.websocket import converse

_PARAMETERS: Final = (
    SELECT,
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


class StreamBody(ResponseBody):
    """The body of an SSE or NDJSON response.

    It is entered when the head of the response has been sent. There the client is attached, and
    its socket detached if it can be; else its frames are the body, until it leaves.
    """

    def __init__(
        self,
        streams: Attachment,
        spec: ViewSpec,
        start: Start,
        offer: Offer,
        coding: Coding,
        principal: Principal,
    ) -> None:
        self._streams = streams
        self._spec = spec
        self._start = start
        self._principal = principal
        self._address = group(request.remote_addr or "")
        self._text: Text = "sse" if offer.transport is Transport.SSE else "ndjson"
        self._wire = text_wire(self._text, coding)
        # HTTP/1.0 has no chunks (RFC 9112 section 6.1): its stream lasts as long as its connection.
        self._socket_wire = chunked(self._wire) if request.http_version != "1.0" else self._wire
        self._head = GZIP_HEAD if coding == "gzip" else b""
        self._end = GzipEnd() if coding == "gzip" else None
        self._over = False
        self._connection = connection_of(request.scope)
        self._carrier = AsgiCarrier(abort_callback(self._connection))
        self._subscriber: Subscriber | None = None

    async def __aenter__(self) -> AsyncIterator[bytes]:
        subscriber = self._streams.subscribe(
            self._spec,
            self._start,
            self._carrier,
            self._text,
            self._principal,
            self._address,
        )
        if self._streams.detach(self._connection, subscriber, self._socket_wire):
            await trio.sleep_forever()  # cancelled at once: this connection's tasks are over
        self._subscriber = subscriber
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._subscriber is not None:
            self._streams.hub.unsubscribe(self._subscriber, now=trio.current_time())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        assert self._subscriber is not None
        head, self._head = self._head, b""
        frame = None
        if not self._over:
            frame = await self._carrier.next_frame(self._subscriber)
        if frame is not None:
            if self._end is not None:
                self._end.count(frame.encoded(self._text))
            return head + frame.encoded(self._wire)
        if self._end is None or self._over:
            raise StopAsyncIteration
        self._over = True
        return head + self._end.encoded()


def abort_callback(connection: Connection | None) -> Callable[[], None] | None:
    """What cuts the connection, if the server offers that."""
    return None if connection is None else connection.abort


@contextmanager
def undetached(scope: Any) -> Iterator[None]:
    """While this lasts it is open whether the socket will be detached; afterwards it is not."""
    connection = connection_of(scope)
    try:
        yield
    finally:
        if connection is not None:
            connection.keep()


def install(app: QuartTrio, context: Context) -> None:
    hub, pacing = context.hub, context.pacing
    streams = Attachment(context)
    switching = Switching(hub)
    problems.answer_by(app, "/v1/stream", _refuse)

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
        connection = connection_of(request.scope)
        principal = principal_of_request()
        try:
            streams.check_admission(counted=False)
            await streams.catch_up(request.query_string, request.headers.get("Last-Event-ID"))
            offer, coding, spec, start = streams.negotiate(
                request.query_string,
                ", ".join(request.headers.getlist("Accept")) or None,
                accepted(),
                request.headers.get("Last-Event-ID"),
                principal,
                account(principal, request.remote_addr or ""),
            )
            if offer.transport is not Transport.LONGPOLL:
                streams.check_admission()
        except Problem:
            if connection is not None:
                connection.keep()
            raise
        if offer.transport is not Transport.LONGPOLL and request.method != "HEAD":
            stream_body = StreamBody(streams, spec, start, offer, coding, principal)
            return _response(offer.media_type, stream_body, coding)
        if connection is not None:
            connection.keep()
        if request.method == "HEAD":
            return _response(offer.media_type, b"", coding)
        asked = parameters.seconds(request.args, "wait")
        # A poll has no heartbeats. Who needs them has a path that cuts what is quiet, and is
        # answered before it does.
        longest = min(pacing.poll_wait, spec.heartbeat if "heartbeat" in request.args else math.inf)
        wait = longest if asked is None else min(asked, longest)
        address = group(request.remote_addr or "")
        hold, switches = switching.hold(start.since, asked, longest, address)
        body = await poll(
            hub,
            spec,
            start,
            AsgiCarrier(abort_callback(connection)),
            hold=hold,
            wait=max(0.0, wait - hold),
            wake_ticker=context.pipeline.wake_ticker,
            address=address,
            account=account(principal, request.remote_addr or ""),
            attached=lambda subscriber: context.leases.begin(subscriber, principal),
            switches=switches,
        )
        return _response(offer.media_type, body)

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
        connection = connection_of(websocket.scope)
        with undetached(websocket.scope):
            subprotocol = choose_subprotocol(websocket.requested_subprotocols)
            streams.check_admission()
            carrier = AsgiCarrier(abort_callback(connection))
            try:
                principal = principal_of_request()
                await streams.catch_up(websocket.query_string)
                spec, start = streams.read(websocket.query_string, None, principal)
                address = group(websocket.remote_addr or "")
                subscriber = streams.subscribe(
                    spec, start, carrier, "websocket", principal, address
                )
            except Overloaded:
                raise
            except Problem as problem:
                # A page is never shown the status of a handshake: say it on the open socket.
                await websocket.accept(subprotocol=subprotocol)
                said = wire.error(problem.code, problem.detail, **problem.extra)
                await websocket.send(said.json.decode())
                await websocket.close(problem.close_code, problem.code)
                return None
            detached = False
            try:
                await websocket.accept(subprotocol=subprotocol)
                if "Sec-WebSocket-Extensions" not in websocket.headers:
                    detached = streams.detach(connection, subscriber, "websocket")
                if detached:
                    await trio.sleep_forever()  # cancelled at once, as the connection's tasks are
            except BaseException:
                if not detached:
                    hub.unsubscribe(subscriber, now=trio.current_time())
                raise
        try:
            ending = await converse(
                subscriber,
                carrier,
                streams.conversation(),
                send=websocket.send,
                receive=websocket.receive,
            )
            await websocket.close(ending.close_code, ending.reason)
        finally:
            hub.unsubscribe(subscriber, now=trio.current_time())
        return None


def _refuse(problem: Problem) -> Response:
    accept = ", ".join(request.headers.getlist("Accept")) or None
    told = request.method == "GET" and needs_events(accept, request.headers.get("Last-Event-ID"))
    if not told or not eventsource.mends(problem):
        return problems.respond(problem)
    response = _response(eventsource.MEDIA_TYPE, eventsource.told(problem))
    if problem.code == problems.CROWDED and request.http_version < "2":
        response.headers["Connection"] = "close"
    return response


def _response(media_type: str, body: bytes | StreamBody, coding: Coding = "identity") -> Response:
    response = Response(body, content_type=media_type)
    if coding != "identity":
        response.headers["Content-Encoding"] = coding
    response.timeout = None
    # no-transform and X-Accel-Buffering: what sits between is to pass each event on as it comes.
    response.headers["Cache-Control"] = "no-store, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Vary"] = "Accept, Accept-Encoding"
    return response
