"""Functions of one value, such as `abs(x)`, which are applied to each element of a vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import inf, isnan, nan
from typing import Final, NamedTuple

Function = Callable[..., "float | None"]


def _safe(function: Callable[[float], float]) -> Function:
    """The function, with NaN where it isn't defined and infinity where its result is too large."""

    def safe(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return nan
        except OverflowError:
            return inf

    return safe


def _rounded(function: Callable[[float], float]) -> Function:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _logarithm(function: Callable[[float], float]) -> Function:
    return lambda value: -inf if value == 0 else _safe(function)(value)


def _sinh(value: float) -> float:
    try:
        return math.sinh(value)
    except OverflowError:
        return math.copysign(inf, value)


def _atanh(value: float) -> float:
    return math.copysign(inf, value) if abs(value) == 1 else math.atanh(value)


def _round(value: float, to: float = 1.0) -> float:
    if to == 0:
        return nan
    inverse = 1 / to
    scaled = value * inverse + 0.5
    return (math.floor(scaled) if math.isfinite(scaled) else scaled) / inverse


def _sgn(value: float) -> float:
    if value == 0 or isnan(value):
        return value
    return math.copysign(1.0, value)


def _clamp(value: float, low: float, high: float) -> float | None:
    if low > high:
        return None
    if isnan(low) or isnan(high):
        return nan
    return max(low, min(high, value)) if not isnan(value) else nan


def _clamp_min(value: float, low: float) -> float:
    return nan if isnan(value) or isnan(low) else max(low, value)


def _clamp_max(value: float, high: float) -> float:
    return nan if isnan(value) or isnan(high) else min(high, value)


class _Date(NamedTuple):
    """A moment of the Gregorian calendar, in UTC. `weekday` counts from Sunday, 0; `day_of_year`
    from 1."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    weekday: int
    day_of_year: int


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if _is_leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


_DAYS_IN_400_YEARS: Final = 146_097


def _date_of(seconds: int) -> _Date:
    """The date of a Unix time, of any year there may be."""
    days, rest = divmod(seconds, 86_400)
    eras, day = divmod(days, _DAYS_IN_400_YEARS)  # any 400 years have as many days
    year = 1970 + eras * 400
    while day >= 365 + _is_leap(year):
        day -= 365 + _is_leap(year)
        year += 1
    of_year, month = day + 1, 1
    while day >= _days_in(year, month):
        day -= _days_in(year, month)
        month += 1
    hour, rest = divmod(rest, 3600)
    return _Date(year, month, day + 1, hour, rest // 60, (days + 4) % 7, of_year)


def _part(part: Callable[[_Date], float]) -> Function:
    return lambda value: float(part(_date_of(int(value)))) if math.isfinite(value) else nan


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": abs,
    "acos": _safe(math.acos),
    "acosh": _safe(math.acosh),
    "asin": _safe(math.asin),
    "asinh": _safe(math.asinh),
    "atan": _safe(math.atan),
    "atanh": _safe(_atanh),
    "ceil": _rounded(math.ceil),
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "cos": _safe(math.cos),
    "cosh": _safe(math.cosh),
    "deg": math.degrees,
    "exp": _safe(math.exp),
    "floor": _rounded(math.floor),
    "ln": _logarithm(math.log),
    "log10": _logarithm(math.log10),
    "log2": _logarithm(math.log2),
    "rad": math.radians,
    "round": _round,
    "sgn": _sgn,
    "sin": _safe(math.sin),
    "sinh": _sinh,
    "sqrt": _safe(math.sqrt),
    "tan": _safe(math.tan),
    "tanh": _safe(math.tanh),
}
"""By name. They take the value and the function's other arguments; None is no result."""

DATES: Final[dict[str, Function]] = {
    "days_in_month": _part(lambda date: _days_in(date.year, date.month)),
    "day_of_month": _part(lambda date: date.day),
    "day_of_week": _part(lambda date: date.weekday),
    "day_of_year": _part(lambda date: date.day_of_year),
    "hour": _part(lambda date: date.hour),
    "minute": _part(lambda date: date.minute),
    "month": _part(lambda date: date.month),
    "year": _part(lambda date: date.year),
}
"""Functions of a time in Unix seconds, in UTC. Without an argument they are applied to the step's
time."""


def natural(text: str) -> Sequence[tuple[int, int, str]]:
    """A key to sort texts by, in which the numbers within a text are compared as numbers."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for character in [*text, ""]:
        if character.isdecimal() and character.isascii():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits), digits))
            digits = ""
        if character:
            parts.append((1, 0, character))
    return parts
