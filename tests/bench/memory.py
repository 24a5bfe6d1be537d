"""Memory: what a connected, idle subscriber adds to the resident memory of the server's process.

What the kernel holds for a socket is not in it; that is the same for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.process import rss_bytes
from tests.bench.report import ratio
from tests.bench.systems import BROADCAST, MOST_NAIVE, NAIVE, NCHAN, PUSHSVC, System

_WARM = 20
"""Connections made and ended before, so that what is paid once isn't counted."""
_SETTLE = 1.5


class Footprint(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    rss_bytes: int
    """Of the process, before."""
    bytes_per_connection: float


class Memory(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    transport: str
    clients: int
    footprints: list[Footprint]


class MemoryCase(msgspec.Struct, frozen=True):
    transport: str
    clients: int

    @property
    def title(self) -> str:
        return f"memory, {self.transport}, {self.clients} idle subscribers"

    @property
    def systems(self) -> list[System]:
        everyone = (PUSHSVC, NAIVE) if self.clients <= MOST_NAIVE else (PUSHSVC,)
        return [
            each
            for each in (*everyone, BROADCAST, NCHAN)
            if self.transport in each.transports and each.missing() is None
        ]

    @property
    def steps(self) -> int:
        return len(self.systems)

    def run(self, step: Callable[[str], None]) -> Memory:
        """Measure one system after the other. Raises Failed."""
        footprints = []
        for system in self.systems:
            step(f"{self.title}: {system.name}")
            footprints.append(self._measure(system))
        return Memory(self.transport, self.clients, footprints)

    def _measure(self, system: System) -> Footprint:
        with system.serving() as server:
            with server.subscribers(self.transport, _WARM):
                pass
            time.sleep(_SETTLE)
            before = rss_bytes(server.pid)
            with server.subscribers(self.transport, self.clients):
                time.sleep(_SETTLE)
                after = rss_bytes(server.pid)
        return Footprint(system.name, before, (after - before) / self.clients)


def cases(*, quick: bool) -> list[MemoryCase]:
    if quick:
        return [MemoryCase("websocket", 1000)]
    return [
        *(MemoryCase(transport, 1000) for transport in ("websocket", "sse", "ndjson", "longpoll")),
        *(MemoryCase(transport, 15_000) for transport in ("websocket", "sse")),
    ]


COLUMNS = ("transport", "subscribers", "system", "per connection", "this ÷ pushsvc", "idle server")


def rows(outcome: Memory) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (outcome.transport, str(outcome.clients))
    ours = outcome.footprints[0].bytes_per_connection
    for footprint in outcome.footprints:
        larger = footprint.bytes_per_connection / ours
        yield (
            *first,
            footprint.system,
            f"{footprint.bytes_per_connection / 1024:.1f} KiB",
            ratio(larger),
            f"{footprint.rss_bytes / 2**20:.1f} MiB",
        )
        first = ("", "")
