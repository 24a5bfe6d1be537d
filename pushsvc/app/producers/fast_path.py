"""The fast path of producers: a small batch answered without a framework.

A producer posts a few samples on a connection that stays open, again and again. Through Hypercorn
and Quart that costs one to two milliseconds, nearly all of it in the framework. So a connection
that begins with a plain `POST /v1/samples` is served here, by the same functions that the route
calls, as long as all its requests are of that kind. The first request of another kind goes to
Hypercorn, together with the connection.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from email.utils import formatdate
from http import HTTPStatus

import h11
import msgspec
import trio

from pushsvc.app.http.connection import JSON_TYPES, BodyTimeout
from pushsvc.app.http.context import Context
from pushsvc.app.http.guard import settle
from pushsvc.app.http.plain import access_request_of_head
from pushsvc.app.http.problems import CROWDED, MEDIA_TYPE, jittered
from pushsvc.app.producers.producer import note_request
from pushsvc.app.producers.samples import publish
from pushsvc.auth.access import AccessDecision, AccessRequest, Need
from pushsvc.errors import Problem
from pushsvc.ingest.producers import Sender
from pushsvc.listen.address import peer_of
from pushsvc.listen.connection import Slot
from pushsvc.listen.tls_socket import TlsStream
from pushsvc.log import get_logger
from pushsvc.pipeline import now_ms

_log = get_logger("pushsvc.app")

_REQUEST = b"POST %b/v1/samples HTTP/1.1\r\n"
_MOST_HEAD = 16 * 1024
_MOST_BODY = 64 * 1024
"""Bytes of a body that is handled here; for a larger one the framework is the smaller part of the
cost."""
_READ = 64 * 1024
_HEAD_TIMEOUT = 10.0
_SEND_TIMEOUT = 30.0
_SPECIAL = (
    *("transfer-encoding", "content-encoding", "expect", "origin", "upgrade"),
    "idempotency-key",
)
"""Requests with one of these header fields go to Hypercorn, whatever the value is."""


class ProducerConnection:
    """A connection whose requests so far were all small batches."""

    def __init__(
        self,
        context: Context,
        stream: trio.SocketStream | TlsStream,
        request: bytes,
        first: bytes,
        peer: str,
        slot: Slot,
    ) -> None:
        self._context = context
        self._ingest = context.pipeline.observed.ingest.of("samples")
        self._slot = slot
        self._request = request
        self._stream = stream
        self._data = first
        self._peer = peer
        self._idle = trio.CancelScope()
        self._last = False  # whether the connection ends after this request

    @classmethod
    def open(
        cls, context: Context, stream: trio.SocketStream | TlsStream, first: bytes, slot: Slot
    ) -> ProducerConnection | None:
        """Take a connection that begins with a batch; None for any other."""
        prefixes = (context.prefix.encode(), b"")
        request = next((one for each in prefixes if first.startswith(one := _REQUEST % each)), None)
        if request is None:
            return None
        try:
            peer = peer_of(stream.socket.getpeername())
        except OSError:
            return None  # the peer is gone
        return cls(context, stream, request, first, peer, slot)

    def dismiss(self) -> None:
        """Answer the request that is being read, if there is one, and no further one."""
        self._last = True
        self._idle.cancel()

    def abort(self) -> None:
        """Cut the connection at once."""
        sock = self._stream.socket
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    async def run(self) -> bytes | None:
        """Answer until there is a request of another kind, and return what was read of that; None
        when the connection has ended.

        Raises what Trio does when the connection breaks.
        """
        while True:
            head_size = await self._read_head()
            if head_size is None:
                return None
            request = self._read_request(self._data[:head_size]) if head_size else None
            decision = None if request is None else self._admit(request)
            if request is None or decision is None:
                return self._data
            end = head_size + int(request.headers["content-length"])
            sender = Sender(
                decision.account,
                request.headers.get("user-agent", ""),
                decision.client.address,
            )
            status, content_type, extra, body = await self._answer(head_size, end, decision, sender)
            last = self._last or "close" in request.headers.get("connection", "").lower()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}"
                f"Date: {formatdate(usegmt=True)}\r\n{'Connection: close' if last else ''}"
            )
            with trio.fail_after(_SEND_TIMEOUT):
                await self._stream.send_all(head.rstrip().encode() + b"\r\n\r\n" + body)
            if last:
                return None
            self._data = self._data[end:]

    async def _read_head(self) -> int | None:
        """The size of a head, once it is complete; 0 if its request isn't answered here, None at
        the end of the connection."""
        timeout = self._context.keep_alive if not self._data else _HEAD_TIMEOUT
        with trio.move_on_after(timeout) as self._idle:
            if self._last:
                return None
            while (end := self._data.find(b"\r\n\r\n")) < 0:
                if self._data[: len(self._request)] != self._request[: len(self._data)]:
                    return 0
                if len(self._data) > _MOST_HEAD:
                    return 0
                more = await self._stream.receive_some(_READ)
                if not more:
                    return None
                if not self._data:
                    self._idle.deadline = trio.current_time() + _HEAD_TIMEOUT
                self._data += more
            return end + 4 if self._data.startswith(self._request) else 0
        return None

    def _read_request(self, head: bytes) -> AccessRequest | None:
        """A request that can be answered here; None for any other."""
        connection = h11.Connection(h11.SERVER)
        try:
            connection.receive_data(head)
            parsed = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        if not isinstance(parsed, h11.Request):
            return None
        scheme = "https" if isinstance(self._stream, TlsStream) else "http"
        request = access_request_of_head(parsed, self._peer, scheme)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        length = request.headers.get("content-length", "")
        plain = (
            media_type in JSON_TYPES
            and length.isascii()
            and length.isdigit()
            and len(length) < 9
            and int(length) <= min(_MOST_BODY, self._context.limits.body_bytes)
            and not any(name in request.headers for name in _SPECIAL)
        )
        return request if plain else None

    def _admit(self, request: AccessRequest) -> AccessDecision | None:
        """The principal of this request; None where the route has to answer: it refuses it, or has
        to wait for something first."""
        try:
            return self._context.access.admit_at_once(request, Need.WRITE)
        except Problem:
            return None

    async def _answer(
        self, start: int, end: int, decision: AccessDecision, sender: Sender
    ) -> tuple[int, str, str, bytes]:
        """Apply the body; returns the status, media type, further fields and body of the answer."""
        principal = decision.principal
        producer = decision.account
        began = trio.current_time()
        try:
            await self._read_body(end)
            settle(self._context, decision, self._slot)
            self._context.pipeline.quotas.refuse(producer, trio.current_time())
            members = await publish(self._context, self._data[start:end], principal, producer)
            self._ingest.add(trio.current_time() - began)
        except Problem as problem:
            note_request(self._context, "samples", sender, problem)
            document = problem.document()
            extra = ""
            if (retry_after := document.get("retry_after")) is not None:
                document["retry_after"] = jittered(retry_after)
                extra = f"Retry-After: {document['retry_after']}\r\n"
            if isinstance(problem, BodyTimeout) or problem.code == CROWDED:
                self._last = True
            return problem.status, MEDIA_TYPE, extra, msgspec.json.encode(document)
        self._context.producers.sent("samples", sender, members.applied, now_ms())
        return 200, "application/json", "", msgspec.json.encode(members)

    async def _read_body(self, end: int) -> None:
        parts = [self._data]
        size = len(self._data)
        while size < end:
            with trio.move_on_after(self._context.pacing.body_timeout) as waiting:
                part = bytes(await self._stream.receive_some(_READ))
                if not part:
                    raise trio.BrokenResourceError
                parts.append(part)
                size += len(part)
            if waiting.cancelled_caught:
                raise BodyTimeout.after(self._context.pacing.body_timeout)
        self._data = b"".join(parts)
