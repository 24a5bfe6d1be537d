"""OpenTelemetry metrics: an ExportMetricsServiceRequest as protobuf or JSON.

What comes out of a data point:

    gauge                       a gauge
    sum, cumulative             a counter `_total`; a gauge if it isn't monotonic
    sum, delta                  a delta
    histogram                   counters `_bucket{le=…}`, `_sum` and `_count`; deltas if it is delta
    summary                     gauges by `quantile`, counters `_sum` and `_count`
    exponential histogram       refused: it has no buckets of its own that stay the same

Names, units and labels follow `otlp_names`. Of the resource, `service.name` (after
`service.namespace` and a slash) becomes the label `job`, `service.instance.id` the label
`instance`, and attributes that the service promotes become labels of every series; the others
stand once, as the labels of a gauge `target_info` that is always 1. A scope's name and version
become `otel_scope_name` and `otel_scope_version`, since two scopes may have metrics of one name.
Exemplars are not kept, nor the minimum and maximum of a histogram.

A point that says it has no recorded value is an ending of its series. When
the start time of a cumulative series moves on, it was reset then, and a 0 at that time says so
even where the new value is above the old.

https://opentelemetry.io/docs/specs/otlp/ and /docs/specs/otel/metrics/data-model/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, cast

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from pushsvc.core.limits import Limits
from pushsvc.core.series import Identity, identify
from pushsvc.errors import Malformed, TooLarge
from pushsvc.ingest.otlp_json import decode_request
from pushsvc.ingest.otlp_names import scope_labels
from pushsvc.ingest.otlp_reading import Decoded, Reading

_OBJECTS = 4
"""JSON objects for each sample that a request may have: they cost time before they can be looked
at. A data point is one, and each of its attributes two, but 8 MiB of them are fewer than these."""

_REMEMBERED_CHARACTERS = 1024
"""Series with longer names and labels are checked each time they come."""

_Labels: TypeAlias = tuple[tuple[str, str], ...]


class OtlpDecoder:
    """Reads requests; remembers identities, and when cumulative series began.

    Each memory is dropped when it has grown to twice the series the hub may have. Safe to call
    from worker threads.
    """

    def __init__(
        self, limits: Limits, promoted: Iterable[str] = (), *, as_they_are: bool = False
    ) -> None:
        """`promoted` are resource attributes that become labels of every series; names of metrics
        and attributes are translated, or `as_they_are`."""
        self.limits = limits
        self.as_they_are = as_they_are
        self.promoted = frozenset(promoted)
        self._identities: dict[tuple[str, _Labels], Identity] = {}
        self._starts: dict[str, int] = {}

    def protobuf(self, body: bytes, now_ms: int) -> Decoded:
        """Decode a binary request; `now_ms` is the time of arrival. Raises Malformed, TooLarge."""
        request = ExportMetricsServiceRequest()
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise Malformed(
                "protobuf", "the body is not an ExportMetricsServiceRequest in protobuf"
            ) from None
        return self._read(request, now_ms)

    def json(self, body: bytes, now_ms: int) -> Decoded:
        """Decode the JSON of OTLP, as `protobuf` does. Members that aren't known are ignored."""
        if body.count(b"{") > _OBJECTS * self.limits.batch_samples:
            raise self.too_many()
        try:
            request = decode_request(body)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise Malformed(
                "json", f"the body is not an ExportMetricsServiceRequest: {str(error)[:200]}"
            ) from None
        # It has the attributes of the message.
        return self._read(cast(ExportMetricsServiceRequest, request), now_ms)

    def remember(self, decoded: Decoded) -> None:
        """A request was applied: its start times count from now on."""
        if len(self._starts) + len(decoded.starts) > 2 * self.limits.series:
            self._starts.clear()
        self._starts.update(decoded.starts)

    def started(self, series: str) -> int | None:
        """The start time that this series was last seen with."""
        return self._starts.get(series)

    def identity(self, name: str, pairs: _Labels) -> Identity:
        """The identity of a series. Raises Rejected."""
        identity = self._identities.get((name, pairs))
        if identity is None:
            identity = identify(name, dict(pairs), self.limits)
            if len(identity.text) <= _REMEMBERED_CHARACTERS:
                if len(self._identities) >= 2 * self.limits.series:
                    self._identities.clear()
                self._identities[name, pairs] = identity
        return identity

    def too_many(self) -> TooLarge:
        """What is said of a request with too much in it."""
        return TooLarge(
            "batch",
            f"more than {self.limits.batch_samples} samples, data points or metrics in one "
            "request (limits.batch_samples)",
            limit="batch_samples",
        )

    def _read(self, request: ExportMetricsServiceRequest, now_ms: int) -> Decoded:
        reading = Reading(self, now_ms)
        for of_resource in request.resource_metrics:
            reading.look()
            target = reading.target(of_resource.resource)
            latest: int | None = None
            for of_scope in of_resource.scope_metrics:
                reading.look()
                common = {**target.labels, **scope_labels(of_scope.scope)}
                for metric in of_scope.metrics:
                    reading.look()
                    time = reading.metric(metric, common)
                    if time is not None:
                        latest = time if latest is None else max(latest, time)
            if latest is not None:
                reading.describe(target, latest)
        return reading.decoded
