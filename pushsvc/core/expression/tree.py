"""Expressions as they are written, read into nodes of our own.

Reading is `promql-parser`'s business, a parser in Rust with Prometheus' grammar and type checks.
What it gives is turned into these nodes at once, so that nothing else knows it, and every rule that
it doesn't check is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import promql_parser as rust

from pushsvc.core.model.promql import METRIC_LABEL, Op
from pushsvc.core.query.selector import Matcher
from pushsvc.errors import Malformed

Type: TypeAlias = Literal["scalar", "vector", "matrix", "string"]

MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 64


class ExpressionError(Malformed):
    """An expression that can't be read; its code is `expression`."""

    def __init__(self, text: str, reason: str) -> None:
        text = text.encode("utf-8", "replace").decode()
        super().__init__(
            "expression",
            f"expression: {reason}",
            expression=text if len(text) <= 4096 else text[:4096] + "…",
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class When:
    """Where in time a selector looks: `offset` in ms back from the step, or from `at`, which is a
    time in Unix ms or an end of the range that is asked for."""

    offset: int = 0
    at: int | Literal["start", "end"] | None = None


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Select:
    """An instant vector selector: each inner list of matchers has to hold whole, and one of them
    is enough."""

    matchers: tuple[tuple[Matcher, ...], ...]
    when: When


@dataclass(frozen=True, slots=True)
class Window:
    """A range vector selector: `range` in ms."""

    select: Select
    range: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression at each step of a range; `range` and `step` in ms."""

    inner: Node
    range: int
    step: int | None
    when: When


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negate:
    inner: Node


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`without` says whether `labels` are those to be left out, and not those to group by."""

    op: str
    inner: Node
    parameter: Node | None
    labels: frozenset[str]
    without: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """How the elements of two vectors find each other. `many` is the side that may have several
    for one of the other; `fill` has the values that stand for what is missing, left and right."""

    on: bool = False
    labels: frozenset[str] = frozenset()
    many: Literal["left", "right"] | None = None
    include: tuple[str, ...] = ()
    fill: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Node
    right: Node
    matching: Matching
    to_bool: bool


Node: TypeAlias = Number | Text | Select | Window | Subquery | Call | Negate | Aggregate | Binary


def read(text: str) -> Node:
    """Read an expression. Raises ExpressionError, which says what is wrong."""
    return _node_of(text, _parsed(text))


def pretty(text: str) -> str:
    """An expression, well laid out. Raises ExpressionError."""
    parsed = _parsed(text)
    _node_of(text, parsed)
    laid_out: str = parsed.prettify()
    return laid_out


def _parsed(text: str) -> Any:
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ExpressionError(text, f"longer than {MAX_BYTES} bytes")
    # The parser goes down by recursion: what is too deep for it may not get there.
    deepest = depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise ExpressionError(text, f"nested deeper than {MAX_DEPTH} levels")
    try:
        return rust.parse(text)
    except ValueError as error:
        raise ExpressionError(text, str(error)) from None


def _node_of(text: str, parsed: Any) -> Node:
    try:
        return _node(parsed)
    except ValueError as error:
        raise ExpressionError(text, str(error)) from None


def type_of(node: Node) -> Type:
    """What a node's result is."""
    match node:
        case Number():
            return "scalar"
        case Text():
            return "string"
        case Select() | Aggregate():
            return "vector"
        case Window() | Subquery():
            return "matrix"
        case Negate(inner):
            return type_of(inner)
        case Call(function):
            return "scalar" if function in _SCALARS else "vector"
        case Binary(_, left, right):
            both = {type_of(left), type_of(right)}
            return "scalar" if both == {"scalar"} else "vector"


def children_of(node: Node) -> tuple[Node, ...]:
    """What a node is made of; the insides of ranges are not counted."""
    match node:
        case Call(_, arguments):
            return arguments
        case Aggregate(_, inner, parameter):
            return (inner,) if parameter is None else (inner, parameter)
        case Binary(_, left, right):
            return left, right
        case Negate(inner):
            return (inner,)
    return ()


_SCALARS: Final = frozenset(("time", "pi", "scalar", "start", "end", "range", "step"))

_OPS: Final[tuple[tuple[Any, Op], ...]] = (
    (rust.MatchOp.Equal, "="),
    (rust.MatchOp.NotEqual, "!="),
    (rust.MatchOp.Re, "=~"),
    (rust.MatchOp.NotRe, "!~"),
)


def _node(given: Any, depth: int = 0) -> Node:
    if depth > MAX_DEPTH * 4:
        raise ValueError(f"nested deeper than {MAX_DEPTH * 4} levels")
    depth += 1
    match given:
        case rust.ParenExpr():
            return _node(given.expr, depth)
        case rust.NumberLiteral():
            return Number(given.val)
        case rust.StringLiteral():
            return Text(given.val)
        case rust.VectorSelector():
            return _select(given)
        case rust.MatrixSelector():
            return Window(_select(given.vector_selector), _ms(given.range))
        case rust.SubqueryExpr():
            step = None if given.step is None else _ms(given.step)
            return Subquery(_node(given.expr, depth), _ms(given.range), step, _when(given))
        case rust.UnaryExpr():
            return Negate(_node(given.expr, depth))
        case rust.Call():
            arguments = tuple(_node(argument, depth) for argument in given.args)
            return Call(given.func.name, arguments)
        case rust.AggregateExpr():
            return _aggregate(given, depth)
        case rust.BinaryExpr():
            return _binary(given, depth)
    raise ValueError(f"{type(given).__name__} can't be worked out")


def _select(given: Any) -> Select:
    named = [] if given.name is None else [Matcher(METRIC_LABEL, "=", given.name)]
    found = given.matchers
    ways = tuple(
        tuple(named + [_matcher(matcher) for matcher in matchers])
        for matchers in (found.or_matchers or [found.matchers])
    )
    return Select(ways, _when(given))


def _when(given: Any) -> When:
    offset = _ms(given.offset)
    try:
        at = given.at and (given.at.type, given.at.at)
    except BaseException as error:
        # The parser panics where it gives a time before 1970 to Python.
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("@ is for times from 1970 on") from None
    if at is None:
        return When(offset)
    kind, moment = at
    if kind == rust.AtModifierType.Start:
        return When(offset, "start")
    if kind == rust.AtModifierType.End:
        return When(offset, "end")
    return When(offset, round(moment.timestamp() * 1000))


def _aggregate(given: Any, depth: int) -> Aggregate:
    modifier = given.modifier
    return Aggregate(
        str(given.op),
        _node(given.expr, depth),
        None if given.param is None else _node(given.param, depth),
        frozenset() if modifier is None else frozenset(modifier.labels),
        modifier is not None and modifier.type == rust.AggModifierType.Without,
    )


def _binary(given: Any, depth: int) -> Binary:
    left, right = _node(given.lhs, depth), _node(given.rhs, depth)
    modifier = given.modifier
    if modifier is None:
        return Binary(str(given.op), left, right, Matching(), to_bool=False)
    how = modifier.matching
    many: Literal["left", "right"] | None = None
    if modifier.card == rust.VectorMatchCardinality.ManyToOne:
        many = "left"
    elif modifier.card == rust.VectorMatchCardinality.OneToMany:
        many = "right"
    fill = modifier.fill_values
    matching = Matching(
        how is not None and how.type == rust.LabelModifierType.Include,
        frozenset() if how is None else frozenset(how.labels),
        many,
        tuple(modifier.group_labels or ()),
        (None, None) if fill is None else (fill.lhs, fill.rhs),
    )
    return Binary(str(given.op), left, right, matching, bool(modifier.return_bool))


def _matcher(given: Any) -> Matcher:
    for op, sign in _OPS:
        if given.op == op:
            return Matcher(given.name, sign, given.value)
    raise ValueError(f"{given.op} is no operator of a matcher")


def _ms(given: Any) -> int:
    """A `timedelta` in ms; 0 for None."""
    return 0 if given is None else round(given.total_seconds() * 1000)
