"""Fewer points for the same picture: what a chart of so many pixels can show.

The span of time is cut into equal buckets and each keeps its first lowest and first highest
sample, so that no spike is lost; the first and the last sample stay. This is the min-max
aggregation of Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation",
VLDB 2014, without its per-bucket first and last.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pushsvc.core.model.series import Value

_LARGEST = 1.7976931348623157e308


def thin(
    times: Sequence[int], values: Sequence[Value], points: int, *, adds: bool = False
) -> list[tuple[int, Value]]:
    """At most `points` (4 or more) of these samples, in the order of time.

    States, which have no lowest and highest, keep the newest of their changes. With `adds`, for
    deltas, each bucket's are added up at the time of its last: what was counted is the same.
    """
    pairs = list(zip(times, values, strict=True))
    pairs.sort(key=lambda pair: pair[0])
    if len(pairs) <= points:
        return pairs
    if not isinstance(pairs[0][1], float):
        changes = [
            pair for index, pair in enumerate(pairs) if index == 0 or pair[1] != pairs[index - 1][1]
        ]
        return changes[-points:]
    if adds:
        return _added(pairs, points)
    buckets = max(1, (points - 2) // 2)
    begin, span = pairs[0][0], pairs[-1][0] - pairs[0][0] + 1
    kept: list[tuple[int, Value]] = [pairs[0]]
    low = high = 1
    current = -1
    for index in range(1, len(pairs) - 1):
        bucket = (pairs[index][0] - begin) * buckets // span
        if bucket != current:
            if current >= 0:
                kept.extend(pairs[at] for at in sorted({low, high}))
            current, low, high = bucket, index, index
        elif pairs[index][1] < pairs[low][1]:  # type: ignore[operator]
            low = index
        elif pairs[index][1] > pairs[high][1]:  # type: ignore[operator]
            high = index
    if current >= 0:
        kept.extend(pairs[at] for at in sorted({low, high}))
    kept.append(pairs[-1])
    return kept


def _added(pairs: Sequence[tuple[int, Value]], buckets: int) -> list[tuple[int, Value]]:
    begin, span = pairs[0][0], pairs[-1][0] - pairs[0][0] + 1
    kept: list[tuple[int, Value]] = []
    for _, part in groupby(pairs, lambda pair: (pair[0] - begin) * buckets // span):
        times, values = zip(*part, strict=True)
        # JSON has no infinity.
        kept.append((times[-1], max(-_LARGEST, min(_LARGEST, sum(values)))))
    return kept
