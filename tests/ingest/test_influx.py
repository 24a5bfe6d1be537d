"""Line protocol: lines as InfluxDB's documentation has them, and as nobody should write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.resources.limits import Limits
from pushsvc.errors import TooLarge
from pushsvc.ingest.influx import PRECISIONS, Decoded, InfluxDecoder
from tests.ingest.samples import NOW

NS = NOW * 1_000_000


def decode(text: str | bytes, **options: Any) -> Decoded:
    body = text.encode() if isinstance(text, str) else text
    return InfluxDecoder(Limits()).decode(body, NOW, **options)


def said(decoded: Decoded) -> dict[str, list[tuple[Any, int]]]:
    found: dict[str, list[tuple[Any, int]]] = {}
    for rows in decoded.batch.rows:
        found.setdefault(rows.identity.text, []).extend(zip(rows.values, rows.times, strict=True))
    return found


@pytest.mark.parametrize(
    ("line", "series"),
    [
        (f"cpu,host=a usage=1.5 {NS}", {'cpu_usage{host="a"}': 1.5}),
        (f"cpu value=2 {NS}", {"cpu": 2.0}),
        (f"m a=1,b=2i,c=3u,d=t,e=FALSE,f=-1.5e3 {NS}",
         {"m_a": 1, "m_b": 2, "m_c": 3, "m_d": 1, "m_e": 0, "m_f": -1500}),
        (f'm text="a, b=c \\" d",n=1 {NS}', {"m_n": 1}),
        (f"disk\\ io,my\\,tag=a\\ b\\=c,p=C:\\\\ read\\ s=1 {NS}",
         {'disk_io_read_s{my_tag="a b=c",p="C:\\\\"}': 1}),
        (f"cpu.load-1,dc=eu-west.1 p95%=1 {NS}", {'cpu_load_1_p95_{dc="eu-west.1"}': 1}),
        (f"1st 2nd=1 {NS}", {"_1st__2nd": 1}),
        (f"température,ville=Évry value=20 {NS}", {'temp_rature{ville="Évry"}': 20}),
        (f"  m a=1   {NS}  \r", {"m_a": 1}),
    ],
)  # fmt: skip
def test_lines(line: str, series: dict[str, float]) -> None:
    reader = InfluxDecoder(Limits())
    for _ in range(2):  # met for the first time, and known
        decoded = reader.decode(line.encode(), NOW)
        assert decoded.refusals.reasons == []
        assert said(decoded) == {name: [(float(v), NOW)] for name, v in series.items()}


def test_comments_blank_lines_and_no_time() -> None:
    decoded = decode("# a comment\n\n  \nm a=1\nm a=2")
    assert said(decoded) == {"m_a": [(1.0, NOW), (2.0, NOW)]}


def test_a_string_may_have_line_breaks() -> None:
    decoded = decode(f'm text="one\ntwo",n=1 {NS}\nm n=2 {NS}')
    assert decoded.strings == 1
    assert said(decoded) == {"m_n": [(1.0, NOW), (2.0, NOW)]}


@pytest.mark.parametrize(
    ("precision", "time"),
    [("ns", NS + 999_999), ("us", NOW * 1000 + 999), ("ms", NOW), ("s", NOW // 1000)],
)
def test_precisions(precision: str, time: int) -> None:
    for text in (f"m a=1 {time}", f'm a=1,b="x" {time}'):
        assert said(decode(text, unit=PRECISIONS[precision])) == {"m_a": [(1.0, NOW)]}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("m", "MEASUREMENT,TAGS FIELDS TIME"),
        ("m a", "FIELD=VALUE"),
        ("m a=", "FIELD=VALUE"),
        ("m a=1,", "comma after the last"),
        ("m a=1,,b=2", "FIELD=VALUE"),
        ("m a=one", "not a number"),
        ('m a="open', "MEASUREMENT,TAGS FIELDS TIME"),
        ("m a=1e999", "out of range"),
        ("m a=99999999999999999999999i", "out of range"),
        ("m a=nan", "not a number"),
        ("m,tag a=1", "TAG=VALUE"),
        ("m,t=1,t=2 a=1", "twice"),
        ("m,,t=1 a=1", "comma too many"),
        ("m a=1 soon", "MEASUREMENT,TAGS FIELDS TIME"),
        ("m a=1 5", "precision"),
        ("m,__t=1 a=1", "reserved"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, complaint: str) -> None:
    decoded = decode(f"good a=1\n{line}\ngood a=2")
    assert said(decoded) == {"good_a": [(1.0, NOW), (2.0, NOW)]}
    assert decoded.refusals.count == 1
    assert decoded.refusals.reasons[0].startswith("line 2: ")
    assert complaint in decoded.refusals.reasons[0]


def test_a_line_that_isn_t_utf_8() -> None:
    decoded = decode(b"m,t=\xff\xfe a=1\nm a=2")
    assert (decoded.samples, decoded.refusals.count) == (1, 1)


def test_a_new_field_in_the_middle_of_known_ones_counts_each_once() -> None:
    reader = InfluxDecoder(Limits())
    reader.decode(b"m a=1,c=3", NOW)
    decoded = reader.decode(f"m a=1,b=2,c=3 {NS}\nm a=4,b=5,c=6 {NS}".encode(), NOW)
    assert said(decoded) == {
        "m_a": [(1.0, NOW), (4.0, NOW)],
        "m_b": [(2.0, NOW), (5.0, NOW)],
        "m_c": [(3.0, NOW), (6.0, NOW)],
    }
    assert decoded.samples == 6


field = st.tuples(st.sampled_from("abc"), st.sampled_from(("1", "2.5", "3i", "t", '"x y"', "no")))
line = st.tuples(
    st.sampled_from(("m", "m,h=1", "m\\ n,h=a\\,b")),
    st.lists(field, min_size=1, max_size=4, unique_by=lambda pair: pair[0]),
    st.sampled_from(("", f" {NS}", f"  {NS}", f" {NS + 5_000_000}")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(line, max_size=6))
def test_the_short_way_and_the_long_one_agree(lines: list[Any]) -> None:
    body = "\n".join(
        f"{key} {','.join(f'{name}={value}' for name, value in fields)}{time}"
        for key, fields, time in lines
    ).encode()
    knowing = InfluxDecoder(Limits())
    # By itself each line is met for the first time.
    apart: dict[str, list[tuple[Any, int]]] = {}
    for one in body.split(b"\n"):
        for name, points in said(InfluxDecoder(Limits()).decode(one, NOW)).items():
            apart.setdefault(name, []).extend(points)
    for _ in range(2):
        assert said(knowing.decode(body, NOW)) == apart


def test_times_that_were_given_are_told_from_those_that_were_not() -> None:
    body = f"m v=1 {NS}\nm v=2 {NS}\nm v=3\nm v=4\nm v=5 {NS}\nn v=1"
    knowing = InfluxDecoder(Limits())
    for _ in range(2):
        rows = knowing.decode(body.encode(), NOW + 1).batch.rows
        assert [(r.identity.text, r.given, r.values) for r in rows] == [
            ("m_v", True, [1.0, 2.0]),
            ("m_v", False, [3.0, 4.0]),
            ("n_v", False, [1.0]),
            ("m_v", True, [5.0]),
        ]


@pytest.mark.parametrize(
    ("value", "rounded"), [("9007199254740991i", 0), ("9007199254740994i", 1), ("1e300", 0)]
)
def test_integers_that_may_be_rounded_are_counted(value: str, rounded: int) -> None:
    assert decode(f"m v={value}").rounded == rounded


def test_too_many_samples_are_too_many() -> None:
    with pytest.raises(TooLarge, match=r"limits\.batch_samples"):
        InfluxDecoder(Limits(batch_samples=3)).decode(b"m a=1,b=2,c=3,d=4", NOW)


@pytest.mark.parametrize(
    "line",
    [
        b"m value=1 " + b"1" * 5000,
        b"m value=" + b"1" * 5000,
        b"m value=" + b"1" * 5000 + b"i",
        b"m value=1_0 1764000000000000000",
        b"m a=1,b=2_0 1764000000000000000",
        b"m value=\t1 1764000000000000000",
    ],
)
def test_numbers_that_only_python_reads_are_refused_also_of_series_that_are_known(
    line: bytes,
) -> None:
    decoder = InfluxDecoder(Limits())
    decoder.decode(b"m value=1,a=1,b=1\nm value=1\nm a=1,b=2", NOW)
    decoded = decoder.decode(line, NOW)
    assert (decoded.samples, decoded.refusals.count) == (0, 1)
