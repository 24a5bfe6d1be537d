"""Frames before samples, where one core has to do both.

A tick that has begun owes its frames to thousands of sockets, and whatever runs between two of them
delays all that follow. What a producer sent can wait: its answer then comes later, and so does what
it sends next.
"""

from __future__ import annotations

from typing import Final

import trio

from pushsvc.core.hub import Hub

_PATIENCE: Final = 0.1
"""Seconds for which ingest waits at the most, each time: so it goes on where ticks never end."""


class Precedence:
    """Tells those who have much to do in the loop when no tick is due or under way."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ticking = False
        self._over = trio.Event()

    def begin(self) -> None:
        """A tick is due: its frames are made and written next."""
        self._ticking = True

    def end(self) -> None:
        """All frames that were due are written."""
        if self._ticking:
            self._ticking = False
            self._over.set()
            self._over = trio.Event()

    async def wait(self) -> None:
        """Checkpoint, and wait until no tick is due, but at most `_PATIENCE` seconds."""
        await trio.lowlevel.checkpoint()
        if self._ticking or self._hub.next_due <= trio.current_time():
            with trio.move_on_after(_PATIENCE):
                await self._over.wait()
