"""Columns: sets of labels, which seldom change, and numbers, which change at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.labels import METADATA, Labels

Value: TypeAlias = "float | None"


class Column(NamedTuple):
    """Results at one step. `labels` are the sets of labels, each once, and the very same object
    from step to step as long as they are the same; `values` has a number for each, or None where
    there is none at this step."""

    labels: Sequence[Labels]
    values: Sequence[Value]


EMPTY: Final = Column((), ())


class Merger:
    """Gives each set of labels once: where several columns have the same, one of them at the most
    may have a value at a step."""

    def __init__(self) -> None:
        self._given: Sequence[Labels] | None = None
        self._labels: Sequence[Labels] = ()
        self._places: list[int] | None = None

    def merge(self, labels: Sequence[Labels], values: Sequence[Value]) -> Column:
        """The column of these."""
        if labels is not self._given:
            self._given = labels
            order: dict[Labels, int] = {}
            places = [order.setdefault(one, len(order)) for one in labels]
            alone = len(order) == len(labels)
            self._labels, self._places = (labels, None) if alone else (list(order), places)
        if self._places is None:
            return Column(self._labels, values)
        merged: list[Value] = [None] * len(self._labels)
        for place, value in zip(self._places, values, strict=True):
            if value is not None:
                if merged[place] is not None:
                    raise EvaluationError("vector cannot contain metrics with the same labelset")
                merged[place] = value
        return Column(self._labels, merged)


class Relabel:
    """Makes a set of labels of each given one. This is only done again when those change."""

    def __init__(self, change: Callable[[Sequence[Labels]], list[Labels]]) -> None:
        self._change = change
        self._given: Sequence[Labels] | None = None
        self._labels: list[Labels] = []
        self._merger = Merger()

    def column(self, labels: Sequence[Labels], values: Sequence[Value]) -> Column:
        """The column with changed labels."""
        if labels is not self._given:
            self._given = labels
            self._labels = self._change(labels)
        return self._merger.merge(self._labels, values)


def nameless() -> Relabel:
    return Relabel(lambda labels: [label_sets.drop(one, METADATA) for one in labels])
