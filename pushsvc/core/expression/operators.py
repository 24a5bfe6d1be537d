"""Operators: the results of two numbers, and which elements of two vectors are matched."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from math import inf, isinf, isnan, nan
from typing import Final

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.labels import METADATA, Labels
from pushsvc.core.expression.tree import Binary, Matching
from pushsvc.core.expression.vector import Element, Vector
from pushsvc.core.model.promql import METRIC_LABEL


def _divide(a: float, b: float) -> float:
    if b == 0:
        if a == 0 or isnan(a):
            return nan
        return math.copysign(inf, a) * math.copysign(1.0, b)
    return a / b


def _modulo(a: float, b: float) -> float:
    if b == 0 or isinf(a) or isnan(a) or isnan(b):
        return nan
    return math.fmod(a, b)


def _power(a: float, b: float) -> float:
    try:
        return math.pow(a, b)
    except OverflowError:
        return -inf if a < 0 and math.fmod(b, 2) != 0 else inf
    except ValueError:
        if a == 0:  # to a negative power
            odd = math.fmod(b, 2) != 0 and b == math.floor(b)
            return math.copysign(inf, a) if odd else inf
        return nan


ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulo,
    "^": _power,
    "atan2": math.atan2,
}

COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}

SETS: Final = frozenset(("and", "or", "unless"))


def scalars(op: str, a: float, b: float) -> float:
    """The result of two scalars; comparisons give 1 or 0."""
    if op in ARITHMETIC:
        return ARITHMETIC[op](a, b)
    return float(COMPARISONS[op](a, b))


def apply(op: str, a: float, b: float, to_bool: bool) -> float | None:
    """The result of two values; None if a comparison filters and doesn't hold."""
    if op in ARITHMETIC:
        return ARITHMETIC[op](a, b)
    holds = COMPARISONS[op](a, b)
    if to_bool:
        return float(holds)
    return a if holds else None


def with_scalar(node: Binary, vector: Vector, scalar: float, *, scalar_left: bool) -> Vector:
    """The results of the elements of a vector with one number."""
    drops = node.op in ARITHMETIC or node.to_bool
    found = []
    for element in vector:
        value = element.value
        result = (
            apply(node.op, scalar, value, node.to_bool)
            if scalar_left
            else apply(node.op, value, scalar, node.to_bool)
        )
        if result is not None:
            if node.op in COMPARISONS and not node.to_bool:
                result = value  # a comparison filters the vector, whichever side it is on
            found.append(Element(element.labels, result, element.nameless or drops))
    return found


def signature(matching: Matching) -> Callable[[Labels], Labels]:
    """Gives, for the labels of an element, those that must be equal for two elements to match."""
    if matching.on:
        return lambda labels: label_sets.keep(labels, matching.labels)
    ignored = matching.labels | {METRIC_LABEL}
    return lambda labels: label_sets.drop(labels, ignored)


def sets(node: Binary, left: Vector, right: Vector) -> Vector:
    """`and`, `or` and `unless`."""
    sign = signature(node.matching)
    if node.op == "or":
        known = {sign(element.labels) for element in left}
        return left + [element for element in right if sign(element.labels) not in known]
    others = {sign(element.labels) for element in right}
    wanted = node.op == "and"
    return [element for element in left if (sign(element.labels) in others) is wanted]


def vectors(node: Binary, left: Vector, right: Vector) -> Vector:
    """The results of two vectors by an arithmetic operator or a comparison.

    Raises EvaluationError where one element could match several and nothing says which.
    """
    matching = node.matching
    fill_left, fill_right = matching.fill
    if not (left or right) or (not (left and right) and fill_left is None and fill_right is None):
        return []
    swapped = matching.many == "right"
    many, one = (right, left) if swapped else (left, right)
    # As in Prometheus, the left fill value is for the side of many, even if that is the right side.
    fill_many, fill_one = fill_left, fill_right
    sign = signature(matching)
    ones = _unique(one, sign, "left" if swapped else "right")
    matched: dict[Labels, set[Labels]] = {}
    found: Vector = []

    def pair(of_many: Element, of_one: Element, key: Labels) -> None:
        a, b = of_many.value, of_one.value
        result = apply(node.op, *((b, a) if swapped else (a, b)), node.to_bool)
        labels = result_labels(node, of_many.labels, of_one.labels)
        taken = matched.setdefault(key, set())
        if matching.many is None:
            if taken:
                raise EvaluationError(
                    "multiple matches for labels: many-to-one matching must be explicit "
                    "(group_left/group_right)"
                )
        elif labels in taken:
            raise EvaluationError(
                "multiple matches for labels: grouping labels must ensure unique matches"
            )
        taken.add(labels)
        if result is not None:
            found.append(Element(labels, result, node.to_bool))

    for element in many:
        key = sign(element.labels)
        other = ones.get(key)
        if other is None:
            if fill_one is None:
                continue
            other = Element(key, fill_one, False)
        pair(element, other, key)
    if fill_many is not None:
        for key, element in ones.items():
            if key not in matched:
                pair(Element(key, fill_many, False), element, key)
    return found


def _unique(vector: Vector, sign: Callable[[Labels], Labels], side: str) -> dict[Labels, Element]:
    found: dict[Labels, Element] = {}
    for element in vector:
        key = sign(element.labels)
        if key in found:
            raise EvaluationError(
                f"found duplicate series for the match group {label_sets.show(key)} on the {side} "
                f"hand-side of the operation: [{label_sets.show(element.labels)}, "
                f"{label_sets.show(found[key].labels)}];many-to-many matching not allowed: "
                "matching labels must be unique on one side"
            )
        found[key] = element
    return found


def result_labels(node: Binary, many: Labels, one: Labels) -> Labels:
    """The labels of the result of two elements."""
    matching = node.matching
    labels: Iterable[tuple[str, str]] = many
    if node.op in ARITHMETIC:
        labels = label_sets.drop(many, METADATA)
    result = tuple(labels)
    if matching.many is None:
        result = (
            label_sets.keep(result, matching.labels)
            if matching.on
            else label_sets.drop(result, matching.labels)
        )
    for name in matching.include:
        result = label_sets.replace(result, name, label_sets.get(one, name))
    return result
