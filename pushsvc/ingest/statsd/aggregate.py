"""StatsD: datagrams in, and once an interval the batches with their totals.

`line` parses the lines, `meter` aggregates their values. With UDP an error can't be answered:
invalid lines are counted, the last reason is kept, and the next line is read.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from pushsvc.core.model.series import Batch, Rows, identify, shorten
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Rejected
from pushsvc.ingest.refusals import Refusals
from pushsvc.ingest.statsd.line import Line, is_other, parse_line, read_number, read_series
from pushsvc.ingest.statsd.meter import Capacity, Meter, open_meter

_VALUES = 500_000
"""Single values kept until the next flush, over all metrics: for quantiles, and members of sets."""

_REMEMBERED_BYTES = 1024
"""Names and tags that are longer are read anew each time they come."""

_SLICE = 250
"""Metrics in one batch of a flush, so that nobody waits long for it."""


class Aggregator:
    """Adds up what StatsD clients send.

    Holds `limits.statsd_series` metrics at the most; lines of others are refused and counted until
    some have been silent for `ttl` seconds. `counts` gets the events: statsd_lines,
    statsd_lines_bad, statsd_lines_other (events and service checks) and statsd_lines_refused
    (beyond the limit).
    """

    def __init__(
        self,
        limits: Limits,
        *,
        ttl: float,
        now_ms: int,
        counts: Counter[str],
        chance: random.Random | None = None,
    ) -> None:
        self._limits = limits
        self._ttl = ttl
        self._counts = counts
        self._chance = chance or random.Random()
        self._capacity = Capacity(_VALUES)
        self._meters: dict[str, Meter] = {}
        self._known: dict[bytes, Meter] = {}  # by name and tags as they were written
        self._flushed_ms = now_ms
        self.refused = Refusals()
        """Where refused lines go: who feeds it puts the one of the next datagram's sender here."""

    def __len__(self) -> int:
        """How many metrics are held."""
        return len(self._meters)

    def take(self, datagram: bytes, now: float, now_ms: int | None = None) -> int:
        """Take in a datagram of one or more lines, and return how many values that were; `now` is
        seconds of any steady clock, `now_ms` (by default that of the last flush) what the times of
        lines are judged by."""
        taken = 0
        now_ms = self._flushed_ms if now_ms is None else now_ms
        earliest = now_ms - self._limits.past_seconds * 1000
        latest = now_ms + self._limits.future_seconds * 1000
        for line in datagram.split(b"\n"):
            line = line.rstrip(b"\r")
            if not line:
                continue
            self._counts["statsd_lines"] += 1
            if is_other(line):
                self._counts["statsd_lines_other"] += 1
                continue
            try:
                parsed = parse_line(line)
                if parsed.time is not None and not earliest <= parsed.time <= latest:
                    raise Malformed("time", "its time is too far from the server's clock")
                self._take(parsed, now)
                taken += 1
            except (Malformed, Rejected) as error:
                refused = isinstance(error, Rejected) and error.code == "statsd_series"
                self._counts["statsd_lines_refused" if refused else "statsd_lines_bad"] += 1
                self.refused.add(error.code, f"{line[:60]!r}: {error.detail}")
        return taken

    def _take(self, line: Line, now: float) -> None:
        meter = self._known.get(line.series)
        if meter is not None and meter.kind == line.type:
            _feed(meter, line)
        else:
            text, meter = self._meter(line)
            _feed(meter, line)
            self._meters[text] = meter
            if len(line.series) <= _REMEMBERED_BYTES:
                if len(self._known) >= 2 * self._limits.statsd_series:
                    self._known.clear()
                self._known[line.series] = meter
        meter.heard = now

    def _meter(self, line: Line) -> tuple[str, Meter]:
        """The meter of a line and the text of its identity; a new one isn't held yet."""
        name, labels = read_series(line.series)
        text = identify(name, labels, self._limits).text
        meter = self._meters.get(text)
        if meter is None:
            if len(self._meters) >= self._limits.statsd_series:
                raise Rejected(
                    "statsd_series",
                    f"{self._limits.statsd_series} metrics are gathered, the limit "
                    "(limits.statsd_series)",
                    limit="statsd_series",
                )
            return text, open_meter(
                line.type, name, labels, self._limits, self._capacity, self._chance
            )
        if meter.kind != line.type:
            raise Rejected(
                "type",
                f"{shorten(text)} is of type {meter.kind.decode()}, not {line.type.decode()}",
            )
        return text, meter

    def flush(self, now: float, now_ms: int) -> Iterator[Batch]:
        """End the interval: what it adds up to, in batches that are each small.

        Datagrams may be taken in between two batches; each metric's interval ends with its own.
        """
        begin_ms, self._flushed_ms = self._flushed_ms, now_ms
        self._capacity.empty()
        everyone = list(self._meters.items())
        for at in range(0, len(everyone), _SLICE):
            rows: list[Rows] = []
            for text, meter in everyone[at : at + _SLICE]:
                rows += meter.rows(begin_ms, now_ms)
                if now - meter.heard > self._ttl:
                    del self._meters[text]
                    self._known.clear()
            if rows:
                yield Batch(rows)


def _feed(meter: Meter, line: Line) -> None:
    """Give a meter the values of a line, all or none."""
    if len(line.values) > 1:
        for text in line.values:
            read_number(text)
    for text in line.values:
        if line.time is None:
            meter.take(text, line.weight)
        else:
            meter.take_at(text, line.weight, line.time)
