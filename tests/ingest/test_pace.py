"""What is large is decoded in pieces, between which its thread can stand still."""

from __future__ import annotations

import msgspec
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from pushsvc.ingest.pace import paced, pausing
from tests.ingest.decoders import DECODERS
from tests.ingest.samples import NOW, remote_write_1, remote_write_2, snappy

SERIES = 480


def export(*, together: bool) -> bytes:
    """As points of one metric, or as many metrics."""
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    if together:
        points = metrics.add(name="m").gauge.data_points
    for n in range(SERIES):
        if not together:
            points = metrics.add(name=f"m{n}").gauge.data_points
        point = points.add(as_double=1.5, time_unix_nano=NOW * 10**6)
        point.attributes.add(key="n").value.string_value = str(n)
    return bytes(request.SerializeToString())


NAMES = [f"m{n}" for n in range(SERIES)]
SAMPLES = {"samples": [{"name": name, "value": 1.5, "time": NOW} for name in NAMES]}
SERIES_OF_WRITES = {key: [(1.5, NOW)] for key in NAMES}
BODIES = {
    "json": ("json", msgspec.json.encode(SAMPLES)),
    "msgpack": ("msgpack", msgspec.msgpack.encode(SAMPLES)),
    "influx": ("influx", b"\n".join(b"m,n=%d v=1.5 %d000000" % (n, NOW) for n in range(SERIES))),
    "text": ("prometheus-text", b"".join(b'm{n="%d"} 1.5\n' % n for n in range(SERIES))),
    "remote-write-1": ("remote-write-1-snappy", snappy(remote_write_1(SERIES_OF_WRITES))),
    "remote-write-2": ("remote-write-2-snappy", snappy(remote_write_2(SERIES_OF_WRITES))),
    "points": ("otlp-protobuf", export(together=True)),
    "metrics": ("otlp-protobuf", export(together=False)),
}


@pytest.mark.parametrize("name", BODIES)
def test_all_formats_pause(name: str) -> None:
    decoder, body = BODIES[name]
    whole = DECODERS[decoder](body)  # which are known series from here on
    assert whole.count == SERIES
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1

    with pausing(pause):
        again = DECODERS[decoder](body)
    assert [(rows.identity, rows.times, rows.values) for rows in again.rows] == [
        (rows.identity, rows.times, rows.values) for rows in whole.rows
    ]
    assert pauses >= 3


def test_nothing_is_lost_or_doubled() -> None:
    for count in (0, 1, 127, 128, 129, 1000):
        with pausing(lambda: None):
            assert list(paced(iter(range(count)))) == list(range(count))


def test_a_pause_that_raises_ends_it() -> None:
    def pause() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError), pausing(pause):
        DECODERS["json"](BODIES["json"][1])
    assert DECODERS["json"](BODIES["json"][1]).count == SERIES
