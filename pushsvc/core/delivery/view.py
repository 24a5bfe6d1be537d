"""A view: what dashboards of one kind watch, computed once for all of them.

Clients that ask for the same selectors, rate, merge mode and heartbeat attach to the same view.
When samples arrive for one of its series the view is *dirty*; a tick turns everything that changed
into frames, at once after silence and otherwise no faster than its rate. Recent frames stay in a
ring, so that readers that are a little behind share them too.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import msgspec

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.carrier import Carrier
from pushsvc.core.delivery.merge import Merge, Point
from pushsvc.core.delivery.replay import Replay
from pushsvc.core.delivery.schedule import Schedule
from pushsvc.core.delivery.wire import Frame, Greeting
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Columns, Identity
from pushsvc.core.query.scope import EVERYTHING, Scope
from pushsvc.core.query.selector import Selector
from pushsvc.core.standing.asked import Expression
from pushsvc.core.standing.results import Derived, Standing
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.holdings import DEPARTURES

_FIRST = 1_000
"""Points of the first frame where the points don't fit into one."""
_OPENINGS = 16
"""Different openings cached while nothing changes: one for each cursor and window in use."""
_SLICES = 64
"""Cursors for which a slice is cached until the next tick."""


class Attached(Protocol):
    """A subscriber of a view, as far as the view has to know it."""

    @property
    def carrier(self) -> Carrier:
        """Its carrier, which is woken when there is a new frame."""

    @property
    def transport(self) -> str:
        """How its client is connected."""


class ViewSpec(msgspec.Struct, frozen=True, eq=False, dict=True):
    """What a dashboard watches, with the server's limits applied."""

    selectors: tuple[Selector, ...]
    max_hz: float
    merge: Merge
    heartbeat: float
    """Seconds of silence after which a heartbeat is due. It belongs to the view and not to the
    client, so that a heartbeat is a frame like any other: made once and shared."""
    allowed: Scope = EVERYTHING
    """What it may see of the series that the selectors match."""
    expressions: tuple[Expression, ...] = ()
    """Expressions whose results it shows, computed from the series that it may see."""
    step: int = 0
    """Milliseconds between the steps of the expressions."""
    written: dict[str, str] = {}
    """The names of their results, by the way in which they were written. For information only:
    specs that differ in it are equal."""

    @property
    def select(self) -> list[str]:
        """What was asked for, in its canonical form."""
        return [one.text for one in self.selectors] + [one.text for one in self.expressions]

    @cached_property
    def key(self) -> Hashable:
        """Equal for specs that can share frames.

        The scope is part of it: clients that may see different series never share a view, even
        where they ask for the same; clients with equal scopes do.
        """
        asked = tuple(sorted({s.text for s in self.selectors}))
        plain = asked, self.max_hz, self.merge, self.heartbeat, self.allowed.key
        if not self.expressions:
            return plain
        return (*plain, self.step, tuple(sorted({one.text for one in self.expressions})))

    def within(self, allowed: Scope) -> ViewSpec:
        """The same spec restricted to what a principal may read."""
        return self if allowed is self.allowed else msgspec.structs.replace(self, allowed=allowed)

    def matches(self, identity: Identity) -> bool:
        """Whether a series of this identity is shown: it is asked for, and allowed."""
        return self.allowed.admits(identity) and any(
            selector.matches(identity) for selector in self.selectors
        )


class Opening(msgspec.Struct, frozen=True):
    """How a stream begins: its first frames, and the replay that continues them.

    Without a replay the first frames are complete: the next frame is the view's next one.
    """

    since: int
    frames: tuple[Frame, ...]
    replay: Replay | None
    reached: int
    """The seq up to which the frames contain everything."""


class _Batch(msgspec.Struct, frozen=True):
    """A batch that gave each of some series one row, later than all before, and said nothing else
    of them."""

    seq: int
    columns: Columns
    series: Mapping[int, Series]
    """By ref, in the order of the columns."""
    places: Sequence[int] | None
    """Where they are in the columns; None if they are all."""

    def points(self) -> list[Point]:
        """Their points."""
        times, values, places = self.columns.times, self.columns.values, self.places
        if places is not None:
            times = [times[place] for place in places]
            values = [values[place] for place in places]
        return list(zip(self.series, times, values, strict=True))


class View:
    """Shared work for one spec. `members` are its series by ref."""

    def __init__(
        self,
        spec: ViewSpec,
        *,
        epoch: str,
        seq: int,
        now: float,
        members: Iterable[Series],
        departed: Iterable[tuple[int, Series]] = (),
        forgotten: int = -1,
        ring_frames: int,
        schedule: Schedule[View],
        standings: Sequence[Standing] = (),
    ) -> None:
        self._schedule = schedule
        self.standings = standings
        """The expressions whose results it shows."""
        self.spec = spec
        self.key = spec.key
        self.epoch = epoch
        self.merge: Merge = spec.merge
        self.interval = 1.0 / spec.max_hz
        """The least number of seconds between two ticks."""
        self.span_ms = max(1, round(1000 / spec.max_hz))
        self.second = max(1, round(spec.max_hz))
        """How many frames come in a second, at least one."""
        self.members: dict[int, Series] = {series.ref: series for series in members}
        for series in self.members.values():
            series.views.append(self)
        for standing in standings:
            standing.audience.append(self)
            for derived in standing.members.values():
                self.join(derived)
        self.subscribers: dict[str, Attached] = {}
        """By session."""
        self.seq = seq
        """The batch up to which ticks have delivered everything."""
        self.dirty: dict[int, Series] = {}
        self._alone: _Batch | None = None  # the batch, if what is dirty is of that one alone
        self.next_tick = now
        """The earliest time of the next tick (seconds of the monotonic clock)."""
        self.tick_planned = False
        self.beat_planned = False
        """Whether the hub has scheduled a look at its heartbeat."""
        self.last_frame = now
        """When the last frame was made, or a subscriber came while there was none: the time to the
        next heartbeat is counted from here."""
        self.waiting_since: float | None = None
        self.told_since: float | None = None
        """When what its newest frames tell arrived, the earliest; None if they tell nothing new, or
        that isn't known."""
        self.transports: Counter[str] = Counter()
        """How its subscribers are connected."""
        self.idle_since: float | None = now
        """Since when it has no subscribers."""
        self._frames: deque[Frame] = deque(maxlen=ring_frames)
        self._openings: dict[Hashable, Opening] = {}
        self._openings_at: tuple[int, int, int] | None = None
        self.greetings: dict[Hashable, Greeting] = {}
        """The newest `hello`, by what else it depends on; for the hub."""
        self.next_number = 0
        """The number that the next frame will get."""
        self.gaps = 0
        """Gaps reported to its clients; a shared one counts once."""
        self.lost = 0
        """Samples missing in those gaps, where the number is known."""
        self.newest: Frame | None = None
        """The frame made last."""
        # (seq, series) of dropped series, oldest first.
        self._departed = deque(departed, maxlen=DEPARTURES)
        self.forgotten = forgotten
        """The seq of the newest departure that isn't remembered any more."""
        # the batch up to which everything had been delivered before the last tick
        self._ticked_from = seq
        self._ticked_ms: int | None = None  # and when that was
        # Slices for clients with the same cursor, until the next tick.
        self._slices: dict[Hashable, tuple[Frame, ...]] = {}

    # -- the ring of recent frames -----------------------------------------------------------------

    def frame(self, number: int) -> Frame | None:
        """The frame of this number, which must have been made; None if it isn't in the ring any
        more."""
        index = number - (self.next_number - len(self._frames))
        return self._frames[index] if index >= 0 else None

    def count_gap(self, lost: int | None) -> None:
        """Count a gap that clients are told of."""
        self.gaps += 1
        self.lost += lost or 0

    def _append(self, frame: Frame, now: float) -> None:
        self._frames.append(frame)
        self.newest = frame
        self.next_number += 1
        self.last_frame = now

    # -- how streams begin -------------------------------------------------------------------------

    def opening(self, seq: int, wanted: Hashable) -> Opening | None:
        """The opening for a client that asks for `wanted` now, when the hub is at batch `seq`; None
        if it has to be made by `open`.

        After a restart everyone comes back at once with the same request: until something changes,
        they share the same frames.
        """
        now_at = (seq, self.seq, self.next_number)
        if now_at != self._openings_at:
            self._openings_at = now_at
            self._openings.clear()
        return self._openings.get(wanted)

    def open(self, wanted: Hashable, replay: Replay, limit: int) -> Opening:
        """An opening by this replay, for all who ask for `wanted` until something changes. If the
        points don't fit into one frame the first one is short, so that a page can be laid out while
        the rest is on its way."""
        since = replay.cursor
        frames = tuple(replay.slice(self.seq, limit, min(limit, _FIRST)))
        whole = replay.done(self.seq)
        opening = Opening(since, frames, None if whole else replay, replay.cursor)
        if whole and len(self._openings) < _OPENINGS:
            self._openings[wanted] = opening
        return opening

    def share(self, replay: Replay, limit: int) -> Sequence[Frame]:
        """The next slice of a replay. A slice that is the same for all clients with its cursor is
        made once: after the last tick, or when polling, many have the same cursor."""
        key = (replay.cursor, replay.describe)
        # A client that had everything before the last tick is told its time.
        replay.time = self._ticked_ms if replay.cursor >= self._ticked_from else None
        shared = replay.shared
        frames = self._slices.get(key) if shared else None
        if frames is not None:
            replay.skip(self.seq)
            return frames
        frames = tuple(replay.slice(self.seq, limit))
        if shared and replay.done(self.seq) and len(self._slices) < _SLICES:
            self._slices[key] = frames
        return frames

    # -- series come and go ------------------------------------------------------------------------

    def admit(self, series: Series) -> None:
        """Add a new series if it is asked for and allowed."""
        if self.spec.matches(series.identity):
            self.members[series.ref] = series
            series.views.append(self)

    def join(self, series: Series) -> None:
        """Add a result of an expression that it shows."""
        if series.ref not in self.members:
            self.members[series.ref] = series
            series.views.append(self)

    def forget_openings(self) -> None:
        """Drop the cached openings."""
        self._openings.clear()
        self._slices.clear()

    def covers(self, series: Series) -> bool:
        """Whether a series, which may have been dropped, is one that it shows."""
        if isinstance(series, Derived):
            return series.standing in self.standings
        return self.spec.matches(series.identity)

    def dismiss(self, series: Series, seq: int) -> None:
        """Remove a member that left the catalog with batch `seq`."""
        del self.members[series.ref]
        self.dirty.pop(series.ref, None)
        if len(self._departed) == self._departed.maxlen:
            self.forgotten = self._departed[0][0]
        self._departed.append((seq, series))

    def departed_since(self, seq: int) -> Iterator[tuple[int, Series]]:
        """Departures of batches later than `seq`, the newest first."""
        for entry in reversed(self._departed):
            if entry[0] <= seq:
                break
            yield entry

    @property
    def failing(self) -> dict[str, str]:
        """Why expressions had no results at their newest step, by name."""
        return {
            one.expression.text: one.failure for one in self.standings if one.failure is not None
        }

    @property
    def failing_seq(self) -> int:
        """The seq of the newest batch that changed which expressions fail; -1 if none did."""
        return max([one.failure_seq for one in self.standings], default=-1)

    def close(self) -> None:
        """Remove the view from its series. It may be in the hub's schedule for a while yet."""
        for series in self.members.values():
            series.views.remove(self)
        for standing in self.standings:
            standing.audience.remove(self)
        self.members.clear()
        self._frames.clear()
        self.newest = None
        self._openings.clear()
        self._slices.clear()

    # -- ticking -----------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether there is something to deliver: samples, dropped series, or an expression that
        fails, or no longer does."""
        return bool(self.dirty) or self._says_more

    @property
    def _says_more(self) -> bool:
        """Whether there is something to deliver besides samples."""
        return (bool(self._departed) and self._departed[-1][0] > self.seq) or (
            bool(self.standings) and self.failing_seq > self.seq
        )

    def mark(
        self,
        seq: int,
        columns: Columns,
        series: Mapping[int, Series],
        places: Sequence[int] | None,
    ) -> None:
        """Note that each of these series (by ref, in the order of the columns) has one more row,
        from batch `seq`: in the columns at `places`, or in all of them."""
        self._alone = None if self.dirty else _Batch(seq, columns, series, places)
        self.dirty.update(series)

    def plan_tick(self) -> None:
        """Plan the next tick, if there is something to deliver."""
        if self.pending:
            self._schedule.plan_tick(self)

    @property
    def next_beat(self) -> float:
        """When it will have been silent for a heartbeat (seconds of the monotonic clock)."""
        return self.last_frame + self.spec.heartbeat

    def tick(self, seq: int, now: float, limit: int, time_ms: int | None = None) -> bool:
        """Turn what changed into frames, up to batch `seq`; returns whether there are any.

        `time_ms` is when they were made, as clients are told.
        """
        before = self.next_number
        self.told_since, self.waiting_since = self.waiting_since, None
        self._ticked_from, self._ticked_ms = self.seq, time_ms
        self._openings.clear()
        self._slices.clear()
        self.next_tick = now + self.interval
        alone, self._alone = self._alone, None
        if not self.subscribers:
            # Nobody is owed frames; later clients get a replay from the histories.
            self._frames.clear()
            self.newest = None
        elif alone is not None and self._is_all(alone, seq, limit):
            cursor = Cursor(self.epoch, seq)
            self._append(wire.points(cursor, self.seq, None, alone.points(), time_ms), now)
        else:
            replay = Replay(
                self,
                since=self.seq,
                describe="changed",
                only=list(self.dirty.values()),
                time=time_ms,
            )
            while True:
                for frame in replay.slice(seq, limit):
                    self._append(frame, now)
                if replay.cursor >= seq:
                    break
        self.dirty.clear()
        self.seq = seq
        return self.next_number > before

    def _is_all(self, batch: _Batch, seq: int, limit: int) -> bool:
        """Whether a replay of all up to batch `seq` would give one frame, with the rows of this
        batch. That is so if it is the last one, nothing else is to be told, and what it is about
        was described before."""
        return (
            batch.seq == seq
            and len(self.dirty) == len(batch.series) <= limit
            and self.forgotten <= self.seq
            and not self._says_more
        )

    def beat(self, seq: int, now: float, time_ms: int, away: int | None = None) -> None:
        """Make a heartbeat, which also tells clients how far they have got, and for how many
        seconds the log has been `away`.

        There must be nothing to deliver up to batch `seq`.
        """
        frame = wire.heartbeat(Cursor(self.epoch, max(seq, 0)), self.seq, time_ms, away)
        self.seq = max(self.seq, seq)
        self.told_since = None
        self._slices.clear()
        self._append(frame, now)
