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
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice, pairwise, repeat
from math import ceil, floor, inf, isfinite, log10
from operator import itemgetter, le, sub
from typing import Literal, TypeAlias

from pushsvc.core.model.series import Kind, Value

Merge: TypeAlias = Literal["all", "last", "envelope"]
Point: TypeAlias = tuple[int, int, Value] | tuple[int, int, Value, Value, Value, int]
Given: TypeAlias = tuple[Sequence[int], Sequence[Value]]
"""Times and values of samples, in columns."""
NOTHING_GIVEN: Given = ((), ())


def points(
    ref: int,
    kind: Kind,
    merge: Merge,
    span_ms: int,
    times: Sequence[int],
    values: Sequence[Value],
    given: Given | None = NOTHING_GIVEN,
) -> Iterable[Point]:
    """The points that stand for these samples, in order of time except for states.

    Samples are merged as long as their times lie within `span_ms` of the first one's, so that a
    replay of an hour is as fine as the live view was, and not one point. Two producers of one
    series, one of them behind, are merged like one.

    `given` is for counters: samples between these, by time, that were given before, and the newest
    one before these; in order of time. None means that there are too many to look at: then nothing
    is merged, since a reset between samples of both groups would be lost.
    """
    if merge == "all" or (given is None and kind == "counter"):
        return zip(repeat(ref), times, values)
    if kind == "state":
        return _runs(ref, times, values)
    if not all(map(le, times, islice(times, 1, None))):
        order = sorted(range(len(times)), key=times.__getitem__)
        times, values = [times[at] for at in order], [values[at] for at in order]
    if min(map(sub, islice(times, 1, None), times), default=span_ms) >= span_ms:
        # the usual history: no samples are close enough to merge
        return zip(repeat(ref), times, values)
    cuts = _cuts(times, values, *given) if given is not None and kind == "counter" else frozenset()
    if not cuts:
        return _even_spans(ref, kind, merge, span_ms, times, values)
    return _spans(ref, kind, merge, span_ms, times, values, cuts)


_STEPS = 1_000
"""Steps that the middle half of all values is divided into: more than a chart has pixels."""
_SIGNIFICANT = 5
"""Digits that a value keeps in any case: more than a legend shows."""


def rounded(points: Sequence[Point]) -> list[Point]:
    """Points of a gauge whose merged values are rounded to as many decimals as a chart can show,
    but keep as many significant digits as a legend shows. Noise in further digits is most of the
    size of long values, however they are compressed."""
    merged = sorted(point[2] for point in points if len(point) > 3 and isinstance(point[2], float))
    # The middle half, since a single spike says nothing about the range of the others.
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


def _cuts(
    times: Sequence[int],
    values: Sequence[Value],
    given_times: Sequence[int],
    given_values: Sequence[Value],
) -> AbstractSet[int]:
    """Where a span of a counter has to begin. A sample at which the counter was reset stands alone,
    and the sample before it ends a span: if they were merged, the increase couldn't be computed any
    more."""
    cuts: set[int] = set()
    if not given_times or given_times[-1] <= times[0]:
        before = given_values[-1] if given_values else None
        for index, (a, b) in enumerate(pairwise(chain((before,), values))):
            if a is not None and b < a:  # type: ignore[operator]
                cuts.update((index, index + 1))
        return cuts
    # Each with its index; samples that were given before have none.
    mixed = [(time, -1, value) for time, value in zip(given_times, given_values, strict=True)]
    mixed += [(time, at, value) for at, (time, value) in enumerate(zip(times, values, strict=True))]
    mixed.sort(key=itemgetter(0, 1))
    for (_, earlier, a), (_, later, b) in pairwise(mixed):
        if b < a:  # type: ignore[operator]
            if earlier >= 0:
                cuts.add(earlier + 1)
            if later >= 0:
                cuts.update((later, later + 1))
    return cuts


def _spans(
    ref: int,
    kind: Kind,
    merge: Merge,
    span_ms: int,
    times: Sequence[int],
    values: Sequence[Value],
    cuts: AbstractSet[int],
) -> Iterator[Point]:
    start = 0
    for index in range(1, len(times) + 1):
        if index == len(times) or times[index] - times[start] >= span_ms or index in cuts:
            yield from _merged(ref, kind, merge, times[start:index], values[start:index])
            start = index


def _even_spans(
    ref: int, kind: Kind, merge: Merge, span_ms: int, times: Sequence[int], values: Sequence[Value]
) -> Iterator[Point]:
    """The same where no sample stands alone: the end of a span is looked up."""
    start = 0
    while start < len(times):
        end = bisect_left(times, times[start] + span_ms, lo=start + 1)
        yield from _merged(ref, kind, merge, times[start:end], values[start:end])
        start = end


def _merged(
    ref: int, kind: Kind, merge: Merge, times: Sequence[int], part: Sequence[Value]
) -> Iterable[Point]:
    """One point for the samples of one span, or all of them where their sum can't be written."""
    last = part[-1]
    if len(part) == 1:
        return ((ref, times[0], last),)
    if kind == "delta":
        last = sum(part)  # type: ignore[arg-type]
        if not isfinite(last):
            # JSON has no infinity, and the single values say more anyway.
            return zip(repeat(ref), times, part)
    low, high = None, None
    if merge == "envelope" and kind != "counter":
        low, high = min(part), max(part)  # type: ignore[type-var]
    return ((ref, times[-1], last, low, high, len(part)),)
