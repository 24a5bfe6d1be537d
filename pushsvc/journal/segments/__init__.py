"""The log of workers that have no `journal.path`: files in a folder that goes with the service.

Every worker appends to these files and reads them. They are not to outlive the service, nor the
machine: nothing waits for the disk, and another program has no business here. Of all that a
database does only little is needed: an append is one lock, one write and one datagram to each of
the other workers, which takes less than half as long as in SQLite. Drafts aren't compressed, which
alone would cost as much as the write.

What it promises
----------------
Drafts that are appended together are one record: all of them are in the log, or none. What `append`
has returned for outlives the process. A worker that is killed in the middle of an append leaves the
beginning of a record at the end, which the next one that appends removes.

What is in the folder
---------------------
    epoch            the name of this run of seqs
    N.log            segments: records one after another, from seq N on; the last one is appended to
    N.snapshot       the snapshot at seq N
    horizon          the seq after which everything is there; 0 while there is no such file
    lock             whoever appends has it locked
    keeping-lock     whoever stores a snapshot, and drops what needn't be kept, has it locked
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from pushsvc.journal.datagrams import Datagrams
from pushsvc.journal.keeping import Bounds
from pushsvc.journal.segments.journal import SegmentsJournal

__all__ = ["SegmentsJournal", "open_segments_journal"]


@asynccontextmanager
async def open_segments_journal(
    folder: Path, bounds: Bounds, datagrams: Datagrams
) -> AsyncGenerator[SegmentsJournal]:
    """Open the log in a folder for as long as the block lasts; it is made if there is none.

    `datagrams` are this process's; they are closed with the journal. Raises JournalError.
    """
    journal = await SegmentsJournal.open(folder, bounds, datagrams)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run_looking)
            nursery.start_soon(journal.run_reminding)
            yield journal
            nursery.cancel_scope.cancel()
    finally:
        await journal.aclose()
