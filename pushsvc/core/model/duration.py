"""Durations as people write them, in Prometheus' form: `1h30m`."""

from __future__ import annotations

import re
from typing import Final

from pushsvc.core.model.series import shorten
from pushsvc.errors import Malformed

LONGEST: Final = 100 * 365 * 86_400.0
"""Seconds of the longest accepted duration, a hundred years: sums with it stay exact."""

_SECONDS: Final = {
    "y": 365 * 86_400.0,
    "w": 7 * 86_400.0,
    "d": 86_400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_UNITS = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,15}}){unit})?" for unit in _SECONDS))
_NUMBER = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")


def parse_duration(text: str, name: str = "duration") -> float:
    """Read `500ms`, `15m`, `1h30m` or `2d`, or a plain number of seconds; returns seconds.

    Units go from large to small (y, w, d, h, m, s, ms), each at most once and in whole numbers; a
    year has 365 days.

    Raises Malformed, whose code is `name`, for anything else and for more than 100 years.
    """
    text = text.strip()
    if text and _NUMBER.fullmatch(text):
        seconds = float(text)
    elif text and (found := _UNITS.fullmatch(text)):
        # In milliseconds, so that 1s500ms is exactly 1.5.
        parts = found.groupdict(default="0")
        seconds = sum(int(parts[unit]) * round(_SECONDS[unit] * 1000) for unit in parts) / 1000
    else:
        raise Malformed(
            name, f"{name} must be a duration such as 90s, 15m or 1h30m, not {shorten(text)}"
        )
    if seconds > LONGEST:
        raise Malformed(name, f"{name} must be at most 100y, not {shorten(text)}")
    return seconds


def format_duration(seconds: float) -> str:
    """Write a duration to the millisecond in days and smaller units: `1h30m`, `0s`.

    `parse_duration` reads it as the same duration. Raises ValueError for a negative one.
    """
    if seconds < 0:
        raise ValueError(f"a duration can't be negative: {seconds}")
    left = round(seconds * 1000)
    written = ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_SECONDS[unit] * 1000))
        if count:
            written += f"{count}{unit}"
    return written or "0s"
