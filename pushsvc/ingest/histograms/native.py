"""A histogram with exponential buckets, or with bounds of its own, as OpenTelemetry and Prometheus
send it.

At a schema s the bound of number i is 2^(i/2^s): at 0 each bucket reaches twice as far as the one
before, at 1 two do. So all bounds of a schema are bounds of the next higher one too, and two
neighbours at s are one bucket at s-1. OpenTelemetry calls the schema scale.

Sources: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram and
https://prometheus.io/docs/specs/native_histograms/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import isfinite, ldexp
from typing import TypeAlias

import msgspec

from pushsvc.errors import Rejected

CUSTOM = -53
"""The schema of histograms with bounds of their own."""
COARSEST, FINEST = -11, 52
"""Schemas: in a single bucket of the coarsest all numbers above 1 have room."""
_MOST_BUCKETS = 10_000
"""Populated buckets of one histogram."""
_EXACT = 2.0**53

Buckets: TypeAlias = list[tuple[int, float]]
"""By the number of their bound that is farther from 0: how many observations. Numbers rise, counts
aren't 0."""


class Native(msgspec.Struct):
    """One such histogram, checked."""

    schema: int
    count: float
    """All observations; NaN is one that is in no bucket."""
    sum: float | None
    zero: float = 0.0
    """Observations from -width to width."""
    width: float = 0.0
    positive: Buckets = []
    negative: Buckets = []
    bounds: tuple[float, ...] = ()
    """With the schema CUSTOM: the upper bounds of buckets 0, 1 and so on; one bucket more is for
    what is above them."""

    def check(self) -> Native:
        """This, if its numbers make sense. Raises Rejected."""
        counts = [count for _, count in (*self.positive, *self.negative)]
        if len(counts) > _MOST_BUCKETS:
            raise Rejected(
                "buckets",
                f"a histogram has {len(counts)} populated buckets, the limit is {_MOST_BUCKETS}",
            )
        if not all(isfinite(each) and each >= 0 for each in (self.count, self.zero, *counts)):
            raise Rejected("buckets", "a count of a histogram is negative or not finite")
        if not (isfinite(self.width) and self.width >= 0):
            raise Rejected("buckets", "a histogram's zero threshold is negative or not finite")
        found = self.zero + sum(counts)
        # Counts beyond 2^53, and those that aren't integers, are rounded.
        if found > self.count * (1 + 1e-9) and found < _EXACT:
            raise Rejected("buckets", "the buckets of a histogram have more than its count")
        if self.sum is not None and not isfinite(self.sum):
            # NaN and infinities were observed, of which no sum can be kept.
            self.sum = None
        if self.schema == CUSTOM:
            if not all(low < high for low, high in pairwise(self.bounds)):
                raise Rejected("buckets", "the bounds of a histogram must rise")
            if (
                self.zero
                or self.negative
                or any(not 0 <= at <= len(self.bounds) for at, _ in self.positive)
            ):
                raise Rejected("buckets", "a histogram has buckets beyond its bounds")
        elif not COARSEST <= self.schema <= FINEST:
            raise Rejected(
                "schema",
                f"a histogram of schema {self.schema}: known are {COARSEST} to {FINEST}, and "
                f"{CUSTOM}",
            )
        elif not all(
            _within(self.schema, number)
            for buckets in (self.positive, self.negative)
            for number, _ in (*buckets[:1], *buckets[-1:])
        ):
            raise Rejected("buckets", "a histogram has a bucket for what no number is")
        return self


def _within(schema: int, number: int) -> bool:
    """Whether a bucket can have numbers in it: from 2^-1074 to 2^1024."""
    if schema > 0:
        return -1100 << schema < number < 1100 << schema
    return -1100 <= number << -schema < 1100 + (1 << -schema)


def bound(schema: int, number: int) -> float:
    """2^(number/2^schema); infinite beyond what a float can be, 0 below."""
    if schema <= 0:
        whole, part = number << -schema, 0.0
    else:
        whole, rest = number >> schema, number & ((1 << schema) - 1)
        part = rest / (1 << schema)
    if not -1100 < whole < 1100:
        return 0.0 if whole < 0 else float("inf")
    try:
        return ldexp(2.0**part, whole)
    except OverflowError:
        return float("inf")


def coarser(buckets: Buckets, steps: int) -> Buckets:
    """The same observations at a schema that is lower by so many."""
    merged: dict[int, float] = {}
    for number, count in buckets:
        # (number - 1, number] lies within the bucket whose bound is the next at or above.
        wide = -(-number >> steps)
        merged[wide] = merged.get(wide, 0.0) + count
    return list(merged.items())


def dense(offset: int, counts: Iterable[float]) -> Buckets:
    """Buckets that follow each other, as OpenTelemetry has them: the first is above the bound of
    number `offset`."""
    return [(number, float(count)) for number, count in enumerate(counts, offset + 1) if count]


def spans(
    parts: Sequence[tuple[int, int]], deltas: Sequence[int], counts: Sequence[float]
) -> Buckets:
    """Buckets as Prometheus has them: spans of (gap, length), and for each bucket its count, or as
    integers what it has more than the one before. Raises Rejected."""
    length = sum(size for _, size in parts)
    values: Sequence[float] = counts or list(accumulate(deltas))
    if length != len(values) or length > _MOST_BUCKETS:
        raise Rejected(
            "buckets", f"a histogram's spans have {length} buckets, and it has {len(values)} counts"
        )
    found: Buckets = []
    number, at = 0, 0
    for place, (gap, size) in enumerate(parts):
        if gap < 0 and place:
            raise Rejected("buckets", "the spans of a histogram must rise")
        number += gap
        found += [
            (number + step, float(values[at + step])) for step in range(size) if values[at + step]
        ]
        number += size
        at += size
    return found
