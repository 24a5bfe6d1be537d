"""The results of expressions: vectors of elements."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from pushsvc.core.expression.labels import Labels


class Element(NamedTuple):
    """One series at one step. `nameless` says that it is no longer the metric that it is named
    after: the name is removed at the end, and until then functions that copy labels may read it."""

    labels: Labels
    value: float
    nameless: bool = False


Vector: TypeAlias = list[Element]
