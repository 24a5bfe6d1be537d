"""Answers to stream requests as bytes, for the paths without a framework."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import urlsplit

import msgspec
from wsproto.utilities import generate_accept_token

from pushsvc.app.dashboards import eventsource
from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.app.http.plain import read_request
from pushsvc.app.http.problems import HTML, MEDIA_TYPE, PAGE_POLICY, jittered, page_of, page_wanted
from pushsvc.auth.access import AccessRequest
from pushsvc.auth.origins import Origins
from pushsvc.auth.proxies import is_loopback
from pushsvc.core.delivery.negotiate import Transport, choose_subprotocol
from pushsvc.core.delivery.wire import Text, Wire, chunked, text_wire
from pushsvc.errors import Overloaded
from pushsvc.transport.deflate import negotiate

_STREAM_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-store, no-transform\r\n"
    "X-Accel-Buffering: no\r\nVary: Accept, Accept-Encoding\r\n{}"
    "Transfer-Encoding: chunked\r\nDate: "
)
_WEBSOCKET_HEAD = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "{}Sec-WebSocket-Accept: "
)
_REFUSAL = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
    "Retry-After: {}\r\nVary: Accept\r\nX-Content-Type-Options: nosniff\r\n"
    "Date: {}\r\nConnection: close\r\n\r\n"
)
_TOLD_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}"
    "Cache-Control: no-store, no-transform\r\nDate: {}\r\nConnection: close\r\n\r\n"
)
_MAY_NEED_EVENTS = re.compile(rb"\naccept:[^\n]*event-stream", re.IGNORECASE).search


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a request for a stream, for all requests that differ in their keys at most."""

    start: bytes
    """Its head, up to the last field's value, which is another one each time."""
    wire: Wire
    """The wire format that follows the head."""

    def head(self, key: bytes) -> bytes:
        """The whole head. `key` is that of a WebSocket's opening handshake."""
        websocket = self.wire in ("websocket", "websocket-deflate")
        varying = generate_accept_token(key) if websocket else _date(int(time.time()))
        return b"%b%b\r\n\r\n" % (self.start, varying)


@functools.lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def answer_of(request: AccessRequest, stream: StreamRequest, *, compress: bool) -> Answer | None:
    """The answer to a request for a stream. `compress` is about WebSockets.

    None for a long poll, which is answered later, and for a handshake that isn't a plain one.
    Raises NotAcceptable where the client offers other subprotocols only.
    """
    if stream.transport is Transport.WEBSOCKET:
        return accept_websocket(request.headers, compress=compress)
    if stream.transport is Transport.LONGPOLL:
        return None
    text: Text = "sse" if stream.transport is Transport.SSE else "ndjson"
    field = "" if stream.coding == "identity" else f"Content-Encoding: {stream.coding}\r\n"
    start = _STREAM_HEAD.format(stream.media_type, field)
    return Answer(start.encode(), chunked(text_wire(text, stream.coding)))


def accept_websocket(headers: Mapping[str, str], *, compress: bool) -> Answer | None:
    """The answer to an opening handshake (RFC 6455 section 4.2); None if it isn't a plain one.

    An offer of compression is declined by leaving it out of the answer (RFC 7692 section 5.1).
    Raises NotAcceptable.
    """
    tokens = [token.strip().lower() for token in headers.get("connection", "").split(",")]
    if (
        headers.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in tokens
        or headers.get("sec-websocket-version") != "13"
        or len(headers.get("sec-websocket-key", "")) != 24
    ):
        return None
    fields = ""
    if offered := headers.get("sec-websocket-protocol"):
        names = [name.strip() for name in offered.split(",")]
        chosen = choose_subprotocol([name for name in names if name])
        fields = f"Sec-WebSocket-Protocol: {chosen}\r\n" if chosen else ""
    wire: Wire = "websocket"
    offers = headers.get("sec-websocket-extensions")
    if compress and offers and not of_this_machine(headers.get("origin", "")):
        extension = negotiate(offers)
        if extension is not None:
            fields += f"Sec-WebSocket-Extensions: {extension}\r\n"
            wire = "websocket-deflate"
    return Answer(_WEBSOCKET_HEAD.format(fields).encode(), wire)


def key_of(headers: Mapping[str, str]) -> bytes:
    """The key of an opening handshake; empty where there is none."""
    return headers.get("sec-websocket-key", "").encode("latin-1")


def of_this_machine(origin: str) -> bool:
    """Whether a page was opened on this machine: then compressing costs more than it saves."""
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def refusal_of(data: bytes, problem: Overloaded, origins: Origins) -> bytes:
    """The whole answer to a request of these bytes for which there is no room."""
    told = _told_in_events(data, problem, origins)
    if told is not None:
        return told
    seconds = jittered(problem.retry_after)
    document = {**problem.document(), "retry_after": seconds}
    if _page_wanted(data):
        media_type = f"{HTML}; charset=utf-8\r\nContent-Security-Policy: {PAGE_POLICY}"
        body = page_of(document).encode()
    else:
        media_type, body = MEDIA_TYPE, msgspec.json.encode(document)
    head = _REFUSAL.format(media_type, len(body), seconds, formatdate(usegmt=True))
    return head.encode() + body


def _told_in_events(data: bytes, problem: Overloaded, origins: Origins) -> bytes | None:
    """The answer to a client that can be told of a problem only by events; None for others."""
    # When many come at once, most of them needn't be parsed.
    if not _MAY_NEED_EVENTS(data) or (request := read_request(data)) is None:
        return None
    body = eventsource.told(request, problem)
    if body is None:
        return None
    more = origins.cors(request.headers, preflight=False)
    lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    head = _TOLD_HEAD.format(eventsource.MEDIA_TYPE, len(body), lines, formatdate(usegmt=True))
    return head.encode() + body


def _page_wanted(data: bytes) -> bool:
    """Whether a person will read the refusal. When many come at once, most are programs."""
    request = read_request(data) if HTML.encode() in data else None
    return request is not None and page_wanted(request.headers.get("accept", ""))
