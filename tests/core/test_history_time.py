"""Rows that are late, said again, corrected or endings, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.model.series import Value
from pushsvc.core.storage.history import History, is_ending

Row = tuple[int, int, Value, bool]  # ordinal, time, value, given


class Model:
    """What a history promises, with a list that is searched from end to end."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows: list[Row] = []
        self.total = 0

    def add(self, time: int, value: Value, given: bool) -> bool:
        if given and any(row[1:] == (time, value, True) for row in self.rows):
            return False
        self.rows.append((self.total, time, value, given))
        self.total += 1
        return True

    def evict(self) -> None:
        """As a history does when it has taken in a batch."""
        self.rows = self.rows[-self.limit :]

    @property
    def newest(self) -> int | None:
        samples = [row for row in self.rows if row[2] is not None]
        return max(samples, key=lambda row: (row[1], row[0]))[0] if samples else None

    @property
    def ended(self) -> int | None:
        if not self.rows:
            return None
        _, time, value, _ = max(self.rows, key=lambda row: (row[1], row[0]))
        return time if value is None else None

    def curve(self, adds: bool) -> list[tuple[int, Value]]:
        kept = [
            row
            for row in self.rows
            if adds
            or not row[3]
            or not any(other[3] and other[1] == row[1] and other[0] > row[0] for other in self.rows)
        ]
        return [(row[1], row[2]) for row in sorted(kept, key=lambda row: (row[1], row[0]))]

    def among(self, stop: int, earliest: int) -> list[tuple[int, Value]]:
        """What was given before the row `stop`, from the newest before a time on."""
        given = sorted(
            (time, ordinal, value)
            for ordinal, time, value, _ in self.rows
            if ordinal < stop and value is not None
        )
        before = [row for row in given if row[0] < earliest]
        return [(row[0], row[2]) for row in before[-1:] + [r for r in given if r[0] >= earliest]]


batches = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 12), st.sampled_from([1.0, 2.0, None])), min_size=1, max_size=4
        ),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@pytest.mark.parametrize("stateful", [False, True])
@settings(max_examples=300, deadline=None)
@given(batches=batches, limit=st.integers(1, 30))
def test_as_the_list_has_it(
    stateful: bool, batches: list[tuple[list[tuple[int, float | None]], bool, bool]], limit: int
) -> None:
    history, model = History(limit, stateful=stateful), Model(limit)
    clock = 0
    for seq, (samples, given_times, onward) in enumerate(batches, 1):
        if onward:  # as producers do, as a rule
            clock += 13
        rows: list[tuple[int, Value]] = [
            (clock + time, None if value is None else str(value) if stateful else value)
            for time, value in (sorted(samples, key=lambda s: s[0]) if onward else samples)
        ]
        new = history.extend(
            seq, [time for time, _ in rows], [value for _, value in rows], given_times
        )
        assert new == sum(model.add(time, value, given_times) for time, value in rows)
        model.evict()
        times, values = history.rows(history.first, history.total)
        held = [(t, None if is_ending(v) else v) for t, v in zip(times, values, strict=True)]
        assert held == [(row[1], row[2]) for row in model.rows]
        assert (history.newest(), history.ended) == (model.newest, model.ended)
        for adds in (False, True):
            times, values = history.curve(history.first, history.total, adds=adds)
            curve = [(t, None if is_ending(v) else v) for t, v in zip(times, values, strict=True)]
            assert curve == model.curve(adds)
        for stop in (history.first, history.total - len(rows), history.total):
            for earliest in (rows[0][0], clock):
                among = history.among(max(stop, history.first), earliest)
                assert among is not None
                assert list(zip(*among, strict=True)) == model.among(stop, earliest)


def test_what_came_before_one_that_is_very_late_is_not_looked_through() -> None:
    history = History(10_000)
    history.extend(1, range(5_000), [0.0] * 5_000, True)
    history.extend(2, [2_500], [1.0], True)
    assert history.among(5_000, 3_500) is not None
    assert history.among(5_000, 2_500) is None


def test_values_without_a_time_of_their_own_are_all_kept() -> None:
    history = History(2_000)
    for seq in range(1, 1_001):
        assert history.extend(seq, [5], [1.0]) == 1
    assert len(history.curve(0, history.total)[0]) == 1_000
    assert history.extend(1_001, [5], [1.0], True) == 1, "a stamped time is nobody's key"
    assert history.extend(1_002, [5], [1.0], True) == 0


def test_deltas_are_told_apart_by_their_start() -> None:
    history = History(100)
    for seq, start in enumerate([0, 0, 3], 1):
        assert history.extend(seq, [10], [2.0], True, [start]) == (seq != 2)
    assert history.extend(4, [10], [7.0], True, [3]) == 1
    assert history.extend(5, [20], [1.0], True, [10]) == 1
    assert history.curve(0, history.total, adds=True) == ([10, 10, 20], [2.0, 7.0, 1.0])


def test_true_is_not_one() -> None:
    history = History(10, stateful=True)
    assert history.extend(1, [1], [True], True) == 1
    assert history.extend(2, [1], ["True"], True) == 1
    assert history.extend(3, [1], [True], True) == 0


def test_a_flood_of_corrections_costs_no_more_than_other_samples() -> None:
    compared = 0

    class Counted(float):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return float(self) == other

        __hash__ = float.__hash__

    for ordered in (True, False):
        history = History(5_000)
        history.extend(1, [9] if ordered else [9, 5], [0.0] if ordered else [0.0, 0.0], True)
        for seq in range(2, 2_000):
            history.extend(seq, [9], [Counted(seq)], True)
            history.extend(seq, [7], [Counted(seq)], True)
    assert compared < 2 * 4_000 * 130


def test_what_was_late_is_forgotten_with_its_rows() -> None:
    history = History(100)
    history.extend(1, [10, 5], [1.0, 1.0], True)
    for seq in range(2, 500):
        history.extend(seq, [10 * seq], [1.0], True)
    assert history._peaks is None
    assert not history._late
