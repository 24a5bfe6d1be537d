"""What a hub holds is a function of the log: of its entries in their order, and of nothing else."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Columns, Kind, Rows, Value, identify
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage import columns as columns_module
from pushsvc.core.storage import entry as entry_module
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.core.storage.holdings import Applied
from pushsvc.core.storage.records import Change
from pushsvc.core.storage.snapshot import SnapshotError
from pushsvc.errors import Rejected
from tests.core.stream import types
from tests.core.world import World

LIMITS = Limits(series=4)
RETENTION = Retention(samples=6, total_samples=14, seconds=10.0, series_ttl=15.0)

numbers = st.one_of(st.integers(0, 3).map(float), st.none())
states = st.one_of(st.sampled_from(["on", "off", True]), st.none())


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    name = draw(st.sampled_from("abcdef"))
    values: list[Value] = draw(
        st.lists(draw(st.sampled_from([numbers, states])), min_size=1, max_size=3)
    )
    times = [draw(st.integers(0, 8)) * 1000 for _ in values]
    kind = draw(st.sampled_from([None, None, "gauge", "counter", "delta", "state"]))
    starts = [time - 500 for time in times] if kind == "delta" and draw(st.booleans()) else None
    return Rows(
        identify(name, {}, LIMITS),
        times,
        values,
        kind,  # type: ignore[arg-type]
        draw(st.sampled_from([None, "s", "bytes"])),
        draw(st.sampled_from([None, "help"])),
        draw(st.booleans()),
        starts,
    )


def by_series(drawn: list[Rows]) -> list[Rows]:
    """One `Rows` for each series, as decoders give them."""
    return list({one.identity.text: one for one in drawn}.values())


BEGUN = 1_700_000_000_000
changes = st.builds(
    Change,
    st.sampled_from(["dashboard", "ticket"]),
    st.sampled_from("ab"),
    st.sampled_from([None, b"1", b"2"]),
    # What is there, what was there, nothing, or whatever.
    st.sampled_from([None, 0, 0, *range(1, 12)]),
    st.sampled_from([0, 0, BEGUN + 500, BEGUN + 8_000]),
)
drafts = st.one_of(
    st.builds(
        Draft,
        st.just(b"n"),
        st.builds(Batch, st.lists(rows(), min_size=1, max_size=5).map(by_series)),
        st.booleans(),
        st.sampled_from(
            [b"", b"", *(key * 16 + mark * 16 for key in (b"a", b"b") for mark in (b"1", b"2"))]
        ),
    ),
    st.just(Draft(b"n", Batch([]))),
    st.builds(lambda change: Draft(b"n", Batch([]), change=change), changes),
)
logs = st.lists(
    st.tuples(drafts, st.sampled_from([0, 1, 400, 1_000, 1_000, 4_000])), min_size=1, max_size=60
)


def placed(log: list[tuple[Draft, int]]) -> Iterator[Entry]:
    seq, stamp = 1, BEGUN
    for draft, passed in log:
        stamp += passed
        yield Entry(seq, stamp, draft)
        seq += draft.width


def make_hub(limits: Limits = LIMITS, retention: Retention = RETENTION) -> Hub:
    return World(limits=limits, retention=retention, pacing=Pacing(ring_frames=2)).hub


def finish(steps: Generator[None, None, Any]) -> Any:
    """Take all steps at once; gives what is returned."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def take(hub: Hub, entry: Entry) -> Any:
    """What became of an entry, without the number of watchers."""
    try:
        applied: Applied = finish(hub.take(entry))
    except Rejected as rejected:
        return str(rejected)
    refused = [(one.rows.identity.text, str(one.problem)) for one in applied.refused]
    return applied.samples, applied.cursor, refused


def whole(hub: Hub, after: int = -1) -> dict[str, Any]:
    """All that a hub holds of a log, of the rows those after a seq."""
    held: dict[str, Any] = {
        "seq": hub.seq,
        "ended": list(hub._ended),
        "once": hub._idempotency_keys.dump(),
        "records": hub.records.dump(),
        "next": hub.catalog.next_ref,
        "marks": [mark for mark in hub._sweeping.dump().marks if mark[1] > after],
    }
    for series in hub.catalog:
        history = series.history
        held[series.identity.text] = (
            (series.ref, series.kind, series.stateful, series.claims, series.disputed_at),
            (series.unit, series.help, series.described_seq),
            (history.heard_seq, history.ended if after < 0 else None),
            [
                (history.seq_at(row), *map(repr, history.sample(row)), history.given(row))
                for row in range(history.first, history.total)
                if history.seq_at(row) > after
            ],
        )
    return held


@settings(max_examples=100, deadline=None)
@given(logs, st.data())
def test_two_that_were_given_the_same_hold_the_same(
    log: list[tuple[Draft, int]], data: st.DataObject
) -> None:
    calm, busy = make_hub(), World(limits=LIMITS, retention=RETENTION)
    for entry in placed(log):
        if data.draw(st.booleans(), label="somebody comes, and time passes"):
            busy.now += 7.0
            busy.subscribe(busy.spec("a", "b", max_hz=1.0))
            busy.tick(1.0)
            busy.hub.close_idle(busy.now)
        assert take(calm, entry) == take(busy.hub, entry)
        assert whole(calm) == whole(busy.hub)
        assert calm._sweeping.dump() == busy.hub._sweeping.dump()


@settings(max_examples=200, deadline=None)
@given(logs, st.sampled_from([0, 1_000, 5_000, 11_000, 30_000]))
def test_a_sweep_that_is_not_due_changes_nothing(log: list[tuple[Draft, int]], later: int) -> None:
    hub, stamp = make_hub(), BEGUN
    for entry in placed(log):
        stamp = entry.stamp
        take(hub, entry)

    def sweep() -> dict[str, Any]:
        take(hub, Entry(hub.seq + 1, stamp, Draft(b"n", Batch([]))))
        return {**whole(hub), "seq": 0, "marks": [], "share": hub._sweeping.share}

    stamp += later
    for _ in range(10):
        if not hub.is_sweep_due(stamp / 1000):
            break
        sweep()
    else:
        pytest.fail("where nothing comes there is always something to do")
    held = {**whole(hub), "seq": 0, "marks": [], "share": hub._sweeping.share}
    for _ in range(3):
        assert sweep() == held


def test_a_share_that_was_cut_is_whole_again_once_all_series_are_gone() -> None:
    hub = make_hub()
    stamp = BEGUN
    for seq in range(1, 7):
        rows = [Rows(identify(name, {}, LIMITS), [stamp], [1.0]) for name in "abcd"]
        stamp += 1
        take(hub, Entry(seq, stamp, Draft(b"n", Batch(rows))))
    shares = []
    later = stamp + 30_000
    for now in [stamp] * 3 + [later] * 7:
        if hub.is_sweep_due(now / 1000):
            take(hub, Entry(hub.seq + 1, now, Draft(b"n", Batch([]))))
            shares.append(hub._sweeping.share)
    assert not hub.is_sweep_due(later / 1000)
    assert (len(hub.catalog), min(shares), shares[-1]) == (0, 3, RETENTION.samples)


@settings(max_examples=100, deadline=None)
@given(logs, st.data())
def test_how_many_series_there_may_be_is_said_by_the_log(
    log: list[tuple[Draft, int]], data: st.DataObject
) -> None:
    few, many = make_hub(Limits(series=1)), make_hub(Limits(series=6))
    for entry in placed(log):
        draft = msgspec.structs.replace(
            entry.draft, series=data.draw(st.sampled_from([2, 3, 3, 5]), label="series")
        )
        said = Entry(entry.seq, entry.stamp, draft)
        assert take(few, said) == take(many, said)
        assert whole(few) == whole(many)


BLOCKS = [
    tuple(identify(name, {}, LIMITS) for name in names)
    for names in ("abc", "ab", "ca", "d", "abcde")
]


@st.composite
def plain(draw: st.DrawFn) -> Batch:
    """A batch in columns, as it is read from a log."""
    block = draw(st.sampled_from(BLOCKS))
    kinds: list[Kind | None] = draw(
        st.sampled_from([[None], ["gauge"], ["gauge"], ["gauge", "counter"]])
    )
    time = draw(st.integers(0, 30)) * 1000
    return Batch(
        None,
        Columns(
            block,
            [time + draw(st.sampled_from([0, 0, -1000])) for _ in block],
            [float(draw(st.integers(0, 3))) for _ in block],
            tuple([kinds[n % len(kinds)] for n, _ in enumerate(block)]),
            draw(st.booleans()),
        ),
    )


some_plain = st.one_of(
    drafts, *[st.builds(Draft, st.just(b"n"), plain(), st.booleans()) for _ in range(9)]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(some_plain, st.sampled_from([0, 400, 1_000, 4_000])), max_size=60), st.data()
)
def test_columns_come_to_the_same_as_rows(
    log: list[tuple[Draft, int]], data: st.DataObject
) -> None:
    short, long = World(limits=LIMITS, retention=RETENTION), make_hub()
    for entry in placed(log):
        if data.draw(st.integers(0, 9), label="somebody comes, and goes") == 0:
            short.now += 7.0
            short.subscribe(short.spec("a", "b", max_hz=1.0))
            short.tick(1.0)
            short.hub.close_idle(short.now)
        draft = entry.draft
        columns = Batch(None, draft.batch.columns) if draft.batch.columns else draft.batch
        spelt = msgspec.structs.replace(draft, batch=Batch(draft.batch.rows))
        given = msgspec.structs.replace(draft, batch=columns)
        became = take(long, Entry(entry.seq, entry.stamp, spelt))
        assert take(short.hub, Entry(entry.seq, entry.stamp, given)) == became
        assert whole(short.hub) == whole(long)


def in_columns(time: int, kind: Kind | None = None) -> Draft:
    """Of "a", "b" and "c"."""
    return Draft(
        b"n", Batch(None, Columns(BLOCKS[0], [time] * 3, [1.0, 2.0, 3.0], (kind,) * 3, True))
    )


def of_a(time: int, value: Value, kind: Kind | None = None) -> Draft:
    return Draft(b"n", Batch([Rows(BLOCKS[0][0], [time], [value], kind, given=True)]))


SWEEP = Draft(b"n", Batch([]))


def test_columns_that_take_several_seqs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (entry_module, columns_module):
        monkeypatch.setattr(module, "PIECE", 2)
    log = [(in_columns(n, "gauge"), 0) for n in range(20)]
    assert log[0][0].width == 2
    limits = Limits(series=10)
    short, long = make_hub(limits), make_hub(limits)
    for entry in placed(log):
        draft = entry.draft
        spelt = msgspec.structs.replace(draft, batch=Batch(draft.batch.rows))
        given = msgspec.structs.replace(draft, batch=Batch(None, draft.batch.columns))
        became = take(long, Entry(entry.seq, entry.stamp, spelt))
        assert take(short, Entry(entry.seq, entry.stamp, given)) == became
        assert whole(short) == whole(long)


@pytest.mark.parametrize(
    "log",
    [
        [(in_columns(1), 0), (of_a(2, None), 0), (in_columns(3), 0), (in_columns(4), 0)],
        [(in_columns(n), 0) for n in range(5)] + [(in_columns(2), 0), (in_columns(5, "gauge"), 0)],
        [
            *((in_columns(n, "gauge"), 0) for n in range(10)),
            (of_a(11, 1.0, "counter"), 5_000),
            (in_columns(12, "gauge"), 0),
            (in_columns(13, "gauge"), 0),
        ],
        [(in_columns(1), 0), (in_columns(2, "counter"), 2_000), (in_columns(3), 2_000)],
        [
            *((in_columns(n), 0) for n in range(3)),
            *((SWEEP, 10_000) for _ in range(4)),
            *((in_columns(n), 0) for n in range(3, 6)),
        ],
        [(in_columns(n), 0) for n in range(20)],
    ],
    ids=["an ending", "late", "a dispute", "another kind", "a departure", "too many"],
)
def test_columns_of_series_that_changed(log: list[tuple[Draft, int]]) -> None:
    short, long = make_hub(), make_hub()
    for entry in placed(log):
        spelt = Draft(b"n", Batch(entry.draft.batch.rows))
        columns = entry.draft.batch.columns
        draft = entry.draft if columns is None else Draft(b"n", Batch(None, columns))
        became = take(long, Entry(entry.seq, entry.stamp, spelt))
        assert take(short, Entry(entry.seq, entry.stamp, draft)) == became
        assert whole(short) == whole(long)


def test_who_watches_is_given_what_comes_in_columns() -> None:
    world = World()
    before, after = list(placed([(in_columns(n), 0) for n in range(2)]))
    finish(world.hub.take(before))
    world.subscribe(world.spec("a"))
    world.tick(1.0)
    (view,) = world.hub.views.values()
    assert not view.pending
    assert finish(world.hub.take(after)).watchers == 1
    assert view.pending
    assert [one.identity.text for one in view.dirty.values()] == ["a"]


@settings(max_examples=100, deadline=None)
@given(logs, st.integers(0, 59))
def test_who_goes_on_from_a_snapshot_comes_to_the_same(
    log: list[tuple[Draft, int]], at: int
) -> None:
    # What must not differ: which series there are, under which refs and of which kind, what became
    # of each entry, and the rows that came since. No sample is published twice here, and none is
    # dropped for the sake of all.
    retention = Retention(samples=6, seconds=10.0, series_ttl=15.0)
    first, second = make_hub(retention=retention), make_hub(retention=retention)
    time = 10_000
    for index, entry in enumerate(placed(log)):
        for one in entry.draft.batch.rows:
            time += 1
            one.times = [time] * len(one.times)
            one.given = False
        outcome = take(first, entry)
        if index > at:
            assert take(second, entry) == outcome
            after = second.horizon
            assert whole(first, after) == whole(second, after)
        elif index == at:
            second.restore(finish(first.snapshot()))
            assert whole(first, first.seq) == whole(second, first.seq)


def test_where_the_log_is_long_enough_nothing_is_missing_in_the_end() -> None:
    first, second = make_hub(), make_hub()
    drafts = [
        (
            Draft(
                b"n", Batch([Rows(identify(name, {}, LIMITS), [n * 1000], [float(n)], given=True)])
            ),
            500,
        )
        for n in range(80)
        for name in ("abc" if n < 20 else "bc")
    ]
    log = [step for one in drafts for step in (one, (Draft(b"n", Batch([])), 500))]
    entries = list(placed(log))
    for entry in entries[:30]:
        take(first, entry)
    second.restore(finish(first.snapshot()))
    for entry in entries[30:]:
        assert take(first, entry) == take(second, entry)
    assert whole(first) == whole(second)
    assert set(whole(first)) >= {"b", "c"}
    assert "a" not in whole(first)


def test_a_snapshot_of_another_version_is_not_read() -> None:
    hub = make_hub()
    body = finish(hub.snapshot())
    with pytest.raises(SnapshotError, match="version 3, this reads up to 2"):
        make_hub().restore(body.replace(b"\xa7version\x01", b"\xa7version\x03"))
    for broken in (b"", b"\xc1", body[:-1], b"\x80"):
        with pytest.raises(SnapshotError, match="can't be read"):
            make_hub().restore(broken)


def test_a_snapshot_from_before_there_were_records_is_read() -> None:
    written = bytes.fromhex(
        "87a776657273696f6e01a373657101a86e6578745f72656604a673657269657391c47c939c01a16190a567617567"
        "65c2ffcbbff0000000000000a0a0010191950101cb3ff0000000000000c3c09c02a16290a56761756765c2ffcbbf"
        "f0000000000000a0a0010191950101cb4000000000000000c3c09c03a16390a56761756765c2ffcbbff000000000"
        "0000a0a0010191950101cb4008000000000000c3c0a5656e64656490a87377656570696e6786a56d61726b739192"
        "ce6553f10001a46c65667490a5736861726506a468656c6400a76172726976656403a76c656e6774687380a46f6e"
        "636590"
    )
    old, first = make_hub(), make_hub()
    take(first, next(placed([(in_columns(1), 0)])))
    old.restore(written)
    assert whole(old, 1) == whole(first, 1)
    assert finish(old.snapshot()) == written, "and is written so where there are none"


def test_who_comes_with_a_cursor_from_before_is_told_that_something_may_be_missing() -> None:
    first = World()
    cursor = first.publish({"a": [1.0]}).cursor
    first.publish({"a": [2.0]})
    second = World()
    second.hub.restore(finish(first.hub.snapshot()))
    second.publish({"a": [3.0]})
    told = [second.subscribe(since=str(since)) for since in (cursor, first.hub.cursor)]
    assert [types(one) for one in told] == [["hello", "gap", "points"], ["hello", "points"]]


def test_who_goes_on_from_a_snapshot_knows_what_has_ended_though_a_sample_came_late() -> None:
    first, second = make_hub(), make_hub()
    times: list[tuple[int, Value]] = [
        (1000, 1.0),
        (9000, None),
        (5000, 2.0),
        (6000, 3.0),
        (9500, 4.0),
    ]
    rows = [Rows(identify("a", {}, LIMITS), [time], [value], given=True) for time, value in times]
    entries = list(placed([(Draft(b"n", Batch([one])), 500) for one in rows]))
    for entry in entries[:3]:
        take(first, entry)
    second.restore(finish(first.snapshot()))
    assert list(second._ended) == [1]
    for entry, ended in zip(entries[3:], ([1], []), strict=True):
        for hub in (first, second):
            take(hub, entry)
            assert list(hub._ended) == ended


def test_a_series_is_silent_at_the_same_time_wherever_the_log_was_begun() -> None:
    # What is published again is known to who holds it, and new to who began after it.
    first, second = make_hub(), make_hub()
    times = [1000, 2000, 3000]
    batch = Batch([Rows(identify("a", {}, LIMITS), times, [1.0, 2.0, 3.0], given=True)])
    other = Batch([Rows(identify("b", {}, LIMITS), [1], [1.0], given=True)])
    sweeps = [(Draft(b"n", Batch([])), 1000)] * 20
    log = [(Draft(b"n", one), 1000) for one in (batch, other, other, batch)]
    entries = list(placed(log + sweeps))
    for entry in entries[:3]:
        take(first, entry)
    second.restore(finish(first.snapshot()))
    gone = []
    for entry in entries[3:]:
        take(first, entry)
        take(second, entry)
        if entry is entries[8]:  # and a hub that goes on from there knows of it as well
            third = make_hub()
            third.restore(finish(first.snapshot()))
            second = third
        gone.append((first.catalog.get("a") is not None, second.catalog.get("a") is not None))
    assert gone == sorted(gone, reverse=True)
    assert set(gone) == {(True, True), (False, False)}
