"""The ring against a list that never forgets."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from pushsvc.core.storage.history import History, prune

batches = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 40)),  # seq step, samples
    min_size=1,
    max_size=60,
)


def fill(history: History, steps: list[tuple[int, int]]) -> list[tuple[int, int, float]]:
    """Append batches and return every row ever appended."""
    rows: list[tuple[int, int, float]] = []
    seq = 0
    for step, count in steps:
        seq += step
        new = [(seq, 1000 + len(rows) + i, float(len(rows) + i)) for i in range(count)]
        history.extend(seq, [row[1] for row in new], [row[2] for row in new])
        rows += new
    return rows


@given(batches, st.integers(1, 50))
def test_holds_the_newest_rows_in_order(steps: list[tuple[int, int]], limit: int) -> None:
    history = History(limit)
    rows = fill(history, steps)
    assert history.total == len(rows)
    assert len(history) == min(limit, len(rows))
    times, values = history.rows(history.first, history.total)
    kept = rows[-limit:]
    assert list(times) == [row[1] for row in kept]
    assert list(values) == [row[2] for row in kept]
    assert history.latest() == (rows[-1][1], rows[-1][2])
    assert history.last_seq == rows[-1][0]


@given(batches, st.integers(1, 50), st.integers(-1, 200), st.integers(-1, 200), st.integers(1, 50))
def test_rank_and_after_agree_with_a_scan(
    steps: list[tuple[int, int]], limit: int, seq: int, evicted: int, bound: int
) -> None:
    history = History(limit)
    rows = fill(history, steps)
    young = sum(row[0] > evicted for row in rows[-limit:])
    assert prune([history], evicted, bound) == [young]
    assert len(history) == min(young, bound)
    expected = sum(1 for row in rows if row[0] <= seq)
    rank = history.rank(seq)
    assert rank == expected if rank is not None else expected <= history.known
    assert history.after(seq) == max(expected, history.first)
    held = rows[history.first :]
    assert all(row[0] > evicted for row in held)
    assert [history.seq_at(i) for i in range(history.first, history.total)] == [r[0] for r in held]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(0, 31), st.integers(1, 9))
def test_since_finds_the_first_row_not_older(times: list[int], time: int, limit: int) -> None:
    history = History(limit)
    for seq, at in enumerate(times):
        history.extend(seq, [at], [0.0])
    kept = list(enumerate(times))[-limit:]
    expected = next((ordinal for ordinal, at in kept if at >= time), len(times))
    assert history.since(time) == expected


def test_counts_what_was_evicted_for_as_long_again_as_it_held_it() -> None:
    history = History(100)
    for seq in range(1, 10_001):
        history.extend(seq, [seq], [0.0])
    assert history.rank(9_850) == 9_850
    assert history.first == 9_900
    assert history.rank(9_000) is None


def test_states_keep_their_values() -> None:
    history = History(3, stateful=True)
    history.extend(1, [1, 2, 3, 4], ["a", None, True, "b"])
    assert list(history.rows(1, 4)[1]) == [None, True, "b"]


def test_what_is_retired_leaves_what_counting_needs() -> None:
    history = History(10)
    rows = fill(history, [(1, 4), (1, 4), (1, 1)])
    history.retire(6)
    assert len(history) == 0
    assert history.rank(2) == 8
    assert history.rank(1) == 4
    assert history.rank(0) is None
    assert history.total == len(rows)
    assert history.latest() is None


def test_memory_stays_bounded() -> None:
    history = History(100)
    for seq in range(100_000):
        history.extend(seq, [seq], [0.0])
    assert len(history._times) <= 200
    assert len(history._seqs) <= 400


def test_runs_of_a_seq_are_whole() -> None:
    history = History(1000)
    rows = fill(history, [(1, 5), (2, 7)])
    for seq, group in groupby(rows, key=lambda row: row[0]):
        count = len(list(group))
        assert history.after(seq) - history.after(seq - 1) == count
