"""A data point of OpenTelemetry as the samples that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, pairwise
from math import inf, isfinite, isnan
from typing import TypeAlias, cast

import msgspec
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from pushsvc.core.model.series import Kind
from pushsvc.errors import Rejected
from pushsvc.ingest.histograms.kept import Shape, endings, samples_of
from pushsvc.ingest.histograms.native import CUSTOM, Native, dense

NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
"""The flag of a point that says that its series has ended."""

Point: TypeAlias = (
    NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint
)


class Part(msgspec.Struct, gc=False):
    """One sample of a data point."""

    suffix: str
    label: tuple[str, str] | None
    value: float | None
    """None where the point says that there is no value any more."""
    kind: Kind
    unit: str = ""
    time: int | None = None
    """If it isn't of the point's time, but an earlier one (Unix ms)."""


def points_of(metric: Metric, what: str) -> Sequence[Point]:
    """The points of a metric with this sort of data."""
    points: Sequence[Point] = getattr(metric, what).data_points
    return points


def parts_of(what: str, point: Point, kind: Kind, unit: str) -> list[Part]:
    """The samples of a data point; the last one stands for the whole point. Raises Rejected."""
    if point.flags & NO_VALUE:
        return _endings(what, point, kind, unit)
    if what in ("gauge", "sum"):
        number = cast(NumberDataPoint, point)
        which = number.WhichOneof("value")
        if which is None:
            raise Rejected("value", "a point has neither asDouble nor asInt")
        return [Part("", None, float(getattr(number, which)), kind, unit)]
    if what == "histogram":
        return _histogram(cast(HistogramDataPoint, point), kind, unit)
    return _summary(cast(SummaryDataPoint, point), unit)


def exponential_parts(
    point: ExponentialHistogramDataPoint,
    time: int,
    before: Shape | None,
    kind: Kind,
    unit: str,
    most: int,
) -> tuple[list[Part], Shape | None]:
    """The samples of an exponential histogram with `most` buckets at the most, and its shape from
    then on. Raises Rejected."""
    if point.flags & NO_VALUE:
        found, shape = endings(before), None
    else:
        native = Native(
            point.scale,
            float(point.count),
            point.sum if point.HasField("sum") else None,
            float(point.zero_count),
            point.zero_threshold,
            dense(point.positive.offset, point.positive.bucket_counts),
            dense(point.negative.offset, point.negative.bucket_counts),
        )
        if native.schema == CUSTOM:
            raise Rejected("schema", "a histogram's scale is too low")
        counting = kind == "counter"
        found, shape = samples_of(native.check(), time, before, most=most, counting=counting)
    return [
        Part(
            each.suffix,
            None if each.le is None else ("le", each.le),
            each.value,
            kind,
            unit if each.suffix == "_sum" else "",
            each.time,
        )
        for each in found
    ], shape


def _endings(what: str, point: Point, kind: Kind, unit: str) -> list[Part]:
    """The same samples, each without a value, as far as a point without values names them."""
    parts = []
    if what == "histogram":
        bounds = (*cast(HistogramDataPoint, point).explicit_bounds, inf)
        parts = [Part("_bucket", ("le", _number(bound)), None, kind) for bound in bounds]
    elif what == "summary":
        parts = [
            Part("", ("quantile", _number(at.quantile)), None, "gauge", unit)
            for at in cast(SummaryDataPoint, point).quantile_values
        ]
    if not parts and what != "summary":
        return [Part("", None, None, kind, unit)]
    return [*parts, Part("_sum", None, None, kind, unit), Part("_count", None, None, kind)]


def _summary(point: SummaryDataPoint, unit: str) -> list[Part]:
    if not all(0 <= at.quantile <= 1 for at in point.quantile_values):
        raise Rejected("quantile", "the quantiles of a summary lie between 0 and 1")
    quantiles = [
        Part("", ("quantile", _number(at.quantile)), at.value, "gauge", unit)
        for at in point.quantile_values
        if isfinite(at.value)  # NaN means that there were no values to take a quantile of
    ]
    return [
        *quantiles,
        Part("_sum", None, point.sum, "counter", unit),
        Part("_count", None, float(point.count), "counter"),
    ]


def _histogram(point: HistogramDataPoint, kind: Kind, unit: str) -> list[Part]:
    bounds, counts = point.explicit_bounds, point.bucket_counts
    if (counts or bounds) and len(counts) != len(bounds) + 1:
        raise Rejected(
            "buckets",
            f"a histogram has {len(bounds)} bounds and {len(counts)} buckets: "
            "it takes one bucket more than bounds",
        )
    if any(map(isnan, bounds)) or not all(low < high for low, high in pairwise(bounds)):
        raise Rejected("buckets", "the bounds of a histogram must rise")
    if counts and sum(counts) != point.count:
        raise Rejected("buckets", "the buckets of a histogram must add up to its count")
    parts = [
        Part("_bucket", ("le", _number(bound)), float(count), kind)
        for bound, count in zip(bounds, accumulate(counts), strict=False)
        if bound < inf
    ]
    parts.append(Part("_bucket", ("le", "+Inf"), float(point.count), kind))
    if point.HasField("sum"):
        parts.append(Part("_sum", None, point.sum, kind, unit))
    parts.append(Part("_count", None, float(point.count), kind))
    return parts


@lru_cache(maxsize=4096)
def _number(value: float) -> str:
    """A bound or quantile as Prometheus' own translation writes it: 0.5, 10, 1000000, +Inf."""
    if abs(value) == inf:
        return "+Inf" if value > 0 else "-Inf"
    return format(Decimal(repr(value)), "f").removesuffix(".0")
