"""What every journal promises, whatever keeps it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing

from pushsvc.core.cursor import Cursor, parse_cursor
from pushsvc.core.entry import Draft, Entry
from pushsvc.core.limits import Limits
from pushsvc.core.series import Batch, Rows, identify
from pushsvc.journal import Dropped, Journal, Nonces
from pushsvc.journal.memory import MemoryJournal
from pushsvc.journal.valkey import Options, open_valkey_journal
from tests.journal.valkey_server import ValkeyServer, running

OpenJournal = Callable[[], Awaitable[Journal]]
Opening = AbstractAsyncContextManager[Journal]


@asynccontextmanager
async def memory(_: pytest.FixtureRequest, _name: str) -> AsyncGenerator[Journal]:
    yield MemoryJournal()


@asynccontextmanager
async def at_valkey(request: pytest.FixtureRequest, name: str) -> AsyncGenerator[Journal]:
    server: ValkeyServer = request.getfixturevalue("valkey_server")
    async with open_valkey_journal(server.url, Options(prefix=name)) as journal:
        yield journal


JOURNALS: dict[str, Callable[[pytest.FixtureRequest, str], Opening]] = {
    "memory": memory,
    "valkey": at_valkey,
}


@pytest.fixture(scope="module")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(params=JOURNALS)
def open_journal(request: pytest.FixtureRequest, nursery: trio.Nursery) -> OpenJournal:
    """Opens a new journal of the kind under test; each call begins a run of its own."""
    if request.param == "valkey":
        request.getfixturevalue("valkey_server")

    async def keep_open(*, task_status: trio.TaskStatus[Journal]) -> None:
        async with JOURNALS[request.param](request, secrets.token_hex(8)) as journal:
            task_status.started(journal)
            await trio.sleep_forever()

    async def open_one() -> Journal:
        journal: Journal = await nursery.start(keep_open)
        return journal

    return open_one


nonce = Nonces()


def draft(value: float = 1.0, samples: int = 1) -> Draft:
    identity = identify("up", {}, Limits())
    return Draft(nonce(), Batch([Rows(identity, [1] * samples, [value] * samples)]))


class Log:
    """What there is of a journal: what `append` returned, and else what is read."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.entries: list[Entry] = []
        self._news = trio.Event()

    async def append(self, *drafts: Draft) -> None:
        self._add(await self.journal.append(drafts))

    async def follow(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with aclosing(self.journal.read(0)) as slices:
            task_status.started()
            async for entries in slices:
                self._add(entries)

    async def wait(self, count: int) -> list[Entry]:
        """All entries, when there are so many."""
        with trio.fail_after(10):
            while len(self.entries) < count:
                self._news = trio.Event()
                await self._news.wait()
        return self.entries

    def _add(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        self._news.set()


@asynccontextmanager
async def following(journal: Journal) -> AsyncGenerator[Log]:
    log = Log(journal)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.follow)
        yield log
        await journal.aclose()


def places(drafts: list[Draft], first: int) -> list[tuple[int, bytes]]:
    """Where drafts are that were appended one after the other."""
    found = []
    for one in drafts:
        found.append((first, one.nonce))
        first += one.width
    return found


async def test_entries_are_dense_and_in_order(open_journal: OpenJournal) -> None:
    journal = await open_journal()
    assert (journal.seq, journal.horizon) == (0, 0)
    drafts = [draft(float(n), samples) for n, samples in enumerate((1, 5_000, 5_001, 12_000, 1))]
    async with following(journal) as log:
        await log.append(*drafts[:2])
        await log.append(*drafts[2:])
        entries = await log.wait(5)
    assert [(one.seq, one.draft.nonce) for one in entries] == places(drafts, 1)
    assert entries[-1].last == journal.seq == 8


async def test_those_who_append_at_once_are_all_there_once(open_journal: OpenJournal) -> None:
    async with following(await open_journal()) as log:
        appended: list[bytes] = []

        async def append() -> None:
            for _ in range(10):
                one = draft()
                await log.append(one)
                appended.append(one.nonce)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(append)
        entries = await log.wait(50)
    assert [one.seq for one in entries] == list(range(1, 51))
    assert {one.draft.nonce for one in entries} == set(appended)


async def test_what_comes_back_is_what_was_appended(open_journal: OpenJournal) -> None:
    rows = [
        Rows(identify("a", {"host": "x"}, Limits()), [1, 2], [1.5, None], "gauge", "s", "", True),
        Rows(identify("b", {}, Limits()), [3], ["on"], "state"),
        Rows(identify("c", {}, Limits()), [3, 4], [1.0, 2.0], "delta", starts=[2, 3]),
    ]
    whole = Draft(nonce(), Batch(rows), partial=True)
    async with following(await open_journal()) as log:
        await log.append(whole, Draft(nonce(), Batch([])))
        entry, sweep = await log.wait(2)
    assert entry.draft.partial
    assert not entry.draft.sweeps
    assert [told(one) for one in entry.draft.batch.rows] == [told(one) for one in rows]
    assert sweep.draft.sweeps


def told(rows: Rows) -> tuple[object, ...]:
    return (rows.identity.text, *list(msgspec.structs.astuple(rows))[1:])


async def test_stamps_never_go_back(open_journal: OpenJournal) -> None:
    async with following(await open_journal()) as log:
        for _ in range(20):
            await log.append(draft())
        stamps = [one.stamp for one in await log.wait(20)]
    assert stamps == sorted(stamps)
    assert stamps[0] > 1_600_000_000_000


async def test_what_is_not_there_is_not_read(open_journal: OpenJournal) -> None:
    journal = await open_journal()
    async with following(journal) as log:
        await log.append(draft(), draft())
        await log.wait(2)
    if journal.horizon > 1:
        with pytest.raises(Dropped):
            await anext(journal.read(1))


async def test_every_run_has_its_own_epoch(open_journal: OpenJournal) -> None:
    journals = [await open_journal() for _ in range(20)]
    assert len({journal.epoch for journal in journals}) == 20
    for journal in journals:
        before = journal.epoch
        await journal.append([draft()])
        assert journal.epoch == before
        assert parse_cursor(str(Cursor(journal.epoch, journal.seq))).epoch == before
        await journal.aclose()


async def test_appending_checkpoints(open_journal: OpenJournal) -> None:
    journal = await open_journal()
    with trio.testing.assert_checkpoints():
        await journal.append([draft()])
    await journal.aclose()


async def test_a_cancelled_append_is_there_or_not(open_journal: OpenJournal) -> None:
    journal = await open_journal()
    drafts = [draft(), draft()]
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.append(drafts)
    assert journal.seq in (0, 2)
    await journal.append([draft()])
    assert journal.seq in (1, 3)
    await journal.aclose()


async def test_closing_ends_reading_and_nothing_is_appended(open_journal: OpenJournal) -> None:
    journal = await open_journal()
    async with following(journal) as log:
        await log.append(draft())
        await log.wait(1)
    await journal.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await journal.append([draft()])


async def test_a_cancelled_close_closes(open_journal: OpenJournal) -> None:
    journal = await open_journal()
    with trio.CancelScope() as scope:
        scope.cancel()
        await journal.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await journal.append([draft()])
