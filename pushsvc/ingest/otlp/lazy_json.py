"""OTLP's JSON whose attributes are read only where they didn't come before.

The rest is what `json` reads, and has the same outcome; but of members that come twice, of which
the last counts, the others may be anything.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from pushsvc.core.model.series import EXACT
from pushsvc.ingest.otlp import json
from pushsvc.ingest.otlp.names import scope_labels
from pushsvc.ingest.otlp.reading import Reading
from pushsvc.ingest.otlp.recurring import (
    REMEMBERED,
    KnownFamily,
    KnownScope,
    KnownTarget,
    Recurring,
)
from pushsvc.ingest.pace import paced

_NONE = msgspec.Raw(b"[]")
_DEEP = 256
"""Brackets of a text from which on it might be nested too deeply for the whole, and not for what
reads it alone."""


class _Number(json.Message, frozen=True):
    attributes: msgspec.Raw = _NONE
    start_time_unix_nano: json.Natural = 0
    time_unix_nano: json.Natural = 0
    flags: json.Natural = 0
    as_double: float | None = None
    as_int: json.Integer | None = None


class _Histogram(json.Message, frozen=True):
    attributes: msgspec.Raw = _NONE
    start_time_unix_nano: json.Natural = 0
    time_unix_nano: json.Natural = 0
    flags: json.Natural = 0
    count: json.Natural = 0
    sum: float | None = None
    bucket_counts: tuple[json.Natural, ...] = ()
    explicit_bounds: msgspec.Raw = _NONE


class _Gauge(json.Message, frozen=True):
    data_points: tuple[_Number, ...] = ()


class _Sum(json.Message, frozen=True):
    data_points: tuple[_Number, ...] = ()
    aggregation_temporality: int = 0
    is_monotonic: bool = False


class _Histograms(json.Message, frozen=True):
    data_points: tuple[_Histogram, ...] = ()
    aggregation_temporality: int = 0


class _Metric(json.Message, frozen=True):
    ONEOF = json.Metric.ONEOF

    name: str = ""
    description: str = ""
    unit: str = ""
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Histograms | None = None
    exponential_histogram: json.ExponentialHistogram | None = None
    summary: json.Summary | None = None


class _ScopeMetrics(json.Message, frozen=True):
    scope: json.Scope = json.Scope()
    metrics: tuple[_Metric, ...] = ()


class _Resource(json.Message, frozen=True):
    attributes: msgspec.Raw = _NONE


class _ResourceMetrics(json.Message, frozen=True):
    resource: _Resource = _Resource()
    scope_metrics: tuple[_ScopeMetrics, ...] = ()


class _Request(json.Message, frozen=True):
    resource_metrics: tuple[_ResourceMetrics, ...] = ()


_decode = msgspec.json.Decoder(_Request, strict=False).decode
_attributes = msgspec.json.Decoder(tuple[json.KeyValue, ...], strict=False)
_bounds = msgspec.json.Decoder(tuple[float, ...], strict=False)

_T = TypeVar("_T")


def read(body: bytes, reading: Reading, recurring: Recurring) -> None:
    """Read a request. Raises msgspec.DecodeError, ValueError or RecursionError, or what Reading
    raises: then only `json` can tell what is wrong, if anything is."""
    for of_target in _decode(body).resource_metrics:
        reading.look()
        raw = bytes(of_target.resource.attributes)
        key = "json", raw  # bytes alone are those of protobuf
        target = recurring.target(key)
        if target is None:
            resource: Any = json.Resource(_read(_attributes, raw))
            target = recurring.add_target(key, len(raw), reading.target(resource))
        reading.latest = None
        for of_scope in of_target.scope_metrics:
            reading.look()
            named: Any = of_scope.scope
            about = named.name, named.version
            scope = target.scopes.get(about)
            if scope is None:
                size = 4 * sum(map(len, about))
                scope = recurring.add_scope(target, about, size, scope_labels(named))
            for metric in paced(of_scope.metrics):
                reading.look()
                _take_metric(metric, reading, recurring, target, scope)
        if reading.latest is not None:
            reading.describe(target.target, reading.latest)


def _read(decoder: msgspec.json.Decoder[_T], raw: bytes) -> _T:
    if raw.count(b"[") + raw.count(b"{") > _DEEP:
        raise ValueError("many brackets")
    return decoder.decode(raw)


def _take_metric(
    metric: _Metric,
    reading: Reading,
    recurring: Recurring,
    target: KnownTarget,
    scope: KnownScope,
) -> None:
    what = metric.WhichOneof("data")
    alike: Any = metric  # it has the same attributes as the message of protobuf
    key: tuple[object, ...]
    if what == "gauge":
        key = what, metric.name, metric.unit, metric.description
    elif what == "sum" and metric.sum is not None:
        data = metric.sum
        about = data.aggregation_temporality, data.is_monotonic
        key = what, metric.name, metric.unit, metric.description, about
    elif what == "histogram" and metric.histogram is not None:
        about_ = metric.histogram.aggregation_temporality
        key = what, metric.name, metric.unit, metric.description, about_
    else:
        reading.metric(alike, scope.labels)
        return
    known = scope.families.get(key)
    if known is None:
        family = reading.family(alike, scope.labels)
        if family is None:
            return
        size = len(metric.name) + len(metric.description) + len(metric.unit)
        known = recurring.add_family(target, scope, key, 4 * size, family)
    if metric.histogram is not None and what == "histogram":
        reading.look(len(metric.histogram.data_points))
        for histogram in metric.histogram.data_points:
            _take_histogram(histogram, reading, recurring, target, known)
        return
    numbers = metric.gauge if what == "gauge" else metric.sum
    assert numbers is not None
    reading.look(len(numbers.data_points))
    take, get = reading.take_number, known.series.get
    for point in numbers.data_points:
        attributes = bytes(point.attributes)
        value = point.as_double
        if value is None and (number := point.as_int) is not None and -EXACT < number < EXACT:
            value = float(number)
        series = get(attributes)
        if (
            series is None
            or value is None
            or point.flags
            or not take(series[0], point.start_time_unix_nano, point.time_unix_nano, value)
        ):
            _read_number(point, attributes, reading, recurring, target, known)


def _read_number(
    point: _Number,
    attributes: bytes,
    reading: Reading,
    recurring: Recurring,
    target: KnownTarget,
    known: KnownFamily,
) -> None:
    """Take in a point that isn't known."""
    whole: Any = json.NumberDataPoint(
        attributes=_read(_attributes, attributes),
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        flags=point.flags,
        as_double=point.as_double,
        as_int=point.as_int,
    )
    samples = reading.point(known.family, whole)
    if samples is not None and not point.flags and len(attributes) <= REMEMBERED:
        recurring.add_series(target, known, attributes, len(attributes), samples)


def _take_histogram(
    point: _Histogram,
    reading: Reading,
    recurring: Recurring,
    target: KnownTarget,
    known: KnownFamily,
) -> None:
    attributes, bounds = bytes(point.attributes), bytes(point.explicit_bounds)
    key = point.sum is not None, attributes, bounds
    series = known.series.get(key)
    start, time = point.start_time_unix_nano, point.time_unix_nano
    if (
        series is not None
        and not point.flags
        and reading.take_histogram(series, start, time, point.bucket_counts, point.sum, point.count)
    ):
        return
    whole: Any = json.HistogramDataPoint(
        attributes=_read(_attributes, attributes),
        start_time_unix_nano=start,
        time_unix_nano=time,
        flags=point.flags,
        count=point.count,
        sum=point.sum,
        bucket_counts=point.bucket_counts,
        explicit_bounds=_read(_bounds, bounds),
    )
    samples = reading.point(known.family, whole)
    size = len(attributes) + len(bounds)
    if samples is None or point.flags or size > REMEMBERED:
        return
    if len(samples) == len(whole.explicit_bounds) + 2 + (point.sum is not None):
        recurring.add_series(target, known, key, size, samples)
