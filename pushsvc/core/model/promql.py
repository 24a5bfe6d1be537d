"""What the data model shares with PromQL: names, and how matchers compare."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Op: TypeAlias = Literal["=", "!=", "=~", "!~"]

METRIC_LABEL: Final = "__name__"
"""The label that stands for the metric name."""


def bare(name: str) -> bool:
    """Whether a metric name may be written before the braces, unquoted."""
    return _METRIC.fullmatch(name) is not None and name.lower() not in _NOT_NAMES


_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

# The keywords, in any case, that PromQL doesn't accept as a metric name; it accepts `sum`, `by`,
# `offset` and most others.
_NOT_NAMES: Final = frozenset(
    ("atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on")
)
