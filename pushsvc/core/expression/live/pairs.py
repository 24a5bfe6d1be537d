"""Operators between two vectors: sets, arithmetic and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression import operators
from pushsvc.core.expression.labels import METADATA, Labels
from pushsvc.core.expression.live.column import Column, Merger, Value
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.live.plain import Plain
from pushsvc.core.expression.tree import Binary


class Sets(Part):
    """`and`, `or` and `unless`: which values there are is looked at in each step, which elements
    match only when labels change."""

    def __init__(self, plan: Plan, node: Binary) -> None:
        super().__init__(plan)
        self._op = node.op
        self._left, self._right = plan.part(node.left), plan.part(node.right)
        self._sign = operators.signature(node.matching)
        self._given: tuple[Sequence[Labels], Sequence[Labels]] | None = None
        self._labels: list[Labels] = []
        self._keys: tuple[list[int], list[int]] = ([], [])
        self._merger = Merger()

    def _see(self, left: Sequence[Labels], right: Sequence[Labels]) -> None:
        if self._given is not None and self._given[0] is left and self._given[1] is right:
            return
        self._given = left, right
        numbers: dict[Labels, int] = {}
        of_left, of_right = (
            [numbers.setdefault(self._sign(one), len(numbers)) for one in side]
            for side in (left, right)
        )
        self._keys = of_left, of_right
        self._labels = [*left, *right] if self._op == "or" else list(left)

    def _work(self, step: int) -> Column:
        (left, lefts), (right, rights) = self._left.at(step), self._right.at(step)
        self._see(left, right)
        of_left, of_right = self._keys
        if self._op == "or":
            known = _present(of_left, lefts)
            found = [
                *lefts,
                *(
                    None if key in known else value
                    for key, value in zip(of_right, rights, strict=True)
                ),
            ]
            return self._merger.merge(self._labels, found)
        wanted, others = self._op == "and", _present(of_right, rights)
        return Column(
            left,
            [
                value if (key in others) is wanted else None
                for key, value in zip(of_left, lefts, strict=True)
            ],
        )


def _present(keys: Sequence[int], values: Sequence[Value]) -> set[int]:
    return {key for key, value in zip(keys, values, strict=True) if value is not None}


class Matched(Part):
    """Two vectors by an arithmetic operator or a comparison.

    If the labels alone say which elements match, that is worked out once for these labels. If it
    depends on which values there are, it is left to the plain way, which also raises the errors.
    """

    def __init__(self, plan: Plan, node: Binary) -> None:
        super().__init__(plan)
        self._node = node
        self._left, self._right = plan.part(node.left), plan.part(node.right)
        self._sign = operators.signature(node.matching)
        self._given: tuple[Sequence[Labels], Sequence[Labels]] | None = None
        self._pairs: list[tuple[int, int]] | None = []
        self._labels: list[Labels] = []
        self._plain = Plain(plan, node)
        arithmetic = operators.ARITHMETIC.get(node.op)
        self._apply: Callable[[float, float], Value]
        if arithmetic is not None:
            self._apply = arithmetic
        else:
            self._apply = lambda a, b: operators.apply(node.op, a, b, node.to_bool)

    def _see(self, left: Sequence[Labels], right: Sequence[Labels]) -> None:
        if self._given is not None and self._given[0] is left and self._given[1] is right:
            return
        self._given = left, right
        swapped = self._node.matching.many == "right"
        many, one = (right, left) if swapped else (left, right)
        ones = {self._sign(labels): place for place, labels in enumerate(one)}
        self._pairs, self._labels = None, []
        if len(ones) < len(one):
            return
        pairs, taken, results = [], set(), []
        for place, labels in enumerate(many):
            other = ones.get(self._sign(labels))
            if other is None:
                continue
            result = operators.result_labels(self._node, labels, one[other])
            if self._node.to_bool:
                result = label_sets.drop(result, METADATA)
            results.append(result)
            taken.add(result)
            pairs.append((other, place) if swapped else (place, other))
        singly = self._node.matching.many is not None or len({*map(_of_one, pairs)}) == len(pairs)
        if len(taken) == len(results) and singly:
            self._pairs, self._labels = pairs, results

    def _work(self, step: int) -> Column:
        (left, lefts), (right, rights) = self._left.at(step), self._right.at(step)
        self._see(left, right)
        if self._pairs is None:
            return self._plain.at(step)
        apply = self._apply
        return Column(
            self._labels,
            [
                None if (a := lefts[i]) is None or (b := rights[j]) is None else apply(a, b)
                for i, j in self._pairs
            ],
        )


def _of_one(pair: tuple[int, int]) -> int:
    return pair[1]
