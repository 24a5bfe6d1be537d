"""Drain: ending all subscribers at a pace that the servers which get them next can bear.

Clients that are sent away come back at once, to this server or another. So each subscriber gets a
moment at which it is to be back, and these moments are spread out by the configured rate of
reconnects. It is told to go shortly before its moment, or, if the drain must end sooner, earlier
and with a time to wait; until then its stream goes on.
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
"""Milliseconds that a client is asked to wait at least: a restart takes that long, and a client
that comes back sooner is only sent away again."""
_TOGETHER = 0.02
"""Goodbyes within so many seconds are sent without a pause."""


class Draining:
    """Whether this server is shutting down, and until when new clients still reach it."""

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
        """How new streams are refused: with a time to come back at which another server answers."""
        ahead = max(_SOONEST_MS / 1000, self._until - now)
        return Overloaded(DRAINING, "this server is going away", retry_after=ahead)


def duration(subscribers: int, per_second: float, seconds: float) -> float:
    """The number of seconds within which all are told to go."""
    return min(seconds, subscribers / per_second)


def moments(subscribers: int, per_second: float, seconds: float) -> list[tuple[float, int]]:
    """When each is told to go, in seconds from the start, and the milliseconds that it is then
    asked to wait.

    All are told within `seconds`, and come back at no more than `per_second`.
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
    """The largest number of them that were asked to be back within one second."""


async def part_from_all(hub: Hub, per_second: float, seconds: float) -> Parted:
    """Tell all subscribers to come back later, within so many seconds, each at its moment.

    Each is first given everything up to that time. No new subscribers may be accepted meanwhile.
    """
    subscribers = list(hub.subscribers.values())
    # Subscribers of one view often came one after the other, and shouldn't leave in that order.
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
            # A delay isn't made up for, or those who waited would all come back together.
            begin -= ahead
        # The part of a moment that lies after the end of the drain is added to the client's wait.
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
