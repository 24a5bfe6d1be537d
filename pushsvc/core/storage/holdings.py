"""What is held of a log: the series and their past, the records, and what entries make of them.

It is a function of the log: two that took in the same entries hold the same, whoever watches.
Synchronous and without a clock: the entries say what time it is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable, Sequence
from typing import Final

import msgspec

from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Batch, Rows
from pushsvc.core.resources.limits import Limits, Retention
from pushsvc.core.storage import snapshot
from pushsvc.core.storage.arrivals import Arrivals
from pushsvc.core.storage.catalog import Catalog, Series, Watcher, unfounded
from pushsvc.core.storage.columns import KnownColumns, KnownSeries
from pushsvc.core.storage.entry import Entry, pieces
from pushsvc.core.storage.gathering import Gathering
from pushsvc.core.storage.idempotency import IdempotencyKey, IdempotencyKeys
from pushsvc.core.storage.records import Records
from pushsvc.core.storage.sweeping import Sweeping
from pushsvc.errors import Problem, Rejected

DEPARTURES: Final = 10_000
"""Departures of series that are remembered; a client that was away for longer is told of a gap."""
_COUNTABLE = 64
"""The last rows of a departed series, of which a gap can still count how many a client lacks."""


class Refused(msgspec.Struct, frozen=True):
    """Rows that the hub would not take, and why."""

    rows: Rows
    problem: Problem


class Applied(msgspec.Struct, frozen=True):
    """What became of a batch: its samples, the cursor after it, how many watch them, and what was
    left out where that is allowed."""

    samples: int
    cursor: Cursor
    watchers: int
    refused: Sequence[Refused] = ()


class Holdings:
    """Takes in the entries of a log, in their order, and holds what comes of them."""

    def __init__(self, epoch: str, limits: Limits, retention: Retention) -> None:
        self.epoch = epoch
        self.seq = 0
        """The newest batch."""
        self.horizon = 0
        """The seq after which everything was taken in. What came before is only known as far as a
        snapshot told it."""
        self.catalog = Catalog()
        self.records = Records()
        """What is kept beside samples, by name."""
        self.counts: Counter[str] = Counter()
        """Events since the start."""
        self.departed: deque[tuple[int, Series]] = deque(maxlen=DEPARTURES)
        """The series that went last, each with the seq of the entry that removed it."""
        self.forgotten = -1
        """The seq up to which it isn't known any more which series went; -1 if all are known."""
        self._limits = limits
        self._retention = retention
        self._most = limits.series  # the limit of series, by the entry that is taken in
        self._sweeping = Sweeping(retention)
        self._idempotency_keys = IdempotencyKeys()
        self._known = KnownColumns()
        self._gathering: Gathering | None = None  # while it isn't warm
        self._stamp = 0.0  # of the newest batch, in seconds
        self._ended: dict[int, Series] = {}
        """The series that have ended and not returned, by ref, in the order in which they ended."""

    @property
    def cursor(self) -> Cursor:
        """The cursor of the newest batch."""
        return Cursor(self.epoch, self.seq)

    @property
    def stamp(self) -> float:
        """When the newest entry came, seconds of the journal's clock."""
        return self._stamp

    @property
    def arrivals(self) -> Arrivals:
        """When its entries came, to the second."""
        return self._sweeping.arrivals

    @property
    def warm(self) -> bool:
        """Whether everything was taken in that the log had at the start. No client is let in
        before."""
        return self._gathering is None

    def begin_warming(self) -> None:
        """Say that what is taken in from now on is what the log had at the start. The result is the
        same, but histories may lag behind until `finish_warming`."""
        self._gathering = Gathering()

    def finish_warming(self) -> None:
        """Say that everything was taken in that the log had at the start."""
        self._settle()
        self._gathering = None

    def _settle(self) -> None:
        if self._gathering is not None:
            self._gathering.settle()

    def is_ahead(self, cursor: Cursor) -> bool:
        """Whether a cursor is of this epoch, and of a batch that wasn't taken in yet."""
        return cursor.epoch == self.epoch and cursor.seq > self.seq

    @property
    def _watched(self) -> bool:
        """Whether any view has to be told of what comes."""
        return False

    # -- entries in --------------------------------------------------------------------------------

    def take(self, entry: Entry) -> Generator[None, None, Applied]:
        """Take in the entry that comes after the newest batch, piece by piece; returns what became
        of it. The caller may do other things between two pieces.

        Raises Rejected if the entry is refused; its seqs are used all the same. Whether it is
        refused, or which part of it, depends only on it and the entries before it.
        """
        yield from self._reach(entry.stamp, entry.seq)
        self._stamp = entry.stamp / 1000
        draft = entry.draft
        if draft.sweeps:
            self.sweep(entry.seq, self._stamp)
            return Applied(0, self.cursor, 0)
        if draft.change is not None:
            self._pass(entry)
            self.records.put(draft.change, entry.seq, entry.stamp)
            return Applied(0, self.cursor, 0)
        batch, self._most = draft.batch, draft.series or self._limits.series
        refused: list[Refused] = []
        try:
            if draft.once and (
                before := self._idempotency_keys.find(*_halves(draft.once), self._stamp)
            ):
                self._pass(entry)
                return Applied(before.samples, Cursor(self.epoch, before.seq), 0)
            known = self._known.find(batch, self.catalog)
            if known is not None:
                pass  # nothing of it can be refused
            elif draft.partial:
                batch, refused = self.sift(batch)
            else:
                self.check(batch)
        except Rejected:
            self._pass(entry)
            raise
        touched: dict[Watcher, None] = {}
        samples = watchers = 0
        gathering = self._gathering
        if gathering and known and not self._watched and gathering.add(entry.seq, batch, known):
            samples = batch.series
            self.counts["samples"] += samples
            self.counts["batches"] += draft.width
            self._sweeping.hold(samples)
        elif batch.series:
            cut: Iterable[tuple[Batch, KnownSeries | None]]
            if draft.width == 1:
                cut = ((batch, known),)
            elif known is not None:
                cut = known.pieces(batch)
            else:
                cut = ((piece, None) for piece in pieces(batch))
            for seq, (piece, those) in enumerate(cut, entry.seq):
                if seq > entry.seq:
                    yield
                applied = self.apply(
                    seq, piece, self._stamp, checked=True, touched=touched, known=those
                )
                samples += applied.samples
                watchers = applied.watchers
        self._pass(entry)
        if draft.once:
            self._idempotency_keys.keep(
                IdempotencyKey(*_halves(draft.once), self._stamp, samples, self.seq)
            )
        return Applied(samples, self.cursor, watchers, tuple(refused))

    def _pass(self, entry: Entry) -> None:
        self.seq = entry.last
        self._sweeping.arrive(self._stamp, self.seq)

    def check(self, batch: Batch) -> None:
        """Raise Rejected if anything of the batch can't be applied. Nothing of it is applied, but a
        kind that is refused counts as disputed."""
        new: set[str] = set()
        for rows in batch.rows:
            series = self.catalog.get(rows.identity.text)
            if series is not None:
                if (conflict := series.conflict(rows, self._stamp)) is not None:
                    series.dispute(self._stamp)
                    self.catalog.version += 1
                    raise Rejected("kind", conflict, series=rows.identity.text)
            elif (reason := unfounded(rows)) is not None:
                raise Rejected("kind", reason, series=rows.identity.text)
            elif rows.stateful is not None:
                new.add(rows.identity.text)
        if new and len(new) > self._room(batch):
            raise Rejected(
                "series_limit",
                f"{len(new)} new series would make {len(self.catalog) + len(new)}, the limit is "
                f"{self._most} (limits.series)",
                limit="series",
            )

    def _room(self, batch: Batch) -> int:
        """How many new series there is room for. Series that have ended make room, except those
        that the batch has rows of."""
        room = self._most - len(self.catalog)
        return room + len(self._ended) - len(self._returning(batch))

    def _returning(self, batch: Batch) -> set[str]:
        """Series that have ended, and that a batch has rows of."""
        if not self._ended:
            return set()
        texts = [rows.identity.text for rows in batch.rows]
        known = {text: series for text in texts if (series := self.catalog.get(text)) is not None}
        return {text for text, series in known.items() if series.ref in self._ended}

    def sift(self, batch: Batch) -> tuple[Batch, list[Refused]]:
        """The rows of a batch that can be applied, and those that can't. Nothing of it is applied,
        but a kind that is refused counts as disputed.

        Of new series beyond `limits.series` the first ones that fit are taken.
        """
        good: list[Rows] = []
        refused: list[Refused] = []
        new: set[str] = set()
        room: int | None = None
        for rows in batch.rows:
            text = rows.identity.text
            series = self.catalog.get(text)
            conflict = None
            if series is not None:
                conflict, code = series.conflict(rows, self._stamp), "kind"
                if conflict is not None:
                    series.dispute(self._stamp)
                    self.catalog.version += 1
            elif (conflict := unfounded(rows)) is not None:
                code = "kind"
            elif text not in new and rows.stateful is not None:
                room = self._room(batch) if room is None else room
                if len(new) < room:
                    new.add(text)
                else:
                    conflict, code = (
                        f"{text} would be a new series, and there are {self._most} (limits.series)",
                        "series_limit",
                    )
            if conflict is None:
                good.append(rows)
            else:
                refused.append(Refused(rows, Rejected(code, conflict, series=text)))
        return Batch(good), refused

    def apply(
        self,
        seq: int,
        batch: Batch,
        stamp: float,
        *,
        checked: bool = False,
        touched: dict[Watcher, None] | None = None,
        known: KnownSeries | None = None,
    ) -> Applied:
        """Take in batch `seq`, the one after the newest, and mark its views dirty.

        It arrived at `stamp`, seconds of the journal's clock. Rows that `check` would refuse are
        left out and counted; `checked` says that the batch has just passed `check` or `sift`.
        `touched` collects the views over all pieces of a batch, so that the watchers are those of
        the whole batch. `known` are the series of the batch, if they were found.
        """
        self.seq = seq
        self._stamp = stamp
        self._sweeping.arrive(stamp, seq)
        touched = {} if touched is None else touched
        samples = 0
        kept: set[str] | None = None
        rest = batch.rows if known is None else known.follow(seq, batch, touched)
        if self._gathering is not None:
            self._gathering.part_with(rest, self.catalog)
        if known is not None:
            samples = batch.series - len(rest)
        for rows in rest:
            series = self.catalog.get(rows.identity.text)
            count = len(rows.times)
            said = rows.kind is not None or rows.unit is not None or rows.help is not None
            if series is None:
                if rows.stateful is None:
                    samples += count  # an ending of a series that isn't there
                    continue
                if len(self.catalog) >= self._most:
                    kept = self._returning(batch) if kept is None else kept
                    if not self._give_way(kept):
                        self.counts["samples_conflicting"] += count
                        continue
                series = self._create(rows, seq)
                said = False  # the new series has what the rows say
            elif not checked and series.conflict(rows, self._stamp) is not None:
                self.counts["samples_conflicting"] += count
                continue
            history = series.history
            if not said:
                new = history.extend(seq, rows.times, rows.values, rows.given, rows.starts)
            else:
                new = series.append(seq, rows)
                if series.described_seq == seq:
                    self.catalog.version += 1
                    self._redescribe(series)
            samples += count
            if new != count:
                self.counts["samples_repeated"] += count - new
            if history.endings:
                self._note_ending(series)
            fresh = new or series.described_seq == seq
            for view in series.views:
                touched[view] = None  # its watchers are counted, whether or not the rows are new
                if fresh:
                    view.dirty[series.ref] = series
        watchers = 0
        for view in touched:
            watchers += len(view.subscribers)
            view.plan_tick()
        self.counts["samples"] += samples
        self.counts["batches"] += 1
        self._sweeping.hold(samples)
        return Applied(samples, self.cursor, watchers)

    def _give_way(self, kept: set[str]) -> bool:
        """Let a series go that has ended and isn't one of `kept`; tells whether there is one."""
        for series in self._ended.values():
            if series.identity.text not in kept:
                self._dismiss(series)
                return True
        return False

    def _create(self, rows: Rows, seq: int) -> Series:
        series = self.catalog.add(rows, seq, self._sweeping.share)
        self._show(series)
        return series

    def _reach(self, stamp: int, seq: int) -> Iterable[None]:  # noqa: ARG002
        """Do, piece by piece, what has to be done before anything of entry `seq`, which was stamped
        at `stamp` (Unix ms), is taken in."""
        return ()

    def _show(self, series: Series) -> None:
        """Tell those who watch such series that this one is new."""

    def _hide(self, series: Series) -> None:
        """Tell those who read such series that this one is gone."""

    def _redescribe(self, series: Series) -> None:
        """Have whoever reads such series know that something else is said of one."""

    def _note_ending(self, series: Series) -> None:
        if series.history.ended is None:
            self._ended.pop(series.ref, None)
        else:
            self._ended.setdefault(series.ref, series)

    # -- time passes -------------------------------------------------------------------------------

    def sweep(self, seq: int, stamp: float) -> bool:
        """Drop samples that are too old or too many and remove silent series, as entry `seq`, of
        `stamp` (seconds), says. As the removal has a seq, a cursor tells whether a client knows of
        it.

        Looks at some thousand series a call. One call about every second is enough; tells whether
        the next should come sooner.
        """
        self.seq = seq
        self._stamp = stamp
        self._sweeping.pass_time(stamp, seq)
        self.records.expire(round(stamp * 1000))
        for series in self._sweeping.sweep(self.catalog, stamp, self._gathering):
            self._dismiss(series)
        return self._sweeping.behind

    def is_sweep_due(self, stamp: float) -> bool:
        """Whether a sweep at `stamp`, seconds of the journal's clock, may find anything that has
        grown old or is too much."""
        if (len(self.catalog) or self._sweeping.begun) and self._sweeping.is_due(stamp):
            return True
        expires_at = self.records.expires_at
        return expires_at is not None and expires_at <= stamp * 1000

    @property
    def behind(self) -> bool:
        """Whether more samples are held than should be, so that sweeps should come sooner."""
        return self._sweeping.behind

    def _dismiss(self, series: Series) -> None:
        """Remove a series, as part of the entry that is being taken in."""
        self.catalog.remove(series)
        self._hide(series)
        self._ended.pop(series.ref, None)
        series.history.retire(_COUNTABLE)
        if len(self.departed) == self.departed.maxlen:
            self.forgotten = self.departed[0][0]
        self.departed.append((self.seq, series))
        for view in series.views:
            view.dismiss(series, self.seq)
            view.plan_tick()
        series.views.clear()
        self.counts["series_gone"] += 1

    # -- going on elsewhere ------------------------------------------------------------------------

    def snapshot(self) -> Generator[None, None, bytes]:
        """Write down what a hub needs to go on from the newest batch, as `restore` reads it. The
        caller may do other things between two steps, but take nothing in."""
        self._settle()
        return snapshot.write(
            self.seq,
            self.catalog,
            list(self._ended),
            self._sweeping.dump(),
            self._idempotency_keys.dump(),
            self.records.dump(),
        )

    def restore(self, body: bytes) -> None:
        """Go on from where another hub was. This one must be new. Raises SnapshotError."""
        known = snapshot.read(body)
        self.seq = self.horizon = self.forgotten = known.seq
        self._ended = snapshot.restore(known, self.catalog, known.sweeping.share)
        self._sweeping.load(known.sweeping, self.catalog)
        # It is known to the second, which is enough for the steps of expressions.
        self._stamp = float(self._sweeping.arrivals.newest)
        self._idempotency_keys.load(known.once)
        self.records.load(known.records)

    def begin_anew(self, epoch: str) -> None:
        """Forget all that was taken in, to begin with another log."""
        self.epoch, self.seq, self.horizon, self.forgotten = epoch, 0, 0, -1
        self._stamp = 0.0
        self.catalog = Catalog()
        self._sweeping = Sweeping(self._retention)
        self._idempotency_keys = IdempotencyKeys()
        self.records.load([])
        self._known = KnownColumns()
        self._ended.clear()
        self.departed.clear()
        self.begin_warming()  # no client is let in until the other log was read


def _halves(once: bytes) -> tuple[bytes, bytes]:
    return once[:16], once[16:]
