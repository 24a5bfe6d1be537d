"""Parts: each works one node of an expression out at a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from pushsvc.core.expression.live.budget import Budget
from pushsvc.core.expression.live.column import EMPTY, Column
from pushsvc.core.expression.live.selected import Matchers, Selected
from pushsvc.core.expression.tree import Node

_LABELS: Final = 5
"""How many samples a set of labels counts as that is new to a part."""


class Plan(Protocol):
    """The expression that a part belongs to, as far as parts need to know it."""

    lookback: int
    turn: int
    """The number of the step: within a step, what was worked out is used again."""
    budget: Budget

    def part(self, node: Node) -> Part:
        """The part that works a vector out; equal nodes share one."""

    def number(self, node: Node) -> Callable[[int], float]:
        """A function that works a scalar out at a step."""

    def select(self, matchers: Matchers) -> Selected:
        """The series of a selector; equal selectors share them."""

    def within(self, node: Node) -> Steps:
        """Works an expression out over the same series, at steps of its own."""


class Steps(Protocol):
    """An expression within another one."""

    def at(self, step: int) -> Column:
        """The results of a step."""

    def prepare(self, step: int) -> Iterator[None]:
        """Do piece by piece what would make the first step dear."""

    def forget(self) -> None:
        """Drop what is only kept so that later steps are quicker, where it may be much."""


class Part:
    """Works a node out, once within a step."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._turn = 0
        self._step: int | None = None
        self._column = EMPTY

    def at(self, step: int) -> Column:
        """The column of a step. Raises TooMuch if the budget isn't enough."""
        if self._turn != self.plan.turn or self._step != step:
            column, before = self._work(step), self._column.labels
            self._column = column
            labels = column.labels
            self.plan.budget.spend(len(labels) if labels is before else _LABELS * len(labels))
            self._turn, self._step = self.plan.turn, step
        return self._column

    def prepare(self, step: int) -> Iterator[None]:
        """Do piece by piece what would make the first step dear, as for a step at `step`. Between
        two pieces rows may come and go. Raises TooMuch."""
        self.at(step)
        yield

    def forget(self) -> None:
        """Drop what is only kept so that later steps are quicker, where it may be much."""

    def _work(self, step: int) -> Column:
        raise NotImplementedError
