"""The JSON of OTLP, read into structures that look like the messages of its protobuf.

Names are in lowerCamelCase, 64-bit integers may be strings, enumerations are integers, doubles may
be "NaN" and "Infinity", bytes are base64; unknown members are ignored, and null means that a member
is absent (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). Decoding with types is
ten times faster than protobuf's own JSON parser, and says where an error is.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Message(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Just enough of a protobuf message: which member of a oneof is there, and is a member."""

    ONEOF: ClassVar[tuple[str, ...]] = ()

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - as protobuf calls it
        return next((name for name in self.ONEOF if getattr(self, name) is not None), None)

    def HasField(self, name: str) -> bool:  # noqa: N802 - as protobuf calls it
        return getattr(self, name) is not None


class ArrayValue(Message, frozen=True):
    values: tuple[AnyValue, ...] = ()


class KeyValueList(Message, frozen=True):
    values: tuple[KeyValue, ...] = ()


class AnyValue(Message, frozen=True):
    ONEOF = (
        "string_value", "bool_value", "int_value", "double_value", "array_value", "kvlist_value",
        "bytes_value",
    )  # fmt: skip

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Integer | None = None
    double_value: float | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    bytes_value: bytes | None = None


class KeyValue(Message, frozen=True):
    key: str = ""
    value: AnyValue = AnyValue()


class _DataPoint(Message, frozen=True):
    attributes: tuple[KeyValue, ...] = ()
    start_time_unix_nano: Natural = 0
    time_unix_nano: Natural = 0
    flags: Natural = 0


class NumberDataPoint(_DataPoint, frozen=True):
    ONEOF = ("as_double", "as_int")

    as_double: float | None = None
    as_int: Integer | None = None


class HistogramDataPoint(_DataPoint, frozen=True):
    count: Natural = 0
    sum: float | None = None
    bucket_counts: tuple[Natural, ...] = ()
    explicit_bounds: tuple[float, ...] = ()


class ValueAtQuantile(Message, frozen=True):
    quantile: float = 0.0
    value: float = 0.0


class SummaryDataPoint(_DataPoint, frozen=True):
    count: Natural = 0
    sum: float = 0.0
    quantile_values: tuple[ValueAtQuantile, ...] = ()


class Gauge(Message, frozen=True):
    data_points: tuple[NumberDataPoint, ...] = ()


class Sum(Message, frozen=True):
    data_points: tuple[NumberDataPoint, ...] = ()
    aggregation_temporality: int = 0
    is_monotonic: bool = False


class Histogram(Message, frozen=True):
    data_points: tuple[HistogramDataPoint, ...] = ()
    aggregation_temporality: int = 0


class Buckets(Message, frozen=True):
    offset: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    bucket_counts: tuple[Natural, ...] = ()


class ExponentialHistogramDataPoint(_DataPoint, frozen=True):
    count: Natural = 0
    sum: float | None = None
    scale: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    zero_count: Natural = 0
    zero_threshold: float = 0.0
    positive: Buckets = Buckets()
    negative: Buckets = Buckets()


class ExponentialHistogram(Message, frozen=True):
    data_points: tuple[ExponentialHistogramDataPoint, ...] = ()
    aggregation_temporality: int = 0


class Summary(Message, frozen=True):
    data_points: tuple[SummaryDataPoint, ...] = ()


class Metric(Message, frozen=True):
    ONEOF = ("gauge", "sum", "histogram", "exponential_histogram", "summary")

    name: str = ""
    description: str = ""
    unit: str = ""
    gauge: Gauge | None = None
    sum: Sum | None = None
    histogram: Histogram | None = None
    exponential_histogram: ExponentialHistogram | None = None
    summary: Summary | None = None


class Scope(Message, frozen=True):
    name: str = ""
    version: str = ""


class ScopeMetrics(Message, frozen=True):
    scope: Scope = Scope()
    metrics: tuple[Metric, ...] = ()


class Resource(Message, frozen=True):
    attributes: tuple[KeyValue, ...] = ()


class ResourceMetrics(Message, frozen=True):
    resource: Resource = Resource()
    scope_metrics: tuple[ScopeMetrics, ...] = ()


class Request(Message, frozen=True):
    resource_metrics: tuple[ResourceMetrics, ...] = ()


_decode = msgspec.json.Decoder(Request, strict=False).decode


def decode_request(body: bytes) -> Request:
    """An ExportMetricsServiceRequest. Raises msgspec.DecodeError, ValueError, RecursionError."""
    try:
        return _decode(body)
    except msgspec.ValidationError:
        if b"null" not in body:
            raise
    return msgspec.convert(_without_nulls(msgspec.json.decode(body)), Request, strict=False)


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _without_nulls(inner) for name, inner in node.items() if inner is not None}
    if isinstance(node, list):
        return [_without_nulls(inner) for inner in node if inner is not None]
    return node
