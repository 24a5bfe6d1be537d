"""The plain way, for nodes that have no quicker one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pushsvc.core.expression.evaluate import Evaluator, Rows
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live.column import Column
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.live.selected import Matchers
from pushsvc.core.expression.stored import cut, earliest
from pushsvc.core.expression.tree import (
    Aggregate,
    Binary,
    Call,
    Node,
    Number,
    Select,
    Subquery,
    When,
    Window,
    children_of,
    type_of,
)
from pushsvc.core.expression.vector import Element, Vector

_ELEMENT: Final = 5
"""How many samples an element counts as that is handled by itself."""


class GivenVector(Select):
    """A vector that is known already, in place of the node that gives it."""

    def __init__(self, vector: Vector) -> None:
        super().__init__((), When())
        self.vector: Vector
        object.__setattr__(self, "vector", vector)


class Given(Evaluator):
    """Works a node out whose vectors are known already."""

    def __init__(self) -> None:
        super().__init__(NOTHING, 0, 0)

    def _instant(self, node: Select, _step: int) -> Vector:
        assert isinstance(node, GivenVector)
        return node.vector

    def vector(self, node: Node, step: int = 0) -> Vector:
        """The vector that a node gives."""
        found = self.at(node, step)
        assert isinstance(found, list)
        return found  # type: ignore[return-value]


class Nothing:
    def select(self, _: Matchers) -> Iterable[Rows]:
        return ()


NOTHING: Final = Nothing()


class Plain(Part):
    """A node for which there is no quicker way."""

    def __init__(self, plan: Plan, node: Node) -> None:
        super().__init__(plan)
        self._node = node
        self._whole = _has_range(node)
        if self._whole:
            # Its ranges are read from the stored series.
            self._selected = {
                matchers: plan.select(matchers) for matchers in earliest(node, 0, 0, plan.lookback)
            }
        else:
            children = children_of(node)
            self._parts = {one: plan.part(one) for one in children if type_of(one) == "vector"}
            self._numbers = {one: plan.number(one) for one in children if type_of(one) == "scalar"}
        self._evaluator = Given()
        self._labels: list[Labels] = []

    def _work(self, step: int) -> Column:
        budget = self.plan.budget
        if self._whole:
            stored = cut(
                {
                    matchers: (time, self._selected[matchers].series)
                    for matchers, time in earliest(
                        self._node, step, step, self.plan.lookback
                    ).items()
                },
                budget.left,
            )
            evaluator = Evaluator(stored, step, step, lookback=self.plan.lookback, most=budget.left)
            vector = evaluator.at(self._node, step)
            budget.spend(evaluator.read)
        else:
            vector = self._evaluator.vector(self._with_given(step), step)
        assert isinstance(vector, list)
        labels = [element.labels for element in vector]
        if labels != self._labels:
            self._labels = labels
        return Column(self._labels, [element.value for element in vector])  # type: ignore[union-attr]

    def _with_given(self, step: int) -> Node:
        def given(child: Node) -> Node:
            number = self._numbers.get(child)
            if number is not None:
                return Number(number(step))
            part = self._parts.get(child)
            if part is None:
                return child
            column = part.at(step)
            self.plan.budget.spend(_ELEMENT * len(column.values))
            return GivenVector(
                [
                    Element(labels, value)
                    for labels, value in zip(*column, strict=True)
                    if value is not None
                ]
            )

        match self._node:
            case Call(name, arguments):
                return Call(name, tuple(map(given, arguments)))
            case Aggregate():
                parameter = self._node.parameter
                return replace(
                    self._node,
                    inner=given(self._node.inner),
                    parameter=None if parameter is None else given(parameter),
                )
            case Binary():
                return replace(
                    self._node, left=given(self._node.left), right=given(self._node.right)
                )
        return self._node


def _has_range(node: Node) -> bool:
    return any(isinstance(child, Window | Subquery) for child in children_of(node))
