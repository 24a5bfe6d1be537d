"""Getting a connection, and when to try again."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from pushsvc.client.errors import Unreachable, answered, reason

_SUBPROTOCOL = "pushsvc.v1"
_MESSAGE_BYTES = 64 * 1024 * 1024

Token: TypeAlias = str | Callable[[], str] | None
"""A token, or a function that returns the current one; it is called each time a token is sent."""


def require_trio() -> None:
    """Raise RuntimeError where another event loop runs: this client works on Trio only."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "pushsvc.client runs on Trio: start your program with trio.run(main). From asyncio, "
            "run it in a thread of its own, or read the service's NDJSON with any HTTP client"
        )


def authorization(token: Token) -> dict[str, str]:
    """The header that presents a token; empty without one."""
    current = token() if callable(token) else token
    return {} if current is None else {"Authorization": f"Bearer {current}"}


Transport: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


def close_action(code: int) -> Literal["refused", "retry", "at_once"]:
    """What a client has to do after this WebSocket close code."""
    if code in (1002, 1003, 1007, 1008, 1009, 1010) or 4000 <= code < 4100:
        return "refused"
    if 4200 <= code < 4300:
        return "at_once"
    return "retry"


def backoff(attempt: int) -> float:
    """Seconds to wait before attempt 1, 2, ...: full jitter between 0.5 and at most 20."""
    return random.uniform(0.5, min(20.0, 0.5 * 2.0 ** min(attempt, 10)))


async def dial(url: str, tls: ssl.SSLContext | None = None) -> Transport:
    """A TCP connection to the host of a URL, with TLS for https and wss. `tls` says which
    certificates are trusted, those of the system if None. Raises Unreachable."""
    target = urlsplit(url)
    secure = target.scheme in ("https", "wss")
    host, port = target.hostname or "", target.port or (443 if secure else 80)
    try:
        stream: trio.SocketStream = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise Unreachable(f"{url}: {reason(error)}") from None
    if secure:
        try:
            context = tls or ssl.create_default_context()
            secured = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
            await secured.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            await trio.aclose_forcefully(stream)
            cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
            raise Unreachable(f"{url}: TLS: {cause}") from None
        return secured
    return stream


async def handshake(
    stream: Transport,
    url: str,
    host: str,
    resource: str,
    headers: dict[str, str],
    *,
    task_status: trio.TaskStatus[WebSocketConnection],
) -> None:
    """Open a WebSocket on a connection, and run it until it is closed.

    Before `started`, raises Refused, Busy, or Unreachable where something other than a WebSocket
    server answers. Later failures are raised by the calls on the WebSocket.
    """
    try:
        # A nursery of its own: trio-websocket lets a rejection crash the one it is given.
        async with trio.open_nursery() as nursery:
            socket = await wrap_client_stream(
                nursery,
                stream,
                host,
                resource,
                subprotocols=[_SUBPROTOCOL],
                extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                max_message_size=_MESSAGE_BYTES,
            )
            task_status.started(socket)
    except BaseExceptionGroup as group:
        rejected, rest = group.split(ConnectionRejected)
        if rejected is not None:
            leaf = leaf_of(rejected)
            assert isinstance(leaf, ConnectionRejected)
            headers = {name.decode(): value.decode() for name, value in leaf.headers or ()}
            raise answered(leaf.status_code, headers, leaf.body) from None
        _, rest = group.split((HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError))
        if rest is not None:
            raise
        raise Unreachable(f"{url}: no WebSocket server there: {leaf_of(group)!r}") from None


def leaf_of(error: BaseException) -> BaseException:
    """The first error in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
