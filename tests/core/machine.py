"""The promise as a machine: dashboards that do anything at any time, beside a plain list of what
was published. Each is given what it is owed, once and in order, or a gap that counts what is
missing.

A *stretch* is what a dashboard is owed of one series: from the row that it was to start with, for
as long as it watches the series. Rows are told apart by their value, and endings by their time;
every one of them is published once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Batch, Rows, Value, identify
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.history import is_ending
from pushsvc.errors import Rejected
from tests.core.world import World

NAMES = ("a", "b", "c")
DASHBOARDS = 3
TTL = 30.0
AGES = 3600.0

names = st.sampled_from(NAMES)
some = st.sets(names, min_size=1)
rates = st.sampled_from([20.0, 1.0, 0.05])
merges = st.sampled_from(["all", "last", "envelope"])
windows = st.sampled_from([None, AGES])
dashboards = st.integers(0, DASHBOARDS - 1)

Row = tuple[str, float]
"""`("sample", value)` or `("end", time)`."""


class Stretch:
    """What a client must be given of one series."""

    def __init__(self, series: Series, start: int) -> None:
        self.ref = series.ref
        self.history = series.history
        self.start = start
        """Ordinal of the first row."""
        self.got: dict[Row, None] = {}
        self.counted = 0
        """How many rows those stand for: a merged point stands for several."""
        self.merged = False
        """Whether some came as points of a merged view: those are in the order of time."""

    def take(self, row: Row, count: int = 1) -> None:
        assert row not in self.got, f"{row} of ref {self.ref} came twice"
        self.got[row] = None
        self.counted += count


class Dashboard:
    """A client that keeps the protocol, and what it is owed."""

    def __init__(self) -> None:
        self.subscriber: Subscriber | None = None
        self.spec: ViewSpec | None = None
        self.cursor: Cursor | None = None
        self.stretches: dict[int, Stretch] = {}
        self.dropped: list[Stretch] = []
        self.described: set[int] = set()
        self.gaps: dict[str, int | None] = {}
        self.gone: set[int] = set()
        self.parted: set[int] = set()
        """Those that were told as gone on this very connection, since its last `watch`: who changes
        what it watches goes on from its cursor, and may be told again."""
        self.polls = False
        """Whether what is connected is a long poll that waits."""

    def connect(self, subscriber: Subscriber, *, polls: bool = False) -> None:
        """Begin a connection, on which nothing was said yet."""
        self.subscriber = subscriber
        self.polls = polls
        self.described.clear()
        self.parted.clear()

    def given(self, document: dict[str, Any], cursor: Cursor | None) -> None:
        """Take a document as it comes."""
        if cursor is not None:
            self.move(cursor)
            assert document["id"] == str(cursor)
        if document["type"] == "points":
            self.described |= {series["ref"] for series in document.get("series", ())}
            for ref, _, *values in document["points"]:
                self.known(ref)
                if ref in self.stretches:
                    count = values[3] if len(values) == 4 else 1
                    self.stretches[ref].merged |= self.spec is None or self.spec.merge != "all"
                    self.stretches[ref].take(("sample", values[0]), count)
            for ref, time in document.get("ended", ()):
                self.known(ref)
                if ref in self.stretches:
                    self.stretches[ref].take(("end", time))
        elif document["type"] == "gap":
            self.gaps[document["id"]] = document["lost"]
            if document["lost"] is None:
                self.check_unknown()
        elif document["type"] == "gone":
            refs = set(document["refs"])
            assert not refs & self.parted, f"gone was told twice: {document}"
            self.parted |= refs
            self.gone |= refs

    def known(self, ref: int) -> None:
        assert ref in self.described, f"ref {ref} was not described"
        assert ref not in self.gone, f"ref {ref} came after it was gone"

    def check_unknown(self) -> None:
        """How many rows are missing is unknown only where their seqs are no longer kept."""
        stretches = [*self.stretches.values(), *self.dropped]
        assert any(one.history.known > one.start for one in stretches), "that could be counted"

    def move(self, cursor: Cursor) -> None:
        before = self.cursor
        if before is not None and before.epoch == cursor.epoch:
            assert cursor.seq >= before.seq, f"{before} then {cursor}"
            if before.debt is not None and cursor.debt == before.debt:
                assert cursor.place >= before.place, f"{before} then {cursor}"
        self.cursor = cursor


class Machine(RuleBasedStateMachine):
    """Rules for all that may happen, and what must hold afterwards."""

    @initialize(
        samples=st.sampled_from([3, 10, 1_000]),
        seconds=st.sampled_from([20.0, AGES]),
        series=st.sampled_from([2, 1_000]),
        ring=st.integers(1, 3),
        points=st.integers(2, 12),
    )
    def begin(self, samples: int, seconds: float, series: int, ring: int, points: int) -> None:
        self.world = World(
            limits=Limits(series=series),
            retention=Retention(samples=samples, seconds=seconds, series_ttl=TTL),
            pacing=Pacing(ring_frames=ring, replay_points=points),
        )
        self.rows: dict[int, list[tuple[int, int, Row]]] = {}  # by ref: seq, time, row
        self.last: dict[int, Series] = {}  # by ref, all that ever were
        self.value = 0.0
        self.dashboards = [Dashboard() for _ in range(DASHBOARDS)]

    # -- what producers do -------------------------------------------------------------------------

    def apply(self, rows: list[Rows]) -> None:
        """Publish, and note the rows that are new to the list."""
        world = self.world
        batch = Batch(rows)
        try:
            world.hub.check(batch)
        except Rejected:  # there is no room for so many series
            return
        before = {series.ref: series.history.total for series in world.hub.catalog}
        world.hub.apply(world.hub.seq + 1, batch, world.now)
        for one in rows:
            series = world.hub.catalog.get(one.identity.text)
            if series is None:
                assert one.stateful is None, f"{one.identity.text} was accepted, and isn't there"
                continue
            known = self.rows.setdefault(series.ref, [])
            if series.ref not in before:
                for dashboard in self.dashboards:
                    self.begin_stretch(dashboard, series, 0)
            self.last[series.ref] = series
            if not one.given or (one.times[-1], one.values[-1]) not in {
                (time, value) for _, time, (_, value) in known
            }:
                for time, value in zip(one.times, one.values, strict=True):
                    row: Row = ("end", time) if value is None else ("sample", value)  # type: ignore[assignment]
                    known.append((world.hub.seq, time, row))
            assert len(known) == series.history.total

    def begin_stretch(self, dashboard: Dashboard, series: Series, start: int) -> None:
        spec = dashboard.spec
        if spec is not None and spec.matches(series.identity):
            dashboard.stretches[series.ref] = Stretch(series, start)

    def fresh(self, count: int, given: bool, late: bool = False) -> tuple[list[int], list[Value]]:
        """Values that were never published, at times that are those of nothing else."""
        values: list[Value] = []
        times = []
        for _ in range(count):
            self.value += 1.0
            self.world.now += 0.001
            values.append(self.value)
            times.append(self.world.time_ms - (5_000 if late else 0))
        if not given:
            times = [times[-1]] * count
        return times, values

    @rule(amounts=st.dictionaries(names, st.integers(1, 6), min_size=1), given=st.booleans())
    def publish(self, amounts: dict[str, int], given: bool) -> None:
        rows = []
        for name, amount in amounts.items():
            times, values = self.fresh(amount, given)
            rows.append(Rows(identify(name, {}, self.world.limits), times, values, given=given))
        self.apply(rows)

    @rule(name=names, count=st.integers(1, 3))
    def publish_late(self, name: str, count: int) -> None:
        times, values = self.fresh(count, given=True, late=True)
        self.apply([Rows(identify(name, {}, self.world.limits), times, values, given=True)])

    @rule(name=names, help_text=st.sampled_from(["one", "two"]))
    def describe(self, name: str, help_text: str) -> None:
        times, values = self.fresh(1, given=True)
        identity = identify(name, {}, self.world.limits)
        self.apply([Rows(identity, times, values, help=help_text, given=True)])

    @rule(name=names)
    def end(self, name: str) -> None:
        times, _ = self.fresh(1, given=True)
        self.apply([Rows(identify(name, {}, self.world.limits), times, [None], given=True)])

    @rule(name=names)
    def end_late(self, name: str) -> None:
        """An ending of the past, before samples that are there: the series goes on."""
        times, _ = self.fresh(1, given=True)
        time = times[0] - 4_000
        series = self.world.hub.catalog.get(name)
        if series is not None and all(at != time for _, at, _ in self.rows[series.ref]):
            self.apply([Rows(series.identity, [time], [None], given=True)])

    @rule(name=names, back=st.integers(1, 4))
    def repeat(self, name: str, back: int) -> None:
        """Send again what is held, with the time that was given: nothing is new."""
        held = self.held_given(name)
        if len(held) >= back:
            time, value = held[-back]
            self.apply([Rows(identify(name, {}, self.world.limits), [time], [value], given=True)])

    @rule(name=names, back=st.integers(1, 4))
    def correct(self, name: str, back: int) -> None:
        held = self.held_given(name)
        if len(held) >= back:
            self.value += 1.0
            time, _ = held[-back]
            identity = identify(name, {}, self.world.limits)
            self.apply([Rows(identity, [time], [self.value], given=True)])

    def held_given(self, name: str) -> list[tuple[int, Value]]:
        """Samples that are held and whose time was given: of that time and value there is one."""
        series = self.world.hub.catalog.get(name)
        if series is None:
            return []
        history = series.history
        return [
            history.sample(ordinal)
            for ordinal in range(history.first, history.total)
            if history.given(ordinal) and not is_ending(history.sample(ordinal)[1])
        ]

    # -- what time does ----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.05, 1.0, 25.0]))
    def tick(self, seconds: float) -> None:
        self.world.tick(seconds)

    @rule(which=dashboards)
    def flush(self, which: int) -> None:
        """Tick the view of somebody at once, as before a goodbye."""
        subscriber = self.dashboards[which].subscriber
        if subscriber is not None:
            self.world.hub.flush(subscriber.view, self.world.now)

    @rule(seconds=st.sampled_from([1.0, TTL / 2, TTL * 1.1]))
    def sweep(self, seconds: float) -> None:
        self.world.sweep()
        self.world.sweep(seconds)
        self.world.sweep()

    # -- what dashboards do ------------------------------------------------------------------------

    def start(self, dashboard: Dashboard, through: int, window: float | None) -> None:
        """Note what is owed of all that is matched, as of batch `through`."""
        assert dashboard.spec is not None
        for series in self.world.hub.catalog:
            if series.ref not in dashboard.stretches:
                self.begin_stretch(dashboard, series, self.start_of(series, through, window))
        self.start_departed(dashboard, through)

    def start_departed(
        self, dashboard: Dashboard, through: int, starts: Mapping[int, int] | None = None
    ) -> None:
        """As of that batch those were there that have gone since."""
        for departed, series in self.world.hub.departed:
            if departed > through and series.ref not in dashboard.stretches:
                start = sum(seq <= through for seq, _, _ in self.rows[series.ref])
                start = max(start, (starts or {}).get(series.ref, 0))
                self.begin_stretch(dashboard, series, start)

    def start_of(self, series: Series, through: int, window: float | None) -> int:
        history = series.history
        rows = self.rows[series.ref]
        end = sum(seq <= through for seq, _, _ in rows)
        samples = [n for n in range(history.first, end) if rows[n][2][0] == "sample"]
        ended = end - 1 if end > history.first else end
        start = max(samples, key=lambda n: (rows[n][1], n), default=ended)
        return start if window is None else min(start, history.first)

    @rule(
        which=dashboards,
        chosen=some,
        hz=rates,
        merge=merges,
        window=windows,
        polls=st.booleans(),
    )
    def subscribe(
        self,
        which: int,
        chosen: set[str],
        hz: float,
        merge: str,
        window: float | None,
        polls: bool,
    ) -> None:
        dashboard = self.dashboards[which]
        if dashboard.spec is not None:
            return
        spec = dashboard.spec = self.world.spec(*sorted(chosen), max_hz=hz, merge=merge)
        subscriber = self.world.subscribe(
            spec, window=window, describe="used" if polls else "all", greet=not polls
        )
        dashboard.connect(subscriber, polls=polls)
        self.start(dashboard, subscriber.view.seq, window)

    @rule(which=dashboards, most=st.integers(1, 6))
    def pull(self, which: int, most: int) -> None:
        self.take(self.dashboards[which], most)

    def take(self, dashboard: Dashboard, most: int | None = None) -> int:
        taken = 0
        while dashboard.subscriber is not None and (most is None or taken < most):
            frame = dashboard.subscriber.pull()
            if frame is None:
                break
            taken += 1
            dashboard.given(msgspec.json.decode(frame.json), frame.cursor)
        return taken

    @rule(which=dashboards, chosen=some, hz=rates, merge=merges, window=windows)
    def watch(
        self, which: int, chosen: set[str], hz: float, merge: str, window: float | None
    ) -> None:
        dashboard = self.dashboards[which]
        subscriber = dashboard.subscriber
        if subscriber is None or dashboard.cursor is None or dashboard.polls:
            return
        # What is on its way already still comes before the hello.
        while subscriber._pending:
            self.take(dashboard, 1)
        seq = subscriber.position()[0]
        spec = dashboard.spec = self.world.spec(*sorted(chosen), max_hz=hz, merge=merge)
        for ref, stretch in list(dashboard.stretches.items()):
            if not spec.matches(self.last[ref].identity):
                dashboard.dropped.append(dashboard.stretches.pop(ref))
                assert stretch.start >= 0
        self.world.watch(subscriber, *sorted(chosen), max_hz=hz, merge=merge, window=window)
        dashboard.parted.clear()
        self.start(dashboard, max(seq, subscriber.view.seq), window)
        self.take(dashboard, 1)  # the hello, which may bring a cursor

    @rule(which=dashboards)
    def cut(self, which: int) -> None:
        dashboard = self.dashboards[which]
        if dashboard.subscriber is None:
            return
        if dashboard.polls:
            self.answer(dashboard)
        elif dashboard.cursor is not None:
            self.world.hub.unsubscribe(dashboard.subscriber, now=self.world.now)
            dashboard.subscriber = None

    @rule(which=dashboards)
    def resume(self, which: int) -> None:
        dashboard = self.dashboards[which]
        if dashboard.subscriber is None and dashboard.spec is not None:
            since = self.since(dashboard)
            dashboard.connect(self.world.subscribe(dashboard.spec, since=since))

    @rule(which=dashboards)
    def wait(self, which: int) -> None:
        """Begin a long poll that is answered later: by `pull` with what there is then, and `cut`
        ends it."""
        dashboard = self.dashboards[which]
        if dashboard.subscriber is None and dashboard.spec is not None:
            self.begin_poll(dashboard)

    def begin_poll(self, dashboard: Dashboard) -> None:
        assert dashboard.spec is not None
        subscriber = self.world.subscribe(
            dashboard.spec, since=self.since(dashboard), describe="used", greet=False
        )
        dashboard.connect(subscriber, polls=True)

    def answer(self, dashboard: Dashboard) -> None:
        """End a long poll: its answer has a cursor also where nothing came."""
        assert dashboard.subscriber is not None
        dashboard.move(dashboard.subscriber.id)
        self.world.hub.unsubscribe(dashboard.subscriber, now=self.world.now)
        dashboard.subscriber = None

    def since(self, dashboard: Dashboard) -> str:
        """The cursor of somebody who was cut off, who is owed all that came later: also of a series
        that was to begin later still, which a cursor tells only with a debt."""
        cursor = dashboard.cursor
        assert cursor is not None
        debt = None if cursor.debt is None else self.world.hub._debts.get(cursor.debt)
        starts = {} if debt is None else debt.starts
        for stretch in dashboard.stretches.values():
            given = sum(seq <= cursor.seq for seq, _, _ in self.rows[stretch.ref])
            stretch.start = min(stretch.start, max(given, starts.get(stretch.ref, 0)))
        self.start_departed(dashboard, cursor.seq, starts)
        return str(cursor)

    @rule(which=dashboards, most=st.integers(1, 4))
    def poll(self, which: int, most: int) -> None:
        """One long poll of somebody who is cut off: each answer describes what it tells of."""
        self.ask(self.dashboards[which], most)

    def ask(self, dashboard: Dashboard, most: int) -> int:
        if dashboard.subscriber is not None or dashboard.spec is None:
            return 0
        self.begin_poll(dashboard)
        taken = self.take(dashboard, most)
        self.answer(dashboard)
        return taken

    # -- what must hold ----------------------------------------------------------------------------

    @precondition(lambda self: hasattr(self, "rows"))
    @invariant()
    def in_order(self) -> None:
        for dashboard in self.dashboards:
            for stretch in dashboard.stretches.values():
                self.check_order(stretch)

    def check_order(self, stretch: Stretch) -> None:
        owed = [row for _, _, row in self.rows[stretch.ref][stretch.start :]]
        for sort in ("sample", "end"):
            got = [row for row in stretch.got if row[0] == sort]
            expected = [row for row in owed if row in stretch.got and row[0] == sort]
            if stretch.merged:
                got, expected = sorted(got), sorted(expected)
            assert got == expected, f"ref {stretch.ref} is owed {owed}, was given {got}"

    def teardown(self) -> None:
        if not hasattr(self, "rows"):
            return
        world = self.world
        for _ in range(3):
            world.tick(25.0)
            for dashboard in self.dashboards:
                self.take(dashboard)
        for dashboard in self.dashboards:
            if dashboard.subscriber is not None and dashboard.polls:
                self.answer(dashboard)
            for _ in range(200):
                if not self.ask(dashboard, 16):
                    break
            else:
                raise AssertionError("polls don't come to an end")
            self.check_whole(dashboard)

    def check_whole(self, dashboard: Dashboard) -> None:
        missing = 0
        for stretch in dashboard.stretches.values():
            self.check_order(stretch)
            missing += len(self.rows[stretch.ref]) - stretch.start - stretch.counted
            series = self.last[stretch.ref]
            if self.world.hub.catalog.get(series.identity.text) is not series:
                known = stretch.got or stretch.start < series.history.total
                assert stretch.ref in dashboard.gone or not known, f"ref {stretch.ref} went untold"
        at_most = missing + sum(
            len(self.rows[stretch.ref]) - stretch.start - stretch.counted
            for stretch in dashboard.dropped
        )
        told = [lost for lost in dashboard.gaps.values() if lost is not None]
        if len(told) < len(dashboard.gaps):
            assert at_most > 0, "a gap without anything missing"
            assert sum(told) <= at_most, (dashboard.gaps, missing)
        else:
            assert missing <= sum(told) <= at_most, (dashboard.gaps, missing, at_most)
