"""What every journal promises, whatever keeps it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from itertools import count, pairwise
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from pushsvc.core.model.cursor import Cursor, parse_cursor
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal import Dropped, Journal, Nonces, Snapshot
from pushsvc.journal.datagrams import Datagrams
from pushsvc.journal.keeping import Bounds
from pushsvc.journal.memory import MemoryJournal
from pushsvc.journal.segments import open_segments_journal
from pushsvc.journal.sqlite import open_sqlite_journal
from pushsvc.journal.valkey import Options, open_valkey_journal
from tests.journal.valkey_server import PROGRAMS, ValkeyServer, running

OpenJournal = Callable[..., Awaitable[Journal]]
Opening = AbstractAsyncContextManager[Journal]


@asynccontextmanager
async def memory(_: pytest.FixtureRequest, _name: str, _keep: float) -> AsyncGenerator[Journal]:
    yield MemoryJournal()


def _file(request: pytest.FixtureRequest, name: str) -> Path:
    directory: Path = request.getfixturevalue("tmp_path")
    return directory / f"{name}.db"


@asynccontextmanager
async def in_sqlite(
    request: pytest.FixtureRequest, name: str, keep: float
) -> AsyncGenerator[Journal]:
    path = _file(request, name)
    async with open_sqlite_journal(path, keep_seconds=keep, max_bytes=10**9) as journal:
        yield journal


@asynccontextmanager
async def in_shared_sqlite(
    request: pytest.FixtureRequest, name: str, keep: float
) -> AsyncGenerator[Journal]:
    path = _file(request, name)
    async with open_sqlite_journal(
        path, keep_seconds=keep, max_bytes=10**9, synchronous="normal", shared=True
    ) as journal:
        yield journal


@asynccontextmanager
async def in_segments(
    request: pytest.FixtureRequest, name: str, keep: float
) -> AsyncGenerator[Journal]:
    folder = _file(request, name).with_suffix("")
    folder.mkdir(exist_ok=True)
    index = sum(path.name.startswith("notify-") for path in folder.iterdir())
    datagrams = Datagrams(folder, index, 10)
    async with open_segments_journal(folder / "log", Bounds(keep, 10**9), datagrams) as journal:
        yield journal


@asynccontextmanager
async def at_valkey(
    request: pytest.FixtureRequest, name: str, keep: float
) -> AsyncGenerator[Journal]:
    server: ValkeyServer = request.getfixturevalue(f"{request.param}_server")
    prefix = f"{request.getfixturevalue('tmp_path').name}-{name}"
    async with open_valkey_journal(
        server.url, Options(prefix=prefix, keep_seconds=keep)
    ) as journal:
        yield journal


JOURNALS: dict[str, Callable[[pytest.FixtureRequest, str, float], Opening]] = {
    "memory": memory,
    "sqlite": in_sqlite,
    "sqlite, shared": in_shared_sqlite,
    "segments": in_segments,
    "valkey": at_valkey,
    "redis": at_valkey,
}
"""Each opens the journal of a name, that keeps what is younger than so many seconds."""

KEEPING = ("sqlite", "sqlite, shared", "segments", "valkey", "redis")
"""Those that are there again when they are opened again."""
SHARED = ("sqlite, shared", "segments", "valkey", "redis")
"""Those that several processes have open at once."""
keeping = pytest.mark.parametrize("open_journal", KEEPING, indirect=True)
shared = pytest.mark.parametrize("open_journal", SHARED, indirect=True)
_names = count()


@pytest.fixture(scope="module")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running(tmp_path_factory.mktemp("redis"), program=PROGRAMS["redis"]()) as server:
        yield server


@pytest.fixture(params=JOURNALS)
def open_journal(
    request: pytest.FixtureRequest, nursery: trio.Nursery, tmp_path: Path
) -> OpenJournal:
    """Opens a journal of the kind under test: a new one, which begins a run of its own, or the one
    of a name. Closed ones can be opened again, if they are kept."""
    if JOURNALS[request.param] is at_valkey:
        request.getfixturevalue(f"{request.param}_server")

    async def keep_open(name: str, keep: float, *, task_status: trio.TaskStatus[Journal]) -> None:
        async with JOURNALS[request.param](request, name, keep) as journal:
            task_status.started(journal)
            await trio.sleep_forever()

    async def open_one(name: str | None = None, keep: float = 3600.0) -> Journal:
        name = f"journal{next(_names)}" if name is None else name
        journal: Journal = await nursery.start(keep_open, name, keep)
        return journal

    return open_one


nonce = Nonces()


def draft(value: float = 1.0, samples: int = 1) -> Draft:
    identity = identify("up", {}, Limits())
    return Draft(nonce(), Batch([Rows(identity, [1] * samples, [value] * samples)]))


async def read_all(journal: Journal, after: int = 0) -> list[Entry]:
    """What `read` gives after a seq, up to the end."""
    found: list[Entry] = []
    with trio.fail_after(30):
        async with aclosing(journal.read(after)) as slices:
            while (found[-1].last if found else after) < journal.seq:
                found += await anext(slices)
    return found


def places_of(entries: Sequence[Entry]) -> list[tuple[int, int, bytes]]:
    return [(one.seq, one.stamp, one.draft.nonce) for one in entries]


class Log:
    """What there is of a journal: what `append` returned, and else what is read."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.entries: list[Entry] = []
        self._news = trio.Event()

    async def append(self, *drafts: Draft) -> None:
        self._add(await self.journal.append(drafts))

    async def follow(
        self, after: int = 0, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with aclosing(self.journal.read(after)) as slices:
            task_status.started()
            async for entries in slices:
                self._add(entries)

    async def wait(self, count: int) -> list[Entry]:
        """All entries, when there are so many."""
        with trio.fail_after(30):
            while len(self.entries) < count:
                self._news = trio.Event()
                await self._news.wait()
        return self.entries

    def _add(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        self._news.set()


@asynccontextmanager
async def following(journal: Journal, after: int = 0) -> AsyncGenerator[Log]:
    log = Log(journal)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.follow, after)
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


@keeping
async def test_what_is_opened_again_goes_on(open_journal: OpenJournal) -> None:
    journal = await open_journal("kept")
    epoch = journal.epoch
    async with following(journal) as log:
        await log.append(draft(1.0, 12_000), draft())
        await log.append(draft())
        before = places_of(await log.wait(3))
    again = await open_journal("kept")
    assert (again.epoch, again.seq, again.horizon) == (epoch, 5, 0)
    assert await again.snapshot() is None
    assert places_of(await read_all(again)) == before
    await again.append([draft()])
    assert again.seq == 6
    await again.aclose()
    third = await open_journal("kept")
    entries = await read_all(third)
    assert places_of(entries)[:3] == before
    assert [one.seq for one in entries] == [1, 4, 5, 6]


@keeping
async def test_reading_begins_after_any_entry(open_journal: OpenJournal) -> None:
    journal = await open_journal("kept")
    async with following(journal) as log:
        for samples in (1, 5_001, 1, 10_000, 1):
            await log.append(draft(1.0, samples))
        entries = places_of(await log.wait(5))
        lasts = [one.last for one in log.entries]
    again = await open_journal("kept")
    for index, last in enumerate(lasts):
        assert places_of(await read_all(again, last)) == entries[index + 1 :]


@keeping
async def test_a_long_past_comes_in_slices(open_journal: OpenJournal) -> None:
    journal = await open_journal("kept")
    drafts = [draft(float(n)) for n in range(3_000)]
    await journal.append(drafts)
    await journal.aclose()
    again = await open_journal("kept")
    slices, place = [], 0
    async with aclosing(again.read(0)) as reading:
        while place < again.seq:
            slices.append(await anext(reading))
            place = slices[-1][-1].last
    assert len(slices) > 2
    assert [one.draft.nonce for part in slices for one in part] == [one.nonce for one in drafts]


@keeping
async def test_stamps_never_go_back_with_the_clock(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await open_journal("kept")
    await journal.append([draft()])
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    await journal.append([draft()])
    await journal.aclose()
    again = await open_journal("kept")
    await again.append([draft()])
    await again.aclose()
    stamps = [one.stamp for one in await read_all(await open_journal("kept"))]
    assert len(stamps) == 3
    assert all(a <= b for a, b in pairwise(stamps))


@keeping
async def test_a_snapshot_is_where_reading_begins(open_journal: OpenJournal) -> None:
    journal = await open_journal("kept", keep=0.0)
    async with following(journal) as log:
        await log.append(draft(), draft(1.0, 7_000), draft())
        entries = await log.wait(3)
        place = entries[1]
        await journal.keep(Snapshot(place.last, place.stamp, b"what was known"))
        assert journal.horizon == place.last == 3
        assert (journal.epoch, journal.seq) == (journal.epoch, 4)
    again = await open_journal("kept", keep=0.0)
    assert again.horizon == 3
    assert await again.snapshot() == Snapshot(3, place.stamp, b"what was known")
    for after in (0, 1):
        with pytest.raises(Dropped):
            async with aclosing(again.read(after)) as slices:
                await anext(slices)
    assert places_of(await read_all(again, 3)) == places_of(entries[2:])


@keeping
async def test_seqs_go_on_where_all_entries_are_gone(open_journal: OpenJournal) -> None:
    journal = await open_journal("kept", keep=0.0)
    async with following(journal) as log:
        await log.append(draft(), draft())
        last = (await log.wait(2))[-1]
        await journal.keep(Snapshot(last.last, last.stamp, b""))
    again = await open_journal("kept", keep=0.0)
    assert (again.seq, again.horizon) == (2, 2)
    async with following(again, 2) as log:
        await log.append(draft())
        entry = (await log.wait(1))[0]
    assert entry.seq == 3
    assert entry.stamp >= last.stamp


@keeping
async def test_what_is_young_is_kept(open_journal: OpenJournal) -> None:
    journal = await open_journal("kept", keep=3600.0)
    async with following(journal) as log:
        for _ in range(10):
            await log.append(draft())
            last = log.entries[-1] if log.entries else None
            if last is not None:
                await journal.keep(Snapshot(last.last, last.stamp, b""))
        await log.wait(10)
    again = await open_journal("kept", keep=3600.0)
    assert again.horizon == 0
    assert await again.snapshot() is None
    assert len(await read_all(again)) == 10


@shared
async def test_all_read_what_any_appends(open_journal: OpenJournal) -> None:
    journals = [await open_journal("shared") for _ in range(3)]
    assert len({journal.epoch for journal in journals}) == 1
    logs = [Log(journal) for journal in journals]
    async with trio.open_nursery() as nursery:
        for log in logs:
            await nursery.start(log.follow)
        drafts = [[draft() for _ in range(20)] for _ in logs]

        async def append(log: Log, own: list[Draft]) -> None:
            for one in own:
                await log.append(one)

        async with trio.open_nursery() as inner:
            for log, own in zip(logs, drafts, strict=True):
                inner.start_soon(append, log, own)
        for log in logs:
            await log.wait(60)
        for journal in journals:
            await journal.aclose()
    first = places_of(logs[0].entries)
    assert all(places_of(log.entries) == first for log in logs)
    assert [seq for seq, _, _ in first] == list(range(1, 61))
    assert {one for _, _, one in first} == {one.nonce for own in drafts for one in own}
    for own in drafts:  # each one's in its order
        nonces = [one.nonce for one in own]
        assert [one for _, _, one in first if one in set(nonces)] == nonces


@shared
async def test_who_reads_too_slowly_is_told(open_journal: OpenJournal) -> None:
    slow, journal = await open_journal("shared", keep=0.0), await open_journal("shared", keep=0.0)
    async with following(journal) as log, aclosing(slow.read(0)) as slices:
        await log.append(draft())
        assert len(await anext(slices)) == 1
        await log.append(draft(), draft())
        last = (await log.wait(3))[-1]
        await journal.keep(Snapshot(last.last, last.stamp, b""))
        with pytest.raises(Dropped):
            await anext(slices)
    await slow.aclose()
