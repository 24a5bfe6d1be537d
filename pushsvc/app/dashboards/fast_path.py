"""The fast path of streams: a handshake answered without a framework.

After a restart everyone comes back at once. A stream's request takes its route through Hypercorn
and Quart in about a millisecond; what is decided on that way fits in a tenth. So the acceptor shows
a connection's first bytes here before anything else. A plain `GET /v1/stream` for SSE, NDJSON or a
WebSocket is answered here, by the functions of the route, and so is one that there is no room for.
Everything else goes to Hypercorn, with the bytes already read.
"""

from __future__ import annotations

import contextlib
import re
import socket
from email.utils import formatdate
from urllib.parse import urlsplit

import h11
import msgspec
import trio
from wsproto.utilities import generate_accept_token

from pushsvc.app.dashboards import eventsource
from pushsvc.app.dashboards.attachment import Attachment
from pushsvc.app.http.context import Context
from pushsvc.app.http.plain import access_request_of_fields, fields_of, parse_request
from pushsvc.app.http.problems import HTML, MEDIA_TYPE, PAGE_POLICY, jittered, page_of, page_wanted
from pushsvc.auth.access import AccessDecision, Need
from pushsvc.auth.principal import account
from pushsvc.auth.proxies import is_loopback
from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.negotiate import Transport, choose_subprotocol, needs_events
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.delivery.wire import Text, Wire, chunked, text_wire
from pushsvc.core.hub import Start
from pushsvc.errors import Overloaded, Problem
from pushsvc.listen.address import group, peer_of
from pushsvc.transport.deflate import negotiate
from pushsvc.transport.engine import Engine

_REQUEST = rb"GET (?:%b)?/v1/stream[? ]"
_MOST_BYTES = 16 * 1024
_STREAM_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-store, no-transform\r\n"
    "X-Accel-Buffering: no\r\nVary: Accept, Accept-Encoding\r\nDate: {}\r\n{}"
    "Transfer-Encoding: chunked\r\n\r\n"
)
_WEBSOCKET_HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
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


class _NullCarrier:
    """Stands in for the carrier while a client is attached that has none yet."""

    def wake(self) -> None:
        pass

    def end(self, ending: Ending) -> None:
        pass

    def stalled_since(self) -> float | None:
        return None

    def abort(self) -> None:
        pass


_NULL_CARRIER = _NullCarrier()


class FastPath:
    """Answers requests for streams. There is one for each service that detaches sockets."""

    def __init__(self, context: Context, engine: Engine) -> None:
        self._access = context.access
        self._attachment = Attachment(context)
        self._compress = context.pacing.compress
        self._engine = engine
        self._request = re.compile(_REQUEST % re.escape(context.prefix.encode()))

    def take(self, data: bytes, sock: socket.socket) -> bool:
        """Answer a connection's first bytes, if they are one whole request for a stream.

        If so the socket, which must be non-blocking, belongs to someone else when this returns; if
        not, nothing has happened.
        """
        if self._request.match(data) is None or len(data) > _MOST_BYTES:
            return False
        try:
            self._attachment.check_admission()
            request = parse_request(data)
            peer = peer_of(sock.getpeername())
            decided = None if request is None else self._decide(request, peer)
        except Overloaded as problem:
            self._refuse(sock, data, problem)
            return True
        except OSError:
            return False  # the peer is gone
        except Problem:
            return False  # the route says it as well, and in full
        if decided is None:
            return False
        head, wire, spec, start, decision = decided
        transport = wire.partition("-")[0]
        subscriber = self._attachment.subscribe(
            spec,
            start,
            _NULL_CARRIER,
            transport,
            decision.principal,
            group(decision.client.address),
        )
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._attachment.carry(self._engine, sock, subscriber, wire, head)
        return True

    def _refuse(self, sock: socket.socket, data: bytes, problem: Overloaded) -> None:
        answer = self._events(data, problem)
        if answer is None:
            seconds = jittered(problem.retry_after)
            document = {**problem.document(), "retry_after": seconds}
            if _page_wanted(data):
                media_type = f"{HTML}; charset=utf-8\r\nContent-Security-Policy: {PAGE_POLICY}"
                body = page_of(document).encode()
            else:
                media_type, body = MEDIA_TYPE, msgspec.json.encode(document)
            head = _REFUSAL.format(media_type, len(body), seconds, formatdate(usegmt=True))
            answer = head.encode() + body
        with contextlib.closing(sock), contextlib.suppress(OSError):
            sock.send(answer)

    def _events(self, data: bytes, problem: Overloaded) -> bytes | None:
        """The answer to a client that can be told of a problem only in events; None for others."""
        # When many come at once, most needn't be parsed.
        if not _MAY_NEED_EVENTS(data) or (request := parse_request(data)) is None:
            return None
        fields = access_request_of_fields("GET", fields_of(request), "").headers
        if "upgrade" in fields or not needs_events(
            fields.get("accept"), fields.get("last-event-id")
        ):
            return None
        body = eventsource.told(problem)
        more = self._access.origins.cors(fields, preflight=False)
        lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        head = _TOLD_HEAD.format(eventsource.MEDIA_TYPE, len(body), lines, formatdate(usegmt=True))
        return head.encode() + body

    def _decide(
        self, request: h11.Request, peer: str
    ) -> tuple[bytes, Wire, ViewSpec, Start, AccessDecision] | None:
        """The head of the answer and what to attach; None where the route has to answer."""
        headers = fields_of(request)
        query = request.target.partition(b"?")[2]
        if b"ticket=" in query:
            return None
        decision = self._access.admit_at_once(
            access_request_of_fields("GET", headers, peer), Need.READ
        )
        if decision is None:
            return None
        whose = account(decision.principal, decision.client.address)
        last_event_id = headers.get(b"last-event-id")
        since = None if last_event_id is None else last_event_id.decode("latin-1")
        if self._attachment.is_ahead(query, since):
            return None  # the route waits for it
        if b"upgrade" in headers:
            answer = accept_websocket(headers, compress=self._compress)
            if answer is None:
                return None
            spec, start = self._attachment.read(query, None, decision.principal)
            self._attachment.hub.admit(spec, start, trio.current_time(), whose)
            return *answer, spec, start, decision
        accept = headers.get(b"accept")
        encodings = headers.get(b"accept-encoding")
        offer, coding, spec, start = self._attachment.negotiate(
            query,
            None if accept is None else accept.decode("latin-1"),
            None if encodings is None else encodings.decode("latin-1"),
            since,
            decision.principal,
            whose,
        )
        if offer.transport is Transport.LONGPOLL:
            return None
        text: Text = "sse" if offer.transport is Transport.SSE else "ndjson"
        field = "" if coding == "identity" else f"Content-Encoding: {coding}\r\n"
        head = _STREAM_HEAD.format(offer.media_type, formatdate(usegmt=True), field)
        return head.encode(), chunked(text_wire(text, coding)), spec, start, decision


def accept_websocket(headers: dict[bytes, bytes], *, compress: bool) -> tuple[bytes, Wire] | None:
    """The answer to an opening handshake (RFC 6455 section 4.2); None if it isn't a plain one.

    An offer of compression that isn't taken is declined by silence (RFC 7692 section 5.1).
    """
    key = headers.get(b"sec-websocket-key", b"")
    tokens = [token.strip().lower() for token in headers.get(b"connection", b"").split(b",")]
    if (
        headers[b"upgrade"].lower() != b"websocket"
        or b"upgrade" not in tokens
        or headers.get(b"sec-websocket-version") != b"13"
        or len(key) != 24
    ):
        return None
    fields = ""
    if offered := headers.get(b"sec-websocket-protocol"):
        names = [name.strip() for name in offered.decode("latin-1").split(",")]
        chosen = choose_subprotocol([name for name in names if name])
        fields = f"Sec-WebSocket-Protocol: {chosen}\r\n" if chosen else ""
    wire: Wire = "websocket"
    offers = headers.get(b"sec-websocket-extensions")
    if compress and offers and not of_this_machine(headers.get(b"origin", b"")):
        extension = negotiate(offers.decode("latin-1"))
        if extension is not None:
            fields += f"Sec-WebSocket-Extensions: {extension}\r\n"
            wire = "websocket-deflate"
    return _WEBSOCKET_HEAD % (generate_accept_token(key), fields.encode()), wire


def of_this_machine(origin: bytes) -> bool:
    """Whether a page was opened on this machine: then compressing costs more than it saves."""
    try:
        host = urlsplit(origin.decode("latin-1")).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def _page_wanted(data: bytes) -> bool:
    """Whether a person is to read the refusal: of the many that come at once most are programs."""
    request = parse_request(data) if HTML.encode() in data else None
    return request is not None and page_wanted(
        fields_of(request).get(b"accept", b"").decode("latin-1")
    )
