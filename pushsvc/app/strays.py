"""Polls that stray: they come with a cursor of another epoch, again and again.

So it is where several servers that don't share a journal answer at one address, also for the time
of a rollout. Each poll meets the other one, for which its cursor says nothing: it would be answered
at once with a gap and the newest samples, and come back at once, as fast as the network lets it.
The first such answer is at once; from the second in a row on each is held twice as long as the one
before. No server could remember that, since each sees every other poll only: the cursor tells it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from pushsvc.core.cursor import Cursor
from pushsvc.core.hub import Hub

_log = structlog.get_logger("pushsvc.app")

_FIRST: Final = 1.0
_LONGEST: Final = 15.0
"""Seconds that a poll is held: the first that is, and the most."""
_CERTAIN: Final = 3
"""Times in a row after which it is no restart any more."""
_MOST: Final = 99
_TOLD_EVERY: Final = 3600.0


class Strays:
    """Holds back those who stray."""

    def __init__(self, hub: Hub, ending: Callable[[], Awaitable[None]]) -> None:
        """`ending` returns when the service is about to end, and nobody is held any more."""
        self._hub = hub
        self._ending = ending
        self._told = -math.inf

    async def hold(self, since: Cursor | None, wait: float | None) -> int:
        """Hold a poll with this cursor as long as it has to be, and tell how often its holder
        strayed, for its next cursor. `wait` is how long it would wait for news, if it says so."""
        if since is None:
            return 0
        if since.epoch == self._hub.epoch:
            return max(0, since.strayed - 1)
        if since.strayed:
            # Who wouldn't wait so long has a time of its own after which it gives up.
            most = _LONGEST if wait is None else min(_LONGEST, max(wait, _FIRST))
            seconds = min(most, _FIRST * 2.0 ** (since.strayed - 1)) * random.uniform(0.75, 1.0)
            self._hub.counts["polls_held"] += 1
            self._tell(since)
            with trio.move_on_after(seconds):
                await self._ending()
        return min(_MOST, since.strayed + 1)

    def _tell(self, since: Cursor) -> None:
        now = trio.current_time()
        if since.strayed >= _CERTAIN and now - self._told > _TOLD_EVERY:
            self._told = now
            _log.warning(
                "several servers that don't share a journal answer at this address: have one "
                "serve, or each client stay with one",
                epoch=self._hub.epoch,
                other=since.epoch,
            )
