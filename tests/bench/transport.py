"""The client's end of each transport: bytes in, documents out, and no more than is correct.

A reader is fed what the socket gave, and gives back the documents that are now whole. It is `clean`
when it holds no part of one, so that equal bytes mean equal documents.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Protocol

from tests.serving import EXPAND

_KEY = base64.b64encode(b"pushsvc-bench-16").decode()
_ACCEPT = base64.b64encode(
    hashlib.sha1(  # noqa: S324 - RFC 6455 wants this one
        _KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    ).digest()
)

ACCEPT = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "longpoll": "application/json",
}


class Broken(Exception):
    """The server did not speak the protocol, refused, or ended the stream."""


class Reader(Protocol):
    """One connection's incoming bytes."""

    opened: bool
    """Whether the server has accepted the stream."""
    clean: bool

    def feed(self, data: bytes) -> list[bytes]:
        """Documents that `data` completes, in order. Raises Broken; where documents come before the
        end, the next time."""

    def replies(self) -> bytes:
        """What the protocol wants sent back now; mostly nothing."""


def request(
    transport: str,
    target: str,
    host: str,
    subprotocol: str | None = None,
    coding: str = "identity",
) -> bytes:
    """The request that opens a stream, in a content coding."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
    if transport == "websocket":
        lines += [
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {_KEY}",
            "Sec-WebSocket-Version: 13",
        ]
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    else:
        lines.append(f"Accept: {ACCEPT[transport]}")
        if coding != "identity":
            lines.append(f"Accept-Encoding: {coding}")
    return "\r\n".join([*lines, "", ""]).encode()


def client_message(payload: bytes) -> bytes:
    """A text message of a client on a WebSocket, under a mask of zeros, which changes nothing."""
    return b"\x81" + _length(len(payload), 0x80) + bytes(4) + payload


def server_message(transport: str, document: bytes) -> bytes:
    """A document on its way to a client, wrapped as the transport wants it."""
    if transport == "websocket":
        return b"\x81" + _length(len(document), 0) + document
    body = b"data: %b\n\n" % document if transport == "sse" else document + b"\n"
    return b"%x\r\n%b\r\n" % (len(body), body)


def opening(transport: str) -> bytes:
    """The head of a server's answer to `request`, made in advance: the key is always the same."""
    if transport == "websocket":
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + _ACCEPT + b"\r\n\r\n"
        )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {ACCEPT[transport]}\r\n"
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n"


def _length(size: int, mask: int) -> bytes:
    if size < 126:
        return bytes((mask | size,))
    if size < 65536:
        return bytes((mask | 126,)) + size.to_bytes(2, "big")
    return bytes((mask | 127,)) + size.to_bytes(8, "big")


class Head:
    """The head of an HTTP response, which comes before everything else."""

    def __init__(self, raw: bytes) -> None:
        status, *lines = raw.split(b"\r\n")
        try:
            self.status = int(status.split()[1])
        except (IndexError, ValueError):
            raise Broken(f"not an HTTP response: {raw[:100]!r}") from None
        self.fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            self.fields[name.strip().lower()] = value.strip()

    def expect(self, *statuses: int) -> None:
        if self.status not in statuses:
            raise Broken(f"HTTP {self.status} instead of {statuses[0]}")


class WebSocketReader:
    """RFC 6455 without extensions, from a server that masks nothing."""

    def __init__(self) -> None:
        self.opened = False
        self.clean = True
        self._rest = b""
        self._parts: list[bytes] = []
        self._replies = b""
        self._ended: Broken | None = None

    def replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def feed(self, data: bytes) -> list[bytes]:
        if self._ended is not None:
            raise self._ended
        rest = self._rest + data if self._rest else data
        start = 0
        if not self.opened:
            end = rest.find(b"\r\n\r\n")
            if end < 0:
                return self._keep(rest)
            head = Head(rest[:end])
            head.expect(101)
            if head.fields.get(b"sec-websocket-accept") != _ACCEPT:
                raise Broken("the handshake was answered with the wrong key")
            self.opened = True
            start = end + 4
        documents = []
        size = len(rest)
        while size - start >= 2:
            first, length = rest[start], rest[start + 1]
            begin = start + 2
            if length == 126:
                begin += 2
                length = int.from_bytes(rest[start + 2 : begin], "big")
            elif length == 127:
                begin += 8
                length = int.from_bytes(rest[start + 2 : begin], "big")
            elif length > 127:
                raise Broken("the server masks its frames")
            if begin + length > size:
                break
            payload = rest[begin : begin + length]
            start = begin + length
            if first == 0x81 and not self._parts:
                documents.append(payload)
            else:
                self._other(first, payload, documents)
        self._keep(rest[start:])
        if self._ended is not None and not documents:
            raise self._ended
        return documents

    def _keep(self, rest: bytes) -> list[bytes]:
        self._rest = rest
        self.clean = not rest and not self._parts
        return []

    def _other(self, first: int, payload: bytes, documents: list[bytes]) -> None:
        final, opcode = first & 0x80, first & 0x0F
        if first & 0x70 or opcode not in (0, 1, 8, 9, 10):
            raise Broken(f"a frame that begins with {first:#x}")
        if opcode in (0, 1):
            self._parts.append(payload)
            if final:
                documents.append(b"".join(self._parts))
                self._parts.clear()
        elif opcode == 8:
            self._ended = Broken(f"the server closed: {payload[:2].hex()} {payload[2:].decode()}")
        elif opcode == 9:
            # A mask of zeros leaves the payload as it is.
            self._replies += bytes((0x8A, 0x80 | len(payload))) + bytes(4) + payload


class StreamReader:
    """A response that goes on, cut into documents by `separator`: chunked (RFC 9112 section 7.1),
    or without an end. One of a known length, as one is that refuses an EventSource, ends with it.
    """

    def __init__(
        self, separator: bytes, unwrap: Callable[[bytes], bytes | None], coding: str = "identity"
    ) -> None:
        """`unwrap` takes what stands between separators; None means it is no document."""
        self._coding = coding
        self._expand = EXPAND[coding]()
        self.opened = False
        self.clean = True
        self._separator = separator
        self._unwrap = unwrap
        self._chunked = True
        self._left: int | None = None
        self._raw = b""
        self._body = b""
        self._ended = False

    def replies(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> list[bytes]:
        raw = self._raw + data if self._raw else data
        if not self.opened:
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                self._raw, self.clean = raw, False
                return []
            head = Head(raw[:end])
            head.expect(200)
            if head.fields.get(b"content-encoding", b"identity").decode() != self._coding:
                raise Broken(f"a stream that isn't in {self._coding}")
            if b"content-length" in head.fields:
                self._left = int(head.fields[b"content-length"])
            self._chunked = head.fields.get(b"transfer-encoding", b"").lower() == b"chunked"
            self.opened = True
            raw = raw[end + 4 :]
        if self._chunked:
            raw = self._unchunk(raw)
        else:
            self._body += raw
            if self._left is not None:
                self._left -= len(raw)
                self._ended = self._left <= 0
            raw = b""
        *whole, self._body = self._body.split(self._separator)
        self._raw = raw
        self.clean = not raw and not self._body
        documents = [document for part in whole if (document := self._unwrap(part)) is not None]
        if self._ended and not documents:
            raise Broken("the server ended the stream")
        return documents

    def _unchunk(self, raw: bytes) -> bytes:
        """Move whole chunks to the body, and give back the rest."""
        start = 0
        while (end := raw.find(b"\r\n", start)) >= 0:
            try:
                size = int(raw[start:end].partition(b";")[0], 16)
            except ValueError:
                raise Broken(f"a chunk that begins with {raw[start:end][:20]!r}") from None
            if size == 0:
                self._ended = True
                break
            begin = end + 2
            if begin + size + 2 > len(raw):
                break
            self._body += self._expand(raw[begin : begin + size])
            start = begin + size + 2
        return raw[start:]


def _event_data(event: bytes) -> bytes | None:
    """The data of a server-sent event; None for a comment or an event without."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line[:5] == b"data:"]
    return b"\n".join(lines) if lines else None


def _line(line: bytes) -> bytes | None:
    return line or None


class PollReader:
    """Responses of known length, one after the other; each body is a document."""

    def __init__(self) -> None:
        self.opened = False
        self.clean = True
        self.closing = False
        """Whether the server said that it answers no more on this connection."""
        self._rest = b""

    def replies(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> list[bytes]:
        rest = self._rest + data if self._rest else data
        documents = []
        while (end := rest.find(b"\r\n\r\n")) >= 0:
            head = Head(rest[:end])
            head.expect(200, 201, 202)
            stop = end + 4 + int(head.fields.get(b"content-length", b"-1"))
            if stop < end + 4:
                raise Broken("an answer without a length")
            if stop > len(rest):
                break
            self.opened = True
            self.closing = head.fields.get(b"connection", b"").lower() == b"close"
            documents.append(rest[end + 4 : stop])
            rest = rest[stop:]
        self._rest = rest
        self.clean = not rest
        return documents


def reader(transport: str, coding: str = "identity") -> Reader:
    """A reader for one connection."""
    if transport == "websocket":
        return WebSocketReader()
    if transport == "sse":
        return StreamReader(b"\n\n", _event_data, coding)
    if transport == "ndjson":
        return StreamReader(b"\n", _line, coding)
    return PollReader()
