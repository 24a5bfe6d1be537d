"""The journal in an SQLite file: epoch, history and cursors survive a restart.

What it promises
----------------
Drafts that are appended together are one transaction: all of them are in the file, or none. With
`synchronous` at `full` they are on the disk when `append` returns: they survive a crash of the
process, a crash of the machine and a power cut, if the disk honours a sync. With `normal` they
survive any end of the process, but if the machine goes down, it may lose what came since the last
checkpoint of the write-ahead log: a few megabytes at most.

If the newest entries may be lost, a new epoch begins, so that a cursor into lost entries never
points at other entries. This happens when the machine went down under `normal`, and when the file
is not the same as before, such as a copy that was restored.

What it needs
-------------
A local disk: neither SQLite's write-ahead log nor the lock on the file works on NFS. Beside the
file are `FILE-wal` and `FILE-shm`, which belong to it, and `FILE-lock`, which names the process
that uses it and its newest seq. One process opens the file, and then knows everything that is
appended. With `shared` several do, and each sees within milliseconds what the others append. Other
programs may read it at the same time (`sqlite3 FILE ".backup COPY"`).

How large it grows
------------------
All entries younger than `keep_seconds`, by the journal's own stamps, are kept, and some older ones:
reading begins at a snapshot, so the log can only be cut at one. Beyond `max_bytes` or `max_samples`
the oldest entries are dropped whatever their age, as soon as there is a snapshot after them. The
file reuses the space of dropped entries, and returns it to the file system if there is much of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from pushsvc.journal.keeping import Bounds
from pushsvc.journal.sqlite.file import Synchronous
from pushsvc.journal.sqlite.journal import SqliteJournal
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
    """Open the journal in a file for as long as the block lasts; the file is made if it doesn't
    exist.

    `max_bytes` counts entries as they are stored. With `shared`, other processes that open it as
    shared may use it too; through a `notifier` they tell each other what they append. Raises
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
