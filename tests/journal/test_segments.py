"""The log of workers: whatever becomes of a worker, a datagram or the disk, the others read the
same entries, once, in order and whole."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import JournalError, Nonces, Snapshot
from pushsvc.journal.datagrams import Datagrams
from pushsvc.journal.keeping import Bounds
from pushsvc.journal.segments import SegmentsJournal, files, open_segments_journal
from pushsvc.journal.segments.files import Reading

nonce = Nonces()
IDENTITY = identify("up", {}, Limits())
BOUNDS = Bounds(3600, 10**9)


def draft(samples: int = 1) -> Draft:
    values = [random.random() for _ in range(samples)]
    return Draft(nonce(), Batch([Rows(IDENTITY, [1] * samples, [*values])]))


def content(one: Draft) -> tuple[bytes, list[list[object]]]:
    return one.nonce, [[*rows.values] for rows in one.batch.rows]


class Worker:
    """One of those who share a log, and what it has of it."""

    def __init__(self, journal: SegmentsJournal) -> None:
        self.journal = journal
        self.entries: list[Entry] = []
        self._more = trio.Event()

    async def append(self, *drafts: Draft) -> None:
        self._add(await self.journal.append(drafts))

    async def follow(self) -> None:
        async with aclosing(self.journal.read(0)) as slices:
            async for entries in slices:
                self._add(entries)

    def _add(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        self._more.set()
        self._more = trio.Event()

    async def reach(self, seq: int) -> None:
        with trio.fail_after(30):
            while not self.entries or self.entries[-1].last < seq:
                await self._more.wait()

    def is_whole(self, drafts: list[Draft]) -> bool:
        """Whether it has these, once and in their order, and as they were."""
        lasts = [0, *(entry.last for entry in self.entries)]
        dense = [entry.seq for entry in self.entries] == [last + 1 for last in lasts[:-1]]
        return dense and [content(one.draft) for one in self.entries] == [*map(content, drafts)]


@asynccontextmanager
async def opened(
    folder: Path, index: int = 0, count: int = 1, *, bounds: Bounds = BOUNDS
) -> AsyncGenerator[SegmentsJournal]:
    datagrams = Datagrams(folder, index, count)
    async with open_segments_journal(folder / "log", bounds, datagrams) as journal:
        yield journal


@asynccontextmanager
async def sharing(folder: Path, count: int) -> AsyncGenerator[list[Worker]]:
    """So many that share a log, each of which reads."""
    workers: list[Worker] = []

    async def run(index: int, *, task_status: trio.TaskStatus[None]) -> None:
        async with opened(folder, index, count) as journal:
            workers.append(Worker(journal))
            task_status.started()
            await workers[index].follow()

    async with trio.open_nursery() as nursery:
        for index in range(count):
            await nursery.start(run, index)
        yield workers
        nursery.cancel_scope.cancel()


async def read_all(journal: SegmentsJournal, after: int = 0) -> list[Entry]:
    found: list[Entry] = []
    with trio.fail_after(30):
        async with aclosing(journal.read(after)) as slices:
            while (found[-1].last if found else after) < journal.seq:
                found += await anext(slices)
    return found


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SEGMENT_BYTES", 2_000)


@pytest.mark.usefixtures("short_segments")
async def test_all_have_the_same_over_many_segments(tmp_path: Path) -> None:
    async with sharing(tmp_path, 3) as workers:
        drafts: list[Draft] = []
        for _ in range(120):
            # Too large for a datagram, now and then.
            some = [draft(random.choice((1, 1, 6_000))) for _ in range(random.randint(1, 3))]
            await random.choice(workers).append(*some)
            drafts += some
            if random.random() < 0.2:
                await trio.testing.wait_all_tasks_blocked(0.001)
        end = max(one.journal.seq for one in workers)
        for one in workers:
            await one.reach(end)
            assert one.is_whole(drafts)
        assert len([*(tmp_path / "log").glob("*.log")]) > 10


async def test_who_waits_is_told_without_a_look_into_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    read = Reading.read

    def reading(it: Reading, *args: object) -> list[Entry]:
        looks.append(1)
        return read(it, *args)  # type: ignore[arg-type]

    async with sharing(tmp_path, 2) as workers:
        drafts = [draft() for _ in range(20)]
        await trio.testing.wait_all_tasks_blocked(0.05)
        monkeypatch.setattr(Reading, "read", reading)
        for number, one in enumerate(drafts, 1):
            await workers[number % 2].append(one)
            for worker in workers:
                await worker.reach(number)
        assert len(looks) < 10
        assert all(worker.is_whole(drafts) for worker in workers)


@pytest.mark.parametrize("kept", [0.5, 0.9])
async def test_nothing_is_missed_where_datagrams_get_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    send = Datagrams.send
    monkeypatch.setattr(
        Datagrams,
        "send",
        lambda it, data: random.random() > kept or send(it, data),
    )
    async with sharing(tmp_path, 3) as workers:
        drafts: list[Draft] = []
        for _ in range(100):
            some = [draft() for _ in range(random.randint(1, 3))]
            await random.choice(workers).append(*some)
            drafts += some
        for one in workers:
            await one.reach(len(drafts))
            assert one.is_whole(drafts)


async def test_one_that_takes_nothing_holds_up_no_other(tmp_path: Path) -> None:
    stuck = Datagrams(tmp_path, 2, 3)  # it never listens: its queue is full soon
    try:
        async with trio.open_nursery() as nursery:
            workers: list[Worker] = []

            async def run(index: int, *, task_status: trio.TaskStatus[None]) -> None:
                async with opened(tmp_path, index, 3) as journal:
                    workers.append(Worker(journal))
                    task_status.started()
                    await workers[index].follow()

            for index in range(2):
                await nursery.start(run, index)
            drafts = [draft(200) for _ in range(100)]
            for number, one in enumerate(drafts, 1):
                await workers[number % 2].append(one)
                await workers[1 - number % 2].reach(number)
            for worker in workers:
                await worker.reach(100)
                assert worker.is_whole(drafts)
            nursery.cancel_scope.cancel()
    finally:
        stuck.close()


async def test_what_a_killed_one_has_begun_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        drafts = [draft(), draft(100), draft()]
        for one in drafts[:2]:
            await journal.append([one])
        log = tmp_path / "log" / "1.log"
        whole = log.read_bytes()
        # The beginning of a record, as long as may be.
        async with opened(tmp_path, 1, 2) as other:
            await other.append([draft(50)])
        torn = log.read_bytes()[len(whole) :]
        for length in (1, 40, len(torn) - 1):
            log.write_bytes(whole + torn[:length])
            async with opened(tmp_path, 1, 2) as other:
                assert other.seq == 2
                assert [content(one.draft) for one in await read_all(other)] == [
                    *map(content, drafts[:2])
                ]
        log.write_bytes(whole + torn[:60])
        await journal.append([drafts[2]])
        assert [content(one.draft) for one in await read_all(journal)] == [*map(content, drafts)]


async def test_what_was_changed_is_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for _ in range(3):
            await journal.append([draft(20)])
    log = tmp_path / "log" / "1.log"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    with pytest.raises(JournalError, match=r"is damaged .*restart"):
        async with opened(tmp_path):
            pass


async def test_a_full_disk_refuses_all_of_it_until_there_is_room(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.append([draft()])
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = (tmp_path / "log" / "1.log").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1_000, before[1]))
        try:
            with pytest.raises(Overloaded, match="no room left on its disk: make room"):
                await journal.append([draft(), draft(500)])
            assert journal.away_since is not None
            await journal.append([draft()])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert journal.away_since is None
        assert [one.seq for one in await read_all(journal)] == [1, 2]


async def test_removed_files_are_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.append([draft()])
        for path in (tmp_path / "log").iterdir():
            path.unlink()
        with trio.fail_after(30), pytest.raises(Overloaded, match=r"was removed .*restart"):
            while True:
                await journal.append([draft()])
                await trio.sleep(0.05)


async def test_who_finds_another_writing_waits_in_a_thread(tmp_path: Path) -> None:
    async with sharing(tmp_path, 2) as workers:
        drafts = [draft(), draft()]
        await workers[0].append(drafts[0])
        handle = os.open(tmp_path / "log" / "lock", os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers[0].append, drafts[1])
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert workers[0].journal.seq == 1  # and this task had its turn meanwhile
            os.close(handle)
        for worker in workers:
            await worker.reach(2)
            assert worker.is_whole(drafts)


@pytest.mark.usefixtures("short_segments")
async def test_old_segments_are_dropped_and_all_go_on(tmp_path: Path) -> None:
    bounds = Bounds(3600, 20_000)
    async with (
        opened(tmp_path, 0, 2, bounds=bounds) as journal,
        opened(tmp_path, 1, 2, bounds=bounds) as other,
    ):
        await other.append([draft()])  # it knows the first segment, which will be gone
        for _ in range(300):
            await journal.append([draft(), draft()])
            if journal.snapshot_wanted:
                # In the middle of what was appended together.
                await journal.keep(Snapshot(journal.seq - 1, 0, b"known"))
        assert 0 < journal.horizon < journal.seq
        known = await journal.snapshot()
        assert known is not None
        assert (known.seq, known.body) == (journal.horizon, b"known")
        assert (await journal.statistics()).bytes < 100_000
        await other.append([draft()])
        assert other.seq == 602
        async with opened(tmp_path, 1, 2, bounds=bounds) as third:
            assert (third.horizon, third.seq) == (journal.horizon, 602)
            found = await read_all(third, third.horizon)
        assert [one.seq for one in found] == [*range(journal.horizon + 1, 603)]


APPENDER = """
import os, random, sys, trio
from pathlib import Path
from tests.journal import test_segments as segments
segments.files.SEGMENT_BYTES = 20_000

async def main():
    async with segments.opened(Path(sys.argv[1]), int(sys.argv[2]), 3) as journal:
        while True:
            drafts = [segments.draft(random.choice((1, 30))) for _ in range(random.choice((1, 5)))]
            await journal.append(drafts)
            os.write(1, "".join(one.nonce.hex() + chr(10) for one in drafts).encode())

trio.run(main)
"""


async def test_what_was_answered_outlives_kill(tmp_path: Path) -> None:
    answered: list[str] = []
    chance = random.Random(7)

    def append_until_killed() -> None:
        both = [
            subprocess.Popen(
                [sys.executable, "-c", APPENDER, str(tmp_path), str(index)],
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[2],
            )
            for index in (1, 2)
        ]
        for child in both:
            assert child.stdout is not None
            answered.append(child.stdout.readline().decode().strip())
        time.sleep(chance.uniform(0, 0.2))
        for child in both:
            child.kill()
            said, _ = child.communicate(timeout=60)
            answered.extend(line for line in said.decode().split("\n")[:-1] if len(line) == 32)

    async with opened(tmp_path, 0, 3) as journal:
        for _ in range(4):
            await trio.to_thread.run_sync(append_until_killed)
            await journal.append([draft()])
        entries = await read_all(journal)
    assert [one.seq for one in entries] == [*range(1, journal.seq + 1)]
    nonces = [one.draft.nonce.hex() for one in entries]
    assert len({*nonces}) == len(nonces)
    assert {*answered} <= {*nonces}
    assert len(answered) == len({*answered}) > 8
