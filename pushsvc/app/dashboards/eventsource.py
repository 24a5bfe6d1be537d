"""What a browser's own EventSource is answered where other clients get an error status.

Any status except 200 ends an EventSource for good: it never reconnects. So a failure that may pass
is reported in a short stream, with a time to come back. A failure that won't pass (no token, an
unknown parameter) is answered with its status, since asking again is useless.
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
"""Seconds after which to come back where a problem doesn't name a time."""


def mends(problem: Problem) -> bool:
    """Whether the same request may succeed later."""
    return isinstance(problem, Overloaded | TooMany) or problem.status >= 500


def told(request: AccessRequest, problem: Problem) -> bytes | None:
    """The events that report a problem and when to come back, with jitter.

    None where the status is to report it: the client can read a status, or the same request won't
    succeed later.
    """
    if not mends(problem) or request.method != "GET" or request.websocket:
        return None
    if not needs_events(request.headers.get("accept"), request.headers.get("last-event-id")):
        return None
    seconds = float(problem.extra.get("retry_after", _RETRY))
    going = problem.code == DRAINING
    # While a server shuts down, a client that comes back too soon reaches it again.
    retry_ms = round(seconds * 1000 * random.uniform(1.0 if going else 0.5, 1.5))
    frames = wire.farewell(problem.code, "" if going else problem.detail, retry_ms)
    return b"".join(frame.encoded("sse") for frame in frames)
