"""The journal of a single process: an order, and no memory of its own (histories are that)."""

from __future__ import annotations

import secrets

import trio

from pushsvc.core.series import Batch


class MemoryJournal:
    """Orders batches for as long as the process lives. Every instance is a new epoch."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._seq = 0
        self._closed = False

    @property
    def epoch(self) -> str:
        return self._epoch

    async def append(self, batch: Batch) -> int:  # noqa: ARG002 - the order is all there is
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError
        self._seq += 1
        return self._seq

    async def aclose(self) -> None:
        self._closed = True
        await trio.lowlevel.checkpoint()
