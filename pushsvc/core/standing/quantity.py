"""What numbers are numbers of, and what becomes of that when one calculates with them.

Only what is certain is kept. A number by which something is multiplied is one of two things, and
nobody says which: an amount (`2 * free_bytes` is in bytes), or a conversion (`free_bytes / 1024` is
in KiB). So numbers that convert are known (`_CONVERSIONS`), and what they make of a unit either has
a name of its own or none.
"""

from __future__ import annotations

from math import isclose, isnan, nan
from typing import Final, NamedTuple, TypeAlias

PLAIN: Final = "number"
"""The base of what is counted, and has no unit."""

_RATIO: Final = "ratio"
_SECONDS: Final = "seconds"
_MOMENT: Final = "timestamp_seconds"
_POINTS: Final = (_MOMENT, "celsius")
"""Scales with a zero that means nothing: half of such a value is nothing."""


class Quantity(NamedTuple):
    """Multiples of a unit, `per` second (1) or not (0); a value is `factor` times what it is in
    the base unit. The base is empty where nobody said what it is."""

    base: str
    per: int = 0
    factor: float = 1.0


class Constant(NamedTuple):
    """A number that is written in the expression: it takes the unit of what is beside it. NaN
    stands for what has no value by now, such as a selector that selects nothing."""

    value: float


Unit: TypeAlias = Quantity | Constant | None
"""None is a unit that isn't known, or none at all."""

NOTHING: Final = Constant(nan)
NUMBER: Final = Quantity(PLAIN)
SECONDS: Final = Quantity(_SECONDS)
RATIO: Final = Quantity(_RATIO)
UNSAID: Final = Quantity("")

_WORDS: Final[dict[str, tuple[str, float]]] = {
    "1": (PLAIN, 1.0),
    "ratio": (_RATIO, 1.0),
    "percent": (_RATIO, 100.0),
    "%": (_RATIO, 100.0),
    "bytes": ("bytes", 1.0),
    "byte": ("bytes", 1.0),
    "By": ("bytes", 1.0),
    "B": ("bytes", 1.0),
    "bits": ("bytes", 8.0),
    "kibibytes": ("bytes", 1024.0**-1),
    "mebibytes": ("bytes", 1024.0**-2),
    "gibibytes": ("bytes", 1024.0**-3),
    "tebibytes": ("bytes", 1024.0**-4),
    "kilobytes": ("bytes", 1e-3),
    "megabytes": ("bytes", 1e-6),
    "gigabytes": ("bytes", 1e-9),
    "terabytes": ("bytes", 1e-12),
    "seconds": (_SECONDS, 1.0),
    "second": (_SECONDS, 1.0),
    "s": (_SECONDS, 1.0),
    "milliseconds": (_SECONDS, 1e3),
    "ms": (_SECONDS, 1e3),
    "microseconds": (_SECONDS, 1e6),
    "us": (_SECONDS, 1e6),
    "nanoseconds": (_SECONDS, 1e9),
    "ns": (_SECONDS, 1e9),
    "minutes": (_SECONDS, 1 / 60),
    "hours": (_SECONDS, 1 / 3600),
    "days": (_SECONDS, 1 / 86_400),
    "timestamp_seconds": (_MOMENT, 1.0),
    "unixtime": (_MOMENT, 1.0),
    "celsius": ("celsius", 1.0),
    "Cel": ("celsius", 1.0),
    "C": ("celsius", 1.0),
    "hertz": ("hertz", 1.0),
    "Hz": ("hertz", 1.0),
    "volts": ("volts", 1.0),
    "V": ("volts", 1.0),
    "amperes": ("amperes", 1.0),
    "A": ("amperes", 1.0),
    "watts": ("watts", 1.0),
    "W": ("watts", 1.0),
    "joules": ("joules", 1.0),
    "J": ("joules", 1.0),
}
"""Units that are multiples of another, and short forms. The first word for one is the one that is
written."""

_CONVERSIONS: Final = [
    time * power
    for time in (1, 8, 60, 3600, 86_400, 604_800)
    for power in (1, 10, 100, *[1000**n for n in range(1, 6)], *[1024**n for n in range(1, 6)])
    if time * power != 1
]


def read_unit(text: str) -> Quantity:
    """The unit of a series, in the words of its producer."""
    stem, per = text, 0
    for suffix in ("_per_second", "per_second", "/s"):
        if text.endswith(suffix):
            stem, per = text[: -len(suffix)], 1
            break
    base, factor = _WORDS.get(stem, (stem, 1.0))
    return Quantity(base, per, factor)


def word_of(unit: Unit) -> str:
    """A unit as series have it, in Prometheus' words: `bytes_per_second`; empty for none."""
    if unit is None or isinstance(unit, Constant):
        return ""
    base, per, factor = _as_share(unit)
    if base in ("", PLAIN):
        return "per_second" if per and isclose(factor, 1) else ""
    word = _word(base, factor)
    return f"{word}_per_second" if word and per else word


def _word(base: str, factor: float) -> str:
    if isclose(factor, 1):
        return base
    same = (word for word, (of, times) in _WORDS.items() if of == base and isclose(times, factor))
    return next(same, "")


def _as_share(unit: Quantity) -> Quantity:
    """Seconds per second are a share of time."""
    return Quantity(_RATIO, 0, unit.factor) if unit[:2] == (_SECONDS, 1) else unit


def either(one: Unit, other: Unit) -> Unit:
    """The unit of what may be the one or the other."""
    if isinstance(one, Constant):
        return other
    return one if isinstance(other, Constant) or one == other else None


def plus(one: Unit, other: Unit) -> Unit:
    """The unit of a sum."""
    if isinstance(other, Constant):
        one, other = other, one
    if one is None or other is None:
        return None
    if isinstance(one, Constant):
        if isinstance(other, Constant):
            return NOTHING
        if one.value == 0 or isnan(one.value):
            return other
        pure = _as_share(other)
        return other if pure.per == 0 and pure.base in ("", PLAIN, _RATIO) else None
    assert not isinstance(other, Constant)
    if {one, other} == {SECONDS, Quantity(_MOMENT)}:
        return Quantity(_MOMENT)
    return one if _as_share(one) == _as_share(other) and one.base != _MOMENT else None


def minus(one: Unit, other: Unit) -> Unit:
    """The unit of a difference."""
    if other == Quantity(_MOMENT) and one in (SECONDS, Quantity(_MOMENT)):
        return SECONDS  # since then
    return plus(one, other)


def times(one: Unit, other: Unit) -> Unit:
    """The unit of a product."""
    if one is None or other is None:
        return None
    if isinstance(one, Constant):
        return _converted(other, one.value)
    if isinstance(other, Constant):
        return _converted(one, other.value)
    for left, right in ((one, other), (other, one)):
        by = _as_share(right)
        factor = left.factor * by.factor
        if by.per == 0 and by.base in (PLAIN, _RATIO):
            return left._replace(factor=factor)
        if by[:2] == (PLAIN, 1) and left.per == 0:
            return left._replace(per=1, factor=factor)
        if by[:2] == (_SECONDS, 0) and left.per == 1:
            return left._replace(per=0, factor=factor)
    return None


def over(one: Unit, other: Unit) -> Unit:
    """The unit of a quotient."""
    if one is None or other is None:
        return None
    if isinstance(other, Constant):
        return _converted(one, 1 / other.value) if other.value else None
    if isinstance(one, Constant):
        return NUMBER if other == NUMBER else None
    factor = one.factor / other.factor
    per = one.per - other.per
    if other.base == PLAIN:
        return one._replace(per=per, factor=factor) if per in (0, 1) else None
    if one.base == other.base and one.base not in ("", *_POINTS) and per in (0, 1):
        return Quantity(PLAIN, 1, factor) if per else Quantity(_RATIO, 0, factor)
    share = _as_share(other)
    if share[:2] == (_RATIO, 0):
        return one._replace(factor=factor)
    if other[:2] == (_SECONDS, 0) and one.per == 0:
        return one._replace(per=1, factor=factor)
    return None


def per_second(unit: Unit) -> Unit:
    """The unit of how fast something grows."""
    if unit is None or isinstance(unit, Constant):
        return unit
    return None if unit.per or unit.base == _MOMENT else unit._replace(per=1)


def _converted(unit: Unit, by: float) -> Unit:
    if isinstance(unit, Constant):
        return NOTHING
    if unit is None or not by:
        return None
    if unit.per == 0 and unit.base in ("", PLAIN):
        return unit
    size = abs(by)
    if any(isclose(size, one) or isclose(size, 1 / one) for one in _CONVERSIONS):
        return unit._replace(factor=unit.factor * size)
    return unit
