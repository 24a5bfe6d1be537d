"""What the journal at a Valkey promises when processes, servers and the way between them fail."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trio

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Dropped, EpochChanged, Nonces, Snapshot
from pushsvc.journal.valkey import Options, open_valkey_journal
from pushsvc.journal.valkey.journal import ValkeyJournal
from tests.journal.link import open_link
from tests.journal.valkey_server import PROGRAMS, ValkeyServer, running

UP = identify("up", {}, Limits())
nonces = Nonces()


def draft(value: float = 1.0, samples: int = 1) -> Draft:
    return Draft(nonces(), Batch([Rows(UP, [1] * samples, [float(value)] * samples)]))


def values(entries: Sequence[Entry]) -> list[float]:
    return [entry.draft.batch.rows[0].values[0] for entry in entries]  # type: ignore[misc]


async def append(journal: ValkeyJournal, *numbers: float) -> None:
    await journal.append([draft(number) for number in numbers])


async def take(journal: ValkeyJournal, count: int, after: int = 0) -> list[Entry]:
    """So many entries, from a reading of their own."""
    entries: list[Entry] = []
    async with aclosing(journal.read(after)) as reading:
        while len(entries) < count:
            entries += await anext(reading)
    return entries


class Reader:
    """Reads on and on, and notes what came and how it ended."""

    def __init__(self, journal: ValkeyJournal) -> None:
        self.journal = journal
        self.entries: list[Entry] = []
        self.ended: Exception | None = None

    async def run(self, after: int = 0) -> None:
        try:
            async with aclosing(self.journal.read(after)) as reading:
                async for entries in reading:
                    self.entries += entries
        except (EpochChanged, Dropped) as error:
            self.ended = error

    async def wait(self, count: int) -> list[Entry]:
        with trio.fail_after(20):
            while len(self.entries) < count:
                await trio.sleep(0.01)
        return self.entries

    async def wait_end(self) -> Exception:
        with trio.fail_after(20):
            while self.ended is None:
                await trio.sleep(0.01)
        return self.ended


async def wait_away(journal: ValkeyJournal) -> None:
    with trio.fail_after(20):
        while journal.away_since is None:
            await trio.sleep(0.01)


async def wait_back(journal: ValkeyJournal) -> None:
    with trio.fail_after(20):
        while journal.away_since is not None:
            await trio.sleep(0.01)


@asynccontextmanager
async def three(url: str) -> AsyncIterator[list[ValkeyJournal]]:
    async with (
        open_valkey_journal(url) as first,
        open_valkey_journal(url) as second,
        open_valkey_journal(url) as third,
    ):
        yield [first, second, third]


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.long)])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ValkeyServer]:
    with running(tmp_path / "server", program=PROGRAMS[request.param]()) as server:
        yield server


async def test_all_processes_read_the_same_in_the_same_order(server: ValkeyServer) -> None:
    async with three(server.url) as journals, trio.open_nursery() as nursery:
        readers = [Reader(journal) for journal in journals]
        for reader in readers:
            nursery.start_soon(reader.run)

        async def publish(journal: ValkeyJournal, kind: int) -> None:
            for number in range(50):
                await append(journal, kind + number, kind + number + 0.5)

        for kind, journal in enumerate(journals):
            nursery.start_soon(publish, journal, 1000 * kind)
            nursery.start_soon(publish, journal, 1000 * kind + 500)
        for reader in readers:
            await reader.wait(600)
        seen = [
            [(entry.seq, entry.stamp, entry.draft.nonce) for entry in reader.entries]
            for reader in readers
        ]
        assert seen[0] == seen[1] == seen[2]
        assert [entry.seq for entry in readers[0].entries] == list(range(1, 601))
        stamps = [entry.stamp for entry in readers[0].entries]
        assert stamps == sorted(stamps)
        for kind in (0, 500, 1000, 1500, 2000, 2500):  # each in the order of its producer
            its = [each for each in values(readers[1].entries) if kind <= each < kind + 500]
            assert its == [kind + number / 2 for number in range(100)]
        nursery.cancel_scope.cancel()


async def test_seqs_are_as_many_as_pieces(server: ValkeyServer) -> None:
    async with open_valkey_journal(server.url) as journal:
        await journal.append([draft(1.0, 12_000), draft(2.0), draft(3.0, 5_000)])
        await journal.append([Draft(nonces(), Batch([]))])
        entries = await take(journal, 4)
        assert [(entry.seq, entry.last) for entry in entries] == [(1, 3), (4, 4), (5, 5), (6, 6)]
        assert journal.seq == 6
    async with open_valkey_journal(server.url) as journal:  # and read from the server
        entries = await take(journal, 3, after=3)
        assert [entry.seq for entry in entries] == [4, 5, 6]
        assert entries[2].draft.sweeps
        assert (await take(journal, 4))[0].draft.batch.count == 12_000


async def test_what_was_answered_outlives_kill_and_is_there_once(server: ValkeyServer) -> None:
    async with three(server.url) as journals, trio.open_nursery() as nursery:
        readers = [Reader(journal) for journal in journals]
        for reader in readers:
            nursery.start_soon(reader.run)
        epoch = journals[0].epoch
        answered: list[float] = []
        sent: list[float] = []
        publishing = True

        async def publish(journal: ValkeyJournal, kind: int) -> None:
            number = kind
            while publishing:
                number += 1
                sent.append(number)
                try:
                    await append(journal, number)
                except Overloaded:
                    sent.remove(number)
                    await trio.sleep(0.05)
                else:
                    answered.append(number)

        for kind, journal in enumerate(journals):
            nursery.start_soon(publish, journal, kind * 1_000_000)
        for _ in range(5):
            await trio.sleep(0.2)
            server.kill()
            await trio.sleep(0.05)
            server.start()
        for journal in journals:
            await wait_back(journal)
        publishing = False
        with trio.fail_after(20):
            while len(answered) < len(sent):
                await trio.sleep(0.01)
        for reader in readers:
            await reader.wait(len(answered))
            assert sorted(values(reader.entries)) == sorted(answered)
            assert [entry.seq for entry in reader.entries] == list(range(1, len(answered) + 1))
            assert reader.ended is None
        assert [journal.epoch for journal in journals] == [epoch] * 3
        nursery.cancel_scope.cancel()


async def test_an_append_whose_answer_is_lost_counts_once(server: ValkeyServer) -> None:
    async with (
        open_link(server.port) as link,
        open_valkey_journal(link.url) as journal,
        trio.open_nursery() as nursery,
    ):
        await append(journal, 1)
        link.mute = True
        nursery.start_soon(append, journal, 2, 3)
        with trio.fail_after(30), server.client() as client:
            while client.xlen("{pushsvc}:log") < 3:
                await trio.sleep(0.01)
        link.cut()
        await wait_away(journal)
        with pytest.raises(Overloaded) as refused:  # not sent, and so not in it
            await append(journal, 4)
        assert refused.value.code == "journal"
        assert refused.value.document()["retry_after"] > 0
        link.mute = False
        await wait_back(journal)
        await append(journal, 5)
        assert values(await take(journal, 4)) == [1, 2, 3, 5]


async def test_a_cancelled_append_is_in_it_whole_or_not_at_all(server: ValkeyServer) -> None:
    async with open_valkey_journal(server.url) as journal:
        for number in range(20):
            with trio.move_on_after(0.0005 * number):
                await append(journal, number, number + 0.5)
        await append(journal, 99)
        read: list[Entry] = []
        while 99 not in values(read):
            read = await take(journal, len(read) + 1)
        there = values(read)[:-1]
        assert there[::2] == [each - 0.5 for each in there[1::2]]


@pytest.mark.parametrize("how", ["emptied", "older"])
async def test_a_lost_tail_is_found_and_the_epoch_raised_once(
    server: ValkeyServer, how: str
) -> None:
    async with three(server.url) as journals, trio.open_nursery() as nursery:
        epoch = journals[0].epoch
        await append(journals[0], *range(10))
        if how == "older":
            server.stop()
            shutil.copytree(server.folder / "appendonlydir", server.folder / "before")
            server.start()
        readers = [Reader(journal) for journal in journals]
        for reader in readers:
            nursery.start_soon(reader.run)
        await append(journals[1], *range(10, 20))
        for reader in readers:
            await reader.wait(20)
        server.kill()
        shutil.rmtree(server.folder / "appendonlydir")
        if how == "older":
            (server.folder / "before").rename(server.folder / "appendonlydir")
        server.start()
        for reader in readers:
            assert isinstance(await reader.wait_end(), EpochChanged)
        epochs = {journal.epoch for journal in journals}
        assert len(epochs) == 1
        assert epoch not in epochs
        assert [journal.tails_lost for journal in journals] == [1, 1, 1]
        kept = 10 if how == "older" else 0
        readers = [Reader(journal) for journal in journals]
        for reader in readers:
            nursery.start_soon(reader.run)
        await append(journals[2], 30, 31)
        for reader in readers:
            assert values(await reader.wait(kept + 2)) == [*range(kept), 30, 31]
            assert reader.entries[-1].seq == kept + 2
        nursery.cancel_scope.cancel()


async def test_a_log_that_went_on_without_what_was_read_is_found_too(
    server: ValkeyServer,
) -> None:
    """The server comes back older, and somebody else appends to it first."""
    async with open_link(server.port) as link, open_valkey_journal(link.url) as journal:
        async with open_valkey_journal(server.url) as other, trio.open_nursery() as nursery:
            await append(other, 1)
            server.stop()
            shutil.copytree(server.folder / "appendonlydir", server.folder / "before")
            server.start()
            reader = Reader(journal)
            nursery.start_soon(reader.run)
            await append(journal, 2, 3)
            await reader.wait(3)
            link.mute = True
            server.kill()
            shutil.rmtree(server.folder / "appendonlydir")
            (server.folder / "before").rename(server.folder / "appendonlydir")
            server.start()
            await append(other, 4, 5, 6)
            before = other.epoch
            assert before == journal.epoch
            following = Reader(other)
            nursery.start_soon(following.run)
            await following.wait(4)
            link.mute = False
            assert isinstance(await reader.wait_end(), EpochChanged)
            # Those who lost nothing are in the new epoch as well: they only read.
            assert isinstance(await following.wait_end(), EpochChanged)
            assert other.epoch == journal.epoch != before
            assert values(await take(journal, 4)) == [1, 4, 5, 6]
            nursery.cancel_scope.cancel()


async def test_a_log_that_is_emptied_under_way_is_another_epoch(server: ValkeyServer) -> None:
    async with three(server.url) as journals, trio.open_nursery() as nursery:
        readers = [Reader(journal) for journal in journals]
        for reader in readers:
            nursery.start_soon(reader.run)
        await append(journals[0], 1, 2)
        for reader in readers:
            await reader.wait(2)
        with server.client() as client:
            client.flushall()
        for reader in readers:
            assert isinstance(await reader.wait_end(), EpochChanged)
        assert len({journal.epoch for journal in journals}) == 1
        await append(journals[0], 3)
        assert values(await take(journals[1], 1)) == [3]


async def test_a_server_that_stands_still_is_away_and_goes_on(server: ValkeyServer) -> None:
    options = Options(append_wait=0.5)
    async with (
        open_valkey_journal(server.url, options) as journal,
        open_valkey_journal(server.url, options) as other,
        trio.open_nursery() as nursery,
    ):
        reader = Reader(other)
        nursery.start_soon(reader.run)
        epoch = journal.epoch
        await append(journal, 1)
        server.suspend()
        try:
            nursery.start_soon(append, journal, 2)  # on its way, and not answered
            await trio.sleep(0.1)
            with pytest.raises(Overloaded):
                await append(journal, 3)
            await wait_away(journal)
            await wait_away(other)
            assert "doesn't answer" in journal.away_reason
            begun = trio.current_time()
            await trio.sleep(0.6)
            with pytest.raises(Overloaded):
                await append(other, 4)
            assert trio.current_time() - begun < 15
        finally:
            server.resume()
        await wait_back(journal)
        await append(journal, 5)
        assert values(await reader.wait(3)) == [1, 2, 5]
        assert journal.epoch == other.epoch == epoch
        nursery.cancel_scope.cancel()


async def test_only_what_no_snapshot_needs_is_dropped(server: ValkeyServer) -> None:
    options = Options(keep_seconds=3600, keep_bytes=1_000)
    async with open_valkey_journal(server.url, options) as journal:
        for number in range(5):
            await append(journal, number)
        assert await journal.snapshot() is None
        entries = await take(journal, 5)
        await journal.keep(Snapshot(3, entries[2].stamp, b"three"))
        assert journal.horizon == 0
        assert await journal.snapshot() is None  # all can be read
        for _ in range(10):
            await journal.append([draft(9.0, 300)])
        entries = await take(journal, 15)
        await journal.keep(Snapshot(14, entries[13].stamp, b"fourteen"))
        assert journal.horizon in (3, 14)
        snapshot = await journal.snapshot()
        assert snapshot is not None
        assert snapshot.seq == journal.horizon
        assert snapshot.stamp == entries[snapshot.seq - 1].stamp
        assert snapshot.body == {3: b"three", 14: b"fourteen"}[snapshot.seq]
        rest = await take(journal, 15 - snapshot.seq, after=snapshot.seq)
        assert rest[0].seq == snapshot.seq + 1
        with pytest.raises(Dropped):
            await take(journal, 1)
        statistics = await journal.statistics()
        assert statistics.seq == 15
        assert statistics.horizon == snapshot.seq
        assert 0 < statistics.bytes < 2_000
        await journal.keep(Snapshot(7, entries[6].stamp, b"older than the newest: not needed"))
        assert await journal.snapshot() == snapshot
        await journal.keep(Snapshot(15, rest[-1].stamp, b"of a log that lost its tail", "lost"))
        assert await journal.snapshot() == snapshot
        assert journal.horizon == snapshot.seq
    async with open_valkey_journal(server.url, options) as journal:
        assert journal.horizon == snapshot.seq
        assert await journal.snapshot() == snapshot


async def test_entries_go_by_age_and_snapshots_are_few(server: ValkeyServer) -> None:
    options = Options(keep_seconds=0.4)
    async with open_valkey_journal(server.url, options) as journal, trio.open_nursery() as nursery:
        reader = Reader(journal)
        nursery.start_soon(reader.run)
        for number in range(40):
            await append(journal, number)
            await reader.wait(number + 1)
            entry = reader.entries[-1]
            await journal.keep(Snapshot(entry.seq, entry.stamp, b"%d" % number))
            await trio.sleep(0.02)
        assert journal.horizon > 0
        snapshot = await journal.snapshot()
        assert snapshot is not None
        assert snapshot.seq == journal.horizon
        ages = [reader.entries[-1].stamp - entry.stamp for entry in reader.entries]
        dropped = ages[: snapshot.seq]
        assert min(dropped) >= 380  # milliseconds; what is younger is there
        with server.client() as client:
            assert client.hlen("{pushsvc}:snapshots") <= 8
            assert client.xlen("{pushsvc}:log") == 40 - snapshot.seq
        nursery.cancel_scope.cancel()


async def test_who_reads_too_slowly_is_told(server: ValkeyServer) -> None:
    options = Options(keep_seconds=0, keep_bytes=0)
    async with (
        open_valkey_journal(server.url, options) as journal,
        open_valkey_journal(server.url) as slow,
    ):
        await append(journal, *range(100))
        async with aclosing(slow.read(0)) as reading:
            entries = await anext(reading)
            await append(journal, *range(200))
            newest = (await take(journal, 300))[-1]
            await journal.keep(Snapshot(newest.seq, newest.stamp, b""))
            with pytest.raises(Dropped):
                while entries[-1].seq < 300:
                    entries = await anext(reading)


async def test_a_full_server_takes_nothing_until_there_is_room(server: ValkeyServer) -> None:
    async with open_valkey_journal(server.url) as journal, trio.open_nursery() as nursery:
        reader = Reader(journal)
        nursery.start_soon(reader.run)
        await append(journal, 1)
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            with pytest.raises(Overloaded):
                await append(journal, 2, 3)
            assert journal.away_since is None  # what is there can be read
            assert client.xlen("{pushsvc}:log") == 1
            client.config_set("maxmemory", "0")
        await append(journal, 4)
        assert values(await reader.wait(2)) == [1, 4]
        nursery.cancel_scope.cancel()


async def test_reading_ends_with_the_journal_after_all_was_read(server: ValkeyServer) -> None:
    async with open_valkey_journal(server.url) as journal, trio.open_nursery() as nursery:
        await append(journal, *range(1000))
        reader = Reader(journal)

        async def read() -> None:
            await reader.run()
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        await journal.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await append(journal, 1)
        with trio.fail_after(30):
            await trio.sleep_forever()
    assert len(reader.entries) == 1000


async def test_a_script_that_was_forgotten_is_sent_again(server: ValkeyServer) -> None:
    async with open_valkey_journal(server.url) as journal:
        await append(journal, 1)
        with server.client() as client:
            client.script_flush()
        await append(journal, 2)
        assert values(await take(journal, 2)) == [1, 2]
