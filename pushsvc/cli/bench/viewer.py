"""The client's end of one stream, as light as it can be: bytes in, documents out.

The client library reads what it is given into samples, follows cursors and comes back; that takes
more than the service does to send it. Here documents stay bytes, which are the same for all who
watch the same.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Final, Protocol
from urllib.parse import SplitResult

import h11
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from pushsvc.version import __version__

_READ: Final = 64 * 1024
_AGENT: Final = f"pushsvc-bench/{__version__}"


class Ended(Exception):
    """A stream was refused, or is over; the message says why."""


class Wire(Protocol):
    """One transport, without sockets."""

    def opening(self) -> bytes:
        """The request."""

    def feed(self, data: bytes) -> list[bytes]:
        """Documents that these bytes complete. Raises Ended."""

    def replies(self) -> bytes:
        """What is to be sent now, mostly nothing."""


async def connect(url: SplitResult, tls: ssl.SSLContext) -> trio.abc.Stream:
    """A connection to a service. Raises OSError and trio.BrokenResourceError."""
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
    if url.scheme != "https":
        return stream
    secured = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
    try:
        await secured.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


async def documents(stream: trio.abc.Stream, wire: Wire) -> AsyncIterator[tuple[bytes, int]]:
    """The documents of a stream, with how many bytes came for each. Raises Ended."""
    await stream.send_all(wire.opening())
    unread = 0
    while True:
        try:
            data = await stream.receive_some(_READ)
        except trio.BrokenResourceError:
            raise Ended("the connection broke") from None
        if not data:
            raise Ended("the service ended the connection")
        unread += len(data)
        found = wire.feed(bytes(data))
        if replies := wire.replies():
            await stream.send_all(replies)
        for document in found:
            yield document, unread
            unread = 0


class WebSocketWire:
    def __init__(self, host: str, target: str, headers: list[tuple[bytes, bytes]]) -> None:
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._request = Request(
            host=host, target=target, extra_headers=headers, subprotocols=["pushsvc.v1"]
        )
        self._replies = b""
        self._parts: list[str] = []

    def opening(self) -> bytes:
        return self._connection.send(self._request)

    def replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def feed(self, data: bytes) -> list[bytes]:
        found = []
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                match event:
                    case TextMessage():
                        self._parts.append(event.data)
                        if event.message_finished:
                            found.append("".join(self._parts).encode())
                            self._parts.clear()
                    case Ping():
                        self._replies += self._connection.send(event.response())
                    case RejectConnection():
                        raise Ended(f"HTTP {event.status_code}")
                    case CloseConnection():
                        raise Ended(f"closed with {event.code} {event.reason or ''}".rstrip())
                    case AcceptConnection() | BytesMessage():
                        pass
                    case _:
                        pass
        except RemoteProtocolError as error:
            raise Ended(f"not a WebSocket: {error}") from None
        return found


class HttpWire:
    """SSE or NDJSON in a response that goes on."""

    def __init__(
        self, host: str, target: str, headers: list[tuple[bytes, bytes]], media_type: str
    ) -> None:
        self._connection = h11.Connection(h11.CLIENT)
        self._sse = media_type == "text/event-stream"
        self._request = h11.Request(
            method="GET",
            target=target,
            headers=[(b"Host", host.encode()), (b"Accept", media_type.encode()), *headers],
        )
        self._rest = b""

    def opening(self) -> bytes:
        head = self._connection.send(self._request) or b""
        return head + (self._connection.send(h11.EndOfMessage()) or b"")

    def replies(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        try:
            self._connection.receive_data(data)
            while (event := self._connection.next_event()) is not h11.NEED_DATA:
                match event:
                    case h11.Response() if event.status_code != 200:
                        raise Ended(f"HTTP {event.status_code}")
                    case h11.Data():
                        found += self._documents(bytes(event.data))
                    case h11.EndOfMessage() | h11.ConnectionClosed():
                        raise Ended("the service ended the stream")
                    case _:
                        pass
        except h11.RemoteProtocolError as error:
            raise Ended(f"not HTTP: {error}") from None
        return found

    def _documents(self, data: bytes) -> list[bytes]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        if not self._sse:
            return [line for line in whole if line]
        # A document is one line of data, whatever else an event has.
        return [line[6:] for line in whole if line.startswith(b"data: ")]


def wire_of(transport: str, url: SplitResult, target: str, token: str | None) -> Wire:
    """The client's end of a transport."""
    headers = [(b"User-Agent", _AGENT.encode())]
    if token is not None:
        headers.append((b"Authorization", f"Bearer {token}".encode()))
    host = url.netloc.rpartition("@")[2]
    if transport == "websocket":
        return WebSocketWire(host, target, headers)
    media_type = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}[transport]
    return HttpWire(host, target, headers, media_type)
