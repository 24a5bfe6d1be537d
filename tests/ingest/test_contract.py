"""The formats' contract: bytes in, a Batch or a Problem out, and never anything else."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushsvc.errors import Problem
from tests.core.world import World
from tests.ingest.decoders import DECODERS, VALID, check
from tests.ingest.samples import NOW, remote_write_1, remote_write_2


def decode(name: str, body: bytes) -> None:
    with contextlib.suppress(Problem):
        check(DECODERS[name](body))


@pytest.mark.parametrize("name", VALID)
def test_a_good_body(name: str) -> None:
    batch = DECODERS[name](VALID[name])
    check(batch)
    assert len(batch.rows) >= 1


TIMED = {
    **{name: body for name, body in VALID.items() if name not in ("json", "msgpack", "statsd")},
    "json": b'{"samples":[{"name":"a","value":1,"time":%d},{"name":"a","value":null,"time":%d}]}'
    % (NOW, NOW + 1),
    "msgpack": msgspec.msgpack.encode(
        {"samples": [{"name": "a", "value": 1, "kind": "delta", "time": NOW}]}
    ),
    "influx": b"m,h=a v=1,w=2i %d000000\nm,h=b v=t %d000000" % (NOW, NOW),
}
"""Bodies of samples that all have the time of their producer."""


@pytest.mark.parametrize("name", TIMED)
def test_what_is_sent_again_changes_nothing(name: str) -> None:
    hub = World().hub
    for seq in (1, 2):
        batch = DECODERS[name](TIMED[name])
        assert all(rows.given for rows in batch.rows)
        applied = hub.apply(seq, batch, 0.0)
        # It counts as applied: its producer has nothing more to do.
        assert applied.samples == batch.count > 0
    assert sum(len(series.history) for series in hub.catalog) == batch.count
    assert hub.counts["samples_repeated"] == batch.count


@pytest.mark.parametrize("name", ["json", "msgpack", "influx", "statsd", "prometheus-text"])
def test_what_has_no_time_is_never_the_same(name: str) -> None:
    bodies = {"influx": b"m v=1\nm v=1", "statsd": b"a:1|g", "prometheus-text": b"m 1\nm 1"}
    hub = World().hub
    for seq in (1, 2):
        batch = DECODERS[name](bodies.get(name, VALID[name]))
        assert not any(rows.given for rows in batch.rows)
        hub.apply(seq, batch, 0.0)
    assert sum(len(series.history) for series in hub.catalog) == 2 * batch.count


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=300))
@example(body=b"")
@example(body=b"\xff" * 40)
@example(body=b"\x0a\x00" * 20)
@example(body=b", a=1,b=2")
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
        ("remote-write-1", remote_write_1),
        ("remote-write-2", remote_write_2),
    ):
        decode(name, make({"a": [(value, time)]}))
