"""Drain: ending all subscribers at a pace that whoever takes them over survives.

Everyone who is sent away comes back at once, here or elsewhere. So each subscriber has a moment of
its own at which it is to be back, and these moments are apart as far as the wanted rate of
reconnects asks for. It is told to go shortly before, or as late as the time there is allows, and
then with so long to wait; until then its stream goes on.
"""

from __future__ import annotations

import random
from collections import deque

import msgspec
import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.wire import Close
from pushsvc.core.hub import Hub
from pushsvc.errors import Overloaded

DRAINING = "draining"
"""The code with which new streams are refused."""
_SOONEST_MS = 1_000
"""Milliseconds that a client is asked to wait at the least: a restart takes as long, and who comes
back before is only sent away again."""
_TOGETHER = 0.02
"""Seconds within which goodbyes are said without a pause."""


class Draining:
    """Whether this server is shutting down, and until when clients that come still reach it."""

    def __init__(self) -> None:
        self._begun = trio.Event()
        self._until = 0.0

    def set(self, until: float = 0.0) -> None:
        """Refuse new streams from now on. From `until` on (monotonic seconds) clients reach another
        server: the load balancers have noticed, or this one is gone."""
        self._until = until
        self._begun.set()

    def is_set(self) -> bool:
        """Whether it has begun."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Wait until it begins."""
        await self._begun.wait()

    def problem(self, now: float) -> Overloaded:
        """How new streams are refused: to come back when another server answers."""
        ahead = max(_SOONEST_MS / 1000, self._until - now)
        return Overloaded(DRAINING, "this server is going away", retry_after=ahead)


def duration(subscribers: int, per_second: float, seconds: float) -> float:
    """In how many seconds all are told to go."""
    return min(seconds, subscribers / per_second)


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


class Parted(msgspec.Struct, frozen=True):
    """How subscribers were told to go."""

    told: int
    most: int
    """Of them, how many were asked to be back within one second, at the most."""


async def part_from_all(hub: Hub, per_second: float, seconds: float) -> Parted:
    """Tell all subscribers to come back later, within so many seconds, each at its moment.

    What one is owed by then is given to it first. No new ones may be let in.
    """
    subscribers = list(hub.subscribers.values())
    # The subscribers of one view often came one after the other, and should not leave in that
    # order.
    random.shuffle(subscribers)
    begin = trio.current_time()
    deadline = begin + seconds
    schedule = moments(len(subscribers), per_second, seconds)
    backs: list[float] = []
    for subscriber, (told, retry_ms) in zip(subscribers, schedule, strict=True):
        ahead = begin + told - trio.current_time()
        if ahead > _TOGETHER and trio.current_time() < deadline:
            await trio.sleep_until(min(begin + told, deadline))
        elif ahead < -_TOGETHER:
            # What was missed isn't made up for, or those would come back together.
            begin -= ahead
        # A moment beyond the time there is becomes part of what the client is told to wait.
        retry_ms += max(0, round((begin + told - trio.current_time()) * 1000))
        if subscriber.session not in hub.subscribers:
            continue
        view = subscriber.view
        if hub.flush(view, trio.current_time()):
            for watching in list(view.subscribers.values()):
                watching.carrier.wake()
        ending = Ending("drain", Close.RESTARTING, retry_ms=retry_ms, flush=True)
        subscriber.carrier.end(ending)
        backs.append(trio.current_time() + retry_ms / 1000)
    await trio.lowlevel.checkpoint()
    return Parted(len(backs), _most_in_a_second(backs))


def _most_in_a_second(times: list[float]) -> int:
    most, within = 0, deque[float]()
    for time in sorted(times):
        within.append(time)
        while time - within[0] >= 1.0:
            within.popleft()
        most = max(most, len(within))
    return most
