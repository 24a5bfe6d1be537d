"""Parts that read stored series: their newest samples, and ranges of samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pushsvc.core.expression import windows
from pushsvc.core.expression.live import tracks
from pushsvc.core.expression.live.column import Column, Value, nameless
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.live.selected import Selected
from pushsvc.core.expression.live.tracks import Track
from pushsvc.core.expression.tree import Call, When, Window, type_of

_AT_ONCE: Final = 250
"""Series that are looked at between two pieces of a preparation."""

_WINDOW: Final = 3
"""How many samples a window counts as that is moved, besides its value and the rows that came."""


class Tracked(Part):
    """A part that has a track for each series of a selector."""

    def __init__(self, plan: Plan, selected: Selected) -> None:
        super().__init__(plan)
        self.selected = selected
        self._version = -1
        self._tracks: dict[int, Track] = {}
        self._list: list[Track] = []

    @property
    def tracks(self) -> list[Track]:
        """One for each series, in the order of the series."""
        if self._version != self.selected.version:
            self._version = self.selected.version
            before = self._tracks
            self._tracks = {
                one.ref: before[one.ref]
                if one.ref in before and before[one.ref].series is one
                else Track(one, self.plan.budget)
                for one in self.selected.series
            }
            self._list = list(self._tracks.values())
        return self._list

    def prepare(self, step: int) -> Iterator[None]:
        series = self.selected.series
        for place in range(0, len(series), _AT_ONCE):
            some = [Track(one, self.plan.budget) for one in series[place : place + _AT_ONCE]]
            self._reach(some, step)
            self._tracks |= {track.series.ref: track for track in some}
            yield
        yield from super().prepare(step)

    def _reach(self, some: list[Track], step: int) -> None:
        """Have tracks be where a step leaves them."""


class Instant(Tracked):
    def __init__(self, plan: Plan, selected: Selected, when: When) -> None:
        super().__init__(plan, selected)
        self._offset = _offset(when)

    def _work(self, step: int) -> Column:
        _, values = tracks.newest(self.tracks, step - self._offset, self.plan.lookback)
        return Column(self.selected.labels, values)


class Timestamps(Tracked):
    def __init__(self, plan: Plan, selected: Selected, when: When) -> None:
        super().__init__(plan, selected)
        self._offset = _offset(when)
        self._relabel = nameless()

    def _work(self, step: int) -> Column:
        times, values = tracks.newest(self.tracks, step - self._offset, self.plan.lookback)
        return self._relabel.column(
            self.selected.labels,
            [
                None if value is None else time / 1000
                for time, value in zip(times, values, strict=True)
            ],
        )


class Windowed(Tracked):
    """A function over a range of stored samples."""

    def __init__(self, plan: Plan, node: Call) -> None:
        window = next(one for one in node.arguments if isinstance(one, Window))
        super().__init__(plan, plan.select(window.select.matchers))
        self._offset, self._length = _offset(window.select.when), window.range
        self._pass = tracks.PASSES[node.function]
        self._numbers = [plan.number(one) for one in node.arguments if type_of(one) == "scalar"]
        self._relabel = None if node.function in windows.KEEP_NAME else nameless()

    def _reach(self, some: list[Track], step: int) -> None:
        self._pass_over(some, step)

    def _pass_over(self, some: list[Track], step: int) -> list[Value]:
        end = step - self._offset
        numbers = [number(step) for number in self._numbers]
        self.plan.budget.spend(_WINDOW * len(some))
        return self._pass(some, end - self._length, end, step, numbers)

    def _work(self, step: int) -> Column:
        values = self._pass_over(self.tracks, step)
        labels = self.selected.labels
        if self._relabel is None:
            return Column(labels, values)
        return self._relabel.column(labels, values)


def _offset(when: When) -> int:
    assert when.at is None
    return when.offset
