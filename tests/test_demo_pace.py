"""How the demo's producer keeps its pace, and what it makes of two readings."""

from __future__ import annotations

import pytest

from pushsvc.demo.host import HostMetrics, busy
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


def test_a_core_is_busy_when_it_is_not_idle() -> None:
    then = {"user": 10.0, "system": 5.0, "idle": 100.0, "iowait": 1.0, "guest": 9.0}
    now = {"user": 10.5, "system": 5.25, "idle": 101.0, "iowait": 1.25, "guest": 9.5}
    assert busy(then, now) == pytest.approx(0.375)


def test_nothing_is_said_of_a_core_for_which_no_time_was_counted() -> None:
    times = {"user": 10.0, "system": 5.0, "idle": 100.0}
    assert busy(times, times) is None


def test_the_first_reading_has_no_utilization() -> None:
    names = {sample["name"] for sample in HostMetrics().read()}
    assert "node_cpu_seconds_total" in names
    assert "node_cpu_utilization" not in names
