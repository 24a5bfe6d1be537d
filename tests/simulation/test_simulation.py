"""The worlds of many seeds, in which every promise holds; and that a broken one is found."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.page import draw
from tests.simulation.story import Broken
from tests.simulation.world import World, simulate, told

_EVERYDAY, _SEEDS = 100, 600
_PART = 20

QUICK = (
    "a_refused_entry_has_no_seq",
    "keys_are_not_remembered",
    "a_batch_is_answered_before_it_is_read",
    "who_begins_in_the_middle_thinks_it_knows_all",
    "a_refused_save_is_said_to_be_done",
    "records_stay_for_ever",
    "results_do_not_end",
)
"""Mutations that one of the first seeds finds."""
RARE = {
    "a_snapshot_does_not_say_when_it_was": 300,
    "a_snapshot_is_kept_in_whichever_epoch": 700,
    "who_is_answered_late_waits_for_ever": 2_400,
}
"""Mutations that few seeds find, and from where on to look for one that does."""


@pytest.mark.parametrize(
    "first",
    [
        *range(1, _EVERYDAY + 1, _PART),
        *(
            pytest.param(first, marks=pytest.mark.long)
            for first in range(_EVERYDAY + 1, _SEEDS + 1, _PART)
        ),
    ],
)
def test_every_promise_holds(first: int) -> None:
    for seed in range(first, first + _PART):
        world, broken = simulate(seed)
        assert broken is None, told(world, broken)


@pytest.mark.parametrize("seed", [4, 201, 482, 20_948])
def test_what_was_broken_once_holds(seed: int) -> None:
    world, broken = simulate(seed)
    assert broken is None, told(world, broken)


def test_a_seed_goes_the_same_way_each_time() -> None:
    first, second = simulate(7)[0], simulate(7)[0]
    assert first.story.lines == second.story.lines
    assert len(first.story.lines) > 50


@pytest.mark.parametrize("name", QUICK)
def test_a_broken_rule_is_found(name: str) -> None:
    find(name, 30)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(MUTATIONS.keys() - set(QUICK)))
def test_a_broken_rule_is_found_sooner_or_later(name: str) -> None:
    find(name, 300, RARE.get(name, 1))


def check_page(page: str, world: World, broken: Broken) -> None:
    assert not re.search(r"(?:src|href)=|url\((?!#)|@import|fetch\(", page), "it needs nothing else"
    data = re.search(r'<script type="application/json" id="story">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    story = msgspec.json.decode(data[1])
    assert (story["seed"], story["who"], story["rule"]) == (world.seed, broken.who, broken.rule)
    lanes = set(story["lanes"])
    assert lanes >= {"log", "p1", "p2", "producer 1", "editor 1", "dashboard 1"}
    assert {line[1] for line in story["lines"]} <= lanes
    assert {span[0] for span in story["spans"]} <= lanes
    assert "epoch" in {span[1] for span in story["spans"]}


def test_a_page_takes_any_text() -> None:
    world = simulate(7)[0]
    broken = Broken("editor 1", "</script><b>$story")
    check_page(draw(world, broken), world, broken)
    assert any(line.fault for line in world.story.lines)
    assert {"epoch", "p1"} <= {span.kind for span in world.story.spans}


def find(name: str, seeds: int, first: int = 1) -> None:
    for seed in range(first, first + seeds):
        world, broken = simulate(seed, MUTATIONS[name])
        if broken is not None:
            text = told(world, broken, name)
            assert f"--first {seed} " in text
            assert len(text.splitlines()) < 100
            check_page(draw(world, broken, name), world, broken)
            return
    raise AssertionError(f"{seeds} worlds went well though {name}")
