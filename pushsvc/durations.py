"""How long things take, counted in buckets, for `/metrics`.

Counting costs a fraction of a microsecond, as it stands in the way of each handshake and frame;
and many that took the same are counted at once. prometheus_client's own Histogram takes one at a
time, under a lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

BOUNDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper edges of the buckets, in seconds. What takes longer is in one more."""


class Buckets:
    """What one label has come to."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        """Seconds of all together."""

    def add(self, seconds: float, times: int = 1) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.total += seconds * times

    def cumulative(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus has them: each edge as text, and how many were not above it."""
        found, so_far = [], 0
        for edge, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            so_far += count
            found.append((edge, float(so_far)))
        return found


class Durations:
    """How long something took, by one label. Labels are names of ours, so that they are few."""

    def __init__(self) -> None:
        self._labelled: dict[str, Buckets] = {}

    def of(self, label: str = "") -> Buckets:
        found = self._labelled.get(label)
        if found is None:
            found = self._labelled[label] = Buckets()
        return found

    def __iter__(self) -> Iterator[tuple[str, Buckets]]:
        return iter(self._labelled.items())


class Observed:
    """What a service measures of itself."""

    def __init__(self) -> None:
        self.handshakes = Durations()
        """From a stream's request to the answer's head and the first frames, by transport."""
        self.deliveries = Durations()
        """From a batch to a frame's being written, by transport."""
        self.ticks = Durations()
        """Making a view's frames and giving them to all who watch it."""
        self.ingest = Durations()
        """From a request of a producer, or message, to its answer, by format."""
