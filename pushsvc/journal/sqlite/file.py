"""The file of a journal: its tables, and the operations on it, which wait only for the disk and for
other users of the file. One thread at a time.

    log        one row: the epoch, and the horizon, after which everything is there
    entries    by the first of their seqs; with running totals since the log began, so that how much
               there is between two places is known without looking at what lies between
    snapshots  by their seq, with the totals there; while the horizon isn't 0, one is at it
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import sys
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal import Dropped, Snapshot
from pushsvc.journal.codec import CodecError, compress, decode, encode_plainly
from pushsvc.journal.keeping import Bounds, Mark, choose_horizon, superfluous
from pushsvc.journal.sqlite.trouble import (
    CHANGED,
    REMOVED,
    WITHOUT_LOG,
    Damaged,
    Foreign,
    Lost,
)

Synchronous: TypeAlias = Literal["full", "normal"]
"""Which writes wait for the disk."""

APPLICATION = 0x70736A31
"""The application ID in the header of the SQLite file: "psj1"."""
VERSION = 1
"""The version of the tables, also in the header."""

_TABLES = (
    "CREATE TABLE log (epoch TEXT NOT NULL, horizon INTEGER NOT NULL, boot TEXT)",
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, width INTEGER NOT NULL, "
    "stamp INTEGER NOT NULL, entries INTEGER NOT NULL, samples INTEGER NOT NULL, "
    "bytes INTEGER NOT NULL, sum INTEGER NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, "
    "entries INTEGER NOT NULL, samples INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "sum INTEGER NOT NULL, body BLOB NOT NULL)",
)
_PAGE_BYTES = 8192
"""Measured with entries of 0.3 to 20 KB: larger pages waste space, smaller ones time."""
_ROW_BYTES = 40
"""About how many bytes an entry takes besides its body."""
_WAL_BYTES = 64 * 1024 * 1024
"""If the write-ahead log was ever longer, it is truncated to this."""
_BUSY = {True: 5.0, False: 1.0}
"""Seconds to wait for other programs: if the file is shared, and if it isn't."""
_SLICE_BYTES = 1024 * 1024
"""Bytes of entries that are read, or deleted, at a time."""
_VACUUM_PAGES = 256
"""Pages that are returned to the file system at a time."""
_LOOSE_PAGES = 1024
"""Up to this many free pages are always kept."""
_LAST = (
    "SELECT seq + width - 1, stamp, entries, samples, bytes FROM entries "
    "WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
)
_AFTER = (
    "SELECT seq, width, stamp, sum, body FROM entries WHERE seq > ? AND seq <= ? "
    "ORDER BY seq LIMIT 512"
)
_OLD = (
    "SELECT seq, bytes FROM entries WHERE seq <= (SELECT horizon FROM log) ORDER BY seq LIMIT 512"
)
_SNAPSHOTS = "SELECT seq, stamp, entries, samples, bytes FROM snapshots ORDER BY seq"

_ALL = (1 << 63) - 1
_GET_VERSION = 0x80087601
"""FS_IOC_GETVERSION of Linux (ioctl_iflags(2))."""


class Appended(NamedTuple):
    """The result of an append."""

    entries: list[Entry]
    bodies: list[bytes]
    """As they are stored in the file."""
    plain: list[bytes]
    """The same, uncompressed."""
    end: Mark
    """The end of the log after the append."""


class LogFile:
    """A connection to the file."""

    epoch: str
    renewed = False
    """Whether a new epoch has begun since it was opened."""

    def __init__(self, path: Path, *, shared: bool, synchronous: Synchronous | None) -> None:
        """`synchronous` is None for a connection that only reads, to a file that has been set up.
        Raises Foreign, sqlite3.Error, OSError."""
        self.path = path
        self._write_ahead = path.with_name(path.name + "-wal")
        self.shared = shared
        self._appended: tuple[int, Mark] | None = None  # the version then, and the end
        self._connection = sqlite3.connect(
            path,
            timeout=_BUSY[shared],
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if synchronous is None:
                (self.epoch,) = self._one("SELECT epoch FROM log")
            else:
                self._set_up(synchronous)
        except BaseException:
            self._connection.close()
            raise

    def _set_up(self, synchronous: Synchronous) -> None:
        if self._is_empty():
            self._pragma(f"page_size = {_PAGE_BYTES}")
            self._pragma("auto_vacuum = INCREMENTAL")
        mode = self._pragma("journal_mode = WAL")
        if mode != "wal":
            raise Foreign(f"can't have a write-ahead log there (it is {mode}): use a local disk")
        self._pragma(f"synchronous = {synchronous}")
        self._pragma(f"journal_size_limit = {_WAL_BYTES}")
        with self._transaction():
            if self._is_empty():
                for table in _TABLES:
                    self._execute(table)
                self._execute("INSERT INTO log VALUES (?, 0, NULL)", secrets.token_hex(4))
                self._pragma(f"application_id = {APPLICATION}")
                self._pragma(f"user_version = {VERSION}")
            self._begin(synchronous)
        self._identity = self._stat()

    def _is_empty(self) -> bool:
        """Whether the file is still empty. Raises Foreign if it isn't a journal of this version."""
        application, version = self._pragma("application_id"), self._pragma("user_version")
        if application == APPLICATION and version == VERSION:
            return False
        if application == APPLICATION:
            raise Foreign(
                f"was written by {'a newer' if version > VERSION else 'another'} version of "
                f"pushsvc (format {version}, this one reads {VERSION}): go on with that one, or "
                "name another file"
            )
        if application or self._one("SELECT count(*) FROM sqlite_master")[0]:
            raise Foreign("is the database of another program: name another file")
        return True

    def _begin(self, synchronous: Synchronous) -> None:
        """If the newest entries may have been lost because the machine went down, begin a new
        epoch. Always writes, to find out whether the file can be written."""
        self.epoch, boot = self._one("SELECT epoch, boot FROM log")
        now = _boot()
        if boot is not None and (not now or boot != now):
            self.renew()
        elif self.shared and synchronous == "full":
            now = boot
        self._execute(
            "UPDATE log SET boot = ?",
            now if synchronous != "full" or self.shared else None,
        )

    def renew(self) -> None:
        """Begin a new epoch: what follows may differ from what once followed these entries. Raises
        sqlite3.Error."""
        self.epoch, self.renewed = secrets.token_hex(4), True
        self._execute("UPDATE log SET epoch = ?", self.epoch)

    def close(self, *, clean: bool = False) -> None:
        """With `clean`, for the last process that has it open, note that nothing can be lost
        now."""
        try:
            if clean and not self._pragma("wal_checkpoint(TRUNCATE)"):
                with self._transaction():
                    self._execute("UPDATE log SET boot = NULL")
        finally:
            self._connection.close()

    @property
    def name(self) -> str:
        """Distinguishes this file from copies of it, even at the same path; empty if nothing
        does."""
        return name_of(self.path)

    # -- places ------------------------------------------------------------------------------------

    def horizon(self) -> Mark:
        """The place where reading begins."""
        (seq,) = self._one("SELECT horizon FROM log")
        if not seq:
            return Mark()
        for mark in self._snapshots():
            if mark.seq == seq:
                return mark
        raise Damaged("the snapshot at the horizon is missing")

    def end(self) -> Mark:
        """The place after the newest entry."""
        return self._mark(_ALL) or self.horizon()

    def newest_snapshot(self) -> Mark:
        """The place of the newest snapshot; the beginning of the log if there is none."""
        return max(self._snapshots(), key=lambda mark: mark.seq, default=Mark())

    def version(self) -> int:
        """A number that changes when another connection has changed the file."""
        return int(self._pragma("data_version"))

    def file_bytes(self) -> int:
        """The size of the file and its write-ahead log on the disk."""
        total = 0
        for path in (self.path, self._write_ahead):
            try:
                total += path.stat().st_size
            except OSError:
                continue
        return total

    def _mark(self, seq: int) -> Mark | None:
        """The place after the last entry that begins at or before a seq."""
        row = self._execute(_LAST, seq).fetchone()
        return None if row is None else Mark(*row)

    def _snapshots(self) -> list[Mark]:
        return [Mark(*row) for row in self._execute(_SNAPSHOTS).fetchall()]

    # -- entries -----------------------------------------------------------------------------------

    def append(self, drafts: Sequence[Draft], now: int, after: Mark | None = None) -> Appended:
        """Put drafts at the end, in one transaction. `now` is the time in Unix milliseconds. With
        `after`, the end of the log must still be there, as no other process may append. Raises
        sqlite3.Error and Lost; then none of the drafts is in the file, but see `retract`."""
        self.check()
        plain = [encode_plainly(draft) for draft in drafts]
        bodies = [compress(one) for one in plain]
        entries, rows = [], []
        with self._transaction():
            version, known, self._appended = self.version(), self._appended, None
            if known is not None and known[0] == version:
                end, changed = known[1], False  # no other process has written since
            else:
                end = self.end()
                changed = self._one("SELECT epoch FROM log")[0] != self.epoch
            if changed or (after is not None and end != after):
                if after is not None and end.seq < after.seq and not changed:
                    self.renew()  # given-out cursors must not point at other entries
                    self._execute("COMMIT")
                raise Lost(CHANGED)
            stamp = max(end.stamp, now)
            for draft, body in zip(drafts, bodies, strict=True):
                entry = Entry(end.seq + 1, stamp, draft)
                end = Mark(
                    entry.last,
                    stamp,
                    end.entries + 1,
                    end.samples + draft.batch.count,
                    end.bytes + _weight(len(body)),
                )
                entries.append(entry)
                rows.append((
                    entry.seq, draft.width, stamp, end.entries, end.samples, end.bytes,
                    _sum(entry.seq, stamp, body), body,
                ))  # fmt: skip
            self._connection.executemany(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
        self._appended = version, end
        return Appended(entries, bodies, plain, end)

    def check(self) -> None:
        """Raise Lost if the file isn't the one that was opened, or its write-ahead log is
        gone."""
        found = self._stat()
        if found != self._identity:
            raise Lost(REMOVED if found[0] != self._identity[0] else WITHOUT_LOG)

    def retract(self, end: Mark) -> None:
        """For use when the file is opened again after an error during a commit. Removes entries
        after `end`, which were never answered, unless the file is shared. If entries before `end`
        are missing, which were answered, it begins a new epoch and raises Lost."""
        self._appended = None
        with self._transaction():
            found = self.end()
            if found.seq > end.seq and not self.shared:
                self._execute("DELETE FROM entries WHERE seq > ?", end.seq)
            elif found.seq < end.seq:
                self.renew()
        if found.seq < end.seq:
            raise Lost("has lost its newest entries while it was in use: restart")

    def read(
        self, after: int, through: int = _ALL, own: Callable[[int], Draft | None] = lambda _: None
    ) -> list[Entry]:
        """The next entries after seq `after`, at most about `_SLICE_BYTES`, none that begins after
        `through`. `own` may return the draft that begins with a seq, which then isn't decoded.
        Raises Dropped, Damaged, sqlite3.Error."""
        entries: list[Entry] = []
        with self._reading():
            if after < self._one("SELECT horizon FROM log")[0]:
                raise Dropped
            size = 0
            for seq, width, stamp, check, body in self._execute(_AFTER, after, through):
                if seq != after + 1:
                    raise Damaged(f"entry {after + 1} is missing")
                if (draft := own(seq)) is None:
                    if check != _sum(seq, stamp, body):
                        raise Damaged(f"entry {seq} isn't what was written")
                    try:
                        draft = decode(body)
                    except CodecError as error:
                        raise Damaged(str(error)) from None
                if draft.width != width:
                    raise Damaged(f"entry {seq} isn't as wide as was written")
                entries.append(Entry(seq, stamp, draft))
                after = entries[-1].last
                size += len(body)
                if size >= _SLICE_BYTES:
                    break
        return entries

    # -- snapshots, and what may go ----------------------------------------------------------------

    def snapshot(self) -> Snapshot | None:
        """The snapshot at the horizon. Raises Damaged, sqlite3.Error."""
        row = self._execute(
            "SELECT seq, stamp, sum, body FROM snapshots WHERE seq = (SELECT horizon FROM log)"
        ).fetchone()
        if row is None:
            return None
        seq, stamp, check, body = row
        if check != _sum(seq, stamp, body):
            raise Damaged(f"the snapshot at {seq} isn't what was written")
        return Snapshot(seq, stamp, body)

    def keep(self, snapshot: Snapshot, bounds: Bounds) -> tuple[Mark, Mark]:
        """Store a snapshot, and move the horizon if possible; returns the horizon and the newest
        snapshot. Entries before the horizon are not deleted yet. Raises sqlite3.Error."""
        with self._transaction():
            horizon, mark = self.horizon(), self._mark(snapshot.seq)
            if mark is not None and mark.seq == snapshot.seq > horizon.seq:
                self._execute(
                    "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)",
                    mark.seq,
                    mark.stamp,
                    mark.entries,
                    mark.samples,
                    mark.bytes,
                    _sum(mark.seq, mark.stamp, snapshot.body),
                    snapshot.body,
                )
            snapshots = self._snapshots()
            horizon = choose_horizon(horizon, snapshots, self.end(), bounds)
            self._execute("UPDATE log SET horizon = ?", horizon.seq)
            for gone in superfluous(horizon, snapshots, bounds):
                self._execute("DELETE FROM snapshots WHERE seq = ?", gone.seq)
        return horizon, snapshots[-1] if snapshots else horizon

    def drop_some(self) -> bool:
        """Delete some entries before the horizon; returns whether it deleted any. Raises
        sqlite3.Error."""
        with self._transaction():
            old: list[tuple[int, int]] = self._execute(_OLD).fetchall()
            if not old:
                return False
            most = old[0][1] + _SLICE_BYTES
            last = max(seq for seq, total in old if total <= most)
            self._execute("DELETE FROM entries WHERE seq <= ?", last)
        return True

    def vacuum_some(self) -> bool:
        """If many pages are free, return some to the file system, and True. Raises
        sqlite3.Error."""
        free, pages = self._pragma("freelist_count"), self._pragma("page_count")
        if free <= max(_LOOSE_PAGES, pages // 4):
            return False
        self._execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        return True

    def limit_pages(self, most: int) -> int:
        """Set the most pages that the file may have, but no fewer than it has; returns that
        number."""
        return int(self._pragma(f"max_page_count = {max(most, 1)}"))

    # -- SQLite ------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _reading(self) -> Generator[None]:
        """Everything read inside the block is from the same moment."""
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def _one(self, statement: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._execute(statement).fetchone()
        if row is None:
            raise Damaged("what says its epoch is missing")
        return row

    def _pragma(self, what: str) -> Any:
        row = self._execute(f"PRAGMA {what}").fetchone()
        return None if row is None else row[0]

    def _stat(self) -> list[tuple[int, int] | None]:
        """The device and inode of the file and of its write-ahead log, which exists as long as this
        connection is open; None for one that is missing."""
        found: list[tuple[int, int] | None] = []
        for path in (self.path, self._write_ahead):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_dev, stat.st_ino))
        return found


def _sum(seq: int, stamp: int, body: bytes) -> int:
    """A checksum that reveals an entry with changed bytes: SQLite doesn't check for them."""
    return zlib.crc32(body, zlib.crc32(b"%d %d" % (seq, stamp)))


def _weight(body: int) -> int:
    """The bytes of pages that an entry with a body of this length takes among entries of its size,
    from SQLite's layout of rows (https://www.sqlite.org/fileformat2.html, 1.5 and 1.6): up to about
    twice its own length."""
    row, spilled = body + _ROW_BYTES, 0
    if row > _PAGE_BYTES - 35:
        least = (_PAGE_BYTES - 12) * 32 // 255 - 23
        local = least + (row - least) % (_PAGE_BYTES - 4)
        local = local if local <= _PAGE_BYTES - 35 else least
        spilled, row = -(-(row - local) // (_PAGE_BYTES - 4)), local
    return spilled * _PAGE_BYTES + _PAGE_BYTES // max(1, (_PAGE_BYTES - 12) // row)


_named: dict[tuple[int, int], str] = {}
"""Known names, by device and inode. Each has a descriptor that is never closed: when a process
closes any descriptor of a file, the kernel releases all of its locks on the file, also SQLite's,
and the next program that reads the file would take over the write-ahead log."""


def name_of(path: Path) -> str:
    """The inode of a file, with its generation number where the file system has one. Empty if
    inodes may change with a restart, as in a sandbox without a kernel of its own."""
    if not _boot():
        return ""
    try:
        found = path.stat()
        known = _named.get((found.st_dev, found.st_ino))
        if known is not None:
            return known
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    found = os.fstat(handle)
    name = f"{found.st_ino}"
    with contextlib.suppress(OSError):
        generation = fcntl.ioctl(handle, _GET_VERSION, bytes(8))
        name = f"{name}.{int.from_bytes(generation, sys.byteorder)}"
    _named[found.st_dev, found.st_ino] = name
    return name


def _boot() -> str:
    """An ID of this boot of the machine; empty if it can't be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
