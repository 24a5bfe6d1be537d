"""Every decoder under one shape, with bodies that are good and what a batch must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from pushsvc.core.model.series import Batch
from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import JSON, MSGPACK, NativeDecoder
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.prometheus_text.decoder import PrometheusTextDecoder
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.ingest.remote_write.messages import Request, WriteRequest
from pushsvc.ingest.statsd.aggregate import Aggregator
from tests.ingest.samples import NOW, remote_write_1, remote_write_2, snappy

LIMITS = Limits(batch_samples=1000)

_influx = InfluxDecoder(LIMITS)
_native = NativeDecoder(LIMITS)
_otlp = OtlpDecoder(LIMITS, ())
_text = PrometheusTextDecoder(LIMITS)
_prometheus = RemoteWriteDecoder(LIMITS)


def _statsd(datagrams: bytes) -> Batch:
    """What datagrams, a blank line between two, add up to."""
    aggregator = Aggregator(LIMITS, ttl=300.0, now_ms=NOW, counts=Counter())
    for datagram in datagrams.split(b"\n\n"):
        aggregator.take(datagram, 0.0)
    return Batch([rows for batch in aggregator.flush(1.0, NOW + 1000) for rows in batch.rows])


DECODERS: dict[str, Callable[[bytes], Batch]] = {
    "json": lambda body: _native.batch(body, NOW, JSON),
    "msgpack": lambda body: _native.batch(body, NOW, MSGPACK),
    "influx": lambda body: _influx.decode(body, NOW).batch,
    "prometheus-text": lambda body: _text.decode(body, NOW).batch,
    "openmetrics": lambda body: _text.decode(body, NOW, openmetrics=True).batch,
    "otlp-protobuf": lambda body: _otlp.protobuf(body, NOW).batch,
    "otlp-json": lambda body: _otlp.json(body, NOW).batch,
    "statsd": _statsd,
    "remote-write-1-snappy": lambda body: _prometheus.decode(body, NOW, version=1).batch,
    "remote-write-2-snappy": lambda body: _prometheus.decode(body, NOW, version=2).batch,
    "remote-write-1": lambda body: _prometheus.decode(snappy(body), NOW, version=1).batch,
    "remote-write-2": lambda body: _prometheus.decode(snappy(body), NOW, version=2).batch,
}
"""By name; each raises nothing but Problems. The last two are given what is within the snappy."""


def _export() -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    metrics = resource.scope_metrics.add().metrics
    now = NOW * 10**6
    times: dict[str, Any] = {"start_time_unix_nano": now - 60 * 10**9, "time_unix_nano": now}
    metrics.add(name="up", unit="1").gauge.data_points.add(as_int=1, **times)
    total: Any = metrics.add(name="sold", unit="s").sum
    total.is_monotonic, total.aggregation_temporality = True, 2
    total.data_points.add(as_double=2.5, **times).attributes.add(key="a").value.int_value = 3
    waits: Any = metrics.add(name="waits", unit="ms").histogram
    waits.aggregation_temporality = 1
    waits.data_points.add(
        bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 1.0], count=6, sum=4.5, **times
    )
    spread: Any = metrics.add(name="spread").exponential_histogram
    spread.aggregation_temporality = 2
    spread.data_points.add(
        scale=2,
        count=4,
        zero_count=1,
        sum=4.5,
        positive={"offset": -1, "bucket_counts": [1, 0, 2]},
        **times,
    )
    sizes = metrics.add(name="sizes").summary.data_points.add(count=2, sum=3.0, **times)
    sizes.quantile_values.add(quantile=0.5, value=1.5)
    return request


_BATCH = {"samples": [{"name": "a", "labels": {"h": "x"}, "value": 1.5}, {"name": "b", "value": 2}]}
_EXPORT_JSON = (
    '{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":'
    '"shop"}}]},"scopeMetrics":[{"metrics":[{"name":"sold","unit":"s","sum":{"isMonotonic":true,'
    '"aggregationTemporality":2,"dataPoints":[{"asDouble":2.5,"timeUnixNano":"%d000000"}]}}]}]}]}'
)


def _with_native(version: int) -> bytes:
    """A request of remote write with a native histogram, not compressed."""
    request: Any = WriteRequest() if version == 1 else Request()
    one = request.timeseries.add()
    if version == 1:
        one.labels.add(name="__name__", value="spread")
    else:
        request.symbols.extend(["", "__name__", "spread"])
        one.labels_refs.extend([1, 2])
    histogram = one.histograms.add(timestamp=NOW, schema=2, count_int=4, sum=4.5, zero_count_int=1)
    histogram.positive_spans.add(offset=-1, length=1)
    histogram.positive_spans.add(offset=1, length=1)
    histogram.positive_deltas.extend([1, 1])
    body: bytes = request.SerializeToString()
    return body


VALID: dict[str, bytes] = {
    "prometheus-text": b"# HELP a_total A.\n# TYPE a_total counter\n"
    b'a_total{h="x\\n",i="}"} 1.5 %d\nb 2 %d\n' % (NOW, NOW),
    "openmetrics": b'# TYPE a counter\n# UNIT a seconds\na_total{h="x"} 1.5 %d.5 # {id="1"} 1\n'
    b"a_created 3\n# TYPE b gauge\nb 2 %d\n# EOF\n" % (NOW // 1000, NOW // 1000),
    "json": msgspec.json.encode(_BATCH),
    "msgpack": msgspec.msgpack.encode(_BATCH),
    "influx": b'cpu,host=a\\ b,dc=eu usage=1.5,up=t,n=3i,note="a b" %d000000\n# no\nm value=1'
    % NOW,
    "otlp-protobuf": bytes(_export().SerializeToString()),
    "otlp-json": (_EXPORT_JSON % NOW).encode(),
    "statsd": b"a.b:1|c|@0.5|#t:x\ng:+2|g\n\nms:3:4|ms\nu:x|s\n_e{1,1}:a|b",
    "remote-write-1-snappy": snappy(remote_write_1({"a_total": [(1.5, NOW)], "b": [(2.0, NOW)]})),
    "remote-write-2-snappy": snappy(remote_write_2({"a_total": [(1.5, NOW)], "b": [(2.0, NOW)]})),
    "remote-write-1": remote_write_1({"a_total": [(1.5, NOW)], "b": [(2.0, NOW)]})
    + _with_native(1),
    "remote-write-2": _with_native(2),
}


def check(batch: Batch) -> None:
    """Raise AssertionError unless the batch is what the hub takes for granted."""
    stateful: dict[str, bool | None] = {}
    alike: dict[str, tuple[bool, bool]] = {}
    for rows in batch.rows:
        text = rows.identity.text
        # Rows of one series are apart only where the sort of their times is.
        assert alike.get(text) != (rows.given, rows.starts is not None)
        alike[text] = rows.given, rows.starts is not None
        assert len(rows.times) == len(rows.values) > 0
        assert rows.starts is None or len(rows.starts) == len(rows.times)
        assert all(type(time) is int for time in rows.times)
        said = {type(value) is float for value in rows.values if value is not None}
        assert len(said) <= 1
        if rows.stateful is not None:
            assert stateful.setdefault(text, rows.stateful) is rows.stateful
            assert rows.kind is None or (rows.kind == "state") is rows.stateful
        assert all(isfinite(value) for value in rows.values if type(value) is float)
