"""How much one step may cost."""

from __future__ import annotations

from collections.abc import Callable

from pushsvc.core.expression.errors import TooMuch


class Budget:
    """What a step may handle, in samples: those that are read anew, and with them each number of
    each part, each point of a subquery and each step of one; a set of labels that is new to a part
    counts as several. So it bounds time and memory alike, about half a microsecond each."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    @property
    def spent(self) -> int:
        """What was handled so far."""
        return self.most - self.left

    def spend(self, samples: int) -> None:
        """Count samples, before they are handled where they may be many. Raises TooMuch."""
        self.left -= samples
        if self.left < 0:
            raise TooMuch("expression_samples", self.most, "samples")

    def renew(self, most: int) -> None:
        """Begin another step."""
        self.most = self.left = most


class Yielding(Budget):
    """One of a computation that gives way whenever it has counted."""

    def __init__(self, most: int, give_way: Callable[[], None]) -> None:
        super().__init__(most)
        self._give_way = give_way

    def spend(self, samples: int) -> None:
        super().spend(samples)
        self._give_way()
