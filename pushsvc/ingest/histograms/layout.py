"""Which bounds of a histogram are kept, and how many observations are at most at each.

What is kept are classic buckets, counters by `le`, which only make sense where the same bounds come
each time. Those of a schema are bounds of every finer one too: a histogram that is kept at a lower
schema than it is sent has exact numbers at all its bounds. So a layout is a schema and the range of
buckets that ever had anything in them; while both stay, bounds stay. When the range grows, bounds
are added at its ends; when that makes too many, every second one falls away, and those that stay
are the same series as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TypeAlias

import msgspec

from pushsvc.ingest.histograms.native import COARSEST, CUSTOM, Buckets, Native, bound, coarser

FEWEST = 10
"""Buckets that are enough for any histogram: at the coarsest schema it has two with negative
numbers, two with positive ones, one for 0, and their ends."""
_TINY = 2.0**-128
"""The width of the bucket for 0 that Prometheus' clients have unless told otherwise; it stands for
0 itself."""

Range: TypeAlias = tuple[int, int] | None
"""The lowest and the highest number of populated buckets."""


class Layout(msgspec.Struct, frozen=True):
    """Bounds that are kept."""

    schema: int
    positive: Range = None
    negative: Range = None
    zero: float | None = None
    """The upper bound of the bucket for 0, once something was in it."""
    custom: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """How many buckets that are at the most, the infinite one too."""
        ranges = (self.positive, self.negative)
        sizes = [high - low + 2 for low, high in filter(None, ranges)]
        return sum(sizes) + (self.zero is not None) + len(self.custom) + 1

    def _places(self) -> Iterator[tuple[float, int, int]]:
        """Each bound but the infinite, on which side of 0 it is, and its number there."""
        if self.negative is not None:
            low, high = self.negative
            for number in range(high, low - 2, -1):
                value = bound(self.schema, number)
                if 0.0 < value < inf:
                    yield -value, -1, number
        if self.zero is not None:
            yield self.zero, 0, 0
        if self.positive is not None:
            low, high = self.positive
            for number in range(low - 1, high + 1):
                value = bound(self.schema, number)
                # What is within the width of 0 can't be told apart.
                if (self.zero or 0.0) < value < inf:
                    yield value, 1, number

    def cumulative(self, native: Native) -> list[tuple[float, float]]:
        """For each bound but the infinite, in order, how many observations are at most that. The
        layout must be that of the histogram (`cover`)."""
        if native.schema == CUSTOM:
            return _below_custom(self.custom, native)
        steps = native.schema - self.schema
        positive = coarser(native.positive, steps)
        negative = coarser(native.negative, steps)
        # In the order of their numbers: bucket n of the negative ones reaches from -bound(n) to
        # -bound(n - 1), and is complete there.
        parts = [(-1, -(number - 1), count) for number, count in reversed(negative)]
        parts.append((0, 0, native.zero))
        parts += [(1, number, count) for number, count in positive]
        found = []
        below, at = 0.0, 0
        for value, side, number in self._places():
            place = side, side * number
            while at < len(parts) and parts[at][:2] <= place:
                below += parts[at][2]
                at += 1
            found.append((value, below))
        return found


def cover(native: Native, most: int, before: Layout | None = None) -> Layout:
    """The layout of a histogram with `most` buckets at the most: that of before, unless it has
    something outside of it or is coarser itself."""
    if native.schema == CUSTOM:
        return Layout(CUSTOM, custom=_some(native.bounds, most - 1))
    if before is not None and before.schema == CUSTOM:
        before = None
    zero = None if before is None else before.zero
    if native.zero:
        width = 0.0 if native.width <= _TINY else native.width
        zero = width if zero is None else max(zero, width)
    schema = native.schema if before is None else min(native.schema, before.schema)
    positive, negative = _range(native.positive), _range(native.negative)
    if before is not None:
        finer = native.schema - schema, before.schema - schema
        positive = _join(positive, before.positive, *finer)
        negative = _join(negative, before.negative, *finer)
    layout = Layout(schema, positive, negative, zero)
    while layout.size > most and layout.schema > COARSEST:
        layout = Layout(layout.schema - 1, _wider(layout.positive), _wider(layout.negative), zero)
    return layout


def _join(one: Range, other: Range, one_finer: int, other_finer: int) -> Range:
    """Two ranges together, each at a schema that is finer by so much."""
    one, other = _wider(one, one_finer), _wider(other, other_finer)
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])


def _range(buckets: Buckets) -> Range:
    return (buckets[0][0], buckets[-1][0]) if buckets else None


def _wider(of: Range, steps: int = 1) -> Range:
    """A range at a schema that is lower by so many."""
    return None if of is None else (-(-of[0] >> steps), -(-of[1] >> steps))


def _some(bounds: tuple[float, ...], most: int) -> tuple[float, ...]:
    """So many of these bounds at the most: every second, third or so, and the last; always the
    same, as they only depend on the bounds."""
    step = -(-len(bounds) // most)
    return tuple(reversed(bounds[::-1][::step])) if step else ()


def _below_custom(kept: tuple[float, ...], native: Native) -> list[tuple[float, float]]:
    places = {value: at for at, value in enumerate(native.bounds)}
    return [
        (value, sum(count for number, count in native.positive if number <= places[value]))
        for value in kept
    ]
