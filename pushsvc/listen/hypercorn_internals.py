"""All undocumented names of Hypercorn that are used here, and a check that they still exist.

Serving needs the names that are imported; detaching sockets needs the attributes in `_DETACHING`
too. If a release of Hypercorn changes those, sockets aren't detached any more, but the service
still works.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import CodeType, FunctionType

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, RawData
from hypercorn.protocol import ProtocolWrapper, h11
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from pushsvc.listen.hypercorn_websocket import ClosingWebSocket

__all__ = [
    "MAX_RECV",
    "ASGIWrapper",
    "Closed",
    "ConnectionState",
    "Lifespan",
    "RawData",
    "TCPServer",
    "WorkerContext",
    "has_unread_bytes",
    "is_handled",
    "missing",
]

_DETACHING: dict[type, tuple[str, ...]] = {
    TCPServer: ("run", "_read_data", "_close", "stream", "protocol", "idle_task", "state"),
    ProtocolWrapper: ("protocol", "handle"),
    h11.H11Protocol: ("connection", "stream"),
    h11.H11WSConnection: ("buffer",),
    HTTPStream: ("app_put",),
    WSStream: ("app_put", "handshake", "connection", "buffer", "send", "task_group", "app_send"),
}


def missing(used: Mapping[type, tuple[str, ...]] | None = None) -> list[str]:
    """The names that detaching needs, or those in `used`, that this Hypercorn doesn't have; empty
    if it has all."""
    return [
        f"{owner.__module__}.{owner.__qualname__}.{name}"
        for owner, names in (_DETACHING if used is None else used).items()
        for name in names
        if not hasattr(owner, name) and name not in _named(owner)
    ]


def _named(owner: type) -> set[str]:
    """The names that a class's methods use: the only sign of an attribute that is set in
    `__init__`. They are taken from the compiled code, since reading the source takes a tenth of a
    second at each start."""
    codes = [each.__code__ for each in vars(owner).values() if isinstance(each, FunctionType)]
    names: set[str] = set()
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return names


def is_handled(server: TCPServer) -> bool:
    """Whether the request on a connection has reached the application."""
    protocol = server.protocol.protocol
    stream = protocol.stream if isinstance(protocol, h11.H11Protocol) else None
    return getattr(stream, "app_put", None) is not None


def has_unread_bytes(server: TCPServer) -> bool:
    """Whether bytes were read from the socket that its new owner would miss."""
    protocol = server.protocol.protocol
    if not isinstance(protocol, h11.H11Protocol):
        return True  # HTTP/2, which always keeps some
    connection = protocol.connection
    if isinstance(connection, h11.H11WSConnection):
        websocket = protocol.stream
        early = isinstance(websocket, ClosingWebSocket) and websocket.early
        return early or bool(connection.buffer)
    return bool(connection.trailing_data[0])
