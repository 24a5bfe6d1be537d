"""One connection of Hypercorn's: its application can cut it, or take its socket out."""

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

_CLOSE_TIMEOUT = 1.0
_DECISION_TIMEOUT = 10.0
_STREAM_REQUEST = re.compile(rb"GET (?:/[^? ]*)?/v1/stream[? ]")
_WEBSOCKET_REQUEST = re.compile(rb"GET (?:/[^? ]*)?/v1/(?:stream|publish)[? ]")
_COMPRESSION_OFFER = re.compile(rb"\r\nSec-WebSocket-Extensions:[^\r]*\r\n", re.IGNORECASE)
"""Hypercorn accepts every offer of permessage-deflate, with a context per connection of about
94 KiB; a server may decline it by silence (RFC 7692 section 5.1)."""


def connection_of(scope: Mapping[str, Any]) -> Connection | None:
    """The connection that an ASGI scope came in on; None under another ASGI server."""
    state = scope.get("state") or {}
    connection = state.get(CONNECTION)
    return connection if isinstance(connection, Connection) else None


class Slot:
    """One of the connections that may be open: it counts with its address, until a request on it
    shows an identity."""

    def __init__(self, acceptor: Acceptor, address: str) -> None:
        self._acceptor = acceptor
        self._whose: object = address
        self._moved = False

    def move(self, account: object, most: int) -> bool:
        """Count as one of `most` of this account from now on; tells whether there was room.

        The first identity that is shown on a connection keeps it.
        """
        if not self._moved:
            self._moved = self._acceptor.move(self._whose, account, most)
            if self._moved:
                self._whose = account
        return self._moved

    def leave(self) -> None:
        """The connection is over, or is a subscriber from now on. To be called once."""
        self._acceptor.leave(self._whose)


class Connection(TCPServer):
    """One accepted connection."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        state: Mapping[str, Any],
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
        first: bytes,
        slot: Slot,
    ) -> None:
        """`first` is what was read off the stream already."""
        super().__init__(
            app,
            config,
            context,
            ConnectionState({**state, CONNECTION: self}),
            stream,  # type: ignore[arg-type]
        )
        bare = stream if isinstance(stream, trio.SocketStream) else stream.transport_stream
        self._socket = bare.socket
        self._first = first
        self.slot = slot
        self._tasks = trio.CancelScope()
        self._decided = trio.Event()
        self.detached = False
        """Whether the socket was taken out."""

    async def run(self) -> None:
        """Serve the connection until it ends or is detached."""
        try:
            with self._tasks:
                await super().run()
        finally:
            # Both refer to this connection: in a cycle it would stay, with all it read, until the
            # collector runs.
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
                    # What a client sends once its stream is answered belongs to whoever carries
                    # the stream then: not a byte is read before that is known.
                    with trio.move_on_after(_DECISION_TIMEOUT):
                        await self._decided.wait()
                data = bytes(await self.stream.receive_some(MAX_RECV))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass
        await self.protocol.handle(Closed())
        # A peer that leaves while it is idle would otherwise be held for the keep-alive timeout.
        await self.idle_task.stop()

    async def _close(self) -> None:
        if self.detached:
            return
        # The end of a response ends the task that is closing the connection after it: Quart-Trio
        # cancels itself on the disconnect that this brings about.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_TIMEOUT):
            await super()._close()

    def keep(self) -> None:
        """The stream on this connection stays here: go on reading."""
        self._decided.set()

    def detach(self) -> socket.socket | None:
        """Take the socket out, non-blocking, and end all tasks of this connection.

        To be called by the handler of a stream request that `keep` was not called for, right
        after its answer was started; the handler is cancelled at its next checkpoint. None, and
        nothing is changed, where the socket isn't just that: TLS, HTTP/2, or bytes that are
        already read but not yet handed on.
        """
        if has_unread_bytes(self):
            return None
        trio_socket = self.stream.socket
        # Out of Trio's own epoll first: its registration outlives the descriptor's number, which
        # the next connection may get.
        trio.lowlevel.notify_closing(trio_socket)
        detached = socket.socket(fileno=trio_socket.detach())
        detached.setblocking(False)
        self.detached = True
        self._tasks.cancel()
        return detached

    def abort(self) -> None:
        """Cut the connection at once. Whoever waits on it is woken; nothing more is sent."""
        if self.detached:
            return
        with contextlib.suppress(OSError):
            # A reset, so that the kernel lets go of what the client never took.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
