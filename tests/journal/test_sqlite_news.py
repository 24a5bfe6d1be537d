"""What processes that share a file tell each other: entries are told of once, in order and whole,
whatever becomes of the datagrams."""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal import Nonces
from pushsvc.journal.keeping import Mark
from pushsvc.journal.sqlite import AppendNotifier, SqliteJournal, open_sqlite_journal
from pushsvc.journal.sqlite.file import LogFile
from pushsvc.journal.sqlite.notifier import News

nonce = Nonces()
IDENTITY = identify("up", {}, Limits())


def draft(samples: int = 1) -> Draft:
    """Of samples that can't be compressed."""
    values = [random.random() for _ in range(samples)]
    return Draft(nonce(), Batch([Rows(IDENTITY, [1] * samples, [*values])]))


class Reader:
    """What one of those who share the file has read."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._more = trio.Event()

    async def follow(self, journal: SqliteJournal) -> None:
        async with aclosing(journal.read(0)) as slices:
            async for entries in slices:
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
        return dense and [*map(content, self.drafts)] == [*map(content, drafts)]

    @property
    def drafts(self) -> list[Draft]:
        return [entry.draft for entry in self.entries]


def content(one: Draft) -> tuple[bytes, list[list[object]]]:
    return one.nonce, [[*rows.values] for rows in one.batch.rows]


Sharing = tuple[list[SqliteJournal], list[Reader]]


@asynccontextmanager
async def sharing(
    folder: Path, count: int, notifier: Callable[[int], AppendNotifier] | None = None
) -> AsyncGenerator[Sharing]:
    """So many that share a file, each with a reader that has read all of nothing."""
    journals: list[SqliteJournal] = []
    readers = [Reader() for _ in range(count)]

    async def run(index: int, task_status: trio.TaskStatus[None]) -> None:
        make = notifier or (lambda index: AppendNotifier(folder, index, count))
        async with open_sqlite_journal(
            folder / "log",
            keep_seconds=3600,
            max_bytes=10**9,
            synchronous="normal",
            shared=True,
            notifier=make(index),
        ) as journal:
            journals.append(journal)
            task_status.started()
            await readers[index].follow(journal)

    async def start(index: int, *, task_status: trio.TaskStatus[None]) -> None:
        await run(index, task_status)

    async with trio.open_nursery() as nursery:
        for index in range(count):
            await nursery.start(start, index)
        yield journals, readers
        nursery.cancel_scope.cancel()


async def settle(readers: list[Reader], append: Awaitable[object], seq: int) -> None:
    await append
    for reader in readers:
        await reader.reach(seq)


async def test_what_is_told_of_is_not_read_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    read = LogFile.read

    def reading(file: LogFile, *args: object, **others: object) -> list[Entry]:
        looks.append(threading.get_ident())
        return read(file, *args, **others)  # type: ignore[arg-type]

    async with sharing(tmp_path, 2) as (journals, readers):
        drafts = [draft() for _ in range(22)]
        await settle(readers, journals[0].append(drafts[:1]), 1)
        await settle(readers, journals[1].append(drafts[1:2]), 2)
        monkeypatch.setattr(LogFile, "read", reading)
        for number, one in enumerate(drafts[2:], 3):
            await settle(readers, journals[number % 2].append([one]), number)
        # Both look after a second in which nothing came, and when one is far behind, but not for
        # each.
        assert len(looks) < 20
        assert readers[0].is_whole(drafts)
        assert readers[1].is_whole(drafts)


async def test_large_entries_are_told_of_without_their_bytes(tmp_path: Path) -> None:
    async with sharing(tmp_path, 2) as (journals, readers):
        drafts = [draft(), draft(12_000), draft(), draft(4_000), draft()]
        for place, one in enumerate(drafts):
            await journals[place % 2].append([one])
        for reader in readers:
            await reader.reach(journals[0].seq)
            assert reader.is_whole(drafts)


class Forgetful(AppendNotifier):
    """One that leaves out some of what it is to tell."""

    kept = 0.5

    def notify(self, news: News) -> None:
        if random.random() < self.kept:
            super().notify(news)


@pytest.mark.parametrize("kept", [0.5, 0.9])
async def test_nothing_is_missed_where_datagrams_get_lost(tmp_path: Path, kept: float) -> None:
    def forgetful(index: int) -> AppendNotifier:
        notifier = Forgetful(tmp_path, index, 3)
        notifier.kept = kept
        return notifier

    async with sharing(tmp_path, 3, forgetful) as (journals, readers):
        drafts: list[Draft] = []
        for _ in range(120):
            some = [draft(random.choice((1, 1, 6_000))) for _ in range(random.randint(1, 3))]
            await random.choice(journals).append(some)
            drafts += some
        for reader in readers:
            await reader.reach(max(one.seq for one in journals))
            assert reader.is_whole(drafts)


async def test_one_that_takes_nothing_holds_up_no_other(tmp_path: Path) -> None:
    # The third never listens: its queue is full soon.
    with closing(AppendNotifier(tmp_path, 2, 3)):
        notifiers = [AppendNotifier(tmp_path, index, 3) for index in range(2)]
        async with sharing(tmp_path, 2, notifiers.__getitem__) as (journals, readers):
            drafts = [draft(200) for _ in range(100)]
            for number, one in enumerate(drafts, 1):
                await settle(readers, journals[number % 2].append([one]), number)
            assert readers[0].is_whole(drafts)
            assert readers[1].is_whole(drafts)


async def test_news_of_what_is_not_there_changes_nothing(tmp_path: Path) -> None:
    with closing(AppendNotifier(tmp_path, 2, 3)) as stranger:
        notifiers = [AppendNotifier(tmp_path, index, 3) for index in range(2)]
        async with sharing(tmp_path, 2, notifiers.__getitem__) as (journals, readers):
            drafts = [draft()]
            await settle(readers, journals[0].append(drafts), 1)
            end = Mark(9, 9, 9, 9, 9)
            stranger.notify(News("0" * 8, end, end, ((2, 1, b"of another epoch"),)))
            stranger.notify(News(journals[0].epoch, Mark(), Mark(), ((2, 1, b"broken"),)))
            stranger.notify(News(journals[0].epoch, Mark(), Mark()))
            drafts.append(draft())
            await settle(readers, journals[0].append(drafts[1:]), 2)
            assert readers[1].is_whole(drafts)
