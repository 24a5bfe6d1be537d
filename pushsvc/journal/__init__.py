"""The journal: the ordered log of what was published. It gives each entry its place, may keep it,
and is where the hub has everything from.

The hub takes in only what it reads here, in every implementation. A submission is answered when its
own entry was read and taken in.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from pushsvc.core.storage.entry import Draft, Entry


class Snapshot(msgspec.Struct, frozen=True):
    """What a hub knew besides samples when it had taken in everything up to a seq: who begins to
    read there starts with it. The journal doesn't look inside."""

    seq: int
    stamp: int
    """Unix milliseconds, of the entry with that seq."""
    body: bytes
    epoch: str = ""
    """The run of seqs that it is of, which may be over when it is to be kept; empty: the present
    one."""


class Statistics(msgspec.Struct, frozen=True):
    """What `/metrics` says of a journal."""

    seq: int
    """The newest."""
    horizon: int
    entries: int
    bytes: int
    """As they are kept; 0 where nothing is."""


class Journal(Protocol):
    """An ordered log of entries.

    Seqs are dense: each entry takes `draft.width` of them, the first entry begins with 1. Stamps
    are of the journal's clock and never go back, also where that clock does. What has been read is
    never taken back within an epoch.
    """

    @property
    def epoch(self) -> str:
        """The name of this run of seqs; another run never has the same."""
        ...

    @property
    def horizon(self) -> int:
        """The seq after which everything can still be read; 0 while nothing was dropped."""
        ...

    @property
    def seq(self) -> int:
        """The newest seq that is known to be in it; 0 while it is empty."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether it outlives the process, so that snapshots are of use."""
        ...

    @property
    def snapshot_wanted(self) -> bool:
        """Whether a snapshot had better come before it is time, since there is much to drop."""
        ...

    @property
    def away_since(self) -> float | None:
        """Since when nothing can be appended or read (Trio's clock); None while all is well."""
        ...

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        """Put drafts at the end in this order, all of them or none; what waits should come
        together, since that costs hardly more than one. Always checkpoints.

        Returns when they are as safe as the journal promises: their entries, where nobody else can
        have appended any; whoever appends takes them in then, and `read` doesn't give them again.
        Of a journal that is shared everything is read, and nothing returned.

        Raises Overloaded while it can't take them, which may be tried again later, and
        trio.ClosedResourceError after `aclose`; then none is in it. Cancelled, all or none are in
        it.
        """
        ...

    def read(self, after: int) -> AsyncGenerator[Sequence[Entry]]:
        """Every entry after seq `after`, which is the last seq of an entry, or the horizon: in
        order and for ever, in slices as they come, but for those that `append` returned. Always
        checkpoints between two slices.

        One reader at a time. Ends when the journal is closed and everything was read. Raises
        Dropped where `after` lies before the horizon.
        """
        ...

    async def snapshot(self) -> Snapshot | None:
        """The snapshot at which reading begins: everything after it can be read. None where there
        is none, and reading begins at 0."""
        ...

    async def keep(self, snapshot: Snapshot) -> None:
        """Keep a snapshot. Entries from before the newest snapshot that is older than what is to be
        kept may be dropped from then on. One of another epoch is not kept: it may know of entries
        that were lost since. Raises Overloaded where it can't be kept now."""
        ...

    async def statistics(self) -> Statistics:
        """What it holds."""
        ...

    async def aclose(self) -> None:
        """Let go of what the journal holds; afterwards nothing may be appended. Idempotent."""
        ...


class Nonces:
    """Makes nonces: eight bytes of this process and a count of eight."""

    def __init__(self) -> None:
        self._prefix = secrets.token_bytes(8)
        self._count = itertools.count(1)

    def __call__(self) -> bytes:
        return self._prefix + next(self._count).to_bytes(8, "big")


class Dropped(Exception):
    """What was to be read is no longer there."""


class EpochChanged(Exception):
    """The log lost entries that had been read: what it has now is another run of seqs, and the
    journal's `epoch` and `horizon` are already those of it."""


class JournalError(Exception):
    """A journal can't be opened, or not gone on with; the message is one line for whoever runs the
    service."""
