"""Several processes on one log, and what goes wrong with it, under a clock that jumps."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio.testing import MockClock

from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.query.selector import parse
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.core.storage.holdings import Applied
from pushsvc.core.storage.records import Change
from pushsvc.errors import Overloaded, Rejected
from pushsvc.pipeline import Outcome, now_ms
from tests.flow import Recorder, Service, batch, running
from tests.shared_log import BEGUN_MS, SharedJournal, SharedLog


def attach(service: Service, since: Cursor | None = None) -> Subscriber:
    spec = service.hub.grant([parse("a")], 20.0, None)
    return service.hub.subscribe(
        spec, Start(since), Recorder(), now=trio.current_time(), time_ms=now_ms()
    )


def values(subscriber: Subscriber) -> tuple[list[float], list[int | None]]:
    """What somebody is given now: values, and gaps."""
    given, gaps = [], []
    while (frame := subscriber.pull()) is not None:
        document = msgspec.json.decode(frame.json)
        if document["type"] == "points":
            given += [point[2] for point in document["points"]]
        elif document["type"] == "gap":
            gaps.append(document["lost"])
    return given, gaps


async def test_what_one_publishes_all_have(autojump_clock: MockClock) -> None:
    log = SharedLog()
    async with running(SharedJournal(log)) as first, running(SharedJournal(log)) as second:
        applied = await first.pipeline.submit(batch("a", value=1.0))
        await second.pipeline.submit(batch("a", value=2.0))
        await trio.sleep(0.1)
        assert first.hub.cursor == second.hub.cursor
        assert values(attach(second, applied.cursor)) == ([2.0], [])
        assert values(attach(first, applied.cursor)) == ([2.0], [])
    async with running(SharedJournal(log)) as third:
        assert third.hub.cursor == second.hub.cursor
        assert values(attach(third, applied.cursor)) == ([2.0], [])


@pytest.mark.parametrize("ahead", [-3_600, 10, 3_600])
async def test_a_log_from_times_to_come_is_told_of(ahead: int, autojump_clock: MockClock) -> None:
    log = SharedLog()
    log.skew_ms = now_ms() - BEGUN_MS + ahead * 1000
    async with running(SharedJournal(log)) as service:
        await service.pipeline.submit(batch("a"))
    with capture_logs() as told:
        async with running(SharedJournal(log)):
            pass
    words = [one for one in told if one["event"] == "the journal's clock is ahead"]
    assert [one["seconds"] > 3_000 for one in words] == ([True] if ahead > 60 else [])


async def test_a_key_counts_once_wherever_it_comes(autojump_clock: MockClock) -> None:
    log, once = SharedLog(), bytes(32)
    async with running(SharedJournal(log)) as first, running(SharedJournal(log)) as second:
        applied = await first.pipeline.submit(batch("a", samples=3), once=once)
        again = await second.pipeline.submit(batch("a", samples=3), once=once)
        assert (again.samples, again.cursor) == (3, applied.cursor)
        series = first.hub.catalog.get("a")
        assert series is not None
        assert series.history.total == 3


async def test_a_record_has_one_version_wherever_it_is_changed(autojump_clock: MockClock) -> None:
    log = SharedLog()
    async with running(SharedJournal(log)) as first, running(SharedJournal(log)) as second:
        told: list[str] = []

        async def save(service: Service, value: bytes) -> None:
            try:
                await service.pipeline.record(Change("dashboard", "a", value, 0))
            except Rejected as rejected:
                told.append(rejected.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(save, first, b"1")
            nursery.start_soon(save, second, b"2")
        await trio.sleep(0.1)
        assert told == ["record_version"]
        assert first.hub.records.dump() == second.hub.records.dump() != []
        # What is there only for a while goes also where nothing else grows old.
        until = _begun_ms() + 5_000
        assert second.pipeline.record_nowait(Change("ticket", "t", b"", until=until))
        await trio.sleep(0.1)
        assert first.hub.records.get("ticket", "t") is not None
        await trio.sleep(10)
        assert first.hub.records.get("ticket", "t") is None
        assert first.hub.records.dump() == second.hub.records.dump()


async def test_what_was_saved_last_is_lost_with_the_tail_and_nowhere_else(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    async with running(SharedJournal(log), snapshot_interval=10.0) as first:
        kept = await first.pipeline.record(Change("dashboard", "a", b"1", 0))
        for _ in range(12):
            await trio.sleep(1.0)
            await first.pipeline.submit(batch("a"))
        log.drop()
        async with running(SharedJournal(log)) as second:
            for service in (first, second):
                record = service.hub.records.get("dashboard", "a")
                assert record is not None
                assert (record.value, record.version) == (b"1", kept)
            told: list[str | None] = []
            second.hub.records.watch("dashboard", lambda _, name: told.append(name))
            await first.pipeline.record(Change("dashboard", "a", b"2", kept))
            await trio.sleep(0.1)
            log.lose(1)
            await trio.sleep(1.0)
            for service in (first, second):
                assert service.hub.epoch == "e2"
                assert [one.value for one in service.hub.records.of("dashboard")] == [b"1"]
            assert told[0] == "a"
            assert None in told, "any of them may be another one"


async def test_a_version_of_a_lost_tail_is_not_taken_for_the_one_that_has_its_place(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    away = SharedJournal(log)
    async with running(away) as first, running(SharedJournal(log)) as second:
        begun = await first.pipeline.record(Change("dashboard", "a", b"1", 0))
        await trio.sleep(0.1)
        change = Change("dashboard", "a", b"2", begun)
        seen = await first.pipeline.record(change)
        await trio.sleep(0.1)
        record = first.hub.records.get("dashboard", "a")
        assert record is not None
        away.cut = True  # it doesn't hear that the log has lost this, and that another was saved
        log.lose(1)
        await trio.sleep(0.1)
        assert await second.pipeline.record(Change("dashboard", "a", b"3", begun)) == seen
        told: list[str] = []

        async def save() -> None:
            try:
                mine = Change("dashboard", "a", b"4", record.version, seen=record.fingerprint)
                await first.pipeline.record(mine)
            except Rejected as rejected:
                told.append(rejected.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(save)
            await trio.sleep(0.1)
            away.cut = False
            log.tell()
        assert told == ["record_version"]
        for service in (first, second):
            assert [one.value for one in service.hub.records.of("dashboard")] == [b"3"]


async def test_a_snapshot_of_a_log_that_lost_its_tail_is_not_kept(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    far = SharedJournal(log)
    far.delay = 0.5  # a snapshot takes so long to get there
    async with running(far, snapshot_interval=5.0) as first:
        while not log.snapshots:
            await first.pipeline.submit(batch("a"))
            await trio.sleep(0.1)
        before = len(log.entries)
        while not first.pipeline._snapshots.keeping:  # the one that knows of this
            await first.pipeline.submit(batch("b"))
            await trio.sleep(0.1)
        log.lose(len(log.entries) - before)
        async with running(SharedJournal(log)) as second:
            for _ in range(10):
                await second.pipeline.submit(batch("c"))
            await trio.sleep(3.0)
            assert first.hub.epoch == second.hub.epoch == "e2"
    assert len(log.snapshots) == 1
    async with running(SharedJournal(log)) as third:
        assert {series.identity.name for series in third.hub.catalog} == {"a", "c"}


class Late(SharedJournal):
    """Its answers don't come while it is held up."""

    def __init__(self, log: SharedLog) -> None:
        super().__init__(log)
        self.answers = trio.Event()
        self.answers.set()

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        entries = await super().append(drafts)
        await self.answers.wait()
        return entries


async def test_who_is_answered_late_by_a_log_that_began_anew_does_not_wait_for_ever(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    late = Late(log)
    async with (
        running(late) as first,
        running(SharedJournal(log), snapshot_interval=2.0) as second,
        trio.open_nursery() as nursery,
    ):
        await second.pipeline.submit(batch("b"))
        await trio.sleep(0.1)
        told: list[str] = []

        async def submit() -> None:
            try:
                await first.pipeline.submit(batch("a"))
            except Overloaded as problem:
                told.append(problem.detail)

        late.answers = trio.Event()
        nursery.start_soon(submit)
        while not log.snapshots:  # which stands for what was submitted
            await trio.sleep(0.1)
        log.lose(0)
        await trio.sleep(1.0)
        assert first.hub.warm
        assert told == []
        late.answers.set()
        await trio.sleep(1.0)
        assert [detail[:19] for detail in told] == ["the log begins anew"]
        assert first.hub.cursor == second.hub.cursor


def _begun_ms() -> int:
    return BEGUN_MS + round(trio.current_time() * 1000)


async def test_a_producer_is_answered_when_it_is_both_read_and_safe(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    async with running(SharedJournal(log)) as service, trio.open_nursery() as nursery:
        log.mute = trio.Event()
        told: list[Outcome] = []

        async def submit() -> None:
            told.append(await service.pipeline.submit(batch("a")))

        nursery.start_soon(submit)
        await trio.sleep(0.5)
        assert service.hub.catalog.get("a") is not None
        assert told == []
        log.mute.set()
        await trio.sleep(0.1)
        assert [type(one) for one in told] == [Applied]


async def test_who_waits_for_a_log_that_is_away_is_told_and_nothing_is_lost(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    async with running(SharedJournal(log)) as service:
        await service.pipeline.submit(batch("a", value=0.0))
        watching = attach(service)
        assert values(watching) == ([0.0], [])
        log.away = True
        told: list[Outcome] = []
        begun = trio.current_time()
        with pytest.raises(Overloaded, match="can't be reached") as caught:
            await service.pipeline.submit(batch("a", value=1.0), tell=told.append)
        assert trio.current_time() - begun < 8
        assert caught.value.retry_after is not None
        assert told == []
        log.away = False
        log.tell()
        await trio.sleep(1.0)
        assert [type(one) for one in told] == [Applied]
        assert values(watching) == ([1.0], [])


async def test_a_lost_tail_is_told_as_a_gap_and_all_agree(autojump_clock: MockClock) -> None:
    log = SharedLog()
    async with running(SharedJournal(log)) as first, running(SharedJournal(log)) as second:
        kept = await first.pipeline.submit(batch("a", value=1.0))
        carrier = Recorder()
        spec = first.hub.grant([parse("a")], 20.0, None)
        first.hub.subscribe(spec, Start(), carrier, now=trio.current_time(), time_ms=now_ms())
        lost = await second.pipeline.submit(batch("a", "b", value=2.0))
        await trio.sleep(0.1)
        log.lose(len(log.entries) - 1)
        await trio.sleep(1.0)
        assert [ending.reason for _, what, ending in carrier.asked if ending] == ["journal"]
        for service in (first, second):
            assert service.hub.epoch == "e2" != lost.cursor.epoch
            assert service.hub.catalog.get("b") is None
            assert service.hub.warm
            assert values(attach(service, lost.cursor)) == ([1.0], [None])
            assert values(attach(service, kept.cursor)) == ([1.0], [None])
        await second.pipeline.submit(batch("a", value=3.0))
        await trio.sleep(0.1)
        assert first.hub.cursor == second.hub.cursor


async def test_what_a_lost_tail_cost_is_logged(autojump_clock: MockClock) -> None:
    log = SharedLog()
    with capture_logs() as logged:
        async with running(SharedJournal(log)) as service:
            kept = await service.pipeline.submit(batch("a", value=1.0))
            for value in (2.0, 3.0):
                lost = await service.pipeline.submit(batch("a", value=value))
            attach(service)
            log.lose(kept.cursor.seq)
            await trio.sleep(1.0)
    [told] = [one for one in logged if one["event"] == "the journal begins anew"]
    before, _, read = told["read"].rpartition(".")
    assert before == lost.cursor.epoch != told["epoch"]
    assert int(read) >= lost.cursor.seq
    # What comes after the loss may be there already when that is found.
    assert told["seqs_lost_at_least"] == max(0, int(read) - told["seq"])
    assert told["dashboards"] == 1
    assert "gap of unknown size" in told["told"]


async def test_what_was_appended_and_lost_is_to_be_sent_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SharedLog()
    async with running(SharedJournal(log)) as service:
        await service.pipeline.submit(batch("a", value=1.0))
        take = service.pipeline._reader._take

        async def miss(entry: Entry) -> None:
            """Lost before anything came of it."""
            if entry.seq == 1:
                await take(entry)

        async def lose() -> None:
            await trio.testing.wait_all_tasks_blocked()
            log.lose(1)
            log.mute.set()

        log.mute = trio.Event()
        monkeypatch.setattr(service.pipeline._reader, "_take", miss)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            with pytest.raises(Overloaded, match="send it again"):
                await service.pipeline.submit(batch("a", value=2.0))
        monkeypatch.undo()
        assert (await service.pipeline.submit(batch("a", value=2.0))).cursor == Cursor("e2", 2)


async def test_who_is_too_slow_to_read_begins_where_it_can(autojump_clock: MockClock) -> None:
    log = SharedLog()
    async with running(SharedJournal(log), snapshot_interval=10.0) as first:
        cursor = (await first.pipeline.submit(batch("a", value=1.0))).cursor
        for _ in range(40):
            await trio.sleep(1.0)
            await first.pipeline.submit(batch("a", value=2.0))
        assert len(log.snapshots) >= 3
        log.drop()
        async with running(SharedJournal(log)) as second:
            assert second.hub.cursor == first.hub.cursor
            assert second.hub.horizon == log.horizon
            assert values(attach(second, cursor))[1] == [None]
            assert values(attach(second, first.hub.cursor)) == ([], [])


async def test_what_comes_after_a_loss_is_not_called_lost(autojump_clock: MockClock) -> None:
    log = SharedLog()
    journal = SharedJournal(log)
    async with running(journal) as service:
        for value in range(15):
            await service.pipeline.submit(batch("a", value=float(value)))
        journal.delay = 0.1
        log.lose(0)
        while service.hub.warm:
            await trio.sleep(0.01)
        # It is appended behind what has to be read first, and the log has said so before that was.
        assert (await service.pipeline.submit(batch("a", value=15.0))).cursor.epoch == log.epoch


async def test_nobody_is_let_in_while_a_log_is_begun_anew(autojump_clock: MockClock) -> None:
    log = SharedLog()
    journal = SharedJournal(log)
    async with running(journal, snapshot_interval=2.0) as service:
        for _ in range(5):
            await service.pipeline.submit(batch("a"))
            await trio.sleep(1.0)
        assert log.snapshots
        journal.delay = 0.5
        log.lose(0)
        while service.hub.epoch != log.epoch:
            await trio.sleep(0.01)
        # It has yet to go on from the snapshot: a view made before knew of no series.
        with pytest.raises(Overloaded, match="being read"):
            attach(service)
        while not service.hub.warm:
            await trio.sleep(0.1)
        assert values(attach(service)) == ([1.0], [])
