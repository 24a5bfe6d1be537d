"""Values as people read them: 1.5 GiB, 340 ms, 12 %."""

from __future__ import annotations

from math import floor, log10

from pushsvc.core.model.series import Value

_SI = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
_IEC = ("", "Ki", "Mi", "Gi", "Ti", "Pi")


def format_value(value: Value, unit: str = "") -> str:
    """A value with its unit (Prometheus base units: bytes, seconds, ratio, ...) to three digits."""
    if not isinstance(value, float):
        if isinstance(value, str):
            return value
        return "null" if value is None else str(value).lower()
    if unit == "ratio":
        return f"{_digits(value * 100)} %"
    if unit == "percent":
        return f"{_digits(value)} %"
    stem, per = unit, ""
    if unit.endswith("per_second"):
        stem, per = unit.removesuffix("per_second").removesuffix("_"), "/s"
    if stem == "bytes":
        power = 0 if abs(value) < 1024 else min(5, int(log10(abs(value)) / log10(1024)))
        return f"{_digits(value / 1024**power)} {_IEC[power]}B{per}"
    symbols = {"seconds": "s", "celsius": "°C", "hertz": "Hz", "volts": "V"}
    short = symbols.get(stem, stem) + per
    if stem == "celsius" or value == 0:
        return f"{_digits(value)} {short}".rstrip()
    if unit == "seconds" and abs(value) >= 60:
        return _clock(value)
    power = max(-9, min(15, 3 * floor(log10(abs(value)) / 3)))
    if unit == "seconds":
        power = min(power, 0)
    elif not stem and power < 0:
        power = 0
    return f"{_digits(value / 10.0**power)} {_SI[power]}{short}".rstrip()


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _clock(seconds: float) -> str:
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(round(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days} d {hours} h"
    return f"{sign}{hours} h {minutes} min" if hours else f"{sign}{minutes} min {rest} s"
