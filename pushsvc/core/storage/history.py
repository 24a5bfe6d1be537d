"""The past of one series: a ring in columns (seq, time, value).

Rows are addressed by *ordinal*: the n-th row the series ever had, counted from 0, so that a place
in the past stays valid while older rows are evicted. The seqs of evicted rows are kept for as many
rows again: that is what lets a gap say exactly how many samples it stands for.

A row is a sample or an *ending*: from its time on there is no value, until a later one. Among
numbers an ending is a NaN, which no sample can be; among states it is None.

A time that the producer gave is a key: a sample that is held already, with that time and that
value, is not stored again. Times that were stamped on arrival are no keys. Which of the two a time
is stands in the lowest bit of its seq.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from math import nan

from pushsvc.core.model.series import Value

_SLACK = 64
"""Evicted rows are cut off when they are a quarter of the column and more than these: moving the
column at each eviction would make an append cost as much as the whole column."""

_COMPARED = 16
"""Rows of equal time that a sample is compared with, the newest ones: each of many corrections of
one time must not cost more than the one before."""

_LOOKED_THROUGH = 2_000
"""Rows that `among` looks at, at the most, which takes it a third of a millisecond."""

_UNSAID = -(1 << 62)

_ROOM = 1 << 40
"""Rows that there is room for before the first one, for `prepend`."""


class History:
    """Past rows of one series, bounded to `limit`; the oldest to arrive make room for new ones."""

    __slots__ = (
        "_base",
        "_heard",
        "_known",
        "_late",
        "_limit",
        "_newest_time",
        "_peaks",
        "_plain",
        "_seqs",
        "_starts",
        "_ties",
        "_times",
        "_top",
        "_values",
        "endings",
        "first",
        "total",
    )

    def __init__(self, limit: int, *, stateful: bool = False) -> None:
        self._limit = limit
        self._seqs = array("q")  # twice the seq, and 1 more where the time was given
        self._times = array("q")
        self._values: array[float] | list[Value] = [] if stateful else array("d")
        self._starts: array[int] | None = None  # of deltas; _UNSAID for a row without one
        self._known = 0  # ordinal of _seqs[0]
        self._base = 0  # ordinal of _times[0] and _values[0]
        self._newest_time = _UNSAID
        self._plain = True  # times never went back, and there are no starts
        # From when a row came late: for each row the highest time of the rows up to it; and, by
        # their time, the rows that came when a row had that time or a later one already.
        self._peaks: array[int] | None = None
        self._late: dict[int, list[int]] = {}
        self._top = -1  # ordinal of the newest row by time, while there are peaks
        self._heard = -1  # seq of the newest batch of which something was held already
        self._ties = False  # whether there may be corrections: given times that come twice
        self.endings = 0
        """How many endings there ever were."""
        self.first = 0
        """Ordinal of the oldest row that is held."""
        self.total = 0
        """Ordinal that the next row will get."""

    def __len__(self) -> int:
        return self.total - self.first

    @property
    def limit(self) -> int:
        """How many rows are held at the most."""
        return self._limit

    @property
    def newest_time(self) -> int:
        """The newest time of all rows so far; before the first row, lower than any time."""
        return self._newest_time

    # -- rows come ---------------------------------------------------------------------------------

    def extend(
        self,
        seq: int,
        times: Sequence[int],
        values: Sequence[Value],
        given: bool = False,
        starts: Sequence[int] | None = None,
    ) -> int:
        """Append the rows of batch `seq`, which is not lower than any before it. Gives how many
        were appended: rows that are held already, with the same given time and value, aren't.

        A value of None is an ending. `starts` are those of deltas.
        """
        count = len(times)
        if count == 1:
            # Most batches bring one sample a series: this is the hot path of ingest.
            time, value = times[0], values[0]
            if time > self._newest_time and self._plain and starts is None and value is not None:
                self._newest_time = time
                self._seqs.append(seq + seq + given)
                self._times.append(time)
                self._values.append(value)  # type: ignore[arg-type]
                self.total += 1
            elif not self._insert(
                seq, time, value, given, _UNSAID if starts is None else starts[0]
            ):
                self.hear(seq)
                return 0
        elif starts is None and self._follows(times, given):
            self._append(seq, times, values, given)
        else:
            count = sum(
                map(
                    self._insert,
                    repeat(seq),
                    times,
                    values,
                    repeat(given),
                    repeat(_UNSAID) if starts is None else starts,
                )
            )
            if count < len(times):
                self.hear(seq)
        if self.total - self.first > self._limit:
            self._evict(self.total - self._limit)
        return count

    def hear(self, seq: int) -> None:
        """Note that batch `seq` brought what is held already."""
        self._heard = seq

    def _follows(self, times: Sequence[int], given: bool) -> bool:
        """Whether the rows can be appended as they are: their times ascend from the newest one, and
        none of them can be held already."""
        if not self._plain:
            return False
        if given:
            return times[0] > self._newest_time and all(a < b for a, b in pairwise(times))
        return times[0] >= self._newest_time and all(a <= b for a, b in pairwise(times))

    def _append(self, seq: int, times: Sequence[int], values: Sequence[Value], given: bool) -> None:
        count = len(times)
        held = len(self._values)
        if isinstance(self._values, list):
            self._values.extend(values)
            self.endings += values.count(None)
        else:
            try:
                self._values.extend(values)  # type: ignore[arg-type]
            except TypeError:  # an ending among them
                del self._values[held:]
                self._values.extend([nan if value is None else value for value in values])  # type: ignore[misc]
                self.endings += values.count(None)
        self._seqs.extend(repeat(seq + seq + given, count))
        self._times.extend(times)
        self._newest_time = times[-1]
        self.total += count

    def _insert(self, seq: int, time: int, value: Value, given: bool, start: int) -> bool:
        """Append one row that may be late, a repetition, a correction, or an ending."""
        if time <= self._newest_time and given:
            keyed = False
            for ordinal in self._at(time):
                if self._same(ordinal, value, start):
                    return False
                keyed = True
            self._ties = self._ties or keyed
        if start != _UNSAID and self._starts is None:
            self._starts = array("q", repeat(_UNSAID, len(self._times)))
            self._plain = False
        if time < self._newest_time and self._peaks is None:
            self._peaks = array("q", self._times)
            self._top = self.total - 1
            self._plain = False
        if self._peaks is not None:
            if time <= self._newest_time:
                self._late.setdefault(time, []).append(self.total)
            if time >= self._newest_time:
                self._top = self.total
            self._peaks.append(max(time, self._newest_time))
        if self._starts is not None:
            self._starts.append(start)
        self._newest_time = max(time, self._newest_time)
        self._seqs.append(seq + seq + given)
        self._times.append(time)
        if value is None:
            self.endings += 1
            value = None if isinstance(self._values, list) else nan
        self._values.append(value)  # type: ignore[arg-type]
        self.total += 1
        return True

    def _at(self, time: int) -> Iterator[int]:
        """Ordinals of held rows that have this time as a key, the newest first as a rule; twice
        `_COMPARED` at the most."""
        times, low = self._times, self.first - self._base
        if self._peaks is None:
            index = bisect_right(times, time, lo=low) - 1
            step = -1
        else:
            # `_late` has the rows that came when this time had been reached. The peaks lead to the
            # first row that reached it, with those beside it from before any row was late.
            for ordinal in reversed(self._late.get(time, ())[-_COMPARED:]):
                if ordinal >= self.first and self.given(ordinal):
                    yield ordinal
            index = bisect_left(self._peaks, time, lo=low)
            step = 1
        for _ in range(_COMPARED):
            if not low <= index < len(times) or times[index] != time:
                break
            ordinal = self._base + index
            if self._seqs[ordinal - self._known] & 1:
                yield ordinal
            index += step

    def _same(self, ordinal: int, value: Value, start: int) -> bool:
        index = ordinal - self._base
        held = self._values[index]
        same = is_ending(held) if value is None else (held == value and type(held) is type(value))
        return same and (self._starts is None or self._starts[index] == start)

    # -- snapshots ---------------------------------------------------------------------------------

    def ends(self) -> list[tuple[int, int, Value, bool, int | None]]:
        """The held rows that say how the series last was, each once, in the order in which they
        arrived: the one that arrived last, the newest sample by time, and the ending that is
        newer than it, if there is one. Each is seq, time, value, whether the time was given, and
        start."""
        if not len(self):
            return []
        rows = {self.total - 1, self.newest(), self._newest_row() if self.endings else None}
        return [self._whole(row) for row in sorted(row for row in rows if row is not None)]

    def _newest_row(self) -> int:
        """The newest of the held rows by time, a sample or an ending."""
        if self._peaks is None:
            return self.total - 1
        if self._top < self.first:
            return max(range(self.first, self.total), key=self._order)
        return self._top

    def _whole(self, ordinal: int) -> tuple[int, int, Value, bool, int | None]:
        time, value = self.sample(ordinal)
        start = _UNSAID if self._starts is None else self._starts[ordinal - self._base]
        return (
            self.seq_at(ordinal),
            time,
            None if is_ending(value) else value,
            self.given(ordinal),
            None if start == _UNSAID else start,
        )

    def begin(
        self, last_seq: int, rows: Sequence[tuple[int, int, Value, bool, int | None]]
    ) -> None:
        """Have a history without rows go on where another was, by what its `ends` and `last_seq`
        gave."""
        for seq, time, value, given, start in rows:
            self.extend(seq, [time], [value], given, None if start is None else [start])
        if self.last_seq < last_seq:  # the row with that seq was evicted
            self._seqs.append(last_seq + last_seq)
            self.total = self.first = self._base = 1

    def begin_after(self, seq: int) -> None:
        """Have a history without rows know all rows of batches later than `seq`, and none of those
        before. Ordinals begin high, so that `prepend` has room below them."""
        self._seqs.append(seq + seq + 1)
        self._known = _ROOM
        self._base = self.first = self.total = _ROOM + 1

    def prepend(
        self, seq: int, seqs: Sequence[int], times: Sequence[int], values: Sequence[float | None]
    ) -> None:
        """Put rows of numbers, in their order, before all that it has. It is for after
        `begin_after`, and as long as the history is `whole`. From then on it knows all rows of
        batches later than `seq`."""
        count = len(seqs)
        self._seqs[:1] = array("q", [seq + seq + 1, *[one + one + 1 for one in seqs]])
        self._times[:0] = array("q", times)
        assert not isinstance(self._values, list)
        self._values[:0] = array("d", [nan if value is None else value for value in values])
        self.endings += sum(value is None for value in values)
        if len(self._times) == count and count:
            self._newest_time = times[-1]
        self._known -= count
        self._base -= count
        self.first -= count

    @property
    def whole(self) -> bool:
        """After `begin_after`: whether no row has been evicted."""
        return self.first == self._known + 1

    # -- rows go -----------------------------------------------------------------------------------

    def retire(self, known: int) -> None:
        """Drop all rows for good. The seqs of the last `known` are kept, so that a gap can count
        what was lost of them."""
        self._evict(self.total)
        forgotten = len(self._seqs) - known
        if forgotten > 0:
            del self._seqs[:forgotten]
            self._known += forgotten
        self._seqs = self._seqs[:]  # a copy without spare room

    def drop_before(self, time: int) -> None:
        """Drop the rows that are older than `time` (ms), up to the first that isn't, in order of
        arrival."""
        first = self.since(time)
        if first > self.first:
            self._evict(first)

    def _evict(self, first: int) -> None:
        self.first = first
        dead = first - self._base
        if (dead > _SLACK and dead * 4 > len(self._times)) or first == self.total:
            del self._times[:dead]
            del self._values[:dead]
            if self._starts is not None:
                del self._starts[:dead]
            if self._peaks is not None:
                self._forget_late(dead)
            self._base = first
        forgotten = first - self._limit - self._known
        if forgotten > _SLACK and forgotten * 4 > len(self._seqs):
            del self._seqs[:forgotten]
            self._known += forgotten

    def _forget_late(self, dead: int) -> None:
        """Drop what is noted of the first `dead` rows. If no late row is left, it is as if none had
        come."""
        assert self._peaks is not None
        del self._peaks[:dead]
        kept: dict[int, list[int]] = {}
        for time, ordinals in self._late.items():
            held = [ordinal for ordinal in ordinals if ordinal >= self.first]
            if held:
                kept[time] = held
        self._late = kept
        if self._peaks == self._times:
            self._peaks, self._late = None, {}
            self._plain = self._starts is None

    # -- places in the past ------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """The seq of the row that arrived last, -1 before the first."""
        return self._seqs[-1] >> 1 if self._seqs else -1

    @property
    def heard_seq(self) -> int:
        """The seq of the newest batch that had rows of it, even if all were held already; -1 before
        the first.

        Which rows are held depends on where a process began to read the log; this doesn't.
        """
        return max(self.last_seq, self._heard)

    def after(self, seq: int) -> int:
        """Ordinal of the oldest held row of a batch later than `seq`; `total` if there is none."""
        low = self.first - self._known
        return self._known + bisect_right(self._seqs, seq + seq + 1, lo=low)

    def held_seqs(self) -> array[int]:
        """The seqs of all held rows, in order."""
        return array("q", [mark >> 1 for mark in self._seqs[self.first - self._known :]])

    def since(self, time: int) -> int:
        """Ordinal of the first held row, in order of arrival, not older than `time` (ms)."""
        low = self.first - self._base
        if self._peaks is None:
            return self._base + bisect_left(self._times, time, lo=low)
        for index in range(low, len(self._times)):
            if self._times[index] >= time:
                return self._base + index
        return self.total

    def rank(self, seq: int) -> int | None:
        """Ordinal of the first row of a batch later than `seq`, held or evicted.

        `total` if there is none; None if that part of the past is no longer known.
        """
        if self._known and self._seqs[0] >> 1 > seq:
            return None
        return self._known + bisect_right(self._seqs, seq + seq + 1)

    def only_row(self, after: int, through: int) -> tuple[int, Value] | None:
        """Time and value of the only row of batches later than `after`, if there is just one and
        its batch isn't later than `through`. None if not, if the history ever had an ending, or if
        it would take a search to tell."""
        seqs = self._seqs
        if len(seqs) < 2 or not seqs[-2] >> 1 <= after < seqs[-1] >> 1 <= through:
            return None
        if self.endings or self.first == self.total:
            return None
        return self._times[-1], self._values[-1]

    def seq_at(self, ordinal: int) -> int:
        """The seq of a row whose seq is still known."""
        return self._seqs[ordinal - self._known] >> 1

    @property
    def known(self) -> int:
        """Ordinal of the oldest row, held or evicted, whose seq is still known."""
        return self._known

    @property
    def evicted_time(self) -> int:
        """A time that no evicted row is later than; lower than any time if none was evicted."""
        if not self.first:
            return _UNSAID
        if self.first == self.total:
            return self._newest_time
        times = self._times if self._peaks is None else self._peaks
        return times[self.first - self._base]

    def copy_from(
        self, time: int
    ) -> tuple[array[int], array[int], Sequence[Value], array[int] | None]:
        """Columns of the held rows as they arrived, from the first on that isn't older than `time`
        (ms): twice the seq, plus 1 if the time was given; time; value; and start, if any row has
        one."""
        start = self.since(time)
        low = start - self._base
        starts = None if self._starts is None else self._starts[low:]
        return self._seqs[start - self._known :], self._times[low:], self._values[low:], starts

    # -- what it was -------------------------------------------------------------------------------

    def rows(self, start: int, stop: int) -> tuple[Sequence[int], Sequence[Value]]:
        """Times and values of the held rows with ordinals from `start` up to `stop`, as they
        arrived. An ending is NaN or None: see `is_ending`."""
        low, high = start - self._base, stop - self._base
        return self._times[low:high], self._values[low:high]

    def straight(self) -> tuple[int, array[int], array[float]] | None:
        """The columns themselves, if the held rows are numbers and a curve as they stand (in the
        order of time, and none corrects another): the ordinal of the first element, times, values.
        They may only be read, and only until the next row comes or goes; evicted rows may stand
        before `first`."""
        if self._plain and not self._ties:
            return self._base, self._times, self._values  # type: ignore[return-value]
        return None

    def given(self, ordinal: int) -> bool:
        """Whether the time of a row is its producer's own, and so a key."""
        return bool(self._seqs[ordinal - self._known] & 1)

    def newest(self, stop: int | None = None) -> int | None:
        """Ordinal of the held sample with the newest time, of equal ones the last to arrive; None
        if there is none. `stop` leaves out the rows from that ordinal on."""
        end = self.total if stop is None else stop
        if self._peaks is None:
            for ordinal in range(end - 1, self.first - 1, -1):
                if not is_ending(self._values[ordinal - self._base]):
                    return ordinal
            return None
        if self.first <= self._top < end and not is_ending(self._values[self._top - self._base]):
            return self._top
        samples = [
            ordinal
            for ordinal in range(self.first, end)
            if not is_ending(self._values[ordinal - self._base])
        ]
        return max(samples, key=self._order, default=None)

    def _order(self, ordinal: int) -> tuple[int, int]:
        return self._times[ordinal - self._base], ordinal

    @property
    def ended(self) -> int | None:
        """The time at which the series ended, if nothing newer has come since."""
        if not self.endings or not len(self):
            return None
        index = self._newest_row() - self._base
        return self._times[index] if is_ending(self._values[index]) else None

    def latest(self) -> tuple[int, Value] | None:
        """Time and value of the newest sample by time; None when none is held."""
        newest = self.newest()
        return None if newest is None else self.sample(newest)

    def sample(self, ordinal: int) -> tuple[int, Value]:
        """Time and value of a held row."""
        return self._times[ordinal - self._base], self._values[ordinal - self._base]

    def among(self, stop: int, earliest: int) -> tuple[Sequence[int], Sequence[Value]] | None:
        """Times and values, in the order of time, of the held samples with ordinals below `stop`
        that aren't older than `earliest`, and before them of the newest one that is. None if more
        than `_LOOKED_THROUGH` rows would have to be looked at."""
        times, values, low = self._times, self._values, self.first - self._base
        # The highest time of the rows up to each; while none was late, that is its own.
        peaks = times if self._peaks is None else self._peaks
        end = stop - self._base
        start = bisect_left(peaks, earliest, lo=low, hi=end)
        if end - start > _LOOKED_THROUGH:
            return None
        shown = [index for index in range(start, end) if not is_ending(values[index])]
        shown.sort(key=times.__getitem__)
        later = bisect_left(shown, earliest, key=times.__getitem__)
        before, index = (shown[later - 1] if later else -1), start
        while index > low and (before < 0 or peaks[index - 1] > times[before]):
            if end - index >= _LOOKED_THROUGH:
                return None
            index -= 1
            if not is_ending(values[index]) and (before < 0 or times[index] > times[before]):
                before = index
        found = shown[later:] if before < 0 else [before, *shown[later:]]
        return [times[index] for index in found], [values[index] for index in found]

    def curve(
        self, start: int, stop: int, *, adds: bool = False
    ) -> tuple[Sequence[int], Sequence[Value]]:
        """Times and values of the held rows from `start` up to `stop` as a curve: in the order of
        time, and of rows with equal given times the last to arrive, which corrects the others.

        `adds` is for deltas: rows of equal time are both to be counted, unless they have the same
        start.
        """
        times, values = self.rows(start, stop)
        if self._peaks is None and not self._ties:
            return times, values
        low = start - self._known
        kept: dict[object, int] = {}
        for index, time in enumerate(times):
            key: object = index
            if self._seqs[low + index] & 1:
                begin = None if self._starts is None else self._starts[start - self._base + index]
                if not adds:
                    key = (time,)
                elif begin is not None and begin != _UNSAID:
                    key = (time, begin)
                kept.pop(key, None)  # so that the correction stands in its own place of arrival
            kept[key] = index
        order = sorted(kept.values(), key=times.__getitem__)
        return [times[index] for index in order], [values[index] for index in order]


def is_ending(value: Value) -> bool:
    """Whether what a history has as a value stands for an ending."""
    return value is None or value != value


def follow(
    histories: Sequence[History],
    seq: int,
    times: Sequence[int],
    values: Sequence[float],
    given: bool,
) -> list[int]:
    """Append a number of batch `seq` to each history for which it is ordinary: later than all
    before, and the series has never ended. Gives the places of the others, which are unchanged.

    It is `extend` for a thousand series at once: a third of the cost.
    """
    late = []
    mark = seq + seq + given
    for place, (history, time, value) in enumerate(zip(histories, times, values, strict=True)):
        if time <= history._newest_time or not history._plain or history.endings:
            late.append(place)
            continue
        history._newest_time = time
        history._seqs.append(mark)
        history._times.append(time)
        history._values.append(value)
        history.total = total = history.total + 1
        if total - history.first > history._limit:
            history._evict(total - history._limit)
    return late


def are_ordinary(histories: Sequence[History]) -> bool:
    """Whether none of them has an ending, a late sample or a start, and all have the same limit."""
    limit = histories[0]._limit
    return all(
        history._plain and not history.endings and history._limit == limit for history in histories
    )


def append_columns(
    histories: Sequence[History],
    marks: array[int],
    times: Sequence[array[int]],
    values: Sequence[array[float]],
) -> None:
    """Append one number of each of several batches to each history: `follow` for many batches at
    once, which must be ordinary. `marks` are twice the seqs, and 1 more where the time was
    given."""
    count, size = len(marks), len(histories)
    all_times, all_values = array("q", b"".join(times)), array("d", b"".join(values))
    for place, history in enumerate(histories):
        own = all_times[place::size]
        history._newest_time = own[-1]
        history._seqs.extend(marks)
        history._times.extend(own)
        history._values.extend(all_values[place::size])
        history.total = total = history.total + count
        if total - history.first > history._limit:
            history._evict(total - history._limit)


def prune(histories: Sequence[History], seq: int, limit: int) -> list[int]:
    """Drop the rows of batches up to and including `seq`, then bound each history to `limit` rows.
    Gives how many rows each held between these two steps.

    Each sweep calls this for some thousand histories, and nearly all have nothing to drop: that
    case has to be cheap.
    """
    lengths = []
    for history in histories:
        first, total = history.first, history.total
        if seq >= 0 and first < total and history._seqs[first - history._known] >> 1 <= seq:
            history._evict(history.after(seq))
            first = history.first
        lengths.append(total - first)
        history._limit = limit
        if total - first > limit:
            history._evict(total - limit)
    return lengths
