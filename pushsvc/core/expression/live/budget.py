"""How much one step may cost."""

from __future__ import annotations

from pushsvc.core.expression.errors import TooMuch


class Budget:
    """Samples that a step may read anew, and steps of subqueries, one counting as one sample."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    def spend(self, samples: int) -> None:
        """Count samples. Raises TooMuch."""
        self.left -= samples
        if self.left < 0:
            raise TooMuch("expression_samples", self.most, "samples")

    def renew(self) -> None:
        """Begin another step."""
        self.left = self.most
