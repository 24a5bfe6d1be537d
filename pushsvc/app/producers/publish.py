"""`/v1/publish`: a WebSocket for producers that publish many times a second.

Each message is one document as `POST /v1/samples` takes it, JSON in text and MessagePack in binary
messages; a batch may have a `tag`, which its answer repeats. Messages are applied one after the
other and answered in that order:

    {"type": "applied", "tag": 7, "applied": 2, "id": "f3a1c2d4.5", "watchers": 1}
    {"type": "error", "tag": 8, "code": "name", "message": "samples[0]: …", "index": 0}

An error costs only its own message; one with `retry_after` may be sent again after so many seconds.
While the hub is behind nothing more is read, so that the producer's own sends wait.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from quart import Response, request, websocket
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import described, described_socket
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.producers.answers import Receipt, Refusal, refusal
from pushsvc.app.producers.producer import note_request, sender_of, who
from pushsvc.auth.access import refuse_outside
from pushsvc.core.delivery.documents import Goaway
from pushsvc.core.delivery.negotiate import choose_subprotocol
from pushsvc.core.delivery.wire import Close
from pushsvc.errors import Overloaded, Problem
from pushsvc.ingest.native import JSON, MSGPACK, Message, Sample, Tag
from pushsvc.listen.connection import connection_of
from pushsvc.pipeline import now_ms


class UpgradeRequired(Problem):
    """A plain request where a WebSocket is spoken (RFC 9110 section 15.5.22)."""

    status = 426
    title = "Upgrade required"


def install(app: QuartTrio, context: Context) -> None:
    @app.get("/v1/publish")
    @described(
        "Publish many times a second, over a WebSocket",
        "Each message is a Message or a Sample: JSON in text, MessagePack in binary messages. Each "
        "is answered, in the order they came; /asyncapi.json has the answers. An error costs its "
        "own message only; one with retry_after may be sent again. Frames that break the protocol "
        "close it with 1002 or 1007 and a reason, messages beyond limits.message_bytes with 1009.",
        answers={
            101: "A WebSocket.",
            426: "Not a WebSocket handshake.",
            503: "The service is about to end; come back after Retry-After seconds.",
        },
    )
    async def plain() -> Response:
        response = problems.respond(
            UpgradeRequired("websocket", "this is a WebSocket; without one, POST to /v1/samples")
        )
        if request.http_version < "2":
            response.headers["Upgrade"] = "websocket"
        return response

    @app.websocket("/v1/publish")
    @described_socket(
        "Publish samples many times a second",
        "Messages are applied one after the other and answered in that order, as JSON. While the "
        "hub is behind nothing more is read. Frames that break the protocol close it with 1002 or "
        "1007 and a reason, messages beyond limits.message_bytes with 1009, tokens that aren't "
        "good or may not with 4001 and 4003, one that expired with 4101.",
        sends={"receipt": Receipt, "refusal": Refusal, "goaway": Goaway},
        takes={"batch": Message, "sample": Sample},
        media_types=("application/json", "application/msgpack"),
    )
    async def publish() -> None:
        if context.draining.is_set():
            raise Overloaded("draining", "the service is about to end", retry_after=1.0)
        await websocket.accept(subprotocol=choose_subprotocol(websocket.requested_subprotocols))
        connection = connection_of(websocket.scope)
        producer = _Producer(context)
        async with trio.open_nursery() as nursery:
            if connection is not None:
                nursery.start_soon(producer.cut_when_stalled, connection.abort)
            await producer.serve()
            nursery.cancel_scope.cancel()


class _Producer:
    """One producer's connection."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._who = who(websocket)
        self._sender = sender_of(websocket)
        self._principal = principal_of_request()
        self._sending_since: float | None = None

    async def serve(self) -> None:
        """Apply and answer until the service ends; the framework cancels when the producer goes."""
        while (message := await self._next()) is not None:
            try:
                self._principal = self._context.access.still(self._principal)
            except Problem as problem:
                await self._send(refusal(problem, None))
                await websocket.close(problem.close_code, problem.code)
                return
            await self._send(await self._answer(message))
        await self._send(Goaway(1000))
        await websocket.close(Close.RESTARTING, "drain")

    async def cut_when_stalled(self, abort: Any) -> None:
        """Cut a producer that takes no answers: the server's own sends never end by themselves."""
        limit = self._context.pacing.stall_timeout
        while True:
            await trio.sleep(min(1.0, limit / 4))
            since = self._sending_since
            if since is not None and trio.current_time() - since >= limit:
                self._context.hub.counts["producers_stalled"] += 1
                abort()
                return

    async def _next(self) -> str | bytes | None:
        """The next message; None once the service is about to end."""
        message: str | bytes | None = None
        if self._context.draining.is_set():
            return None  # also where there always is a next message
        async with trio.open_nursery() as nursery:

            async def drained() -> None:
                await self._context.draining.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(drained)
            message = await websocket.receive()
            nursery.cancel_scope.cancel()
        return message

    async def _answer(self, message: str | bytes) -> Receipt | dict[str, Any]:
        tag: Tag = None
        began = trio.current_time()
        codec, body = (MSGPACK, message) if isinstance(message, bytes) else (JSON, message.encode())
        try:
            tag, batch = self._context.native.message(body, now_ms(), codec)
            refuse_outside(self._principal, batch)
            applied = await self._context.pipeline.submit(batch, producer=self._who)
        except Problem as problem:
            note_request(self._context, "publish", self._sender, problem)
            return refusal(problem, tag)
        self._context.pipeline.observed.ingest.of("publish").add(trio.current_time() - began)
        self._context.producers.sent("publish", self._sender, applied.samples, now_ms())
        return Receipt.of(applied, tag)

    async def _send(self, document: Receipt | Goaway | dict[str, Any]) -> None:
        self._sending_since = trio.current_time()
        await websocket.send(msgspec.json.encode(document).decode())
        self._sending_since = None
