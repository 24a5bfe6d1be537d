"""The journal in an SQLite file, as the service uses it: slow work on the file is done in threads;
appends are done one after another."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Dropped, JournalError, Snapshot, Statistics
from pushsvc.journal.codec import CodecError, decode
from pushsvc.journal.keeping import Bounds, Mark
from pushsvc.journal.sqlite.claim import Claim, Noted
from pushsvc.journal.sqlite.file import Appended, LogFile, Synchronous
from pushsvc.journal.sqlite.notifier import AppendNotifier, News
from pushsvc.journal.sqlite.trouble import (
    REMOVED,
    Damaged,
    FileError,
    Foreign,
    Lost,
    explain,
    is_passing,
    not_writable,
)
from pushsvc.log import get_logger

_log = get_logger("pushsvc.journal")
_Got = TypeVar("_Got")
_Args = TypeVarTuple("_Args")

_POLL = 0.005
"""Seconds between two looks at what other processes have appended, if there is no notifier."""
_TOLD = 1.0
"""About the same with a notifier."""
_FEW, _FEW_BYTES = 16, 64 * 1024
"""The most entries and bytes that are read without a thread."""
_LITTLE = 8 * 1024
"""The most bytes of entries that are sent to other processes uncompressed."""
_HEARD = 2_000
"""The most entries that are held before they are read: own ones, and those that other processes
have sent."""
_RETRY_AFTER = 5.0
_FORGOTTEN = 30.0
"""Seconds after which a failure no longer counts, if nothing was tried since."""
_CLOSING = 10.0
"""Seconds for which a close waits until the file isn't in use, even if it is cancelled."""


class SqliteJournal:
    """A log in a file; made by `open`."""

    keeps = True

    def __init__(
        self, path: Path, claim: Claim, file: LogFile, bounds: Bounds, synchronous: Synchronous
    ) -> None:
        self.epoch = file.epoch
        self.away_reason = ""
        """While it is away: why, and what to do about it."""
        self._path = path
        self._claim = claim
        self._name = file.name
        self._file: LogFile | None = file  # None after an error, until opened again
        self._bounds = bounds
        self._synchronous: Synchronous = synchronous
        self._shared = file.shared
        self._notifier: AppendNotifier | None = None
        self._horizon, self._end = file.horizon(), file.end()
        self._kept = file.newest_snapshot()
        self._opened = self._end.seq  # `read` yields what is before
        self._heard: dict[int, Entry] = {}  # by their first seq; only if the file is shared
        self._doubt = True  # whether the file may hold more than was read or heard of
        self._limiter = trio.CapacityLimiter(1)
        self._news = trio.Event()
        self._closed = trio.Event()
        self._reading = False
        self._exhausted: int | None = None  # the version when all was read
        self._looked = Mark()  # the end of the log when it was last read
        self._away_since: float | None = None
        self._failed = 0.0

    @classmethod
    async def open(
        cls, path: Path, bounds: Bounds, *, synchronous: Synchronous, shared: bool
    ) -> SqliteJournal:
        """Raises JournalError."""
        return await trio.to_thread.run_sync(cls._open, path, bounds, synchronous, shared)

    @classmethod
    def _open(
        cls, path: Path, bounds: Bounds, synchronous: Synchronous, shared: bool
    ) -> SqliteJournal:
        claim, file = None, None
        try:
            _check(path)
            claim = Claim(path, shared=shared)
            if path.exists() and not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
                raise Foreign(not_writable())
            file = LogFile(path, shared=shared, synchronous=synchronous)
            _check_epoch(claim, file)
            return cls(path, claim, file, bounds, synchronous)
        except BaseException as error:
            if file is not None:
                file.close()
            if claim is not None:
                claim.release()
            if isinstance(error, sqlite3.Error | FileError):
                raise JournalError(f"journal.path: {explain(error, path)}") from error
            if isinstance(error, OSError):
                raise JournalError(
                    f"journal.path: {path} can't be used: {error.strerror}"
                ) from error
            raise

    async def listen(self, notifier: AppendNotifier) -> None:
        """Exchange news of appended entries with the other processes, until cancelled."""
        self._notifier = notifier
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_now_and_then)
            while True:
                told = await notifier.wait()
                self._doubt = self._doubt or len(told) > 1
                for news in told:
                    self._hear(news)
                self._news.set()

    async def _look_now_and_then(self) -> None:
        """Have the file read if there has been no news for `_TOLD` seconds."""
        while True:
            end = self._end
            # When a second begins, as all that is done once a second, so that an idle process wakes
            # up only once for it.
            await trio.sleep_until((trio.current_time() // _TOLD + 1) * _TOLD)
            if self._end is end:
                self._doubt = True
                self._news.set()

    def _hear(self, news: News) -> None:
        """Note what another process has appended."""
        if news.epoch != self.epoch or not news.entries or len(self._heard) >= _HEARD:
            self._doubt = True
            return
        try:
            for seq, stamp, body in news.entries:
                self._heard[seq] = Entry(seq, stamp, decode(body))
        except CodecError:
            self._doubt = True  # from another version; reading reports it
        self._see(news.horizon, news.end)

    def _see(self, horizon: Mark, end: Mark) -> None:
        if horizon.seq > self._horizon.seq:
            self._horizon = horizon
        if end.seq > self._end.seq:
            self._end = end

    # -- what it is --------------------------------------------------------------------------------

    @property
    def horizon(self) -> int:
        return self._horizon.seq

    @property
    def seq(self) -> int:
        return self._end.seq

    @property
    def away_since(self) -> float | None:
        """Since when appending fails (Trio's clock); None while it works, or if the last failure is
        more than `_FORGOTTEN` seconds ago."""
        tried = trio.current_time() - self._failed < _FORGOTTEN
        return self._away_since if tried else None

    @property
    def snapshot_wanted(self) -> bool:
        """Whether so much was appended since the newest snapshot that another should be made soon:
        entries can only be dropped if there is a snapshot after them."""
        return self._bounds.part.exceeded(self._kept, self._end)

    async def statistics(self) -> Statistics:
        size = 0 if self._file is None else await trio.to_thread.run_sync(self._file.file_bytes)
        entries = self._end.entries - self._horizon.entries
        return Statistics(self.seq, self.horizon, entries, size)

    # -- appending ---------------------------------------------------------------------------------

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        appended = await self._do(lambda file: self._append(file, drafts))
        self._news.set()
        return () if self._shared else appended

    def _append(self, file: LogFile, drafts: Sequence[Draft]) -> list[Entry]:
        try:
            self._claim.hold()
        except JournalError as error:
            file.check()  # a more likely cause than the lock
            raise Lost(f"has lost its lock ({error})") from None
        known = None if self._shared else self._end
        now = time.time_ns() // 1_000_000
        appended = file.append(drafts, now, known)
        entries, end = appended.entries, appended.end
        if end.seq > self._end.seq:
            self._end = end
        self._note(durable=False)
        if self._shared:
            self._tell(appended)
        return entries

    def _tell(self, appended: Appended) -> None:
        """Make the appended entries known here and to the other processes."""
        entries = appended.entries
        if len(self._heard) < _HEARD:
            self._heard.update({entry.seq: entry for entry in entries})
        else:
            self._doubt = True
        if self._notifier is not None:
            little = sum(map(len, appended.plain)) <= _LITTLE
            bodies = appended.plain if little else appended.bodies
            told = [
                (entry.seq, entry.stamp, body) for entry, body in zip(entries, bodies, strict=True)
            ]
            self._notifier.notify(News(self.epoch, self._horizon, self._end, told))

    async def _do(self, work: Callable[[LogFile], _Got]) -> _Got:
        """Do something with the file in a thread. Raises Overloaded if it fails."""
        if self._closed.is_set():
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        try:
            done = await trio.to_thread.run_sync(self._with_file, work, limiter=self._limiter)
        except (sqlite3.Error, FileError) as error:
            raise self._fail(explain(error, self._path)) from error
        if self._away_since is not None:
            _log.info("the journal is back", path=str(self._path))
            self._away_since, self.away_reason = None, ""
        return done

    def _with_file(self, work: Callable[[LogFile], _Got]) -> _Got:
        if self._file is None:
            self._file = self._open_anew()
        try:
            return work(self._file)
        except sqlite3.Error as error:
            if not is_passing(error):
                # The last write may be in the file or not: `_open_anew` finds out.
                self._file.close()
                self._file = None
            raise

    def _open_anew(self) -> LogFile:
        """Raises sqlite3.Error, FileError."""
        if not self._path.exists():
            raise Lost(REMOVED)
        file = LogFile(self._path, shared=self._shared, synchronous=self._synchronous)
        try:
            if file.epoch != self.epoch:
                raise Lost("is of another epoch than before: restart")
            file.retract(self._end)
        except BaseException:
            file.close()
            raise
        return file

    def _fail(self, reason: str) -> Overloaded:
        self._failed = trio.current_time()
        if self._away_since is None:
            self._away_since = self._failed
        if reason != self.away_reason:
            _log.error("the journal can't be written", reason=reason)
            self.away_reason = reason
        return Overloaded(
            "journal", f"the journal can't be written just now: {reason}", retry_after=_RETRY_AFTER
        )

    # -- reading -----------------------------------------------------------------------------------

    async def read(self, after: int) -> AsyncGenerator[Sequence[Entry]]:
        self._reading, self._doubt, self._exhausted = True, True, None
        reader: LogFile | None = None
        try:
            if self._shared:
                reader = await self._read_in_thread(self._open_reader)
            while entries := await self._next(reader, after):
                yield entries
                after = entries[-1].last
        finally:
            self._reading = False
            if reader is not None:
                with trio.move_on_after(_CLOSING, shield=True):
                    await trio.to_thread.run_sync(reader.close)
            if self._closed.is_set():
                await self._release()

    async def _next(self, reader: LogFile | None, after: int) -> Sequence[Entry]:
        """Wait for entries after a seq, and return some; none if there won't be any more."""
        if reader is not None:
            return await self._next_shared(reader, after)
        if after < self._opened:
            return await self._read_in_thread(self._read_kept, after, limiter=self._limiter)
        if after < self.horizon:
            raise Dropped
        await self._closed.wait()
        return ()

    def _read_kept(self, after: int) -> list[Entry]:
        entries = self._with_file(lambda file: file.read(after, self._opened))
        if not entries:
            raise Damaged(f"entry {after + 1} is missing")
        return entries

    async def _next_shared(self, reader: LogFile, after: int) -> Sequence[Entry]:
        waited = False
        while True:
            closed = self._closed.is_set()
            if entries := self._take_heard(after):
                if not waited:
                    await trio.lowlevel.checkpoint()
                return entries
            if not self._doubt and self._notifier is not None and not closed:
                self._news = trio.Event()
                await self._news.wait()
                waited = True
                continue
            with self._failing_to_read():
                version = reader.version()
                if version == self._exhausted and not closed:
                    self._doubt = bool(self._heard)  # not in the file yet
                    self._heard.clear()
                    if self._notifier is None:
                        self._news = trio.Event()
                        with trio.move_on_after(_POLL):
                            await self._news.wait()
                        self._doubt = True
                    continue
                if self._is_little(reader):
                    await trio.lowlevel.checkpoint()
                    found = self._read_shared(reader, after)
                else:
                    found = await trio.to_thread.run_sync(self._read_shared, reader, after)
            entries, horizon, end = found
            self._see(horizon, end)
            self._exhausted, self._looked = None, end
            if end.seq <= (entries[-1].last if entries else after):
                self._exhausted = version
            if entries or closed:
                return entries

    def _take_heard(self, after: int) -> list[Entry]:
        """The entries directly after a seq that are known already, up to the first gap."""
        entries: list[Entry] = []
        while (entry := self._heard.pop(after + 1, None)) is not None:
            entries.append(entry)
            after = entry.last
        if after == self._end.seq:
            self._looked = self._end
        if not entries and self._heard:
            for seq in [seq for seq in list(self._heard) if seq <= after]:
                del self._heard[seq]
            self._doubt = self._doubt or bool(self._heard)
        return entries

    def _is_little(self, reader: LogFile) -> bool:
        """Whether the entries since the last complete read are few. They have just been written and
        are in memory, and a thread would take longer than reading them here."""
        if self._exhausted is None:
            return False
        end, looked = reader.end(), self._looked
        return end.entries - looked.entries <= _FEW and end.bytes - looked.bytes <= _FEW_BYTES

    def _read_shared(self, reader: LogFile, after: int) -> tuple[list[Entry], Mark, Mark]:
        # The end is read first, so that entries appended later don't make the slice look cut.
        horizon, end = reader.horizon(), reader.end()
        return reader.read(after, own=self._known_draft), horizon, end

    def _known_draft(self, seq: int) -> Draft | None:
        entry = self._heard.get(seq)
        return None if entry is None else entry.draft

    def _open_reader(self) -> LogFile:
        return LogFile(self._path, shared=True, synchronous=None)

    async def _read_in_thread(
        self,
        work: Callable[[*_Args], _Got],
        *args: *_Args,
        limiter: trio.CapacityLimiter | None = None,
    ) -> _Got:
        """Raises JournalError."""
        with self._failing_to_read():
            return await trio.to_thread.run_sync(work, *args, limiter=limiter)

    @contextmanager
    def _failing_to_read(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, FileError) as error:
            raise JournalError(f"journal.path: {explain(error, self._path)}") from error

    # -- snapshots ---------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot | None:
        """Raises JournalError."""
        return await self._read_in_thread(self._with_file, LogFile.snapshot, limiter=self._limiter)

    async def keep(self, snapshot: Snapshot) -> None:
        await self._do(lambda file: self._keep(file, snapshot))
        # In slices, so that appends can run in between.
        while await self._do(LogFile.drop_some):
            pass
        while await self._do(LogFile.vacuum_some):
            pass

    def _keep(self, file: LogFile, snapshot: Snapshot) -> None:
        self._horizon, self._kept = file.keep(snapshot, self._bounds)
        self._note(durable=True)
        if self._notifier is not None:
            self._notifier.notify(News(self.epoch, self._horizon, self._end))

    def _note(self, *, durable: bool) -> None:
        with suppress(OSError):  # then an older copy may not be recognised
            self._claim.note(Noted(self.epoch, self.seq, self._name), durable=durable)

    # -- the end -----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._closed.is_set():
            return
        self._closed.set()
        self._news.set()
        if not self._reading:
            await self._release()

    async def _release(self) -> None:
        with trio.move_on_after(_CLOSING, shield=True):
            await trio.to_thread.run_sync(self._close, limiter=self._limiter)

    def _close(self) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                self._note(durable=True)
                file.close(clean=not self._shared or self._claim.is_only())
        except (sqlite3.Error, OSError) as error:
            _log.warning(
                "the journal was closed uncleanly", path=str(self._path), reason=str(error)
            )
        finally:
            self._claim.release()


def _check_epoch(claim: Claim, file: LogFile) -> None:
    """Begin a new epoch if the file may be another one than before (a restored copy) or has lost
    its newest entries (the machine went down). A cursor into lost entries then never points at
    other entries. Raises sqlite3.Error, OSError."""
    noted, end = claim.noted(), file.end()
    if noted is None:
        doubtful = end.seq > 0 and not file.shared  # one may just be writing it
    else:
        doubtful = (
            noted.epoch != file.epoch
            or noted.seq > end.seq
            or ("" not in (noted.file, file.name) and noted.file != file.name)
        )
    if doubtful and not file.renewed:
        file.renew()
    if file.renewed:
        _log.warning("the journal begins another epoch, its end may be lost", path=str(file.path))
    claim.note(Noted(file.epoch, end.seq, file.name), durable=True)


def _check(path: Path) -> None:
    """Raise JournalError, with what to do, if no file can be at this path."""
    if path.is_dir():
        raise JournalError(
            f"journal.path: {path} is a directory: name a file in it, such as {path / 'journal.db'}"
        )
    if not path.parent.exists():
        raise JournalError(
            f"journal.path: {path} can't be made: there is no directory {path.parent}: make it "
            f"(mkdir -p {path.parent}), or name another file"
        )
