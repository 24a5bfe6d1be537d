"""What is found of names, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsvc.core.query.search import search


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["b", "a"], "", ["a", "b"]),
        (["host10", "host2", "host02", "Host1"], "", ["Host1", "host02", "host2", "host10"]),
        (["xcpu", "cpu_b", "CPU_a"], "cpu", ["CPU_a", "cpu_b", "xcpu"]),
        (["Straße", "gasse"], "SSE", ["gasse", "Straße"]),
        (["٣", "b1", "b"], "", ["b", "b1", "٣"]),
        (["9" * 5_000, "1"], "", ["1", "9" * 5_000]),
        (["a"], "b", []),
    ],
)
def test_in_the_order_of_reading(names: list[str], wanted: str, expected: list[str]) -> None:
    assert search(names, wanted, None) == (expected, len(expected))


@given(st.sets(st.text(max_size=6), max_size=20), st.text(max_size=2), st.integers(1, 25))
def test_a_limit_cuts_the_end_off(names: set[str], wanted: str, limit: int) -> None:
    whole, count = search(names, wanted, None)
    assert search(sorted(names), wanted, limit) == (whole[:limit], count)
    assert len(whole) == count
