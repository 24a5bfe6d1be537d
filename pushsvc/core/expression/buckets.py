"""Quantiles and shares of classic histograms: cumulative counts by upper bound, `le`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import inf, isnan, nan
from operator import le, lt
from typing import NamedTuple

_TOLERANCE = 1e-12
"""Neighbouring counts whose relative difference is smaller count as equal: it comes from
rounding."""


class Bucket(NamedTuple):
    """A bound, and how many observations, `below`, were not above it."""

    bound: float
    below: float


def quantile(share: float, given: list[Bucket]) -> tuple[float, bool]:
    """The value below which a share of the observations is, interpolated within its bucket, and
    whether counts had to be changed so that they rise."""
    if isnan(share):
        return nan, False
    if share < 0:
        return -inf, False
    if share > 1:
        return inf, False
    buckets = _merged(given)
    if buckets[-1].bound != inf:
        return nan, False
    buckets, forced = _rising(buckets)
    total = buckets[-1].below
    if len(buckets) < 2 or total == 0 or isnan(total):
        return nan, forced
    rank = share * total
    place = bisect_left(buckets, rank, hi=len(buckets) - 1, key=lambda bucket: bucket.below)
    if place == len(buckets) - 1:
        return buckets[-2].bound, forced
    bound, count = buckets[place]
    if place == 0:
        if bound <= 0:
            return bound, forced
        return bound * (rank / count), forced
    low, before = buckets[place - 1]
    return low + (bound - low) * ((rank - before) / (count - before)), forced


def in_order(bounds: Sequence[float]) -> bool:
    """Whether bounds are those of a whole histogram: they rise, and the last is infinite."""
    return len(bounds) > 1 and bounds[-1] == inf and all(map(lt, bounds, bounds[1:]))


def quantile_in_order(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """As `quantile`, for bounds that are `in_order`. It is quicker if the counts rise too, as they
    nearly always do."""
    total = counts[-1]
    if not (0 <= share <= 1 and total > 0 and all(map(le, counts, counts[1:]))):
        return quantile(share, list(map(Bucket, bounds, counts)))[0]
    rank = share * total
    place = bisect_left(counts, rank, hi=len(counts) - 1)
    if place == len(counts) - 1:
        return bounds[-2]
    bound = bounds[place]
    if place:
        low, before = bounds[place - 1], counts[place - 1]
        return low + (bound - low) * ((rank - before) / (counts[place] - before))
    return bound if bound <= 0 else bound * (rank / counts[0])


def fraction(lower: float, upper: float, given: list[Bucket]) -> float:
    """The share of the observations between two values, interpolated within their buckets."""
    buckets = _merged(given)
    total = buckets[-1].below
    if buckets[-1].bound != inf or total == 0 or isnan(lower) or isnan(upper):
        return nan
    if lower >= upper:
        return 0.0
    return (_below(upper, buckets) - _below(lower, buckets)) / total


def _below(value: float, buckets: list[Bucket]) -> float:
    """How many observations are not above a value."""
    total = buckets[-1].below
    low = 0.0 if buckets[0].bound > 0 else -inf
    rank = 0.0
    for bound, count in buckets:
        if low >= value:
            return min(rank, total)
        if value < bound:
            if low == -inf:
                return min(count, total)
            return min(rank + (count - rank) * (value - low) / (bound - low), total)
        low, rank = bound, count
    return total


def _merged(given: list[Bucket]) -> list[Bucket]:
    """In the order of their bounds, each bound once."""
    counts: dict[float, float] = {}
    for bound, count in sorted(given):
        counts[bound] = counts.get(bound, 0.0) + count
    return [Bucket(bound, count) for bound, count in counts.items()]


def _rising(buckets: list[Bucket]) -> tuple[list[Bucket], bool]:
    """The buckets with counts that never fall (counts from different moments may), and whether any
    was changed by more than rounding."""
    highest, forced = buckets[0].below, False
    rising = [buckets[0]]
    for bound, count in buckets[1:]:
        if count != highest:
            same = abs(highest - count) / (abs(highest) + abs(count)) < _TOLERANCE
            forced = forced or (count < highest and not same)
            if not same and not count < highest:
                highest = count
        rising.append(Bucket(bound, highest))
    return rising, forced
