"""The official OpenTelemetry SDK and its OTLP/HTTP exporter publish; a stream shows it live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pushsvc.core.resources.limits import Limits
from tests.serving import Served, next_of, serving

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "i-1", "host.name": "web1"})


class Program:
    """A program that is instrumented with the SDK."""

    def __init__(self, *readers: MetricReader, views: tuple[View, ...] = ()) -> None:
        self.provider = MeterProvider(metric_readers=readers, resource=RESOURCE, views=views)
        meter = self.provider.get_meter("shop", "1.0")
        self.requests = meter.create_counter("http.server.requests", "{request}", "Requests.")
        self.sent = meter.create_counter("http.server.sent", "By")
        self.open = meter.create_up_down_counter("http.server.open")
        self.took = meter.create_histogram(
            "http.server.duration", "s", explicit_bucket_boundaries_advisory=[0.1, 1, 10]
        )
        meter.create_observable_gauge("cpu.load", [self._load], "1")

    @staticmethod
    def _load(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(0.25, {"cpu": 0})

    def work(self) -> None:
        self.requests.add(2, {"http.route": "/buy", "ok": True})
        self.sent.add(1500)
        self.open.add(3)
        for seconds in (0.05, 0.5, 20.0):
            self.took.record(seconds, {"http.route": "/buy"})

    async def flush(self) -> None:
        assert await trio.to_thread.run_sync(self.provider.force_flush)

    def end(self) -> None:
        self.provider.shutdown()


def reader(served: Served, **options: Any) -> PeriodicExportingMetricReader:
    exporter = OTLPMetricExporter(f"{served.url}/v1/metrics", timeout=5, **options)
    return PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)


async def read(served: Served) -> dict[str, tuple[str, Any]]:
    """Kind and value of each series."""
    listed = (await served.http.get("/v1/series")).json()["series"]
    return {written(one["name"], one["labels"]): (one["kind"], one["value"]) for one in listed}


def written(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


@pytest.mark.parametrize(
    "compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate]
)
async def test_the_sdk_is_read_live(compression: Compression) -> None:
    async with (
        serving() as served,
        served.documents("text/event-stream", select='{job="shop"}') as documents,
    ):
        await next_of(documents, "points")
        program = Program(reader(served, compression=compression))
        try:
            program.work()
            await program.flush()
            points = await next_of(documents, "points")
            seen = {one["ref"]: one for one in points["series"]}
            live = {
                written(seen[ref]["name"], seen[ref]["labels"]): (seen[ref]["kind"], value)
                for ref, _, value in points["points"]
            }
            target = 'instance="i-1",job="shop"'
            scope = 'otel_scope_name="shop",otel_scope_version="1.0"'
            at = f"{target},{scope}"
            route = f'http_route="/buy",{target}'
            assert live == await read(served)
            assert live.pop(f'cpu_load_ratio{{cpu="0",{at}}}') == ("gauge", 0.25)
            assert live.pop(f'http_server_requests_total{{{route},ok="true",{scope}}}') == (
                "counter",
                2,
            )
            assert live.pop(f"http_server_sent_bytes_total{{{at}}}") == ("counter", 1500)
            assert live.pop(f"http_server_open{{{at}}}") == ("gauge", 3)
            name = "http_server_duration_seconds"
            for bound, count in (("0.1", 1), ("1", 2), ("10", 2), ("+Inf", 3)):
                labels = f'{route},le="{bound}",{scope}'
                assert live.pop(f"{name}_bucket{{{labels}}}") == ("counter", count)
            assert live.pop(f"{name}_sum{{{route},{scope}}}") == ("counter", 20.55)
            assert live.pop(f"{name}_count{{{route},{scope}}}") == ("counter", 3)
            assert live.pop(f'target_info{{host_name="web1",{target}}}') == ("gauge", 1)
            assert live == {}
            program.work()
            await program.flush()
            points = await next_of(documents, "points")
            assert any(value == 3000 for _, _, value in points["points"])
        finally:
            await trio.to_thread.run_sync(program.end)


async def test_names_and_values_are_those_of_the_prometheus_exporter() -> None:
    async with serving() as served:
        scraped = PrometheusMetricReader()
        program = Program(reader(served), scraped)
        try:
            program.work()
            await program.flush()
            pushed = await read(served)
            expected = {}
            for family in text_string_to_metric_families(generate_latest(REGISTRY).decode()):
                for sample in family.samples:
                    if sample.name.endswith("_created") or not re.match(
                        "http_|cpu_|target_", sample.name
                    ):
                        continue
                    labels = {
                        label: text
                        for label, text in sample.labels.items()
                        if text and not label.startswith("service_")
                    }
                    labels |= {"job": "shop", "instance": "i-1"}
                    if "le" in labels:  # some releases of this exporter write 1.0 for 1
                        labels["le"] = labels["le"].removesuffix(".0")
                    # It leaves off the ratio that the specification has.
                    name = sample.name.replace("cpu_load", "cpu_load_ratio")
                    expected[written(name, labels)] = sample.value
            assert {text: value for text, (_, value) in pushed.items()} == expected
        finally:
            await trio.to_thread.run_sync(program.end)


async def test_deltas_are_deltas() -> None:
    delta = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}
    async with serving() as served:
        program = Program(reader(served, preferred_temporality=delta))
        try:
            for _ in range(2):
                program.work()
                await program.flush()
            live = await read(served)
            target = 'instance="i-1",job="shop"'
            scope = 'otel_scope_name="shop",otel_scope_version="1.0"'
            assert live[f"http_server_sent_bytes{{{target},{scope}}}"] == ("delta", 1500)
            labels = f'http_route="/buy",{target},le="+Inf",{scope}'
            assert live[f"http_server_duration_seconds_bucket{{{labels}}}"] == ("delta", 3)
        finally:
            await trio.to_thread.run_sync(program.end)


async def test_what_is_refused_of_an_export_is_logged_here_since_the_sdk_says_nothing() -> None:
    with structlog.testing.capture_logs() as logs:
        await _export_too_many_labels()
    [line] = [one for one in logs if one["event"] == "not taken"]
    assert (line["format"], line["code"]) == ("otlp", "labels")
    assert "limits.labels" in line["example"]


async def _export_too_many_labels() -> None:
    async with serving(limits=Limits(labels=4)) as served:
        program = Program(reader(served))
        try:
            program.work()
            await program.flush()
            assert await served.metric("pushsvc_otlp_points_refused_total") > 0
        finally:
            await trio.to_thread.run_sync(program.end)


async def test_exponential_histograms_are_kept_as_classic_ones() -> None:
    view = View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation())
    async with serving() as served:
        program = Program(reader(served), views=(view,))
        try:
            program.work()
            await program.flush()
            found = {text: one for text, one in (await read(served)).items() if "duration" in text}
            assert all(kind == "counter" for kind, _ in found.values())
            counts = {text.partition("{")[0]: value for text, (_, value) in found.items()}
            assert counts["http_server_duration_seconds_count"] == 3
            buckets = [value for text, (_, value) in found.items() if "_bucket" in text]
            assert len(buckets) <= 20
            assert max(buckets) == 3
        finally:
            await trio.to_thread.run_sync(program.end)


async def test_the_exporter_waits_when_it_is_told_to_and_loses_nothing() -> None:
    async with serving(limits=Limits(samples_per_second=20.0)) as served:
        used = {"samples": [{"name": "used", "value": n} for n in range(230)]}
        assert (await served.http.post("/v1/samples", json=used)).status_code == 200
        program = Program(reader(served))
        program.work()
        began = trio.current_time()
        await program.flush()
        assert trio.current_time() - began > 1.0  # the share was overdrawn by a second and a half
        assert await served.metric("pushsvc_producers_refused_total") >= 1
        found = await read(served)
        assert [value for name, (_, value) in found.items() if "http_server_open" in name] == [3.0]
        program.end()
