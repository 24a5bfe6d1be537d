"""A new series is offered to all views that show it, and not to all that there are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.delivery.directory import Directory
from pushsvc.core.delivery.schedule import Schedule
from pushsvc.core.delivery.view import View, ViewSpec
from pushsvc.core.model.series import identify
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits
from tests.core.world import World

LIMITS = Limits()

SELECTORS = (
    *("a", "b", 'a{host="x"}', 'a{host=~"x|y"}', 'a{host!="x"}', 'a{host=~"x|"}'),
    *('{host="x"}', '{host=~"x|y",zone=""}', '{host=~".+"}', '{__name__=~"a|b",host=""}'),
    *('{__name__=~"a.*"}', '{zone!=""}', '{__name__!="a",zone=~"n|s"}'),
)
IDENTITIES = [
    identify(name, {label: value for label, value in labels if value}, LIMITS)
    for name in ("a", "b", "ab")
    for labels in (
        [("host", host), ("zone", zone)] for host in ("", "x", "y", "z") for zone in ("", "n", "w")
    )
]


def view(*selectors: str) -> View:
    return View(
        ViewSpec(tuple(map(parse, selectors)), 10.0, "all", 15.0),
        epoch="e",
        seq=0,
        now=0.0,
        members=[],
        departed=[],
        forgotten=-1,
        ring_frames=4,
        schedule=Schedule(),
        standings=[],
    )


@settings(deadline=None)
@given(
    asked=st.lists(st.lists(st.sampled_from(SELECTORS), max_size=3, unique=True), max_size=12),
    closed=st.sets(st.integers(0, 11)),
)
def test_no_view_is_forgotten(asked: list[list[str]], closed: set[int]) -> None:
    directory = Directory()
    views = [view(*selectors) for selectors in asked]
    for one in views:
        directory.add(one)
    for number, one in enumerate(views):
        if number in closed:
            directory.remove(one)
    open_ = [one for number, one in enumerate(views) if number not in closed]
    for identity in IDENTITIES:
        found = list(directory.asked(identity))
        assert len(set(found)) == len(found)
        assert set(found) <= set(open_)
        assert {one for one in open_ if one.spec.matches(identity)} <= set(found)
    for one in open_:
        directory.remove(one)
    assert not directory._by_label
    assert not directory._always
    assert not directory._places


def test_of_many_views_only_those_are_asked_that_want_such_a_series() -> None:
    directory = Directory()
    for number in range(500):
        directory.add(view(f'a{{host="h{number}"}}', f'b{{host="h{number}"}}', f"c{number}"))
    for name, labels in (("a", {"host": "h7"}), ("c7", {}), ("c7", {"host": "none"})):
        assert len(list(directory.asked(identify(name, labels, LIMITS)))) <= 2
    assert list(directory.asked(identify("d", {"zone": "n"}, LIMITS))) == []


def test_series_that_come_later_are_shown() -> None:
    world = World()
    views = [world.subscribe(world.spec(*one)).view for one in (["a"], ['{__name__=~"a|b"}'])]
    world.publish({"a": [1], "b": [1], "c": [1]})
    assert [len(one.members) for one in views] == [1, 2]
    world.hub.close_idle(world.now, linger=0.0)
    world.publish({"d": [1]})
    assert [len(one.members) for one in views] == [1, 2]
