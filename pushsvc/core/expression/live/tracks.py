"""Moving windows: which rows of a stored series a range covers, from one step to the next.

A step only looks at the rows that came into its range and those that left it. Its result is the one
that `windows` has of the whole range, to the last digit: a result never depends on when somebody
began to watch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import nan
from typing import Final, TypeAlias

from pushsvc.core.expression.live.budget import Budget
from pushsvc.core.expression.windows import FUNCTIONS, OF_MOMENT, Range
from pushsvc.core.storage.catalog import Series

Value: TypeAlias = "float | None"

_MOVED: Final = 4
"""Rows that come into a window, as many as count as one sample."""

_RANGE: Final = 3
"""How many samples a range counts as of which a function is worked out, besides its rows."""

_DEAR: Final = frozenset(
    [
        *("changes", "resets", "deriv", "predict_linear", "double_exponential_smoothing"),
        *("quantile_over_time", "mad_over_time", "stddev_over_time", "stdvar_over_time"),
    ]
)
"""Functions that take longer for a row: two of them count as one sample, of others eight."""


class Track:
    """The rows of one series in a range: ordinals from `low` up to `high`."""

    __slots__ = ("budget", "endings", "falls", "high", "history", "kept", "low", "series")

    def __init__(self, series: Series, budget: Budget) -> None:
        self.series = series
        self.budget = budget
        self.history = series.history
        self.low = self.high = -1
        """-1: it covers nothing yet."""
        self.endings = 0
        """How many of the rows in the range are endings."""
        self.falls: list[int] = []
        """Ordinals of rows lower than the row before: where a counter began anew. Some may have
        left the range already."""
        self.kept: tuple[int, int, Sequence[float], Value] = (-1, -1, (), None)
        """The last result: ordinals, the function's other arguments, and the value for these."""

    def move(self, start: int, end: int) -> tuple[int, Sequence[int], Sequence[float]] | None:
        """Move the window to the rows of times after `start` and up to `end`.

        Gives the ordinal of the first element, times and values of the history's columns. None if
        the rows aren't in the order of time, and have to be sorted at each step: see `curve`.
        """
        history = self.history
        rows = history.straight()
        if rows is None:
            self.low = -1
            return None
        base, times, values = rows
        first = history.first - base
        low, high = self.low - base, self.high - base
        count = len(times)
        if low < first:
            # It is the first step, or rows of the window were evicted.
            low = -1 if self.low < 0 or self.endings or high < first else first
        if (
            low < 0
            or (high > first and times[high - 1] > end)
            or (low > first and times[low - 1] > start)
        ):
            low = high = bisect_right(times, start, lo=first)
            self.budget.spend((bisect_right(times, end, lo=low) - low) // _MOVED)
            self.endings = 0
            self.falls.clear()
        while high < count and times[high] <= end:
            value = values[high]
            if value != value:
                self.endings += 1
            elif high > low and value < values[high - 1]:
                self.falls.append(base + high)
            high += 1
        while low < high and times[low] <= start:
            if self.endings and values[low] != values[low]:
                self.endings -= 1
            low += 1
        self.low, self.high = base + low, base + high
        return rows

    def curve(self, start: int, end: int) -> tuple[list[int], list[float]]:
        """Times and values after `start` and up to `end`, without endings."""
        history = self.history
        since = history.since(start + 1)
        self.budget.spend(history.total - since)
        times, values = history.curve(since, history.total, adds=self.series.kind == "delta")
        low, high = bisect_right(times, start), bisect_right(times, end)
        found = [
            (time, value)
            for time, value in zip(times[low:high], values[low:high], strict=True)
            if value == value
        ]
        return [time for time, _ in found], [value for _, value in found]  # type: ignore[misc]


Pass: TypeAlias = Callable[[Sequence[Track], int, int, int, Sequence[float]], "list[Value]"]
"""A function over a range for many series: it takes tracks, `start`, `end`, the step, and the
function's other arguments."""


def _extrapolated(name: str, *, counter: bool, per_second: bool) -> Pass:
    plain = FUNCTIONS[name]

    def extrapolated(
        tracks: Sequence[Track], start: int, end: int, now: int, numbers: Sequence[float]
    ) -> list[Value]:
        # The arithmetic is that of `windows`, operation by operation, so that the digits are the
        # same.
        found: list[Value] = []
        add = found.append
        seconds = (end - start) / 1000 if per_second else 1.0
        for track in tracks:
            rows = track.move(start, end)
            if rows is None or track.endings:
                add(_by_curve(plain, track, start, end, now, numbers))
                continue
            base, times, values = rows
            low, last = track.low - base, track.high - base - 1
            if last <= low or times[low] == times[last]:
                add(None)
                continue
            begin, newest, value = times[low], times[last], values[low]
            grown = values[last] - value
            if counter and track.falls:
                grown = _fallen(track, base, values, grown)
            to_start = (begin - start) / 1000
            to_end = (end - newest) / 1000
            sampled = (newest - begin) / 1000
            usual = sampled / (last - low)
            near = usual * 1.1
            if to_start >= near:
                to_start = usual / 2
            if counter and grown > 0 and value >= 0:
                zero = sampled * (value / grown)
                if zero < to_start:
                    to_start = zero
            if to_end >= near:
                to_end = usual / 2
            add(grown * ((sampled + to_start + to_end) / sampled) / seconds)
        return found

    return extrapolated


def _fallen(track: Track, base: int, values: Sequence[float], grown: float) -> float:
    """How much a counter has grown, with the value that it had each time before it began anew."""
    low = track.low
    track.falls = [ordinal for ordinal in track.falls if ordinal > low]
    for ordinal in track.falls:
        grown += values[ordinal - base - 1]
    return grown


def _by_curve(
    plain: Callable[[Range], Value],
    track: Track,
    start: int,
    end: int,
    now: int,
    numbers: Sequence[float],
) -> Value:
    times, values = track.curve(start, end)
    return plain(Range(times, values, start, end, now, numbers)) if times else None


def _of_rows(name: str) -> Pass:
    """A function of the rows. If it depends on nothing else, the result is kept as long as the rows
    are the same."""
    plain, stands = FUNCTIONS[name], name not in OF_MOMENT
    rows_for_one = 2 if name in _DEAR else 8

    def of_rows(
        tracks: Sequence[Track], start: int, end: int, now: int, numbers: Sequence[float]
    ) -> list[Value]:
        found: list[Value] = []
        for track in tracks:
            rows = track.move(start, end)
            if rows is None or track.endings:
                found.append(_by_curve(plain, track, start, end, now, numbers))
                continue
            low, high = track.low, track.high
            kept = track.kept
            if not stands or kept[0] != low or kept[1] != high or kept[2] != numbers:
                value = None
                if high > low:
                    base, times, values = rows
                    low, high = low - base, high - base
                    track.budget.spend(_RANGE + (high - low) // rows_for_one)
                    given = Range(times[low:high], values[low:high], start, end, now, numbers)
                    value = plain(given)
                kept = track.kept = (track.low, track.high, numbers, value)
            found.append(kept[3])
        return found

    return of_rows


PASSES: Final[dict[str, Pass]] = {name: _of_rows(name) for name in FUNCTIONS} | {
    "rate": _extrapolated("rate", counter=True, per_second=True),
    "increase": _extrapolated("increase", counter=True, per_second=False),
    "delta": _extrapolated("delta", counter=False, per_second=False),
}
"""By the name of the function."""


def newest(tracks: Sequence[Track], moment: int, lookback: int) -> tuple[list[int], list[Value]]:
    """Time and value of the newest sample of each series at a moment; None if there is none that is
    recent enough."""
    all_times: list[int] = []
    all_values: list[Value] = []
    oldest = moment - lookback
    for track in tracks:
        history = track.history
        rows = history.straight()
        if rows is not None and history.total > history.first and rows[1][-1] <= moment:
            time, value = rows[1][-1], rows[2][-1]  # as a rule
        else:
            time, value = _newest_until(track, moment, oldest)
        all_times.append(time)
        all_values.append(value if time > oldest and value == value else None)
    return all_times, all_values


def _newest_until(track: Track, moment: int, oldest: int) -> tuple[int, float]:
    history = track.history
    rows = history.straight()
    if rows is None:
        adds = track.series.kind == "delta"
        since = history.since(oldest + 1)
        track.budget.spend(history.total - since)
        times, values = history.curve(since, history.total, adds=adds)
        place = bisect_right(times, moment) - 1
        return (times[place], values[place]) if place >= 0 else (oldest, nan)  # type: ignore[return-value]
    base, times, values = rows
    track.budget.spend(1)
    first = history.first - base
    place = bisect_right(times, moment, lo=first) - 1
    return (times[place], values[place]) if place >= first else (oldest, nan)
