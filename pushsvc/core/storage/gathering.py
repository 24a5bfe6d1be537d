"""Many entries taken in at once, while a log is read at a start and nobody looks yet.

What producers send is the same series again and again, a number of each, later than all before.
Such columns are kept as they are, and appended to each history many at a time: to go from history
to history is most of what an entry costs. A sweep needs no more than how many rows each has, and
will have without those that have grown old, which are dropped when the histories are told of what
is new. Whatever isn't so ordinary is done entry by entry, after what was gathered of the same
series: what comes of a log is the same in both ways.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from operator import gt

from pushsvc.core.model.series import Batch, Columns, Rows
from pushsvc.core.resources.budget import Budget
from pushsvc.core.storage.catalog import Catalog, Series
from pushsvc.core.storage.columns import KnownSeries
from pushsvc.core.storage.entry import PIECE
from pushsvc.core.storage.history import History, append_columns, are_ordinary, prune

_MOST = 1 << 19
"""Samples that are gathered, at the most: 8 MiB, for which nothing else has its turn for a fifth of
a second when the histories are told of them."""
_KINDS = 8
"""Different pasts that are told apart, of series that are swept together."""


class _Group:
    """Series that come together, and what came of them since their histories were told."""

    def __init__(
        self, columns: Columns, known: KnownSeries, histories: Sequence[History], seq: int
    ) -> None:
        self.identities = columns.identities  # so that an id stays what it is the id of
        self.known = known
        self.histories = histories
        self.begun = seq
        """What comes in columns is later."""
        self.seq = seq
        """Of the newest column."""
        self.seqs = array("q")
        """Those of all columns that there ever were."""
        self.old: dict[int, tuple[Sequence[History], int]] = {}
        """By how many series are swept after them: histories that are yet to be told what has grown
        old, which is up to a seq."""
        self.limit = histories[0].limit
        """Of each."""
        self._last = array("q", [history.newest_time for history in histories])
        self._high = max(self._last)
        self._marks = array("q")
        self._times: list[array[int]] = []
        self._values: list[array[float]] = []

    @property
    def count(self) -> int:
        """How many columns there ever were."""
        return len(self.seqs)

    def takes(self, times: array[int]) -> bool:
        """Whether these are later, each than all that its series has."""
        low, high = _bounds(times)
        if low <= self._high and not all(map(gt, times, self._last)):
            return False
        self._high, self._last = high, times
        return True

    def add(self, seq: int, times: array[int], values: array[float], given: bool) -> None:
        self.seq = seq
        self.seqs.append(seq)
        self._marks.append(seq + seq + given)
        self._times.append(times)
        self._values.append(values)

    def settle(self) -> None:
        """Have the histories told."""
        if self._marks:
            append_columns(self.histories, self._marks, self._times, self._values)
            self._marks = array("q")
            self._times, self._values = [], []
        for histories, horizon in self.old.values():
            prune(histories, horizon, self.limit)
        self.old.clear()


class _Cohort:
    """Those of a group that are swept together. The group is settled when it is made."""

    def __init__(self, group: _Group, histories: Sequence[History]) -> None:
        self.group = group
        self.histories = histories
        self._lengths = Counter(map(len, histories))  # when there were `_count` columns
        self._count = group.count
        oldest = [history.seq_at(history.first) for history in histories if len(history)]
        self._oldest = min([group.begun, *oldest])  # seq of the oldest row, or a lower one
        self._heard = min(history.heard_seq for history in histories)
        # Once something is old: how many series have which rows, by their seqs. No more than a few.
        self._pasts: list[tuple[int, array[int]]] | None = None

    def sweep(self, left: int, horizon: int, silent: int, share: int) -> bool:
        """Take note of what has grown old; whether that, if anything, is all that a sweep does."""
        group = self.group
        heard = self._heard if group.count == self._count else group.seq
        if silent >= heard or share != group.limit:
            return False
        if horizon >= self._oldest:
            if self._pasts is None and not self._look():
                return False
            group.old[left] = self.histories, horizon
        return True

    def _look(self) -> bool:
        """See what there is to grow old, if that is much the same of all."""
        self.group.settle()
        pasts: Counter[bytes] = Counter()
        for history in self.histories:
            pasts[history.held_seqs().tobytes()] += 1
            if len(pasts) > _KINDS:
                return False
        self._pasts = [(count, array("q", past)) for past, count in pasts.items()]
        self._count = self.group.count
        return True

    def note(self, horizon: int, budget: Budget) -> None:
        """Have the budget know how many rows each has, without those up to `horizon`."""
        seqs, lengths = self.group.seqs, self._lengths
        since = self._count
        if self._pasts is not None:
            since = max(since, bisect_right(seqs, horizon))
            lengths = Counter()
            for count, past in self._pasts:
                lengths[len(past) - bisect_right(past, horizon)] += count
        budget.note_counts(lengths, len(seqs) - since, self.group.limit)


class _Slot:
    """Series that are swept together, sorted."""

    def __init__(self, due: list[Series | None], groups: dict[int, _Group], version: int) -> None:
        self.due = due
        self.version = version
        of: dict[_Group, list[History]] = {}
        self.others: list[Series | None] = []
        """Of no group."""
        for series in due:
            group = None if series is None else groups.get(id(series.history))
            if group is None or series is None:
                self.others.append(series)
            else:
                of.setdefault(group, []).append(series.history)
        self.cohorts = [_Cohort(group, histories) for group, histories in of.items()]


class Gathering:
    """What was taken in and isn't in the histories yet."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int], _Group] = {}
        """By the columns' identities, and where in them it begins."""
        self._of: dict[int, _Group] = {}
        """By the id of a history, the group that it is of."""
        self._version = 0
        """Of what groups there are."""
        self._held = 0
        self._slots: dict[int, _Slot] = {}
        """By how many series are still to be swept after them."""
        self._seen: dict[int, tuple[int, list[Series | None]]] = {}
        """By the same, the version when those were swept last, and which they were."""

    def add(self, seq: int, batch: Batch, known: KnownSeries) -> bool:
        """Take in a batch, of which the first piece is `seq`, if all of it is ordinary; else
        nothing, and what there was of its series is in their histories."""
        columns = batch.columns
        assert columns is not None
        size = len(known.histories)
        parts = []
        for start in range(0, size, PIECE):
            stop = min(start + PIECE, size)
            group = self._group(columns, known, start, stop, seq)
            if group is None:
                break
            times, values = _arrays(columns, start, stop)
            if not group.takes(times):
                break
            parts.append((group, times, values))
        else:
            for piece, (group, times, values) in enumerate(parts):
                group.add(seq + piece, times, values, columns.given)
            self._held += size
            if self._held >= _MOST:
                self.settle()
            return True
        self._drop(known.histories)
        return False

    def _group(
        self, columns: Columns, known: KnownSeries, start: int, stop: int, seq: int
    ) -> _Group | None:
        key = id(columns.identities), start
        group = self._groups.get(key)
        if group is not None and group.known is known:
            return group
        histories = known.histories[start:stop]
        if group is not None:
            if group.histories == histories:  # which were looked for again
                group.known = known
                return group
            self._drop_groups({group})
        if not are_ordinary(histories):
            return None
        self._drop(histories)  # of others that have some of them
        group = self._groups[key] = _Group(columns, known, histories, seq - 1)
        self._of.update(dict.fromkeys(map(id, histories), group))
        self._version += 1
        return group

    def settle(self) -> None:
        """Have the histories told of everything."""
        for group in self._groups.values():
            group.settle()
        self._held = 0

    def part_with(self, rows: Sequence[Rows], catalog: Catalog) -> None:
        """Have those histories told that rows are of, which are appended by somebody else."""
        if self._of:
            series = (catalog.get(one.identity.text) for one in rows)
            self._drop([one.history for one in series if one is not None])

    def _drop(self, histories: Sequence[History]) -> None:
        gone = {group for one in histories if (group := self._of.get(id(one))) is not None}
        if gone:
            self._drop_groups(gone)

    def _drop_groups(self, gone: set[_Group]) -> None:
        for group in gone:
            group.settle()
            for history in group.histories:
                del self._of[id(history)]
        self._groups = {key: group for key, group in self._groups.items() if group not in gone}
        self._version += 1

    def pass_over(
        self, left: int, due: list[Series | None], horizon: int, silent: int, budget: Budget
    ) -> list[Series | None]:
        """Sweep those of which nothing changes, `left` being how many come after `due`; gives the
        others, of which the histories have been told."""
        slot = self._slots.get(left)
        if slot is None or slot.version != self._version or slot.due != due:
            if self._seen.get(left) != (self._version, due):  # to sort is dearer than to look
                self._seen[left] = self._version, due
                self._part_with_those(silent, budget.share)
                return due
            self.settle()
            slot = self._slots[left] = _Slot(due, self._of, self._version)
        gone = {
            cohort.group
            for cohort in slot.cohorts
            if not cohort.sweep(left, horizon, silent, budget.share)
        }
        for cohort in slot.cohorts:
            if cohort.group not in gone:
                cohort.note(horizon, budget)
        if not gone:
            return slot.others
        of = self._of
        rest = [
            series
            for series in due
            if series is None or (group := of.get(id(series.history))) is None or group in gone
        ]
        self._drop_groups(gone)
        return rest

    def _part_with_those(self, silent: int, share: int) -> None:
        """Of which a sweep does more than to drop rows, which takes nothing from what is known of
        the others."""
        self.settle()
        changed = {
            group
            for group in self._groups.values()
            if not group.count or silent >= group.seq or group.limit != share
        }
        if changed:
            self._drop_groups(changed)


def _bounds(times: array[int]) -> tuple[int, int]:
    """The lowest and the highest."""
    data = times.tobytes()
    if data == data[: times.itemsize] * len(times):  # as a rule: it is quicker to compare bytes
        return times[0], times[0]
    return min(times), max(times)


def _arrays(columns: Columns, start: int, stop: int) -> tuple[array[int], array[float]]:
    times, values = columns.times[start:stop], columns.values[start:stop]
    return (
        times if isinstance(times, array) else array("q", times),
        values if isinstance(values, array) else array("d", values),
    )
