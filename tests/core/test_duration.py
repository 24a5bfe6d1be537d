from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsvc.core.model.duration import LONGEST, format_duration, parse_duration
from pushsvc.errors import Malformed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("1s500ms", 1.5),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("1y1w1d1h1m1s1ms", 32_230_861.001),
        ("5m0s", 300.0),
        ("90", 90.0),
        ("0", 0.0),
        ("0.25", 0.25),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e-05", 0.00001),
        (" 15m ", 900.0),
        ("100y", LONGEST),
    ],
)
def test_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "m",
        "1m1h",
        "1m1m",
        "1.5h",
        "1 h",
        "15M",
        "-1",
        "-5m",
        "+5",
        "nan",
        "inf",
        "1_000",
        "0x10",
        "٣s",
        "٣",
        "five minutes",
        "1" * 5000,
        "1" * 5000 + "y",
    ],
)
def test_refuses_and_names_the_parameter(text: str) -> None:
    with pytest.raises(Malformed, match=r"^window must be a duration such as") as caught:
        parse_duration(text, "window")
    assert caught.value.code == "window"
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("text", ["101y", "1e99", "1e999", "999999999999999y"])
def test_refuses_what_is_too_long(text: str) -> None:
    with pytest.raises(Malformed, match=r"^wait must be at most 100y"):
        parse_duration(text, "wait")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.25, "250ms"),
        (1.5, "1s500ms"),
        (59.9996, "1m"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (604_800, "7d"),
        (90_061.001, "1d1h1m1s1ms"),
    ],
)
def test_writes(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_negative_span_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)


@given(st.integers(min_value=0, max_value=int(LONGEST * 1000)))
def test_what_is_written_is_read_as_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.floats(min_value=0, max_value=LONGEST))
def test_a_float_written_by_python_is_read(seconds: float) -> None:
    assert parse_duration(str(seconds)) == seconds


@given(st.text(alphabet="0123456789.eE+-ywdhms ٣", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except Malformed:
        return
    assert 0 <= seconds <= LONGEST
