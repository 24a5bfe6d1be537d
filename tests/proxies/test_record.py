"""What the tests of many dashboards go by would find a fault."""

from __future__ import annotations

import pytest

from tests.proxies.dashboards import Hiccups, peak
from tests.proxies.record import encode, faults, is_live, is_through

WHOLE = [encode(producer, number) for number in range(2, 6) for producer in range(3)]
PUBLISHED = [6, 6, 6]


def test_a_record_that_is_whole() -> None:
    assert faults(WHOLE, PUBLISHED) == []
    # Order holds within a series.
    assert faults([*WHOLE[3:6], *WHOLE[:3], *WHOLE[6:]], PUBLISHED) != []
    assert faults([*WHOLE[:3], WHOLE[4], WHOLE[3], *WHOLE[5:]], PUBLISHED) == []
    assert is_through(WHOLE, PUBLISHED)
    assert is_live(WHOLE, PUBLISHED) is False
    assert is_live(WHOLE, [5, 5, 5])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (WHOLE[:6] + WHOLE[9:], "of producer 0: ... [2, 3, 5]"),
        (WHOLE[:4] + WHOLE[3:], "of producer 0: ... [2, 3, 3, 4, 5]"),
        (WHOLE[:-3], "of producer 0: ... [2, 3, 4] ..., of 6"),
        ([value for value in WHOLE if value % 3], "nothing of producer 0"),
    ],
    ids=["lost", "doubled", "short", "nothing"],
)
def test_a_record_that_is_not(values: list[int], said: str) -> None:
    assert said in faults(values, PUBLISHED)[0]


def test_the_most_in_a_second_is_counted_by_the_time_that_there_was() -> None:
    moments = [*(number / 10 for number in range(20)), 5.0]
    assert peak(moments, Hiccups()) == 11
    assert peak([], Hiccups()) == 0
    hiccups = Hiccups()
    hiccups.found = [(0.9, 1.0)]
    assert peak([0.9] * 10, hiccups) == 5
    assert peak([3.0] * 10, hiccups) == 10
