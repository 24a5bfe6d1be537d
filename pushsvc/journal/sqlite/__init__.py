"""The journal in a file of SQLite: a restart keeps epoch, past and cursors.

What it promises
----------------
What is appended together is one transaction: all of it is in the file or none. With `synchronous`
at `full` it is on the disk when `append` returns: it outlives the process, the machine's crash and
its power cut, as far as the disk does what it is told to. With `normal` it outlives the process,
however that dies, but a machine that goes down may lose what came since the last checkpoint of the
write-ahead log: some megabytes at the most.

Where the end may be lost, what comes next is another epoch, so that cursors of what is lost never
meet other entries: when the machine went down under `normal`, and when a file is found that isn't
the one it was, as a copy that was put back.

What it needs
-------------
A disk of this machine: neither SQLite's write-ahead log nor the lock that says who has the file
work on NFS. Beside the file are `FILE-wal` and `FILE-shm`, which belong to it, and `FILE-lock`,
which says who has it and how far it is. It is opened by one process, which then knows all that is
appended; with `shared` by several, each of which sees within milliseconds what others append. Other
programs may read it meanwhile (`sqlite3 FILE ".backup COPY"`).

How large it grows
------------------
Everything is kept that is younger than `keep_seconds`, by the journal's own stamps, and some more:
reading begins at a snapshot, so that the past is cut where one was kept. Beyond `max_bytes` or
`max_samples` the oldest go however young they are, as soon as there is a snapshot after them. The
file uses the room of what went for what comes, and gives it back where that is much.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from pushsvc.journal.sqlite.file import Synchronous
from pushsvc.journal.sqlite.journal import SqliteJournal
from pushsvc.journal.sqlite.keeping import Bounds
from pushsvc.journal.sqlite.notifier import AppendNotifier

__all__ = ["AppendNotifier", "SqliteJournal", "open_sqlite_journal"]


@asynccontextmanager
async def open_sqlite_journal(
    path: Path,
    *,
    keep_seconds: float,
    max_bytes: int,
    max_samples: int | None = None,
    synchronous: Synchronous = "full",
    shared: bool = False,
    notifier: AppendNotifier | None = None,
) -> AsyncGenerator[SqliteJournal]:
    """Open the journal in a file, which is made if it isn't there, for as long as the block lasts.

    `max_bytes` are those of entries as they are kept. With `shared`, other processes that say so
    too may have it open as well; by a `notifier` they tell each other of what they append. Raises
    JournalError.
    """
    journal = await SqliteJournal.open(
        path, Bounds(keep_seconds, max_bytes, max_samples), synchronous=synchronous, shared=shared
    )
    try:
        if notifier is None:
            yield journal
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.listen, notifier)
                yield journal
                nursery.cancel_scope.cancel()
    finally:
        await journal.aclose()
        if notifier is not None:
            notifier.close()
