"""A rate of samples for each producer, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from pushsvc.core.resources.account import Account
from pushsvc.errors import TooMany

_KNOWN = 10_000
"""Producers whose account is remembered; the least recent ones are forgotten and begin anew."""


class Quotas:
    """Samples per second of each producer.

    A producer that has used up its share may finish its current batch, and is then refused until
    time has made up for it: so a batch larger than the share is slow, but not impossible.
    """

    def __init__(self, per_second: float, burst_seconds: float) -> None:
        self.refused = 0
        """How often a producer was refused."""
        self._per_second = per_second
        self._most = per_second * burst_seconds
        # By producer: how many samples it may still bring, below zero when it owes some, and as of
        # when.
        self._accounts: OrderedDict[Account, tuple[float, float]] = OrderedDict()

    def refuse(self, producer: Account, now: float) -> None:
        """Raise TooMany for a producer that owes samples; it says whose share it is, and in
        `retry_after` when to come back."""
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
        """Count these samples against the producer's share. Raises what `refuse` does; then nothing
        is counted."""
        self.refuse(producer, now)
        self._accounts[producer] = self._left(producer, now) - samples, now
        self._accounts.move_to_end(producer)
        if len(self._accounts) > _KNOWN:
            self._accounts.popitem(last=False)

    def _left(self, producer: Account, now: float) -> float:
        left, since = self._accounts.get(producer, (self._most, now))
        return min(self._most, left + (now - since) * self._per_second)
