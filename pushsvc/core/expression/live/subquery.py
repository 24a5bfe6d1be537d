"""Functions over subqueries: `max_over_time(rate(x[1m])[10m:10s])`.

The steps of a subquery are kept as long as no row that they read came or went. A row that comes can
only change steps from its time on; a row that goes, only steps that read as far back as it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pushsvc.core.expression.evaluate import SUBQUERY_STEP
from pushsvc.core.expression.labels import Labels
from pushsvc.core.expression.live.column import Column, Relabel, Value, nameless
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.live.selected import Selected
from pushsvc.core.expression.stored import earliest, latest
from pushsvc.core.expression.tree import Call, Node, Subquery, type_of
from pushsvc.core.expression.windows import FUNCTIONS, KEEP_NAME, OF_MOMENT, Range
from pushsvc.core.storage.catalog import Series

_FOREVER: Final = 1 << 62

_LOOKED: Final = 4
"""How many samples it counts as to look whether rows of a series came or went."""


class Subqueried(Part):
    """A function over the range of a subquery."""

    def __init__(self, plan: Plan, node: Call) -> None:
        super().__init__(plan)
        query = next(one for one in node.arguments if isinstance(one, Subquery))
        self._offset, self._range = query.when.offset, query.range
        self._every = query.step or SUBQUERY_STEP
        self._kept = _Kept(plan, query.inner)
        self._function = FUNCTIONS[node.function]
        self._of_moment = node.function in OF_MOMENT
        self._numbers = [plan.number(one) for one in node.arguments if type_of(one) == "scalar"]
        self._relabel: Relabel | None = None if node.function in KEEP_NAME else nameless()
        self._before: tuple[object, ...] = ()
        self._points: list[tuple[list[int], list[float]]] = []
        self._labels: list[Labels] = []
        self._values: list[Value] = []

    def _work(self, step: int) -> Column:
        end = step - self._offset
        moments, start = self._moments(step)
        version = self._kept.reach(moments, start)
        numbers = [number(step) for number in self._numbers]
        before = (version, moments, numbers)
        if before != self._before or self._of_moment:
            self.plan.budget.spend(self._kept.size)
            if before[:2] != self._before[:2]:
                self._gather(moments)
            function = self._function
            self._values = [
                function(Range(times, values, start, end, step, numbers))
                for times, values in self._points
            ]
            self._before = before
        if self._relabel is None:
            return Column(self._labels, self._values)
        return self._relabel.column(self._labels, self._values)

    def prepare(self, step: int) -> Iterator[None]:
        yield from self._kept.prepare(*self._moments(step))
        yield from super().prepare(step)

    def _moments(self, step: int) -> tuple[range, int]:
        """The steps of the subquery, and the time after which they are."""
        end = step - self._offset
        start = end - self._range
        return range((start // self._every + 1) * self._every, end + 1, self._every), start

    def forget(self) -> None:
        self._kept.forget()
        self._before, self._points, self._labels, self._values = (), [], [], []

    def _gather(self, moments: range) -> None:
        """The points of each result of the inner expression, in the order of time."""
        columns = self._kept.columns
        found: dict[Labels, tuple[list[int], list[float]]] = {}
        seen: Sequence[Labels] = ()
        places: list[tuple[list[int], list[float]]] = []
        for moment in moments:
            labels, values = columns[moment]
            if labels is not seen:
                seen = labels
                places = [found.setdefault(one, ([], [])) for one in labels]
            for (times, points), value in zip(places, values, strict=True):
                if value is not None:
                    times.append(moment)
                    points.append(value)
        labels = [one for one, (times, _) in found.items() if times]
        if labels != self._labels:
            self._labels = labels
        self._points = [points for points in found.values() if points[0]]


class _Kept:
    """The steps of an inner expression that are kept: columns by their times."""

    def __init__(self, plan: Plan, node: Node) -> None:
        self._plan = plan
        self._inner = plan.within(node)
        # How far before and after its time a step may read; after it by a negative offset.
        back, ahead = earliest(node, 0, 0, plan.lookback), latest(node)
        self._looked: list[tuple[Selected, int, int]] = [
            (plan.select(matchers), -time, max(0, ahead[matchers]))
            for matchers, time in back.items()
        ]
        self._seen: list[dict[int, _Seen]] = [{} for _ in self._looked]
        self.columns: dict[int, Column] = {}
        self.size = 0
        """How many values all columns have together."""
        self.version = 0
        """Changes whenever a step that was kept has changed."""

    def reach(self, moments: range, start: int) -> int:
        """Work out the columns of all `moments` that aren't kept, and drop those up to `start`;
        gives the version."""
        for _ in self._reach(moments, start):
            pass
        return self.version

    def prepare(self, moments: range, start: int) -> Iterator[None]:
        """The same piece by piece. What comes between two pieces is looked for with the next step:
        it is news since what was seen before the first."""
        if moments:
            yield from self._inner.prepare(moments[0])
        yield from self._reach(moments, start)

    def _reach(self, moments: range, start: int) -> Iterator[None]:
        for place, (selected, back, ahead) in enumerate(self._looked):
            self._seen[place] = self._look(selected, self._seen[place], back, ahead)
        columns, budget = self.columns, self._plan.budget
        for moment in [one for one in columns if one <= start or one not in moments]:
            self._drop(moment)
        budget.spend(len(moments))  # so that a step that reads nothing isn't free
        for moment in moments:
            if moment not in columns:
                column = columns[moment] = self._inner.at(moment)
                self.size += len(column.values)
                if self.size > budget.most:
                    budget.spend(
                        self.size
                    )  # which raises: the function would have to go through all of them
                yield

    def forget(self) -> None:
        """Drop all steps, and those of subqueries within."""
        self.columns.clear()
        self.size = 0
        self.version += 1
        self._inner.forget()

    def _drop(self, moment: int) -> None:
        self.size -= len(self.columns.pop(moment).values)

    def _look(
        self, selected: Selected, seen: dict[int, _Seen], back: int, ahead: int
    ) -> dict[int, _Seen]:
        """Drop the steps that rows which came or went may change."""
        self._plan.budget.spend(_LOOKED * len(selected.series))
        now: dict[int, _Seen] = {}
        changed, gone = _FOREVER, -_FOREVER
        for one in selected.series:
            known = seen.get(one.ref)
            if known is None or known.series is not one:
                known = _Seen(one)
            history = one.history
            if history.total != known.total:
                changed = min(changed, known.since())
            if history.first != known.first:
                gone = max(gone, known.until())
            now[one.ref] = known
        if any(ref not in now or now[ref] is not known for ref, known in seen.items()):
            gone = _FOREVER
        self._forget(lambda moment: moment >= changed - ahead or moment - back <= gone)
        return now

    def _forget(self, touched: Callable[[int], bool]) -> None:
        for moment in [one for one in self.columns if touched(one)]:
            self._drop(moment)
            self.version += 1


class _Seen:
    """Which rows a history had when it was last looked at."""

    __slots__ = ("first", "series", "total")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.total = self.first = 0

    def since(self) -> int:
        """The earliest time of the rows that came since the last call."""
        history = self.series.history
        rows = history.straight()
        if not self.total and rows is not None and history.total > history.first:
            self.total = history.total  # in the order of time: not all have to be looked at
            return rows[1][history.first - rows[0]]
        start = max(self.total, history.first)
        self.total = history.total
        times, _ = history.rows(start, history.total)
        return min(times, default=_FOREVER)

    def until(self) -> int:
        """A time that none of the rows is later than that went since the last call."""
        history = self.series.history
        self.first = history.first
        rows = history.straight()
        if rows is None or history.first == history.total:
            return _FOREVER
        base, times, _ = rows
        return times[history.first - base]
