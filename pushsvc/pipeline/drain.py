"""Drain: ending all subscribers at a rate that the servers which take them over can handle.

Clients that are sent away come back at once, to this server or another. So each subscriber gets a
moment at which it should be back, and these moments are spread out by the configured rate of
reconnects. It is told to go shortly before its moment. If the drain must end sooner, it is told
earlier, with a time to wait. Until then its stream goes on.
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
"""The shortest wait that a client is asked for, in milliseconds: a restart takes that long, and a
client that comes back sooner is only sent away again."""
_TOGETHER = 0.02
"""Subscribers due within this many seconds are told without a pause between them."""


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
        """The refusal of a new stream: it tells the client to come back when another server
        answers."""
        ahead = max(_SOONEST_MS / 1000, self._until - now)
        return Overloaded(DRAINING, "this server is going away", retry_after=ahead)


def duration(subscribers: int, per_second: float, seconds: float) -> float:
    """The number of seconds within which all are told to go."""
    return min(seconds, subscribers / per_second)


def moments(subscribers: int, per_second: float, seconds: float) -> list[tuple[float, int]]:
    """For each subscriber: when it is told to go, in seconds from the start, and how many
    milliseconds it is then asked to wait.

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
    """The result of a drain."""

    told: int
    most: int
    """The largest number of subscribers that were asked to be back within one second."""


async def part_from_all(hub: Hub, per_second: float, seconds: float) -> Parted:
    """Tell all subscribers to come back later, each at its moment, all within `seconds`.

    Each first gets everything published up to then. No new subscribers may be accepted meanwhile.
    """
    subscribers = list(hub.subscribers.values())
    # Subscribers of one view often came one after another; they shouldn't leave in that order.
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
            # The schedule moves by the delay: catching up would send many clients back at once.
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
