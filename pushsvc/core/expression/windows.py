"""Functions over a range of samples of one series, such as `rate(x[5m])`.

Each takes the samples (times in ms, and values) in the order of time and without endings, and gives
a number, or None if there is no result. The rules, such as how far a rate is extrapolated, are
those of Prometheus (https://prometheus.io/docs/prometheus/latest/querying/functions/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isinf, isnan, nan, sqrt
from operator import gt, lt
from typing import Final

from pushsvc.core.expression import sums
from pushsvc.core.expression.errors import EvaluationError

__all__ = ["FUNCTIONS", "KEEP_NAME", "OF_MOMENT", "Range", "quantile"]


@dataclass(frozen=True, slots=True)
class Range:
    """Samples of one series, of times after `start` and up to `end`, in ms. `now` is the step's
    time, `numbers` are the function's other arguments."""

    times: Sequence[int]
    values: Sequence[float]
    start: int
    end: int
    now: int
    numbers: Sequence[float] = ()


Function = Callable[[Range], "float | None"]


def _lasts(given: Range) -> bool:
    """Whether the samples have two different times: here several may have the same one."""
    return given.times[0] < given.times[-1]


def _extrapolated(given: Range, *, counter: bool) -> float | None:
    """How much the value grew in the whole range: the growth between its samples, extrapolated to
    an end of the range if the samples come near it, and else by half of the usual distance of
    samples."""
    times, values = given.times, given.values
    if not _lasts(given):
        return None
    grown = values[-1] - values[0]
    if counter:
        for before, after in pairwise(values):
            if after < before:  # the counter began anew
                grown += before
    to_start = (times[0] - given.start) / 1000
    to_end = (given.end - times[-1]) / 1000
    sampled = (times[-1] - times[0]) / 1000
    usual = sampled / (len(times) - 1)
    near = usual * 1.1
    if to_start >= near:
        to_start = usual / 2
    if counter and grown > 0 and values[0] >= 0:
        # It can't have begun below zero.
        to_start = min(to_start, sampled * (values[0] / grown))
    if to_end >= near:
        to_end = usual / 2
    return grown * ((sampled + to_start + to_end) / sampled)


def _rate(given: Range) -> float | None:
    grown = _extrapolated(given, counter=True)
    return None if grown is None else grown / ((given.end - given.start) / 1000)


def _increase(given: Range) -> float | None:
    return _extrapolated(given, counter=True)


def _delta(given: Range) -> float | None:
    return _extrapolated(given, counter=False)


def _irate(given: Range) -> float | None:
    if len(given.times) < 2 or given.times[-1] == given.times[-2]:
        return None
    before, after = given.values[-2:]
    grown = after if after < before else after - before
    return grown / ((given.times[-1] - given.times[-2]) / 1000)


def _idelta(given: Range) -> float | None:
    if len(given.times) < 2 or given.times[-1] == given.times[-2]:
        return None
    return given.values[-1] - given.values[-2]


def _line(times: Sequence[int], values: Sequence[float], origin: int) -> tuple[float, float]:
    """The slope per second, and the value at `origin`, of the least squares line."""
    if all(value == values[0] for value in values):
        return (nan, nan) if isinf(values[0]) else (0.0, values[0])
    xs = [(time - origin) / 1000 for time in times]
    n = len(xs)
    x, y = sums.total(xs), sums.total(values)
    xy = sums.total([a * b for a, b in zip(xs, values, strict=True)])
    squares = sums.total([a * a for a in xs])
    slope = (xy - x * y / n) / (squares - x * x / n)
    return slope, y / n - slope * x / n


def _deriv(given: Range) -> float | None:
    if not _lasts(given):
        return None
    return _line(given.times, given.values, given.times[0])[0]


def _predict_linear(given: Range) -> float | None:
    if not _lasts(given):
        return None
    slope, now = _line(given.times, given.values, given.now)
    return slope * given.numbers[0] + now


def _smoothed(given: Range) -> float | None:
    smoothing, trending = given.numbers
    for name, factor, sign in (("smoothing", smoothing, "sf"), ("trend", trending, "tf")):
        if not 0 < factor < 1:
            raise EvaluationError(
                f"invalid {name} factor. Expected: 0 < {sign} < 1, got: {factor:f}"
            )
    if len(given.values) < 2:
        return None
    before, level = 0.0, given.values[0]
    trend = given.values[1] - given.values[0]
    for place, value in enumerate(given.values[1:]):
        if place:
            trend = trending * (level - before) + (1 - trending) * trend
        before, level = level, smoothing * value + (1 - smoothing) * (level + trend)
    return level


def _changes(given: Range) -> float:
    return float(sum(a != b and not (isnan(a) and isnan(b)) for a, b in pairwise(given.values)))


def _resets(given: Range) -> float:
    return float(sum(after < before for before, after in pairwise(given.values)))


def _place(values: Sequence[float], better: Callable[[float, float], bool]) -> int:
    """Where the last of the best values stands; a NaN is worse than any number."""
    best = 0
    for place, value in enumerate(values):
        if better(value, values[best]) or value == values[best] or isnan(values[best]):
            best = place
    return best


def _extreme(
    best: Callable[[Sequence[float]], float], better: Callable[[float, float], bool]
) -> Function:
    def extreme(given: Range) -> float:
        values = given.values
        if isnan(sums.total(values)):  # one of them may be NaN, which never is the best
            return values[_place(values, better)]
        return best(values)

    return extreme


def quantile(share: float, values: Sequence[float]) -> float:
    """The value below which a share of the values is, interpolated between neighbours."""
    if not values or isnan(share):
        return nan
    if share < 0:
        return -inf
    if share > 1:
        return inf
    ordered = sorted(values, key=lambda value: (not isnan(value), value))
    rank = share * (len(ordered) - 1)
    low = max(0, int(rank // 1))
    high = min(len(ordered) - 1, low + 1)
    weight = rank - rank // 1
    return ordered[low] * (1 - weight) + ordered[high] * weight


def _mad(given: Range) -> float:
    middle = quantile(0.5, given.values)
    return quantile(0.5, [abs(value - middle) for value in given.values])


FUNCTIONS: Final[dict[str, Function]] = {
    "rate": _rate,
    "increase": _increase,
    "delta": _delta,
    "irate": _irate,
    "idelta": _idelta,
    "deriv": _deriv,
    "predict_linear": _predict_linear,
    "double_exponential_smoothing": _smoothed,
    "changes": _changes,
    "resets": _resets,
    "avg_over_time": lambda given: sums.mean(given.values),
    "sum_over_time": lambda given: sums.total(given.values),
    "count_over_time": lambda given: float(len(given.values)),
    "present_over_time": lambda _: 1.0,
    "first_over_time": lambda given: given.values[0],
    "last_over_time": lambda given: given.values[-1],
    "max_over_time": _extreme(max, gt),
    "min_over_time": _extreme(min, lt),
    "ts_of_first_over_time": lambda given: given.times[0] / 1000,
    "ts_of_last_over_time": lambda given: given.times[-1] / 1000,
    "ts_of_max_over_time": lambda given: given.times[_place(given.values, gt)] / 1000,
    "ts_of_min_over_time": lambda given: given.times[_place(given.values, lt)] / 1000,
    "quantile_over_time": lambda given: quantile(given.numbers[0], given.values),
    "stdvar_over_time": lambda given: sums.variance(given.values),
    "stddev_over_time": lambda given: sqrt(sums.variance(given.values)),
    "mad_over_time": _mad,
}
"""By the name of the function."""

OF_MOMENT: Final = frozenset(("rate", "increase", "delta", "predict_linear"))
"""Functions that depend on the range's ends or on the step's time, and not only on the samples."""

KEEP_NAME: Final = frozenset(("first_over_time", "last_over_time"))
"""Functions whose result still is the metric itself."""
