"""What a browser's own EventSource is told where others get a status.

Any status but 200 ends it for good: it never asks again. So a failure that may pass is told in a
short stream, with when to come back. One that won't pass (no token, no such parameter) stays a
status, since asking again would be in vain.
"""

from __future__ import annotations

import random
from typing import Final

from pushsvc.auth.access import AccessRequest
from pushsvc.core.delivery import wire
from pushsvc.core.delivery.negotiate import needs_events
from pushsvc.errors import Overloaded, Problem, TooMany
from pushsvc.pipeline.drain import DRAINING

MEDIA_TYPE: Final = "text/event-stream"
_RETRY: Final = 5.0
"""Seconds after which to come back where a problem doesn't say."""


def mends(problem: Problem) -> bool:
    """Whether the same request may well succeed later."""
    return isinstance(problem, Overloaded | TooMany) or problem.status >= 500


def told(request: AccessRequest, problem: Problem) -> bytes | None:
    """The events that tell of a problem and when to come back, each time somewhat different.

    None where a status is to say it: the client can read one, or the same request won't succeed
    later either.
    """
    if not mends(problem) or request.method != "GET" or request.websocket:
        return None
    if not needs_events(request.headers.get("accept"), request.headers.get("last-event-id")):
        return None
    seconds = float(problem.extra.get("retry_after", _RETRY))
    going = problem.code == DRAINING
    # While a server shuts down, a client that comes back too soon meets it again.
    retry_ms = round(seconds * 1000 * random.uniform(1.0 if going else 0.5, 1.5))
    frames = wire.farewell(problem.code, "" if going else problem.detail, retry_ms)
    return b"".join(frame.encoded("sse") for frame in frames)
