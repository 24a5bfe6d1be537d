"""Snapshots of the hub, made between two entries and kept in the journal."""

from __future__ import annotations

import trio

from pushsvc.core.hub import Hub
from pushsvc.core.storage.entry import Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Journal, Snapshot
from pushsvc.log import get_logger

_log = get_logger("pushsvc.pipeline")


class Snapshots:
    """Makes a snapshot every `interval` seconds of the journal's clock, and when the journal wants
    one. Makes none without `here`."""

    def __init__(self, hub: Hub, journal: Journal, interval: float, *, here: bool) -> None:
        self._hub = hub
        self._journal = journal
        self._interval = interval
        self._here = here and journal.keeps
        self._due: float | None = None  # seconds of the journal's clock
        self.keeping = False
        """Whether a snapshot is being written; no other is made meanwhile."""
        self._made, self._to_keep = trio.open_memory_channel[Snapshot](1)

    async def run(self) -> None:
        """Write snapshots to the journal when they are made."""
        async with self._to_keep:
            async for known in self._to_keep:
                try:
                    await self._journal.keep(known)
                except Overloaded as problem:
                    _log.warning("snapshot not kept", reason=str(problem))
                finally:
                    self.keeping = False

    def is_due(self, entry: Entry) -> bool:
        """Whether a snapshot is to be made after an entry."""
        if not self._here:
            return False
        stamp = entry.stamp / 1000
        if self._due is None:
            self._due = stamp + self._interval
        return not self.keeping and (stamp >= self._due or self._journal.snapshot_wanted)

    async def make(self, entry: Entry) -> None:
        """Make a snapshot after an entry, before the next one is taken in."""
        self._due = entry.stamp / 1000 + self._interval
        steps = self._hub.snapshot()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                body = end.value
                break
            await trio.lowlevel.checkpoint()
        self.keeping = True
        self._made.send_nowait(Snapshot(entry.last, entry.stamp, body, self._hub.epoch))
