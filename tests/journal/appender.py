"""A process that appends to a journal until it is killed: `python -m tests.journal.appender FILE`.

Each draft's first value is the seq that it must get. What `append` returned for is written to
standard output, a line each: seq and nonce. Snapshots are kept all the while, so that old entries
go.
"""

from __future__ import annotations

import os
import random
import sys
from contextlib import aclosing
from pathlib import Path

import trio

from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft
from pushsvc.journal import Nonces, Snapshot
from pushsvc.journal.sqlite import SqliteJournal, open_sqlite_journal

MAX_BYTES = 1_000_000
_IDENTITY = identify("up", {}, Limits())


async def _append(journal: SqliteJournal) -> None:
    nonce = Nonces()
    while True:
        drafts = []
        for index in range(random.choice((1, 1, 2, 5, 20))):
            first = float(journal.seq + 1 + index)
            rest = [random.random() for _ in range(random.choice((0, 10, 2_000)))]
            rows = Rows(_IDENTITY, list(range(len(rest) + 1)), [first, *rest])
            drafts.append(Draft(nonce(), Batch([rows])))
        entries = await journal.append(drafts)
        lines = [f"{one.seq} {one.draft.nonce.hex()}\n" for one in entries]
        os.write(1, "".join(lines).encode())
        if journal.snapshot_wanted:
            await journal.keep(Snapshot(entries[-1].last, entries[-1].stamp, os.urandom(20_000)))


async def main(path: Path) -> None:
    async with open_sqlite_journal(path, keep_seconds=3600, max_bytes=MAX_BYTES) as journal:
        place = journal.horizon
        async with aclosing(journal.read(place)) as slices:
            while place < journal.seq:
                place = (await anext(slices))[-1].last
        await _append(journal)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
