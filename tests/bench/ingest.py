"""Ingest: how many samples a second one core of the server takes in, by the size of the batch.

Beside the service stand the naive one, which only decodes a body and looks for someone to give it
to, and the floor: a bare typed decode of the same bodies in a loop, without HTTP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.process import LOAD_CPU, SERVER_CPU, Process, running
from tests.bench.producer import Batch, Ingested, Job
from tests.bench.report import Figure, count, ratio
from tests.bench.systems import NAIVE, PUSHSVC, System

_FLOOR = "msgspec decode alone"
_ANSWER = 120.0


class Intake(msgspec.Struct, frozen=True):
    """One system's figures."""

    system: str
    per_core: Figure
    """Samples per second of the server's CPU time."""
    per_second: Figure
    """Samples per second of wall time, one request after the other on one connection."""
    cpu_us: Figure
    """CPU of the server per sample."""


class Ingest(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    samples: int
    series: int
    body_bytes: int
    intakes: list[Intake]


class IngestCase(msgspec.Struct, frozen=True):
    samples: int
    """Per batch."""
    series: int
    """The batch has samples of so many series."""
    rounds: int
    seconds: float
    beside: System | None = None

    @property
    def systems(self) -> list[System]:
        return [each for each in (PUSHSVC, self.beside, NAIVE) if each is not None]

    @property
    def title(self) -> str:
        return f"ingest, batches of {self.samples:,} samples of {self.series:,} series"

    @property
    def steps(self) -> int:
        return (len(self.systems) + 1) * self.rounds

    def run(self, step: Callable[[str], None]) -> Ingest:
        """Measure, the systems in turn; `step` is called before each window. Raises Failed."""
        batch = msgspec.json.encode(Batch(self.samples, self.series, self.seconds))
        with contextlib.ExitStack() as stack:
            producers: dict[str, Process] = {}
            for system in self.systems:
                server = stack.enter_context(system.serving())
                job = msgspec.json.encode(Job(server.host, server.port, server.pid)).decode()
                producers[system.name] = stack.enter_context(
                    running(("-m", "tests.bench.producer", job), LOAD_CPU)
                )
            producers[_FLOOR] = stack.enter_context(
                running(("-m", "tests.bench.producer", "--floor"), SERVER_CPU)
            )
            windows: dict[str, list[Ingested]] = {name: [] for name in producers}
            for number in range(self.rounds):
                for name, producer in producers.items():
                    step(f"{self.title}: {name}, round {number + 1} of {self.rounds}")
                    producer.tell(batch)
                    windows[name].append(producer.hear_as(Ingested, _ANSWER))
        return Ingest(
            self.samples,
            self.series,
            windows[_FLOOR][0].body_bytes,
            [_intake(name, each) for name, each in windows.items()],
        )


def _intake(name: str, windows: list[Ingested]) -> Intake:
    return Intake(
        name,
        Figure.of([each.samples / each.server_cpu for each in windows]),
        Figure.of([each.samples / each.seconds for each in windows]),
        Figure.of([1e6 * each.server_cpu / each.samples for each in windows]),
    )


def cases(*, quick: bool) -> list[IngestCase]:
    rounds, seconds = (3, 0.4) if quick else (5, 1.0)
    return [
        IngestCase(samples, series, rounds, seconds)
        for samples, series in ((1, 1), (100, 100), (10_000, 10_000), (10_000, 100))
    ]


COLUMNS = (
    *("batch", "series", "body", "system", "samples/s of one core", "naive ÷ this"),
    *("CPU/sample", "samples/s, one connection"),
)


def rows(outcome: Ingest) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    first = (
        f"{outcome.samples:,}",
        f"{outcome.series:,}",
        f"{outcome.body_bytes / 1024:,.1f} KiB",
    )
    naive = next(each for each in outcome.intakes if each.system == NAIVE.name)
    for intake in outcome.intakes:
        yield (
            *first,
            intake.system,
            count(intake.per_core.median),
            ratio(naive.cpu_us.median / intake.cpu_us.median),
            f"{intake.cpu_us.median:,.2f} µs",
            count(intake.per_second.median),
        )
        first = ("", "", "")
