"""A histogram as the samples that are kept of it, and what of that must be remembered.

Where a bound is new, nothing was between it and the bound below before (a layout grows only where
something comes to be where nothing was), so that its value at the time before is known: it is
given too, and a rate over that time is right. A bound that falls away has an ending.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pushsvc.ingest.histograms.layout import Layout, cover
from pushsvc.ingest.histograms.native import CUSTOM, Native

MOST = 20
"""Buckets that are kept unless it is set otherwise."""


class Shape(msgspec.Struct, frozen=True):
    """Of a histogram, when it last came, and with what at its bounds."""

    layout: Layout
    time: int
    bounds: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, bound: float) -> float:
        """How many observations were at most that, for a bound where nothing was."""
        place = bisect_right(self.bounds, bound)
        return self.values[place - 1] if place else 0.0


class Sample(NamedTuple):
    """One sample of a histogram."""

    suffix: str
    le: str | None
    value: float | None
    """None for an ending."""
    time: int | None = None
    """If it is not of the histogram's own time, but an earlier one (Unix ms)."""


class Shapes:
    """The shapes of all histograms, by what identifies them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._shapes: dict[str, Shape] = {}

    def __len__(self) -> int:
        return len(self._shapes)

    def get(self, text: str) -> Shape | None:
        return self._shapes.get(text)

    def remember(self, shapes: Mapping[str, Shape]) -> None:
        """These are applied. When there are too many, all others are forgotten: then each begins
        anew with what it has."""
        if len(self._shapes) + len(shapes) > self._most:
            self._shapes.clear()
        self._shapes.update(shapes)


def samples_of(
    native: Native, time: int, before: Shape | None, *, most: int, counting: bool
) -> tuple[list[Sample], Shape]:
    """The samples of a histogram at this time (Unix ms), the count as the last, and its shape from
    now on. `counting` is whether its numbers count up, from one time to the next."""
    layout = cover(native, most, None if before is None else before.layout)
    values = layout.cumulative(native)
    bounds = tuple(bound for bound, _ in values)
    samples: list[Sample] = []
    if before is not None and time > before.time and bounds != before.bounds:
        old, new = set(before.bounds), set(bounds)
        if counting and CUSTOM != layout.schema <= before.layout.schema:
            samples = [
                Sample("_bucket", le_text(bound), before.at(bound), before.time)
                for bound in bounds
                # What is within the width of 0 was in other buckets before.
                if bound not in old and (bound != layout.zero or bound == 0.0)
            ]
        samples += [
            Sample("_bucket", le_text(bound), None) for bound in before.bounds if bound not in new
        ]
    samples += [Sample("_bucket", le_text(bound), value) for bound, value in values]
    samples.append(Sample("_bucket", "+Inf", native.count))
    if native.sum is not None:
        samples.append(Sample("_sum", None, native.sum))
    samples.append(Sample("_count", None, native.count))
    if before is not None and time < before.time:
        return samples, before
    return samples, Shape(layout, time, bounds, tuple(value for _, value in values))


def endings(before: Shape | None) -> list[Sample]:
    """The endings of a histogram, as far as it is known."""
    bounds = () if before is None else before.bounds
    return [
        *(Sample("_bucket", le_text(bound), None) for bound in bounds),
        Sample("_bucket", "+Inf", None),
        Sample("_sum", None, None),
        Sample("_count", None, None),
    ]


def le_text(bound: float) -> str:
    """A bound as a label has it: 0.5, 4, 1e-09."""
    return repr(bound).removesuffix(".0")
