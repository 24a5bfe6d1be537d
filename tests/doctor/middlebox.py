"""Middleboxes that are broken, each in one way: relays between a client and a service."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
from collections.abc import AsyncIterator

import h11
import trio


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with a middlebox; nothing, unless said. Times in seconds."""

    cuts_idle: float = float("inf")
    forgets_idle: float = float("inf")
    """It drops all that comes later, and tells nobody."""
    cuts_after: float = float("inf")
    """Of a connection's whole life."""
    sockets_only: bool = False
    """Whether `cuts_after` is for WebSockets alone."""
    buffers: bool = False
    compresses: bool = False
    strips_upgrade: bool = False
    http10: bool = False
    host: bytes = b""
    """What it makes of `Host`."""
    adds: bytes = b""
    """Header fields for each request."""
    signs: bytes = b""
    """Header fields for each answer."""


class _Relay:
    def __init__(self, fault: Fault, client: trio.SocketStream, service: trio.SocketStream) -> None:
        self._fault = fault
        self._client = client
        self._service = service
        self._last = trio.current_time()
        self._forgotten = False
        self._socket = False

    async def run(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = await self._client.receive_some()
            if not part:
                return
            head += part
        self._socket = b"upgrade: websocket" in head.lower()
        await self._service.send_all(self._changed(head))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            nursery.start_soon(self._copy, self._client, self._service)
            answer = self._held if self._holds() else self._answer
            await answer()
            nursery.cancel_scope.cancel()

    def _holds(self) -> bool:
        return (self._fault.buffers or self._fault.compresses) and not self._socket

    def _changed(self, head: bytes) -> bytes:
        line, _, rest = head.partition(b"\r\n")
        if self._fault.http10:
            line = line.replace(b"HTTP/1.1", b"HTTP/1.0")
        fields = rest.split(b"\r\n")
        if self._fault.strips_upgrade:
            fields = [one for one in fields if not one.lower().startswith((b"upgrade:", b"conn"))]
        if self._fault.host:
            named = b"Host: " + self._fault.host
            fields = [named if one.lower().startswith(b"host:") else one for one in fields]
        return line + b"\r\n" + self._fault.adds + b"\r\n".join(fields)

    async def _watch(self, scope: trio.CancelScope) -> None:
        began = trio.current_time()
        while True:
            await trio.sleep(0.02)
            now = trio.current_time()
            if now - self._last > self._fault.forgets_idle:
                self._forgotten = True
            old = now - began > self._fault.cuts_after
            if now - self._last > self._fault.cuts_idle or (
                old and (self._socket or not self._fault.sockets_only)
            ):
                scope.cancel()

    async def _copy(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        async for part in source:
            self._last = trio.current_time()
            if not self._forgotten:
                await target.send_all(part)

    async def _answer(self) -> None:
        part = await self._service.receive_some()
        line, _, rest = bytes(part).partition(b"\r\n")
        await self._client.send_all(line + b"\r\n" + self._fault.signs + rest if line else part)
        self._last = trio.current_time()
        await self._copy(self._service, self._client)
        if self._forgotten:
            await trio.sleep_forever()

    async def _held(self) -> None:
        """Send the answer when it is whole."""
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        connection.send(h11.EndOfMessage())
        head, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await self._service.receive_some())
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return
        assert head is not None
        fields = [
            (name, value)
            for name, value in head.headers
            if name not in (b"content-length", b"transfer-encoding")
        ]
        if self._fault.compresses:
            body = gzip.compress(body)
            fields.append((b"content-encoding", b"gzip"))
        fields.append((b"content-length", str(len(body)).encode()))
        lines = [b"%s: %s" % field for field in fields]
        answer = b"HTTP/1.1 %d OK\r\n%s\r\n\r\n%s" % (head.status_code, b"\r\n".join(lines), body)
        await self._client.send_all(answer)


@contextlib.asynccontextmanager
async def between(port: int, fault: Fault) -> AsyncIterator[str]:
    """A middlebox in front of the service at this port; its URL."""

    async def handle(client: trio.SocketStream) -> None:
        try:
            async with client, await trio.open_tcp_stream("127.0.0.1", port) as service:
                await _Relay(fault, client, service).run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # one side is gone, and now the other is as well

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
