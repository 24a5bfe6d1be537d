"""Sums and means that don't lose the small numbers beside the large ones: Neumaier's variant of
Kahan's summation, as Prometheus uses it, so that results agree in the last digits."""

from __future__ import annotations

from collections.abc import Iterable
from math import isinf


def add(value: float, total: float, lost: float) -> tuple[float, float]:
    """The total with one value more, and what rounding has lost so far."""
    new = total + value
    if isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


def total(values: Iterable[float]) -> float:
    """The sum."""
    result = lost = 0.0
    for value in values:
        result, lost = add(value, result, lost)
    return result if isinf(result) else result + lost


def mean(values: Iterable[float]) -> float:
    """The mean of one value or more, also where their sum would be too large for a float."""
    count, result, lost = 0, 0.0, 0.0
    stepwise = False  # once the sum would overflow, a mean is carried on in its place
    for value in values:
        count += 1
        if count == 1:
            result = value
            continue
        if not stepwise:
            new, newly_lost = add(value, result, lost)
            if not isinf(new):
                result, lost = new, newly_lost
                continue
            stepwise = True
            result, lost = result / (count - 1), lost / (count - 1)
        share = (count - 1) / count
        result, lost = add(value / count, share * result, share * lost)
    if stepwise:
        return result + lost
    return result / count + lost / count


def variance(values: Iterable[float]) -> float:
    """The variance of the population of one value or more, by Welford's method."""
    count = 0
    average = average_lost = squares = squares_lost = 0.0
    for value in values:
        count += 1
        delta = value - (average + average_lost)
        average, average_lost = add(delta / count, average, average_lost)
        squares, squares_lost = add(
            delta * (value - (average + average_lost)), squares, squares_lost
        )
    return (squares + squares_lost) / count
