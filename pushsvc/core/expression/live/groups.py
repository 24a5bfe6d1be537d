"""Aggregations, and quantiles of classic histograms: one number for each group."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from pushsvc.core.expression import aggregates, buckets
from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live.column import Column, Value, nameless
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.tree import Aggregate, Call

Getter: TypeAlias = Callable[[Sequence[Value]], Sequence[Value]]

_DEAR: Final = frozenset(("stddev", "stdvar", "quantile"))
"""Operators for which each value of a group counts as another sample."""


class Groups:
    """Which places of a column are in the same group."""

    def __init__(self, group_of: Callable[[Labels], Labels]) -> None:
        self._group_of = group_of
        self._given: Sequence[Labels] | None = None
        self.labels: list[Labels] = []
        self.places: list[list[int]] = []
        self._getters: list[Getter] = []

    def see(self, labels: Sequence[Labels]) -> None:
        """Sort the places of a column into groups, if its labels have changed."""
        if labels is self._given:
            return
        self._given = labels
        groups: dict[Labels, list[int]] = {}
        for place, one in enumerate(labels):
            groups.setdefault(self._group_of(one), []).append(place)
        self.labels = list(groups)
        self.places = list(groups.values())
        self._getters = [_getter(places) for places in self.places]

    def present(self, values: Sequence[Value]) -> Iterator[Sequence[float]]:
        """The values of each group, without those that are missing."""
        if None in values:
            for take in self._getters:
                yield [value for value in take(values) if value is not None]
        else:
            for take in self._getters:
                yield take(values)  # type: ignore[misc]


def _getter(places: Sequence[int]) -> Getter:
    if len(places) == 1:
        (place,) = places
        return lambda values: (values[place],)
    return operator.itemgetter(*places)


class Aggregated(Part):
    """An aggregation that gives one number for each group."""

    def __init__(self, plan: Plan, node: Aggregate) -> None:
        super().__init__(plan)
        self._inner = plan.part(node.inner)
        self._groups = Groups(aggregates.grouping(node))
        self._number = None if node.parameter is None else plan.number(node.parameter)
        self._function = aggregates.NUMBERS[node.op]
        self._dear = node.op in _DEAR

    def _work(self, step: int) -> Column:
        labels, values = self._inner.at(step)
        groups = self._groups
        groups.see(labels)
        if self._dear:
            self.plan.budget.spend(len(values))
        function = self._function
        if self._number is not None:
            parameter = self._number(step)
            found = [
                function(present, parameter) if present else None
                for present in groups.present(values)
            ]
        else:
            found = [function(present) if present else None for present in groups.present(values)]
        return Column(groups.labels, found)


class Picked(Part):
    """An aggregation that takes some of the elements themselves, such as `topk`."""

    def __init__(self, plan: Plan, node: Aggregate) -> None:
        super().__init__(plan)
        assert node.parameter is not None
        self._node = node
        self._inner = plan.part(node.inner)
        self._groups = Groups(aggregates.grouping(node))
        self._number = plan.number(node.parameter)

    def _work(self, step: int) -> Column:
        labels, values = self._inner.at(step)
        self._groups.see(labels)
        parameter = self._number(step)
        aggregates.check_parameter(self._node.op, parameter)
        found: list[Value] = [None] * len(values)
        for places in self._groups.places:
            group = [(place, value) for place in places if (value := values[place]) is not None]
            for place, value in aggregates.pick(
                self._node.op, parameter, group, lambda place: labels[place]
            ):
                found[place] = value
        return Column(labels, found)


class Quantile(Part):
    """`histogram_quantile` of classic histograms."""

    def __init__(self, plan: Plan, node: Call) -> None:
        super().__init__(plan)
        self._share, self._inner = plan.number(node.arguments[0]), plan.part(node.arguments[1])
        self._given: Sequence[Labels] | None = None
        self._groups: list[tuple[list[float], Getter, bool]] = []
        self._labels: list[Labels] = []
        self._relabel = nameless()

    def _see(self, labels: Sequence[Labels]) -> None:
        self._given = labels
        found: dict[Labels, list[tuple[float, int]]] = {}
        for place, one in enumerate(labels):
            try:
                bound = float(label_sets.get(one, "le"))
            except ValueError:
                continue
            found.setdefault(label_sets.drop(one, ("le",)), []).append((bound, place))
        self._labels = list(found)
        self._groups = []
        for pairs in found.values():
            pairs.sort()
            bounds = [bound for bound, _ in pairs]
            take = _getter([place for _, place in pairs])
            self._groups.append((bounds, take, buckets.in_order(bounds)))

    def _work(self, step: int) -> Column:
        labels, values = self._inner.at(step)
        if labels is not self._given:
            self._see(labels)
        share = self._share(step)
        found: list[Value] = []
        whole = None not in values
        for bounds, take, in_order in self._groups:
            counts = take(values)
            if in_order and (whole or None not in counts):
                found.append(buckets.quantile_in_order(share, bounds, counts))  # type: ignore[arg-type]
                continue
            given = [
                buckets.Bucket(bound, count)
                for bound, count in zip(bounds, counts, strict=True)
                if count is not None
            ]
            found.append(buckets.quantile(share, given)[0] if given else None)
        return self._relabel.column(self._labels, found)
