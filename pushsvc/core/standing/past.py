"""Works out steps that are over, by the same code as those to come.

The rows that they read are copied at one moment of the log. The rest can be done in another thread:
a copy of each series is given its rows in the order of the log, and the expression is worked out at
each step in between. So each step sees what it would have seen at its time, even where samples came
late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import isfinite, isnan
from typing import NamedTuple

from pushsvc.core.expression.errors import EvaluationError, TooMuch
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live import Live
from pushsvc.core.expression.tree import Node
from pushsvc.core.model.series import Value
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.history import History, is_ending

_UNSAID = -(1 << 62)


class Step(NamedTuple):
    """A step that is over."""

    time: int
    """Unix ms."""
    seen: int
    """The seq of the newest batch that it sees; its results are rows of the batch after that."""


class Result(NamedTuple):
    """The past of one result: rows in their order; a value of None is an ending."""

    seqs: list[int]
    times: list[int]
    values: list[float | None]

    def add(self, seq: int, time: int, value: float | None) -> None:
        self.seqs.append(seq)
        self.times.append(time)
        self.values.append(value)


class Past(NamedTuple):
    """The results of some steps."""

    results: dict[Labels, Result]
    failure: str | None
    """Why the last of them has no results, if that has a reason."""
    failed: bool
    """Whether it couldn't be worked out."""


def why_nothing(values: Iterable[float | None]) -> str | None:
    """Why nothing can be shown of a step's results, although there are some; None if there are
    none, or some can be."""
    given = {value for value in values if value is not None}
    if not given or any(map(isfinite, given)):
        return None
    if all(map(isnan, given)):
        what = "not a number (NaN), as 0 / 0 is"
    elif any(map(isnan, given)):
        what = "infinite or not a number (NaN)"
    else:
        what = "infinite, as 1 / 0 is"
    return f"its results are {what}: that can't be shown"


class _Copy:
    """A copy of a stored series, and the rows that it has yet to be given."""

    def __init__(self, series: Series, time: int) -> None:
        self._marks, self._times, self._values, self._starts = series.history.copy_from(time)
        self._original = series
        self._place = 0

    def begin(self) -> Series:
        """Make the copy, without any rows."""
        original = self._original
        self.series = Series(
            original.ref,
            original.identity,
            original.kind,
            original.unit,
            original.help,
            seq=original.described_seq,
            claims=original.claims,
            stateful=False,
            history_limit=1 << 62,
        )
        return self.series

    def give(self, seen: int) -> None:
        """Give the copy the rows of batches up to `seen`."""
        marks, times, values, starts = self._marks, self._times, self._values, self._starts
        place, stop = self._place, 2 * seen + 1
        history: History = self.series.history
        while place < len(marks) and (mark := marks[place]) <= stop:
            value: Value = values[place]
            start = None if starts is None or starts[place] == _UNSAID else [starts[place]]
            history.extend(
                mark >> 1,
                (times[place],),
                (None if is_ending(value) else value,),
                bool(mark & 1),
                start,
            )
            place += 1
        self._place = place

    def __len__(self) -> int:
        return len(self._marks)


class Job:
    """Steps that are to be worked out."""

    def __init__(
        self,
        node: Node,
        steps: Sequence[Step],
        span: int,
        limits: Limits,
    ) -> None:
        """Two steps at the least, which read up to `span` ms before each. The first one isn't
        worked out; it says after which batch the results of the others are known."""
        self._node = node
        self._span = span
        self.known = steps[0].seen + 1
        """The seq after which all results are known when the job is done."""
        self.steps = steps[1:]
        self._limits = limits
        self._copies: list[_Copy] = []

    def copy(self, series: Iterable[Series]) -> None:
        """Copy what the steps read of these series. Rows of batches after the last step's make no
        difference."""
        begin = self.steps[0].time - self._span
        self._copies += [_Copy(one, begin) for one in series]

    def leave_out(self, time: int) -> bool:
        """Leave out the steps before `time` (Unix ms); tells whether any is left."""
        kept = [step for step in self.steps if step.time >= time]
        if kept and len(kept) < len(self.steps):
            self.known = self.steps[len(self.steps) - len(kept) - 1].seen + 1
            self.steps = kept
        return bool(kept)

    @property
    def rows(self) -> int:
        """How many rows were copied."""
        return sum(map(len, self._copies))

    def work(self, give_way: Callable[[], None] = lambda: None) -> Past | None:
        """Work it out; None where that would handle more than `limits.expression_samples`, all
        steps together. It is for a thread, and calls `give_way` again and again."""
        limits = self._limits
        left = limits.expression_samples
        live = Live(self._node, give_way=give_way)
        for copy in self._copies:
            live.admit(copy.begin())
            give_way()
        results: dict[Labels, Result] = {}
        alive: set[Labels] = set()
        failure: str | None = None
        failed = False
        for time, seen in self.steps:
            for copy in self._copies:
                copy.give(seen)
                give_way()
            found: dict[Labels, float] = {}
            try:
                labels, values = live.at(time, left)
                if len(labels) > limits.expression_results:
                    raise TooMuch("expression_results", limits.expression_results, "results")
                found = {
                    one: value
                    for one, value in zip(labels, values, strict=True)
                    if value is not None and isfinite(value)
                }
                failure, failed = why_nothing(values), False
            except EvaluationError as error:
                if isinstance(error, TooMuch) and error.limit == "expression_samples":
                    return None
                failure, failed = str(error), True
            left = live.budget.left
            for one in alive - found.keys():
                results[one].add(seen + 1, time, None)
            for one, value in found.items():
                result = results.get(one)
                if result is None:
                    result = results[one] = Result([], [], [])
                result.add(seen + 1, time, value)
            alive = set(found)
        return Past(results, failure, failed)
