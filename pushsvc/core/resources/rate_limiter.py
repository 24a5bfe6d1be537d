"""How often something may happen: a token bucket."""

from __future__ import annotations


class RateLimiter:
    """So many a second; what wasn't used is saved, up to the burst."""

    __slots__ = ("_at", "_left", "burst", "per_second")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        """Full at `now`, in seconds of any clock, which later calls must use too."""
        self.per_second = per_second
        self.burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token; returns whether there was one left."""
        self._left = min(self.burst, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
