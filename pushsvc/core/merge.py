"""What a view does with several samples of one series that fall within one tick.

Merging knows what a metric's kind means, and is never silent: a point that stands for more than
one sample is `(ref, time, last, min, max, count)`, any other is `(ref, time, value)`. The newest
is that which arrived last.

======== ===================================== ============================================
kind     `last`                                `envelope`
======== ===================================== ============================================
gauge    the newest, min and max null          the newest with the min and max of all
counter  the newest, min and max null          the same: it is cumulative, nothing is lost
delta    the sum, min and max null             the sum, with the min and max of its parts
state    a run of equal values becomes one     the same: no change is lost
======== ===================================== ============================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from math import isfinite
from operator import sub
from typing import Literal, TypeAlias

from pushsvc.core.series import Kind, Value

Merge: TypeAlias = Literal["all", "last", "envelope"]
Point: TypeAlias = tuple[int, int, Value] | tuple[int, int, Value, Value, Value, int]


def points(
    ref: int, kind: Kind, merge: Merge, span_ms: int, times: Sequence[int], values: Sequence[Value]
) -> Iterable[Point]:
    """The points that stand for these samples, in order.

    Samples are merged as long as their times lie within `span_ms` of the first one's, so that a
    replay of an hour comes as fine as the live view would have shown it, not as one point.
    """
    if merge == "all":
        return zip(repeat(ref), times, values)
    if kind == "state":
        return _runs(ref, times, values)
    if min(map(sub, islice(times, 1, None), times), default=span_ms) >= span_ms:
        return zip(repeat(ref), times, values)  # the usual history: nothing is so close
    return _spans(ref, kind, merge, span_ms, times, values)


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


def _spans(
    ref: int, kind: Kind, merge: Merge, span_ms: int, times: Sequence[int], values: Sequence[Value]
) -> Iterator[Point]:
    start = 0
    for index in range(1, len(times) + 1):
        if index == len(times) or not 0 <= times[index] - times[start] < span_ms:
            part = values[start:index]
            time = times[index - 1]
            if len(part) == 1:
                yield ref, time, part[0]
            else:
                last = part[-1]
                if kind == "delta":
                    last = sum(part)  # type: ignore[arg-type]
                    if not isfinite(last):
                        # JSON has no infinity, and the parts are worth more than one anyway.
                        yield from zip(repeat(ref), times[start:index], part, strict=False)
                        start = index
                        continue
                low, high = None, None
                if merge == "envelope" and kind != "counter":
                    low, high = min(part), max(part)  # type: ignore[type-var]
                yield ref, time, last, low, high, len(part)
            start = index
