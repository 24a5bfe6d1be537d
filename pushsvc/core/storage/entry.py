"""An entry of the journal: what is appended, and the place that it gets there.

What becomes of samples (limits, kinds, ages, which series makes room) is decided when the hub takes
an entry in, and only by the entries: two hubs that were given the same ones hold the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pushsvc.core.model.series import Batch, Rows
from pushsvc.core.storage.records import Change

PIECE = 5_000
"""The most samples that get one seq. A larger batch gets several, so that it can be replayed in
frames of a sensible size and never delays a tick for long. This number is part of the log's format:
a log that was written with another one would be read differently."""


class Draft(msgspec.Struct, eq=False, gc=False):
    """What is to be appended: an entry that has no place yet.

    Without rows it is a change of a record, or a *sweep*: an entry that says that time has passed,
    at which old samples and silent series are removed.
    """

    nonce: bytes
    """16 bytes that no other draft of any process has: by them a process recognises its own."""
    batch: Batch
    partial: bool = False
    """Whether only the rows that can't be taken are left out; if not, one such row has the whole
    batch refused."""
    once: bytes = b""
    """For a batch with an idempotency key, which may come twice and must count once: 16 bytes for
    the key, and 16 that tell its body from others."""
    width: int = 0
    """How many seqs it takes, at least one; worked out from the batch if it isn't given."""
    change: Change | None = None
    """The change of a record; then there are no rows."""
    series: int = 0
    """The limit of series that counts for this batch: `limits.series` of the process that appends
    it, so that a log that is read again with other settings gives the same. 0 if it isn't given:
    then the limit of the process that reads it counts."""

    def __post_init__(self) -> None:
        if not self.width:
            self.width = max(1, -(-self.batch.count // PIECE))

    @property
    def sweeps(self) -> bool:
        return self.change is None and not self.batch.series


class Entry(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A draft in its place."""

    seq: int
    """The first of its seqs. The next entry's is `seq + draft.width`; the very first is 1."""
    stamp: int
    """When it was appended, Unix milliseconds by the journal's clock. It never goes back."""
    draft: Draft

    @property
    def last(self) -> int:
        """The last of its seqs."""
        return self.seq + self.draft.width - 1


def pieces(batch: Batch) -> Iterator[Batch]:
    """Cut a batch into pieces of at most `PIECE` samples, each series' samples in order."""
    if batch.count <= PIECE:
        yield batch
        return
    piece: list[Rows] = []
    room = PIECE
    for rows in batch.rows:
        start, count = 0, len(rows.times)
        while count - start >= room:
            stop = start + room
            piece.append(_part(rows, start, stop))
            yield Batch(piece)
            piece, room, start = [], PIECE, stop
        if start < count:
            piece.append(rows if start == 0 else _part(rows, start, count))
            room -= count - start
    if piece:
        yield Batch(piece)


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(
        rows.identity,
        rows.times[start:stop],
        rows.values[start:stop],
        rows.kind,
        rows.unit,
        rows.help,
        rows.given,
        None if rows.starts is None else rows.starts[start:stop],
    )
