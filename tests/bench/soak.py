"""Soak: 200 series at 10 Hz on 40 panels in Chromium, the server restarted half way through.

Each series has its 15 minutes of history from the start. The same data is drawn by Chart.js and by
ECharts, for a minute each and only for the record.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import msgspec

from tests.bench.chromium import measure


class Reading(msgspec.Struct, rename="camel", frozen=True):
    """Of the page at one moment; processor time as a share of one core since the one before."""

    at: float
    heap_mib: float = msgspec.field(name="heapMiB")
    buffers_mib: float = msgspec.field(name="buffersMiB")
    page_cpu: float
    browser_cpu: float


class Run(msgspec.Struct, rename="camel", frozen=True):
    """What one page took to draw it."""

    system: str
    readings: list[Reading]
    frames_per_second: list[float]
    back_after_ms: float | None
    """From the server's restart until the page was live again."""
    in_sight: int
    """Panels."""

    @property
    def cpu(self) -> float:
        return statistics.median(each.page_cpu for each in self.readings)

    @property
    def fps(self) -> float:
        return statistics.median(self.frames_per_second)

    @property
    def growth(self) -> float:
        """What heap and buffers have grown by since the first minute, as a share of them."""
        settled = [each for each in self.readings if each.at >= 60.0] or self.readings
        held = [each.heap_mib + each.buffers_mib for each in settled]
        late = statistics.median(held[-max(1, len(held) // 4) :])
        early = statistics.median(held[: max(1, len(held) // 4)])
        return late / early - 1.0


class Soak(msgspec.Struct, frozen=True):
    """The outcome of a case."""

    panels: int
    lines: int
    hz: float
    runs: list[Run]


class SoakCase(msgspec.Struct, frozen=True):
    minutes: float

    steps = 1

    @property
    def title(self) -> str:
        return f"soak, 200 series at 10 Hz on 40 panels, {self.minutes:g} minutes in a browser"

    def run(self, step: Callable[[str], None]) -> Soak:
        """Watch the page for so long, then the others. Raises Failed."""
        step(self.title)
        return measure("soak", Soak, timeout=self.minutes * 90.0 + 900.0, minutes=str(self.minutes))


def cases(*, quick: bool) -> list[SoakCase]:
    return [SoakCase(2.0 if quick else 10.0)]


COLUMNS = (
    "drawn by",
    "in sight",
    "CPU of the page",
    "this ÷ pushsvc",
    "frames/s",
    "heap + buffers",
    "growth",
    "back after a restart",
)


def rows(outcome: Soak) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    ours = outcome.runs[0].cpu
    for run in outcome.runs:
        last = run.readings[-1]
        yield (
            run.system,
            str(run.in_sight),
            f"{run.cpu:.0%} of a core",
            f"{run.cpu / ours:.1f}",
            f"{run.fps:.0f}",
            f"{last.heap_mib:.0f} + {last.buffers_mib:.0f} MiB",
            f"{run.growth:+.1%}",
            "" if run.back_after_ms is None else f"{run.back_after_ms / 1000:.1f} s",
        )
