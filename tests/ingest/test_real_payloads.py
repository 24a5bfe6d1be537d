"""Bodies that real libraries make: OpenTelemetry's SDK for Python, and, where they were compiled
(`make bench`), the Collector's pdata and Prometheus' prompb."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.types import AnyValue

from pushsvc.core.model.series import Batch
from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.otlp.reading import Decoded
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from tests.bench.peers import unmarshal
from tests.ingest.decoders import check
from tests.ingest.samples import NOW

GO = pytest.mark.skipif(not unmarshal.PROGRAM.path.exists(), reason="Go's libraries: make bench")
SERIES = 300


def plain(batch: Batch) -> list[Any]:
    return sorted(
        (rows.identity.text, rows.times, rows.values, rows.kind, rows.unit, rows.help, rows.starts)
        for rows in batch.rows
    )


def exports(temporality: AggregationTemporality) -> list[Any]:
    """What the SDK sends of a program that goes on working: four requests."""
    reader = InMemoryMetricReader(
        preferred_temporality={Counter: temporality, Histogram: temporality}
    )
    views = [
        View(instrument_name="sizes", aggregation=ExponentialBucketHistogramAggregation()),
    ]
    resource = Resource.create({"service.name": "shop", "host.name": "a"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False, views=views)
    meter = provider.get_meter("shop", "1.0")
    orders = meter.create_counter("orders", "1", "Orders.")
    level = meter.create_up_down_counter("level")
    took = meter.create_histogram("took", "ms", "How long.")
    sizes = meter.create_histogram("sizes", "By")
    found = []
    for step in range(1, 5):
        for route in range(3):
            at: dict[str, AnyValue] = {"route": f"/{route}", "code": 200 + route, "ok": route == 0}
            orders.add(step, at)
            level.add(step - 2, at)
            took.record(17.0 * step * (route + 1), at)
            sizes.record(10.0**step * (route + 1), at)
        data = reader.get_metrics_data()
        assert data is not None
        found.append(encode_metrics(data))
    return found


@pytest.mark.parametrize("form", ["protobuf", "json"])
@pytest.mark.parametrize("temporality", list(AggregationTemporality)[1:])
def test_the_sdk_is_read_the_same_quickly_and_as_a_whole(
    form: str, temporality: AggregationTemporality
) -> None:
    quick, whole = OtlpDecoder(Limits(), ()), OtlpDecoder(Limits(), ())
    ways: tuple[Callable[[bytes, int], Decoded], ...] = (quick.protobuf, whole.protobuf_as_a_whole)
    if form == "json":
        ways = quick.json, whole.json_as_a_whole
    now = time.time_ns() // 1_000_000
    for message in exports(temporality):
        body = message.SerializeToString()
        if form == "json":
            body = json_format.MessageToJson(message, use_integers_for_enums=True).encode()
        one, other = (way(body, now) for way in ways)
        assert one.refusals.count == other.refusals.count == 0
        assert plain(one.batch) == plain(other.batch)
        check(one.batch)
        names = {rows.identity.name for rows in one.batch.rows}
        delta = temporality is AggregationTemporality.DELTA
        assert {"orders" if delta else "orders_total", "level", "took_milliseconds_bucket"} <= names
        assert {"sizes_bytes_bucket", "sizes_bytes_count", "target_info"} <= names
        quick.remember(one)
        whole.remember(other)


@GO
@pytest.mark.parametrize("form", ["OTLP", "OTLP as JSON"])
def test_the_collectors_pdata(form: str) -> None:
    body = unmarshal.make(form, SERIES)
    quick, whole = OtlpDecoder(Limits(), ()), OtlpDecoder(Limits(), ())
    for _ in range(3):
        if form == "OTLP":
            one, other = quick.protobuf(body, NOW), whole.protobuf_as_a_whole(body, NOW)
        else:
            one, other = quick.json(body, NOW), whole.json_as_a_whole(body, NOW)
        assert plain(one.batch) == plain(other.batch)
        assert one.batch.count == SERIES
        last = {rows.identity.text: rows.values for rows in one.batch.rows}[
            'node_cpu_seconds_total{cpu="3",instance="web-009:9100",job="node",mode="idle",'
            'otel_scope_name="bench"}'
        ]
        assert last == [1.5 * 291]
        quick.remember(one)
        whole.remember(other)


@GO
@pytest.mark.parametrize("version", [1, 2])
def test_prometheus_prompb(version: int) -> None:
    body = unmarshal.make(f"remote write {version}.0", SERIES)
    decoder = RemoteWriteDecoder(Limits())
    seen = []
    for _ in range(4):  # new, known, known by its symbols, and by its bytes
        decoded = decoder.decode(body, NOW, version=version)
        decoder.remember(decoded)
        assert (decoded.samples, decoded.refusals.count) == (SERIES, 0)
        seen.append(plain(decoded.batch))
    assert all(one == seen[0] for one in seen)
    text = 'node_cpu_seconds_total{cpu="3",instance="web-009:9100",job="node",mode="idle"}'
    (rows,) = [rows for rows in decoded.batch.rows if rows.identity.text == text]
    assert (rows.values, rows.times, rows.kind) == ([1.5 * 291], [NOW], "counter")
    assert rows.help == (None if version == 1 else "Seconds the CPUs spent in each mode.")
