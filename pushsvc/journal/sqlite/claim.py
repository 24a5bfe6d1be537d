"""The claim on a file: a lock file beside it, whose lock the kernel releases when its holder ends.
It also notes the newest seq of the file, by which a restored older copy is recognised."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path
from zlib import crc32

import msgspec

from pushsvc.journal import JournalError

_NOTE = re.compile(r"^epoch ([0-9a-f]+) seq ([0-9]+)$", re.MULTILINE)
_FILE = re.compile(r"^file (\S+)$", re.MULTILINE)
_NOTE_BYTES = 500
_TRIES = 100


class Noted(msgspec.Struct, frozen=True):
    """The newest seq of a file, and which file it was."""

    epoch: str
    seq: int
    file: str = ""
    """Its `LogFile.name`; empty if that isn't known."""


class Claim:
    """A lock on `FILE-lock`, which names its holder. It is released when the process dies."""

    def __init__(self, path: Path, *, shared: bool) -> None:
        """Raises JournalError if another process holds it, unless both share it."""
        self._path = path
        self._where = path.with_name(path.name + "-lock")
        self._shared = shared
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._handle = self._take()

    def _take(self) -> int:
        path, where = self._path, self._where
        try:
            handle = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"journal.path: {path} can't be used: {where.name} can't be made beside it "
                f"({error.strerror}): the user that the service runs as (uid {os.geteuid()}) must "
                f"be able to write in {path.parent}"
            ) from None
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _text(handle).partition("\n")[0]
            os.close(handle)
            raise JournalError(
                f"journal.path: {path} is in use by {holder or 'another process'}: stop that "
                "one first, or give this one a file of its own"
            ) from None
        except OSError as error:
            os.close(handle)
            raise JournalError(
                f"journal.path: {path} can't be used: {where.name} can't be locked "
                f"({error.strerror}): name a file on a local disk"
            ) from None
        return handle

    def hold(self) -> None:
        """Lock a new `FILE-lock` if the old one was removed or replaced, since others don't find it
        then. Raises JournalError if another process was faster."""
        held = os.fstat(self._handle)
        try:
            found = self._where.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino):
            handle = self._take()
            os.close(self._handle)
            self._handle = handle

    def noted(self) -> Noted | None:
        """What was noted last; None if nothing can be read."""
        # Processes that share it may write at any moment, so a read may see a half-written note.
        texts = (_text(self._handle) for _ in range(_TRIES if self._shared else 1))
        text = next(filter(_is_whole, texts), "")
        match, file = _NOTE.search(text), _FILE.search(text)
        return None if match is None else Noted(match[1], int(match[2]), file[1] if file else "")

    def note(self, noted: Noted, *, durable: bool) -> None:
        """Write down the holder and the newest seq. Unless `durable`, the note outlives this
        process, but not a crash of the machine. Raises OSError."""
        text = f"{self._holder}\nepoch {noted.epoch} seq {noted.seq}\n"
        if noted.file:
            text += f"file {noted.file}\n"
        text += f"sum {crc32(text.encode()):08x}\n"
        # One write over the previous note: a process killed here leaves the old one or the new one.
        os.pwrite(self._handle, text.encode().ljust(_NOTE_BYTES), 0)
        if durable:
            os.fsync(self._handle)

    def is_only(self) -> bool:
        """Whether no other process has the file open; if so, none can open it from now on."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _is_whole(text: str) -> bool:
    noted, _, rest = text.partition("sum ")
    return rest[:8] == f"{crc32(noted.encode()):08x}"


def _text(handle: int) -> str:
    return os.pread(handle, _NOTE_BYTES, 0).decode(errors="replace")
