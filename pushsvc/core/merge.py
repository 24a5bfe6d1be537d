"""What a view does with several samples of one series that fall within one tick.

Merging knows what a metric's kind means, and is never silent: a point that stands for more than
one sample is `(ref, time, last, min, max, count)`, any other is `(ref, time, value)`. Samples are
merged in the order in which they arrived, and only as long as their times don't go back.

======== ===================================== ============================================
kind     `last`                                `envelope`
======== ===================================== ============================================
gauge    the newest, min and max null          the newest with the min and max of all
counter  the newest, min and max null          the same: it is cumulative, nothing is lost, since
                                               a reset is never merged away
delta    the sum, min and max null             the sum, with the min and max of its parts
state    a run of equal values becomes one     the same: no change is lost
======== ===================================== ============================================
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain, islice, pairwise, repeat
from math import ceil, floor, inf, isfinite, log10
from operator import le, sub
from typing import Literal, TypeAlias

from pushsvc.core.series import Kind, Value

Merge: TypeAlias = Literal["all", "last", "envelope"]
Point: TypeAlias = tuple[int, int, Value] | tuple[int, int, Value, Value, Value, int]


def points(
    ref: int,
    kind: Kind,
    merge: Merge,
    span_ms: int,
    times: Sequence[int],
    values: Sequence[Value],
    before: Value = None,
) -> Iterable[Point]:
    """The points that stand for these samples, in order; `before` is the value before the first, if
    it is known.

    Samples are merged as long as their times lie within `span_ms` of the first one's, so that a
    replay of an hour comes as fine as the live view would have shown it, not as one point.
    """
    if merge == "all":
        return zip(repeat(ref), times, values)
    if kind == "state":
        return _runs(ref, times, values)
    if min(map(sub, islice(times, 1, None), times), default=span_ms) >= span_ms:
        return zip(repeat(ref), times, values)  # the usual history: nothing is so close
    resets = _resets(values, before) if kind == "counter" else frozenset()
    if not resets and all(map(le, times, islice(times, 1, None))):
        return _even_spans(ref, kind, merge, span_ms, times, values)
    return _spans(ref, kind, merge, span_ms, times, values, resets)


_STEPS = 1_000
"""Of the middle half of all values, that are told apart: more than a chart has pixels."""
_SIGNIFICANT = 5
"""Digits that a value keeps whatever the others are: more than a legend shows."""


def rounded(points: Sequence[Point]) -> list[Point]:
    """Points of a gauge whose merged values have as many decimals as a picture shows, and no fewer
    significant digits than a legend does. Noise in the digits behind is most of what long values
    take up, however they are compressed."""
    merged = sorted(point[2] for point in points if len(point) > 3 and isinstance(point[2], float))
    # Of the middle half: a single spike is no measure of what the others are.
    spread = merged[3 * len(merged) // 4] - merged[len(merged) // 4] if merged else 0.0
    if not 0 < spread < inf:
        return list(points)
    decimals = ceil(-log10(spread / _STEPS))

    def cut(value: Value) -> Value:
        if not isinstance(value, float) or value == 0:
            return value
        return round(value, max(0, decimals, _SIGNIFICANT - 1 - floor(log10(abs(value)))))

    return [
        point
        if len(point) == 3 or point[3] is None
        else (point[0], point[1], cut(point[2]), cut(point[3]), cut(point[4]), point[5])
        for point in points
    ]


def _runs(ref: int, times: Sequence[int], values: Sequence[Value]) -> Iterator[Point]:
    # The time of a run is that of the change: when the state began to hold.
    start = 0
    for index in range(1, len(times) + 1):
        # A sample that arrived late stands alone: its time is not within the run.
        if index == len(times) or times[index] < times[index - 1] or values[index] != values[start]:
            count = index - start
            if count == 1:
                yield ref, times[start], values[start]
            else:
                yield ref, times[start], values[start], None, None, count
            start = index


def _resets(values: Sequence[Value], before: Value) -> Set[int]:
    """Where a counter began anew. Such a sample stands alone, as does what came before it: merged
    with either, the increase could no longer be told."""
    return {
        index
        for index, (a, b) in enumerate(pairwise(chain((before,), values)))
        if a is not None and b < a  # type: ignore[operator]
    }


def _spans(
    ref: int,
    kind: Kind,
    merge: Merge,
    span_ms: int,
    times: Sequence[int],
    values: Sequence[Value],
    resets: Set[int],
) -> Iterator[Point]:
    start = 0
    for index in range(1, len(times) + 1):
        if (
            index == len(times)
            or times[index] < times[index - 1]
            or times[index] - times[start] >= span_ms
            or index in resets
            or index - 1 in resets
        ):
            yield from _merged(ref, kind, merge, times[start:index], values[start:index])
            start = index


def _even_spans(
    ref: int, kind: Kind, merge: Merge, span_ms: int, times: Sequence[int], values: Sequence[Value]
) -> Iterator[Point]:
    """The same where times never go back and nothing stands alone: a span's end is looked up."""
    start = 0
    while start < len(times):
        end = bisect_left(times, times[start] + span_ms, lo=start + 1)
        yield from _merged(ref, kind, merge, times[start:end], values[start:end])
        start = end


def _merged(
    ref: int, kind: Kind, merge: Merge, times: Sequence[int], part: Sequence[Value]
) -> Iterable[Point]:
    """One point for samples of one span, or all of them where their sum can't be said."""
    last = part[-1]
    if len(part) == 1:
        return ((ref, times[0], last),)
    if kind == "delta":
        last = sum(part)  # type: ignore[arg-type]
        if not isfinite(last):
            # JSON has no infinity, and the parts are worth more than one anyway.
            return zip(repeat(ref), times, part)
    low, high = None, None
    if merge == "envelope" and kind != "counter":
        low, high = min(part), max(part)  # type: ignore[type-var]
    return ((ref, times[-1], last, low, high, len(part)),)
