"""The live table of `pushsvc tail` on a terminal."""

from __future__ import annotations

import time
from collections import deque

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pushsvc.client import Ended, Gap, Gone, Points, Sample, Series, Stream
from pushsvc.client.stream import AWAY, SEVERAL
from pushsvc.core.model.units import format_value
from pushsvc.printable import printable

_BARS = "▁▂▃▄▅▆▇█"
_SPARK = 24
_FRAME = 0.1


class _Row:
    """The row of one series."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.past: deque[float] = deque(maxlen=_SPARK)
        self.ended: int | None = None
        """When it ended, if nothing newer has come since."""

    def add(self, sample: Sample) -> None:
        if isinstance(sample.value, float):
            self.past.append(sample.value)
        if sample.time >= self.sample.time:
            self.sample = sample
        if self.ended is not None and sample.time > self.ended:
            self.ended = None

    def end(self, time: int) -> None:
        if time >= self.sample.time:
            self.ended = time

    def spark(self) -> str:
        if not self.past:
            return ""
        low, high = min(self.past), max(self.past)
        scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
        return "".join(_BARS[round((value - low) * scale)] for value in self.past)


def format_age(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 100 else f"{seconds / 60:.0f}m"


def _key(series: Series) -> tuple[str, tuple[tuple[str, str], ...]]:
    return series.name, tuple(sorted(series.labels.items()))


class _Board:
    """All rows, by name and labels of their series: a ref isn't the same on another server."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, tuple[tuple[str, str], ...]], _Row] = {}
        self._lost = 0
        self._unknown = False

    def take(self, event: object) -> None:
        if isinstance(event, Points):
            for sample in event.samples:
                self._rows.setdefault(_key(sample.series), _Row(sample)).add(sample)
        elif isinstance(event, Ended):
            for ending in event.endings:
                if (row := self._rows.get(_key(ending.series))) is not None:
                    row.end(ending.time)
        elif isinstance(event, Gap):
            self._lost += event.lost or 0
            self._unknown = self._unknown or event.lost is None
        elif isinstance(event, Gone):
            for series in event.series:
                self._rows.pop(_key(series), None)

    def render(self, stream: Stream, url: str, height: int) -> Group:
        table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
        table.add_column("series", ratio=3, overflow="ellipsis", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
        table.add_column("", width=_SPARK, no_wrap=True)
        table.add_column("age", justify="right", no_wrap=True, width=6)
        now = time.time() * 1000
        rows = sorted(self._rows.items())
        said = (stream.statistics.away_since is not None) + stream.statistics.several
        said += len(stream.statistics.failing)
        room = max(1, height - 4 - said)
        for (name, labels), row in rows[:room]:
            text = Text(printable(name))
            if labels:
                inside = ", ".join(f"{label}={value}" for label, value in labels)
                text.append(printable(f" {inside}"), style="dim")
            age = max(0.0, (now - row.sample.time) / 1000)
            stale = "yellow" if age > 10 else ""
            table.add_row(
                text,
                Text("ended", style="dim")
                if row.ended is not None
                else Text(
                    printable(format_value(row.sample.value, row.sample.series.unit)), style="bold"
                ),
                Text(row.spark(), style="cyan"),
                Text(format_age(age), style=stale),
            )
        if len(rows) > room:
            table.add_row(Text(f"… {len(rows) - room} more", style="dim"))
        if not rows:
            table.add_row(Text("no samples yet", style="dim"))
        return Group(table, self._status(stream, url))

    def _status(self, stream: Stream, url: str) -> Text:
        statistics = stream.statistics
        text = Text("\n")
        colour = {"live": "green", "connecting": "yellow", "waiting": "red"}
        text.append("● ", style=colour.get(statistics.phase, "dim"))
        text.append(f"{url}  {statistics.phase}", style="bold")
        if statistics.phase == "waiting" and statistics.retry_in is not None:
            reason = printable(statistics.reason or "")
            text.append(f" ({reason}; next try in {statistics.retry_in:.1f} s)")
        text.append(f"  {statistics.samples:,} samples", style="dim")
        if statistics.connects > 1:
            text.append(f"  {statistics.connects - 1} reconnects", style="dim")
        if self._lost or self._unknown:
            more = " or more" if self._unknown else ""
            text.append(f"  {self._lost}{more} missing", style="yellow")
        if statistics.away_since is not None:
            age = format_age(time.time() - statistics.away_since)
            text.append(f"\n  {AWAY} (for {age} now)", style="yellow")
        if statistics.several:
            text.append(f"\n  {SEVERAL}", style="yellow")
        for name, reason in statistics.failing.items():
            text.append("\n  " + printable(f"{name} has no results: {reason}"), style="yellow")
        return text


async def show(stream: Stream, url: str) -> None:
    """Draw the table until cancelled or until the stream ends; at most ten times a second."""
    console = Console()
    board = _Board()
    with Live(console=console, auto_refresh=False, screen=True) as live:

        async def draw() -> None:
            while True:
                live.update(board.render(stream, url, console.height), refresh=True)
                await trio.sleep(_FRAME)

        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(draw)
            try:
                async for event in stream:
                    board.take(event)
            except Exception as error:  # noqa: BLE001
                failure = error  # raised outside of the nursery, which would wrap it in a group
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
