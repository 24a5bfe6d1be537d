"""The formats' contract: bytes in, a Batch or a Problem out, and never anything else.

StatsD, which is never answered, has its own in `test_statsd`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from math import isfinite

import cramjam
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushsvc.core.limits import Limits
from pushsvc.core.series import Batch
from pushsvc.errors import Problem
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import JSON, MSGPACK, NativeDecoder
from pushsvc.ingest.otlp import OtlpDecoder
from pushsvc.ingest.remote_write import RemoteWriteDecoder
from tests.ingest.samples import NOW, remote_write_1, remote_write_2

LIMITS = Limits(batch_samples=1000)

influx = InfluxDecoder(LIMITS)
native = NativeDecoder(LIMITS)
otlp = OtlpDecoder(LIMITS, ())
prometheus = RemoteWriteDecoder(LIMITS)


DECODERS: dict[str, Callable[[bytes], Batch]] = {
    "json": lambda body: native.batch(body, NOW, JSON),
    "msgpack": lambda body: native.batch(body, NOW, MSGPACK),
    "influx": lambda body: influx.decode(body, NOW).batch,
    "otlp protobuf": lambda body: otlp.protobuf(body, NOW).batch,
    "otlp json": lambda body: otlp.json(body, NOW).batch,
    "remote write 1.0": lambda body: prometheus.decode(body, NOW, version=1).batch,
    "remote write 2.0": lambda body: prometheus.decode(body, NOW, version=2).batch,
    "remote write 1.0, inflated": lambda body: (
        prometheus.decode(bytes(cramjam.snappy.compress_raw(body)), NOW, version=1).batch
    ),
    "remote write 2.0, inflated": lambda body: (
        prometheus.decode(bytes(cramjam.snappy.compress_raw(body)), NOW, version=2).batch
    ),
}

VALID: dict[str, bytes] = {
    "json": b'{"samples":[{"name":"a","labels":{"h":"x"},"value":1.5}]}',
    "influx": b'cpu,host=a\\ b,dc=eu usage=1.5,up=t,n=3i,note="a b" 1732320000000000000\n# no\n',
    "remote write 1.0, inflated": remote_write_1({"a_total": [(1.5, NOW)], "b": [(2.0, NOW)]}),
    "remote write 2.0, inflated": remote_write_2({"a_total": [(1.5, NOW)], "b": [(2.0, NOW)]}),
}


def check(batch: Batch) -> None:
    """What the hub takes for granted."""
    seen = set()
    for rows in batch.rows:
        assert rows.identity.text not in seen
        seen.add(rows.identity.text)
        assert len(rows.times) == len(rows.values) > 0
        assert all(type(time) is int for time in rows.times)
        floats = [value for value in rows.values if type(value) is float]
        assert len(floats) in (0, len(rows.values))
        assert all(isfinite(value) for value in floats)


def decode(name: str, body: bytes) -> None:
    with contextlib.suppress(Problem):
        check(DECODERS[name](body))


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=300))
@example(body=b"")
@example(body=b"\xff" * 40)
@example(body=b"\x0a\x00" * 20)
def test_any_bytes(name: str, body: bytes) -> None:
    decode(name, body)


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_valid_bodies_with_something_changed(name: str, data: st.DataObject) -> None:
    body = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        action = data.draw(st.sampled_from(("change", "cut", "insert", "repeat")))
        if action == "change" and body:
            body[at] = data.draw(st.integers(0, 255))
        elif action == "cut":
            del body[at : at + data.draw(st.integers(1, 10))]
        elif action == "insert":
            body[at:at] = data.draw(st.binary(max_size=10))
        else:
            body[at:at] = body[at : at + 30]
    decode(name, bytes(body))


TEXT = st.text(st.sampled_from('abc =,"\\0123456789.-+eEiutT#\n\rµ😀'), max_size=60)


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_any_line(text: str) -> None:
    decode("influx", text.encode())


@settings(max_examples=200, deadline=None)
@given(st.floats(), st.integers(-(2**63), 2**63 - 1))
def test_any_value_and_time_of_remote_write(value: float, time: int) -> None:
    for name, make in (
        ("remote write 1.0, inflated", remote_write_1),
        ("remote write 2.0, inflated", remote_write_2),
    ):
        decode(name, make({"a": [(value, time)]}))
