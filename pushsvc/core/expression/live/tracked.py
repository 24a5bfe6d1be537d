"""Parts that read stored series: their newest samples, and ranges of samples."""

from __future__ import annotations

from pushsvc.core.expression import windows
from pushsvc.core.expression.live import tracks
from pushsvc.core.expression.live.column import Column, nameless
from pushsvc.core.expression.live.part import Part, Plan
from pushsvc.core.expression.live.selected import Selected
from pushsvc.core.expression.live.tracks import Track
from pushsvc.core.expression.tree import Call, When, Window, type_of


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

    def _work(self, step: int) -> Column:
        end = step - self._offset
        numbers = [number(step) for number in self._numbers]
        values = self._pass(self.tracks, end - self._length, end, step, numbers)
        labels = self.selected.labels
        if self._relabel is None:
            return Column(labels, values)
        return self._relabel.column(labels, values)


def _offset(when: When) -> int:
    assert when.at is None
    return when.offset
