"""Whether there is room for a stream: asked first, since a refusal must cost little."""

from __future__ import annotations

from typing import Final

import trio

from pushsvc.app.dashboards.negotiation import StreamRequest
from pushsvc.app.http.context import Context
from pushsvc.auth.access import AccessDecision
from pushsvc.errors import Overloaded

_RETRY_AFTER: Final = 5.0
"""Seconds, jittered by a half, after which a client that was above the rate is to try again."""


class Admission:
    """Admission control for streams."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check(self, *, counted: bool = True) -> None:
        """Raise Overloaded when no stream can be had: the service is about to end, it is full, or
        more came in the last second than it takes.

        To be asked before anything that costs. `counted` is off for what is no handshake: a long
        poll comes again and again.
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
        """Raise what attaching this client would raise, where an answer begins before that."""
        self._context.hub.admit(stream.spec, stream.start, trio.current_time(), decision.account)
