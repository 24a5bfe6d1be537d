"""What SQLite's errors mean for the operator of the service, and what to do about them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
"""Primary codes after which the connection can still be used."""


class FileError(Exception):
    """A problem with the file; the message continues a sentence that begins with its name."""


class Foreign(FileError):
    """The file belongs to another program, version or user, or is in an unsuitable place."""


class Damaged(FileError):
    """The file's content is not what was written."""

    def __init__(self, how: str) -> None:
        super().__init__(
            f"is damaged ({how}): put back a copy of it, or move it away with what stands beside "
            "it, to begin without a past"
        )


REMOVED = "was removed or replaced while it is in use: put it back, or restart without it"

WITHOUT_LOG = (
    "is without the -wal beside it, which was removed while it is in use and has its newest "
    "entries: restart"
)
CHANGED = "was changed by another program while it is in use: restart"


class Lost(FileError):
    """The file was changed or replaced while this process has it open."""


def primary(error: sqlite3.Error) -> int:
    """The primary result code (https://www.sqlite.org/rescode.html); -1 if there is none."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code & 0xFF if code >= 0 else -1


def is_passing(error: sqlite3.Error) -> bool:
    """Whether the connection can still be used after this error."""
    return primary(error) in _PASSING


def explain(error: sqlite3.Error | FileError, path: Path) -> str:
    """One sentence for the operator: what is wrong with the file, and what to do."""
    if isinstance(error, FileError):
        return f"{path} {error}"
    match primary(error):
        case sqlite3.SQLITE_FULL:
            how = "has no room left on its disk: make room, or lower journal.max_bytes"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            how = not_writable()
        case sqlite3.SQLITE_CANTOPEN:
            how = f"can't be opened: {_us()} must be able to read and write it, and its directory"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            how = "is locked by another program: end that one"
        case sqlite3.SQLITE_NOTADB:
            how = "is no database of SQLite: name another file, or move that one away"
        case sqlite3.SQLITE_IOERR:
            how = f"can't be read or written ({error.sqlite_errorname}): look at its disk"
        case sqlite3.SQLITE_CORRUPT:
            how = str(Damaged(str(error)))
        case _:
            how = f"can't be used: {error}"
    return f"{path} {how}"


def not_writable() -> str:
    """The message for a file that exists and can't be written."""
    return f"can't be written: give it, its directory and what stands beside it to {_us()}"


def _us() -> str:
    return f"the user that the service runs as (uid {os.geteuid()})"
