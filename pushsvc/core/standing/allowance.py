"""What the steps of expressions may handle together."""

from __future__ import annotations


class Allowance:
    """How many samples all steps may handle whose times are in the same second of the log. The
    seconds are those of the steps, not those in which they are worked out, so that all steps of a
    silence can be worked out at its end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most
        self._second = -1

    def left(self, time: int) -> int:
        """How many are left for a step at `time` (Unix ms)."""
        second = time // 1000
        if second > self._second:
            self._second, self._left = second, self._most
        return self._left

    def spend(self, samples: int) -> None:
        """Take off what a step has handled."""
        self._left = max(0, self._left - samples)
