"""`pushsvc serve`, where the second sample of each batch is the moment at which it is appended to
the journal, so that it can be told from that of the POST which brought it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from pushsvc.__main__ import main
from pushsvc.core.model.series import Batch
from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal.valkey.journal import ValkeyJournal

_append = ValkeyJournal.append


async def _append_marked(self: ValkeyJournal, drafts: Sequence[Draft]) -> Sequence[Entry]:
    now = time.monotonic()
    for draft in drafts:
        if not draft.sweeps:
            draft.batch = _marked(draft.batch, now)
    return await _append(self, drafts)


def _marked(batch: Batch, now: float) -> Batch:
    columns: Any = batch.columns
    if columns is None:
        batch.rows[1].values[0] = now
        return batch
    values = columns.values[:]
    values[1] = now
    return Batch(None, msgspec.structs.replace(columns, values=values))


if __name__ == "__main__":
    ValkeyJournal.append = _append_marked  # type: ignore[method-assign]
    main()
