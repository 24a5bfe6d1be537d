"""Stalled: one client in ten takes no more bytes. What do the others notice, and what stays?

Memory is the server's resident memory: before, at its most while clients are stalled, and after
they are gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.load import Window
from tests.bench.process import rss_bytes
from tests.bench.report import Figure, milliseconds
from tests.bench.systems import BROADCAST, NCHAN, PUSHSVC, System

_BASELINES = 5
_BASELINE = 4.0
_SETTLE = 2.0


class Endured(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    p99_ms: Figure
    """Of all clients, before any was stalled."""
    p99_others_ms: float
    """Of those who were not, while the others were."""
    rss_before: int
    rss_most: int
    rss_after: int


class Stalled(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    seconds: float
    endured: list[Endured]


class StalledCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int
    seconds: float

    @property
    def title(self) -> str:
        return (
            f"stalled, {self.transport}, a tenth of {self.clients} subscribers "
            f"for {self.seconds:g} s"
        )

    @property
    def systems(self) -> list[System]:
        return [
            each
            for each in (PUSHSVC, BROADCAST, NCHAN)
            if self.transport in each.transports and each.missing() is None
        ]

    @property
    def steps(self) -> int:
        return len(self.systems)

    def run(self, step: Callable[[str], None]) -> Stalled:
        """Measure one system after the other. Raises Failed."""
        endured = []
        for system in self.systems:
            step(f"{self.title}: {system.name}")
            endured.append(self._measure(system))
        return Stalled(self.transport, self.clients, self.seconds, endured)

    def _measure(self, system: System) -> Endured:
        with (
            system.serving() as server,
            server.subscribers(self.transport, self.clients) as subscribers,
        ):
            quiet = [
                subscribers.measure(Window("together", _BASELINE)).p99_ms for _ in range(_BASELINES)
            ]
            before = rss_bytes(server.pid)
            seen = [before]
            stalling = Window("together", self.seconds, stalled=self.clients // 10)
            others = subscribers.measure(stalling, lambda: seen.append(rss_bytes(server.pid)))
            time.sleep(_SETTLE)
            after = rss_bytes(server.pid)
        return Endured(system.name, Figure.of(quiet), others.p99_ms, before, max(seen), after)


def cases(*, quick: bool) -> list[StalledCase]:
    if quick:
        return [StalledCase("websocket", 100, 5.0)]
    return [StalledCase(transport, 1000, 60.0) for transport in ("websocket", "sse")]


COLUMNS = (
    *("transport", "subscribers", "system", "p99 before", "p99 of the others", "change"),
    *("memory before", "at most", "after"),
)


def rows(outcome: Stalled) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, f"{outcome.clients:,}")
    for each in outcome.endured:
        yield (
            *first,
            each.system,
            milliseconds(each.p99_ms.median),
            milliseconds(each.p99_others_ms),
            f"{change(each):+.0%}",
            *(f"{rss / 2**20:.1f} MiB" for rss in (each.rss_before, each.rss_most, each.rss_after)),
        )
        first = ("", "")


def change(endured: Endured) -> float:
    """How much of itself the others' p99 rose by."""
    return endured.p99_others_ms / endured.p99_ms.median - 1.0
