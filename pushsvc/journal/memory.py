"""The journal of a single process: it only orders entries, and stores none (histories do)."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence

import trio

from pushsvc.core.storage.entry import Draft, Entry
from pushsvc.journal import Dropped, Snapshot, Statistics


class MemoryJournal:
    """Orders drafts for as long as the process lives. Every instance is a new epoch.

    Stamps start at the wall clock's time and advance with the monotonic clock.
    """

    keeps = False
    snapshot_wanted = False
    away_since: float | None = None

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        self.seq = 0
        self._begun = time.time_ns() // 1_000_000 - round(trio.current_time() * 1000)
        self._closed = trio.Event()

    @property
    def horizon(self) -> int:
        return self.seq

    async def append(self, drafts: Sequence[Draft]) -> Sequence[Entry]:
        await trio.lowlevel.checkpoint()
        if self._closed.is_set():
            raise trio.ClosedResourceError
        stamp = self._begun + round(trio.current_time() * 1000)
        entries = []
        for draft in drafts:
            entries.append(Entry(self.seq + 1, stamp, draft))
            self.seq += draft.width
        return entries

    async def read(self, after: int) -> AsyncGenerator[Sequence[Entry]]:
        if after != self.horizon:
            raise Dropped
        await self._closed.wait()
        return
        yield  # noqa: V201 - makes this function a generator

    async def snapshot(self) -> Snapshot | None:
        await trio.lowlevel.checkpoint()
        return None

    async def keep(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - nothing outlives it
        await trio.lowlevel.checkpoint()

    async def statistics(self) -> Statistics:
        await trio.lowlevel.checkpoint()
        return Statistics(self.seq, self.horizon, 0, 0)

    async def aclose(self) -> None:
        self._closed.set()
        await trio.lowlevel.checkpoint()
