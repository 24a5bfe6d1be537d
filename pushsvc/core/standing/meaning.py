"""What the results of an expression are: their kind, and their unit where that is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from pushsvc.core.expression import aggregates, functions, operators
from pushsvc.core.expression.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Select,
    Subquery,
    Text,
    Window,
    all_within,
    type_of,
)
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.query.selector import Matcher
from pushsvc.core.standing.quantity import (
    NOTHING,
    NUMBER,
    RATIO,
    SECONDS,
    Constant,
    Unit,
    either,
    minus,
    over,
    per_second,
    plus,
    times,
)

Matchers = tuple[tuple[Matcher, ...], ...]

BUCKET: Final = "_bucket"
"""How the names of a classic histogram's buckets end."""


class Meaning(NamedTuple):
    """What numbers are."""

    kind: Literal["gauge", "counter"]
    unit: Unit


class Known:
    """What is known of the series that selectors select."""

    def __init__(
        self,
        selected: Callable[[Matchers], Meaning],
        observed: Callable[[Matchers], Unit],
    ) -> None:
        """`observed` is about what buckets count: the unit of what was measured."""
        self.selected = selected
        self.observed = observed


def meaning_of(node: Node, known: Known) -> Meaning:
    """What an expression's results are. Those that are series as they were, picked out or renamed,
    keep their kind; what is worked out is a gauge."""
    match node:
        case Number(value):
            return Meaning("gauge", Constant(value))
        case Select(matchers):
            return known.selected(matchers)
        case Window(inner) | Subquery(inner):
            return meaning_of(inner, known)
        case Negate(inner):
            return _gauge(meaning_of(inner, known).unit)
        case Aggregate(op, inner):
            if op in aggregates.PICKS:
                return meaning_of(inner, known)
            return _gauge(_by_table(_AGGREGATES, op, meaning_of(inner, known).unit))
        case Binary():
            return _binary(node, known)
        case Call(name, arguments):
            return _call(name, arguments, known)
        case Text():
            return _gauge(None)


def _gauge(unit: Unit) -> Meaning:
    return Meaning("gauge", unit)


def _by_table(table: dict[str, Callable[[Unit], Unit]], name: str, unit: Unit) -> Unit:
    return table[name](unit) if name in table else None


def _binary(node: Binary, known: Known) -> Meaning:
    left, right = meaning_of(node.left, known), meaning_of(node.right, known)
    op = node.op
    if op == "or":
        both = left.kind == right.kind or isinstance(right.unit, Constant)
        return Meaning(left.kind if both else "gauge", either(left.unit, right.unit))
    if op in operators.SETS:
        return left
    if op in _COMPARISONS:
        if node.to_bool:
            return _gauge(NUMBER)
        return left if type_of(node.left) == "vector" else right
    if isinstance(left.unit, Constant) and isinstance(right.unit, Constant):
        value = operators.scalars(op, left.unit.value, right.unit.value)
        return _gauge(Constant(value))
    return _gauge(_OPERATORS[op](left.unit, right.unit) if op in _OPERATORS else None)


def _call(name: str, arguments: tuple[Node, ...], known: Known) -> Meaning:
    if name == "time":
        return _gauge(SECONDS)
    if name in _NUMBERS:
        return _gauge(NUMBER)
    if name == "histogram_fraction":
        return _gauge(RATIO)
    if name in _QUANTILES:
        return _gauge(_observed(arguments, known))
    of = next((one for one in arguments if type_of(one) in ("vector", "matrix")), None)
    if of is None:
        of = arguments[0] if name == "vector" else None
    if of is None:
        return _gauge(None)
    inner = meaning_of(of, known)
    if name in _AS_THEY_WERE:
        return inner
    return _gauge(_by_table(_FUNCTIONS, name, inner.unit))


def _observed(arguments: tuple[Node, ...], known: Known) -> Unit:
    unit: Unit = NOTHING
    for argument in arguments:
        for one in selects_of(argument):
            unit = either(unit, known.observed(one.matchers))
    return unit


def selects_of(node: Node) -> Iterator[Select]:
    """The selectors within."""
    return (one for one in all_within(node) if isinstance(one, Select))


def sums_of(node: Node) -> dict[Matchers, Matchers]:
    """For the buckets that quantiles are asked of, the selector of the sums beside them: those are
    in the unit of what was measured, where buckets count."""
    found: dict[Matchers, Matchers] = {}
    for one in all_within(node):
        if isinstance(one, Call) and one.function in _QUANTILES:
            for buckets in selects_of(one):
                sums = tuple(map(_sums_beside, buckets.matchers))
                if all(sums):
                    found[buckets.matchers] = sums
    return found


def _sums_beside(matchers: tuple[Matcher, ...]) -> tuple[Matcher, ...]:
    sums = []
    named = False
    for one in matchers:
        if one.name != METRIC_LABEL:
            sums += [one] if one.name != "le" else []
        elif one.op == "=" and one.value.endswith(BUCKET):
            sums.append(Matcher(METRIC_LABEL, "=", one.value.removesuffix(BUCKET) + "_sum"))
            named = True
    return tuple(sums) if named else ()


def _same(unit: Unit) -> Unit:
    return unit


def _number(_: Unit) -> Unit:
    return NUMBER


def _seconds(_: Unit) -> Unit:
    return SECONDS


_QUANTILES: Final = frozenset(("histogram_quantile", "histogram_quantiles"))
_COMPARISONS: Final = frozenset(("==", "!=", ">", "<", ">=", "<="))
_OPERATORS: Final[dict[str, Callable[[Unit, Unit], Unit]]] = {
    "+": plus,
    "-": minus,
    "*": times,
    "/": over,
}
_AGGREGATES: Final[dict[str, Callable[[Unit], Unit]]] = {
    "sum": _same,
    "avg": _same,
    "min": _same,
    "max": _same,
    "quantile": _same,
    "stddev": _same,
    "count": _number,
    "count_values": _number,
    "group": _number,
}
_AS_THEY_WERE: Final = frozenset(
    (
        "first_over_time",
        "label_join",
        "label_replace",
        "last_over_time",
        "sort",
        "sort_by_label",
        "sort_by_label_desc",
        "sort_desc",
    )
)
"""Functions whose results are series as they were."""
_NUMBERS: Final = frozenset((*functions.DATES, "absent", "absent_over_time", "pi"))
"""Functions whose results have no unit, whatever they are asked of."""
_FUNCTIONS: Final[dict[str, Callable[[Unit], Unit]]] = {
    **dict.fromkeys(("abs", "ceil", "clamp", "clamp_max", "clamp_min", "floor", "round"), _same),
    **dict.fromkeys(("scalar", "vector"), _same),
    **dict.fromkeys(("rate", "irate", "deriv"), per_second),
    **dict.fromkeys(("increase", "delta", "idelta"), _same),
    **dict.fromkeys(("predict_linear", "double_exponential_smoothing"), _same),
    **dict.fromkeys(
        [f"{of}_over_time" for of in ("avg", "sum", "min", "max", "quantile", "stddev", "mad")],
        _same,
    ),
    **dict.fromkeys(("count_over_time", "present_over_time", "changes", "resets", "sgn"), _number),
    **dict.fromkeys(
        ("timestamp", *[f"ts_of_{of}_over_time" for of in ("first", "last", "max", "min")]),
        _seconds,
    ),
}
"""What becomes of the unit of the vector, or of the range, that a function is asked of."""
