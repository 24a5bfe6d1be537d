"""What the steps of expressions may handle together."""

from __future__ import annotations


class Allowance:
    """So many samples for the steps that are over in the same second of the log. It is about those
    seconds, and not about when they are looked at, so that a silence can be made up for."""

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
