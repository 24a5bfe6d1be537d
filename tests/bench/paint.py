"""First paint: from the page's script to charts of 50 series with 15 minutes of history."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tests.bench.chromium import measure
from tests.bench.report import Figure, milliseconds


class Paint(msgspec.Struct, frozen=True):
    """The outcome: milliseconds after the script was loaded."""

    series: int
    points: int
    history_ms: Figure
    """Until the last of the history had come."""
    painted_ms: Figure
    """Until the frame in which all charts in sight had it drawn."""
    cold_ms: Figure
    """The same from the request for the page on, nothing of which is in a cache."""

    def share(self, within_ms: float) -> float:
        """The share of all rounds that painted within so many milliseconds of the script."""
        rounds = self.painted_ms.rounds
        return sum(each <= within_ms for each in rounds) / len(rounds)


class _Round(msgspec.Struct, rename="camel", frozen=True):
    from_script_ms: float
    cold_ms: float
    history_ms: float
    points: int


class _Written(msgspec.Struct, frozen=True):
    series: int
    rounds: list[_Round]


class PaintCase(msgspec.Struct, frozen=True):
    rounds: int

    title = "first paint of 50 series with 15 minutes of history"
    steps = 1

    def run(self, step: Callable[[str], None]) -> Paint:
        """Open the page some times in Chromium. Raises Failed."""
        step(self.title)
        written = measure("paint", _Written, timeout=300.0, rounds=str(self.rounds))
        return Paint(
            written.series,
            min(each.points for each in written.rounds) * written.series,
            Figure.of([each.history_ms for each in written.rounds]),
            Figure.of([each.from_script_ms for each in written.rounds]),
            Figure.of([each.cold_ms for each in written.rounds]),
        )


def cases(*, quick: bool) -> list[PaintCase]:
    return [PaintCase(5 if quick else 15)]


COLUMNS = (
    "series",
    "points",
    "history has come",
    "all is drawn",
    "within 300 ms",
    "from a cold start",
)


def rows(outcome: Paint) -> Iterator[tuple[str, ...]]:
    """The outcome as lines of a table with COLUMNS."""
    yield (
        str(outcome.series),
        f"{outcome.points:,}",
        milliseconds(outcome.history_ms.median),
        milliseconds(outcome.painted_ms.median),
        f"{outcome.share(300.0):.0%}",
        milliseconds(outcome.cold_ms.median),
    )
