"""Hypercorn on Trio, with connections that their owner can cut.

Hypercorn's own `serve` keeps its connections to itself, and its sends are shielded from
cancellation: a client that takes no bytes would hold its task, and the whole shutdown, for as
long as it likes. Here each connection is known to the application (through the ASGI `state`) and
can be aborted at the socket.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import trio
from hypercorn.config import Config

from pushsvc.listen import hypercorn_http2, hypercorn_websocket, hypercorn_windows
from pushsvc.listen.acceptor import Acceptor
from pushsvc.listen.hypercorn_internals import (
    MAX_RECV,
    ASGIWrapper,
    Closed,
    ConnectionState,
    Lifespan,
    RawData,
    TCPServer,
    WorkerContext,
    has_unread_bytes,
    is_handled,
)
from pushsvc.listen.hypercorn_windows import CONNECTION, WAITING, BoundedHttp2, Waiting
from pushsvc.listen.listeners import Listener
from pushsvc.listen.tls import Certificate, refuse_plain, speaks_tls
from pushsvc.log import get_logger

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_log = get_logger("pushsvc.server")

KEEP_ALIVE = 75.0
"""Seconds that a connection may be idle: more than what proxies take for their side, 60."""
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


class FastConnection(Protocol):
    """A connection that is served without Hypercorn for as long as that can be."""

    async def run(self) -> bytes | None:
        """Serve; gives what was read of the first request that is Hypercorn's, None at the end."""
        ...

    def dismiss(self) -> None:
        """End when the request that is under way is answered."""
        ...

    def abort(self) -> None:
        """Cut the connection at once."""
        ...


StreamFastPath: TypeAlias = Callable[[bytes, socket.socket], bool]
"""What a connection said first, and its socket: tells whether it was taken."""
OpenFastPath: TypeAlias = Callable[[trio.SocketStream, bytes, Slot], FastConnection | None]


class Server:
    """Serves an ASGI app on listening sockets. Made by `open_server`."""

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        *,
        counts: Counter[str],
        max_connections: int,
        max_of: Callable[[str], int],
        waiting: Waiting,
        certificate: Certificate | None,
        stream_fast_path: StreamFastPath | None,
        open_fast_path: OpenFastPath,
    ) -> None:
        self._certificate = certificate
        self._stream_fast_path = stream_fast_path
        self._open_fast_path = open_fast_path
        self._app = ASGIWrapper(app)
        self._config = config
        self._context = WorkerContext(None)
        self.waiting = waiting
        """What waits for HTTP/2 clients."""
        self._state: dict[str, Any] = {WAITING: waiting}
        self._connections: set[Connection | FastConnection] = set()
        self._acceptor = Acceptor(
            self._enter,
            counts,
            most=max_connections,
            most_of=max_of,
            patience=config.keep_alive_timeout,
            reads_heads=certificate is None,
        )
        self._handlers: trio.Nursery | None = None
        self._accepting = trio.CancelScope()
        self._empty = trio.Event()

    @property
    def connections(self) -> int:
        """How many are open, detached ones not counted."""
        return len(self._connections) + len(self._acceptor.waiting)

    async def run_lifespan(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start the app up, and shut it down on cancellation."""
        lifespan = Lifespan(self._app, self._config, self._state)
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
                    await lifespan.wait_for_shutdown()
                nursery.cancel_scope.cancel()

    async def run_accept(
        self,
        listeners: Sequence[Listener],
        handlers: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections until `stop_accepting`, then close the listeners."""
        self._handlers = handlers
        with self._accepting:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._acceptor.waiting.run)
                await nursery.start(self._acceptor.waiting.run_tending)
                for listener in listeners:
                    await nursery.start(self._acceptor.run_accept, listener)
                task_status.started()

    def stop_accepting(self) -> None:
        """Take no new connections, and have those that are idle close."""
        self._accepting.cancel()

    async def finish(self, seconds: float) -> int:
        """Wait so long for the open connections to end, then cut the rest; tells how many."""
        await self._context.terminated.set()
        for connection in list(self._connections):
            if not isinstance(connection, Connection):
                connection.dismiss()
        with trio.move_on_after(seconds):
            while self._connections:
                self._empty = trio.Event()
                await self._empty.wait()
        cut = len(self._connections)
        for connection in list(self._connections):
            connection.abort()
        return cut

    def _enter(self, sock: socket.socket, first: bytes, address: str) -> None:
        """Have a connection served, by a fast path or by Hypercorn."""
        assert self._handlers is not None
        if self._certificate is not None and not speaks_tls(sock):
            refuse_plain(sock)
            self._acceptor.leave(address)
            return
        if (
            self._certificate is None
            and self._stream_fast_path is not None
            and self._stream_fast_path(first, sock)
        ):
            self._acceptor.leave(address)
            return
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._handlers.start_soon(self._handle, stream, first, address)

    async def _handle(self, stream: trio.SocketStream, first: bytes, address: str) -> None:
        """Run one connection. Nothing that goes wrong in it reaches another."""
        slot = Slot(self._acceptor, address)
        try:
            if self._certificate is not None:
                await self._handle_tls(stream, self._certificate.context, slot)
                return
            fast = self._open_fast_path(stream, first, slot)
            if fast is not None:
                rest = await self._run(fast, fast.run())
                if not rest:
                    await trio.aclose_forcefully(stream)
                    return
                first = rest
            await self._pass_on(stream, first, slot)
        finally:
            slot.leave()

    async def _handle_tls(
        self, stream: trio.SocketStream, context: ssl.SSLContext, slot: Slot
    ) -> None:
        wrapped = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            # Before there is anything else of the connection: most that fail do so here.
            with trio.fail_after(self._config.ssl_handshake_timeout):
                await wrapped.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError):
            await trio.aclose_forcefully(stream)
        else:
            await self._pass_on(wrapped, b"", slot)
            await trio.aclose_forcefully(stream)
        finally:
            # Trio's stream holds methods of its own, and so itself: with OpenSSL's buffers it would
            # wait for the collector, which sees some small objects and none of that memory.
            vars(wrapped).clear()

    async def _pass_on(
        self,
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
        first: bytes,
        slot: Slot,
    ) -> None:
        """Have Hypercorn run one connection."""
        connection = Connection(
            self._app, self._config, self._context, self._state, stream, first, slot
        )
        await self._run(connection, connection.run())

    async def _run(
        self, connection: Connection | FastConnection, running: Awaitable[bytes | None]
    ) -> bytes | None:
        self._connections.add(connection)
        try:
            return await running
        except Exception as error:  # noqa: BLE001
            # Protocol errors of the peer come out here, bare or in groups, as Hypercorn lets them.
            _log.info("connection failed", error=repr(_leaf(error)))
            connection.abort()
            return None
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._empty.set()


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def hypercorn_config(*, message_bytes: int) -> Config:
    """How Hypercorn is to behave under this service."""
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE
    # Producers keep a connection for days; it need not be replaced every thousand requests.
    config.keep_alive_max_requests = 1_000_000_000
    config.websocket_max_message_size = message_bytes
    # Heartbeats are documents here, so that scripts see them; pings nobody waits for add nothing.
    config.websocket_ping_interval = None
    config.ssl_handshake_timeout = 10.0
    return config


@contextlib.asynccontextmanager
async def open_server(
    app: ASGIFramework,
    listeners: Sequence[Listener],
    *,
    message_bytes: int,
    counts: Counter[str],
    max_connections: int,
    max_of: Callable[[str], int],
    user_timeout: float,
    waiting_bytes: int = 64 * 1024 * 1024,
    certificate: Certificate | None = None,
    stream_fast_path: StreamFastPath | None = None,
    open_fast_path: OpenFastPath = lambda *_: None,
) -> AsyncIterator[Server]:
    """Serve `app` on open listeners, which belong to the server from now on.

    With a `certificate` all of it is TLS, and none of what follows applies. `stream_fast_path` is
    shown the first bytes of each connection, and may take its non-blocking socket, at once and for
    good. `open_fast_path` may give what serves the others until they are Hypercorn's. Connections
    beyond `max_connections`, or beyond `max_of(peer)` of one address, are closed, and counted in
    `counts` with those that never said what they want.

    A peer that acknowledges nothing for `user_timeout` seconds is taken for dead by the kernel
    (TCP_USER_TIMEOUT, inherited by accepted sockets on Linux). An HTTP/2 stream whose client takes
    nothing for half as long is reset, and sooner where more than `waiting_bytes` wait for such. On
    leaving, whatever is still open is cut.
    """
    for listener in listeners:
        with contextlib.suppress(OSError, AttributeError):
            listener.socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(user_timeout * 1000)
            )
    hypercorn_websocket.install()
    hypercorn_http2.install()
    hypercorn_windows.install()
    server = Server(
        app,
        hypercorn_config(message_bytes=message_bytes),
        counts=counts,
        max_connections=max_connections,
        max_of=max_of,
        waiting=Waiting(waiting_bytes, user_timeout / 2, counts),
        certificate=certificate,
        stream_fast_path=stream_fast_path,
        open_fast_path=open_fast_path,
    )
    async with trio.open_nursery() as outer:
        await outer.start(server.run_lifespan)
        await outer.start(server.waiting.run)
        async with trio.open_nursery() as handlers:
            await outer.start(server.run_accept, listeners, handlers)
            try:
                yield server
            finally:
                server.stop_accepting()
                with trio.CancelScope(shield=True):
                    await server.finish(0.0)
                handlers.cancel_scope.cancel()
        outer.cancel_scope.cancel()
