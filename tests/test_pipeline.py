"""The way of a sample, under a clock that jumps: no test here waits."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.core.storage import entry
from pushsvc.core.storage.holdings import Applied, Refused
from pushsvc.errors import Overloaded, Rejected
from pushsvc.pipeline import Outcome
from tests.flow import LIMITS, GatedJournal, Recorder, Service, batch, running

# -- submitting ------------------------------------------------------------------------------------


async def test_a_batch_is_applied_when_submit_returns(autojump_clock: MockClock) -> None:
    async with running() as service:
        service.subscribe(Recorder(), "a")
        applied = await service.pipeline.submit(batch("a", "b", samples=3))
        assert applied == Applied(6, service.hub.cursor, 1)
        assert applied.cursor.seq == 1
        assert len(service.hub.catalog) == 2


async def test_an_empty_batch_uses_up_no_seq(autojump_clock: MockClock) -> None:
    async with running() as service:
        with trio.testing.assert_checkpoints():
            applied = await service.pipeline.submit(Batch([]))
        assert applied == Applied(0, service.hub.cursor, 0)
        assert service.hub.seq == 0


async def test_what_is_refused_is_told_to_its_producer_alone(autojump_clock: MockClock) -> None:
    async with running() as service:
        await service.pipeline.submit(batch("a"))
        with pytest.raises(Rejected, match="a is a gauge"):
            await service.pipeline.submit(batch("a", "b", value="on"))
        assert service.hub.catalog.get("b") is None
        assert service.hub.seq == 2  # it has its place in the log all the same
        assert (await service.pipeline.submit(batch("b"))).cursor.seq == 3


async def test_a_full_journal_is_told_too(autojump_clock: MockClock) -> None:
    journal = GatedJournal()
    async with running(journal) as service:
        journal.full = True
        with pytest.raises(Overloaded) as caught:
            await service.pipeline.submit(batch("a"))
        assert caught.value.retry_after == 3.0
        assert len(service.hub.catalog) == 0
        journal.full = False
        await service.pipeline.submit(batch("a"))


async def test_when_the_channel_stays_full_the_producer_is_told_to_come_back(
    autojump_clock: MockClock,
) -> None:
    journal = GatedJournal()
    limits, pacing = Limits(ingest_queue=2), Pacing(ingest_wait=1.5)
    async with running(journal, limits=limits, pacing=pacing) as service:
        journal.shut()
        outcomes: dict[str, Applied] = {}

        async def produce(name: str) -> None:
            outcomes[name] = await service.pipeline.submit(batch(name, f"{name}_too"))

        async with trio.open_nursery() as nursery:
            for name in ("a", "b", "c"):  # one is with the journal, two are in the channel
                nursery.start_soon(produce, name)
                await trio.testing.wait_all_tasks_blocked()
            assert service.pipeline.statistics().current_buffer_used == 2
            began = trio.current_time()
            with pytest.raises(Overloaded, match=r"limits\.ingest_queue") as caught:
                await service.pipeline.submit(batch("d", "d_too"))
            assert trio.current_time() - began == pytest.approx(1.5)
            assert caught.value.status == 503
            assert caught.value.retry_after == 1.0
            assert service.hub.counts["ingest_overloaded"] == 1
            assert len(service.hub.catalog) == 0
            journal.gate.set()
        assert {name: applied.cursor.seq for name, applied in outcomes.items()} == {
            "a": 1,
            "b": 2,
            "c": 3,
        }
        names = {series.identity.name for series in service.hub.catalog}
        assert names == {"a", "a_too", "b", "b_too", "c", "c_too"}
        assert (await service.pipeline.submit(batch("d"))).cursor.seq == 4


async def test_a_producer_waits_for_room_that_comes_in_time(autojump_clock: MockClock) -> None:
    journal = GatedJournal()
    limits, pacing = Limits(ingest_queue=1), Pacing(ingest_wait=1.0)
    async with running(journal, limits=limits, pacing=pacing) as service:
        journal.shut()
        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(service.pipeline.submit, batch(name))
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(service.pipeline.submit, batch("c"))
            await trio.sleep(0.9)
            journal.gate.set()
        assert service.hub.seq == 3
        assert service.hub.counts["ingest_overloaded"] == 0


async def test_the_wait_is_for_room_not_for_the_answer(autojump_clock: MockClock) -> None:
    journal = GatedJournal()
    async with running(journal, pacing=Pacing(ingest_wait=1.0)) as service:
        journal.shut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.pipeline.submit, batch("a"))
            await trio.sleep(60.0)
            journal.gate.set()
        assert service.hub.seq == 1


async def test_a_batch_in_the_channel_is_applied_once_though_its_producer_left(
    autojump_clock: MockClock,
) -> None:
    journal = GatedJournal()
    async with running(journal) as service:
        journal.shut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.pipeline.submit, batch("first"))
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.5) as left:
                await service.pipeline.submit(batch("a", samples=4))
            assert left.cancelled_caught
            journal.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        series = service.hub.catalog.get("a")
        assert series is not None
        assert series.history.total == 4
        assert service.hub.seq == 2


async def test_a_producer_that_left_before_there_was_room_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    journal = GatedJournal()
    async with running(journal, limits=Limits(ingest_queue=1)) as service:
        journal.shut()
        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                nursery.start_soon(service.pipeline.submit, batch(name))
                await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.5) as left:
                await service.pipeline.submit(batch("c"))
            assert left.cancelled_caught
            journal.gate.set()
        assert {series.identity.name for series in service.hub.catalog} == {"a", "b"}


async def test_closing_drains_the_channel(autojump_clock: MockClock) -> None:
    journal = GatedJournal()
    journal.shut()
    service = Service(journal, Limits(ingest_queue=2), Retention(), Pacing(ingest_wait=100.0))
    pipeline = service.pipeline
    answers: dict[str, Applied | Overloaded] = {}

    async def produce(name: str) -> None:
        try:
            answers[name] = await pipeline.submit(batch(name))
        except Overloaded as problem:
            answers[name] = problem

    async with trio.open_nursery() as nursery:
        ingest = trio.CancelScope()

        async def run() -> None:
            with ingest:
                await pipeline.run_ingest()

        nursery.start_soon(run)
        for name in ("a", "b", "c", "d"):  # d finds no room
            nursery.start_soon(produce, name)
            await trio.testing.wait_all_tasks_blocked()
        pipeline.close()
        pipeline.close()
        await trio.testing.wait_all_tasks_blocked()
        stopped = answers["d"]
        assert isinstance(stopped, Overloaded)
        assert stopped.code == "stopping"
        assert set(answers) == {"d"}
        with pytest.raises(Overloaded, match="stopping"):
            await pipeline.submit(batch("late"))
        journal.gate.set()
    assert not ingest.cancelled_caught
    assert {series.identity.name for series in service.hub.catalog} == {"a", "b", "c"}
    assert all(isinstance(answers[name], Applied) for name in "abc")


# -- pieces ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 8))
def test_pieces_are_small_and_add_up(sizes: list[int], most: int) -> None:
    numbers = count()
    whole = Batch(
        [
            Rows(
                identify(f"s{index}", {}, LIMITS),
                list(range(size)),
                [float(next(numbers)) for _ in range(size)],
                "delta",
                "s",
                "help",
            )
            for index, size in enumerate(sizes)
        ]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "PIECE", most)
        cut = list(entry.pieces(whole))
        assert len(cut) == entry.Draft(b"", whole).width
    assert all(0 < piece.count <= most for piece in cut)
    assert all(piece.count == most for piece in cut[:-1])
    assert flat(cut) == flat([whole])
    for piece in cut:
        names = [rows.identity.text for rows in piece.rows]
        assert len(set(names)) == len(names)
        assert all(rows.times for rows in piece.rows)
    if whole.count <= most:
        assert cut[0] is whole


def flat(batches: list[Batch]) -> list[tuple[Any, ...]]:
    """Every sample with all that was said of it, in order."""
    return [
        (rows.identity.text, time, value, rows.kind, rows.unit, rows.help)
        for one in batches
        for rows in one.rows
        for time, value in zip(rows.times, rows.values, strict=True)
    ]


async def test_a_large_batch_takes_a_seq_for_each_piece(autojump_clock: MockClock) -> None:
    journal = GatedJournal()
    async with running(journal) as service:
        service.subscribe(Recorder(), "a")
        applied = await service.pipeline.submit(batch("a", "b", samples=6_000))
        assert [one.count for one in journal.taken] == [12_000]
        assert applied.samples == 12_000
        assert applied.cursor.seq == 3
        assert applied.watchers == 1  # of the first piece, though not of the last
        assert all(series.history.total == 6_000 for series in service.hub.catalog)


async def test_a_large_batch_is_refused_as_a_whole(autojump_clock: MockClock) -> None:
    async with running() as service:
        await service.pipeline.submit(batch("last"))
        large = batch("a", "b", samples=6_000)
        large.rows.extend(batch("last", value="on").rows)
        with pytest.raises(Rejected):
            await service.pipeline.submit(large)
        assert len(service.hub.catalog) == 1
        assert service.hub.seq == 4


async def test_the_outcome_is_told_whether_or_not_the_producer_is_there(
    autojump_clock: MockClock,
) -> None:
    journal = GatedJournal()
    limits, pacing = Limits(ingest_queue=1), Pacing(ingest_wait=0.01)
    async with running(journal, limits=limits, pacing=pacing) as service:
        submit = service.pipeline.submit
        told: list[Outcome] = []
        journal.shut()
        with trio.move_on_after(0.005) as gone:
            await submit(batch("a"), tell=told.append)
        assert gone.cancelled_caught
        assert told == []
        with trio.move_on_after(0.005):
            await submit(batch("b"), tell=told.append)
        with trio.move_on_after(0.005):
            await submit(batch("c"), tell=told.append)
        assert told == [None], "c never got into the channel"
        with pytest.raises(Overloaded):
            await submit(batch("d"), tell=told.append)
        assert told == [None, None]
        journal.gate.set()
        await submit(batch("a", value="state"), refused=[])
        assert [type(one) for one in told[2:]] == [Applied, Applied]
        with pytest.raises(Rejected):
            await submit(batch("a", value="state"), tell=told.append)
        assert isinstance(told[-1], Rejected)
        await submit(Batch([]), tell=told.append)
        assert isinstance(told[-1], Applied)


async def test_rows_that_can_not_be_taken_may_be_left_out(autojump_clock: MockClock) -> None:
    async with running(limits=Limits(series=2)) as service:
        await service.pipeline.submit(batch("a"))
        refused: list[Refused] = []
        mixed = Batch([*batch("a", value="x").rows, *batch("b", "c").rows])
        applied = await service.pipeline.submit(mixed, refused=refused)
        assert applied.samples == 1
        assert [(one.rows.identity.text, one.problem.code) for one in refused] == [
            ("a", "kind"),
            ("c", "series_limit"),
        ]
        seq = service.hub.seq
        nothing = await service.pipeline.submit(batch("c"), refused=refused)
        assert (nothing.samples, service.hub.seq, len(refused)) == (0, seq + 1, 3)


async def test_others_have_their_turn_while_much_that_waited_is_taken_in(
    autojump_clock: MockClock,
) -> None:
    journal = GatedJournal()
    async with running(journal) as service:
        names = [f"s{n}" for n in range(1_000)]
        journal.shut()
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(service.pipeline.submit, batch(*names))
            await trio.testing.wait_all_tasks_blocked()
            journal.gate.set()
            seen = set()
            while service.hub.seq < 40:
                await trio.lowlevel.checkpoint()
                seen.add(service.hub.seq)
        assert len(seen) > 10


async def test_a_batch_with_a_key_counts_once(autojump_clock: MockClock) -> None:
    async with running() as service:
        submit, once = service.pipeline.submit, b"k" * 16 + b"1" * 16
        first = await submit(batch("a", samples=3), once=once)
        await submit(batch("a"))
        again = await submit(batch("a", samples=3), once=once)
        assert (again.samples, again.cursor) == (3, first.cursor)
        with pytest.raises(Rejected, match="another body"):
            await submit(batch("b"), once=b"k" * 16 + b"2" * 16)
        series = service.hub.catalog.get("a")
        assert series is not None
        assert series.history.total == 4
        await trio.sleep(301)
        await submit(batch("a"), once=once)
        assert series.history.total == 5
        with pytest.raises(Rejected, match="a is a gauge"):
            await submit(batch("a", value="on"), once=b"x" * 32)
        assert (await submit(batch("a"), once=b"x" * 32)).samples == 1
