"""Admission control for streams. It is checked first, since a refusal must cost little."""

from __future__ import annotations

from typing import Final

import trio

from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.app.http.context import Context
from pushsvc.auth.access import AccessDecision
from pushsvc.errors import Overloaded

_RETRY_AFTER: Final = 5.0
"""Seconds, with jitter of a half, after which a client that exceeded the rate is to try again."""


class Admission:
    """Admission control for streams."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check(self, *, counted: bool = True) -> None:
        """Raise Overloaded when no stream can be opened: the service is about to end, it is full,
        or more streams came in the last second than it accepts.

        Call it before anything expensive. `counted` is false for requests that aren't handshakes,
        such as the polls of a long-polling client.
        """
        context, now = self._context, trio.current_time()
        if context.draining.is_set():
            raise context.draining.problem(now)
        context.hub.refuse_when_full()
        if counted and not context.handshake_limiter.take(now):
            context.hub.counts["streams_refused"] += 1
            raise Overloaded(
                "streams_per_second",
                f"more than {context.limits.streams_per_second:g} streams are being opened a "
                "second (limits.streams_per_second)",
                retry_after=_RETRY_AFTER,
                limit="streams_per_second",
            )

    def check_room(self, stream: StreamRequest, decision: AccessDecision) -> None:
        """Raise what attaching this client would raise; for answers that begin before the client is
        attached."""
        self._context.hub.admit(stream.spec, stream.start, trio.current_time(), decision.account)
