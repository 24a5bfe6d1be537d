"""Who has a file: a lock beside it, that the kernel takes back when its holder ends. It also says
how far the file was once, which tells an older copy that was put back from the file itself."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path

from pushsvc.journal import JournalError

_NOTE = re.compile(r"^epoch ([0-9a-f]+) seq ([0-9]+)$", re.MULTILINE)
_NOTE_BYTES = 500


class Claim:
    """A lock on `FILE-lock`, in which its holder stands. A process that dies has let go of it."""

    def __init__(self, path: Path, *, shared: bool) -> None:
        """Raises JournalError where another process has it, and it isn't shared by both."""
        where = path.with_name(path.name + "-lock")
        try:
            self._handle = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"journal.path: {path} can't be used: {where.name} can't be made beside it "
                f"({error.strerror}): the user that the service runs as (uid {os.geteuid()}) must "
                f"be able to write in {path.parent}"
            ) from None
        try:
            fcntl.flock(self._handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._text().partition("\n")[0]
            self.release()
            raise JournalError(
                f"journal.path: {path} is in use by {holder or 'another process'}: stop that "
                "one first, or give this one a file of its own"
            ) from None
        except OSError as error:
            self.release()
            raise JournalError(
                f"journal.path: {path} can't be used: {where.name} can't be locked "
                f"({error.strerror}): name a file on a local disk"
            ) from None

    def noted(self) -> tuple[str, int] | None:
        """The epoch and seq that were noted last; None where there is nothing one can read."""
        match = _NOTE.search(self._text())
        return None if match is None else (match[1], int(match[2]))

    def note(self, epoch: str, seq: int) -> None:
        """Write down who has the file, and how far that is. Raises OSError."""
        text = f"process {os.getpid()} on {socket.gethostname()}\nepoch {epoch} seq {seq}\n"
        # In one piece, over the one before: whoever is killed here leaves one of the two.
        os.pwrite(self._handle, text.encode().ljust(_NOTE_BYTES), 0)
        os.fsync(self._handle)

    def _text(self) -> str:
        return os.pread(self._handle, _NOTE_BYTES, 0).decode(errors="replace")

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
