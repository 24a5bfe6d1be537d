"""The short way in for streams: a handshake answered without a framework.

After a restart everyone comes back at once. A stream's request takes its route through Hypercorn
and Quart in about a millisecond; what is decided on that way fits in a tenth. So the server shows
a connection's first bytes here before anything else: a plain `GET /v1/stream` that will be
answered with SSE, NDJSON or a WebSocket is, with the very functions of the route. Everything else,
and everything that is to be refused, goes the long way, with the bytes already read.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qsl

import h11
import trio
from werkzeug.datastructures import MultiDict
from wsproto.utilities import generate_accept_token

from pushsvc.app.attachment import Attachment
from pushsvc.app.context import Context
from pushsvc.auth.access import Asking, Need
from pushsvc.auth.principal import Principal
from pushsvc.core.hub import Start
from pushsvc.core.negotiate import Transport, choose_subprotocol
from pushsvc.core.view import Wish
from pushsvc.core.wire import Wire
from pushsvc.errors import Problem
from pushsvc.transport.asgi import AsgiCarrier
from pushsvc.transport.engine import Engine

_PATH = b"/v1/stream"
_MOST_BYTES = 16 * 1024
_STREAM_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-store, no-transform\r\n"
    "X-Accel-Buffering: no\r\nVary: Accept\r\nDate: {}\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_WEBSOCKET_HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
)


class Front:
    """Answers streams at the door. One for each service that detaches sockets."""

    def __init__(self, context: Context, engine: Engine) -> None:
        self._access = context.access
        self._attachment = Attachment(context)
        self._engine = engine

    def take(self, data: bytes, stream: trio.SocketStream) -> bool:
        """Answer a connection's first bytes, if they are one whole request for a stream.

        If so the socket is gone from `stream` when this returns; if not, nothing has happened.
        """
        request = self._parse(data)
        if request is None:
            return False
        try:
            decided = self._decide(request, stream.socket.getpeername()[0])
        except OSError:
            return False  # the peer is gone
        except Problem:
            return False  # the route says it as well, and in full
        if decided is None:
            return False
        head, wire, wish, start, principal = decided
        transport = wire.removesuffix("-chunk")
        subscriber = self._attachment.subscribe(wish, start, AsgiCarrier(), transport, principal)
        # Out of Trio's epoll before the descriptor changes hands.
        trio.lowlevel.notify_closing(stream.socket)
        detached = socket.socket(fileno=stream.socket.detach())
        detached.setblocking(False)
        try:
            detached.send(head)  # into an empty send buffer, which takes it whole
        except OSError:
            self._attachment.hub.unsubscribe(subscriber, now=trio.current_time())
            detached.close()
            return True
        self._attachment.carry(self._engine, detached, subscriber, wire)
        return True

    @staticmethod
    def _parse(data: bytes) -> h11.Request | None:
        if not data.startswith(b"GET " + _PATH) or len(data) > _MOST_BYTES:
            return None
        connection = h11.Connection(h11.SERVER)
        try:
            connection.receive_data(data)
            request = connection.next_event()
            if not isinstance(request, h11.Request) or request.http_version != b"1.1":
                return None
            if request.target.partition(b"?")[0] != _PATH:
                return None
            end = connection.next_event()
        except h11.RemoteProtocolError:
            return None
        whole = isinstance(end, h11.EndOfMessage) and not connection.trailing_data[0]
        return request if whole else None

    def _decide(
        self, request: h11.Request, peer: str
    ) -> tuple[bytes, Wire, Wish, Start, Principal] | None:
        """The head of the answer and what to attach; None for what is not a stream's business."""
        headers: dict[bytes, bytes] = {}
        for name, value in request.headers:
            headers[name] = headers[name] + b", " + value if name in headers else value
        query = request.target.partition(b"?")[2].decode("ascii", "replace")
        args = MultiDict(parse_qsl(query, keep_blank_values=True, errors="replace"))
        principal = self._access.admit_at_once(_asking(headers, args, peer), Need.READ)
        if principal is None:
            return None
        if b"upgrade" in headers:
            answer = _accept_websocket(headers)
            if answer is None:
                return None
            wish, start = self._attachment.read(args, None, principal)
            self._attachment.refuse_when_draining()
            self._attachment.hub.admit(wish, start, trio.current_time())
            return answer, "websocket", wish, start, principal
        accept = headers.get(b"accept")
        last_event_id = headers.get(b"last-event-id")
        offer, wish, start = self._attachment.negotiate(
            args,
            None if accept is None else accept.decode("latin-1"),
            None if last_event_id is None else last_event_id.decode("latin-1"),
            principal,
        )
        if offer.transport is Transport.LONGPOLL:
            return None
        wire: Wire = "sse-chunk" if offer.transport is Transport.SSE else "ndjson-chunk"
        head = _STREAM_HEAD.format(offer.media_type, formatdate(usegmt=True))
        return head.encode(), wire, wish, start, principal


def _asking(headers: Mapping[bytes, bytes], args: MultiDict[str, str], peer: str) -> Asking:
    return Asking(
        "GET",
        {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()},
        args.getlist("ticket"),
        peer,
        "http",
        b"upgrade" in headers,
    )


def _accept_websocket(headers: dict[bytes, bytes]) -> bytes | None:
    """The answer to an opening handshake (RFC 6455 section 4.2); None if it isn't a plain one.

    An offer of compression is declined by silence (RFC 7692 section 5.1).
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
    offered = headers.get(b"sec-websocket-protocol", b"").decode("latin-1").split(",")
    chosen = choose_subprotocol([name.strip() for name in offered if name.strip()])
    line = b"" if chosen is None else f"Sec-WebSocket-Protocol: {chosen}\r\n".encode()
    return _WEBSOCKET_HEAD % (generate_accept_token(key), line)
