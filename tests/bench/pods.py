"""Three processes on one log at a Valkey: how late a dashboard at one of them is given what was
posted to the others, and what share of a core each of them takes for it.

They run on all cores there are, with the load beside them.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.bench.pods_load import Failure, Job, Measured, Window
from tests.bench.process import LOAD_CPU, SERVER_CPU, Failed, Process, running
from tests.bench.report import Figure, milliseconds
from tests.bench.systems import PUSHSVC
from tests.journal.valkey_server import running as running_valkey

_START = 30.0
_ANSWER = 120.0


class Pods(msgspec.Struct, frozen=True):
    """The outcome of a case. All that was posted was answered, and came."""

    samples: int
    """Per batch."""
    wanted: float
    """Batches a second."""
    per_second: Figure
    """That went."""
    p50_ms: Figure
    """From the moment a batch is sent by its producer to its frame at another process."""
    p99_ms: Figure
    max_ms: Figure
    appended_p50_ms: Figure
    """From the moment it is appended to the log."""
    appended_p99_ms: Figure
    cores: list[Figure]
    """Shares of a core: of the process with dashboards, those that are posted to, the Valkey."""


class PodsCase(msgspec.Struct, frozen=True):
    samples: int
    per_second: float
    dashboards: int
    rounds: int
    seconds: float

    @property
    def title(self) -> str:
        return (
            f"three processes on one log, {self.per_second:,.0f} batches of {self.samples} a second"
        )

    @property
    def steps(self) -> int:
        return self.rounds

    def run(self, step: Callable[[str], None]) -> Pods:
        """Measure; `step` is called before each round. Raises Failed."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            valkey = stack.enter_context(
                running_valkey(folder, "--appendonly", "yes", "--appendfsync", "everysec")
            )
            settings = (*PUSHSVC.arguments[2:], "--set", f"journal.url={valkey.url}")
            pods = [
                stack.enter_context(running(("-m", program, *settings), SERVER_CPU))
                for program in ("pushsvc", "tests.bench.pods_serve", "tests.bench.pods_serve")
            ]
            watched, *posted = [_port(pod) for pod in pods]
            pids = [*(pod.pid for pod in pods), valkey.pid]
            job = Job(posted, watched, pids, self.dashboards, self.samples, self.per_second)
            load = stack.enter_context(
                running(
                    ("-m", "tests.bench.pods_load", msgspec.json.encode(job).decode()), LOAD_CPU
                )
            )
            for pid in (*pids, load.pid):
                os.sched_setaffinity(pid, {SERVER_CPU, LOAD_CPU})
            _hear(load)  # they watch
            rounds: list[Measured] = []
            for number in range(self.rounds):
                step(f"{self.title}, round {number + 1} of {self.rounds}")
                load.tell(msgspec.json.encode(Window(self.seconds)))
                rounds.append(msgspec.convert(_hear(load), Measured))
        delays = [each.delays_ms for each in rounds]
        cores = [each.cores for each in rounds]
        p50, p99, most = (Figure.of(list(each)) for each in zip(*delays, strict=True))
        appended = [each.appended_ms for each in rounds]
        appended_p50, appended_p99, _ = (
            Figure.of(list(each)) for each in zip(*appended, strict=True)
        )
        return Pods(
            self.samples,
            self.per_second,
            Figure.of([each.per_second for each in rounds]),
            p50,
            p99,
            most,
            appended_p50,
            appended_p99,
            [Figure.of(list(each)) for each in zip(*cores, strict=True)],
        )


def _port(pod: Process) -> int:
    found = None
    while found is None:
        found = re.search(rb"http://127.0.0.1:(\d+)", pod.hear(_START))
    return int(found[1])


def _hear(load: Process) -> object:
    answer = msgspec.json.decode(load.hear(_ANSWER))
    if isinstance(answer, dict) and "error" in answer:
        raise Failed(msgspec.convert(answer, Failure).error)
    return answer


def cases(*, quick: bool) -> list[PodsCase]:
    rounds, seconds = (1, 3.0) if quick else (5, 10.0)
    return [PodsCase(10, hz, 20, rounds, seconds) for hz in (500.0, 1_000.0)]


COLUMNS = (
    *("batch", "batches/s", "append to frame, p50", "p99", "POST to frame, p50", "p99", "max"),
    *("core: with dashboards", "posted to", "Valkey"),
)


def rows(outcome: Pods) -> Iterator[tuple[str, ...]]:
    """The outcome as a line of a table with COLUMNS."""
    watched, *posted, valkey = (f"{each.median:.2f}" for each in outcome.cores)
    yield (
        f"{outcome.samples:,}",
        f"{outcome.per_second.median:,.0f}",
        milliseconds(outcome.appended_p50_ms.median),
        milliseconds(outcome.appended_p99_ms.median),
        milliseconds(outcome.p50_ms.median),
        milliseconds(outcome.p99_ms.median),
        milliseconds(outcome.max_ms.median),
        watched,
        " ".join(posted),
        valkey,
    )
