"""The files of the log, and the operations on them, which wait only for the disk and for other
processes that have a lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import struct
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Self
from zlib import crc32

import msgspec

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal import Dropped, Snapshot
from pushsvc.journal.codec import CodecError
from pushsvc.journal.keeping import Bounds, Mark, choose_horizon, superfluous
from pushsvc.journal.segments.record import (
    BASE,
    HEADER_BYTES,
    Place,
    Record,
    Written,
    is_whole,
    read_entries,
    read_header,
    write,
    write_end,
)

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment of this many bytes is followed by another. Only whole segments are dropped."""
_SLICE_BYTES = 1024 * 1024
"""Bytes of entries that are read at a time."""
_CHECKED = 4
_PATIENCE = 5.0
"""Seconds to wait for a lock."""
_PAUSE = 0.001
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class Busy(Exception):
    """Another process has the lock; nothing was done."""


class LogError(Exception):
    """The log can't be used as it is; the message continues a sentence that begins with where it
    is."""


class Lost(LogError):
    """Its files were removed."""

    def __init__(self) -> None:
        super().__init__("was removed while it is in use: restart")


class Damaged(LogError):
    """What is in it is not what was written."""

    def __init__(self, how: str) -> None:
        super().__init__(f"is damaged ({how}): restart, which begins without a past")


class SegmentLog:
    """The log, as one process appends to it; one thread at a time does."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, Busy, LogError."""
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(folder / "lock", _OPEN, 0o600)
        self._handle = -1  # of the newest segment
        self._lost = False
        try:
            self._acquire(wait=True)
            try:
                self.epoch = self._epoch()
                self._open_newest()
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files. Idempotent."""
        for handle in (self._lock, self._handle):
            if handle >= 0:
                os.close(handle)
        self._lock = self._handle = -1

    def _epoch(self) -> str:
        path = self.folder / "epoch"
        if not path.exists():
            _replace(path, secrets.token_hex(4).encode())
        return path.read_text(encoding="ascii")

    def _open_newest(self) -> None:
        found = _segments(self.folder)
        if not found:
            _begin_segment(self.folder, Mark())
            found = [1]
        self._enter(found[-1])
        self._reach_end()

    def _enter(self, segment: int) -> None:
        handle = os.open(_segment(self.folder, segment), os.O_RDWR | os.O_CLOEXEC)
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = handle
        self.end = Place(segment, BASE.size, _base(os.pread(handle, BASE.size, 0)))

    # -- appending ---------------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft], now: int, known: Place, *, wait: bool) -> Written:
        """Put drafts at the end, as one record. `now` is the time in Unix milliseconds, `known` a
        place that is known to be in the log. Without `wait`, raises Busy at once if another process
        appends. Raises OSError, LogError; then none of the drafts is in the log."""
        if self._lost:
            raise Lost
        self._acquire(wait=wait)
        try:
            self._go_to(known)
            self._reach_end(known.mark.seq)
            if self.end.offset >= SEGMENT_BYTES:
                self._begin_another()
            written = write(self.end, drafts, now)
            self._put(written.record)
            self.end = written.place
            return written
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _acquire(self, *, wait: bool) -> None:
        """Raises Busy."""
        deadline = None
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
                deadline = now + _PATIENCE if deadline is None else deadline
                if not wait or now >= deadline:
                    raise Busy from None
                time.sleep(_PAUSE)
            else:
                return

    def _go_to(self, known: Place) -> None:
        """Go to a place that is known to be in the log, if it is further on."""
        if known.mark.seq <= self.end.mark.seq:
            return
        if known.segment != self.end.segment:
            self._enter_newest(known.segment)
        if known.segment == self.end.segment:
            self.end = known

    def _reach_end(self, known: int = 0) -> None:
        """Go to the end of the log, past what others have appended, and remove what one that was
        killed has left there. The log has at least the entries up to seq `known`. Raises LogError,
        OSError."""
        while True:
            place = self.end
            size = os.lseek(self._handle, 0, os.SEEK_END)
            if size == place.offset:
                break
            if size < place.offset:
                raise Damaged("it was cut off")
            following = self._read_on(size - place.offset)
            if following:
                self._enter_newest(following)
            elif self.end == place:
                if known > place.mark.seq:
                    raise Damaged(f"entry {place.mark.seq + 1} is missing")
                os.ftruncate(self._handle, place.offset)
        if known > self.end.mark.seq:
            raise Damaged(f"entry {self.end.mark.seq + 1} is missing")

    def _read_on(self, most: int) -> int:
        """Go past what is there, so many bytes at the most. Gives the segment after this one if
        that was the end of it, else 0."""
        reading = Reading(self, self.end, self._handle)
        try:
            for record, _, _ in reading.records(most):
                self.end = record.after(self.end)
        except Dropped:
            return self.end.mark.seq + 1
        finally:
            reading.close()
        return 0 if reading.place.segment == self.end.segment else reading.place.segment

    def _enter_newest(self, segment: int) -> None:
        """Go to a segment, or, where it was dropped, to the newest one."""
        try:
            self._enter(segment)
        except FileNotFoundError:
            newest = _segments(self.folder)[-1:]
            if newest <= [self.end.segment]:
                raise Lost from None
            self._enter(newest[0])

    def look(self) -> None:
        """If its files were removed, refuse to append from now on. Not while another thread
        appends."""
        gone = not os.fstat(self._handle).st_nlink
        self._lost = gone and _segments(self.folder)[-1:] <= [self.end.segment]

    def _begin_another(self) -> None:
        # A process that is killed between the two has left nothing that the next one can't write
        # again.
        _begin_segment(self.folder, self.end.mark)
        self._put(write_end(self.end))
        self._enter(self.end.mark.seq + 1)

    def _put(self, record: bytes) -> None:
        """All or nothing. Raises OSError."""
        offset = self.end.offset
        put = 0
        try:
            put = os.pwrite(self._handle, record, offset)
            while put < len(record):  # the disk is full, which the next write says
                put += os.pwrite(self._handle, record[put:], offset + put)
        except OSError:
            with contextlib.suppress(OSError):  # else the next append does it
                os.ftruncate(self._handle, offset)
            raise

    # -- snapshots, and what may go ----------------------------------------------------------------

    @property
    def horizon(self) -> Mark:
        """The place where reading begins. Raises OSError, Damaged."""
        return _horizon(self.folder)

    def newest_snapshot(self) -> Mark:
        """The place of the newest snapshot; the beginning of the log if there is none."""
        return max(_snapshots(self.folder), key=lambda mark: mark.seq, default=Mark())

    def snapshot(self) -> Snapshot | None:
        """The snapshot at the horizon. Raises OSError, LogError."""
        horizon = self.horizon
        while horizon.seq:
            try:
                data = _snapshot(self.folder, horizon.seq).read_bytes()
            except FileNotFoundError:
                before, horizon = horizon, self.horizon
                if before == horizon:
                    raise Damaged("the snapshot at the horizon is missing") from None
            else:
                check, rest = data[:_CHECKED], data[_CHECKED:]
                if crc32(rest).to_bytes(_CHECKED, "little") != check:
                    raise Damaged(f"the snapshot at {horizon.seq} isn't what was written")
                return Snapshot(horizon.seq, horizon.stamp, rest[BASE.size :])
        return None

    def keep(self, snapshot: Snapshot, end: Mark, bounds: Bounds) -> tuple[Mark, Mark]:
        """Store a snapshot, move the horizon if possible, and drop what is before it; returns the
        horizon and the newest snapshot. `end` is about where the log ends. May be called while
        another thread appends. Raises OSError, LogError."""
        with _locked(self.folder / "keeping-lock"):
            horizon = self.horizon
            if snapshot.seq > horizon.seq and (mark := self._mark(snapshot.seq)) is not None:
                rest = BASE.pack(*msgspec.structs.astuple(mark)) + snapshot.body
                check = crc32(rest).to_bytes(_CHECKED, "little")
                _replace(_snapshot(self.folder, mark.seq), check + rest)
            snapshots = _snapshots(self.folder)
            chosen = choose_horizon(horizon, snapshots, end, bounds)
            if chosen.seq != horizon.seq:
                _replace(self.folder / "horizon", BASE.pack(*msgspec.structs.astuple(chosen)))
            for gone in superfluous(chosen, snapshots, bounds):
                _snapshot(self.folder, gone.seq).unlink(missing_ok=True)
            segments = _segments(self.folder)
            for segment, following in pairwise(segments):
                if following <= chosen.seq + 1:
                    _segment(self.folder, segment).unlink(missing_ok=True)
        return chosen, snapshots[-1] if snapshots else chosen

    def _mark(self, seq: int) -> Mark | None:
        """The place after the entry that ends with a seq; None if none does."""
        with Reading(self) as reading:
            try:
                reading.find(seq)
            except Dropped:
                return None
            before = reading.place.mark
            if before.seq == seq:
                return before
            for record, data, offset in reading.records():
                if not before.seq < seq <= record.mark.seq:
                    return None
                if record.mark.seq == seq:
                    return record.mark
                mark, share = before, record.size // record.drafts
                for entry in _entries(record, data, offset, lambda _: None):
                    mark = Mark(
                        entry.last,
                        entry.stamp,
                        mark.entries + 1,
                        mark.samples + entry.draft.batch.count,
                        mark.bytes + share,
                    )
                    if entry.last == seq:
                        return mark
                return None
        return None

    def file_bytes(self) -> int:
        """The size of its files."""
        total = 0
        with os.scandir(self.folder) as found:
            for one in found:
                with contextlib.suppress(FileNotFoundError):
                    total += one.stat().st_size
        return total


class Reading:
    """A place in the log from which it is read, without a lock: the beginning of a record at the
    end is as if nothing were there."""

    def __init__(self, log: SegmentLog, place: Place | None = None, handle: int = -1) -> None:
        """`handle` is that of the place's segment, if it is open; it isn't closed."""
        self._folder = log.folder
        self._borrowed = self._handle = handle
        self.place = Place(0, 0, Mark()) if place is None else place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Idempotent."""
        if self._handle not in (-1, self._borrowed):
            os.close(self._handle)
        self._handle = self._borrowed = -1

    def find(self, after: int) -> None:
        """Go to the record with the entry after a seq, or to the end. Raises Dropped, OSError,
        Damaged."""
        while True:
            segments = _segments(self._folder)
            if not segments:
                raise Lost
            before = [one for one in segments if one <= after + 1]
            if after < _horizon(self._folder).seq or not before:
                raise Dropped
            with contextlib.suppress(Dropped):  # just now: then reading begins later
                self._enter(before[-1])
                break
        while True:
            place = begun = self.place
            for record, _, _ in self.records():
                if record.mark.seq > after:
                    self.go(place)
                    return
                place = record.after(place)
            if self.place == begun:
                return

    def go(self, place: Place) -> None:
        """Go to a place. Raises Dropped, OSError."""
        if self._handle < 0 or place.segment != self.place.segment:
            self._enter(place.segment)
        self.place = place

    def _enter(self, segment: int) -> None:
        try:
            handle = os.open(_segment(self._folder, segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Dropped from None
        self.close()
        self._handle = handle
        self.place = Place(segment, BASE.size, _base(os.pread(handle, BASE.size, 0)))

    def ahead(self) -> int:
        """How many bytes there are after the place in its segment. Raises OSError."""
        return os.fstat(self._handle).st_size - self.place.offset

    def read(self, after: int, own: Callable[[int], Draft | None] = lambda _: None) -> list[Entry]:
        """The next entries after seq `after`, at most about `_SLICE_BYTES`; none at the end. `own`
        may return the draft that begins with a seq. Raises Dropped, Damaged, OSError."""
        if after < _horizon(self._folder).seq:
            raise Dropped
        entries: list[Entry] = []
        while not entries:
            place = self.place
            for record, data, offset in self.records():
                found = _entries(record, data, offset, own)
                entries += [entry for entry in found if entry.seq > after]
            if self.place == place:
                break
        return entries

    def records(self, most: int = _SLICE_BYTES) -> Generator[tuple[Record, bytes, int]]:
        """Go to the next place, past some records, and give them, each with bytes and where it is
        in them. Raises Dropped, Damaged, OSError."""
        data = os.pread(self._handle, most, self.place.offset)
        if len(data) >= HEADER_BYTES and (size := read_header(data).size) > len(data):
            # One that is larger than a slice.
            data = os.pread(self._handle, min(size, self.ahead()), self.place.offset)
        offset = 0
        while offset + HEADER_BYTES <= len(data):
            record = read_header(data, offset)
            if not is_whole(record, data, offset):
                if record.size and offset + record.size <= len(data):
                    raise Damaged(f"entry {self.place.mark.seq + 1} isn't what was written")
                break  # it is being written, or more than this slice
            if not record.drafts:
                self._enter(record.first)
                break
            self.place = record.after(self.place)
            yield record, data, offset
            offset += record.size


def _entries(
    record: Record, data: bytes, offset: int, own: Callable[[int], Draft | None]
) -> list[Entry]:
    try:
        return read_entries(record, data, offset, own)
    except (CodecError, struct.error) as error:
        raise Damaged(f"entry {record.first}: {error}") from None


def explain(error: OSError | Busy | LogError, folder: Path) -> str:
    """One sentence for the operator: what is wrong with the log, and what to do."""
    if isinstance(error, LogError):
        how = str(error)
    elif isinstance(error, Busy):
        how = "is held by a worker that doesn't go on"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        how = (
            "has no room left on its disk: make room, lower journal.max_bytes, or name another "
            "directory in TMPDIR"
        )
    else:
        how = f"can't be used: {error.strerror or error}"
    return f"the workers' log in {folder} {how}"


@contextmanager
def _locked(path: Path) -> Generator[None]:
    handle = os.open(path, _OPEN, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _segment(folder: Path, seq: int) -> Path:
    return folder / f"{seq}.log"


def _snapshot(folder: Path, seq: int) -> Path:
    return folder / f"{seq}.snapshot"


def _segments(folder: Path) -> list[int]:
    """The first seqs of all segments, in order."""
    return sorted(int(path.stem) for path in folder.glob("*.log"))


def _snapshots(folder: Path) -> list[Mark]:
    """The places of all snapshots, in order."""
    marks = []
    for path in folder.glob("*.snapshot"):
        with path.open("rb") as file:
            marks.append(_base(file.read(_CHECKED + BASE.size)[_CHECKED:]))
    return sorted(marks, key=lambda mark: mark.seq)


def _horizon(folder: Path) -> Mark:
    try:
        return _base((folder / "horizon").read_bytes())
    except FileNotFoundError:
        return Mark()


def _begin_segment(folder: Path, end: Mark) -> None:
    _replace(_segment(folder, end.seq + 1), BASE.pack(*msgspec.structs.astuple(end)))


def _base(data: bytes) -> Mark:
    try:
        return Mark(*BASE.unpack(data))
    except struct.error:
        raise Damaged("a file is cut off") from None


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole, or leave it as it is. Raises OSError."""
    other = path.with_name(f"{path.name}-new")
    try:
        other.write_bytes(data)
    except OSError:
        other.unlink(missing_ok=True)
        raise
    other.replace(path)
