"""What expressions give: vectors of elements."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from pushsvc.core.expression.labels import Labels


class Element(NamedTuple):
    """One series at one step. `nameless` says that it is no longer the metric it is named after, so
    that the name goes at the end: till then functions that copy labels may still read it."""

    labels: Labels
    value: float
    nameless: bool = False


Vector: TypeAlias = list[Element]
