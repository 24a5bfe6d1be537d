"""Hypercorn on Trio, with connections that the application can cut.

Hypercorn's own `serve` gives no access to its connections, and its sends are shielded from
cancellation: a client that doesn't read would hold its task, and the whole shutdown, for as long as
it likes. Here each connection is known to the application (through the ASGI `state`) and can be
aborted at the socket.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import trio
from hypercorn.config import Config

from pushsvc.listen import hypercorn_http2, hypercorn_websocket, hypercorn_windows
from pushsvc.listen.acceptor import Acceptor
from pushsvc.listen.address import group
from pushsvc.listen.connection import Connection, Slot
from pushsvc.listen.hypercorn_internals import ASGIWrapper, Lifespan, WorkerContext
from pushsvc.listen.hypercorn_windows import DETACHES, WAITING, Waiting
from pushsvc.listen.listeners import Listener
from pushsvc.listen.tls import Certificate
from pushsvc.listen.tls_socket import TlsSocket, TlsStream
from pushsvc.log import get_logger
from pushsvc.transport.buffers import bound_unsent

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_log = get_logger("pushsvc.server")

KEEP_ALIVE = 75.0
"""Seconds that a connection may be idle: more than the 60 that proxies keep theirs."""


class FastConnection(Protocol):
    """A connection that is served without Hypercorn for as long as that is possible."""

    async def run(self) -> bytes | None:
        """Serve; returns what was read of the first request for Hypercorn, None at the end."""
        ...

    def dismiss(self) -> None:
        """End after the request that is being answered."""
        ...

    def abort(self) -> None:
        """Cut the connection at once."""
        ...


StreamFastPath: TypeAlias = Callable[[bytes, socket.socket, str], bool]
"""Gets the first bytes of a connection, its socket, and the peer's address; returns whether it has
taken the connection."""
OpenFastPath: TypeAlias = Callable[
    [trio.SocketStream | TlsStream, bytes, Slot], FastConnection | None
]


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
        self._open_fast_path = open_fast_path
        self._app = ASGIWrapper(app)
        self._config = config
        self._context = WorkerContext(None)
        self.waiting = waiting
        """What waits for HTTP/2 clients to read."""
        self._state: dict[str, Any] = {
            WAITING: waiting,
            DETACHES: stream_fast_path is not None,
        }
        self._connections: set[Connection | FastConnection] = set()
        self._acceptor = Acceptor(
            self._enter,
            counts,
            most=max_connections,
            most_of=max_of,
            patience=config.keep_alive_timeout,
            certificate=certificate,
            take=stream_fast_path,
        )
        self._handlers: trio.Nursery | None = None
        self._accepting = trio.CancelScope()
        self._empty = trio.Event()

    @property
    def connections(self) -> int:
        """The number of open connections, without detached ones."""
        return len(self._connections) + len(self._acceptor.waiting)

    async def run_lifespan(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Start the app, and shut it down on cancellation."""
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
        """Accept no new connections, and close idle ones."""
        self._accepting.cancel()

    async def finish(self, seconds: float) -> int:
        """Wait so many seconds for the open connections to end, then cut the rest; returns how many
        were cut."""
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

    def _enter(self, sock: socket.socket, first: bytes, peer: str) -> None:
        """Have a connection served, by the fast path of producers or by Hypercorn."""
        assert self._handlers is not None
        stream: trio.SocketStream | TlsStream
        if isinstance(sock, TlsSocket):
            stream = TlsStream(sock)
        else:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._handlers.start_soon(self._handle, stream, first, group(peer))

    async def _handle(
        self, stream: trio.SocketStream | TlsStream, first: bytes, address: str
    ) -> None:
        """Run one connection. Its errors don't affect other connections."""
        slot = Slot(self._acceptor, address)
        try:
            fast = self._open_fast_path(stream, first, slot)
            if fast is not None:
                rest = await self._run(fast, fast.run())
                if not rest:
                    await trio.aclose_forcefully(stream)
                    return
                first = rest
            connection = Connection(
                self._app, self._config, self._context, self._state, stream, first, slot
            )
            await self._run(connection, connection.run())
        finally:
            slot.leave()

    async def _run(
        self, connection: Connection | FastConnection, running: Awaitable[bytes | None]
    ) -> bytes | None:
        self._connections.add(connection)
        try:
            return await running
        except Exception as error:  # noqa: BLE001
            # Hypercorn raises protocol errors of the peer here, alone or in groups.
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
    # Producers keep a connection for days; there is no need to replace it every thousand requests.
    config.keep_alive_max_requests = 1_000_000_000
    config.websocket_max_message_size = message_bytes
    # Heartbeats are documents in this protocol, so that scripts see them; pings would add nothing.
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

    With a `certificate` all of it is TLS. `stream_fast_path` is shown the first bytes of each
    connection, and may take its non-blocking socket, at once and for good. `open_fast_path` may
    give what serves the others until they are Hypercorn's. Connections beyond `max_connections`, or
    beyond `max_of(peer)` of one address, are closed, and counted in `counts` with those that never
    said what they want.

    A peer that acknowledges nothing for `user_timeout` seconds is taken for dead by the kernel
    (TCP_USER_TIMEOUT). An HTTP/2 stream whose client takes
    nothing for half as long is reset, and sooner where more than `waiting_bytes` wait for such. On
    leaving, whatever is still open is cut.
    """
    for listener in listeners:
        _set_for_accepted(listener.socket, user_timeout)
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


def _set_for_accepted(listener: socket.socket, user_timeout: float) -> None:
    """Set what accepted sockets inherit, on Linux: a call for each of them less."""
    if listener.family == socket.AF_UNIX:
        return
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound_unsent(listener)
    with contextlib.suppress(OSError, AttributeError):
        milliseconds = int(user_timeout * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
