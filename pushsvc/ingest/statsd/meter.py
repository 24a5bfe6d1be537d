"""What the values of one StatsD metric between two flushes become.

    counter             a counter: the total since the first value of the metric; where it is
                        counted down, the counter stays until the total has risen again
    gauge               a gauge: the last value; +n and -n change it
    timer, histogram,   counters `_count` and `_sum`, and of the interval the gauges `_min`, `_max`
    distribution        and, by the label `quantile`, the 0.5, 0.95 and 0.99 quantiles
    set                 a gauge: how many different values there were in the interval

Totals are reported because a lost one is made up for by the next. A counter begins with a 0, so
that its first increase shows, and is repeated once when it has stopped, so that its rate falls to
0. A count or a gauge whose line has a time is reported with that time; a count that is older than
what was already reported counts when it arrives, since a total can't be changed afterwards.
"""

from __future__ import annotations

import random
from math import isfinite
from typing import Protocol

from pushsvc.core.model.series import Identity, Kind, Rows, Value, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed
from pushsvc.ingest.statsd.line import COUNTER, GAUGE, HISTOGRAM, SET, TIMER, read_number

QUANTILES = (0.5, 0.95, 0.99)

RESERVOIR = 1_000
"""Values of one interval from which quantiles are computed; if there are more, a random sample of
them (algorithm R)."""


class Capacity:
    """How many values may still be kept in this interval, over all metrics."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.left = most

    def take(self) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        return True

    def empty(self) -> None:
        self.left = self._most


class Meter(Protocol):
    """One metric, with its tags."""

    kind: bytes
    heard: float
    """When it last got a value, on the caller's clock."""

    def take(self, text: bytes, weight: float) -> None:
        """Add a value. Raises Malformed, and changes nothing in that case."""

    def take_at(self, text: bytes, weight: float, time: int) -> None:
        """Add a value with a time (Unix ms), which is ignored by types without times. Raises
        Malformed."""

    def rows(self, begin_ms: int, now_ms: int) -> list[Rows]:
        """The rows of the interval that ends now, if there are any; the next interval begins."""


class _Total:
    """A cumulative count or sum, and whether it still has to be reported."""

    def __init__(self, identity: Identity, kind: Kind = "counter", unit: str | None = None) -> None:
        self._identity = identity
        self._kind = kind
        self._unit = unit
        self._total = 0.0
        self._told: float | None = None
        self._settled = False
        self._timed: list[tuple[int, float]] = []
        self._told_ms = 0

    def sum_with(self, amount: float) -> float:
        """The total after adding `amount`. Raises Malformed where it would be out of range."""
        total = self._total + amount
        if not isfinite(total):
            raise Malformed("value", "the total is out of range")
        return total

    def set(self, total: float) -> None:
        self._total = total

    def set_at(self, total: float, time: int) -> None:
        self._total = total
        if time > max(self._told_ms, self._timed[-1][0] if self._timed else 0):
            self._timed.append((time, self._rising(self._timed[-1][1] if self._timed else None)))
        elif self._timed and time == self._timed[-1][0]:
            self._timed[-1] = time, self._rising(self._timed[-1][1])

    def _rising(self, before: float | None = None) -> float:
        """The total; for a counter never less than what was reported, which would be read as a
        reset."""
        if self._kind != "counter":
            return self._total
        return max(self._total, self._told or 0.0, before or 0.0)

    def rows(self, begin_ms: int, now_ms: int) -> list[Rows]:
        timed, self._timed = self._timed, []
        rows: list[Rows] = []
        if timed:
            if self._told is None:
                timed.insert(0, (min(begin_ms, timed[0][0] - 1), 0.0))
            times, values = [time for time, _ in timed], [total for _, total in timed]
            rows.append(Rows(self._identity, times, [*values], self._kind, self._unit, None, True))
            self._told, self._told_ms, self._settled = values[-1], times[-1], False
        total = self._rising()
        changed = self._told != total
        if not changed and (timed or self._settled):
            return rows
        times, values = [now_ms], [total]
        if self._told is None and begin_ms < now_ms:
            times, values = [begin_ms, now_ms], [0.0, total]
        self._told, self._told_ms, self._settled = total, now_ms, not changed
        rows.append(Rows(self._identity, times, [*values], self._kind, self._unit))
        return rows


class _Counter:
    kind = COUNTER

    def __init__(
        self, name: str, labels: dict[str, str], limits: Limits, capacity: Capacity
    ) -> None:
        self.heard = 0.0
        self._capacity = capacity
        self._total = _Total(identify(name, labels, limits))

    def take(self, text: bytes, weight: float) -> None:
        self._total.set(self._total.sum_with(read_number(text) * weight))

    def take_at(self, text: bytes, weight: float, time: int) -> None:
        total = self._total.sum_with(read_number(text) * weight)
        _check_capacity(self._capacity)
        self._total.set_at(total, time)

    def rows(self, begin_ms: int, now_ms: int) -> list[Rows]:
        return self._total.rows(begin_ms, now_ms)


class _Gauge:
    kind = GAUGE

    def __init__(
        self, name: str, labels: dict[str, str], limits: Limits, capacity: Capacity
    ) -> None:
        self.heard = 0.0
        self._identity = identify(name, labels, limits)
        self._capacity = capacity
        self._value = 0.0
        self._fresh = False
        self._timed: list[tuple[int, float]] = []

    def take(self, text: bytes, weight: float) -> None:  # noqa: ARG002 - the last one counts
        self._value, self._fresh = self._read(text), True

    def take_at(self, text: bytes, weight: float, time: int) -> None:  # noqa: ARG002
        value = self._read(text)
        _check_capacity(self._capacity)
        self._timed.append((time, value))
        if not self._fresh:
            self._value = value

    def _read(self, text: bytes) -> float:
        number = read_number(text)
        value = self._value + number if text[:1] in (b"+", b"-") else number
        if not isfinite(value):
            raise Malformed("value", "the gauge is out of range")
        return value

    def rows(self, begin_ms: int, now_ms: int) -> list[Rows]:  # noqa: ARG002
        fresh, self._fresh = self._fresh, False
        timed, self._timed = self._timed, []
        rows: list[Rows] = []
        if timed:
            times = [time for time, _ in timed]
            values: list[Value] = [value for _, value in timed]
            rows.append(Rows(self._identity, times, values, "gauge", None, None, True))
        if fresh:
            rows.append(Rows(self._identity, [now_ms], [self._value], "gauge"))
        return rows


def _check_capacity(capacity: Capacity) -> None:
    if not capacity.take():
        raise Malformed("time", "no room for another value with a time in this interval")


class _Timing:
    def __init__(
        self,
        kind: bytes,
        name: str,
        labels: dict[str, str],
        limits: Limits,
        capacity: Capacity,
        chance: random.Random,
    ) -> None:
        self.kind = kind
        self.heard = 0.0
        self._timed = kind == TIMER
        self._unit = "milliseconds" if self._timed else None
        self._count = _Total(identify(f"{name}_count", labels, limits))
        # The sum of a histogram may fall, the sum of a timer can't.
        self._sum = _Total(
            identify(f"{name}_sum", labels, limits),
            "counter" if self._timed else "gauge",
            self._unit,
        )
        self._least = identify(f"{name}_min", labels, limits)
        self._most = identify(f"{name}_max", labels, limits)
        self._quantiles = [
            identify(name, {**labels, "quantile": str(quantile)}, limits) for quantile in QUANTILES
        ]
        self._capacity = capacity
        self._chance = chance
        self._seen = 0
        self._kept: list[float] = []
        self._min = self._max = 0.0

    def take(self, text: bytes, weight: float) -> None:
        value = read_number(text)
        if self._timed and value < 0:
            raise Malformed("value", "a time is not negative")
        count = self._count.sum_with(weight)
        self._sum.set(self._sum.sum_with(value * weight))
        self._count.set(count)
        self._min = min(self._min, value) if self._seen else value
        self._max = max(self._max, value) if self._seen else value
        self._seen += 1
        if len(self._kept) < RESERVOIR and (not self._kept or self._capacity.take()):
            self._kept.append(value)
        elif (place := int(self._chance.random() * self._seen)) < len(self._kept):
            self._kept[place] = value

    def take_at(self, text: bytes, weight: float, time: int) -> None:  # noqa: ARG002
        self.take(text, weight)  # it counts in an interval, whatever its time is

    def rows(self, begin_ms: int, now_ms: int) -> list[Rows]:
        rows = [*self._count.rows(begin_ms, now_ms), *self._sum.rows(begin_ms, now_ms)]
        if self._seen:
            kept = sorted(self._kept)
            told = [(self._least, self._min), (self._most, self._max)]
            told += [
                (identity, kept[min(len(kept) - 1, int(quantile * len(kept)))])
                for identity, quantile in zip(self._quantiles, QUANTILES, strict=True)
            ]
            rows += [
                Rows(identity, [now_ms], [value], "gauge", self._unit) for identity, value in told
            ]
            self._seen = 0
            self._kept = []
        return rows


class _Set:
    kind = SET

    def __init__(
        self, name: str, labels: dict[str, str], limits: Limits, capacity: Capacity
    ) -> None:
        self.heard = 0.0
        self._identity = identify(name, labels, limits)
        self._capacity = capacity
        self._members: set[bytes] = set()

    def take(self, text: bytes, weight: float) -> None:  # noqa: ARG002 - as often as it likes
        if text in self._members:
            return
        if not self._capacity.take():
            raise Malformed("set", "no room for another value of a set in this interval")
        self._members.add(text)

    def take_at(self, text: bytes, weight: float, time: int) -> None:  # noqa: ARG002
        self.take(text, weight)

    def rows(self, begin_ms: int, now_ms: int) -> list[Rows]:  # noqa: ARG002
        count = len(self._members)
        self._members = set()
        return [Rows(self._identity, [now_ms], [float(count)], "gauge")] if count else []


def open_meter(
    kind: bytes,
    name: str,
    labels: dict[str, str],
    limits: Limits,
    capacity: Capacity,
    chance: random.Random,
) -> Meter:
    """The meter for a type. Raises Rejected for a name or labels that the data model doesn't
    allow."""
    if kind == COUNTER:
        return _Counter(name, labels, limits, capacity)
    if kind == GAUGE:
        return _Gauge(name, labels, limits, capacity)
    if kind == SET:
        return _Set(name, labels, limits, capacity)
    assert kind in (TIMER, HISTOGRAM)
    return _Timing(kind, name, labels, limits, capacity, chance)
