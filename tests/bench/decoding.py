"""A process that takes bodies of one format apart, as the service does and as others do.

`python -m tests.bench.decoding`: it writes one line of JSON for each job it is given on standard
input, and ends with that. The others are what a receiver in Python would be made of: the format's
own library, and a walk over what that gives, which ends in labels, times and values; and, where it
was compiled, Go's, which ends in its structures.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import cramjam
import line_protocol_parser
import msgspec
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.types import AnyValue
from prometheus_client.parser import text_string_to_metric_families

from pushsvc.core.model.series import Batch
from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import JSON, MSGPACK, NativeDecoder
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.prometheus_text.decoder import PrometheusTextDecoder
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.ingest.remote_write.messages import Request, WriteRequest
from tests.bench.peers import unmarshal

SERIES = 10_000
"""Of a body, one sample each: what an agent for some fifty hosts sends at a time."""
_NOW = 1_764_000_000_000

_Taken = tuple[dict[str, str], int, float]


Who = Literal["pushsvc", "reference", "go"]


class Job(msgspec.Struct, frozen=True):
    format: str
    who: Who
    seconds: float


class Done(msgspec.Struct, frozen=True):
    samples: int
    cpu: float
    """Seconds."""
    sample_bytes: float
    """Bytes of the body for each of its samples."""


def _series() -> Iterator[tuple[dict[str, str], float]]:
    for n in range(SERIES):
        labels = {
            "cpu": str(n % 8),
            "instance": f"web-{n // 32:03}:9100",
            "job": "node",
            "mode": ("idle", "user", "system", "iowait")[n // 8 % 4],
        }
        yield labels, n * 1.5


def _write_1() -> bytes:
    request = WriteRequest()
    for labels, value in _series():
        one = request.timeseries.add()
        for name, text in sorted({"__name__": "node_cpu_seconds_total", **labels}.items()):
            one.labels.add(name=name, value=text)
        one.samples.add(value=value, timestamp=_NOW)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _write_2() -> bytes:
    request = Request()
    symbols = {"": 0}
    for labels, value in _series():
        one = request.timeseries.add()
        for pair in sorted({"__name__": "node_cpu_seconds_total", **labels}.items()):
            one.labels_refs.extend(symbols.setdefault(text, len(symbols)) for text in pair)
        one.metadata.type = 1
        one.samples.add(value=value, timestamp=_NOW)
    request.symbols.extend(symbols)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def _lines() -> bytes:
    lines = []
    for labels, value in _series():
        tags = ",".join(f"{name}={text}" for name, text in labels.items())
        lines.append(f"node_cpu,{tags} seconds={value} {_NOW}000000")
    return "\n".join(lines).encode()


def _otlp() -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name, metric.unit = "node.cpu", "s"
    for labels, value in _series():
        point = metric.gauge.data_points.add(time_unix_nano=_NOW * 1_000_000, as_double=value)
        for name, text in labels.items():
            point.attributes.add(key=name).value.string_value = text
    return bytes(request.SerializeToString())


def _histograms() -> bytes:
    """What a program's SDK exports: SERIES samples in histograms of 16 each."""
    request = ExportMetricsServiceRequest()
    of_resource: Any = request.resource_metrics.add()
    of_resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name = "http"
    for number in range(SERIES // 16 // 25):
        metric = of_scope.metrics.add(name=f"http.duration.{number}", unit="s")
        metric.histogram.aggregation_temporality = 2
        for route in range(25):
            point = metric.histogram.data_points.add(
                time_unix_nano=_NOW * 1_000_000,
                explicit_bounds=[n / 4 for n in range(13)],
                bucket_counts=range(14),
                count=91,
                sum=float(route),
            )
            for name, text in (("http.route", f"/{route}"), ("http.method", "GET")):
                point.attributes.add(key=name).value.string_value = text
    return bytes(request.SerializeToString())


def _of_the_sdk() -> bytes:
    """What OpenTelemetry's SDK for Python exports of a service with counters, gauges and
    histograms."""
    reader = InMemoryMetricReader()
    resource = Resource.create({"service.name": "shop", "service.instance.id": "1"})
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    meter = provider.get_meter("shop", "1.0")
    for number in range(20):
        counter = meter.create_counter(f"shop.orders.{number}", "1", "Orders.")
        gauge = meter.create_gauge(f"shop.stock.{number}", "By", "What is there.")
        took = meter.create_histogram(f"http.server.duration.{number}", "ms", "How long.")
        for route in range(50):
            at: dict[str, AnyValue] = {
                "http.route": f"/{route}",
                "http.method": "GET",
                "http.status_code": 200,
            }
            counter.add(route + 1, at)
            gauge.set(route * 1.5, at)
            for value in (3, 70, 900):
                took.record(value + route, at)
    data = reader.get_metrics_data()
    assert data is not None
    return bytes(encode_metrics(data).SerializeToString())


def _text() -> bytes:
    lines = ["# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode."]
    lines.append("# TYPE node_cpu_seconds_total counter")
    for labels, value in _series():
        inside = ",".join(f'{name}="{text}"' for name, text in labels.items())
        lines.append(f"node_cpu_seconds_total{{{inside}}} {value}")
    return ("\n".join(lines) + "\n").encode()


def _as_json(body: bytes) -> bytes:
    message = ExportMetricsServiceRequest.FromString(body)
    return msgspec.json.encode(json_format.MessageToDict(message, use_integers_for_enums=True))


def _samples() -> dict[str, list[dict[str, object]]]:
    name = "node_cpu_seconds_total"
    return {
        "samples": [
            {"name": name, "labels": labels, "value": value, "time": _NOW}
            for labels, value in _series()
        ]
    }


def _walk_1(body: bytes) -> list[_Taken]:
    message = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return [
        ({pair.name: pair.value for pair in series.labels}, sample.timestamp, sample.value)
        for series in message.timeseries
        for sample in series.samples
    ]


def _walk_2(body: bytes) -> list[_Taken]:
    message = Request.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    symbols = list(message.symbols)
    taken = []
    for series in message.timeseries:
        refs = list(series.labels_refs)
        labels = {
            symbols[name]: symbols[value] for name, value in zip(refs[::2], refs[1::2], strict=True)
        }
        taken += [(labels, sample.timestamp, sample.value) for sample in series.samples]
    return taken


def _walk_lines(body: bytes) -> list[_Taken]:
    taken = []
    for line in body.decode().split("\n"):
        point = line_protocol_parser.parse_line(line)
        taken += [(point["tags"], point["time"], value) for value in point["fields"].values()]
    return taken


def _walk_otlp(body: bytes) -> list[_Taken]:
    message = ExportMetricsServiceRequest.FromString(body)
    return [
        (
            {pair.key: pair.value.string_value for pair in point.attributes},
            point.time_unix_nano,
            point.as_double,
        )
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.gauge.data_points
    ]


def _walk_histograms(body: bytes) -> list[object]:
    message = ExportMetricsServiceRequest.FromString(body)
    return [
        (
            {pair.key: pair.value.string_value for pair in point.attributes},
            point.time_unix_nano,
            list(zip(point.explicit_bounds, point.bucket_counts, strict=False)),
            point.sum,
            point.count,
        )
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.histogram.data_points
    ]


def _walk_sdk(body: bytes) -> list[object]:
    message = ExportMetricsServiceRequest.FromString(body)
    found: list[object] = []
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                what = metric.WhichOneof("data")
                assert what is not None
                for point in getattr(metric, what).data_points:
                    labels = {
                        pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
                        for pair in point.attributes
                    }
                    if what == "histogram":
                        buckets = zip(point.explicit_bounds, point.bucket_counts, strict=False)
                        found.append((labels, point.time_unix_nano, list(buckets), point.sum))
                    else:
                        value = getattr(point, point.WhichOneof("value"))
                        found.append((labels, point.time_unix_nano, value))
    return found


def _walk_text(body: bytes) -> list[_Taken]:
    return [
        (sample.labels, _NOW, sample.value)
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    ]


def _formats() -> dict[str, tuple[bytes, Callable[[bytes], Batch], Callable[[bytes], object]]]:
    """By name: a body, the service's decoder, and the other."""
    limits = Limits()
    native, influx = NativeDecoder(limits), InfluxDecoder(limits)
    text = PrometheusTextDecoder(limits)
    prometheus, otlp = RemoteWriteDecoder(limits), OtlpDecoder(limits, ())

    def exported(body: bytes) -> Batch:
        decoded = otlp.protobuf(body, time.time_ns() // 1_000_000)
        otlp.remember(decoded)  # as the service does, once it is applied
        return decoded.batch

    return {
        "remote write 1.0": (
            _write_1(),
            lambda body: prometheus.decode(body, _NOW, version=1).batch,
            _walk_1,
        ),
        "remote write 2.0": (
            _write_2(),
            lambda body: prometheus.decode(body, _NOW, version=2).batch,
            _walk_2,
        ),
        "line protocol": (_lines(), lambda body: influx.decode(body, _NOW).batch, _walk_lines),
        "OTLP": (_otlp(), lambda body: otlp.protobuf(body, _NOW).batch, _walk_otlp),
        "OTLP, histograms": (
            _histograms(),
            lambda body: otlp.protobuf(body, _NOW).batch,
            _walk_histograms,
        ),
        "OTLP, Python SDK": (
            _of_the_sdk(),
            exported,
            _walk_sdk,
        ),
        "text format": (_text(), lambda body: text.decode(body, _NOW).batch, _walk_text),
        "OTLP as JSON": (
            _as_json(_otlp()),
            lambda body: otlp.json(body, _NOW).batch,
            msgspec.json.decode,
        ),
        "JSON": (
            msgspec.json.encode(_samples()),
            lambda body: native.batch(body, _NOW, JSON),
            msgspec.json.decode,
        ),
        "MessagePack": (
            msgspec.msgpack.encode(_samples()),
            lambda body: native.batch(body, _NOW, MSGPACK),
            msgspec.msgpack.decode,
        ),
    }


def main() -> None:
    # As in the service: what lives long is not gone through again and again.
    gc.set_threshold(700, 10, 10)
    formats = _formats()
    for line in sys.stdin:
        job = msgspec.json.decode(line, type=Job)
        body, ours, reference = formats[job.format]
        each = ours(body).count
        if job.who == "go":
            name = "OTLP" if job.format.startswith("OTLP, ") else job.format
            samples, cpu = each, unmarshal.seconds_of(name, body, job.seconds)
        else:
            decode: Callable[[bytes], object] = reference if job.who == "reference" else ours
            decode(body)
            samples, began = 0, time.process_time()
            while (cpu := time.process_time() - began) < job.seconds:
                decode(body)
                samples += each
        done = Done(samples, cpu, len(body) / each)
        print(msgspec.json.encode(done).decode(), flush=True)


if __name__ == "__main__":
    main()
