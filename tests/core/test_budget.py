"""Sharing a bound among pasts of different lengths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pushsvc.core.resources.budget import Budget


def settle(budget: Budget, lengths: list[int]) -> list[int]:
    """What is held after a round, and another in which each is cut."""
    budget.note(lengths)
    budget.close()
    return [min(length, budget.share) for length in lengths]


@given(
    st.lists(st.integers(0, 1_000), min_size=1, max_size=40),
    st.integers(1, 20_000),
)
def test_all_fit_and_nobody_is_cut_for_less_than_the_longest(
    lengths: list[int], total: int
) -> None:
    budget = Budget(total, 1_000)
    held = settle(budget, lengths)
    # One sample of each series is how it is now: that much is always held.
    assert sum(held) <= max(total, len(lengths))
    cut = [after for before, after in zip(lengths, held, strict=True) if after < before]
    assert all(after == budget.share for after in cut)
    if cut:
        # Nothing is cut that would have fitted.
        assert sum(min(length, budget.share + 1) for length in lengths) > total


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=40), st.integers(1, 20_000))
def test_a_round_without_news_changes_nothing(lengths: list[int], total: int) -> None:
    budget = Budget(total, 1_000)
    once = settle(budget, lengths)
    share = budget.share
    assert settle(budget, once) == once
    assert budget.share == share


def test_room_that_is_left_behind_is_given_to_the_others() -> None:
    budget = Budget(100, 1_000)
    assert settle(budget, [60, 60]) == [50, 50]
    assert settle(budget, [50, 10]) == [50, 10]
    assert budget.share == 90
    assert settle(budget, [90]) == [90]
    assert budget.share == 100


def test_what_arrives_counts_until_the_next_round() -> None:
    budget = Budget(100, 1_000)
    budget.arrive(110)
    assert not budget.overdrawn
    budget.arrive(1)
    assert budget.overdrawn
    settle(budget, [111])
    assert not budget.overdrawn
