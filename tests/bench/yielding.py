"""Ingest yields: how long a frame takes to its dashboards while the same core takes in samples.

Dashboards are sent a frame ten times a second, alone first, and then beside two producers that post
as many samples as they are let. What both need together may be more than a core; then it is ingest
that has to wait. Nobody watches the series of those two, so that all that they cost is in the way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.load import Measured, Window
from tests.bench.process import LOAD_CPU, Process, running
from tests.bench.producer import Batch, Ingested, Job
from tests.bench.report import Figure, count, milliseconds
from tests.bench.systems import PUSHSVC, Subscribers, System

OFFERED = 300_000
"""Samples a second that producers would like to post."""
WANTED_MS = 50
"""What 99 of 100 frames may take."""

_PRODUCERS = 2
_SERIES = 10_000
_HZ = 10
_ANSWER = 120.0
_BEFORE = 0.5
"""Seconds for which samples are posted before anything is measured."""


class Beside(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    alone_p50_ms: Figure
    alone_p99_ms: Figure
    p50_ms: Figure
    """From a POST to its frame at a dashboard, with ingest beside it."""
    p99_ms: Figure
    max_ms: Figure
    per_second: Figure
    """Samples taken in meanwhile."""
    unwatched_per_second: Figure
    """Samples taken in while no frames are sent."""


class Yielding(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    clients: int
    samples: int
    """In a request of those producers."""
    beside: list[Beside]


class _Running:
    """A system with its dashboards and producers."""

    def __init__(
        self, system: System, clients: int, batch: Batch, stack: contextlib.ExitStack
    ) -> None:
        server = stack.enter_context(system.serving())
        self._batch = batch
        self._subscribers: Subscribers = stack.enter_context(
            server.subscribers("websocket", clients, max_hz=2 * _HZ)
        )
        self._producers: list[Process] = []
        for number in range(_PRODUCERS):
            job = msgspec.json.encode(Job(server.host, server.port, server.pid, number)).decode()
            self._producers.append(
                stack.enter_context(running(("-m", "tests.bench.producer", job), LOAD_CPU))
            )
        self.alone: list[Measured] = []
        self.beside: list[Measured] = []
        self.taken: list[float] = []
        self.unwatched: list[float] = []

    def measure(self, seconds: float) -> None:
        """One round of each."""
        window = Window("together", seconds, period=1 / _HZ)
        self.alone.append(self._subscribers.measure(window))
        self._post(seconds)
        self.unwatched.append(self._posted())
        self._post(_BEFORE + seconds + _BEFORE)
        self._subscribers.measure(msgspec.structs.replace(window, seconds=_BEFORE))
        self.beside.append(self._subscribers.measure(window))
        self.taken.append(self._posted())

    def _post(self, seconds: float) -> None:
        batch = msgspec.structs.replace(
            self._batch, seconds=seconds, most=OFFERED / len(self._producers)
        )
        for producer in self._producers:
            producer.tell(msgspec.json.encode(batch))

    def _posted(self) -> float:
        """Samples a second of all producers, as they have ended."""
        posted = [producer.hear_as(Ingested, _ANSWER) for producer in self._producers]
        return sum(each.samples / each.seconds for each in posted)


class YieldingCase(msgspec.Struct, frozen=True):
    clients: int
    samples: int
    rounds: int
    seconds: float
    beside: System | None = None

    @property
    def systems(self) -> list[System]:
        return [each for each in (PUSHSVC, self.beside) if each is not None]

    @property
    def title(self) -> str:
        return f"ingest in batches of {self.samples:,} beside {self.clients:,} dashboards"

    @property
    def steps(self) -> int:
        return len(self.systems) * self.rounds

    def run(self, step: Callable[[str], None]) -> Yielding:
        """Measure, the systems in turn; `step` is called before each round. Raises Failed."""
        batch = Batch(self.samples, min(self.samples, _SERIES), 0.0)
        with contextlib.ExitStack() as stack:
            systems = {
                each.name: _Running(each, self.clients, batch, stack) for each in self.systems
            }
            for number in range(self.rounds):
                for name, system in systems.items():
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    system.measure(self.seconds)
        return Yielding(
            self.clients, self.samples, [_beside(name, each) for name, each in systems.items()]
        )


def _beside(name: str, system: _Running) -> Beside:
    return Beside(
        name,
        Figure.of([each.p50_ms for each in system.alone]),
        Figure.of([each.p99_ms for each in system.alone]),
        Figure.of([each.p50_ms for each in system.beside]),
        Figure.of([each.p99_ms for each in system.beside]),
        Figure.of([each.max_ms for each in system.beside]),
        Figure.of(system.taken),
        Figure.of(system.unwatched),
    )


def cases(*, quick: bool) -> list[YieldingCase]:
    if quick:
        return [YieldingCase(1_000, 10_000, rounds=2, seconds=1.0)]
    return [
        YieldingCase(clients, samples, rounds=3, seconds=3.0)
        for clients, samples in ((1_000, 10_000), (5_000, 1_000), (5_000, 10_000))
    ]


COLUMNS = (
    *("dashboards", "batch", "system", "alone p50", "p99"),
    *("with ingest p50", "p99", "max", "samples/s beside", "without frames"),
)


def rows(outcome: Yielding) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (f"{outcome.clients:,}", f"{outcome.samples:,}")
    for beside in outcome.beside:
        yield (
            *first,
            beside.system,
            milliseconds(beside.alone_p50_ms.median),
            milliseconds(beside.alone_p99_ms.median),
            milliseconds(beside.p50_ms.median),
            milliseconds(beside.p99_ms.median),
            milliseconds(beside.max_ms.median),
            count(beside.per_second.median),
            count(beside.unwatched_per_second.median),
        )
        first = ("", "")
