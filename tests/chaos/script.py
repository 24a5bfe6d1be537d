"""Scripts of steps: made from a seed, run against a service, and made shorter."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import trio

from tests.chaos.dashboard import Dashboard, Row, Wrong
from tests.chaos.links import TRANSPORTS
from tests.serving import Served

NAMES = ("a", "b", "c")
DASHBOARDS = 2
TTL = 2.0
"""Seconds of silence after which the service lets a series go."""

Step: TypeAlias = tuple[Any, ...]
Script: TypeAlias = list[Step]


def make(seed: int, steps: int = 30) -> Script:
    """The script of a seed."""
    dice = random.Random(seed)

    def names() -> tuple[str, ...]:
        return tuple(sorted(dice.sample(NAMES, dice.randint(1, len(NAMES)))))

    def step() -> Step:
        who = dice.randrange(DASHBOARDS)
        hz, window = dice.choice([20.0, 2.0]), dice.choice([None, "1h"])
        kinds: list[tuple[int, Callable[[], Step]]] = [
            (10, lambda: ("publish", dice.choice(NAMES), dice.choice([1, 1, 2, 5, 40, 400]))),
            (2, lambda: ("end", dice.choice(NAMES))),
            (2, lambda: ("repeat", dice.choice(NAMES))),
            (5, lambda: ("take", who, dice.randint(1, 6))),
            (3, lambda: ("pause", dice.choice([0.02, 0.1, 0.3]))),
            (5, lambda: ("watch", who, names(), hz, window)),
            (3, lambda: ("cut", who)),
            (4, lambda: ("hop", who, dice.choice(TRANSPORTS))),
            (1, lambda: ("pause", TTL * 1.6)),
        ]
        weights = [weight for weight, _ in kinds]
        return dice.choices([make_step for _, make_step in kinds], weights)[0]()

    opening: Script = [("publish", name, dice.randint(1, 5)) for name in names()]
    opening += [
        ("open", who, dice.choice(TRANSPORTS), names(), dice.choice([20.0, 2.0]), window)
        for who in range(DASHBOARDS)
        for window in [dice.choice([None, "1h"])]
    ]
    return opening + [step() for _ in range(steps)]


class Run:
    """One script against a service. Its series have names of their own, so that scripts run side by
    side."""

    def __init__(self, served: Served, prefix: str) -> None:
        self._served = served
        self._prefix = prefix
        self._published: dict[str, list[Row]] = {name: [] for name in NAMES}
        self._times: dict[str, list[tuple[float, int]]] = {name: [] for name in NAMES}
        self._at: dict[str, float] = {}  # when it was published to
        self._value = 0.0
        self._time = 0
        self._dashboards = [Dashboard(served, prefix) for _ in range(DASHBOARDS)]

    async def go(self, script: Script) -> None:
        """Raise Wrong if anybody wasn't given what it was owed."""
        try:
            for kind, *arguments in script:
                do: Callable[..., Awaitable[None]] = getattr(self, f"_{kind}")
                with trio.fail_after(30):
                    await do(*arguments)
            for who, dashboard in enumerate(self._dashboards):
                with trio.fail_after(60):
                    await dashboard.finish(TRANSPORTS[who], self._published)
        finally:
            for dashboard in self._dashboards:
                await dashboard.cut()

    def _tell_time(self) -> int:
        self._time = max(self._time + 1, time.time_ns() // 1_000_000)
        return self._time

    async def _send(self, samples: list[dict[str, Any]]) -> None:
        answer = await self._served.publish(*samples)
        assert answer["applied"] == len(samples), answer

    async def _publish(self, name: str, count: int) -> None:
        samples = []
        for _ in range(count):
            self._value += 1.0
            at = self._tell_time()
            self._times[name].append((self._value, at))
            self._published[name].append(("sample", self._value))
            samples.append({"name": self._prefix + name, "value": self._value, "time": at})
        await self._send(samples)
        self._at[name] = trio.current_time()

    def _heard(self, name: str) -> bool:
        """Whether the series is surely there still: what goes in between, on a busy machine, would
        neither end nor be held."""
        return trio.current_time() - self._at.get(name, -TTL) < TTL / 2

    async def _end(self, name: str) -> None:
        if self._heard(name) and self._published[name][-1][0] == "sample":
            at = self._tell_time()
            self._published[name].append(("end", at))
            await self._send([{"name": self._prefix + name, "value": None, "time": at}])

    async def _repeat(self, name: str) -> None:
        """Send the newest sample again: nothing is new."""
        if self._heard(name) and self._published[name][-1][0] == "sample":
            value, at = self._times[name][-1]
            await self._send([{"name": self._prefix + name, "value": value, "time": at}])

    async def _open(
        self, who: int, transport: str, names: tuple[str, ...], hz: float, window: str | None
    ) -> None:
        await self._dashboards[who].open(transport, frozenset(names), hz, window)

    async def _watch(self, who: int, names: tuple[str, ...], hz: float, window: str | None) -> None:
        if self._dashboards[who].opened:
            await self._dashboards[who].watch(frozenset(names), hz, window)

    async def _take(self, who: int, most: int) -> None:
        await self._dashboards[who].take(most)

    async def _cut(self, who: int) -> None:
        await self._dashboards[who].cut()

    async def _hop(self, who: int, transport: str) -> None:
        if self._dashboards[who].opened:
            await self._dashboards[who].hop(transport)

    async def _pause(self, seconds: float) -> None:
        await trio.sleep(seconds)


async def fails(served: Served, script: Script, prefix: str) -> str | None:
    """What went wrong with a script; None if nothing did."""
    try:
        await Run(served, prefix).go(script)
    except (Wrong, AssertionError, ConnectionError, OSError, trio.TooSlowError) as error:
        return f"{type(error).__name__}: {error}"
    return None


async def shorten(served: Served, script: Script, seconds: float) -> tuple[Script, str]:
    """The fewest steps that were found to fail within some time, and how they do."""
    complaint = ""
    tries = 0
    with trio.move_on_after(seconds):
        size = max(1, len(script) // 2)
        while True:
            at = 0
            while at < len(script):
                shorter = script[:at] + script[at + size :]
                tries += 1
                told = await fails(served, shorter, f"short{tries}_")
                if told is None:
                    at += size
                else:
                    script, complaint = shorter, told
            if size == 1:
                break
            size //= 2
    return script, complaint
