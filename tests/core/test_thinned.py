"""A past that is thinned to as many points as a chart can show: nothing of its shape is lost, the
cursors tell the truth all the while, and what is live comes as it ever did."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from pushsvc.core.resources.limits import Pacing
from tests.core.world import Client, World

HOUR = 3600


def with_past(replay_points: int = 20_000, kind: Any = None, **names: int) -> World:
    """A sample a second for an hour, with a spike in the middle."""
    world = World(pacing=Pacing(replay_points=replay_points))
    for second in range(HOUR):
        value = 1e6 if second == HOUR // 2 else float(second % 7)
        world.publish({key: [value] for key in names or {"a": 0}}, kind)
        world.now += 1
    world.tick()
    return world


def counted(points: list[list[Any]]) -> int:
    """Samples that these points stand for."""
    return sum(point[5] if len(point) > 3 else 1 for point in points)


@pytest.mark.parametrize("replay_points", [50, 20_000])
@pytest.mark.parametrize("merge", ["envelope", "last", "all"])
def test_the_window_comes_as_few_points_and_what_is_live_as_ever(
    replay_points: int, merge: str
) -> None:
    world = with_past(replay_points)
    spec = world.spec("a", merge=merge, max_hz=10)
    subscriber = world.subscribe(spec, window=HOUR, points=100)
    client = Client()
    client.pull(subscriber)
    past = list(client.points)
    # A slice ends a point early, and has ten times as many samples as others may have points.
    assert 100 <= len(past) <= 100 + HOUR / (10 * replay_points) + 2
    assert counted(past) == HOUR
    assert max(point[4] for point in past if len(point) > 3) == 1e6
    assert min(point[3] for point in past if len(point) > 3) == 0
    world.publish({"a": [1.0]})
    world.tick(1)
    client.pull(subscriber)
    assert [point[2:] for point in client.points[len(past) :]] == [[1.0]]


def test_what_comes_while_it_is_given_is_not_thinned() -> None:
    world = with_past(40)
    subscriber = world.subscribe(world.spec("a", max_hz=10), window=HOUR, points=10)
    client = Client()
    client.pull(subscriber, 3)
    before = counted(client.points)
    assert before < HOUR
    for value in range(5):
        world.publish({"a": [float(value)]})
        world.tick(1)
    client.pull(subscriber)
    assert counted(client.points) == HOUR + 5
    assert [point[2:] for point in client.points[-5:]] == [[float(value)] for value in range(5)]
    assert not client.gaps


@pytest.mark.parametrize("taken", range(1, 6))
def test_who_is_cut_off_in_the_middle_goes_on_from_there(taken: int) -> None:
    world = with_past(40)
    subscriber = world.subscribe(world.spec("a"), window=HOUR, points=10)
    client = Client()
    client.pull(subscriber, taken)
    world.hub.unsubscribe(subscriber, now=world.now)
    again = world.subscribe(world.spec("a"), since=client.cursor, window=HOUR, points=10)
    client.pull(again)
    assert counted(client.points) == HOUR
    assert not client.gaps


def test_a_watch_thins_what_is_new_and_nothing_that_goes_on() -> None:
    world = with_past(a=0, b=0)
    subscriber = world.subscribe(world.spec("a", max_hz=10))
    client = Client()
    client.pull(subscriber)
    for value in range(20):
        world.publish({"a": [float(value)], "b": [float(value)]})
        world.now += 1
    world.watch(subscriber, "a", "b", max_hz=10, window=HOUR, points=100)
    world.tick(1)
    client.pull(subscriber)
    names = {"a": [], "b": []}  # type: dict[str, list[list[Any]]]
    for point in client.points:
        names[client.names[point[0]]].append(point)
    assert [point[2:] for point in names["a"]] == [
        [float((HOUR - 1) % 7)],
        *([float(value)] for value in range(20)),
    ]
    assert 90 <= len(names["b"]) <= 125
    assert not client.gaps


def test_counters_keep_resets_and_states_all_changes() -> None:
    world = World()
    for second in range(600):
        world.publish({"c": [float(second % 200)]}, "counter")
        world.publish({"s": ["up" if second % 100 else "down"]}, "state")
        world.now += 1
    world.tick()
    client = Client()
    client.pull(world.subscribe(world.spec("c", "s"), window=600, points=6))
    by_name = {
        name: [point for point in client.points if client.names[point[0]] == name] for name in "cs"
    }
    values = [point[2] for point in by_name["c"]]
    increase = sum(b if b < a else b - a for a, b in itertools.pairwise(values))
    assert values[0] + increase == 199 * 3
    assert len(by_name["c"]) < 25
    assert [point[2] for point in by_name["s"]] == ["down", "up"] * 6


def test_many_series_have_fewer_points_each_as_hello_says() -> None:
    world = World()
    names = {f"n{number}": [1.0] for number in range(250)}
    for second in range(400):
        world.publish({name: [float(second)] for name in names})
        world.now += 1
    world.tick()
    client = Client()
    client.pull(world.subscribe(world.spec("n1"), window=400, points=200))
    assert client.documents[0]["granted"]["points"] == 200
    many = Client()
    many.pull(world.subscribe(window=400, points=200))
    assert many.documents[0]["granted"]["points"] == 54
    assert len(many.points) < 250 * 70


def test_merged_gauges_have_the_digits_of_a_picture_and_the_newest_its_own() -> None:
    world = World()
    for second in range(600):
        world.publish({"a": [100 + math.sin(second) + math.pi / 1e6]})
        world.now += 1
    world.tick()
    client = Client()
    client.pull(world.subscribe(world.spec("a"), window=600, points=10))
    *past, newest = client.points
    assert newest[2] == 100 + math.sin(599) + math.pi / 1e6
    assert all(value == round(value, 3) for point in past for value in point[2:5])
    assert min(point[3] for point in past) == pytest.approx(99, abs=0.002)
    assert max(point[4] for point in past) == pytest.approx(101, abs=0.002)


def test_a_series_that_has_no_more_than_is_wanted_comes_as_it_is() -> None:
    world = World()
    for value in range(50):
        world.publish({"a": [float(value)]})
        world.now += 0.1
    world.tick()
    client = Client()
    client.pull(world.subscribe(world.spec("a", max_hz=10), window=HOUR, points=50))
    assert [point[2:] for point in client.points] == [[float(value)] for value in range(50)]


def test_a_spike_doesn_t_take_the_digits_of_the_others() -> None:
    world = World(pacing=Pacing())
    values = [0.25 + 0.43 * (second % 100) / 100 for second in range(3000)]
    values[700] = 5000.0
    values[900] = 123456.789012
    values[1000] = -1e-300
    for value in values:
        world.publish({"a": [value]})
        world.now += 1
    world.tick()
    subscriber = world.subscribe(world.spec("a", max_hz=10), window=HOUR, points=50)
    client = Client()
    client.pull(subscriber)
    merged = [point for point in client.points if len(point) > 3]
    assert counted(client.points) == 3000
    lows, highs = {point[3] for point in merged}, {point[4] for point in merged}
    assert {5000.0, 123456.789} <= {round(high, 3) for high in highs}
    assert min(lows) == -1e-300
    usual = [point for point in merged if point[4] < 1 and point[3] > 0]
    assert len(usual) > 30
    exact = {round(value, 6) for value in values}
    for point in usual:
        assert {round(value, 4) for value in point[2:5]} <= {round(value, 4) for value in exact}


def test_values_that_hardly_differ_keep_their_difference() -> None:
    world = World(pacing=Pacing())
    for second in range(1000):
        world.publish({"a": [1.7958e9 + second]})
        world.now += 1
    world.tick()
    subscriber = world.subscribe(world.spec("a", max_hz=10), window=HOUR, points=10)
    client = Client()
    client.pull(subscriber)
    merged = [point for point in client.points if len(point) > 3]
    assert merged
    for point in merged:
        assert point[4] - point[3] == point[5] - 1


def test_two_writers_of_one_series_are_as_few_points_as_one() -> None:
    world = World(pacing=Pacing())
    for second in range(2000):
        for behind in (0, 350):
            world.publish({"a": [float(second % 7)]}, time_ms=world.time_ms - behind)
        world.now += 1
    world.tick()
    subscriber = world.subscribe(world.spec("a", max_hz=10), window=HOUR, points=50)
    client = Client()
    client.pull(subscriber)
    assert counted(client.points) == 4000
    assert len(client.points) < 120
    times = [point[1] for point in client.points]
    assert times == sorted(times)
