"""The worlds of many seeds, in which every promise holds; and that a broken one is found."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import simulate, told

_SEEDS = 300
_PART = 20

QUICK = (
    "a_refused_entry_has_no_seq",
    "keys_are_not_remembered",
    "a_batch_is_answered_before_it_is_read",
    "who_begins_in_the_middle_thinks_it_knows_all",
)
"""Mutations that one of the first seeds finds."""


@pytest.mark.parametrize("first", range(1, _SEEDS + 1, _PART))
def test_every_promise_holds(first: int) -> None:
    for seed in range(first, first + _PART):
        world, broken = simulate(seed)
        assert broken is None, told(world, broken)


@pytest.mark.parametrize("seed", [4, 201, 482])
def test_what_was_broken_once_holds(seed: int) -> None:
    world, broken = simulate(seed)
    assert broken is None, told(world, broken)


def test_a_seed_goes_the_same_way_each_time() -> None:
    first, second = simulate(7)[0], simulate(7)[0]
    assert first.story.lines == second.story.lines
    assert len(first.story.lines) > 50


@pytest.mark.parametrize("name", QUICK)
def test_a_broken_rule_is_found(name: str) -> None:
    find(name, 20)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(MUTATIONS.keys() - set(QUICK)))
def test_a_broken_rule_is_found_sooner_or_later(name: str) -> None:
    find(name, 300)


def find(name: str, seeds: int) -> None:
    for seed in range(1, seeds + 1):
        world, broken = simulate(seed, MUTATIONS[name])
        if broken is not None:
            page = told(world, broken)
            assert f"--first {seed} " in page
            assert len(page.splitlines()) < 100
            return
    raise AssertionError(f"{seeds} worlds went well though {name}")
