"""An expression, and which part works each of its nodes out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from math import nan
from typing import Final

from pushsvc.core.expression import aggregates, functions, operators, windows
from pushsvc.core.expression import labels as label_sets
from pushsvc.core.expression.errors import EvaluationError
from pushsvc.core.expression.evaluate import LOOKBACK, Evaluator
from pushsvc.core.expression.live.budget import Budget, Yielding
from pushsvc.core.expression.live.column import Column, Merger
from pushsvc.core.expression.live.groups import Aggregated, Picked, Quantile
from pushsvc.core.expression.live.numbers import Absent, Each, Relabelled, WithScalar
from pushsvc.core.expression.live.pairs import Matched, Sets
from pushsvc.core.expression.live.part import Part, Steps
from pushsvc.core.expression.live.plain import NOTHING, Plain
from pushsvc.core.expression.live.selected import Matchers, Selected
from pushsvc.core.expression.live.subquery import Subqueried
from pushsvc.core.expression.live.tracked import Instant, Timestamps, Windowed
from pushsvc.core.expression.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Select,
    Subquery,
    When,
    Window,
    all_within,
    type_of,
)
from pushsvc.core.storage.catalog import Series

_TIME: Final = Call("time", ())


def why_not(node: Node) -> str | None:
    """Why an expression has no meaning on a stream, whose steps never end; None if it has one."""
    kind = type_of(node)
    if kind in ("string", "matrix"):
        what = "a text" if kind == "string" else "a range of samples"
        return f"it gives {what}, and a stream needs numbers: a vector or a scalar"
    for one in all_within(node):
        match one:
            case Call("start" | "end" | "range" | "step" as name):
                return f"{name}() is about a range that has two ends, and a stream has none"
            case Select(_, When(at=at)) | Subquery(when=When(at=at)) if at is not None:
                return "@ stands still, and a stream goes on: leave it out, or ask for the history"
    return None


class Live:
    """One expression over stored series that come and go.

    `admit` and `dismiss` tell which series there are, `at` gives the result at a step, as of the
    rows that their histories hold then. Steps are Unix ms, and ascend. `most` is how many samples a
    step may handle: see `Budget`. `give_way` is called again and again meanwhile.
    """

    def __init__(
        self,
        node: Node,
        *,
        lookback: int = LOOKBACK,
        most: int = 1 << 62,
        give_way: Callable[[], None] | None = None,
        within: Live | None = None,
    ) -> None:
        self._within = within
        self.node = node
        self.lookback = lookback
        self._most = most
        self.budget: Budget
        if within is not None:
            self.budget = within.budget
        else:
            self.budget = Budget(most) if give_way is None else Yielding(most, give_way)
        self.selected: dict[Matchers, Selected] = {} if within is None else within.selected
        self._parts: dict[Node, Part] = {}
        self._numbers: dict[Node, Callable[[int], float]] = {}
        self.turn = 0
        """The number of the step: within a step, what was worked out is used again."""
        if type_of(node) == "scalar":
            number = self.number(node)
            labels = (label_sets.NONE,)
            self._result: Callable[[int], Column] = lambda step: Column(labels, (number(step),))
        else:
            self._result = Distinct(self.part(node)).at

    def admit(self, series: Series) -> bool:
        """Take in a series if one of the expression's selectors matches it; tells whether it does.
        States are never taken in: they have no numbers."""
        if series.kind == "state":
            return False
        return max(one.admit(series) for one in self.selected.values()) if self.selected else False

    def dismiss(self, series: Series) -> None:
        """Remove a series. Doing it again does nothing."""
        for one in self.selected.values():
            one.dismiss(series)

    def at(self, step: int, most: int | None = None) -> Column:
        """The results at a step, which may handle `most` samples if that is less than usual.
        Raises EvaluationError where there are none."""
        self.turn += 1
        if self._within is None:
            self.budget.renew(self._most if most is None else min(most, self._most))
        return self._result(step)

    def prepare(self, step: int, most: int | None = None) -> Iterator[None]:
        """Do piece by piece, as for a step at `step`, what would make the first step dear: have
        labels sorted and windows moved. Between two pieces series and rows may come and go, but no
        step be taken. It ends where it would handle more than `most` samples; what was too much
        then is so for the first step."""
        self.turn += 1
        if self._within is None:
            self.budget.renew(self._most if most is None else min(most, self._most))
        try:
            for selected in self.selected.values():
                selected.order()
                yield
            for part in list(self._parts.values()):  # those within a part come before it
                yield from part.prepare(step)
        except EvaluationError:
            if self._within is not None:
                raise
            self.forget()

    def forget(self) -> None:
        """Drop what is only kept so that later steps are quicker, where it may be much."""
        for part in self._parts.values():
            part.forget()

    # -- parts -------------------------------------------------------------------------------------

    def part(self, node: Node) -> Part:
        """The part that works a vector out; equal nodes share one."""
        found = self._parts.get(node)
        if found is None:
            found = self._parts[node] = self._make(node)
        return found

    def within(self, node: Node) -> Steps:
        """Works an expression out over the same series, at steps of its own."""
        return Live(node, lookback=self.lookback, within=self)

    def _make(self, node: Node) -> Part:
        match node:
            case Select(matchers, when):
                return Instant(self, self.select(matchers), when)
            case Negate(inner):
                return Each(self, self.part(inner), operator.neg)
            case Aggregate(op) if op in aggregates.NUMBERS:
                return Aggregated(self, node)
            case Aggregate(op) if op in aggregates.PICKS:
                return Picked(self, node)
            case Binary(op, left, right) if "scalar" in (type_of(left), type_of(right)):
                return WithScalar(self, node)
            case Binary(op) if op in operators.SETS:
                return Sets(self, node)
            case Binary(_, _, _, matching) if matching.fill == (None, None):
                return Matched(self, node)
            case Call(name, arguments):
                return self._call(node, name, arguments)
        return Plain(self, node)

    def _call(self, node: Call, name: str, arguments: tuple[Node, ...]) -> Part:
        first = arguments[0] if arguments else None
        if name in windows.FUNCTIONS and any(isinstance(one, Window) for one in arguments):
            return Windowed(self, node)
        if name in windows.FUNCTIONS:
            return Subqueried(self, node)
        if name in functions.FUNCTIONS:
            numbers = [self.number(one) for one in arguments[1:]]
            return Each(self, self.part(arguments[0]), functions.FUNCTIONS[name], numbers)
        if name in functions.DATES and first is not None:
            return Each(self, self.part(first), functions.DATES[name])
        if name in ("label_replace", "label_join"):
            return Relabelled(self, node)
        if name in ("sort", "sort_desc", "sort_by_label", "sort_by_label_desc"):
            return self.part(arguments[0])  # results of a view have no order
        if name == "timestamp" and isinstance(first, Select):
            return Timestamps(self, self.select(first.matchers), first.when)
        if name == "timestamp":
            return Each(self, self.part(arguments[0]), lambda _, now: now, [self.number(_TIME)])
        if name in ("absent", "absent_over_time"):
            return Absent(self, node)
        if name == "histogram_quantile":
            return Quantile(self, node)
        return Plain(self, node)

    def select(self, matchers: Matchers) -> Selected:
        """The series of a selector; equal selectors share them."""
        return self.selected.setdefault(matchers, Selected(matchers))

    def number(self, node: Node) -> Callable[[int], float]:
        """A function that works a scalar out at a step."""
        found = self._numbers.get(node)
        if found is None:
            found = self._numbers[node] = self._make_number(node)
        return found

    def _make_number(self, node: Node) -> Callable[[int], float]:
        match node:
            case Number(value):
                return lambda _: value
            case Negate(inner):
                of = self.number(inner)
                return lambda step: -of(step)
            case Binary(op, left, right):
                a, b = self.number(left), self.number(right)
                return lambda step: operators.scalars(op, a(step), b(step))
            case Call("time"):
                return lambda step: step / 1000
            case Call("scalar", (inner,)):
                part = self.part(inner)

                def only(step: int) -> float:
                    present = [value for value in part.at(step).values if value is not None]
                    return present[0] if len(present) == 1 else nan

                return only
        standing = Evaluator(NOTHING, 0, 0).at(node, 0)  # a constant, such as pi()
        assert isinstance(standing, float)
        return lambda _: standing


class Distinct:
    """The whole expression. Raises EvaluationError if two results have the same labels at a
    step."""

    def __init__(self, inner: Part) -> None:
        self._inner = inner
        self._merger = Merger()

    def at(self, step: int) -> Column:
        return self._merger.merge(*self._inner.at(step))
