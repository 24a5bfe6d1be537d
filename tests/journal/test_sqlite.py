"""The journal in a file of SQLite: what can be wrong with the file, and how large it grows."""

from __future__ import annotations

import itertools
import os
import random
import re
import resource
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from zlib import crc32

import pytest
import trio

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import JournalError, Nonces, Snapshot
from pushsvc.journal.keeping import Mark
from pushsvc.journal.sqlite import SqliteJournal, open_sqlite_journal
from pushsvc.journal.sqlite.claim import Claim, Noted
from pushsvc.journal.sqlite.file import LogFile, name_of
from pushsvc.journal.sqlite.trouble import Lost

nonce = Nonces()
IDENTITY = identify("up", {}, Limits())
LARGE = 10**9


def draft(samples: int = 1) -> Draft:
    """Of samples that can't be compressed."""
    values = [random.random() for _ in range(samples)]
    return Draft(nonce(), Batch([Rows(IDENTITY, [1] * samples, [*values])]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def size(path: Path) -> int:
    return path.stat().st_size


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def fill(path: Path, count: int) -> tuple[str, list[Draft]]:
    """A journal with so many entries, closed; its epoch, and what is in it."""
    drafts = [draft() for _ in range(count)]
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append(drafts)
        return journal.epoch, drafts


async def read_all(journal: SqliteJournal) -> list[Entry]:
    found: list[Entry] = []
    place = journal.horizon
    with trio.fail_after(60):
        async with aclosing(journal.read(place)) as slices:
            while place < journal.seq:
                found += await anext(slices)
                place = found[-1].last
    return found


async def failure(path: Path) -> str:
    """What is said when the journal is opened and read."""
    with pytest.raises(JournalError) as caught:
        async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
            await read_all(journal)
    message = str(caught.value)
    assert message.startswith(f"journal.path: {path} ")
    assert "\n" not in message
    return message


# -- reading what others append --------------------------------------------------------------------


async def test_a_little_that_is_new_is_read_without_a_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    read = LogFile.read

    def noted(file: LogFile, *args: object, **others: object) -> list[Entry]:
        threads.append(threading.get_ident())
        return read(file, *args, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(LogFile, "read", noted)
    reached = [0, 0]
    news = trio.Event()

    async def follow(place: int, journal: SqliteJournal) -> None:
        nonlocal news
        async with aclosing(journal.read(0)) as slices:
            async for entries in slices:
                reached[place] = entries[-1].last
                news.set()
                news = trio.Event()

    async def take(writer: SqliteJournal, one: Draft) -> set[int]:
        """Append, wait until both have it; in which threads it was read."""
        threads.clear()
        await writer.append([one])
        with trio.fail_after(30):
            while min(reached) < writer.seq:
                await news.wait()
        return set(threads)

    async with (
        open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE, shared=True) as one,
        open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE, shared=True) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(follow, 0, one)
        nursery.start_soon(follow, 1, other)
        here = threading.get_ident()
        with trio.fail_after(30):
            for writer in (one, other):
                while await take(writer, draft()) != {here}:
                    pass  # until both have read all that there was to begin with
        for writer in (one, other, one):
            assert await take(writer, draft()) == {here}
        assert await take(one, draft(20_000)) - {here}
        assert await take(other, draft()) == {here}
        nursery.cancel_scope.cancel()


# -- what it can't be opened with ------------------------------------------------------------------


async def test_a_directory(tmp_path: Path) -> None:
    assert f"is a directory: name a file in it, such as {tmp_path}/" in await failure(tmp_path)


async def test_nowhere(tmp_path: Path) -> None:
    message = await failure(tmp_path / "not" / "there" / "journal.db")
    assert f"there is no directory {tmp_path}/not/there: make it (mkdir -p" in message
    (tmp_path / "file").write_bytes(b"")
    assert "can't be used: " in await failure(tmp_path / "file" / "journal.db")


async def test_no_database(path: Path) -> None:
    write(path, random.randbytes(20_000))
    before = content(path)
    assert "is no database of SQLite: name another file, or move that" in await failure(path)
    assert content(path) == before


async def test_the_database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (a)")
        other.commit()
    before = content(path)
    assert "is the database of another program: name another file" in await failure(path)
    assert content(path) == before


async def test_a_newer_version(path: Path) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 7")
    message = await failure(path)
    assert "was written by a newer version of pushsvc (format 7, this one reads 1)" in message


async def test_an_empty_file_is_a_new_one(path: Path) -> None:
    write(path, b"")
    await fill(path, 1)
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        assert journal.seq == 1


async def test_a_broken_header(path: Path) -> None:
    await fill(path, 1)
    with path.open("r+b") as file:
        file.write(b"\xff" * 100)
    assert "is no database of SQLite" in await failure(path)


async def test_a_file_that_was_cut_off(path: Path) -> None:
    await fill(path, 2_000)
    os.truncate(path, size(path) // 2)
    assert "is damaged (" in await failure(path)


@pytest.mark.parametrize("seed", range(20))
async def test_random_bytes_in_the_middle_are_told_or_do_no_harm(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    _, drafts = await fill(path, 300)
    with path.open("r+b") as file:
        file.seek(chance.randrange(100, size(path) - 200))
        file.write(chance.randbytes(200))
    told = ""
    try:
        async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
            entries = await read_all(journal)
    except JournalError as error:
        told = str(error)
    if told:
        assert "is damaged (" in told
        assert "put back a copy of it, or move it away" in told
    else:  # it hit what isn't used
        assert [one.draft.nonce for one in entries] == [one.nonce for one in drafts]


@contextmanager
def anybody() -> Generator[None]:
    """As a user for whom permissions count."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """That everyone can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


async def test_a_read_only_file(open_directory: Path) -> None:
    path = open_directory / "journal.db"
    with anybody():
        await fill(path, 1)
        path.chmod(0o444)
        assert "can't be written: give it, its directory and what st" in await failure(path)


async def test_a_read_only_directory(open_directory: Path) -> None:
    directory = open_directory / "closed"
    directory.mkdir(mode=0o555)
    with anybody():
        message = await failure(directory / "journal.db")
    assert "journal.db-lock can't be made beside it (Permission denied): the user that" in message
    assert f"must be able to write in {directory}" in message


async def test_a_second_process_is_told_who_has_it(path: Path) -> None:
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        message = await failure(path)
        assert f"is in use by process {os.getpid()} on " in message
        with pytest.raises(JournalError, match="in use by"):
            async with open_sqlite_journal(path, keep_seconds=1, max_bytes=LARGE, shared=True):
                pass
        await journal.append([draft()])
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE, shared=True):
        assert "in use by" in await failure(path)
    await fill(path, 1)


async def test_another_program_that_has_it(path: Path) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "is locked by another program: end that one" in await failure(path)


# -- what goes wrong while it is open --------------------------------------------------------------


@contextmanager
def full_disk(path: Path) -> Generator[None]:
    """No file may grow beyond what the write-ahead log is now, as with a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = path.with_name(path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_what_does_not_fit_on_the_disk_is_refused_whole(path: Path) -> None:
    appended: list[Entry] = []
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        epoch = journal.epoch
        appended += await journal.append([draft()])
        with full_disk(path):
            for _ in range(3):
                with pytest.raises(Overloaded) as caught:
                    await journal.append([draft(), draft(20_000)])
                assert caught.value.code == "journal"
                assert caught.value.retry_after > 0
                assert str(path) in str(caught.value)
            assert journal.away_since is not None
            assert str(path) in journal.away_reason
            with pytest.raises(Overloaded):
                await journal.keep(Snapshot(1, appended[0].stamp, random.randbytes(200_000)))
        assert journal.seq == 1
        appended += await journal.append([draft(), draft(6_000)])
        assert journal.away_since is None
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        assert journal.epoch == epoch
        entries = await read_all(journal)
    assert [one.seq for one in entries] == [1, 2, 3]
    assert [one.draft.nonce for one in entries] == [one.draft.nonce for one in appended]


def test_a_full_database_is_as_it_was(path: Path) -> None:
    with closing(LogFile(path, shared=False, synchronous="full")) as file:
        end = file.append([draft()], 1).end
        file.limit_pages(file.limit_pages(0))
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="full"):
                file.append([draft(), draft(20_000)], 1)
        assert file.end() == end
        file.limit_pages(1 << 30)
        assert file.append([draft(20_000)], 1).entries[0].seq == 2


def test_who_shares_a_file_begins_where_the_others_have_ended(path: Path) -> None:
    with (
        closing(LogFile(path, shared=True, synchronous="normal")) as one,
        closing(LogFile(path, shared=True, synchronous="normal")) as other,
    ):
        seqs = []
        for file, drafts in ((one, 1), (one, 2), (other, 1), (other, 1), (one, 1), (other, 2)):
            appended = file.append([draft() for _ in range(drafts)], 1)
            seqs += [entry.seq for entry in appended.entries]
            assert file.end() == appended.end
        assert seqs == list(range(1, 9))
        other.renew()
        with pytest.raises(Lost):
            one.append([draft()], 1)


async def test_a_file_that_is_removed_takes_nothing_more(path: Path) -> None:
    away = path.with_name("elsewhere.db")
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append([draft()])
        shutil.move(path, away)
        for _ in range(2):
            with pytest.raises(Overloaded, match="was removed or replaced while it is in use"):
                await journal.append([draft()])
            write(path, b"another")
        shutil.move(away, path)
        assert (await journal.append([draft()]))[0].seq == 2


async def test_a_directory_that_is_removed_takes_nothing_more(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    path = directory / "journal.db"
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append([draft()])
        shutil.rmtree(directory)
        for _ in range(2):
            with pytest.raises(Overloaded, match="was removed or replaced while it is in use"):
                await journal.append([draft()])
            directory.mkdir(exist_ok=True)


async def test_a_lock_that_is_removed_is_taken_again(path: Path) -> None:
    lock = path.with_name(path.name + "-lock")
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append([draft()])
        lock.unlink()
        await journal.append([draft()])
        assert "is in use by" in await failure(path)
        lock.unlink()
        async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as second:
            await second.append([draft()])
            with pytest.raises(Overloaded, match=r"lost its lock .* in use by process"):
                await journal.append([draft()])
            await second.append([draft()])
        with pytest.raises(Overloaded, match=r"changed by another program .*: restart"):
            await journal.append([draft()])
    assert (await epoch_and_seq(path))[1] == 4


async def test_what_another_program_writes_is_found(path: Path) -> None:
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append([draft()])
        await journal.append([draft()])
        with closing(sqlite3.connect(path)) as other:
            other.execute("DELETE FROM entries WHERE seq = 2")
            other.commit()
        for _ in range(2):
            with pytest.raises(Overloaded, match=r"changed by another program .*: restart"):
                await journal.append([draft()])
        epoch = journal.epoch
    assert (await epoch_and_seq(path))[0] != epoch


async def test_a_write_ahead_log_that_is_removed_takes_nothing_more(path: Path) -> None:
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append([draft()])
        path.with_name(path.name + "-wal").unlink()
        with pytest.raises(Overloaded, match="without the -wal beside it"):
            await journal.append([draft()])


def test_what_was_refused_in_the_middle_of_a_commit_is_taken_back(path: Path) -> None:
    with closing(LogFile(path, shared=False, synchronous="full")) as file:
        answered = file.append([draft()], 1).end
        file.append([draft(), draft()], 1)
        epoch = file.epoch
    with closing(LogFile(path, shared=False, synchronous="full")) as file:
        file.retract(answered)
        assert file.end() == answered
        assert file.epoch == epoch


def test_a_lost_end_is_another_epoch(path: Path) -> None:
    with closing(LogFile(path, shared=False, synchronous="full")) as file:
        file.append([draft()], 1)
        epoch = file.epoch
        with pytest.raises(Lost, match="has lost its newest entries while it was in use: restart"):
            file.retract(Mark(seq=5))
    with closing(LogFile(path, shared=False, synchronous="full")) as file:
        assert file.epoch != epoch


@contextmanager
def claimed(path: Path) -> Generator[Claim]:
    claim = Claim(path, shared=True)
    try:
        yield claim
    finally:
        claim.release()


# -- after the machine went down -------------------------------------------------------------------


def copy(path: Path, to: Path) -> Path:
    """What the disk holds now, as if the process or the machine went down."""
    for suffix in ("", "-wal", "-lock"):
        shutil.copy(path.with_name(path.name + suffix), to.with_name(to.name + suffix))
    return be_the_file(to)


def be_the_file(path: Path) -> Path:
    """Have a copy pass for the file that was copied."""
    lock = path.with_name(path.name + "-lock")
    noted, _, _ = content(lock).partition(b"sum ")
    noted = re.sub(rb"file \S+", b"file " + name_of(path).encode(), noted)
    write(lock, noted + b"sum %08x\n" % crc32(noted))
    return path


def rebooted(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE log SET boot = 'another' WHERE boot IS NOT NULL")
        file.commit()


@pytest.mark.parametrize("synchronous", ["full", "normal"])
async def test_an_end_that_may_be_lost_is_another_epoch(path: Path, synchronous: str) -> None:
    normal = synchronous == "normal"

    async def epoch_of(file: Path) -> str:
        async with open_sqlite_journal(
            file, keep_seconds=1, max_bytes=LARGE, synchronous="normal" if normal else "full"
        ) as journal:
            await journal.append([draft()])
            copy(file, path.with_name("copy.db"))
            return journal.epoch

    first = await epoch_of(path)
    assert await epoch_of(path) == first, "closed cleanly"
    crashed = copy(path.with_name("copy.db"), path.with_name("crashed.db"))
    rebooted(crashed)
    after = await epoch_of(crashed)
    assert (after != first) == normal
    rebooted(crashed)
    assert await epoch_of(crashed) == after, "once is enough"
    killed = copy(path.with_name("copy.db"), path.with_name("killed.db"))
    assert await epoch_of(killed) == after, "the process ended, the machine went on"


async def epoch_and_seq(path: Path) -> tuple[str, int]:
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        return journal.epoch, journal.seq


async def test_a_copy_that_is_put_back_is_another_epoch(path: Path) -> None:
    backup, other = path.with_name("backup.db"), path.with_name("other.db")
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        epoch = journal.epoch
        await journal.append([draft()])
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(backup)) as to:
            live.backup(to)
        await journal.append([draft()])
    assert await epoch_and_seq(path) == (epoch, 2)
    shutil.copy(backup, other)
    elsewhere, seq = await epoch_and_seq(other)
    assert (elsewhere != epoch, seq) == (True, 1)
    shutil.copy(backup, path)
    back, seq = await epoch_and_seq(path)
    assert (back not in (epoch, elsewhere), seq) == (True, 1)
    assert await epoch_and_seq(path) == (back, 1)
    shutil.copy(other, path)
    assert (await epoch_and_seq(path))[0] not in (epoch, elsewhere, back)


async def test_a_directory_that_is_put_back_is_another_epoch(path: Path, tmp_path: Path) -> None:
    if not name_of(tmp_path):
        pytest.skip("files have no names of their own here")
    here, backup = tmp_path / "data", tmp_path / "backup"
    here.mkdir()
    file = here / path.name
    epoch, _ = await fill(file, 3)
    shutil.copytree(here, backup)
    assert await epoch_and_seq(file) == (epoch, 3)
    await fill(file, 2)
    assert await epoch_and_seq(file) == (epoch, 5)
    here.rename(tmp_path / "former")
    shutil.copytree(backup, here)
    back, seq = await epoch_and_seq(file)
    assert (back != epoch, seq) == (True, 3)
    assert await epoch_and_seq(file) == (back, 3), "once is enough"
    here.rename(tmp_path / "moved")
    assert await epoch_and_seq(tmp_path / "moved" / path.name) == (back, 3), "it is the same file"


async def test_a_killed_process_and_an_older_copy_are_another_epoch(path: Path) -> None:
    older = path.with_name("older.db")
    killed = path.with_name("killed.db")
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        await journal.append([draft()])
        copy(path, older)
        await journal.append([draft()])
        copy(path, killed)
    shutil.copy(killed.with_name("killed.db-lock"), older.with_name("older.db-lock"))
    be_the_file(older)
    assert await epoch_and_seq(killed) == (journal.epoch, 2)
    epoch, seq = await epoch_and_seq(older)
    assert (epoch != journal.epoch, seq) == (True, 1)


def test_a_note_that_is_written_just_now_is_not_read_by_halves(path: Path) -> None:
    with claimed(path) as writer, claimed(path) as reader:
        assert reader.noted() is None
        stop = threading.Event()

        def write_on() -> None:
            for seq in itertools.count(1):
                writer.note(Noted("ab", seq, str(seq)), durable=False)
                if stop.is_set():
                    return

        thread = threading.Thread(target=write_on)
        thread.start()
        try:
            for _ in range(2_000):
                noted = reader.noted()
                assert noted is None or noted.file == str(noted.seq)
        finally:
            stop.set()
            thread.join()
        lock = path.with_name(path.name + "-lock")
        write(lock, content(lock).replace(b"epoch ab seq", b"epoch ab seq 9"))
        assert reader.noted() is None


async def test_a_write_ahead_log_that_is_cut_off_has_whole_groups(path: Path) -> None:
    groups = [[draft() for _ in range(size)] for size in (1, 5, 30, 1, 1, 12)]
    copied = path.with_name("copy.db")
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=LARGE) as journal:
        epoch = journal.epoch
        for group in groups:
            await journal.append(group)
        copy(path, copied)
    log = copied.with_name("copy.db-wal").read_bytes()
    whole = [0]
    for group in groups:
        whole.append(whole[-1] + len(group))
    found = set()
    for cut in range(len(log), 24_000, -3_001):
        torn = path.with_name(f"torn{cut}.db")
        shutil.copy(copied, torn)
        write(torn.with_name(torn.name + "-wal"), log[:cut] + random.randbytes(500))
        shutil.copy(copied.with_name("copy.db-lock"), torn.with_name(torn.name + "-lock"))
        be_the_file(torn)
        try:
            async with open_sqlite_journal(torn, keep_seconds=3600, max_bytes=LARGE) as journal:
                entries = await read_all(journal)
                lost = len(entries) < whole[-1]
                assert (journal.epoch == epoch) == (not lost), "all of it was answered"
        finally:
            torn.unlink()
        assert len(entries) in whole
        found.add(len(entries))
        nonces = [one.nonce for group in groups for one in group]
        assert [one.draft.nonce for one in entries] == nonces[: len(entries)]
    assert len(found) > 3


# -- how large it grows ----------------------------------------------------------------------------


async def grow(journal: SqliteJournal, entries: int, *, samples: int = 500) -> int:
    """Append, and keep a snapshot when one is wanted; gives the most bytes it took on the disk."""
    most = 0
    for _ in range(entries):
        (entry,) = await journal.append([draft(samples)])
        if journal.snapshot_wanted:
            await journal.keep(Snapshot(entry.last, entry.stamp, b"known"))
            most = max(most, (await journal.statistics()).bytes)
    return most


@pytest.mark.parametrize(
    "samples", [1, 30, *(pytest.param(each, marks=pytest.mark.long) for each in (500, 3_000))]
)
async def test_the_file_stays_bounded(path: Path, samples: int) -> None:
    most = 100_000 * max(1, samples // 30)
    write_ahead = 10_000_000
    async with open_sqlite_journal(
        path, keep_seconds=3600, max_bytes=most, synchronous="normal"
    ) as journal:
        assert await grow(journal, 2_000, samples=samples) < 1.6 * most + write_ahead
        assert size(path) < 1.6 * most
        horizon, seq = journal.horizon, journal.seq
        statistics = await journal.statistics()
        assert statistics.entries == seq - horizon
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=most) as journal:
        known = await journal.snapshot()
        assert known is not None
        assert known.seq == journal.horizon == horizon
        entries = await read_all(journal)
    assert [one.seq for one in entries] == list(range(horizon + 1, seq + 1))
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT min(seq) FROM entries").fetchone() == (horizon + 1,)
        assert file.execute("SELECT count(*) FROM snapshots").fetchone()[0] <= 8


async def test_samples_are_bounded_too(path: Path) -> None:
    async with open_sqlite_journal(
        path, keep_seconds=3600, max_bytes=LARGE, max_samples=10_000, synchronous="normal"
    ) as journal:
        await grow(journal, 100)
        samples = 500 * (journal.seq - journal.horizon)
        assert 10_000 * 0.7 <= samples <= 10_000 * 1.3


async def test_room_is_given_back(path: Path) -> None:
    async with open_sqlite_journal(
        path, keep_seconds=3600, max_bytes=LARGE, synchronous="normal"
    ) as journal:
        for _ in range(30):
            last = (await journal.append([draft(5_000) for _ in range(20)]))[-1]
    large = size(path)
    async with open_sqlite_journal(
        path, keep_seconds=3600, max_bytes=1_000_000, synchronous="normal"
    ) as journal:
        assert journal.snapshot_wanted
        await journal.keep(Snapshot(last.last, last.stamp, b"known"))
        assert not journal.snapshot_wanted
        assert journal.horizon == last.last
    assert size(path) < large / 2


async def test_what_is_old_goes_and_snapshots_are_few(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    stamps = {}
    async with open_sqlite_journal(
        path, keep_seconds=600, max_bytes=LARGE, synchronous="normal"
    ) as journal:
        for minute in range(60):
            (entry,) = await journal.append([draft()])
            stamps[entry.seq] = entry.stamp
            await journal.keep(Snapshot(entry.last, entry.stamp, b"known"))
            if minute > 15:
                back = (entry.stamp - stamps[journal.horizon]) / 1000
                assert 600 <= back <= 600 * 1.25 + 60
            now += 60_000_000_000
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM snapshots").fetchone()[0] <= 8
