"""Line protocol as its grammar has it: lines are written, and read back.

The grammar is that of the reference, with its section on special characters: in measurements commas
and spaces are escaped, in tags and field keys equals signs too, in strings quotes and backslashes;
elsewhere a quote is a character like any other.
https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.resources.limits import Limits
from pushsvc.ingest.influx import Decoded, InfluxDecoder
from tests.ingest.samples import NOW

NS = NOW * 1_000_000

text = st.text(st.sampled_from("ab1_\"'\\ ,=#.:é{}\t"), min_size=1, max_size=6)
string = st.text(st.sampled_from('ab"\\ ,=#\n\r é'), max_size=8)
number = st.sampled_from([("1", 1.0), ("-2.5e1", -25.0), ("3i", 3.0), ("4u", 4.0), ("t", 1.0)])


class Line(NamedTuple):
    """A line as its writer means it; the tail is what stands behind its fields."""

    measurement: str
    tags: dict[str, str]
    numbers: dict[str, tuple[str, float]]
    strings: dict[str, str]
    strings_first: bool
    tail: str


lines = st.builds(
    Line,
    # What a line begins with is white space that doesn't count, or a comment.
    text.filter(lambda one: one[0] not in "#\t "),
    st.dictionaries(text, text, max_size=3),
    st.dictionaries(text, number, max_size=3),
    st.dictionaries(text, string, max_size=2),
    st.booleans(),
    st.sampled_from(["", f" {NS}", f"  {NS}", f" {NS}\r"]),
)


def escape(characters: str, one: str) -> str:
    return re.sub(f"([{re.escape(characters)}])", r"\\\1", one)


def key(one: str) -> str:
    """A tag, its value or a field."""
    return escape("\\,= ", one)


def write(line: Line) -> str:
    tags = "".join(f",{key(name)}={key(value)}" for name, value in line.tags.items())
    fields = [f"{key(name)}={raw}" for name, (raw, _) in line.numbers.items()]
    strings = [key(name) + '="' + escape('\\"', one) + '"' for name, one in line.strings.items()]
    both = strings + fields if line.strings_first else fields + strings
    return escape("\\, ", line.measurement) + tags + " " + ",".join(both) + line.tail


def plain(name: str) -> str:
    name = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"_{name}" if name[0].isdigit() else name


def meant(line: Line) -> dict[str, float]:
    """The series of a line and their values."""
    labels = ",".join(
        f"{plain(key)}={quoted(value)}"
        for key, value in sorted(line.tags.items(), key=lambda tag: plain(tag[0]))
    )
    name = plain(line.measurement)
    return {
        f"{name}{'' if plain(key) == 'value' else '_' + plain(key)}"
        f"{'{' + labels + '}' if labels else ''}": value
        for key, (_, value) in line.numbers.items()
    }


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def can_be_series(line: Line) -> bool:
    """Names that become the same one, or one that is reserved, are another matter."""
    for names in (line.tags, line.numbers):
        if len({plain(name) for name in names}) < len(names):
            return False
    return bool(line.numbers or line.strings) and not any(
        plain(name).startswith("__") for name in line.tags
    )


def values(decoded: Decoded) -> list[tuple[str, float]]:
    return sorted(
        (rows.identity.text, value)
        for rows in decoded.batch.rows
        for value in rows.values
        if isinstance(value, float)
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(lines.filter(can_be_series), min_size=1, max_size=5))
def test_what_was_written_is_read(written: list[Line]) -> None:
    body = "\n".join(map(write, written)).encode()
    expected = sorted(pair for line in written for pair in meant(line).items())
    decoder = InfluxDecoder(Limits())
    for _ in range(2):  # the second time its series are known
        decoded = decoder.decode(body, NOW)
        assert (decoded.refusals.count, decoded.refusals.reasons) == (0, [])
        assert values(decoded) == expected
        assert decoded.strings == sum(len(line.strings) for line in written)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('t1,p=a"b v=1\nt2 v=2\nt3 v=3', ['t1_v{p="a\\"b"}', "t2_v", "t3_v"]),
        ('m"easure v=1\nm v=2', ["m_easure_v", "m_v"]),
        ('m,"k"="x" v=1\nm v=2', ["m_v", 'm_v{_k_="\\"x\\""}']),
        ('m a"b=1\nm v=2', ["m_a_b", "m_v"]),
        ('m,t=a=1 v=1\nm v="x\ny",w=2\n# don\'t "count\nm v=3', ["m_v", 'm_v{t="a=1"}', "m_w"]),
    ],
)
def test_a_quote_is_a_character_outside_of_strings(body: str, expected: list[str]) -> None:
    decoded = InfluxDecoder(Limits()).decode(body.encode(), NOW)
    assert sorted({name for name, _ in values(decoded)}) == expected


def test_a_string_that_is_never_closed_costs_its_own_line_only() -> None:
    decoded = InfluxDecoder(Limits()).decode(b'm v=1\nm s="open,w=2\nm v=3\nm v=4', NOW)
    assert [value for _, value in values(decoded)] == [1.0, 3.0, 4.0]
    assert decoded.refusals.count == 1
    assert decoded.refusals.reasons[0].startswith("line 2:")


def test_a_line_is_called_by_its_place_also_behind_strings_of_several_lines() -> None:
    decoded = InfluxDecoder(Limits()).decode(b'm s="a\nb\nc",v=1\nm v=no', NOW)
    assert decoded.refusals.reasons == ["line 4: not a number, boolean or string: 'no'"]


def test_many_quotes_cost_no_more_than_many_characters() -> None:
    for body in (b'm s="\n' * 40_000, b'm s="' + b"\n" * 200_000, b'm s=\\"\n' * 40_000):
        InfluxDecoder(Limits(batch_samples=10**6)).decode(body, NOW)
