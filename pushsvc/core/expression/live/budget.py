"""How much one step may cost."""

from __future__ import annotations

from collections.abc import Callable

from pushsvc.core.expression.errors import TooMuch


class Budget:
    """What a step may handle, counted in samples. One stands for about half a microsecond, so that
    it bounds time, and memory: each number that a part gives, and each point and each step of a
    subquery count as one; what is quicker counts as less, such as a row that comes into a window,
    and what is slower as several, such as a set of labels that is new to a part.
    `python -m tests.bench expressions` shows what one takes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    @property
    def spent(self) -> int:
        """What was counted so far in this step."""
        return self.most - self.left

    def spend(self, samples: int) -> None:
        """Count samples; where they may be many, before they are handled. Raises TooMuch."""
        self.left -= samples
        if self.left < 0:
            raise TooMuch("expression_samples", self.most, "samples")

    def renew(self, most: int) -> None:
        """Begin another step."""
        self.most = self.left = most


class Yielding(Budget):
    """The budget of a computation in a thread, which gives way each time that something is
    counted."""

    def __init__(self, most: int, give_way: Callable[[], None]) -> None:
        super().__init__(most)
        self._give_way = give_way

    def spend(self, samples: int) -> None:
        super().spend(samples)
        self._give_way()
