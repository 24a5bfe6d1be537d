"""The journal: the ordered log of what was published. It gives each entry its place, may store it,
and is the only source of the hub.

The hub takes in only what it reads here, in every implementation. A submission is answered when its
own entry has been read and taken in.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from pushsvc.core.storage.entry import Draft, Entry


class Snapshot(msgspec.Struct, frozen=True):
    """What a hub knew besides samples when it had taken in everything up to a seq. A reader that
    begins there starts with it. The journal doesn't look inside."""

    seq: int
    stamp: int
    """Unix milliseconds, of the entry with that seq."""
    body: bytes
    epoch: str = ""
    """The run of seqs that it belongs to, which may have ended when it is to be stored. Empty: the
    current one."""


class Statistics(msgspec.Struct, frozen=True):
    """The numbers about a journal in `/metrics`."""

    seq: int
    """The newest."""
    horizon: int
    entries: int
    bytes: int
    """The stored size; 0 if nothing is stored."""


class Journal(Protocol):
    """An ordered log of entries.

    Seqs have no gaps: each entry takes `draft.width` of them, and the first entry begins with 1.
    Stamps are from the journal's clock and never go back, even if that clock does. Within an epoch,
    what has been read is never undone.
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
        """Whether it outlives the process, so that snapshots are useful."""
        ...

    @property
    def snapshot_wanted(self) -> bool:
        """Whether a snapshot should be made early, because there is much to drop."""
        ...

    @property
    def away_since(self) -> float | None:
        """Since when nothing can be appended or read (Trio's clock); None while it works."""
        ...

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        """Put drafts at the end in this order, all of them or none. Drafts that wait should be
        appended together: that costs hardly more than one. Always checkpoints.

        Returns when they are as safe as the journal promises. It returns their entries if all
        before them were read and taken in, which is always so where no other process can append:
        the caller takes them in before anything that `read` yields later, and `read` doesn't yield
        them again. Else it returns nothing, and `read` yields them.

        Raises Overloaded while it can't take them (the caller may try again later), and
        trio.ClosedResourceError after `aclose`; then none of them is in the log. If the call is
        cancelled, either all of them are in the log or none.
        """
        ...

    def read(self, after: int) -> AsyncGenerator[Sequence[Entry]]:
        """Yields every entry after seq `after` except those that `append` returned: in order and
        for ever, in slices as they come. `after` is the last seq of an entry, or the horizon.
        Always checkpoints between two slices.

        One reader at a time. Ends when the journal is closed and everything was read. Raises
        Dropped if `after` lies before the horizon.
        """
        ...

    async def snapshot(self) -> Snapshot | None:
        """The snapshot at which reading begins: everything after it can be read. None if there is
        none; then reading begins at 0."""
        ...

    async def keep(self, snapshot: Snapshot) -> None:
        """Store a snapshot. Entries before a stored snapshot may then be dropped, if they needn't
        be kept any longer. A snapshot of another epoch is not stored: it may contain entries that
        were lost since. Raises Overloaded if it can't be stored now."""
        ...

    async def statistics(self) -> Statistics:
        """What the journal holds."""
        ...

    async def aclose(self) -> None:
        """Release the journal's resources; nothing may be appended afterwards. Idempotent."""
        ...


class Nonces:
    """Makes nonces: eight random bytes of this process and an eight-byte counter."""

    def __init__(self) -> None:
        self._prefix = secrets.token_bytes(8)
        self._count = itertools.count(1)

    def __call__(self) -> bytes:
        return self._prefix + next(self._count).to_bytes(8, "big")


class Dropped(Exception):
    """The entries to be read have been dropped."""


class EpochChanged(Exception):
    """The log lost entries that had been read: it now holds another run of seqs, to which the
    journal's `epoch` and `horizon` already belong."""


class JournalError(Exception):
    """A journal can't be opened, or can't be used any longer. The message is one line for the
    operator of the service."""
