"""What merging keeps of each kind: nothing that was published goes unsaid."""

from __future__ import annotations

import itertools
import math
from operator import itemgetter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.delivery.merge import Merge, Point, points
from pushsvc.core.model.series import Kind, Value

REF = 7

Samples = list[tuple[int, Any]]

TICK: Samples = [(100, 3.0), (110, 9.0), (120, 1.0), (199, 4.0)]
"""Samples within one span of 100 ms."""
STATE: Samples = [(100, "up"), (110, "up"), (120, None), (130, "up"), (140, "up"), (150, "up")]


def merge(kind: Kind, mode: Merge, samples: Samples, span_ms: int = 100) -> list[Point]:
    times, values = [time for time, _ in samples], [value for _, value in samples]
    return list(points(REF, kind, mode, span_ms, times, values))


RISING = [(100, 1.0), (120, 3.0), (150, 4.0), (199, 9.0)]
RESET = [(100, 0.0), (110, 30.0), (120, 4.0), (130, 5.0)]
NUMBERS: tuple[Kind, ...] = ("gauge", "counter", "delta")
MODES: tuple[Merge, ...] = ("all", "last", "envelope")


@pytest.mark.parametrize(
    ("kind", "mode", "samples", "expected"),
    [
        ("gauge", "last", TICK, [(REF, 199, 4.0, None, None, 4)]),
        ("gauge", "envelope", TICK, [(REF, 199, 4.0, 1.0, 9.0, 4)]),
        *[("counter", mode, RISING, [(REF, 199, 9.0, None, None, 4)]) for mode in MODES[1:]],
        *[
            (
                "counter",
                mode,
                RESET,
                [(REF, 110, 30.0, None, None, 2), (REF, 120, 4.0), (REF, 130, 5.0)],
            )
            for mode in MODES[1:]
        ],
        ("delta", "last", TICK, [(REF, 199, 17.0, None, None, 4)]),
        ("delta", "envelope", TICK, [(REF, 199, 17.0, 1.0, 9.0, 4)]),
        *[(kind, mode, TICK, [(REF, *s) for s in TICK]) for kind in NUMBERS for mode in ("all",)],
        *[(kind, mode, TICK[:1], [(REF, 100, 3.0)]) for kind in NUMBERS for mode in MODES],
        *[(kind, mode, [], []) for kind in (*NUMBERS, "state") for mode in MODES],
        ("state", "all", STATE, [(REF, *sample) for sample in STATE]),
        *[
            # The time of a run is that of the change.
            (
                "state",
                mode,
                STATE,
                [
                    (REF, 100, "up", None, None, 2),
                    (REF, 120, None),
                    (REF, 130, "up", None, None, 3),
                ],
            )
            for mode in ("last", "envelope")
        ],
    ],
)
def test_each_kind_in_each_mode(
    kind: Kind, mode: Merge, samples: Samples, expected: list[Point]
) -> None:
    assert merge(kind, mode, samples) == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 99], [2]),
        ([0, 100], [1, 1]),
        ([0, 50, 99, 100, 150, 199, 200], [3, 3, 1]),
        ([0, 60, 120, 180], [2, 2]),  # a span begins with its first sample, not with a grid
        ([500, 400, 450], [2, 1]),  # in the order of time, whatever came first
        ([500, 400, 501, 401, 502, 402], [3, 3]),  # two producers, one of them behind
        ([7, 7, 7], [3]),
    ],
)
def test_a_span_is_as_long_as_a_tick(times: list[int], expected: list[int]) -> None:
    merged = merge("gauge", "last", [(time, 1.0) for time in times])
    assert [point[5] if len(point) == 6 else 1 for point in merged] == expected


def test_a_state_that_came_late_begins_a_run_of_its_own() -> None:
    samples: Samples = [(50, "on"), (60, "on"), (10, "on"), (70, "on"), (80, "on")]
    assert merge("state", "last", samples) == [
        (REF, 50, "on", None, None, 2),
        (REF, 10, "on", None, None, 3),
    ]
    assert merge("state", "last", [(50, "on"), (10, "off"), (20, "on")]) == [
        (REF, 50, "on"),
        (REF, 10, "off"),
        (REF, 20, "on"),
    ]


def test_values_of_different_types_are_different_states() -> None:
    samples: Samples = [(1, True), (2, "True"), (3, "true"), (4, None), (5, False), (6, "")]
    assert merge("state", "last", samples) == [(REF, *sample) for sample in samples]


def test_a_sum_beyond_the_range_of_a_float_is_not_made() -> None:
    samples: Samples = [(1, 1e308), (2, 1e308), (3, 5.0)]
    merged = merge("delta", "last", [*samples, (200, 1.0), (201, 2.0)])
    assert merged == [*[(REF, *sample) for sample in samples], (REF, 201, 3.0, None, None, 2)]
    assert msgspec.json.decode(msgspec.json.encode(merged)) == [list(point) for point in merged]


spans = st.integers(1, 150)
whole = st.integers(-1000, 1000).map(float)  # sums of these are exact


def taken(point: Point) -> int:
    return point[5] if len(point) == 6 else 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 400), whole), max_size=30),
    st.booleans(),
    spans,
    st.sampled_from(NUMBERS),
    st.sampled_from(MODES),
)
def test_numbers_are_all_accounted_for(
    samples: Samples, in_order: bool, span_ms: int, kind: Kind, mode: Merge
) -> None:
    if in_order:
        samples.sort(key=itemgetter(0))
    merged = merge(kind, mode, samples, span_ms)
    if mode == "all":
        assert merged == [(REF, *sample) for sample in samples]
        return
    samples.sort(key=itemgetter(0))
    at = 0
    for point in merged:
        count = taken(point)
        part = samples[at : at + count]
        at += count
        values = [value for _, value in part]
        assert point[0] == REF
        assert point[1] == part[-1][0]
        assert point[2] == (sum(values) if kind == "delta" else values[-1])
        assert all(0 <= time - part[0][0] < span_ms for time, _ in part)
        if len(point) == 6:
            assert count > 1
            envelope = (point[3], point[4])
            if mode == "envelope" and kind != "counter":
                assert envelope == (min(values), max(values))
            else:
                assert envelope == (None, None)
    assert at == len(samples)
    # No coarser than asked for, and no finer: two neighbours don't fit into one span, but for a
    # counter that began anew.
    firsts, at = [], 0
    for point in merged:
        firsts.append(at)
        at += taken(point)
    resets = {
        index
        for index, (a, b) in enumerate(itertools.pairwise(samples), 1)
        if kind == "counter" and b[1] < a[1]
    }
    assert all(
        samples[b][0] - samples[a][0] >= span_ms or b in resets or b - 1 in resets
        for a, b in itertools.pairwise(firsts)
    )


def increase(samples: Samples) -> float:
    """By how much a counter went up, in the order of time, and of equal times as they came."""
    values = [value for _, value in sorted(samples, key=itemgetter(0))]
    return float(sum(b - a if b >= a else b for a, b in itertools.pairwise(values)))


counted = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9).map(float)), max_size=30)


@settings(max_examples=200, deadline=None)
@given(counted, counted.filter(bool), spans, st.sampled_from(MODES))
def test_what_a_counter_was_increased_by_is_the_same_however_it_is_merged(
    given: Samples, samples: Samples, span_ms: int, mode: Merge
) -> None:
    given.sort(key=itemgetter(0))
    first = min(time for time, _ in samples)
    before = [sample for sample in given if sample[0] < first]
    among = before[-1:] + [sample for sample in given if sample[0] >= first]
    columns = [time for time, _ in among], [value for _, value in among]
    times, values = [time for time, _ in samples], [value for _, value in samples]
    merged = points(REF, "counter", mode, span_ms, times, values, columns)
    told: Samples = [(point[1], point[2]) for point in merged]
    # Of the very first nobody knows what was before.
    start: Samples = [] if before else [(-1, 0.0)]
    assert increase([*start, *given, *told]) == increase([*start, *given, *samples])


def test_a_counter_is_not_merged_beside_what_nobody_can_look_at() -> None:
    unmerged = list(points(REF, "counter", "last", 100, [5, 3, 4], [5.0, 3.0, 4.0], None))
    assert unmerged == [(REF, 5, 5.0), (REF, 3, 3.0), (REF, 4, 4.0)]


states = st.sampled_from([True, False, "on", "off"])


@settings(max_examples=60, deadline=None)
@given(st.lists(states, max_size=30), st.sampled_from(["last", "envelope"]))
def test_no_change_of_a_state_is_lost(values: list[Value], mode: Merge) -> None:
    merged = merge("state", mode, [(index, value) for index, value in enumerate(values)])
    unfolded: list[Value] = []
    for point in merged:
        assert point[1] == len(unfolded)
        unfolded += [point[2]] * taken(point)
    assert unfolded == values
    assert all(a[2] != b[2] for a, b in itertools.pairwise(merged))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12),
    st.sampled_from(NUMBERS),
    st.sampled_from(MODES),
)
def test_finite_values_stay_finite(values: list[float], kind: Kind, mode: Merge) -> None:
    for point in merge(kind, mode, [(1, value) for value in values]):
        assert all(math.isfinite(x) for x in point[2:] if isinstance(x, float))
