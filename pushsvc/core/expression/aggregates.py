"""Aggregations: one number out of the elements of a group, or some of the elements themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from math import inf, isinf, isnan, nan, sqrt
from typing import Final, TypeVar

from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression import sums
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.tree import Aggregate
from pushsvc.core.expression.vector import Element, Vector
from pushsvc.core.expression.windows import quantile
from pushsvc.core.model.promql import METRIC_LABEL


def _variance(values: Sequence[float]) -> float:
    if any(isnan(value) or isinf(value) for value in values):
        return nan
    return sums.variance(values)


def _most(values: Sequence[float]) -> float:
    return max((value for value in values if not isnan(value)), default=nan)


def _least(values: Sequence[float]) -> float:
    return min((value for value in values if not isnan(value)), default=nan)


NUMBERS: Final[dict[str, Callable[..., float]]] = {
    "sum": sums.total,
    "avg": sums.mean,
    "count": lambda values: float(len(values)),
    "min": _least,
    "max": _most,
    "group": lambda _: 1.0,
    "stdvar": _variance,
    "stddev": lambda values: sqrt(_variance(values)),
    "quantile": lambda values, share: quantile(share, values),
}
"""The functions that make one number of a group, by the operator. They take its values, and the
parameter if there is one."""

PICKS: Final = frozenset(("topk", "bottomk", "limitk", "limit_ratio"))
"""The operators that take some of the elements themselves."""

_Key = TypeVar("_Key")


def grouping(node: Aggregate) -> Callable[[Labels], Labels]:
    """Gives, for the labels of an element, those of its group, which are the result's labels."""
    if node.without:
        left_out = node.labels | {METRIC_LABEL}
        return lambda labels: label_sets.drop(labels, left_out)
    return lambda labels: label_sets.keep(labels, node.labels)


def aggregate(node: Aggregate, vector: Vector, parameter: float | str | None) -> Vector:
    """The results of all groups. Raises EvaluationError for a parameter that makes no sense."""
    group_of = grouping(node)
    groups: dict[Labels, Vector] = {}
    for element in vector:
        groups.setdefault(group_of(element.labels), []).append(element)
    if node.op in PICKS:
        assert isinstance(parameter, float)
        check_parameter(node.op, parameter)
        return [
            element
            for elements in groups.values()
            for element, _ in pick(
                node.op,
                parameter,
                [(element, element.value) for element in elements],
                lambda element: element.labels,
            )
        ]
    if node.op == "count_values":
        assert isinstance(parameter, str)
        return _count_values(parameter, groups)
    of = NUMBERS[node.op]
    given = () if parameter is None else (parameter,)
    return [
        Element(
            labels,
            of([element.value for element in elements], *given),
            any(element.nameless for element in elements),
        )
        for labels, elements in groups.items()
    ]


def check_parameter(op: str, parameter: float) -> None:
    """Raise EvaluationError where nothing can be picked by this number."""
    if isnan(parameter):
        raise EvaluationError(
            "Ratio value is NaN" if op == "limit_ratio" else "Parameter value is NaN"
        )
    if op != "limit_ratio" and (isinf(parameter) or abs(parameter) >= 2**63):
        raise EvaluationError(f"Scalar value {parameter:g} overflows int64")


def pick(
    op: str,
    parameter: float,
    group: Sequence[tuple[_Key, float]],
    labels_of: Callable[[_Key], Labels],
) -> Sequence[tuple[_Key, float]]:
    """Those of a group that are taken: keys and values."""
    if op == "limit_ratio":
        return [pair for pair in group if _sampled(parameter, labels_of(pair[0]))]
    count = int(parameter)
    if count < 1:
        return ()
    if op == "limitk":
        return group[:count]
    if op == "topk":
        return sorted(group, key=lambda pair: _rank(-pair[1]))[:count]
    return sorted(group, key=lambda pair: _rank(pair[1]))[:count]


def _rank(value: float) -> tuple[bool, float]:
    return (True, 0.0) if isnan(value) else (False, value)


def _sampled(ratio: float, labels: Labels) -> bool:
    """Whether a series is in the sample that is such a share of all series, which is the same at
    each step. A share of -0.3 has those series that a share of 0.7 leaves out."""
    text = label_sets.show(labels).encode("utf-8", "replace")
    place = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2**64
    ratio = max(-1.0, min(1.0, ratio))
    return place < ratio if ratio >= 0 else place >= 1.0 + ratio


def _count_values(name: str, groups: dict[Labels, Vector]) -> Vector:
    counts: dict[Labels, int] = {}
    for labels, elements in groups.items():
        for element in elements:
            key = label_sets.replace(labels, name, written(element.value))
            counts[key] = counts.get(key, 0) + 1
    return [Element(labels, float(count)) for labels, count in counts.items()]


def written(value: float) -> str:
    """A number as the value of a label: without an exponent, and in the fewest digits that identify
    it."""
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value == inf else "-Inf"
    text = repr(value)
    if "e" in text:
        digits = text.split("e")[0].replace("-", "").replace(".", "")
        places = max(0, len(digits) - 1 - int(text.split("e")[1]))
        text = f"{value:.{places}f}"
    return text.removesuffix(".0")
