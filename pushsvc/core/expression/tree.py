"""Expressions as trees of nodes, which `reading` makes of a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pushsvc.core.query.selector import Matcher

Type: TypeAlias = Literal["scalar", "vector", "matrix", "string"]


@dataclass(frozen=True, slots=True)
class When:
    """The time that a selector is about: `offset` ms before the step, or before `at`, which is a
    time in Unix ms, or the start or end of the range that is asked for."""

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
    """An instant vector selector: it selects the series that all matchers of at least one inner
    tuple match."""

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
    """`without`: `labels` are those that are left out; else those that are grouped by."""

    op: str
    inner: Node
    parameter: Node | None
    labels: frozenset[str]
    without: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """How the elements of two vectors are matched. `many` is the side on which several elements may
    match one of the other side. `fill` has the values for elements that are missing on the left and
    on the right."""

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


def type_of(node: Node) -> Type:
    """The type of a node's result."""
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
    """The nodes that a node is made of, without those inside of ranges."""
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


def all_within(node: Node) -> Iterator[Node]:
    """A node, and all that it is made of, the insides of ranges as well."""
    yield node
    match node:
        case Window(inner) | Subquery(inner):
            yield from all_within(inner)
        case _:
            for child in children_of(node):
                yield from all_within(child)


_SCALARS: Final = frozenset(("time", "pi", "scalar", "start", "end", "range", "step"))
