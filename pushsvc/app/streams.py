"""`/v1/stream`: one URL, four transports, as each client negotiates."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from quart import Response, request, websocket
from quart.wrappers.response import ResponseBody
from quart_trio import QuartTrio

from pushsvc.app import parameters
from pushsvc.app.connection import read_body
from pushsvc.app.context import Context
from pushsvc.core import wire
from pushsvc.core.hub import Start
from pushsvc.core.negotiate import Offer, Transport, choose, choose_subprotocol
from pushsvc.core.subscriber import Subscriber
from pushsvc.errors import Malformed, Overloaded, Problem, Unknown
from pushsvc.pipeline import now_ms
from pushsvc.server import connection_of
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.inbound import apply_watch, decode_message
from pushsvc.transport.longpoll import poll
from pushsvc.transport.websocket import converse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pushsvc.core.view import Wish

_PARAMETERS = ("select", "since", "window", "max_hz", "merge", "wait")


class StreamBody(ResponseBody):
    """The body of an SSE or NDJSON response: attached while it is being sent, and no longer."""

    def __init__(
        self, subscriber: Subscriber, carrier: AsgiCarrier, context: Context, *, sse: bool
    ):
        self._subscriber = subscriber
        self._carrier = carrier
        self._context = context
        self._sse = sse

    async def __aenter__(self) -> AsyncIterator[bytes]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._context.hub.unsubscribe(self._subscriber, now=trio.current_time())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        frame = await self._carrier.next_frame(self._subscriber)
        if frame is None:
            raise StopAsyncIteration
        return frame.sse if self._sse else frame.ndjson


def install(app: QuartTrio, context: Context) -> None:
    hub, limits, pacing = context.hub, context.limits, context.pacing

    def refuse_when_draining() -> None:
        if context.draining.is_set():
            raise Overloaded("draining", "this server is going away", retry_after=1.0)

    def subscribe(wish: Wish, start: Start, carrier: AsgiCarrier) -> Subscriber:
        subscriber = hub.subscribe(wish, start, carrier, now=trio.current_time(), time_ms=now_ms())
        context.pipeline.hurry()
        return subscriber

    def cutter(scope: Any) -> AsgiCarrier:
        connection = connection_of(scope)
        return AsgiCarrier(None if connection is None else connection.abort)

    @app.get("/v1/stream")
    async def stream() -> Response:
        offer = choose(request.headers.get("Accept"))
        parameters.refuse_unknown(request.args, _PARAMETERS)
        wish = parameters.wish(request.args, hub, limits)
        start = parameters.start(request.args, request.headers.get("Last-Event-ID"))
        hub.refuse_future(start.since)
        refuse_when_draining()
        if offer.transport is Transport.LONGPOLL:
            wait = parameters.seconds(request.args, "wait")
            body = await poll(
                hub,
                wish,
                start,
                cutter(request.scope),
                wait=pacing.poll_wait if wait is None else min(wait, pacing.poll_wait),
                hurry=context.pipeline.hurry,
            )
            return _response(offer, body)
        if request.method == "HEAD":
            return _response(offer, b"")
        carrier = cutter(request.scope)
        subscriber = subscribe(wish, start, carrier)
        sse = offer.transport is Transport.SSE
        return _response(offer, StreamBody(subscriber, carrier, context, sse=sse))

    @app.websocket("/v1/stream")
    async def stream_websocket() -> Response | None:
        subprotocol = choose_subprotocol(websocket.requested_subprotocols)
        refuse_when_draining()
        carrier = cutter(websocket.scope)
        try:
            parameters.refuse_unknown(websocket.args, _PARAMETERS)
            wish = parameters.wish(websocket.args, hub, limits)
            subscriber = subscribe(wish, parameters.start(websocket.args), carrier)
        except Overloaded:
            raise
        except Problem as problem:
            # A page is never shown the status of a handshake: say it on the open socket.
            await websocket.accept(subprotocol=subprotocol)
            await websocket.send(wire.error(problem.code, problem.detail, **problem.extra).text)
            await websocket.close(problem.close_code, problem.code)
            return None
        try:
            await websocket.accept(subprotocol=subprotocol)
            ending = await converse(
                hub,
                subscriber,
                carrier,
                send=websocket.send,
                receive=websocket.receive,
                limits=limits,
                hurry=context.pipeline.hurry,
            )
            await websocket.close(ending.close_code, ending.reason)
        finally:
            hub.unsubscribe(subscriber, now=trio.current_time())
        return None

    @app.post("/v1/stream/<session>")
    async def companion(session: str) -> Response:
        """What a WebSocket would say, said for a stream that can't."""
        body = await read_body(request, most=limits.message_bytes, timeout=pacing.body_timeout)
        subscriber = hub.subscribers.get(session)
        if subscriber is None:
            raise Unknown("session", "no stream has this session (any more)")
        if not body:
            raise Malformed("message", "the body is empty: it takes a message such as a watch")
        wish = apply_watch(
            hub,
            session,
            subscriber.view.wish,
            decode_message(body),
            limits,
            now=trio.current_time(),
            time_ms=now_ms(),
        )
        context.pipeline.hurry()
        granted = {
            "max_hz": wish.max_hz,
            "merge": wish.merge,
            "select": [selector.text for selector in wish.selectors],
        }
        return Response(msgspec.json.encode({"granted": granted}), content_type="application/json")


def _response(offer: Offer, body: bytes | StreamBody) -> Response:
    response = Response(body, content_type=offer.media_type)
    response.timeout = None
    # no-transform and X-Accel-Buffering: what sits between is to pass each event on as it comes.
    response.headers["Cache-Control"] = "no-store, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Vary"] = "Accept"
    return response
