"""An entry of the journal: what is appended, and the place that it gets there.

Whatever decides what becomes of samples (limits, kinds, ages, who makes room) is decided when the
hub takes an entry in, from entries alone: two hubs that were given the same ones hold the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pushsvc.core.model.series import Batch, Rows
from pushsvc.core.storage.records import Change

PIECE = 5_000
"""Samples that get one seq, at the most. A larger batch has several, so that it can be replayed in
frames of a sensible size and never holds up a tick for long. Part of what a log means: an old one
that was written with another number would be read differently."""


class Draft(msgspec.Struct, eq=False, gc=False):
    """What is to be appended: an entry that has no place yet.

    Without rows it is a change of a record, or a *sweep*: that says that time has passed, which
    lets old samples and silent series go.
    """

    nonce: bytes
    """16 bytes that no other draft has, of any process: who appended it knows it by them."""
    batch: Batch
    partial: bool = False
    """Whether rows that can't be taken are left out alone; else one of them has all refused."""
    once: bytes = b""
    """Of a batch that may come twice and must count once: 16 bytes for its key and 16 that tell its
    body from another."""
    width: int = 0
    """How many seqs it takes, at least one; worked out where it isn't said."""
    change: Change | None = None
    """Of a record; there are no rows then."""
    series: int = 0
    """How many series there may be with those of this batch, which is decided by the settings of
    who appends it: a log that is read again under others must come to the same. 0 where it isn't
    said: then those of who reads it."""

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
