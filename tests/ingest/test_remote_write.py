"""Remote write: what series are called and are, what ends them, what is refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.model.series import identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Problem, TooLarge
from pushsvc.ingest.gathered import Known
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.ingest.remote_write.messages import Request, WriteRequest
from pushsvc.ingest.remote_write.tables import Tables
from pushsvc.ingest.remote_write.taking import Decoded
from tests.ingest.samples import NOW, remote_write_1, remote_write_2, snappy

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
MAKE = {1: remote_write_1, 2: remote_write_2}


def decoder(**limits: Any) -> RemoteWriteDecoder:
    return RemoteWriteDecoder(Limits(**limits))


def said(decoded: Decoded) -> dict[str, list[tuple[Any, int]]]:
    found: dict[str, list[tuple[Any, int]]] = {}
    for rows in decoded.batch.rows:
        found.setdefault(rows.identity.text, []).extend(zip(rows.values, rows.times, strict=True))
    return found


@pytest.mark.parametrize("version", [1, 2])
def test_series_and_samples_are_the_same_each_time(version: int) -> None:
    reader = decoder()
    for turn in range(3):
        points = {f"m{n}": [(n + turn / 2, NOW + turn)] for n in range(5)}
        body = MAKE[version](points, labels={"job": "node", "instance": "a:9100"})
        decoded = reader.decode(snappy(body), NOW, version=version)
        assert said(decoded) == {
            f'm{n}{{instance="a:9100",job="node"}}': [(n + turn / 2, NOW + turn)] for n in range(5)
        }
        assert decoded.samples == 5
        assert not decoded.refusals.reasons


@pytest.mark.parametrize("version", [1, 2])
def test_several_samples_of_one_series_keep_their_order(version: int) -> None:
    reader = decoder()
    points = [(float(n), NOW + n) for n in range(4)]
    for _ in range(2):
        decoded = reader.decode(snappy(MAKE[version]({"a": points})), NOW, version=version)
        assert said(decoded) == {"a": points}


times = st.one_of(
    st.integers(NOW - 1000, NOW + 1000), st.sampled_from((0, 1, 127, 128, 2**35, 2**42, 2**49))
)
requests = st.dictionaries(
    st.sampled_from(("a", "b_total", "c:d", "e" * 150)),
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), times), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(requests, max_size=3), st.dictionaries(st.sampled_from("xyz"), st.text(max_size=200))
)
def test_the_short_way_and_the_long_one_agree(
    bodies: list[dict[str, list[tuple[float, int]]]], labels: dict[str, str]
) -> None:
    limits = Limits(past_seconds=1e11, future_seconds=1e11)
    knowing = RemoteWriteDecoder(limits)
    for points in bodies:
        body = snappy(remote_write_1(points, labels=labels))
        fresh = RemoteWriteDecoder(limits).decode(body, NOW, version=1)
        for _ in range(2):
            assert said(knowing.decode(body, NOW, version=1)) == said(fresh)
        second = snappy(remote_write_2(points, labels=labels))
        for _ in range(3):
            assert said(knowing.decode(second, NOW, version=2)) == said(fresh)


bits = st.one_of(
    st.sampled_from([0, 1, 2, 9, 0x0A, 0x10, 0x12, 0x2A, 0x7F, 0x80, 0xFF]), st.integers(0, 255)
)


@settings(max_examples=200, deadline=None)
@given(
    requests,
    st.sampled_from([(0, "", ""), (1, "Help.", "s")]),
    st.lists(st.tuples(st.integers(0, 10**6), bits), min_size=1, max_size=3),
    st.integers(0, 30),
)
def test_bytes_that_are_nearly_those_that_came_before(
    points: dict[str, list[tuple[float, int]]],
    metadata: tuple[int, str, str],
    changes: list[tuple[int, int]],
    cut: int,
) -> None:
    """Where all symbols are the same, so that series are known by their bytes alone."""
    limits = Limits(past_seconds=1e11, future_seconds=1e11)
    knowing = RemoteWriteDecoder(limits)
    usual = remote_write_2({**points, "m": [(1.0, NOW)]}, labels={"x": "y"}, metadata=metadata)
    for _ in range(3):
        knowing.decode(snappy(usual), NOW, version=2)
    body = bytearray(usual)
    for at, byte in changes:
        body[at % len(body)] = byte
    for one in (bytes(body), usual[: len(usual) - cut], usual):
        told = [outcome(each, one) for each in (RemoteWriteDecoder(limits), knowing)]
        assert told[0] == told[1]


def outcome(reader: RemoteWriteDecoder, body: bytes) -> object:
    try:
        decoded = reader.decode(snappy(body), NOW, version=2)
    except Problem as problem:
        return type(problem), problem.code, problem.detail
    rows = [
        (row.identity.text, list(map(repr, row.values)), row.times, row.kind, row.unit, row.help)
        for row in decoded.batch.rows
    ]
    return rows, decoded.samples, decoded.refusals.message(), decoded.histograms, decoded.exemplars


def test_series_are_known_by_their_bytes_from_the_third_time_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = decoder()

    def decode(value: float) -> Decoded:
        series = {f"m{n}": [(value * n, NOW)] for n in range(5)}  # a zero isn't written
        return reader.decode(snappy(remote_write_2(series)), NOW, version=2)

    decode(1.0)
    decode(2.0)

    def again(*_: object) -> None:
        raise AssertionError("read anew")

    monkeypatch.setattr(reader._version2, "_survey", again)
    assert said(decode(3.0)) == {f"m{n}": [(3.0 * n, NOW)] for n in range(5)}


@pytest.mark.parametrize("version", [1, 2])
def test_a_zero_which_is_not_written_is_read_as_quickly(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = decoder()

    def decode(*values: float) -> Decoded:
        series = {f"m{n}": [(value, NOW)] for n, value in enumerate(values)}
        return reader.decode(snappy(MAKE[version](series)), NOW, version=version)

    decode(1.0, 0.0, -0.0)

    def again(*_: object) -> None:
        raise AssertionError("read anew")

    monkeypatch.setattr(reader._version1, "_series_of", again)
    monkeypatch.setattr(reader._version2, "_unusual", again)
    assert repr(said(decode(0.0, 2.0, -0.0))) == repr(
        {"m0": [(0.0, NOW)], "m1": [(2.0, NOW)], "m2": [(-0.0, NOW)]}
    )


def test_a_table_that_doesnt_help_is_given_up() -> None:
    reader = decoder()
    series = {"a": [(1.0, NOW)], "b": [(1.0, NOW), (2.0, NOW + 1)]}
    for _ in range(10):
        reader.decode(snappy(remote_write_2(series)), NOW, version=2)
    assert reader._version2._tables.size == 0


def test_tables_of_symbols_are_bounded_by_their_bytes() -> None:
    tables = Tables(20_000)
    for n in range(100):
        symbols = ("", str(n))
        assert tables.find(symbols) is None
        table = tables.find(symbols)
        assert table is not None
        for key in range(n):
            tables.add(table, b"%d" % key, Known(identify("a", {}, Limits()), None))
        assert 0 < tables.size <= 20_000
    assert tables.find(("", "99")) is table
    assert tables.find(("", "0")) is None


def test_kinds_by_name_until_metadata_tells() -> None:
    reader = decoder()
    names = ["http_requests_total", "temperature", "latency_bucket", "latency_sum"]
    body = snappy(remote_write_1({name: [(1.0, NOW)] for name in names}))
    kinds = [rows.kind for rows in reader.decode(body, NOW, version=1).batch.rows]
    assert kinds == ["counter", None, "counter", "counter"]
    request: Any = WriteRequest()
    request.metadata.add(type=1, metric_family_name="temperature", help="Odd.", unit="celsius")
    request.metadata.add(type=3, metric_family_name="latency", help="How long.", unit="seconds")
    assert not reader.decode(snappy(request.SerializeToString()), NOW, version=1).batch.rows
    rows = reader.decode(body, NOW, version=1).batch.rows
    assert [(row.kind, row.unit, row.help) for row in rows] == [
        ("counter", None, None),
        ("counter", "celsius", "Odd."),
        ("counter", None, "How long."),
        ("counter", "seconds", "How long."),
    ]


@pytest.mark.parametrize(
    ("type_", "name", "labels", "kind", "unit"),
    [
        (0, "a", {}, None, "bytes"),
        (0, "a_total", {}, "counter", "bytes"),
        (0, "a_bucket", {"le": "1"}, "counter", None),
        (1, "a", {}, "counter", "bytes"),
        (1, "a_count", {}, "counter", "bytes"),
        (2, "a", {}, "gauge", "bytes"),
        (2, "a_bucket", {}, "gauge", "bytes"),
        (3, "a_bucket", {"le": "1"}, "counter", None),
        (3, "a_count", {}, "counter", None),
        (3, "a_sum", {}, "counter", "bytes"),
        (4, "a_gcount", {}, "gauge", None),
        (4, "a_gsum", {}, "gauge", "bytes"),
        (5, "a", {"quantile": "0.9"}, "gauge", "bytes"),
        (5, "a_count", {}, "counter", None),
        (5, "a_sum", {}, "counter", "bytes"),
        (6, "a", {}, "gauge", "bytes"),
    ],
)
def test_metadata_of_version_2(
    type_: int, name: str, labels: dict[str, str], kind: str | None, unit: str | None
) -> None:
    body = remote_write_2({name: [(1.0, NOW)]}, labels=labels, metadata=(type_, "Help.", "bytes"))
    [rows] = decoder().decode(snappy(body), NOW, version=2).batch.rows
    assert (rows.kind, rows.help, rows.unit) == (kind, "Help.", unit)


@pytest.mark.parametrize("version", [1, 2])
def test_a_staleness_marker_ends_a_series(version: int) -> None:
    points = {
        "over": [(1.0, NOW), (STALE, NOW + 1)],
        "back": [(STALE, NOW), (2.0, NOW + 1)],
        "gone": [(STALE, NOW)],
    }
    decoded = decoder().decode(snappy(MAKE[version](points)), NOW, version=version)
    assert said(decoded) == {
        "over": [(1.0, NOW), (None, NOW + 1)],
        "back": [(None, NOW), (2.0, NOW + 1)],
        "gone": [(None, NOW)],
    }
    assert all(rows.given for rows in decoded.batch.rows)
    assert not decoded.refusals.reasons


@pytest.mark.parametrize("release_candidate", [3, 4])
def test_a_start_time_that_moves_on_is_a_reset(release_candidate: int) -> None:
    reader = decoder()

    def send(value: float, start: int, time: int, *, applied: bool = True) -> list[Any]:
        request: Any = Request.FromString(remote_write_2({"a_total": [(value, time)]}))
        [series] = request.timeseries
        if release_candidate == 3:
            series.created_timestamp = start
        else:
            series.samples[0].start_timestamp = start
        decoded = reader.decode(snappy(request.SerializeToString()), NOW, version=2)
        assert decoded.samples == 1
        if applied:
            reader.remember(decoded)
        return said(decoded)["a_total"]

    assert send(5.0, NOW - 90, NOW - 80) == [(5.0, NOW - 80)]
    assert send(6.0, NOW - 90, NOW - 70) == [(6.0, NOW - 70)]
    reset = [(0.0, NOW - 60), (9.0, NOW - 50)]
    assert send(9.0, NOW - 60, NOW - 50, applied=False) == reset
    assert send(9.0, NOW - 60, NOW - 50) == reset
    assert send(10.0, NOW - 60, NOW - 40) == [(10.0, NOW - 40)]


def test_metadata_of_an_unknown_type_keeps_its_help_and_the_guess_of_a_counter() -> None:
    reader = decoder()
    request: Any = WriteRequest()
    for name in ("a", "b_total"):
        request.metadata.add(type=0, metric_family_name=name, help=f"Of {name}.", unit="bytes")
    reader.decode(snappy(request.SerializeToString()), NOW, version=1)
    body = snappy(remote_write_1({"a": [(1.0, NOW)], "b_total": [(1.0, NOW)]}))
    rows = reader.decode(body, NOW, version=1).batch.rows
    assert [(one.kind, one.help, one.unit) for one in rows] == [
        (None, "Of a.", "bytes"),
        ("counter", "Of b_total.", "bytes"),
    ]


def test_what_nobody_can_draw_is_passed_over() -> None:
    body = remote_write_1({"a": [(float("nan"), NOW), (float("inf"), NOW), (1.0, NOW)]})
    decoded = decoder().decode(snappy(body), NOW, version=1)
    assert said(decoded) == {"a": [(1.0, NOW)]}
    assert (decoded.passed_over, decoded.refusals.count) == (2, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_bad_series_are_refused_by_name_and_the_others_taken(version: int) -> None:
    points = {"good": [(1.0, NOW)], "": [(1.0, NOW)], "late": [(1.0, 5)]}
    decoded = decoder().decode(snappy(MAKE[version](points)), NOW, version=version)
    assert list(said(decoded)) == ["good"]
    assert decoded.refusals.count == 2
    assert "metric name is empty" in decoded.refusals.reasons


def test_a_label_twice_is_refused() -> None:
    request: Any = WriteRequest()
    one = request.timeseries.add()
    for name, value in (("__name__", "a"), ("x", "1"), ("x", "2")):
        one.labels.add(name=name, value=value)
    one.samples.add(value=1.0, timestamp=NOW)
    for _ in range(2):
        decoded = decoder().decode(snappy(request.SerializeToString()), NOW, version=1)
        assert (decoded.samples, decoded.refusals.count) == (0, 1)


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = snappy(b"\0" * 10_000_000)
    assert len(bomb) < 1_000_000
    with pytest.raises(TooLarge, match=r"limits\.body_bytes"):
        decoder(body_bytes=1_000_000).decode(bomb, NOW, version=1)
    # One that announces less than it is.
    with pytest.raises(Malformed, match="snappy"):
        decoder().decode(b"\x05" + bomb[4:], NOW, version=1)


def test_too_many_samples_are_too_many() -> None:
    body = snappy(remote_write_1({f"m{n}": [(1.0, NOW)] for n in range(11)}))
    with pytest.raises(TooLarge, match=r"limits\.batch_samples"):
        decoder(batch_samples=10).decode(body, NOW, version=1)


def test_memory_is_bounded() -> None:
    reader = decoder(series=5)
    for n in range(200):
        for version in (1, 2):
            body = MAKE[version]({f"m{n}": [(1.0, NOW)]}, labels={"n": str(n)})
            reader.decode(snappy(body), NOW, version=version)
    series = reader._version1._series
    assert series is reader._version2._series
    assert len(series) <= series._count <= 10
    assert 0 < len(reader._version2._symbols) <= 40
