"""Polls that switch between servers, and so come with a cursor of another epoch.

This happens where several servers that don't share a journal answer at one address, for example
during a rollout. Each poll reaches another server, which doesn't know its cursor: the server would
answer at once with a gap and the newest samples, and the client would poll again at once, as fast
as the network allows. So only the first such answer is given at once; from the second in a row on,
each is held twice as long as the one before. No server sees all of a client's polls, so the count
is carried in the cursor.

A client can write any count into its cursor. The count decides only how long that client is held,
which is never longer than it would wait for news; the warning to operators counts what this server
has seen itself.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from typing import Final

import trio

from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import Cursor
from pushsvc.log import get_logger

_log = get_logger("pushsvc.app")

_FIRST: Final = 1.0
_LONGEST: Final = 15.0
"""Seconds for which a poll is held: the first time, and at most."""
_CERTAIN: Final = 2
"""After so many returns of one address with a larger count than this server gave it, several
servers answer there: another one must have counted."""
_MOST: Final = 99
_ADDRESSES: Final = 256
_TOLD_EVERY: Final = 3600.0


class Switching:
    """Decides how long a poll of a client that switches between servers is held."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._told = -math.inf
        # By address: the last count that was given, and how often a larger one came back.
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def hold(
        self, since: Cursor | None, wait: float | None, most: float, address: str
    ) -> tuple[float, int]:
        """For how many seconds to hold a poll with this cursor, and how often its client has
        switched, to be put into its next cursor. `wait` is how many seconds the client would wait
        for news, if it says so, and `most` how long the poll may last at all."""
        if since is None:
            return 0.0, 0
        if since.epoch == self._hub.epoch:
            return 0.0, max(0, since.switches - 1)
        seconds, switches = 0.0, min(_MOST, since.switches + 1)
        if since.switches:
            # A client that waits for a shorter time gives up after it.
            longest = min(most, _LONGEST if wait is None else min(_LONGEST, max(wait, _FIRST)))
            wanted = _FIRST * 2.0 ** (since.switches - 1)
            seconds = min(longest, wanted) * random.uniform(0.75, 1.0)
            self._hub.counts["polls_held"] += 1
        self._note(address, since.switches, switches)
        return seconds, switches

    def _note(self, address: str, came: int, given: int) -> None:
        before, grown = self._seen.pop(address, (_MOST, 0))
        grown += came > before
        self._seen[address] = given, grown
        if len(self._seen) > _ADDRESSES:
            self._seen.popitem(last=False)
        now = trio.current_time()
        if came and grown >= _CERTAIN and now - self._told > _TOLD_EVERY:
            self._told = now
            _log.warning(
                "polls come here and to another server in turns: where several that don't share a "
                "journal answer at this address, have one serve, or each client stay with one",
                epoch=self._hub.epoch,
                client=address,
                held=self._hub.counts["polls_held"],
            )
