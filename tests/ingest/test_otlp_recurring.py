"""OTLP that is read with the help of what came before has the outcome that it has without."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Problem
from pushsvc.ingest.otlp import wire
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.otlp.known import Known
from pushsvc.ingest.otlp.reading import Decoded, Reading
from pushsvc.ingest.otlp.recurring import Recurring
from pushsvc.ingest.varint import encode_varint

NOW = 1_764_000_000_000
LIMITS = Limits(
    batch_samples=60, labels=4, name_bytes=30, value_bytes=30, series=40, body_bytes=400
)

texts = st.sampled_from(["", "a", "b", "c.d", "service.name", "le", "x" * 31, "\u00e4", "host.ip"])
numbers = st.sampled_from([0.0, 1.0, -2.5, 1e300, float("nan"), float("inf")])
integers = st.sampled_from([0, 1, -7, 2**53 - 1, 2**53, -(2**63), 2**63 - 1])
naturals = st.sampled_from([0, 1, 2, 3, 2**53, 2**64 - 1])
times = st.sampled_from([0, 1, *(NOW * 10**6 + each for each in (0, 1, -5 * 10**9, 10**18))])
starts = st.sampled_from([0, 1, NOW * 10**6 - 9 * 10**9, NOW * 10**6 - 2 * 10**9])


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    which = draw(st.integers(0, 9 if depth < 2 else 7))
    if which == 8:
        return {"array_value": {"values": draw(st.lists(values(depth + 1), max_size=2))}}
    if which == 9:
        return {"kvlist_value": {"values": draw(st.lists(pairs(depth + 1), max_size=2))}}
    if which == 7:
        return {}
    if which == 6:
        return {"int_value": draw(integers)}
    if which == 5:
        return {"bytes_value": draw(st.binary(max_size=3))}
    if which == 4:
        return {"bool_value": draw(st.booleans())}
    return {"string_value": draw(texts)}


@st.composite
def pairs(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    return {"key": draw(texts), "value": draw(values(depth))}


def any_of(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


attributes = st.lists(pairs(), max_size=5)
common: dict[str, st.SearchStrategy[Any]] = {
    "attributes": attributes,
    "start_time_unix_nano": starts,
    "time_unix_nano": times,
    "flags": st.sampled_from([0, 0, 0, 1, 2]),
}
exemplars = st.lists(any_of(as_double=numbers, filtered_attributes=attributes), max_size=1)
number_points = st.lists(
    st.one_of(
        any_of(as_double=numbers, exemplars=exemplars, **common),
        any_of(as_int=integers, **common),
    ),
    max_size=4,
)


@st.composite
def histogram_points(draw: st.DrawFn) -> dict[str, Any]:
    point: dict[str, Any] = draw(
        any_of(sum=numbers, min=numbers, max=numbers, exemplars=exemplars, **common)
    )
    point["count"] = draw(naturals)
    if draw(st.booleans()):
        point["explicit_bounds"] = draw(
            st.sampled_from([[], [0.5], [1.0, 2.0], [1.0, numbers_inf]])
        )
        counts = [draw(st.integers(0, 3)) for _ in range(len(point["explicit_bounds"]) + 1)]
        point["bucket_counts"] = counts
        point["count"] = sum(counts) + draw(st.sampled_from([0, 0, 0, 1]))
    return point


numbers_inf = float("inf")
temporality = st.sampled_from([0, 1, 2, 2])
quantiles = st.lists(any_of(quantile=st.sampled_from([0.5, 2.0]), value=numbers), max_size=2)
metrics = st.builds(
    lambda about, data: {**about, **data},
    any_of(name=texts, description=texts, unit=st.sampled_from(["", "s", "1", "By/s"])),
    st.one_of(
        st.builds(lambda points: {"gauge": {"data_points": points}}, number_points),
        st.builds(
            lambda points, kind, rises: {
                "sum": {
                    "data_points": points,
                    "aggregation_temporality": kind,
                    "is_monotonic": rises,
                }
            },
            number_points, temporality, st.booleans(),
        ),
        st.builds(
            lambda points, kind: {
                "histogram": {"data_points": points, "aggregation_temporality": kind}
            },
            st.lists(histogram_points(), max_size=3), temporality,
        ),
        st.builds(
            lambda points: {"summary": {"data_points": points}},
            st.lists(any_of(sum=numbers, quantile_values=quantiles, **common), max_size=2),
        ),
        st.builds(
            lambda points, kind: {
                "exponential_histogram": {"data_points": points, "aggregation_temporality": kind}
            },
            st.lists(
                any_of(
                    count=st.integers(0, 9),
                    sum=numbers,
                    scale=st.integers(-12, 21),
                    zero_count=st.integers(0, 2),
                    positive=any_of(
                        offset=st.integers(-3, 3),
                        bucket_counts=st.lists(st.integers(0, 3), max_size=4),
                    ),
                    **common,
                ),
                max_size=3,
            ),
            temporality,
        ),
        st.just({}),
    ),
)  # fmt: skip
scopes = any_of(
    scope=any_of(name=texts, version=texts, attributes=attributes),
    metrics=st.lists(metrics, max_size=3),
    schema_url=texts,
)
targets = any_of(
    resource=any_of(attributes=attributes, dropped_attributes_count=st.integers(0, 2)),
    scope_metrics=st.lists(scopes, max_size=2),
    schema_url=texts,
)
requests = st.lists(targets, max_size=3)


def message(of_targets: list[dict[str, Any]]) -> ExportMetricsServiceRequest:
    return ExportMetricsServiceRequest(resource_metrics=of_targets)  # type: ignore[arg-type]


def fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Of bytes that protobuf wrote: number, sort, and what is in it."""

    at = 0

    def number() -> int:
        nonlocal at
        found = shift = 0
        while True:
            byte = data[at]
            at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found

    while at < len(data):
        tag = number()
        begin = at
        if tag & 7 == 2:
            size = number()
            begin, at = at, at + size
        elif tag & 7 == 0:
            number()
        else:
            at += 8 if tag & 7 == 1 else 4
        yield tag >> 3, tag & 7, data[begin:at]


STRANGE = [
    b"\x98\x06\x05",  # of an unknown number
    b"\xa3\x06\x0a\x01\x61\xa4\x06",  # a group
    b"\x0b\x0a\x00\x0c",  # a group with a known number
    b"\x0b",  # one without an end
    b"\x0c",
    b"\x08\x01", b"\x12\x00", b"\x1a\x00", b"\x11" + bytes(8), b"\x19" + bytes(8),
    b"\x21" + struct.pack("<d", 5.0), b"\x31" + struct.pack("<q", 6), b"\x29" + bytes(8),
    b"\x3a\x00", b"\x4a\x00", b"\x2a\x00", b"\x5a\x02\x0a\x00", b"\x8a\x00\x00",
    b"\x0a\x80\x00", b"\x0a\x80\x80\x80\x80\x00", b"\x1a\x01\xff", b"\x40\x01", b"\x50\x01",
    b"\x61" + bytes(8), b"\x59" + bytes(8), b"\x00", b"\x15abcd", b"\x07",
]  # fmt: skip


def rewritten(data: bytes, kind: Descriptor, chance: Callable[[int], int]) -> bytes:
    """The message with some of its fields, at all depths, in another order, twice, shorter, or with
    something strange between them."""
    parts = []
    for number, sort, inner in fields(data):
        field = kind.fields_by_number[number]
        if sort == 2 and field.message_type is not None:
            inner = rewritten(inner, field.message_type, chance)
        tag = encode_varint(number << 3 | sort)
        whole = tag + encode_varint(len(inner)) + inner if sort == 2 else tag + inner
        parts.append(whole)
        act = chance(60)
        if act == 1:
            parts.append(whole)
        elif act == 2:
            parts.append(STRANGE[chance(len(STRANGE) - 1)])
        elif act == 3:
            parts.insert(0, parts.pop())
        elif act == 4:
            parts[-1] = whole[: chance(len(whole))]
        elif act == 5 and sort == 2 and len(inner) < 0x80:
            parts[-1] = tag + bytes((len(inner) | 0x80, 0)) + inner
    # As Go's protobuf orders a number's: with its value at the end.
    if kind.name == "NumberDataPoint" and chance(2) == 1:
        parts.sort(key=lambda part: part[:1] in (b"\x21", b"\x31"))
    return b"".join(parts)


@st.composite
def bodies(draw: st.DrawFn) -> list[bytes]:
    """What one producer sends, of which some comes again."""
    found = []
    for one in draw(st.lists(requests, min_size=1, max_size=3)):
        body = message(one).SerializeToString()
        found.append(body)
        if draw(st.booleans()):
            found.append(
                rewritten(
                    body,
                    ExportMetricsServiceRequest.DESCRIPTOR,
                    lambda most: draw(st.integers(0, most)),
                )
            )
    return [found[draw(st.integers(0, len(found) - 1))] for _ in range(6)]


def outcome(decode: Callable[[bytes, int], Decoded], body: bytes) -> tuple[Any, Decoded | None]:
    try:
        decoded = decode(body, NOW)
    except Problem as problem:
        return (type(problem), problem.code, problem.detail), None
    rows = [
        (
            *(row.identity.text, row.identity.labels, row.times, list(map(repr, row.values))),
            *(row.kind, row.unit, row.help, row.given, row.starts),
        )
        for row in decoded.batch.rows
    ]
    refusals = decoded.refusals
    told = (refusals.count, refusals.by_code, refusals.message("points"))
    return (rows, told, decoded.points, decoded.starts, decoded.silent, decoded.rounded), decoded


def compare(all_bodies: list[bytes], *, of_json: bool = False) -> None:
    quick, plain = OtlpDecoder(LIMITS, ["a"]), OtlpDecoder(LIMITS, ["a"])
    decode = quick.json if of_json else quick.protobuf
    in_full = plain.json_as_a_whole if of_json else plain.protobuf_as_a_whole
    for number, body in enumerate(all_bodies):
        got, decoded = outcome(decode, body)
        wanted, other = outcome(in_full, body)
        assert got == wanted
        if decoded is not None and other is not None and number % 3 != 1:
            quick.remember(decoded)
            plain.remember(other)


def as_json(of_targets: list[dict[str, Any]]) -> Any:
    return json_format.MessageToDict(message(of_targets), use_integers_for_enums=True)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), texts,
    st.sampled_from(["NaN", "Infinity", "1", "\ud800", [], {}, [None], {"key": None}]),
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> list[bytes]:
    """The same as JSON."""

    def twist(node: Any) -> Any:
        if draw(st.integers(0, 60)) == 0:
            return draw(leaves)
        if isinstance(node, dict):
            return {key: twist(inner) for key, inner in node.items()}
        return [twist(inner) for inner in node] if isinstance(node, list) else node

    found = []
    for one in draw(st.lists(requests, min_size=1, max_size=3)):
        document = as_json(one)
        found.append(json.dumps(document).encode())
        if draw(st.booleans()):
            found.append(json.dumps(twist(document)).encode())
    return [found[draw(st.integers(0, len(found) - 1))] for _ in range(6)]


def framed(*tags: int, inner: bytes) -> bytes:
    for tag in reversed(tags):
        inner = bytes((tag,)) + encode_varint(len(inner)) + inner
    return inner


def of_point(point: bytes) -> bytes:
    """A request of one point of a gauge."""
    return framed(0x0A, 0x12, 0x12, inner=b"\x0a\x01a" + framed(0x2A, 0x0A, inner=point))


TIME = b"\x19" + struct.pack("<Q", NOW * 10**6)
VALUE = b"\x21" + struct.pack("<d", 2.0)
LOOKS_LIKE_A_VALUE = b"\x19" + struct.pack("<Q", (NOW * 10**6 & ~0xFF00) | 0x2100)
PLAIN = of_point(TIME + VALUE)


@settings(max_examples=100, deadline=None)
@given(bodies())
@example([PLAIN, of_point(LOOKS_LIKE_A_VALUE + b"\x3a\x00")])
@example([PLAIN, of_point(TIME), of_point(TIME[:5]), of_point(b""), of_point(TIME + VALUE[:4])])
@example([PLAIN, of_point(b"\x19" + bytes(8) + VALUE), of_point(b"\x11" + bytes(8) + TIME + VALUE)])
@example([PLAIN, PLAIN + PLAIN, PLAIN[:-1], PLAIN + b"\x12\x00"])
def test_what_came_before_changes_nothing(all_bodies: list[bytes]) -> None:
    compare(all_bodies)


@settings(max_examples=100, deadline=None)
@given(documents())
def test_what_came_before_changes_nothing_in_json(all_bodies: list[bytes]) -> None:
    compare(all_bodies, of_json=True)


@pytest.mark.parametrize("depth", [2, 100, 300, 600, 900, 2_000])
@pytest.mark.parametrize("of_json", [True, False], ids=["json", "protobuf"])
def test_attributes_that_are_nested_deeply(depth: int, of_json: bool) -> None:
    decoder = OtlpDecoder(Limits())
    if of_json:
        value = b'{"arrayValue":{"values":[' * depth + b"]}}" * depth
        point = b'{"asDouble":1,"attributes":[{"key":"a","value":' + value + b"}]}"
        metric = b'{"name":"a","gauge":{"dataPoints":[' + point + b"]}}"
        body = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[' + metric + b"]}]}]}"
        quick, plain = decoder.json, decoder.json_as_a_whole
    else:
        inner = b""
        for _ in range(depth // 10):
            inner = framed(0x2A, 0x0A, inner=inner)
        body = of_point(TIME + VALUE + framed(0x3A, inner=b"\x0a\x01a" + framed(0x12, inner=inner)))
        quick, plain = decoder.protobuf, decoder.protobuf_as_a_whole
    for _ in range(2):
        assert told(quick, body) == told(plain, body)


def told(decode: Callable[[bytes, int], Decoded], body: bytes) -> str:
    try:
        return str(outcome(decode, body)[0])[:1_000]
    except RecursionError as error:
        return str(error)


def of_an_sdk(steps: int) -> list[bytes]:
    """What OpenTelemetry's own SDK exports of a program at work, one request a step."""
    reader = InMemoryMetricReader()
    resource = Resource({"service.name": "shop", "host.name": "web1", "host.ip": ["::1", "::2"]})
    meter = MeterProvider([reader], resource=resource, shutdown_on_exit=False).get_meter("m", "1")
    sold = meter.create_counter("sold", "By", "What was sold.")
    waiting = meter.create_up_down_counter("waiting")
    took = meter.create_histogram("took", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0, 10.0])
    meter.create_observable_gauge("load", [lambda _: [Observation(0.5, {"cpu": 0})]], "1")
    found = []
    for step in range(steps):
        for route in ("/", "/buy", "/basket"):
            sold.add(step + 1, {"route": route, "ok": True})
            waiting.add(1, {"route": route})
            took.record(step / 2, {"route": route})
        data = reader.get_metrics_data()
        assert data is not None
        found.append(encode_metrics(data).SerializeToString())
    return found


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_what_an_sdk_exports_is_read_once(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    now = time_ns() // 10**6
    limits = Limits()
    quick, plain = OtlpDecoder(limits), OtlpDecoder(limits)

    def read(decoder: OtlpDecoder, body: bytes) -> Decoded:
        if encoding == "protobuf":
            return decoder.protobuf(body, now)
        document = json_format.MessageToDict(
            ExportMetricsServiceRequest.FromString(body), use_integers_for_enums=True
        )
        return decoder.json(json.dumps(document).encode(), now)

    def step(body: bytes) -> None:
        wanted, got = plain.protobuf_as_a_whole(body, now), read(quick, body)
        assert outcome(lambda *_: got, body)[0] == outcome(lambda *_: wanted, body)[0]
        assert got.refusals.count == 0
        assert len(got.batch.rows) == 3 + 3 + 3 * 6 + 1 + 1
        quick.remember(got)
        plain.remember(wanted)

    first, second, *others = of_an_sdk(4)
    step(first)
    step(second)

    def again(*_: object) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(Reading, "point", again)
    monkeypatch.setattr(Reading, "family", again)
    monkeypatch.setattr(Reading, "target", again)
    for name in ("_resource", "_scope", "_metric"):
        monkeypatch.setattr(wire, name, again)
    for body in others:
        quick.remember(read(quick, body))


def of_series(first: int, count: int, targets: int = 1) -> bytes:
    request = ExportMetricsServiceRequest()
    for target in range(first, first + targets):
        of_target = request.resource_metrics.add()
        of_target.resource.attributes.add(key="service.name").value.string_value = f"s{target}"
        metric = of_target.scope_metrics.add().metrics.add(name="m", description="d" * 50)
        for number in range(first, first + count):
            point = metric.gauge.data_points.add(as_double=1.0, time_unix_nano=NOW * 10**6)
            for label in ("one", "two", "three"):
                point.attributes.add(key=label).value.string_value = f"{number} of {label}"
    body: bytes = request.SerializeToString()
    return body


@pytest.mark.parametrize("sort", ["series", "targets", "more than fits"])
def test_what_is_remembered_is_bounded_by_its_bytes(sort: str) -> None:
    most = 200_000
    recurring = Recurring(most)
    known = Known(Limits(series=1), frozenset(), as_they_are=False)  # which remembers next to none
    bodies = {
        "series": [of_series(number, 100) for number in range(0, 800, 100)],
        "targets": [of_series(number, 2, targets=40) for number in range(0, 320, 40)],
        "more than fits": [of_series(number, 300) for number in range(3)],
    }[sort]
    tracemalloc.start()
    try:
        for body in bodies:
            wire.read(body, Reading(known, NOW), recurring)
            assert recurring.size <= most
            assert tracemalloc.get_traced_memory()[0] < most
    finally:
        tracemalloc.stop()


def test_who_came_last_is_remembered_when_others_are_forgotten() -> None:
    recurring = Recurring(400_000)
    known = Known(Limits(), frozenset(), as_they_are=False)
    steady, before = of_series(10**7, 20), 0
    for number in range(0, 2_000, 100):
        wire.read(steady, Reading(known, NOW), recurring)
        if number:
            assert recurring.size == before, "the steady one was read anew"
        wire.read(of_series(number, 100), Reading(known, NOW), recurring)
        before = recurring.size
