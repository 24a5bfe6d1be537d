"""Exponential and native histograms, kept as classic ones: against what was observed, and against
what Prometheus makes of the whole histogram."""

from __future__ import annotations

import math
import random
import struct
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from pushsvc.core.model.series import Batch
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Rejected, TooLarge
from pushsvc.ingest.histograms.kept import MOST, Shape, samples_of
from pushsvc.ingest.histograms.layout import FEWEST, cover
from pushsvc.ingest.histograms.native import CUSTOM, Buckets, Native, bound, coarser, spans
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.ingest.remote_write.messages import Request, WriteRequest
from tests.ingest.samples import NOW, snappy

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def number(value: float, schema: int) -> int:
    """Of the bucket that a value above 0 is in."""
    guess = math.ceil(math.log2(value) * 2.0**schema)
    while bound(schema, guess) < value:
        guess += 1
    while bound(schema, guess - 1) >= value:
        guess -= 1
    return guess


def native(values: Sequence[float], schema: int) -> Native:
    """What an SDK makes of these values at a schema."""
    positive = Counter(number(value, schema) for value in values if value > 0)
    negative = Counter(number(-value, schema) for value in values if value < 0)
    return Native(
        schema,
        float(len(values)),
        math.fsum(values),
        float(sum(value == 0 for value in values)),
        0.0,
        [(at, float(count)) for at, count in sorted(positive.items())],
        [(at, float(count)) for at, count in sorted(negative.items())],
    ).check()


def classic_quantile(q: float, buckets: Sequence[tuple[float, float]], count: float) -> float:
    """`histogram_quantile` of classic buckets, as Prometheus documents it: linear within a bucket,
    the lowest from 0 if its bound is above that, the highest's lower bound if it is infinite."""
    rank = q * count
    low, below = None, 0.0
    for high, reached in buckets:
        if reached >= rank and reached > 0:
            if low is None:
                low = 0.0 if high > 0 else high
            return low + (high - low) * (rank - below) / (reached - below or 1.0)
        low, below = high, reached
    return buckets[-1][0]


def native_quantile(q: float, histogram: Native) -> float:
    """`histogram_quantile` of a native histogram, as Prometheus documents it: exponential within a
    bucket."""
    rank, below = q * histogram.count, 0.0
    schema = histogram.schema
    for at, count in reversed(histogram.negative):
        if below + count >= rank:
            part = (rank - below) / count
            high, low = bound(schema, at), bound(schema, at - 1)
            return -float(high * (low / high) ** part)
        below += count
    if histogram.zero and below + histogram.zero >= rank:
        return 0.0
    below += histogram.zero
    for at, count in histogram.positive:
        if below + count >= rank:
            low, high = bound(schema, at - 1), bound(schema, at)
            return float(low * (high / low) ** ((rank - below) / count))
        below += count
    return bound(schema, histogram.positive[-1][0])


VALUES = st.lists(
    st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.integers(-4, 8), st.integers(FEWEST, 60))
def test_numbers_at_bounds_are_exact_and_bounds_no_more_than_asked(
    values: list[float], schema: int, most: int
) -> None:
    histogram = native(values, schema)
    layout = cover(histogram, most)
    kept = layout.cumulative(histogram)
    assert len(kept) + 1 <= layout.size <= most
    assert [at for at, _ in kept] == sorted({at for at, _ in kept})
    for at, count in kept:
        # A value that lies on a negative bound is in the bucket above it.
        assert count == sum(value < at if at < 0 else value <= at for value in values)
    # All that was observed is between the outermost bounds.
    assert kept[0][1] == 0 or kept[0][0] == 0 or layout.schema <= -4
    assert kept[-1][1] == len(values)


@pytest.mark.parametrize("most", [FEWEST, 20, 40, 160])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_quantiles_are_within_a_bucket_of_the_exact_and_of_prometheus(
    most: int, sigma: float
) -> None:
    chance = random.Random(7)
    values = sorted(chance.lognormvariate(-3, sigma) for _ in range(4000))
    histogram = native(values, 8)
    layout = cover(histogram, most)
    kept = layout.cumulative(histogram)
    width = bound(layout.schema, 1)
    for q in (0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999):
        ours = classic_quantile(q, kept, histogram.count)
        exact = values[math.ceil(q * len(values)) - 1]
        assert 1 / width <= ours / exact <= width, q
        theirs = native_quantile(q, histogram)
        # Both are in the same bucket of ours; theirs is within one of its own, 0.3% wide.
        assert 1 / (1.003 * width) <= ours / theirs <= 1.003 * width, q
    # The bound that the docs name, for what is spread over three decades.
    if most == 20 and sigma == 1.0:
        assert width <= 2.0


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=6), st.integers(0, 8), st.integers(FEWEST, 30))
def test_bounds_stay_and_increases_are_exact(
    parts: list[list[float]], schema: int, most: int
) -> None:
    """A histogram that grows, and gets coarser as it does, as SDKs make it."""
    shape: Shape | None = None
    seen: dict[str | None, list[tuple[int, float | None]]] = {}
    values: list[float] = []
    history: list[list[float]] = []
    for time, more in enumerate(parts, 1):
        values = [*values, *more]
        history.append(values)
        histogram = native(values, max(-4, schema - time // 2))
        before = shape
        samples, shape = samples_of(histogram, time, before, most=most, counting=True)
        for sample in samples:
            if sample.suffix == "_bucket":
                when = time if sample.time is None else sample.time
                seen.setdefault(sample.le, []).append((when, sample.value))
        if before is not None:
            assert shape.layout.schema <= before.layout.schema
            if shape.layout.schema == before.layout.schema:
                assert set(before.bounds) <= set(shape.bounds)
            # Nothing comes again between what is there.
            for at in set(shape.bounds) - set(before.bounds):
                assert before.at(at) == sum(v < at if at < 0 else v <= at for v in history[-2])
    for le, rows in seen.items():
        at = math.inf if le == "+Inf" else float(le or "")
        for when, value in rows:
            if value is not None:
                then = history[when - 1]
                assert value == sum(v < at if at < 0 else v <= at for v in then)
        # Once it has ended, it stays so, unless it comes anew.
        assert all(one[0] <= two[0] for one, two in pairwise(rows))


def test_the_same_range_has_the_same_bounds_whatever_comes() -> None:
    shape = None
    bounds = set()
    chance = random.Random(3)
    values = [1e-3, 1.0]
    for time in range(50):
        values.append(chance.uniform(1e-3, 1.0))
        _, shape = samples_of(native(values, 8), time, shape, most=MOST, counting=True)
        bounds.add(shape.bounds)
    assert len(bounds) == 1


def test_a_late_histogram_changes_nothing_of_what_is_known() -> None:
    _, shape = samples_of(native([1, 2], 3), 10, None, most=MOST, counting=True)
    samples, after = samples_of(native([1000], 3), 5, shape, most=MOST, counting=True)
    assert after is shape
    assert all(sample.time is None and sample.value is not None for sample in samples)


def test_coarser_schemas_have_the_bounds_of_finer_ones() -> None:
    for schema in range(-3, 9):
        for at in range(-50, 50):
            assert bound(schema, at) == bound(schema + 1, 2 * at)
    assert coarser([(-3, 1.0), (-2, 2.0), (0, 4.0), (1, 8.0)], 1) == [
        (-1, 3.0),
        (0, 4.0),
        (1, 8.0),
    ]
    assert (bound(0, 5000), bound(-11, 1), bound(-11, -1)) == (math.inf, math.inf, 0.0)


def test_any_histogram_has_few_buckets() -> None:
    ends: Buckets = [(-1074 * 2**20, 1.0), (1024 * 2**20, 1.0)]
    histogram = Native(20, 5.0, None, 1.0, 0.0, ends, ends).check()
    layout = cover(histogram, FEWEST)
    kept = layout.cumulative(histogram)
    assert layout.size <= FEWEST
    assert kept[-1][1] <= 5.0


@pytest.mark.parametrize(
    ("histogram", "says"),
    [
        (Native(21 + 32, 0.0, 0.0), "schema"),
        (Native(-12, 0.0, 0.0), "schema"),
        (Native(0, 1.0, 0.0, positive=[(0, 2.0)]), "more than its count"),
        (Native(0, -1.0, 0.0), "negative"),
        (Native(0, 1.0, 0.0, positive=[(0, math.nan)]), "negative or not finite"),
        (Native(0, 1.0, 0.0, width=-1.0), "zero threshold"),
        (Native(0, 1.0, 0.0, positive=[(2000, 1.0)]), "no number"),
        (Native(0, 9e9, 0.0, positive=[(n % 9, 1.0) for n in range(10_001)]), "limit is 10000"),
        (Native(CUSTOM, 1.0, 0.0, positive=[(0, 1.0)], bounds=(2.0, 1.0)), "must rise"),
        (Native(CUSTOM, 1.0, 0.0, positive=[(3, 1.0)], bounds=(1.0, 2.0)), "beyond its bounds"),
    ],
)
def test_what_makes_no_sense_is_refused(histogram: Native, says: str) -> None:
    with pytest.raises(Rejected, match=says):
        histogram.check()


def test_spans() -> None:
    assert spans([(-2, 2), (3, 1)], [1, 1, -1], []) == [(-2, 1.0), (-1, 2.0), (3, 1.0)]
    assert spans([(0, 2)], [], [0.5, 0.0]) == [(0, 0.5)]
    for bad in ([(0, 2)], [(0, 1), (-1, 2)], [(0, 2**31)]):
        with pytest.raises(Rejected):
            spans(bad, [1, 1, 1], [])


# -- as they are sent ------------------------------------------------------------------------------

Version = Literal[1, 2]


def fill(message: Any, histogram: Native, time: int, *, integers: bool) -> None:
    """Write a histogram as Prometheus does, with a span for each bucket."""
    message.schema, message.timestamp = histogram.schema, time
    message.sum = histogram.sum or 0.0
    message.zero_threshold = histogram.width
    kind = "int" if integers else "float"
    as_sent = int if integers else float
    setattr(message, f"count_{kind}", as_sent(histogram.count))
    setattr(message, f"zero_count_{kind}", as_sent(histogram.zero))
    message.custom_values.extend(histogram.bounds)
    for side in ("positive", "negative"):
        after, last = 0, 0
        for at, count in getattr(histogram, side):
            getattr(message, f"{side}_spans").add(offset=at - after, length=1)
            after = at + 1
            if integers:
                getattr(message, f"{side}_deltas").append(int(count) - last)
                last = int(count)
            else:
                getattr(message, f"{side}_counts").append(count)


def write(
    version: Version,
    *histograms: tuple[Native, int],
    integers: bool = True,
    start: int = 0,
    hint: int = 0,
) -> bytes:
    request: Any = WriteRequest() if version == 1 else Request()
    one = request.timeseries.add()
    pairs = [("__name__", "took_seconds"), ("job", "a")]
    if version == 1:
        for name, value in pairs:
            one.labels.add(name=name, value=value)
    else:
        request.symbols.extend(["", *(text for pair in pairs for text in pair)])
        one.labels_refs.extend([1, 2, 3, 4])
        one.metadata.type = 3
    for histogram, time in histograms:
        message = one.histograms.add(reset_hint=hint)
        fill(message, histogram, time, integers=integers)
        if start:
            message.start_timestamp = start
    return snappy(request.SerializeToString())


def rows_of(batch: Batch) -> dict[str, list[tuple[int, Any]]]:
    found: dict[str, list[tuple[int, Any]]] = {}
    for rows in batch.rows:
        found.setdefault(rows.identity.text, []).extend(zip(rows.times, rows.values, strict=True))
    return found


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("integers", [True, False])
def test_remote_write(version: Version, integers: bool) -> None:
    decoder = RemoteWriteDecoder(Limits())
    values = [-2.0, 0.0, 0.3, 1.0, 5.0]
    body = write(version, (native(values, 3), NOW), integers=integers)
    for _ in range(2):
        decoded = decoder.decode(body, NOW, version=version)
        decoder.remember(decoded)
        assert (decoded.histograms, decoded.samples, decoded.refusals.count) == (1, 0, 0)
        found = rows_of(decoded.batch)
        assert found['took_seconds_count{job="a"}'] == [(NOW, 5.0)]
        assert found['took_seconds_sum{job="a"}'] == [(NOW, 4.3)]
        assert found['took_seconds_bucket{job="a",le="+Inf"}'] == [(NOW, 5.0)]
        assert found['took_seconds_bucket{job="a",le="1"}'] == [(NOW, 4.0)]
        assert found['took_seconds_bucket{job="a",le="0"}'] == [(NOW, 2.0)]
        assert {rows.kind for rows in decoded.batch.rows} == {"counter"}
        assert len(found) <= MOST + 2


@pytest.mark.parametrize("version", [1, 2])
def test_custom_bounds_are_kept_as_they_are_or_every_nth_of_them(version: Version) -> None:
    few = Native(CUSTOM, 6.0, 1.0, positive=[(0, 1.0), (2, 2.0), (3, 3.0)], bounds=(1.0, 2.0, 5.5))
    decoded = RemoteWriteDecoder(Limits()).decode(write(version, (few, NOW)), NOW, version=version)
    assert {text: rows[0][1] for text, rows in rows_of(decoded.batch).items() if "le" in text} == {
        'took_seconds_bucket{job="a",le="1"}': 1.0,
        'took_seconds_bucket{job="a",le="2"}': 1.0,
        'took_seconds_bucket{job="a",le="5.5"}': 3.0,
        'took_seconds_bucket{job="a",le="+Inf"}': 6.0,
    }
    many = Native(
        CUSTOM, 60.0, 1.0, positive=[(n, 1.0) for n in range(60)], bounds=tuple(range(1, 61))
    )
    decoded = RemoteWriteDecoder(Limits()).decode(write(version, (many, NOW)), NOW, version=version)
    kept = {text: rows[0][1] for text, rows in rows_of(decoded.batch).items() if "le" in text}
    assert len(kept) <= MOST
    assert kept['took_seconds_bucket{job="a",le="60"}'] == 60.0
    assert kept['took_seconds_bucket{job="a",le="56"}'] == 56.0


@pytest.mark.parametrize("version", [1, 2])
def test_what_falls_away_ends_and_what_is_new_has_a_past(version: Version) -> None:
    decoder = RemoteWriteDecoder(Limits(), buckets=FEWEST)
    first = decoder.decode(write(version, (native([1.0, 1.4], 1), NOW - 9)), NOW, version=version)
    decoder.remember(first)
    again = decoder.decode(
        write(version, (native([1.0, 1.4, 900.0], 1), NOW)), NOW, version=version
    )
    found = rows_of(again.batch)
    dropped = 'took_seconds_bucket{job="a",le="1.4142135623730951"}'
    assert dropped in rows_of(first.batch)
    assert found[dropped] == [(NOW, None)]
    assert found['took_seconds_bucket{job="a",le="1024"}'] == [(NOW - 9, 2.0), (NOW, 3.0)]


@pytest.mark.parametrize("version", [1, 2])
def test_a_staleness_marker_ends_all_of_it(version: Version) -> None:
    decoder = RemoteWriteDecoder(Limits())
    began = decoder.decode(write(version, (native([1.0, 3.0], 0), NOW - 1)), NOW, version=version)
    decoder.remember(began)
    marker = Native(0, 0.0, STALE)
    ended = decoder.decode(write(version, (marker, NOW)), NOW, version=version)
    assert set(rows_of(ended.batch)) == set(rows_of(began.batch))
    assert all(rows == [(NOW, None)] for rows in rows_of(ended.batch).values())


def test_a_gauge_histogram_has_gauges() -> None:
    body = write(2, (native([1.0], 0), NOW), hint=3)
    decoded = RemoteWriteDecoder(Limits()).decode(body, NOW, version=2)
    assert {rows.kind for rows in decoded.batch.rows} == {"gauge"}


def test_a_start_that_moved_on_is_a_reset_of_all_of_it() -> None:
    decoder = RemoteWriteDecoder(Limits())
    for start, time in ((NOW - 100, NOW - 50), (NOW - 40, NOW)):
        decoded = decoder.decode(
            write(2, (native([1.0, 3.0], 0), time), start=start), NOW, version=2
        )
        decoder.remember(decoded)
    found = rows_of(decoded.batch)
    assert found['took_seconds_count{job="a"}'] == [(NOW - 40, 0.0), (NOW, 2.0)]
    assert found['took_seconds_bucket{job="a",le="1"}'] == [(NOW - 40, 0.0), (NOW, 1.0)]


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_wrong_with_a_histogram_is_told_and_counted(version: Version) -> None:
    bad = Native(0, 1.0, 0.0, positive=[(0, 5.0)])
    body = write(version, (bad, NOW), (native([1.0], 0), 5), (native([1.0], 0), NOW))
    decoded = RemoteWriteDecoder(Limits()).decode(body, NOW, version=version)
    assert (decoded.histograms, decoded.refusals.count) == (1, 2)
    assert set(decoded.refusals.by_code) == {"buckets", "time"}
    with pytest.raises(TooLarge):
        RemoteWriteDecoder(Limits(batch_samples=4)).decode(body, NOW, version=version)


def export(*points: dict[str, Any], temporality: int = 2) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric: Any = request.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name, metric.unit = "took", "s"
    metric.exponential_histogram.aggregation_temporality = temporality
    for point in points:
        metric.exponential_histogram.data_points.add(**point)
    return request


def point(values: Sequence[float], scale: int, time: int, **more: Any) -> dict[str, Any]:
    histogram = native(values, scale)

    def side(buckets: Buckets) -> dict[str, Any]:
        if not buckets:
            return {}
        first, last = buckets[0][0], buckets[-1][0]
        counts = dict(buckets)
        filled = [int(counts.get(at, 0)) for at in range(first, last + 1)]
        return {"offset": first - 1, "bucket_counts": filled}

    return {
        "scale": scale,
        "count": len(values),
        "sum": sum(values),
        "zero_count": int(histogram.zero),
        "positive": side(histogram.positive),
        "negative": side(histogram.negative),
        "time_unix_nano": time * 10**6,
        **more,
    }


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_opentelemetry(form: str) -> None:
    decoder = OtlpDecoder(Limits(), ())
    body = export(point([-2.0, 0.0, 0.3, 1.0, 5.0], 3, NOW, min=-2.0, max=5.0))
    if form == "protobuf":
        decoded = decoder.protobuf(body.SerializeToString(), NOW)
    else:
        text = json_format.MessageToJson(body, use_integers_for_enums=True)
        decoded = decoder.json(text.encode(), NOW)
    assert decoded.refusals.count == 0
    found = rows_of(decoded.batch)
    assert found["took_seconds_count"] == [(NOW, 5.0)]
    assert found["took_seconds_sum"] == [(NOW, 4.3)]
    assert found['took_seconds_bucket{le="1"}'] == [(NOW, 4.0)]
    assert found['took_seconds_bucket{le="0"}'] == [(NOW, 2.0)]
    assert found['took_seconds_bucket{le="+Inf"}'] == [(NOW, 5.0)]
    assert {rows.kind for rows in decoded.batch.rows} == {"counter"}


def test_opentelemetrys_deltas_are_deltas_with_their_starts() -> None:
    decoder = OtlpDecoder(Limits(), ())
    for n in range(2):
        start = (NOW - 2 + n) * 10**6
        one = point([1.0, 3.0 ** (1 + n)], 0, NOW - 1 + n, start_time_unix_nano=start)
        decoded = decoder.protobuf(export(one, temporality=1).SerializeToString(), NOW)
        decoder.remember(decoded)
        assert {rows.kind for rows in decoded.batch.rows} == {"delta"}
        assert all(rows.starts == [NOW - 2 + n] for rows in decoded.batch.rows)
        assert all(len(rows.times) == 1 for rows in decoded.batch.rows)
        assert rows_of(decoded.batch)['took_seconds_bucket{le="4"}'][0][1] == 2.0 - n


def test_opentelemetrys_resets_and_endings() -> None:
    decoder = OtlpDecoder(Limits(), ())
    for start, time in ((NOW - 100, NOW - 50), (NOW - 40, NOW - 10)):
        one = point([1.0, 3.0], 0, time, start_time_unix_nano=start * 10**6)
        decoded = decoder.protobuf(export(one).SerializeToString(), NOW)
        decoder.remember(decoded)
    assert all(
        rows == [(NOW - 40, 0.0), rows[1]] and rows[1][0] == NOW - 10
        for rows in rows_of(decoded.batch).values()
    )
    gone = {"time_unix_nano": NOW * 10**6, "flags": 1}
    ended = decoder.protobuf(export(gone).SerializeToString(), NOW)
    assert set(rows_of(ended.batch)) == set(rows_of(decoded.batch))
    assert all(rows == [(NOW, None)] for rows in rows_of(ended.batch).values())


def test_opentelemetrys_bad_ones_are_refused() -> None:
    bad = [
        point([1.0], 0, NOW, count=0),
        {**point([1.0], 0, NOW), "scale": CUSTOM},
        {**point([1.0], 0, NOW), "scale": 60},
        point([1.0], 0, NOW, positive={"offset": 2**31 - 1, "bucket_counts": [1]}),
    ]
    decoded = OtlpDecoder(Limits(), ()).protobuf(export(*bad).SerializeToString(), NOW)
    assert decoded.refusals.count == 4
    assert decoded.batch.count == 0
