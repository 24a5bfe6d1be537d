"""Sums, means and variances in which small numbers aren't lost beside large ones.

A sum is exact and rounded once. So it doesn't depend on the order of the numbers, and two processes
never differ in its last digit. Prometheus uses Kahan's summation in Neumaier's variant, whose
results may differ from it in that digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, isinf


def total(values: Sequence[float]) -> float:
    """The sum."""
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        # An intermediate sum is too large for a float, or both infinities are among the values.
        return _carried_total(values)


def mean(values: Sequence[float]) -> float:
    """The mean of one value or more, also where their sum would be too large for a float."""
    try:
        return fsum(values) / len(values)
    except (OverflowError, ValueError):
        return _carried_mean(values)


def variance(values: Iterable[float]) -> float:
    """The variance of the population of one value or more, by Welford's method."""
    count = 0
    average = average_lost = squares = squares_lost = 0.0
    for value in values:
        count += 1
        delta = value - (average + average_lost)
        average, average_lost = _add(delta / count, average, average_lost)
        squares, squares_lost = _add(
            delta * (value - (average + average_lost)), squares, squares_lost
        )
    return (squares + squares_lost) / count


def _add(value: float, total: float, lost: float) -> tuple[float, float]:
    """The total with this value added, and what rounding has lost so far."""
    new = total + value
    if isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


def _carried_total(values: Iterable[float]) -> float:
    result = lost = 0.0
    for value in values:
        result, lost = _add(value, result, lost)
    return result if isinf(result) else result + lost


def _carried_mean(values: Iterable[float]) -> float:
    count, result, lost = 0, 0.0, 0.0
    stepwise = False  # once the sum would overflow, the mean so far is kept instead
    for value in values:
        count += 1
        if count == 1:
            result = value
            continue
        if not stepwise:
            new, newly_lost = _add(value, result, lost)
            if not isinf(new):
                result, lost = new, newly_lost
                continue
            stepwise = True
            result, lost = result / (count - 1), lost / (count - 1)
        share = (count - 1) / count
        result, lost = _add(value / count, share * result, share * lost)
    if stepwise:
        return result + lost
    return result / count + lost / count
