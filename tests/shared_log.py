"""A log in memory that several journals share, as processes share one at a server; what goes wrong
with it is told to it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Sequence

import trio

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.errors import Overloaded
from pushsvc.journal import Dropped, EpochChanged, Snapshot, Statistics

BEGUN_MS = 1_700_000_000_000
_SLICE = 3


class SharedLog:
    """The log itself."""

    def __init__(self) -> None:
        self._epochs = itertools.count(1)
        self.epoch = f"e{next(self._epochs)}"
        self.entries: list[Entry] = []
        self.snapshots: list[Snapshot] = []
        self.horizon = 0
        self.begun_at: set[int] = set()
        """Seqs of snapshots that a process went on from."""
        self.news = trio.Event()
        self.away = False
        """Whether nobody can reach it."""
        self.mute = trio.Event()
        """Set unless what is appended is not answered."""
        self.mute.set()
        self.skew_ms = 0
        """How far its clock is off."""
        self.past: dict[str, list[Entry]] = {self.epoch: []}
        """By epoch, all entries that were ever read in it."""

    @property
    def seq(self) -> int:
        return self.entries[-1].last if self.entries else self.horizon

    def append(self, drafts: Sequence[Draft]) -> None:
        stamp = BEGUN_MS + round(trio.current_time() * 1000) + self.skew_ms
        if self.past[self.epoch]:
            stamp = max(stamp, self.past[self.epoch][-1].stamp)
        for draft in drafts:
            self.entries.append(Entry(self.seq + 1, stamp, draft))
            self.past[self.epoch].append(self.entries[-1])
        self.tell()

    def tell(self) -> None:
        news, self.news = self.news, trio.Event()
        news.set()

    def lose(self, count: int) -> None:
        """The last entries are gone, as where a replica takes over that didn't have them yet."""
        del self.entries[len(self.entries) - count :]
        self.snapshots = [one for one in self.snapshots if one.seq <= self.seq]
        kept = [entry for entry in self.past[self.epoch] if entry.seq <= self.seq]
        self.epoch = f"e{next(self._epochs)}"
        self.past[self.epoch] = kept
        self.tell()

    def drop(self) -> None:
        """What is before the newest snapshot goes."""
        self.horizon = self.snapshots[-1].seq
        self.entries = [entry for entry in self.entries if entry.seq > self.horizon]


class SharedJournal:
    """One process' way to it."""

    keeps = True
    snapshot_wanted = False

    def __init__(self, log: SharedLog) -> None:
        self.log = log
        self.epoch = log.epoch
        self.away_since: float | None = None
        self.cut = False
        """Whether this process can't reach it."""
        self.delay = 0.0
        """Seconds that each word takes, one way."""
        self.older = 0
        """Which of the snapshots it is begun with."""

    async def _reach(self) -> None:
        await trio.sleep(self.delay)
        while self._look():
            await self.log.news.wait()

    def _look(self) -> bool:
        """Whether it can't be reached now."""
        if not (self.log.away or self.cut):
            self.away_since = None
        elif self.away_since is None:
            self.away_since = trio.current_time()
        return self.away_since is not None

    @property
    def seq(self) -> int:
        return self.log.seq

    @property
    def horizon(self) -> int:
        return self.log.horizon

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        await self._reach()
        self.log.append(drafts)
        await self.log.mute.wait()
        await self._reach()
        return []

    async def read(self, after: int) -> AsyncGenerator[Sequence[Entry]]:
        while True:
            if self._look():
                await self.log.news.wait()
                continue
            if after < self.log.horizon:
                raise Dropped
            if self.epoch != self.log.epoch:
                self.epoch = self.log.epoch
                raise EpochChanged
            entries = [entry for entry in self.log.entries if entry.seq > after][:_SLICE]
            if entries:
                after = entries[-1].last
                await trio.sleep(self.delay)
                yield entries
            else:
                await self.log.news.wait()

    async def snapshot(self) -> Snapshot | None:
        await self._reach()
        kept = [one for one in self.log.snapshots if one.seq >= self.log.horizon]
        if not kept:
            return None
        given = kept[min(self.older, len(kept) - 1)]
        self.log.begun_at.add(given.seq)
        return given

    async def keep(self, snapshot: Snapshot) -> None:
        await trio.sleep(self.delay)
        if self.log.away or self.cut:
            raise Overloaded("journal", "the log can't be reached", retry_after=1.0)
        if (snapshot.epoch or self.epoch) == self.log.epoch:
            self.log.snapshots.append(snapshot)

    async def statistics(self) -> Statistics:
        await trio.lowlevel.checkpoint()
        return Statistics(self.seq, self.horizon, len(self.log.entries), 0)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
