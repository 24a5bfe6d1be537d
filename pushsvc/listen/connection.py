"""One of Hypercorn's connections: the application can cut it, or detach its socket."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Mapping
from typing import Any

import trio
from hypercorn.config import Config

from pushsvc.listen.acceptor import Acceptor
from pushsvc.listen.hypercorn_internals import (
    MAX_RECV,
    ASGIWrapper,
    Closed,
    ConnectionState,
    RawData,
    TCPServer,
    WorkerContext,
    has_unread_bytes,
    is_handled,
)
from pushsvc.listen.hypercorn_windows import CONNECTION, BoundedHttp2
from pushsvc.listen.tls_socket import TlsStream

_CLOSE_TIMEOUT = 1.0
_DECISION_TIMEOUT = 10.0
_STREAM_REQUEST = re.compile(rb"GET (?:/[^? ]*)?/v1/stream[? ]")
_WEBSOCKET_REQUEST = re.compile(rb"GET (?:/[^? ]*)?/v1/(?:stream|publish)[? ]")
_COMPRESSION_OFFER = re.compile(rb"\r\nSec-WebSocket-Extensions:[^\r]*\r\n", re.IGNORECASE)
"""Hypercorn accepts every offer of permessage-deflate, with a context of about 94 KiB for each
connection; a server may decline by leaving it out of the answer (RFC 7692 section 5.1)."""


def connection_of(scope: Mapping[str, Any]) -> Connection | None:
    """The connection that an ASGI scope came in on; None under another ASGI server."""
    state = scope.get("state") or {}
    connection = state.get(CONNECTION)
    return connection if isinstance(connection, Connection) else None


class Slot:
    """A place among the connections that may be open. It counts with its address until a request on
    it shows an identity."""

    def __init__(self, acceptor: Acceptor, address: str) -> None:
        self._acceptor = acceptor
        self._whose: object = address
        self._moved = False

    def move(self, account: object, most: int) -> bool:
        """Count as one of `most` of this account from now on; returns whether there was room.

        Only the first identity shown on a connection counts.
        """
        if not self._moved:
            self._moved = self._acceptor.move(self._whose, account, most)
            if self._moved:
                self._whose = account
        return self._moved

    def leave(self) -> None:
        """The connection has ended, or has become a subscriber. Call it once."""
        self._acceptor.leave(self._whose)


class Connection(TCPServer):
    """One accepted connection."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        state: Mapping[str, Any],
        stream: trio.SocketStream | TlsStream,
        first: bytes,
        slot: Slot,
    ) -> None:
        """`first` is what was already read from the stream."""
        super().__init__(
            app,
            config,
            context,
            ConnectionState({**state, CONNECTION: self}),
            stream,  # type: ignore[arg-type]
        )
        self._socket = stream.socket
        self._first = first
        self.slot = slot
        self._tasks = trio.CancelScope()
        self._decided = trio.Event()
        self.detached = False
        """Whether the socket was detached."""

    async def run(self) -> None:
        """Serve the connection until it ends or is detached."""
        try:
            with self._tasks:
                await super().run()
        finally:
            # Both refer to this connection: a reference cycle would keep it, with all it has read,
            # until the collector runs.
            self.state.clear()
            wrapper = vars(self).pop("protocol", None)
            if wrapper is not None and isinstance(wrapper.protocol, BoundedHttp2):
                wrapper.protocol.dismantle()

    async def _read_data(self) -> None:
        try:
            data, self._first = self._first, b""
            if not data:
                data = bytes(await self.stream.receive_some(MAX_RECV))
            while data:
                stream = _STREAM_REQUEST.match(data) is not None
                if _WEBSOCKET_REQUEST.match(data):
                    data = _COMPRESSION_OFFER.sub(b"\r\n", data)
                if stream:
                    self._decided = trio.Event()
                await self.protocol.handle(RawData(data))
                if stream and is_handled(self):
                    # Once its stream is answered, what a client sends is for the carrier of that
                    # stream: nothing is read before it is decided who that is.
                    with trio.move_on_after(_DECISION_TIMEOUT):
                        await self._decided.wait()
                data = bytes(await self.stream.receive_some(MAX_RECV))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass
        await self.protocol.handle(Closed())
        # Otherwise a peer that leaves while it is idle would be kept until the keep-alive timeout.
        await self.idle_task.stop()

    async def _close(self) -> None:
        if self.detached:
            return
        # Closing a connection after its response also cancels the task that closes it: Quart-Trio
        # cancels itself on the disconnect that this causes.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_TIMEOUT):
            await super()._close()

    def keep(self) -> None:
        """The stream stays on this connection: go on reading."""
        self._decided.set()

    def detach(self) -> socket.socket | None:
        """Take the socket out, non-blocking, and end all tasks of this connection.

        Call it in the handler of a stream request for which `keep` was not called, right after its
        answer was started; the handler is cancelled at its next checkpoint. None, with nothing
        changed, where the socket can't be taken: HTTP/2, or bytes that were read but not yet
        handed on.
        """
        if has_unread_bytes(self):
            return None
        stream: object = self.stream
        if isinstance(stream, TlsStream):
            detached: socket.socket = stream.detach()
        else:
            detached = _detach(self.stream.socket)
        self.detached = True
        self._tasks.cancel()
        return detached

    def abort(self) -> None:
        """Cut the connection at once, without sending anything more. Tasks that wait on it are
        woken."""
        if self.detached:
            return
        with contextlib.suppress(OSError):
            # By a reset, so that the kernel drops what the client has not received.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def _detach(trio_socket: trio.socket.SocketType) -> socket.socket:
    # Remove it from Trio's own epoll first: the registration would outlive the descriptor's
    # number, which the next connection may get.
    trio.lowlevel.notify_closing(trio_socket)
    detached = socket.socket(fileno=trio_socket.detach())
    detached.setblocking(False)
    return detached
