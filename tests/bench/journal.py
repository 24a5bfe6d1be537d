"""The journal: from the bytes of an entry to histories, into a file, and back at a start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tests.bench.journaling import Append, Done, Restart, Shape, Take
from tests.bench.process import SERVER_CPU, running
from tests.bench.report import Figure, count

_ANSWER = 600.0
_WIDE, _LONG, _SMALL = Shape(1_000, 1), Shape(100, 50), Shape(10, 1)
_MANY_SERIES = Shape(10_000, 1)
_MANY = 10_000_000
_MINUTES = 600.0
"""Seconds for which samples are kept, where a log of an hour is read whose series live for one."""


class Journal(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    what: str
    shape: Shape
    per_second: Figure
    """Samples; of one core where they become histories."""
    batches_per_second: float
    bytes_per_sample: float
    warm_seconds: float | None = None
    """For `_MANY` samples of a file, from the start of a service until it is ready."""
    warm_cpu: float | None = None
    """Seconds of CPU for those."""
    times_decoding: float | None = None
    """So many times the CPU of reading the file and decoding what is in it, and nothing else."""
    memory_mib: float | None = None


class JournalCase(msgspec.Struct, frozen=True):
    what: str
    job: Take | Append | Restart
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
        last = found[-1]
        restarted = isinstance(self.job, Restart)
        speed = Figure.of([each.samples / each.seconds for each in found])
        return Journal(
            self.what,
            self.job.shape,
            speed,
            speed.median / self.job.shape.samples,
            last.bytes / last.samples,
            _MANY / speed.median if restarted else None,
            _MANY * last.cpu / last.samples if restarted else None,
            last.cpu / last.decoding if restarted else None,
            last.memory / 2**20 if restarted else None,
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
        *(
            JournalCase("read at a start", Restart(shape, warm), 1)
            for shape in (_MANY_SERIES, _WIDE, _LONG)
        ),
        JournalCase(
            "read at a start, most of it too old", Restart(_MANY_SERIES, warm, _MINUTES), 1
        ),
    ]


COLUMNS = (
    *("what", "batch", "samples/s", "batches/s", "bytes/sample"),
    *("10 M at a start", "its CPU", "÷ decoding", "MiB"),
)


def rows(outcome: Journal) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.what,
        f"{outcome.shape.series:,} x {outcome.shape.each}",
        count(outcome.per_second.median),
        count(outcome.batches_per_second),
        f"{outcome.bytes_per_sample:.1f}",
        "-" if outcome.warm_seconds is None else f"{outcome.warm_seconds:.1f} s",
        "-" if outcome.warm_cpu is None else f"{outcome.warm_cpu:.1f} s",
        "-" if outcome.times_decoding is None else f"{outcome.times_decoding:.1f}",
        "-" if outcome.memory_mib is None else f"{outcome.memory_mib:,.0f}",
    )
