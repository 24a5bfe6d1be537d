"""Sets of labels as expressions handle them: pairs in the order of their names, the metric's name
among them as `__name__`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import label_in_selector, quote

Labels: TypeAlias = tuple[tuple[str, str], ...]

NONE: Final[Labels] = ()

METADATA: Final = frozenset((METRIC_LABEL, "__type__", "__unit__"))
"""Labels that say which metric a series is. A result that is no longer that metric has none of
them."""


def make(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """A set of labels, without those whose value is empty."""
    return tuple(sorted((name, value) for name, value in dict(pairs).items() if value))


def get(labels: Labels, wanted: str) -> str:
    """The value of a label, "" where there is none."""
    for name, value in labels:
        if name == wanted:
            return value
    return ""


def keep(labels: Labels, names: Collection[str]) -> Labels:
    """Only the labels of these names."""
    return tuple(pair for pair in labels if pair[0] in names)


def drop(labels: Labels, names: Collection[str]) -> Labels:
    """All but the labels of these names."""
    return tuple(pair for pair in labels if pair[0] not in names)


def replace(labels: Labels, name: str, value: str) -> Labels:
    """With another value for one label; "" takes it away."""
    return make([*drop(labels, (name,)), (name, value)])


def show(labels: Labels) -> str:
    """As PromQL writes it, for messages."""
    inner = ", ".join(
        f"{label_in_selector(name)}={quote(value)}"
        for name, value in labels
        if name != METRIC_LABEL
    )
    return get(labels, METRIC_LABEL) + "{" + inner + "}"
