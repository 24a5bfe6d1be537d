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

from pushsvc.app.dashboards.admission import Admission
from pushsvc.app.dashboards.answer import head_of, refusal_of
from pushsvc.app.dashboards.attachment import Attachment
from pushsvc.app.dashboards.negotiation import Negotiation
from pushsvc.app.http.context import Context
from pushsvc.app.http.plain import read_request
from pushsvc.auth.access import Need
from pushsvc.errors import Overloaded, Problem
from pushsvc.transport.engine import Engine

_REQUEST = rb"GET (?:%b)?/v1/stream[? ]"
_MOST_BYTES = 16 * 1024


class FastPath:
    """Answers requests for streams. There is one for each service that detaches sockets."""

    def __init__(self, context: Context, engine: Engine) -> None:
        self._access = context.access
        self._admission = Admission(context)
        self._negotiation = Negotiation(context)
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
            self._admission.check()
            request = read_request(data, sock)
            if request is None:
                return False
            decision = self._access.admit_at_once(request, Need.READ)
            if decision is None:
                return False
            stream = self._negotiation.negotiate_nowait(request, decision)
            if stream is None:
                return False
            answer = head_of(request, stream, compress=self._compress)
            if answer is None:
                return False
            self._attachment.attach(self._engine, sock, stream, decision, answer)
        except Overloaded as problem:
            self._refuse(sock, data, problem)
            return True
        except OSError:
            return False  # the peer is gone
        except Problem:
            return False  # the route says it as well, and in full
        return True

    def _refuse(self, sock: socket.socket, data: bytes, problem: Overloaded) -> None:
        answer = refusal_of(data, problem, self._access.origins)
        with contextlib.closing(sock), contextlib.suppress(OSError):
            sock.send(answer)
