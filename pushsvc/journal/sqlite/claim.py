"""Who has a file: a lock beside it, that the kernel takes back when its holder ends. It also says
how far the file was once, which tells an older copy that was put back from the file itself."""

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
    """How far a file was, and which it was."""

    epoch: str
    seq: int
    file: str = ""
    """As `LogFile.name`; empty where that isn't known."""


class Claim:
    """A lock on `FILE-lock`, in which its holder stands. A process that dies has let go of it."""

    def __init__(self, path: Path, *, shared: bool) -> None:
        """Raises JournalError where another process has it, and it isn't shared by both."""
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
        """Take it again where `FILE-lock` was removed, since others don't find it then. Raises
        JournalError where another process has been quicker."""
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
        """What was noted last; None where there is nothing one can read."""
        # Those who share it write at any moment, and what they write may be seen by halves.
        texts = (_text(self._handle) for _ in range(_TRIES if self._shared else 1))
        text = next(filter(_is_whole, texts), "")
        match, file = _NOTE.search(text), _FILE.search(text)
        return None if match is None else Noted(match[1], int(match[2]), file[1] if file else "")

    def note(self, noted: Noted, *, durable: bool) -> None:
        """Write down who has the file, and how far that is. What is not made `durable` outlives
        this process, but not the machine. Raises OSError."""
        text = f"{self._holder}\nepoch {noted.epoch} seq {noted.seq}\n"
        if noted.file:
            text += f"file {noted.file}\n"
        text += f"sum {crc32(text.encode()):08x}\n"
        # In one piece, over the one before: whoever is killed here leaves one of the two.
        os.pwrite(self._handle, text.encode().ljust(_NOTE_BYTES), 0)
        if durable:
            os.fsync(self._handle)

    def is_only(self) -> bool:
        """Whether no other process has the file open now; none can open it afterwards."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Let others have it. Idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _is_whole(text: str) -> bool:
    noted, _, rest = text.partition("sum ")
    return rest[:8] == f"{crc32(noted.encode()):08x}"


def _text(handle: int) -> str:
    return os.pread(handle, _NOTE_BYTES, 0).decode(errors="replace")
