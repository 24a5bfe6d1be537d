"""Prometheus' text format and OpenMetrics, as the official client writes them and as others do."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, TooLarge
from pushsvc.ingest.prometheus_text.decoder import Decoded, PrometheusTextDecoder
from tests.ingest.samples import NOW


def decode(text: str, **options: Any) -> Decoded:
    return PrometheusTextDecoder(Limits()).decode(text.encode(), NOW, **options)


def said(decoded: Decoded) -> dict[str, list[tuple[Any, int]]]:
    found: dict[str, list[tuple[Any, int]]] = {}
    for rows in decoded.batch.rows:
        found.setdefault(rows.identity.text, []).extend(zip(rows.values, rows.times, strict=True))
    return found


def about(decoded: Decoded) -> dict[str, tuple[str | None, str | None, str | None]]:
    return {rows.identity.text: (rows.kind, rows.unit, rows.help) for rows in decoded.batch.rows}


@pytest.mark.parametrize(
    ("line", "series"),
    [
        ("up 1", {"up": 1}),
        ('up{job="a",instance="b:9100"} 0', {'up{instance="b:9100",job="a"}': 0}),
        ('a { b = "c" , } 1e3', {'a{b="c"}': 1000}),
        ('a{b="}\\"{,\\\\\\n"} -1.5', {'a{b="}\\"{,\\\\\\n"}': -1.5}),
        ('{"http.server.duration","a.b"="c"} 7', {'{"http.server.duration","a.b"="c"}': 7}),
        ("a\t5", {"a": 5}),
        ("  a   5  \r", {"a": 5}),
        ('a{b=""} 5', {"a": 5}),
    ],
)
def test_lines(line: str, series: dict[str, float]) -> None:
    decoder = PrometheusTextDecoder(Limits())
    for timed, given_time in ((line, None), (f"{line.rstrip()} {NOW - 1}", NOW - 1)):
        for _ in range(2):  # met for the first time, and known
            decoded = decoder.decode(timed.encode(), NOW)
            assert decoded.refusals.reasons == []
            expected = NOW if given_time is None else given_time
            assert said(decoded) == {name: [(float(v), expected)] for name, v in series.items()}
            assert all(rows.given is (given_time is not None) for rows in decoded.batch.rows)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a", "not NAME{LABELS} VALUE"),
        ("a b c d", "not NAME{LABELS} VALUE"),
        ("a x", "not a number"),
        ("a 1_0", "not a number"),
        ('a{b="c} 1', "not NAME{LABELS} VALUE"),
        ("a{b=c} 1", "not NAME{LABELS}"),
        ('a{b="c",b="d"} 1', "not NAME{LABELS}"),
        ("1a 1", "not NAME{LABELS}"),
        ("a 1 soon", "not a number"),
        ("a 1 NaN", "not a time"),
        ("a 1 1764000000", "is it in milliseconds?"),
        ("# TYPE", "not # WORD NAME TEXT"),
        ('a{__b="c"} 1', "not NAME{LABELS}"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_taken(line: str, says: str) -> None:
    decoder = PrometheusTextDecoder(Limits())
    for _ in range(2):
        decoded = decoder.decode(f"good 1\n{line}\ngood 2".encode(), NOW)
        assert decoded.samples == 2
        assert decoded.refusals.count == 1
        (reason,) = decoded.refusals.reasons
        assert reason.startswith("line 2: ")
        assert says in reason


def test_families_say_kind_unit_and_help() -> None:
    body = (
        "# HELP a_seconds_total All.\\nOf it.\n# TYPE a_seconds_total counter\na_seconds_total 1\n"
        "other 1\n"
        "# just a comment\n# TYPE h histogram\n"
        'h_bucket{le="1"} 1\nh_sum 1\nh_count 1\nh_other 1\n'
        '# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 1\ns_count 1\n'
        "# TYPE g gauge\ng 1\n# TYPE u untyped\nu_total 1\n"
    )
    decoder = PrometheusTextDecoder(Limits())
    for _ in range(2):
        assert about(decoder.decode(body.encode(), NOW)) == {
            "a_seconds_total": ("counter", None, "All.\nOf it."),
            "other": (None, None, None),
            'h_bucket{le="1"}': ("counter", None, None),
            "h_sum": ("counter", None, None),
            "h_count": ("counter", None, None),
            "h_other": (None, None, None),
            's{quantile="0.5"}': ("gauge", None, None),
            "s_sum": ("counter", None, None),
            "s_count": ("counter", None, None),
            "g": ("gauge", None, None),
            "u_total": (None, None, None),
        }


def test_openmetrics() -> None:
    body = (
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds All.\n"
        f'a_seconds_total{{b="c"}} 2 {NOW // 1000}.25 # {{trace_id="x y"}} 0.5 1.5\n'
        'a_seconds_created{b="c"} 1763000000\n'
        '# TYPE i info\ni_info{v="1"} 1\n# EOF\n'
    )
    decoder = PrometheusTextDecoder(Limits())
    for _ in range(2):
        decoded = decoder.decode(body.encode(), NOW, openmetrics=True)
        assert decoded.refusals.reasons == []
        assert said(decoded) == {
            'a_seconds_total{b="c"}': [(2.0, NOW + 250)],
            'i_info{v="1"}': [(1.0, NOW)],
        }
        assert about(decoded)['a_seconds_total{b="c"}'] == ("counter", "seconds", "All.")


def test_openmetrics_that_was_cut_off_is_refused_as_a_whole() -> None:
    with pytest.raises(Malformed, match="cut off"):
        decode("a 1\n", openmetrics=True)
    behind = decode("a 1\n# EOF\nb 1\n# EOF\n", openmetrics=True)
    assert (behind.samples, behind.refusals.count) == (1, 2)


def test_what_is_not_finite_is_passed_over_and_counted() -> None:
    decoded = decode("a NaN\nb +Inf\nc -Inf\nd 1")
    assert (decoded.samples, decoded.passed_over, decoded.refusals.count) == (1, 3, 0)


def test_a_time_and_labels_from_outside() -> None:
    decoder = PrometheusTextDecoder(Limits())
    body = f'a{{job="mine"}} 1\nb 2 {NOW - 5}\n'.encode()
    for job in ("x", "y", "x"):
        decoded = decoder.decode(body, NOW, time=NOW - 9, labels={"job": job})
        assert said(decoded) == {
            f'a{{job="{job}"}}': [(1.0, NOW - 9)],
            f'b{{job="{job}"}}': [(2.0, NOW - 5)],
        }
        assert all(rows.given for rows in decoded.batch.rows)


def test_too_many_samples() -> None:
    with pytest.raises(TooLarge):
        PrometheusTextDecoder(Limits(batch_samples=2)).decode(b"a 1\na 2\na 3\n", NOW)


def test_what_is_remembered_is_bounded() -> None:
    decoder = PrometheusTextDecoder(Limits(series=10))
    for n in range(100):
        body = "".join(f"# TYPE a{n} counter\na{n} 1\nb{n}_{k} 1\n" for k in range(3))
        decoded = decoder.decode(body.encode(), NOW)
        assert decoded.samples == 6
        assert decoder._count <= 20
        assert sum(len(known) for _, known in decoder._families.values()) <= 20


Format = Literal["text", "openmetrics"]


@pytest.mark.parametrize("form", ["text", "openmetrics"])
@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    numbers=st.lists(st.floats(0, 1e12), min_size=1, max_size=4),
)
def test_what_the_official_client_shows(form: Format, text: str, numbers: list[float]) -> None:
    registry = CollectorRegistry()
    counter = Counter("hits", text, ["way"], registry=registry)
    gauge = Gauge("level", "A level.", registry=registry)
    histogram = Histogram("took_seconds", text, registry=registry, buckets=(0.5, 1e6))
    summary = Summary("size", "Sizes.", ["way"], registry=registry)
    Info("build", "This.", registry=registry).info({"v": text})
    for number in numbers:
        counter.labels(text).inc(number)
        gauge.set(number)
        histogram.observe(number)
        summary.labels(text).observe(number)
    is_open = form == "openmetrics"
    body = (generate_openmetrics if is_open else generate_latest)(registry)
    decoder = PrometheusTextDecoder(Limits())
    for _ in range(2):
        decoded = decoder.decode(body, NOW, openmetrics=is_open)
        assert decoded.refusals.reasons == []
        shown = {
            (rows.identity.name, rows.identity.labels): (rows.values, rows.kind)
            for rows in decoded.batch.rows
        }
        expected = {
            (sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if v))): (
                [sample.value],
                _kind(family.type),
            )
            for family in registry.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }
        assert {key: one for key, one in shown.items() if not key[0].endswith("_created")} == (
            expected
        )


def _kind(family: str) -> str:
    return "gauge" if family in ("gauge", "info") else "counter"
