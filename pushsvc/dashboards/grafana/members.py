"""Typed access to members of foreign JSON: a member of another type counts as missing."""

from __future__ import annotations

import math
import re
from typing import Any, TypeAlias

Fields: TypeAlias = dict[str, Any]


def fields(value: object) -> Fields:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def within(value: object, *path: str) -> Fields:
    """The object at the end of a path of members."""
    for name in path:
        value = fields(value).get(name)
    return fields(value)


def items(value: object) -> list[Fields]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A text, without spaces around it; an empty one for anything else."""
    return value.strip() if isinstance(value, str) else ""


def number(value: object) -> float | None:
    """A finite number, or a text that is one; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float):
        try:
            found = float(value)
        except OverflowError:
            return None
        return found if math.isfinite(found) else None
    return None


def regex_of(given: str) -> str:
    """A regular expression that Grafana has as /…/ with flags, or without these."""
    match = re.fullmatch(r"/(.*)/([a-z]*)", given, re.DOTALL)
    if match is None:
        return given
    return f"(?i){match[1]}" if "i" in match[2] else match[1]
