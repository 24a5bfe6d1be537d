"""The PROXY protocol, which is refused: a proxy that speaks it is told what to send instead.

It puts the client's address before the first request of a connection, as a line or in binary
(https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). For who doesn't know of it, that is a
request that can't be read.
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec
import trio

from pushsvc.app.http.problems import MEDIA_TYPE
from pushsvc.errors import Malformed
from pushsvc.log import get_logger

_log = get_logger("pushsvc.app")

_FIRST: Final = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")
"""What version 1 and version 2 begin with."""
_SEND_TIMEOUT: Final = 5.0
_PROBLEM: Final = Malformed(
    "proxy_protocol",
    "the PROXY protocol isn't spoken here: have the proxy send X-Forwarded-For instead (HAProxy: "
    "option forwardfor, and no send-proxy; nginx: no proxy_protocol), and name it in "
    "web.trusted_proxies",
)


class ProxyProtocol:
    """A connection that begins with it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    @classmethod
    def open(cls, stream: trio.SocketStream, first: bytes) -> ProxyProtocol | None:
        """One for a connection that begins so; None for any other."""
        return cls(stream) if first.startswith(_FIRST) else None

    def dismiss(self) -> None:
        """It is about to end as it is."""

    def abort(self) -> None:
        """Cut the connection at once."""
        self._stream.socket.close()

    async def run(self) -> bytes | None:
        """Say what is wrong, to the proxy and to whoever reads the log."""
        _log.warning("refused", code=_PROBLEM.code, reason=_PROBLEM.detail)
        body = msgspec.json.encode(_PROBLEM.document())
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with trio.move_on_after(_SEND_TIMEOUT), contextlib.suppress(trio.BrokenResourceError):
            await self._stream.send_all(head.encode() + body)
        return None
