"""One log at a Valkey: how late another process reads what was appended, how much goes through it,
and how long a process takes that begins.

The server runs on one core, the processes that append and read on the other.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.bench.process import LOAD_CPU, SERVER_CPU, Process, running
from tests.bench.report import Figure, count, milliseconds
from tests.bench.valkey_load import Append, Done, Read
from tests.journal.valkey_server import running as running_valkey

_ANSWER = 120.0


class Valkey(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    what: str
    samples: int
    """Per batch."""
    p50_ms: Figure | None = None
    p99_ms: Figure | None = None
    per_second: Figure | None = None
    """Samples per second, appended by one process and read by another."""
    cold_seconds: Figure | None = None
    """For a million samples, read by a process that begins."""
    cpu_us: Figure | None = None
    """Of the process that reads, per sample."""


class ValkeyCase(msgspec.Struct, frozen=True):
    what: str
    samples: int
    batches: int
    per_second: float | None
    cold: bool
    rounds: int

    @property
    def title(self) -> str:
        return f"journal at a Valkey, {self.what}, batches of {self.samples:,} samples"

    @property
    def steps(self) -> int:
        return self.rounds

    def run(self, step: Callable[[str], None]) -> Valkey:
        """Measure; `step` is called before each round. Raises Failed."""
        total = self.samples * self.batches
        reads: list[Done] = []
        appends: list[Done] = []
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            server = stack.enter_context(
                running_valkey(folder, "--appendonly", "yes", "--appendfsync", "everysec")
            )
            os.sched_setaffinity(server.pid, {SERVER_CPU})
            writer, reader = (
                stack.enter_context(running(("-m", "tests.bench.valkey_load"), LOAD_CPU))
                for _ in range(2)
            )
            for number in range(self.rounds):
                step(f"{self.title}, round {number + 1} of {self.rounds}")
                prefix = secrets.token_hex(4)
                append = Append(server.url, prefix, self.samples, self.batches, self.per_second)
                read = Read(server.url, prefix, total)
                if self.cold:
                    writer.tell(msgspec.json.encode(append))
                    appends.append(_heard(writer))
                reader.tell(msgspec.json.encode(read))
                reader.hear(_ANSWER)  # it is there
                if not self.cold:
                    writer.tell(msgspec.json.encode(append))
                    appends.append(_heard(writer))
                reads.append(_heard(reader))
                with server.client() as client:
                    client.flushall()
        cpu_us = Figure.of([1e6 * each.cpu / total for each in reads])
        if self.cold:
            cold = Figure.of([1e6 * each.seconds / total for each in reads])
            return Valkey(self.what, self.samples, cold_seconds=cold, cpu_us=cpu_us)
        if self.per_second is None:
            speed = Figure.of([total / each.seconds for each in reads])
            return Valkey(self.what, self.samples, per_second=speed, cpu_us=cpu_us)
        return Valkey(
            self.what,
            self.samples,
            p50_ms=Figure.of([each.delays_ms[0] for each in reads]),
            p99_ms=Figure.of([each.delays_ms[1] for each in reads]),
            cpu_us=cpu_us,
        )


def _heard(process: Process) -> Done:
    return msgspec.json.decode(process.hear(_ANSWER), type=Done)


def cases(*, quick: bool) -> list[ValkeyCase]:
    rounds, seconds = (1, 3) if quick else (5, 10)
    return [
        ValkeyCase("1,000 batches a second", 10, 1_000 * seconds, 1_000.0, False, rounds),
        ValkeyCase("as many as go", 100, 12_800, None, False, rounds),
        ValkeyCase("as many as go", 1_000, 1_280, None, False, rounds),
        ValkeyCase("a process that begins", 100, 10_048, None, True, rounds),
        ValkeyCase("a process that begins", 1_000, 1_024, None, True, rounds),
    ]


COLUMNS = (
    *("what", "batch", "p50", "p99", "samples/s through it", "a million read anew"),
    "reader's CPU/sample",
)


def rows(outcome: Valkey) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    yield (
        outcome.what,
        f"{outcome.samples:,}",
        milliseconds(outcome.p50_ms.median) if outcome.p50_ms else "-",
        milliseconds(outcome.p99_ms.median) if outcome.p99_ms else "-",
        count(outcome.per_second.median) if outcome.per_second else "-",
        f"{outcome.cold_seconds.median:.2f} s" if outcome.cold_seconds else "-",
        f"{outcome.cpu_us.median:.2f} µs" if outcome.cpu_us else "-",
    )
