"""Cursors come back as they were given; anything else is refused, briefly."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.model.cursor import Cursor, parse_cursor
from pushsvc.errors import Malformed


@settings(max_examples=50)
@given(
    st.text("abcXYZ019_-", min_size=1, max_size=64),
    st.integers(0, 10**18 - 1),
    st.integers(0, 999),
)
def test_comes_back_as_it_was_given(epoch: str, seq: int, switches: int) -> None:
    cursor = Cursor(epoch, seq, switches=switches)
    assert parse_cursor(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "e.", ".1", "1", "e", "e.-1", "e.+1", "e.1.2", "e.01", "e.00", "e.1e3", "e.1_0",
        "e.٣", "e.1 ", " e.1", "e.1\n", "é.1", "e/x.1", "e 1", "e.0x1", "e." + "9" * 19,
        "e" * 65 + ".1", "e!.1", "e!0.1", "e!1000.1", "e~1-1!1.1",
    ],
)  # fmt: skip
def test_what_no_server_wrote_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_cursor(text)
    assert caught.value.code == "cursor"
    assert "is not a cursor" in caught.value.detail


@settings(max_examples=50)
@given(st.text() | st.text("e.019-!~", max_size=6))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Malformed):
        assert str(parse_cursor(text)) == text


def test_a_long_text_is_quoted_briefly() -> None:
    with pytest.raises(Malformed) as caught:
        parse_cursor("x" * 100_000)
    assert len(caught.value.detail) < 200
