"""A thinned line looks like the whole one: its ends and all its peaks are there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from sys import float_info

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.delivery.thin import thin
from pushsvc.core.model.series import Value

Pairs = list[tuple[int, float]]

pairs = st.lists(
    st.tuples(st.integers(0, 300), st.integers(-50, 50).map(float)), min_size=1, max_size=150
)


def thinned(samples: Pairs, points: int) -> list[tuple[int, Value]]:
    return thin([time for time, _ in samples], [value for _, value in samples], points)


@settings(max_examples=120, deadline=None)
@given(pairs, st.integers(4, 40))
def test_keeps_the_ends_and_the_peaks_of_every_bucket(samples: Pairs, points: int) -> None:
    kept = thinned(samples, points)
    whole = sorted(samples, key=lambda pair: pair[0])
    assert len(kept) <= points
    if len(samples) <= points:
        assert kept == whole
        return
    remaining: Iterator[tuple[int, Value]] = iter(whole)
    assert all(pair in remaining for pair in kept), "not a part of the whole, in its order"
    assert kept[0] == whole[0]
    assert kept[-1] == whole[-1]
    values = [value for _, value in whole]
    assert {min(values), max(values)} <= {value for _, value in kept}
    buckets = (points - 2) // 2
    begin, span = whole[0][0], whole[-1][0] - whole[0][0] + 1
    inner: dict[int, Pairs] = {}
    for pair in whole[1:-1]:
        inner.setdefault((pair[0] - begin) * buckets // span, []).append(pair)
    for part in inner.values():
        assert min(part, key=lambda pair: pair[1]) in kept
        assert max(part, key=lambda pair: pair[1]) in kept


def test_a_spike_among_many_stays() -> None:
    samples = [(time, 1.0) for time in range(10_000)]
    samples[6_173] = (6_173, 99.0)
    kept = thinned(samples, 100)
    assert (6_173, 99.0) in kept
    # Spread over the whole of it: a flat bucket needs one point only.
    assert len(kept) >= 50
    assert max(b[0] - a[0] for a, b in itertools.pairwise(kept)) <= 2 * 10_000 // 49


def test_late_samples_are_put_in_their_place() -> None:
    assert thin([30, 10, 20], [3.0, 1.0, 2.0], 10) == [(10, 1.0), (20, 2.0), (30, 3.0)]


def test_nothing_of_nothing() -> None:
    assert thin([], [], 4) == []


def test_all_at_one_time() -> None:
    kept = thin([5] * 9, [float(value) for value in (3, 1, 4, 1, 5, 9, 2, 6, 5)], 4)
    assert kept == [(5, 3.0), (5, 1.0), (5, 9.0), (5, 5.0)]


@pytest.mark.parametrize(
    ("values", "points", "expected"),
    [
        (["a", "a", "b"], 4, [(0, "a"), (1, "a"), (2, "b")]),  # they fit
        (["a", "a", "b", "b", None, None, True], 4, [(0, "a"), (2, "b"), (4, None), (6, True)]),
        (["a", "b", "a", "b", "a", "b", "b"], 4, [(2, "a"), (3, "b"), (4, "a"), (5, "b")]),
        ([None, None, False, False, "", ""], 4, [(0, None), (2, False), (4, "")]),
    ],
)
def test_states_keep_the_newest_changes(
    values: list[Value], points: int, expected: list[tuple[int, Value]]
) -> None:
    assert thin(list(range(len(values))), values, points) == expected


@settings(max_examples=120, deadline=None)
@given(pairs, st.integers(4, 40))
def test_deltas_are_added_up(samples: Pairs, points: int) -> None:
    times, values = [time for time, _ in samples], [value for _, value in samples]
    kept = thin(times, values, points, adds=True)
    assert len(kept) <= points
    assert sum(value for _, value in kept if isinstance(value, float)) == sum(values)
    assert kept[-1][0] == max(times)
    assert {time for time, _ in kept} <= set(times)


def test_a_sum_that_is_too_large_is_the_largest_number() -> None:
    kept = thin(range(100), [1e308] * 100, 4, adds=True)
    assert [value for _, value in kept] == [float_info.max] * 4
