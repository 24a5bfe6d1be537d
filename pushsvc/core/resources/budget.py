"""How much history one series may have, so that the histories of all of them fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

_SLACK = 1.1
"""What may be held beyond the bound for a while, as a part of it."""


class Budget:
    """A bound on all samples in memory, kept by bounding each series.

    Series with short histories keep all of it; the rest is shared evenly by the others (max-min
    fairness), so that the longest histories are cut. All series are looked at in turn: note each,
    then `close` the round.
    """

    def __init__(self, total: int, most: int) -> None:
        """`total` samples may be held of all series, and `most` of one."""
        self.share = most
        """Samples that one series may hold, for now."""
        self._total = total
        self._most = most
        self._lengths: Counter[int] = Counter()  # how many series hold so many samples
        self._held = 0  # at the end of the last round
        self._arrived = 0  # since then

    @property
    def overdrawn(self) -> bool:
        """Whether the next round should come soon."""
        return self._held + self._arrived > self._total * _SLACK

    def arrive(self, samples: int) -> None:
        """Up to so many samples were added."""
        self._arrived += samples

    def note(self, lengths: Iterable[int]) -> None:
        """Some series hold so many samples each."""
        share, most = self.share, self._most
        # A series at the bound would hold more, but it isn't known how much.
        self._lengths.update([length if length < share else most for length in lengths])

    def note_counts(self, lengths: Mapping[int, int], more: int, limit: int) -> None:
        """So many series hold so many samples each and `more`, though no more than `limit`."""
        share, most = self.share, self._most
        for length, series in lengths.items():
            held = min(length + more, limit)
            self._lengths[held if held < share else most] += series

    def close(self) -> None:
        """All series have been noted: find the share that they may have from now on."""
        if not self._lengths:
            return
        left = self._total
        count = self._lengths.total()
        self.share = self._most
        for length, series in sorted(self._lengths.items()):
            if length * count > left:
                self.share = max(1, left // count)
                left -= self.share * count
                break
            left -= length * series
            count -= series
        self._held = self._total - left
        self._arrived = 0
        self._lengths.clear()

    def dump(self) -> tuple[int, int, int, dict[int, int]]:
        """Where the bounding stands, for `load`."""
        return self.share, self._held, self._arrived, dict(sorted(self._lengths.items()))

    def load(self, share: int, held: int, arrived: int, lengths: dict[int, int]) -> None:
        self.share, self._held, self._arrived = share, held, arrived
        self._lengths = Counter(lengths)
