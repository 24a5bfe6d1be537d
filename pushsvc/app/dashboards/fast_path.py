"""The fast path of streams: a handshake answered without a framework.

After a restart everyone comes back at once. Through Hypercorn and Quart a stream's request takes
about a millisecond, and what has to be decided takes a tenth of that. So the acceptor offers each
connection's first bytes to this module before anything else. A plain `GET /v1/stream` for SSE,
NDJSON or a WebSocket is answered here, by the same functions that the route calls, and so is one
for which there is no room. Everything else goes to Hypercorn, with the bytes already read.
"""

from __future__ import annotations

import contextlib
import re
import socket
from time import perf_counter

from pushsvc.app.dashboards.admission import Admission
from pushsvc.app.dashboards.answer import answer_of, key_of, refusal_of
from pushsvc.app.dashboards.attachment import Attachment
from pushsvc.app.dashboards.known import Known, KnownRequests, name_of
from pushsvc.app.dashboards.negotiation import Negotiation
from pushsvc.app.http.context import Context
from pushsvc.app.http.plain import read_request
from pushsvc.auth.access import AccessRequest, Need
from pushsvc.core.model.cursor import NO_EPOCHS
from pushsvc.errors import Overloaded, Problem
from pushsvc.transport.engine import Engine

_REQUEST = rb"GET (?:%b)?/v1/stream[? ]"
_MOST_BYTES = 16 * 1024


class FastPath:
    """Answers requests for streams. A service that detaches sockets has one."""

    def __init__(self, context: Context, engine: Engine, scheme: str = "http") -> None:
        """`scheme` is that of all requests: `https` where they come over TLS."""
        self._scheme = scheme
        self._access = context.access
        self._hub = context.hub
        self._pipeline = context.pipeline
        self._admission = Admission(context)
        self._negotiation = Negotiation(context)
        self._attachment = Attachment(context)
        self._compress = context.pacing.compress
        self._engine = engine
        self._request = re.compile(_REQUEST % re.escape(context.prefix.encode()))
        self._known = KnownRequests()
        self._handshakes = context.pipeline.observed.handshakes

    def take(self, data: bytes, sock: socket.socket, peer: str) -> bool:
        """Answer a connection's first bytes, if they are one whole request for a stream. `peer` is
        the address that it came from.

        If so, returns True, and the socket, which must be non-blocking, has another owner. If not,
        returns False, and nothing was changed.
        """
        if self._request.match(data) is None or len(data) > _MOST_BYTES:
            return False
        began = perf_counter()
        try:
            self._admission.check()
            name, key = name_of(data, peer)
            known = self._known.find(name)
            if known is None or not self._stands(known):
                request = read_request(data, peer, self._scheme)
                known = None if request is None else self._decide(request)
                if request is None or known is None:
                    return False
                key = key_of(request.headers)
                if known.stream.start.since is not NO_EPOCHS:
                    self._known.learn(name, known)
            self._attachment.attach(
                self._engine,
                sock,
                known.stream,
                known.decision,
                known.answer.head(key),
                known.answer.wire,
            )
            self._handshakes.of(known.stream.transport.value).add(perf_counter() - began)
        except Overloaded as problem:
            self._refuse(sock, data, problem)
            return True
        except Problem:
            return False  # the route answers it, with all details
        return True

    def _decide(self, request: AccessRequest) -> Known | None:
        """What is to become of a request; None where that isn't decided here. Raises Problem."""
        decision = self._access.admit_at_once(request, Need.READ)
        if decision is None:
            return None
        stream = self._negotiation.negotiate_nowait(request, decision)
        if stream is None:
            return None
        answer = answer_of(request, stream, compress=self._compress)
        if answer is None:
            return None
        return Known(decision, self._access.grounds, stream, answer)

    def _stands(self, known: Known) -> bool:
        """Whether the same would be decided again."""
        stream = known.stream
        since = stream.start.since
        return (
            self._access.stands(known.decision, known.grounds)
            and (since is None or not self._hub.is_ahead(since))
            and self._pipeline.is_prepared(stream.spec, stream.start)
        )

    def _refuse(self, sock: socket.socket, data: bytes, problem: Overloaded) -> None:
        answer = refusal_of(data, problem, self._access.origins)
        with contextlib.closing(sock), contextlib.suppress(OSError):
            sock.send(answer)
