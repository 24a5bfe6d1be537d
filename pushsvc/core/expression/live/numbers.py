"""Parts that handle each number by itself: functions of one value, operators with a scalar, changes
of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression import operators
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.evaluate import asked_labels
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live.column import Column, Relabel, Value, nameless
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.live.plain import Given, GivenVector
from pushsvc.core.expression.tree import Binary, Call, Subquery, Window, type_of
from pushsvc.core.expression.vector import Element

_CHANGED = 15
"""How many samples a set of labels counts as that is changed by a regex."""


class Each(Part):
    """A function of one value, applied to each."""

    def __init__(
        self,
        plan: Plan,
        inner: Part,
        function: Callable[..., Value],
        numbers: Sequence[Callable[[int], float]] = (),
    ) -> None:
        super().__init__(plan)
        self._inner = inner
        self._function = function
        self._numbers = numbers
        self._relabel = nameless()

    def _work(self, step: int) -> Column:
        labels, values = self._inner.at(step)
        function, numbers = self._function, [number(step) for number in self._numbers]
        return self._relabel.column(
            labels, [None if value is None else function(value, *numbers) for value in values]
        )


class WithScalar(Part):
    """An operator between a vector and one number."""

    def __init__(self, plan: Plan, node: Binary) -> None:
        super().__init__(plan)
        self._left = type_of(node.left) == "scalar"
        scalar, vector = (node.left, node.right) if self._left else (node.right, node.left)
        self._number, self._inner = plan.number(scalar), plan.part(vector)
        self._arithmetic = operators.ARITHMETIC.get(node.op)
        self._comparison = operators.COMPARISONS.get(node.op)
        self._to_bool = node.to_bool
        self._relabel = nameless() if self._arithmetic or node.to_bool else None

    def _work(self, step: int) -> Column:
        labels, values = self._inner.at(step)
        number = self._number(step)
        found: list[Value]
        if self._arithmetic is not None:
            of = self._arithmetic
            if self._left:
                found = [None if value is None else of(number, value) for value in values]
            else:
                found = [None if value is None else of(value, number) for value in values]
        else:
            assert self._comparison is not None
            holds = self._comparison
            told = [
                value is not None and (holds(number, value) if self._left else holds(value, number))
                for value in values
            ]
            if self._to_bool:
                found = [
                    None if value is None else float(true)
                    for value, true in zip(values, told, strict=True)
                ]
            else:
                found = [value if true else None for value, true in zip(values, told, strict=True)]
        return (
            Column(labels, found) if self._relabel is None else self._relabel.column(labels, found)
        )


class Relabelled(Part):
    """`label_replace` and `label_join`: they change labels only, so that each set of labels is
    changed once."""

    def __init__(self, plan: Plan, node: Call) -> None:
        super().__init__(plan)
        self._inner = plan.part(node.arguments[0])
        self._node = node
        self._evaluator = Given()
        self._known: dict[Labels, Labels] = {}
        self._relabel = Relabel(self._change)
        self._change_all([label_sets.NONE])  # raises now if the arguments are wrong

    def _change(self, labels: Sequence[Labels]) -> list[Labels]:
        new = [one for one in labels if one not in self._known]
        self.plan.budget.spend(_CHANGED * len(new))
        try:
            changed = self._change_all(new)
        except EvaluationError:  # two of the results would have the same labels
            changed = [self._change_all([one])[0] for one in new]
        self._known |= zip(new, changed, strict=True)
        self._known = {one: self._known[one] for one in labels}  # without labels that are gone
        return [self._known[one] for one in labels]

    def _change_all(self, labels: Sequence[Labels]) -> list[Labels]:
        given = GivenVector([Element(one, 0.0) for one in labels])
        node = replace(self._node, arguments=(given, *self._node.arguments[1:]))
        return [element.labels for element in self._evaluator.vector(node)]

    def _work(self, step: int) -> Column:
        return self._relabel.column(*self._inner.at(step))


class Absent(Part):
    def __init__(self, plan: Plan, node: Call) -> None:
        super().__init__(plan)
        (inner,) = node.arguments
        if isinstance(inner, Window | Subquery):
            self._inner = plan.part(Call("present_over_time", (inner,)))
        else:
            self._inner = plan.part(inner)
        self._labels = (asked_labels(inner),)

    def _work(self, step: int) -> Column:
        there = any(value is not None for value in self._inner.at(step).values)
        return Column(self._labels, (None if there else 1.0,))
