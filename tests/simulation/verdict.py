"""What must hold when all is over, worked out anew from the log alone."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter

import msgspec

from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.resources.limits import Retention
from pushsvc.core.storage.entry import Entry
from pushsvc.core.storage.history import is_ending
from pushsvc.core.storage.records import Change, Record
from pushsvc.errors import Rejected
from tests.core.test_log import whole
from tests.shared_log import SharedLog
from tests.simulation.dashboard import Dashboard, Row, Segment, Stretch
from tests.simulation.editor import Editor
from tests.simulation.process import LIMITS, PACING
from tests.simulation.producer import Answered
from tests.simulation.story import Broken

_FIRST = 4
"""Rows with which a series may begin in any case, if there are so many: its newest sample as of a
batch before, and what came after it."""


class Decided(msgspec.Struct, frozen=True):
    """What became of a change of a record."""

    change: Change
    before: Record | None
    """What there was."""
    refused: bool


class Truth:
    """What the entries of one epoch come to."""

    def __init__(
        self,
        epoch: str,
        entries: Sequence[Entry],
        begun_at: AbstractSet[int],
        retention: Retention,
    ) -> None:
        self._begun_at = begun_at
        self.entries = entries
        self.rows: dict[int, list[tuple[int, Row]]] = {}
        """By ref: seq and row, in the order in which they came."""
        self._times: dict[int, list[int]] = {}
        """By ref, of its rows."""
        self.names: dict[int, str] = {}
        self.went: dict[int, int] = {}
        """By ref, the batch with which a series went."""
        self._repeats: dict[str, list[tuple[int, int, Row]]] = {}
        """By name, where a sample came first, and where it came again."""
        self._first: dict[tuple[str, int, str], int] = {}
        self.records: list[tuple[int, list[Record]]] = []
        """All records, after each entry that changed them."""
        self.changes: dict[int, Decided] = {}
        """By seq."""
        self.hub = Hub(
            epoch, limits=LIMITS, retention=retention, pacing=PACING, make_session=lambda: ""
        )
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        self._look_for_repeats(entry)
        change, records = entry.draft.change, self.hub.records
        before: Record | None = None
        if change is not None:
            records.expire(entry.stamp)
            before = records.get(change.kind, change.name)
        taking = self.hub.take(entry)
        more, refused = True, False
        while more:
            try:
                next(taking)
            except StopIteration:
                more = False
            except Rejected:
                more, refused = False, True
            self._note()
        if change is not None:
            self.changes[entry.seq] = Decided(change, before, refused)
        kept = records.dump()
        if kept != (self.records[-1][1] if self.records else []):
            self.records.append((entry.seq, kept))

    def _look_for_repeats(self, entry: Entry) -> None:
        for rows in entry.draft.batch.rows:
            name = rows.identity.name
            for time, value in zip(rows.times, rows.values, strict=True):
                first = self._first.setdefault((name, time, repr(value)), entry.seq)
                if first != entry.seq:
                    row: Row = ("end", time) if value is None else ("sample", value)
                    self._repeats.setdefault(name, []).append((first, entry.last, row))

    def repeats_across(self, name: str, seq: int) -> bool:
        """Whether a sample came before a seq, and again after it: who began to read there may have
        taken it for a new one (see `core/storage/snapshot.py`)."""
        return any(first <= seq < again for first, again, _ in self._repeats.get(name, ()))

    def given_again(self, name: str) -> set[Row]:
        """The samples of which that is so for a process that there was."""
        return {
            row
            for first, again, row in self._repeats.get(name, ())
            if any(first <= seq < again for seq in self._begun_at)
        }

    def first_of(self, ref: int, seq: int) -> int:
        """Rows with which a series may begin at the most for a client that asks for it at a seq:
        its newest sample, which needn't be the last one that came, and what came after it."""
        earlier = bisect_right(self.rows[ref], seq, key=itemgetter(0))
        times = self._times.get(ref, [])[:earlier]
        since = earlier - times.index(max(times)) if times else 0
        return max(since, min(_FIRST, earlier))

    def records_at(self, seq: int) -> list[Record]:
        place = bisect_right(self.records, seq, key=itemgetter(0))
        return self.records[place - 1][1] if place else []

    def _note(self) -> None:
        for series in self.hub.catalog:
            history, rows = series.history, self.rows.setdefault(series.ref, [])
            self.names[series.ref] = series.identity.name
            for ordinal in range(len(rows), history.total):
                time, value = history.sample(ordinal)
                row: Row = ("end", time) if is_ending(value) else ("sample", value)
                rows.append((history.seq_at(ordinal), row))
                self._times.setdefault(series.ref, []).append(time)
        # Of an entry with several seqs a later one may be what made room.
        departed = {series.ref: seq for seq, series in self.hub.departed}
        for ref in self.names.keys() - {series.ref for series in self.hub.catalog}:
            self.went.setdefault(ref, departed[ref])


def check(
    log: SharedLog,
    hubs: dict[str, Hub],
    dashboards: list[Dashboard],
    answered: list[Answered],
    editors: list[Editor],
    retention: Retention,
) -> None:
    """Raises Broken."""
    truths = {
        epoch: Truth(epoch, entries, log.begun_at, retention) for epoch, entries in log.past.items()
    }
    _check_hubs(truths[log.epoch], hubs)
    _check_answers(log, truths, answered)
    for editor in editors:
        _check_records(editor, truths)
    for dashboard in dashboards:
        for segment in dashboard.segments:
            if segment.cursor is not None:
                _check_segment(dashboard.name, segment, truths[segment.epoch])


def _check_hubs(truth: Truth, hubs: dict[str, Hub]) -> None:
    for name, hub in hubs.items():
        held, should = whole(hub, hub.horizon), whole(truth.hub, hub.horizon)
        if hub.horizon:  # what is dropped for age in the end is, but its marks begin with it
            held.pop("marks")
            should.pop("marks")
        for series in truth.hub.catalog:
            if truth.repeats_across(series.identity.name, hub.horizon):
                held[series.identity.text] = held.get(series.identity.text, ((),))[:3]
                should[series.identity.text] = should[series.identity.text][:3]
        if held != should:
            differ = [key for key in held | should if held.get(key) != should.get(key)]
            what = "; ".join(_differ(k, held.get(k), should.get(k)) for k in differ[:2])
            raise Broken(name, f"holds something else than its log says, at {hub.cursor}: {what}")


def _differ(name: str, held: object, should: object) -> str:
    if isinstance(held, list) and isinstance(should, list):
        more = [one for one in held if one not in should]
        less = [one for one in should if one not in held]
        if more or less:
            return f"{name}: has {more} and lacks {less}"
    return f"{name}: {held} for {should}"


def _check_answers(log: SharedLog, truths: dict[str, Truth], answered: list[Answered]) -> None:
    last = truths[log.epoch]
    kept = {entry.draft.nonce for entry in last.entries}
    counts = Counter(row[1] for rows in last.rows.values() for _, row in rows)
    for one in answered:
        places = {entry.last: entry for entry in truths[one.cursor.epoch].entries}
        entry = places.get(one.cursor.seq)
        values = (
            [] if entry is None else [v for rows in entry.draft.batch.rows for v in rows.values]
        )
        if entry is None or not set(one.values) <= set(values):
            raise Broken(one.who, f"{one.values} was answered with {one.cursor}, and isn't there")
        for value in one.values:
            times = counts[value]
            if entry.draft.nonce in kept and times == 0:
                raise Broken(one.who, f"{value} was answered with {one.cursor}, and isn't applied")
            if one.keyed and times > 1:
                raise Broken(one.who, f"{value} has a key, and counts {times} times")


def _check_records(editor: Editor, truths: dict[str, Truth]) -> None:
    for saved in editor.saved:
        told = f"{saved.change} was answered with {saved.epoch}.{saved.version}"
        decided = truths[saved.epoch].changes.get(saved.version)
        if decided is None or decided.change is not saved.change or decided.refused:
            raise Broken(saved.who, f"{told}, and isn't there")
        if saved.change.expected is not None and decided.before != saved.seen:
            raise Broken(
                saved.who, f"{told} for {saved.seen}, and took the place of {decided.before}"
            )
    for refused in editor.refused:
        for seq, decided in truths[refused.epoch].changes.items():
            if decided.change is not refused.change:
                continue
            told = f"{refused.change} was refused ({refused.code})"
            if not decided.refused:
                raise Broken(refused.who, f"{told}, and is {refused.epoch}.{seq}")
    for looked in editor.looked:
        should = truths[looked.epoch].records_at(looked.seq)
        if looked.records != should:
            raise Broken(
                looked.who,
                f"showed at {looked.epoch}.{looked.seq} the records {looked.records}, which are "
                f"{should}",
            )


def _check_segment(who: str, segment: Segment, truth: Truth) -> None:
    assert segment.cursor is not None
    through, owing = segment.cursor.seq, segment.cursor.debt is not None
    unknown = any(lost is None for lost in segment.gaps.values())
    if segment.foreign and not unknown:
        raise Broken(who, f"came to {segment.epoch} with a cursor of before, and was told no gap")
    least = most = 0
    dropped = [(name, one, True) for name, one in segment.dropped]
    for name, stretch, left in [
        *((name, one, False) for name, one in segment.stretches.items()),
        *dropped,
    ]:
        refs = [ref for ref, known in truth.names.items() if known == name]
        for ref in stretch.rows:
            if ref not in refs:
                raise Broken(who, f"was given ref {ref} as {name}, which {segment.epoch} hasn't")
        for ref in refs:
            low, high = _missing(who, segment, stretch, truth, ref, through)
            least += 0 if left else low
            most += high
            went = truth.went.get(ref)
            told = ref in segment.gone or unknown or left or segment.changed
            if went is not None and went <= through and stretch.rows.get(ref) and not told:
                raise Broken(who, f"{name} (ref {ref}) went at {went}, and that wasn't told")
    # A gap is about what comes after its id: one that was told where the cursor still stands, as
    # when the log broke before the next document, is about nothing that is looked at here.
    counted = (lost for id_, lost in segment.gaps.items() if parse_cursor(id_).seq < through)
    lost = sum(lost or 0 for lost in counted)
    if unknown or owing:
        return
    if not least <= lost <= most:
        rows = f"{least} to {most} rows" if least != most else f"{least} rows"
        raise Broken(who, f"lacks {rows} of {segment.epoch} up to {through}, gaps say {lost}")


def _missing(
    who: str, segment: Segment, stretch: Stretch, truth: Truth, ref: int, through: int
) -> tuple[int, int]:
    """How many rows of a series weren't given, at least and at most; that all came in order."""
    given, known = stretch.rows.get(ref, []), truth.rows[ref]
    again = truth.given_again(truth.names[ref])
    if again:
        given = [one for one in given if one[0] not in again]
        known = [one for one in known if one[1] not in again]
    slack = 2 * len(again)  # merged with others, or lost with them
    owed = sum(stretch.through < seq <= through for seq, _ in known)
    first = truth.first_of(ref, stretch.through)
    for sort in ("sample", "end"):
        got = [row for row, _ in given if row[0] == sort]
        expected = [row for _, row in known if row[0] == sort]
        if segment.merge != "all":
            if spare := Counter(got) - Counter(expected):
                raise Broken(who, f"was given {dict(spare)} of ref {ref} more often than it came")
            continue
        place = 0
        for index, row in enumerate(got):
            try:
                place = expected.index(row, place) + 1
            except ValueError:
                raise Broken(
                    who,
                    f"of ref {ref} ({truth.names[ref]}) was given {row} after "
                    f"{[one for _, one in got[max(0, index - 3) : index]]}, twice or out of order",
                ) from None
    count = sum(count for _, count in given)
    if segment.merge == "all" and not segment.changed:
        before = {row for seq, row in known if seq <= stretch.through}
        later = {row for seq, row in known if seq > stretch.through}
        count -= sum(row in before - later for row, _ in given)
        either = min(first, len(before & later))  # of those it can't be told which was given
        return owed - count - slack, owed - count + slack + either
    return max(0, owed - count - slack), max(0, owed - count + first + slack)
