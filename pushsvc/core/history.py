"""The past of one series: a ring in three columns (seq, time, value).

Rows are addressed by *ordinal*: the n-th sample the series ever had, counted from 0, so that a
place in the past stays valid while older rows are evicted. The seqs of evicted rows are kept for
as many rows again: that is what lets a gap say exactly how many samples it stands for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise, repeat

from pushsvc.core.series import Value

_SLACK = 64
"""Dead rows are cut off when they are a quarter of the column, but never for fewer than these:
moving the column for each eviction would make an append cost as much as the ring is long."""


class History:
    """Past samples of one series, bounded to `limit` rows; the oldest make room for new ones."""

    __slots__ = (
        "_base",
        "_known",
        "_limit",
        "_newest",
        "_ordered",
        "_seqs",
        "_times",
        "_values",
        "first",
        "total",
    )

    def __init__(self, limit: int, *, stateful: bool = False) -> None:
        self._limit = limit
        self._seqs = array("q")
        self._times = array("q")
        self._values: array[float] | list[Value] = [] if stateful else array("d")
        self._known = 0  # ordinal of _seqs[0]
        self._base = 0  # ordinal of _times[0] and _values[0]
        self._ordered = True  # whether times never went back: late samples are kept as they came
        self._newest = -(1 << 62)  # the newest time, for as long as they are ordered
        self.first = 0
        """Ordinal of the oldest row that is held."""
        self.total = 0
        """Ordinal that the next row will get: how many samples there ever were."""

    def __len__(self) -> int:
        return self.total - self.first

    @property
    def last_seq(self) -> int:
        """The seq of the newest sample, -1 before the first."""
        return self._seqs[-1] if self._seqs else -1

    def extend(self, seq: int, times: Sequence[int], values: Sequence[Value]) -> None:
        """Append the samples of batch `seq`, which is not lower than any before it."""
        count = len(times)
        if count == 1:
            # Most batches bring one sample a series: this is the hot path of ingest.
            time = times[0]
            self._seqs.append(seq)
            self._times.append(time)
            self._values.append(values[0])  # type: ignore[arg-type]
            if time < self._newest:
                self._ordered = False
            else:
                self._newest = time
        else:
            self._seqs.extend(repeat(seq, count))
            self._times.extend(times)
            self._values.extend(values)  # type: ignore[arg-type]
            if self._ordered:
                self._ordered = times[0] >= self._newest and _never_falls(times)
                self._newest = max(self._newest, times[-1])
        self.total += count
        if self.total - self.first > self._limit:
            self._evict(self.total - self._limit)

    def bound(self, limit: int) -> None:
        """Hold no more than so many rows from now on."""
        self._limit = limit
        if len(self) > limit:
            self._evict(self.total - limit)

    def evict_through(self, seq: int) -> None:
        """Drop the rows of batches up to and including `seq`."""
        if len(self) and self._seqs[self.first - self._known] <= seq:
            self._evict(self.after(seq))

    def clear(self) -> None:
        """Drop all rows; what was lost can still be counted."""
        self._evict(self.total)

    def after(self, seq: int) -> int:
        """Ordinal of the oldest held row of a batch later than `seq`; `total` if there is none."""
        return self._known + bisect_right(self._seqs, seq, lo=self.first - self._known)

    def since(self, time: int) -> int:
        """Ordinal of the first held row, in order of arrival, not older than `time` (ms)."""
        low = self.first - self._base
        if self._ordered:
            return self._base + bisect_left(self._times, time, lo=low)
        for index in range(low, len(self._times)):
            if self._times[index] >= time:
                return self._base + index
        return self.total

    def rank(self, seq: int) -> int | None:
        """Ordinal of the first row of a batch later than `seq`, held or evicted.

        `total` if there is none; None if that part of the past is no longer known.
        """
        if self._known and self._seqs[0] > seq:
            return None
        return self._known + bisect_right(self._seqs, seq)

    def seq_at(self, ordinal: int) -> int:
        """The seq of a held row."""
        return self._seqs[ordinal - self._known]

    @property
    def known(self) -> int:
        """Ordinal of the oldest row, held or evicted, whose seq is still known."""
        return self._known

    def rows(self, start: int, stop: int) -> tuple[Sequence[int], Sequence[Value]]:
        """Times and values of the held rows with ordinals from `start` up to `stop`."""
        low, high = start - self._base, stop - self._base
        return self._times[low:high], self._values[low:high]

    def latest(self) -> tuple[int, Value]:
        """Time and value of the newest row. Raises IndexError when nothing is held."""
        if not len(self):
            raise IndexError("no samples are held")
        return self._times[-1], self._values[-1]

    def _evict(self, first: int) -> None:
        self.first = first
        dead = first - self._base
        if (dead > _SLACK and dead * 4 > len(self._times)) or first == self.total:
            del self._times[:dead]
            del self._values[:dead]
            self._base = first
        forgotten = first - self._limit - self._known
        if forgotten > _SLACK and forgotten * 4 > len(self._seqs):
            del self._seqs[:forgotten]
            self._known += forgotten


def _never_falls(times: Sequence[int]) -> bool:
    return all(a <= b for a, b in pairwise(times))
