"""How the demo's producer keeps its pace."""

from __future__ import annotations

import pytest

from pushsvc.demo.producer import _next_due


@pytest.mark.parametrize(
    ("due", "now", "expected"),
    [
        pytest.param(10.0, 10.1, 10.5, id="in time"),
        pytest.param(10.0, 10.4, 11.0, id="late by most of a period"),
        pytest.param(10.0, 13.6, 14.0, id="ticks that were missed"),
    ],
)
def test_missed_ticks_are_not_made_up_for(due: float, now: float, expected: float) -> None:
    assert _next_due(due, 0.5, now) == expected
