"""OTLP: each kind of data point as series, what is refused and why, and any bytes at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Problem, TooLarge
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.otlp.reading import Decoded

NOW = 1_732_320_000_000
T = str(NOW * 1_000_000)
LIMITS = Limits(
    batch_samples=50,
    labels=6,
    name_bytes=40,
    value_bytes=40,
    series=20,
    body_bytes=1000,
    past_seconds=1000.0,
    future_seconds=100.0,
)


def request(*metrics: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON of a request with these metrics of one resource."""
    return {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes(resource or {})},
                "scopeMetrics": [{"metrics": list(metrics)}],
            }
        ]
    }


def attributes(pairs: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in pairs.items()]


def any_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(inner) for inner in value]}}
        case dict():
            return {"kvlistValue": {"values": attributes(value)}}
    return {"stringValue": value}


def point(value: float | None = 1.0, **members: Any) -> dict[str, Any]:
    labels = members.pop("labels", {})
    said = {} if value is None else {"asDouble": value}
    return {"timeUnixNano": T, "attributes": attributes(labels), **said, **members}


def gauge(name: str, *points: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"name": name, "gauge": {"dataPoints": list(points)}, **members}


def total(
    name: str,
    *points: dict[str, Any],
    temporality: int = 2,
    monotonic: bool = True,
    **members: Any,
) -> dict[str, Any]:
    data = {
        "dataPoints": list(points),
        "aggregationTemporality": temporality,
        "isMonotonic": monotonic,
    }
    return {"name": name, "sum": data, **members}


def histogram(name: str, *points: dict[str, Any], temporality: int = 2, **members: Any) -> Any:
    data = {"dataPoints": list(points), "aggregationTemporality": temporality}
    return {"name": name, "histogram": data, **members}


def decode(document: dict[str, Any], decoder: OtlpDecoder | None = None) -> Decoded:
    """Decode both encodings, which must agree."""
    decoder = decoder or OtlpDecoder(LIMITS)
    message = json_format.ParseDict(document, ExportMetricsServiceRequest())
    binary = decoder.protobuf(message.SerializeToString(), NOW)
    decoded = decoder.json(json.dumps(document).encode(), NOW)
    assert plain(decoded) == plain(binary)
    assert decoded.refusals.message("points") == binary.refusals.message("points")
    return decoded


def plain(decoded: Decoded) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rows in decoded.batch.rows:
        values = found.setdefault(rows.identity.text, (rows.kind, rows.unit, []))[2]
        values.extend(zip(rows.times, rows.values, strict=True))
    return found


def series(*metrics: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    """Kind and values by series; nothing may be refused."""
    decoded = decode(request(*metrics, resource=resource))
    assert decoded.refusals.count == 0, decoded.refusals.message("points")
    return {
        text: (kind, [value for _, value in values])
        for text, (kind, _, values) in plain(decoded).items()
    }


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (gauge("room.temp", point(21.5), unit="Cel"), {"room_temp_celsius": ("gauge", [21.5])}),
        (gauge("load", point(0.5), unit="1"), {"load_ratio": ("gauge", [0.5])}),
        (gauge("queue", point(None, asInt="7"), unit="{jobs}"), {"queue": ("gauge", [7.0])}),
        (total("http.requests", point(3)), {"http_requests_total": ("counter", [3.0])}),
        (total("sent", point(3), unit="By"), {"sent_bytes_total": ("counter", [3.0])}),
        (total("live", point(3), monotonic=False), {"live": ("gauge", [3.0])}),
        (total("jobs", point(3), temporality=1), {"jobs": ("delta", [3.0])}),
        (total("x", point(-3), temporality=1, monotonic=False), {"x": ("delta", [-3.0])}),
        (gauge("a", point(1, labels={"b": 1}), point(2, labels={"b": 2})),
         {'a{b="1"}': ("gauge", [1.0]), 'a{b="2"}': ("gauge", [2.0])}),
        (gauge("a", point(1), point(2)), {"a": ("gauge", [1.0, 2.0])}),
        ({"name": "empty"}, {}),
    ],
)  # fmt: skip
def test_numbers(metric: dict[str, Any], expected: dict[str, Any]) -> None:
    assert series(metric) == expected


def buckets(**members: Any) -> dict[str, Any]:
    return point(
        None,
        **{"count": "6", "sum": 9.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.5, 10]}
        | members,
    )


@pytest.mark.parametrize(("temporality", "kind"), [(2, "counter"), (1, "delta")])
def test_a_histogram_is_its_components(temporality: int, kind: str) -> None:
    said = decode(request(histogram("took", buckets(), unit="s", temporality=temporality)))
    at = NOW
    assert plain(said) == {
        'took_seconds_bucket{le="0.5"}': (kind, "", [(at, 1.0)]),
        'took_seconds_bucket{le="10"}': (kind, "", [(at, 3.0)]),
        'took_seconds_bucket{le="+Inf"}': (kind, "", [(at, 6.0)]),
        "took_seconds_sum": (kind, "seconds", [(at, 9.5)]),
        "took_seconds_count": (kind, "", [(at, 6.0)]),
    }


def test_a_histogram_may_have_neither_buckets_nor_sum() -> None:
    assert series(histogram("took", point(None, count="6"))) == {
        'took_bucket{le="+Inf"}': ("counter", [6.0]),
        "took_count": ("counter", [6.0]),
    }


def test_a_summary_is_its_components() -> None:
    quantiles = [{"quantile": 0.5, "value": 2.0}, {"quantile": 1, "value": "NaN"}]
    data = {"dataPoints": [point(None, count="4", sum=8.0, quantileValues=quantiles)]}
    assert series({"name": "took", "unit": "ms", "summary": data}) == {
        'took_milliseconds{quantile="0.5"}': ("gauge", [2.0]),
        "took_milliseconds_sum": ("counter", [8.0]),
        "took_milliseconds_count": ("counter", [4.0]),
    }


def test_a_resource_is_a_job_and_an_instance_and_the_rest_stands_once() -> None:
    resource = {
        "service.name": "shop",
        "service.namespace": "eu",
        "service.instance.id": "i-1",
        "host.name": "web1",
        "too.long": "x" * 41,
    }
    assert series(gauge("a", point(1, labels={"job": "own"})), resource=resource) == {
        'a{instance="i-1",job="eu/shop"}': ("gauge", [1.0]),
        'target_info{host_name="web1",instance="i-1",job="eu/shop"}': ("gauge", [1.0]),
    }
    assert series(gauge("a", point(1)), resource={"host.name": "web1"}) == {"a": ("gauge", [1.0])}
    many = {f"k{i}": "x" for i in range(9)} | {"service.name": "shop"}
    (info,) = (text for text in series(gauge("a", point(1)), resource=many) if "target" in text)
    assert info == 'target_info{job="shop",k0="x",k1="x",k2="x",k3="x",k4="x"}'


def test_promoted_attributes_are_labels_of_every_series() -> None:
    decoder = OtlpDecoder(LIMITS, ["host.name"])
    resource = {"service.name": "shop", "host.name": "web1"}
    decoded = decode(request(gauge("a", point(1)), resource=resource), decoder)
    assert list(plain(decoded)) == ['a{host_name="web1",job="shop"}']


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"http.method": "GET"}, 'a{http_method="GET"}'),
        ({"2xx": True, "": "e"}, 'a{_="e",key_2xx="true"}'),
        ({"__name__": "x"}, 'a{_name_="x"}'),
        ({"b.b": "2", "b-b": "1"}, 'a{b_b="1;2"}'),
        ({"n": 1.5, "l": [1, "x"], "m": {"k": False}},
         r'a{l="[1,\"x\"]",m="{\"k\":false}",n="1.5"}'),
        ({"e": ""}, "a"),
    ],
)  # fmt: skip
def test_attributes_become_labels(labels: dict[str, Any], expected: str) -> None:
    assert list(series(gauge("a", point(1, labels=labels)))) == [expected]


def test_description_and_unit_are_told() -> None:
    decoded = decode(request(gauge("a", point(1), unit="By/s", description="é" * 50)))
    (rows,) = decoded.batch.rows
    assert rows.identity.name == "a_bytes_per_second"
    assert (rows.unit, rows.help) == ("bytes_per_second", "é" * 20)


def test_a_time_may_be_left_out() -> None:
    decoded = decode(request(gauge("a", point(1, timeUnixNano="0"))))
    assert decoded.batch.rows[0].times == [NOW]


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("no temporality", total("x", point(1), point(2), temporality=0), 2, "temporality"),
    ("no value", gauge("x", point(None)), 1, "neither"),
    ("NaN", gauge("x", point(1) | {"asDouble": "NaN"}), 1, "finite"),
    ("infinite", gauge("x", point(1) | {"asDouble": "-Infinity"}), 1, "finite"),
    ("no name", gauge("", point(1)), 1, "name"),
    ("long name", gauge("x" * 41, point(1)), 1, "limits.name_bytes"),
    ("labels", gauge("x", point(1, labels={f"l{i}": "x" for i in range(7)})), 1, "limits.labels"),
    ("long value", gauge("x", point(1, labels={"l": "x" * 41})), 1, "limits.value_bytes"),
    ("past", gauge("x", point(1, timeUnixNano="1000000")), 1, "in the past"),
    ("future", gauge("x", point(1, timeUnixNano=str((NOW + 200_000) * 10**6))), 1, "200 s ahead"),
    ("bucket missing", histogram("x", buckets(bucketCounts=["1", "5"])), 1, "one bucket more"),
    ("bounds fall", histogram("x", buckets(explicitBounds=[10, 0.5])), 1, "must rise"),
    ("bound NaN", histogram("x", buckets(explicitBounds=[0.5, "NaN"])), 1, "must rise"),
    ("count", histogram("x", buckets(count="7")), 1, "add up"),
    ("two kinds", gauge("ok", point(1, labels={"b": "1"}), point(1)) | {}, 0, ""),
    ("both", total("ok", point(1), temporality=1), 1, "both gauge and delta"),
    (
        "exponential",
        {"name": "x", "exponentialHistogram": {"dataPoints": [{"timeUnixNano": T}]}},
        1,
        "temporality",
    ),
    (
        "quantile",
        {"name": "x", "summary": {"dataPoints": [
            point(None, quantileValues=[{"quantile": 2, "value": 1}])
        ]}},
        1,
        "between 0 and 1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "points", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_bad_is_refused_alone(metric: dict[str, Any], points: int, says: str) -> None:
    decoded = decode(request(gauge("ok", point(1)), metric, gauge("ok", point(2))))
    assert decoded.refusals.count == points
    assert says in decoded.refusals.message("points")
    assert [value for _, value in plain(decoded)["ok"][2]][::2][:1] == [1.0]
    assert not any(text.startswith("x") for text in plain(decoded))


def test_a_point_without_a_value_is_an_ending() -> None:
    gone = point(None, flags=1)
    decoded = decode(
        request(
            gauge("a", point(2), gone),
            total("b", gone),
            histogram("c", {**gone, "explicitBounds": [0.5], "bucketCounts": [0, 0]}),
            histogram("d", gone, temporality=1),
            {
                "name": "e",
                "summary": {"dataPoints": [{**gone, "quantileValues": [{"quantile": 1}]}]},
            },
            resource={"service.name": "shop", "host.name": "h"},
        )
    )
    assert (decoded.silent, decoded.refusals.count) == (5, 0)
    ended = {text: values for text, (_, _, values) in plain(decoded).items()}
    job = 'job="shop"'
    assert ended.pop(f'target_info{{host_name="h",{job}}}') == [(NOW, 1.0)]
    assert ended.pop(f"a{{{job}}}") == [(NOW, 2.0), (NOW, None)]
    assert ended == {
        text: [(NOW, None)]
        for text in (
            f"b_total{{{job}}}",
            f'c_bucket{{{job},le="0.5"}}', f'c_bucket{{{job},le="+Inf"}}',
            f"c_sum{{{job}}}", f"c_count{{{job}}}",
            f'd_bucket{{{job},le="+Inf"}}', f"d_sum{{{job}}}", f"d_count{{{job}}}",
            f'e{{{job},quantile="1"}}', f"e_sum{{{job}}}", f"e_count{{{job}}}",
        )
    }  # fmt: skip


def test_a_resource_of_which_all_has_ended_is_not_described() -> None:
    metric = gauge("a", point(None, flags=1))
    decoded = decode(request(metric, resource={"service.name": "shop", "host.name": "h"}))
    assert list(plain(decoded)) == ['a{job="shop"}']


def test_deltas_say_when_they_began_and_times_whether_they_were_given() -> None:
    began = {"startTimeUnixNano": str((NOW - 5) * 10**6)}
    decoded = decode(
        request(
            total("a", point(1, **began), point(2), point(3, timeUnixNano="0"), temporality=1),
            total("b", point(1, **began)),
        )
    )
    assert [(r.identity.text, r.given, r.starts, r.values) for r in decoded.batch.rows] == [
        ("a", True, [NOW - 5], [1.0]),
        ("a", True, None, [2.0]),
        ("a", False, None, [3.0]),
        ("b_total", True, None, [1.0]),
    ]


def test_a_reset_shows_even_when_the_value_rose() -> None:
    decoder = OtlpDecoder(LIMITS)

    def export(value: float, start: int, time: int) -> list[Any]:
        at = {"startTimeUnixNano": str(start * 10**6), "timeUnixNano": str(time * 10**6)}
        decoded = decode(request(total("a", point(value, **at))), decoder)
        again = decode(request(total("a", point(value, **at))), decoder)
        assert plain(again) == plain(decoded), "what was not applied is not remembered"
        decoder.remember(decoded)
        values: list[Any] = plain(decoded)["a_total"][2]
        return values

    assert export(5, NOW - 9000, NOW - 8000) == [(NOW - 8000, 5.0)]
    assert export(6, NOW - 9000, NOW - 7000) == [(NOW - 7000, 6.0)]
    assert export(9, NOW - 6500, NOW - 6000) == [(NOW - 6500, 0.0), (NOW - 6000, 9.0)]
    assert export(10, NOW - 6500, NOW - 5000) == [(NOW - 5000, 10.0)]


def test_limits_of_a_request() -> None:
    many = [point(1, labels={"i": i}) for i in range(51)]
    with pytest.raises(TooLarge, match=r"limits\.batch_samples"):
        OtlpDecoder(LIMITS).json(json.dumps(request(gauge("a", *many))).encode(), NOW)
    wide = {f"l{i}": "x" * 40 for i in range(5)}
    counts, bounds = ["0"] * 46, list(range(45))
    data = histogram("a", point(None, labels=wide, bucketCounts=counts, explicitBounds=bounds))
    with pytest.raises(TooLarge, match="names and labels"):
        OtlpDecoder(LIMITS).json(json.dumps(request(data)).encode(), NOW)


@pytest.mark.parametrize(
    "document",
    [
        {"resourceMetrics": [{}] * 51},
        {"resourceMetrics": [{"scopeMetrics": [{}] * 51}]},
        request(*[{}] * 51),
        request(gauge("a", *[{}] * 51)),
    ],
)
def test_what_takes_time_is_counted_too(document: dict[str, Any]) -> None:
    with pytest.raises(TooLarge, match=r"limits\.batch_samples"):
        decode(document)


def test_attributes_that_are_many_or_large_are_not_looked_at() -> None:
    nested: Any = 1
    for _ in range(30):
        nested = [nested, nested]
        if len(str(nested)) > 10_000:
            break
    many = point(1, labels={f"l{i}": i for i in range(1000)})
    roomy = msgspec.structs.replace(LIMITS, batch_samples=5_000)
    for large in (nested, {"k": nested}, "x" * 41, [1] * 41):
        resource = {"service.name": "shop", "big": large}
        points = (point(1, labels={"l": large}), many, point(2))
        decoded = decode(request(gauge("a", *points), resource=resource), OtlpDecoder(roomy))
        assert decoded.refusals.count == 2
        assert "limits.value_bytes" in decoded.refusals.message("points")
        assert "1000 attributes" in decoded.refusals.message("points")
        assert set(plain(decoded)) == {'a{job="shop"}'}


def test_null_is_nothing() -> None:
    body = {"resourceMetrics": [None, *request(gauge("a", point(1)))["resourceMetrics"]]}
    body["resourceMetrics"][1]["resource"] = None
    assert OtlpDecoder(LIMITS).json(json.dumps(body).encode(), NOW).batch.count == 1


def test_memory_is_bounded() -> None:
    decoder = OtlpDecoder(LIMITS)
    for i in range(200):
        at = {"startTimeUnixNano": "1", "labels": {"i": i}}
        decoder.remember(decode(request(total("a", point(1, **at))), decoder))
        assert len(decoder._known._identities) <= 2 * LIMITS.series
        assert len(decoder._known._starts) <= 2 * LIMITS.series


def test_reasons_are_told_shortly() -> None:
    bad = [gauge(f"x{i}", point(None)) for i in range(20)] + [gauge("x0", point(None))]
    message = decode(request(*bad)).refusals.message("points")
    assert message.count("neither") == 5
    assert "'x0': " in message
    assert "(2 points)" in message
    assert message.endswith("and 15 more points")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'{"resourceMetrics":5}', b"\xff", b"[" * 100_000, b"",
        b'{"resourceMetrics":' * 150, b'{"resourceMetrics":[{"resource":{"attributes":"x"}}]}',
    ],
)  # fmt: skip
def test_bad_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        OtlpDecoder(LIMITS).json(body, NOW)
    assert len(caught.value.detail) < 400


def test_what_is_not_known_is_ignored() -> None:
    document = {**request(gauge("a", point(1))), "colour": "red"}
    document["resourceMetrics"][0]["x"] = [1]
    assert OtlpDecoder(LIMITS).json(json.dumps(document).encode(), NOW).batch.count == 1


GOOD = request(
    gauge("a", point(1, labels={"b": ["c", 1.5], "d": {"e": True}})),
    total("c", point(2, startTimeUnixNano="1")),
    histogram("h", buckets()),
    {"name": "s", "summary": {"dataPoints": [point(None, count="4", sum=8.0)]}},
    resource={"service.name": "shop", "host.name": "web1"},
)
GOOD_JSON = json.dumps(GOOD).encode()
GOOD_PROTOBUF = json_format.ParseDict(GOOD, ExportMetricsServiceRequest()).SerializeToString()


@st.composite
def spoilt(draw: st.DrawFn, good: bytes) -> bytes:
    body = bytearray(good)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        cut = draw(st.integers(0, 3))
        body[at : at + cut] = draw(st.binary(max_size=3))
    return bytes(body)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=10),
    st.sampled_from(["NaN", "Infinity", T, "1", "\ud800"]),
)  # fmt: skip


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """The good document with some of its values replaced by anything."""

    def twist(node: Any) -> Any:
        if draw(st.integers(0, 40)) == 0:
            return draw(leaves | st.lists(leaves, max_size=2))
        if isinstance(node, dict):
            return {key: twist(inner) for key, inner in node.items()}
        return [twist(inner) for inner in node] if isinstance(node, list) else node

    return json.dumps(twist(GOOD)).encode()


def check(decode: Any, body: bytes) -> None:
    try:
        decoded: Decoded = decode(body, NOW)
    except Problem as problem:
        status, detail = problem.status, problem.detail
        assert 400 <= status < 500
        assert len(detail) < 500
        return
    for rows in decoded.batch.rows:
        assert len(rows.times) == len(rows.values) > 0
        assert {type(value) for value in rows.values} == {float}
        assert all(NOW - 1_000_000 <= time <= NOW + 100_000 for time in rows.times)
    texts = [rows.identity.text for rows in decoded.batch.rows]
    assert len(set(texts)) == len(texts)
    assert len(decoded.refusals.message("points")) < 3000
    decoded.refusals.message("points").encode()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | spoilt(GOOD_PROTOBUF))
@example(b"\x0a" * 50)
def test_any_bytes_are_a_request_or_a_problem(body: bytes) -> None:
    check(OtlpDecoder(LIMITS).protobuf, body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | spoilt(GOOD_JSON) | twisted())
def test_any_json_is_a_request_or_a_problem(body: bytes) -> None:
    check(OtlpDecoder(LIMITS).json, body)


@pytest.mark.parametrize(
    ("value", "rounded"), [(2**53 - 1, 0), (2**53 + 1, 1), (-(2**53) - 2, 1), (2**62, 1)]
)
def test_integers_that_may_be_rounded_are_counted(value: int, rounded: int) -> None:
    one = {**point(None), "asInt": str(value)}
    assert decode(request(gauge("a", one), gauge("b", point(2.0**60)))).rounded == rounded


def test_two_scopes_with_one_name_are_two_series() -> None:
    document = request(gauge("a", point(1)))
    [of_resource] = document["resourceMetrics"]
    [first] = of_resource["scopeMetrics"]
    of_resource["scopeMetrics"] = [
        {**first, "scope": {"name": "one", "version": "1.2"}},
        {**first, "scope": {"name": "two"}},
        first,
    ]
    assert list(plain(decode(document))) == [
        'a{otel_scope_name="one",otel_scope_version="1.2"}',
        'a{otel_scope_name="two"}',
        "a",
    ]


@pytest.mark.parametrize(
    ("bound", "written"),
    [(5, "5"), (0.005, "0.005"), (1e6, "1000000"), (2.5e-7, "0.00000025"), (-1.5, "-1.5")],
)
def test_bounds_are_written_as_prometheus_writes_them(bound: float, written: str) -> None:
    one = point(None, explicitBounds=[bound], bucketCounts=["1", "0"], count="1")
    assert f'h_bucket{{le="{written}"}}' in plain(decode(request(histogram("h", one))))


def test_names_may_be_left_as_they_are() -> None:
    decoder = OtlpDecoder(LIMITS, {"k8s.pod.name"}, as_they_are=True)
    decoded = decode(
        request(
            total(
                "http.server.requests", point(1, labels={"http.route": "/", "__x": "y"}), unit="s"
            ),
            resource={"service.name": "shop", "k8s.pod.name": "p"},
        ),
        decoder,
    )
    assert list(plain(decoded)) == [
        '{"http.server.requests",_x="y","http.route"="/",job="shop","k8s.pod.name"="p"}'
    ]
