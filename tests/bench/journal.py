"""The journal: from the bytes of an entry to histories, into a file, and back at a start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tests.bench.journaling import Append, Done, Shape, Take, Warm
from tests.bench.process import SERVER_CPU, running
from tests.bench.report import Figure, count

_ANSWER = 600.0
_WIDE, _LONG, _SMALL = Shape(1_000, 1), Shape(100, 50), Shape(10, 1)
_MANY = 10_000_000


class Journal(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    what: str
    shape: Shape
    per_second: Figure
    """Samples; of one core where they become histories."""
    batches_per_second: float
    bytes_per_sample: float
    warm_seconds: float | None = None
    """For `_MANY` samples of a file, from opening it."""


class JournalCase(msgspec.Struct, frozen=True):
    what: str
    job: Take | Append | Warm
    rounds: int

    @property
    def title(self) -> str:
        shape = self.job.shape
        return f"journal, {self.what}, {shape.series:,} series of {shape.each}"

    @property
    def steps(self) -> int:
        return self.rounds

    def run(self, step: Callable[[str], None]) -> Journal:
        """Measure; `step` is called before each round. Raises Failed."""
        found = []
        with running(("-m", "tests.bench.journaling"), SERVER_CPU) as child:
            for number in range(self.rounds):
                step(f"{self.title}, round {number + 1} of {self.rounds}")
                child.tell(msgspec.json.encode(self.job))
                found.append(msgspec.json.decode(child.hear(_ANSWER), type=Done))
        speed = Figure.of([each.samples / each.seconds for each in found])
        return Journal(
            self.what,
            self.job.shape,
            speed,
            speed.median / self.job.shape.samples,
            found[-1].bytes / found[-1].samples,
            _MANY / speed.median if isinstance(self.job, Warm) else None,
        )


def cases(*, quick: bool) -> list[JournalCase]:
    rounds, seconds, warm = (1, 1.0, _MANY // 10) if quick else (3, 3.0, _MANY)
    return [
        *(
            JournalCase("entries to histories", Take(shape, seconds), rounds)
            for shape in (_WIDE, _LONG)
        ),
        *(
            JournalCase(
                f"appended, {synchronous}, groups of {group}",
                Append(shape, group, synchronous, seconds),
                rounds,
            )
            for shape in (_SMALL, _WIDE)
            for synchronous in ("full", "normal")
            for group in (1, 20)
        ),
        *(JournalCase("read at a start", Warm(shape, warm), 1) for shape in (_WIDE, _LONG)),
    ]


COLUMNS = ("what", "batch", "samples/s", "batches/s", "bytes/sample", "10 M at a start")


def rows(outcome: Journal) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.what,
        f"{outcome.shape.series:,} x {outcome.shape.each}",
        count(outcome.per_second.median),
        count(outcome.batches_per_second),
        f"{outcome.bytes_per_sample:.1f}",
        "-" if outcome.warm_seconds is None else f"{outcome.warm_seconds:.1f} s",
    )
