"""Takes in many entries at once, while a log is read at a start and nobody watches yet.

Producers mostly send the same series again and again: a number for each, later than all before.
Such columns are collected as they are, and appended to each history many at a time, since going
from history to history is most of what an entry costs. For a sweep it is enough to know how many
rows each history has, and how many it will have without the old ones; these are dropped when the
collected columns are appended. Whatever isn't as ordinary is taken in entry by entry, after what
was collected for the same series was appended: the result is the same in both ways.
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
"""The most samples that are collected: 8 MiB. To append them takes about a fifth of a second, in
which nothing else is done."""
_KINDS = 8
"""How many different lists of seqs the histories may hold that are swept together; beyond, they are
swept one by one."""


class _Group:
    """Series that come together, and their columns that aren't in the histories yet."""

    def __init__(
        self, columns: Columns, known: KnownSeries, histories: Sequence[History], seq: int
    ) -> None:
        self.identities = columns.identities  # kept, so that no other object gets its id
        self.known = known
        self.histories = histories
        self.begun = seq
        """A seq: all columns are later."""
        self.seq = seq
        """The seq of the newest column."""
        self.seqs = array("q")
        """The seqs of all columns so far, also of those that were appended."""
        self.old: dict[int, tuple[Sequence[History], int]] = {}
        """Histories that have yet to drop their rows up to a seq, by how many series the round has
        left after them."""
        self.limit = histories[0].limit
        """How many rows each history may hold."""
        self._last = array("q", [history.newest_time for history in histories])
        self._high = max(self._last)
        self._marks = array("q")
        self._times: list[array[int]] = []
        self._values: list[array[float]] = []

    @property
    def count(self) -> int:
        """How many columns there were so far."""
        return len(self.seqs)

    def takes(self, times: array[int]) -> bool:
        """Whether each of these times is later than all that its series has. If so, they are its
        newest from now on."""
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
        """Append the columns to the histories, and drop the rows that are too old."""
        if self._marks:
            append_columns(self.histories, self._marks, self._times, self._values)
            self._marks = array("q")
            self._times, self._values = [], []
        for histories, horizon in self.old.values():
            prune(histories, horizon, self.limit)
        self.old.clear()


class _Cohort:
    """The series of a group that are swept together. It is made when the group has just been
    settled."""

    def __init__(self, group: _Group, histories: Sequence[History]) -> None:
        self.group = group
        self.histories = histories
        self._lengths = Counter(map(len, histories))  # when there were `_count` columns
        self._count = group.count
        oldest = [history.seq_at(history.first) for history in histories if len(history)]
        self._oldest = min([group.begun, *oldest])  # seq of the oldest row, or a lower one
        self._heard = min(history.heard_seq for history in histories)
        # From when a row is too old: lists of seqs that histories hold, and how many hold each.
        # `_KINDS` at the most.
        self._pasts: list[tuple[int, array[int]]] | None = None

    def sweep(self, left: int, horizon: int, silent: int, share: int) -> bool:
        """Note up to which seq rows are too old. Tells whether dropping them is all that a sweep
        does here; if not, nothing was noted."""
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
        """Look up which rows the histories hold. Tells whether they are alike enough."""
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
        """Tell the budget how many rows each history has, without those up to `horizon`."""
        seqs, lengths = self.group.seqs, self._lengths
        since = self._count
        if self._pasts is not None:
            since = max(since, bisect_right(seqs, horizon))
            lengths = Counter()
            for count, past in self._pasts:
                lengths[len(past) - bisect_right(past, horizon)] += count
        budget.note_counts(lengths, len(seqs) - since, self.group.limit)


class _Slot:
    """Series that are swept together, sorted by their groups."""

    def __init__(self, due: list[Series | None], groups: dict[int, _Group], version: int) -> None:
        self.due = due
        self.version = version
        of: dict[_Group, list[History]] = {}
        self.others: list[Series | None] = []
        """Those of no group."""
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
        """By the id of the columns' identities, and where in them the group begins."""
        self._of: dict[int, _Group] = {}
        """The group of each history, by the history's id."""
        self._version = 0
        """Changes when a group comes or goes."""
        self._held = 0
        self._slots: dict[int, _Slot] = {}
        """Series that are swept together, by how many are still to be swept after them."""
        self._seen: dict[int, tuple[int, list[Series | None]]] = {}
        """By the same number: the version at the last sweep of those, and the series themselves."""

    def add(self, seq: int, batch: Batch, known: KnownSeries) -> bool:
        """Collect a batch, whose first piece has this seq, if all of it is ordinary. If not,
        nothing of it is taken, and what was collected for its series before is in their
        histories."""
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
            if group.histories == histories:  # the same ones, looked up again
                group.known = known
                return group
            self._drop_groups({group})
        if not are_ordinary(histories):
            return None
        self._drop(histories)  # groups that have some of these
        group = self._groups[key] = _Group(columns, known, histories, seq - 1)
        self._of.update(dict.fromkeys(map(id, histories), group))
        self._version += 1
        return group

    def settle(self) -> None:
        """Append everything to the histories."""
        for group in self._groups.values():
            group.settle()
        self._held = 0

    def part_with(self, rows: Sequence[Rows], catalog: Catalog) -> None:
        """Append what was collected to the histories of these rows, before the caller appends the
        rows."""
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
        """Sweep those series of `due` that have nothing but old rows to drop; `left` is how many
        series the round has after them. Gives the others, which the caller has to sweep: what was
        collected for them is in their histories."""
        slot = self._slots.get(left)
        if slot is None or slot.version != self._version or slot.due != due:
            if self._seen.get(left) != (
                self._version,
                due,
            ):  # sorting them pays only from the second time on
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
        """Append everything, and dissolve the groups for which a sweep does more than drop rows.
        What is known of the other groups stays right when rows are dropped."""
        self.settle()
        changed = {
            group
            for group in self._groups.values()
            if not group.count or silent >= group.seq or group.limit != share
        }
        if changed:
            self._drop_groups(changed)


def _bounds(times: array[int]) -> tuple[int, int]:
    """The lowest and the highest time."""
    data = times.tobytes()
    if data == data[: times.itemsize] * len(
        times
    ):  # the usual case, and bytes are quickly compared
        return times[0], times[0]
    return min(times), max(times)


def _arrays(columns: Columns, start: int, stop: int) -> tuple[array[int], array[float]]:
    times, values = columns.times[start:stop], columns.values[start:stop]
    return (
        times if isinstance(times, array) else array("q", times),
        values if isinstance(values, array) else array("d", values),
    )
