"""OpenTelemetry metrics: an ExportMetricsServiceRequest as protobuf or JSON.

What a data point becomes:

    gauge                       a gauge
    sum, cumulative             a counter `_total`; a gauge if it isn't monotonic
    sum, delta                  a delta
    histogram                   counters `_bucket{le=…}`, `_sum` and `_count`; deltas if it is delta
    summary                     gauges by `quantile`, counters `_sum` and `_count`
    exponential histogram       the same, with so few of its bounds that they stay (`histograms`)

Names, units and labels follow `names`. Of the resource, `service.name` (after `service.namespace`
and a slash) becomes the label `job`, `service.instance.id` the label `instance`, and attributes
that the service promotes become labels of every series; all others become labels of a gauge
`target_info` that is always 1. A scope's name and version become `otel_scope_name` and
`otel_scope_version`, since two scopes may have metrics of one name. Exemplars, and the minimum and
maximum of a histogram, are not kept.

A point that says it has no recorded value is an ending of its series. When the start time of a
cumulative series moves on, it was reset at that time: a 0 is added there, which shows the reset
even where the new value is above the old.

https://opentelemetry.io/docs/specs/otlp/ and /docs/specs/otel/metrics/data-model/
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import cast

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Problem
from pushsvc.ingest.histograms.kept import MOST
from pushsvc.ingest.otlp import lazy_json, wire
from pushsvc.ingest.otlp.json import decode_request
from pushsvc.ingest.otlp.known import Known
from pushsvc.ingest.otlp.names import scope_labels
from pushsvc.ingest.otlp.reading import Decoded, Reading
from pushsvc.ingest.otlp.recurring import Recurring

_OBJECTS = 4
"""Allowed JSON objects for each sample that a request may have: objects cost time before they can
be checked. A data point is one object and each of its attributes two, but 8 MiB of those are fewer
objects than this allows."""

_REMEMBERED = 1024
"""Bytes for each series that the hub may have, with which series are known by the bytes that say
what they are."""


class OtlpDecoder:
    """Reads requests. Safe to call from worker threads."""

    def __init__(
        self,
        limits: Limits,
        promoted: Iterable[str] = (),
        *,
        as_they_are: bool = False,
        buckets: int = MOST,
    ) -> None:
        """`promoted` are resource attributes that become labels of every series; names of metrics
        and attributes are translated, or `as_they_are`; of an exponential histogram `buckets` are
        kept at the most."""
        self._known = Known(limits, frozenset(promoted), as_they_are=as_they_are, buckets=buckets)
        self._recurring = Recurring(limits.series * _REMEMBERED)
        self._lock = threading.Lock()

    def protobuf(self, body: bytes, now_ms: int) -> Decoded:
        """Decode a binary request; `now_ms` is the time of arrival. Raises Malformed, TooLarge."""
        reading = Reading(self._known, now_ms)
        try:
            with self._lock:
                wire.read(body, reading, self._recurring)
            reading.check()
        except (wire.Irregular, DecodeError, Problem):
            return self.protobuf_as_a_whole(body, now_ms)
        return reading.decoded

    def protobuf_as_a_whole(self, body: bytes, now_ms: int) -> Decoded:
        """The same without the help of what came before: slower, and with the same outcome."""
        request = ExportMetricsServiceRequest()
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise Malformed(
                "protobuf", "the body is not an ExportMetricsServiceRequest in protobuf"
            ) from None
        return self._read(request, now_ms)

    def json(self, body: bytes, now_ms: int) -> Decoded:
        """Decode the JSON of OTLP, like `protobuf`. Unknown members are ignored."""
        self._check_objects(body)
        reading = Reading(self._known, now_ms)
        try:
            with self._lock:
                lazy_json.read(body, reading, self._recurring)
            reading.check()
        except (msgspec.DecodeError, ValueError, RecursionError, Problem):
            return self.json_as_a_whole(body, now_ms)
        return reading.decoded

    def json_as_a_whole(self, body: bytes, now_ms: int) -> Decoded:
        """The same without the help of what came before."""
        self._check_objects(body)
        try:
            request = decode_request(body)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise Malformed(
                "json", f"the body is not an ExportMetricsServiceRequest: {str(error)[:200]}"
            ) from None
        # It has the same attributes as the message.
        return self._read(cast(ExportMetricsServiceRequest, request), now_ms)

    def _check_objects(self, body: bytes) -> None:
        if body.count(b"{") > _OBJECTS * self._known.limits.batch_samples:
            raise self._known.too_many()

    def remember(self, decoded: Decoded) -> None:
        """Note the start times and the shapes of histograms of a request that was applied."""
        self._known.began(decoded.starts)
        self._known.shapes.remember(decoded.shapes)

    def _read(self, request: ExportMetricsServiceRequest, now_ms: int) -> Decoded:
        reading = Reading(self._known, now_ms)
        for of_resource in request.resource_metrics:
            reading.look()
            target = reading.target(of_resource.resource)
            reading.latest = None
            for of_scope in of_resource.scope_metrics:
                reading.look()
                common = {**target.labels, **scope_labels(of_scope.scope)}
                for metric in of_scope.metrics:
                    reading.look()
                    reading.metric(metric, common)
            if reading.latest is not None:
                reading.describe(target, reading.latest)
        return reading.decoded
