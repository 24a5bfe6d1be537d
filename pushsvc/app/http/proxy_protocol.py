"""The PROXY protocol is refused, and a proxy that speaks it is told what to send instead.

It puts the client's address before the first request of a connection, as a line or in binary
(https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). A server that doesn't expect it sees
a request that it can't read.
"""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec
import trio

from pushsvc.app.http.problems import MEDIA_TYPE
from pushsvc.errors import Malformed
from pushsvc.listen.tls_socket import TlsStream
from pushsvc.log import get_logger

_log = get_logger("pushsvc.app")

_FIRST: Final = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")
"""The first bytes of version 1 and of version 2."""
_SEND_TIMEOUT: Final = 5.0
_PROBLEM: Final = Malformed(
    "proxy_protocol",
    "the PROXY protocol isn't spoken here: have the proxy send X-Forwarded-For instead (HAProxy: "
    "option forwardfor, and no send-proxy; nginx: no proxy_protocol), and name it in "
    "web.trusted_proxies",
)


class ProxyProtocol:
    """A connection that begins with a PROXY header."""

    def __init__(self, stream: trio.SocketStream | TlsStream) -> None:
        self._stream = stream

    @classmethod
    def open(cls, stream: trio.SocketStream | TlsStream, first: bytes) -> ProxyProtocol | None:
        """Take the connection if it begins with a PROXY header; None otherwise."""
        return cls(stream) if first.startswith(_FIRST) else None

    def dismiss(self) -> None:
        """Nothing to do: the connection is about to end."""

    def abort(self) -> None:
        """Cut the connection at once."""
        self._stream.socket.close()

    async def run(self) -> bytes | None:
        """Answer with what is wrong, and log it."""
        _log.warning("refused", code=_PROBLEM.code, reason=_PROBLEM.detail)
        body = msgspec.json.encode(_PROBLEM.document())
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with trio.move_on_after(_SEND_TIMEOUT), contextlib.suppress(trio.BrokenResourceError):
            await self._stream.send_all(head.encode() + body)
        return None
