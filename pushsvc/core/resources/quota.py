"""How much each producer may bring: a rate for every one of them, and no memory beyond a bound."""

from __future__ import annotations

from collections import OrderedDict

from pushsvc.core.resources.account import Account
from pushsvc.errors import TooMany

_KNOWN = 10_000
"""Producers whose account is kept; who hasn't come for longest begins anew."""


class Quotas:
    """Samples per second of each producer.

    Who has used up its share may finish the batch it is at, and is then refused until that is made
    up for: a batch larger than the share is slow, and not impossible.
    """

    def __init__(self, per_second: float, burst_seconds: float) -> None:
        self.refused = 0
        """How often someone was told to come back."""
        self._per_second = per_second
        self._most = per_second * burst_seconds
        # By producer: what it may bring still, below zero when it owes, and when that was so.
        self._accounts: OrderedDict[Account, tuple[float, float]] = OrderedDict()

    def refuse(self, producer: Account, now: float) -> None:
        """Raise TooMany, which says whose share it is and in `retry_after` when to come back, for
        who owes."""
        left = self._left(producer, now)
        if left < 0.0:
            self.refused += 1
            raise TooMany(
                "samples_per_second",
                f"more than {self._per_second:g} samples a second (limits.samples_per_second) came "
                f"from {producer.whose}{producer.advice}",
                limit="samples_per_second",
                **producer.members,
                retry_after=max(0.1, -left / self._per_second),
            )

    def charge(self, producer: Account, samples: int, now: float) -> None:
        """Take these samples off its share. Raises what `refuse` does; then nothing is taken."""
        self.refuse(producer, now)
        self._accounts[producer] = self._left(producer, now) - samples, now
        self._accounts.move_to_end(producer)
        if len(self._accounts) > _KNOWN:
            self._accounts.popitem(last=False)

    def _left(self, producer: Account, now: float) -> float:
        left, since = self._accounts.get(producer, (self._most, now))
        return min(self._most, left + (now - since) * self._per_second)
