"""Drain: ending all subscribers at a pace that whoever takes them over survives.

Everyone who is sent away comes back at once, here or elsewhere. So each subscriber has a moment of
its own at which it is to be back, and these moments are apart as far as the wanted rate of
reconnects asks for. It is told to go shortly before, or as late as the time there is allows, and
then with so long to wait; until then its stream goes on.
"""

from __future__ import annotations

import random

import trio

from pushsvc.core.hub import Hub
from pushsvc.core.subscriber import Ending
from pushsvc.core.wire import Close

_SOONEST_MS = 100
"""Milliseconds that a client is asked to wait at the least."""
_TOGETHER = 0.02
"""Seconds within which goodbyes are said without a pause."""


def moments(subscribers: int, per_second: float, seconds: float) -> list[tuple[float, int]]:
    """When each is told to go, in seconds from the beginning, and the milliseconds that it is then
    asked to wait.

    All are told within `seconds`, and come back at `per_second` at the most.
    """
    wanted = subscribers / per_second
    share = min(1.0, seconds / wanted) if wanted else 1.0
    found = []
    for place in range(subscribers):
        back = place / per_second
        told = back * share
        found.append((told, _SOONEST_MS + round((back - told) * 1000)))
    return found


async def part_from_all(hub: Hub, per_second: float, seconds: float) -> None:
    """Tell all subscribers to come back later, within so many seconds, each at its moment.

    What one is owed by then is given to it first. No new ones may be let in.
    """
    subscribers = list(hub.subscribers.values())
    # Those of one view came one after the other, as a rule, and should not have to leave so.
    random.shuffle(subscribers)
    begin = trio.current_time()
    deadline = begin + seconds
    schedule = moments(len(subscribers), per_second, seconds)
    for subscriber, (told, retry_ms) in zip(subscribers, schedule, strict=True):
        ahead = begin + told - trio.current_time()
        if ahead > _TOGETHER and trio.current_time() < deadline:
            await trio.sleep_until(min(begin + told, deadline))
        elif ahead < -_TOGETHER:
            # What was missed isn't made up for, or those would come back together.
            begin -= ahead
        # What is later than there is time for is waited for by who is told.
        retry_ms += max(0, round((begin + told - trio.current_time()) * 1000))
        if subscriber.session not in hub.subscribers:
            continue
        view = subscriber.view
        if hub.flush(view, trio.current_time()):
            for watching in list(view.subscribers.values()):
                watching.carrier.wake()
        ending = Ending("drain", Close.RESTARTING, retry_ms=retry_ms, flush=True)
        subscriber.carrier.end(ending)
    await trio.lowlevel.checkpoint()
