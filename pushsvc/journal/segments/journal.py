"""The log of workers, as the service uses it. Appends and short reads are done at once, since they
don't wait for the disk; what may take long is done in threads."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import msgspec
import trio

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Dropped, JournalError, Snapshot, Statistics
from pushsvc.journal.codec import CodecError
from pushsvc.journal.datagrams import Datagrams
from pushsvc.journal.keeping import Bounds, Mark
from pushsvc.journal.segments.files import Busy, LogError, Reading, SegmentLog, explain
from pushsvc.journal.segments.record import (
    BASE,
    HEADER_BYTES,
    Place,
    Written,
    read_entries,
    read_header,
)
from pushsvc.log import get_logger

_log = get_logger("pushsvc.journal")
_Got = TypeVar("_Got")
_Args = TypeVarTuple("_Args")

_LOOK = 1.0
"""Seconds between two looks whether there is more than this process was told of."""
_FEW_BYTES = 64 * 1024
"""The most bytes that are read without a thread."""
_BUSY = 0.02
"""If there were two datagrams within so many seconds, all are taken that have come."""
_FULL = 0.05
"""Seconds that another process has to make room in its queue."""
_SLICE = 500
"""The most entries that are yielded together."""
_OWN = 2_000
"""The most own drafts that are held until they are read."""
_SLOW = 0.1
"""If a write takes longer than this many seconds, the next ones are done in a thread."""
_THREADS = 10.0
"""Seconds for which threads write after such a slow write."""
_RETRY_AFTER = 5.0
_FORGOTTEN = 30.0
"""Seconds after which a failure no longer counts, if nothing was tried since."""
_CLOSING = 10.0
"""Seconds for which a close waits until the files aren't in use, even if it is cancelled."""
_BEGINNING = Place(0, 0, Mark())


class SegmentsJournal:
    """A log in segments; made by `open`."""

    keeps = True

    def __init__(self, folder: Path, log: SegmentLog, bounds: Bounds, datagrams: Datagrams) -> None:
        self.epoch = log.epoch
        self.away_reason = ""
        """While it is away: why, and what to do about it."""
        self._folder = folder
        self._log = log
        self._bounds = bounds
        self._datagrams = datagrams
        self._horizon, self._end = log.horizon, log.end.mark
        self._kept = log.newest_snapshot()
        self._appending = trio.CapacityLimiter(1)  # of threads
        self._threads = 0  # how many appends are done in threads, or are to be
        self._owed = trio.Event()  # set when another process wasn't told, since its queue is full
        self._keeping = trio.CapacityLimiter(1)
        self._threads_until = float("-inf")  # writes use threads until then
        self._reading: Reading | None = None
        self._place = _BEGINNING  # what `read` has yielded, or `append` returned in its stead
        self._waits = False  # whether all that is known was yielded, and its caller waits for more
        self._doubt = True  # whether the files may hold more than was yielded
        self._reminded = False  # whether there is a reminder in the queue
        self._woken = 0.0  # when there was a datagram last
        self._own: dict[int, Draft] = {}  # by their first seqs: they needn't be decoded
        self._closed = trio.Event()
        self._away_since: float | None = None
        self._failed = 0.0

    @classmethod
    async def open(cls, folder: Path, bounds: Bounds, datagrams: Datagrams) -> SegmentsJournal:
        """Raises JournalError."""
        try:
            log = await trio.to_thread.run_sync(SegmentLog, folder)
            return cls(folder, log, bounds, datagrams)
        except BaseException as error:
            datagrams.close()
            if isinstance(error, OSError | Busy | LogError):
                raise JournalError(explain(error, folder)) from error
            raise

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
        size = await self._in_thread(self._log.file_bytes)
        return Statistics(self.seq, self.horizon, self._end.entries - self._horizon.entries, size)

    # -- appending ---------------------------------------------------------------------------------

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        # Not afterwards: what it returns is taken in before anything else is read.
        await trio.lowlevel.checkpoint()
        if self._closed.is_set():
            raise trio.ClosedResourceError
        written = self._append_here(drafts)
        if written is None:
            written = await self._append_in_thread(drafts)
        return self._tell(written)

    def _append_here(self, drafts: Sequence[Draft]) -> Written | None:
        """Append without a thread, which would double the cost. None if that isn't possible now;
        then nothing was done."""
        began = trio.current_time()
        if self._threads or began < self._threads_until or self._away_since is not None:
            return None
        try:
            return self._append(drafts, wait=False)
        except Busy:
            return None
        except (OSError, LogError) as error:
            raise self._fail(error) from error
        finally:
            if trio.current_time() - began > _SLOW:
                self._threads_until = began + _THREADS

    async def _append_in_thread(self, drafts: Sequence[Draft]) -> Written:
        self._threads += 1
        try:
            written = await trio.to_thread.run_sync(
                lambda: self._append(drafts, wait=True), limiter=self._appending
            )
        except (OSError, Busy, LogError) as error:
            raise self._fail(error) from error
        finally:
            self._threads -= 1
        if self._away_since is not None:
            _log.info("the journal is back", path=str(self._folder))
            self._away_since, self.away_reason = None, ""
        return written

    def _append(self, drafts: Sequence[Draft], *, wait: bool) -> Written:
        return self._log.append(drafts, time.time_ns() // 1_000_000, self._place, wait=wait)

    def _tell(self, written: Written) -> Sequence[Entry]:
        """Make a record known to the other processes, and to the one that reads here: returns its
        entries if that one has everything before them and waits, else leaves them to be read."""
        record, entries, place = written
        self._see(place.mark)
        whole = len(record) <= self._datagrams.most
        if not self._datagrams.send(record if whole else record[:HEADER_BYTES]):
            self._owed.set()
        if self._waits and entries[0].seq == self._place.mark.seq + 1:
            self._place = place
            return entries
        if len(self._own) < _OWN:
            self._own.update({entry.seq: entry.draft for entry in entries})
        self._remind()
        return ()

    def _remind(self) -> None:
        """Have `read` look into the files."""
        self._doubt = True
        if not self._reminded:
            self._reminded = self._datagrams.remind()

    def _see(self, end: Mark) -> None:
        if end.seq > self._end.seq:
            self._end = end

    def _fail(self, error: OSError | Busy | LogError) -> Overloaded:
        reason = explain(error, self._folder)
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
        reading = self._reading = Reading(self._log)
        try:
            await self._in_thread(reading.find, after)
            self._place, self._doubt = reading.place, True
            while entries := await self._next(reading, after):
                for start in range(0, len(entries), _SLICE):
                    if start:
                        await trio.lowlevel.checkpoint()
                    yield entries[start : start + _SLICE]
                after = self._place.mark.seq
        except Dropped:
            self._horizon = await self._in_thread(lambda: self._log.horizon)
            raise
        finally:
            self._reading, self._place = None, _BEGINNING
            reading.close()
            self._own.clear()
            if self._closed.is_set():
                await self._release()

    async def _next(self, reading: Reading, after: int) -> Sequence[Entry]:
        """Wait for entries after a seq, and return some; none if there won't be any more."""
        while True:
            closed = self._closed.is_set()
            if self._doubt or closed:
                self._doubt = False
                if entries := await self._read(reading, after):
                    self._doubt = True  # there may be more
                    return entries
                if closed:
                    return ()
            self._waits = True
            try:
                told = await self._datagrams.wait()
            finally:
                self._waits = False
            after = self._place.mark.seq
            entries = self._take(told)
            now = trio.current_time()
            if now - self._woken < _BUSY:
                for told in self._datagrams.take():
                    entries += self._take(told)
            self._woken = now
            if entries:
                return entries

    async def _read(self, reading: Reading, after: int) -> Sequence[Entry]:
        """The next entries in the files. Always checkpoints."""
        with self._failing_to_read():
            reading.go(self._place)
            few = reading.ahead() <= _FEW_BYTES
        if few:
            await trio.lowlevel.checkpoint()
            with self._failing_to_read():
                entries = reading.read(after, self._own.get)
        else:
            entries = await self._in_thread(reading.read, after, self._own.get)
        for entry in entries:
            self._own.pop(entry.seq, None)
        self._place = reading.place
        self._see(self._place.mark)
        return entries

    def _take(self, told: bytes) -> list[Entry]:
        """The entries of a record that follows directly."""
        if len(told) < HEADER_BYTES:
            if len(told) == BASE.size:
                self._horizon = Mark(*BASE.unpack(told))
            else:
                self._doubt = True  # a reminder
                self._reminded = False
            return []
        record, place = read_header(told), self._place
        self._see(record.mark)
        if record.first == place.mark.seq + 1 and record.size == len(told):
            try:
                entries = read_entries(record, told)
            except CodecError:
                self._doubt = True  # reading reports it
                return []
            self._place = record.after(place)
            return entries
        if record.mark.seq > place.mark.seq:
            self._doubt = True
        return []

    async def run_reminding(self) -> None:
        """Tell those of what was appended whose queues were full."""
        while True:
            await self._owed.wait()
            self._owed = trio.Event()
            await trio.sleep(_FULL)
            if not self._datagrams.send(b""):
                self._owed.set()

    async def run_looking(self) -> None:
        """Look now and then whether there is more than this process was told of: one that appends
        may be killed before it tells."""
        while True:
            # When a second begins, as all that is done once a second, so that an idle process wakes
            # up only once for it.
            await trio.sleep_until((trio.current_time() // _LOOK + 1) * _LOOK)
            if not self._threads and not self._closed.is_set():
                self._log.look()
            if self._waits and self._reading is not None and self._is_more(self._reading):
                self._remind()

    def _is_more(self, reading: Reading) -> bool:
        try:
            reading.go(self._place)
            return reading.ahead() > 0
        except (Dropped, OSError):
            return True  # reading reports it

    async def _in_thread(self, work: Callable[[*_Args], _Got], *args: *_Args) -> _Got:
        """Raises JournalError."""
        with self._failing_to_read():
            return await trio.to_thread.run_sync(work, *args)

    @contextmanager
    def _failing_to_read(self) -> Generator[None]:
        try:
            yield
        except (OSError, LogError) as error:
            raise JournalError(explain(error, self._folder)) from error

    # -- snapshots ---------------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot | None:
        """Raises JournalError."""
        return await self._in_thread(self._log.snapshot)

    async def keep(self, snapshot: Snapshot) -> None:
        if snapshot.epoch not in ("", self.epoch):
            await trio.lowlevel.checkpoint()
            return
        if self._closed.is_set():
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError
        try:
            self._horizon, self._kept = await trio.to_thread.run_sync(
                lambda: self._log.keep(snapshot, self._end, self._bounds), limiter=self._keeping
            )
        except (OSError, LogError) as error:
            raise self._fail(error) from error
        self._datagrams.send(BASE.pack(*msgspec.structs.astuple(self._horizon)))

    # -- the end -----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        if self._closed.is_set():
            return
        self._closed.set()
        if self._reading is None:
            await self._release()
        else:
            self._remind()

    async def _release(self) -> None:
        """Close the files and the sockets, when nobody uses them any more."""
        with trio.move_on_after(_CLOSING, shield=True):
            async with self._appending, self._keeping:
                self._log.close()
                self._datagrams.close()
