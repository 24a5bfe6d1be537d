"""Words of PromQL that the data model has, too: names, and how matchers compare."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

Op: TypeAlias = Literal["=", "!=", "=~", "!~"]

METRIC_LABEL: Final = "__name__"
"""The label that stands for the metric name."""


def bare(name: str) -> bool:
    """Whether a metric name may stand before the braces, unquoted."""
    return _METRIC.fullmatch(name) is not None and name.lower() not in _NOT_NAMES


_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

# Keywords of any case that PromQL does not take for a metric name; `sum`, `by`, `offset` and most
# others it does.
_NOT_NAMES: Final = frozenset(
    ("atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on")
)
