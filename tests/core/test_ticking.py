"""When views tick and beat, under a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.delivery.view import View
from pushsvc.core.resources.limits import Pacing
from tests.core.stream import documents, types
from tests.core.world import Client, FakeCarrier, World


def pass_time(world: World, seconds: float) -> list[tuple[float, View]]:
    """Let time pass, ticking whenever something is due; tells which views had frames when."""
    until = world.now + seconds
    ticked: list[tuple[float, View]] = []
    while world.hub.next_due <= until:
        world.now = max(world.now, world.hub.next_due)
        due = list(world.hub.tick(world.now, world.time_ms))
        ticked += [(world.now, view) for view in due]
        assert world.hub.next_due > world.now, "the schedule doesn't come to rest"
    world.now = until
    return ticked


class TestTicking:
    def test_at_once_after_quiet_then_no_faster_than_granted(self) -> None:
        world = World()
        world.subscribe(world.spec("a", max_hz=10))
        pass_time(world, 3.0)
        world.publish({"a": [1.0]})
        assert world.hub.next_due <= world.now
        assert world.tick() == 1
        world.publish({"a": [2.0]})
        assert world.tick() == 0
        assert world.hub.next_due == pytest.approx(world.now + 0.1)
        assert world.tick(0.09) == 0
        assert world.tick(0.011) == 1
        assert world.tick(0.5) == 0  # nothing new

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.floats(0.0, 0.6), min_size=1, max_size=40),
        st.sampled_from([0.5, 1.0, 10.0, 20.0]),
    )
    def test_each_batch_is_out_within_one_interval(self, waits: list[float], hz: float) -> None:
        world = World()
        subscriber = world.subscribe(world.spec("a", max_hz=hz))
        interval = 1 / hz
        frames: list[float] = []
        expected: list[float] = []
        for wait in waits:
            frames += [at for at, _ in pass_time(world, wait)]
            world.publish({"a": [world.now]})
            earliest = expected[-1] + interval if expected else 0.0
            if not expected or expected[-1] <= world.now:
                expected.append(max(world.now, earliest))
        frames += [at for at, _ in pass_time(world, 5.0)]
        assert frames == pytest.approx(expected)
        assert all(b - a >= interval - 1e-9 for a, b in pairwise(frames))
        client = Client()
        client.pull(subscriber)
        assert client.values["a"] == world.published["a"]

    def test_only_who_is_concerned_is_woken(self) -> None:
        world = World()
        a, b = world.subscribe(world.spec("a")), world.subscribe(world.spec("b"))
        world.publish({"a": [1.0]})
        assert world.tick() == 1
        assert isinstance(a.carrier, FakeCarrier)
        assert isinstance(b.carrier, FakeCarrier)
        assert (a.carrier.woken, b.carrier.woken) == (1, 0)
        world.publish({"a": [1.0], "b": [1.0]})
        assert world.tick(1.0) == 2
        assert (a.carrier.woken, b.carrier.woken) == (2, 1)

    def test_nobody_is_owed_frames_of_a_view_that_nobody_watches(self) -> None:
        world = World()
        subscriber = world.subscribe()
        world.publish({"a": [1.0]})
        world.tick(1.0)
        world.hub.unsubscribe(subscriber, now=world.now)
        made = subscriber.view.next_number
        world.publish({"a": [2.0]})
        assert world.tick(1.0) == 0
        assert subscriber.view.next_number == made
        assert subscriber.view.frame(made - 1) is None
        client = Client()
        client.pull(world.subscribe())
        assert client.values == {"a": [2.0]}

    def test_other_things_may_happen_between_two_views(self) -> None:
        world = World(pacing=Pacing(ring_frames=4))
        subscribers = [world.subscribe(world.spec(name)) for name in "abc"]
        world.publish({"a": [1.0], "b": [1.0], "c": [1.0]})
        ticking = world.hub.tick(world.now, world.time_ms)
        first = next(ticking)
        gone = next(s for s in subscribers if s.view is not first)
        world.hub.unsubscribe(gone, now=world.now - 100)
        world.sweep()  # closes its view, which is due
        world.publish({"a": [2.0], "b": [2.0], "c": [2.0]})
        rest = list(ticking)
        assert len(rest) == 1
        assert {first, *rest} == {s.view for s in subscribers if s is not gone}
        world.tick(1.0)
        for subscriber in subscribers:
            if subscriber is not gone:
                assert [p[2] for d in documents(subscriber) for p in d.get("points", [])] == [
                    1.0,
                    2.0,
                ]

    def test_what_comes_while_a_late_view_ticks_is_not_forgotten(self) -> None:
        world = World(pacing=Pacing(heartbeat=5.0))
        subscriber = world.subscribe(world.spec("a", max_hz=0.2))
        world.publish({"a": [1.0]})
        world.tick()
        world.publish({"a": [2.0]})
        # Its tick and the look whether it was quiet are due at the same time.
        world.now += 5.0
        ticking = world.hub.tick(world.now, world.time_ms)
        next(ticking)
        world.publish({"a": [3.0]})
        assert list(ticking) == []
        assert [at - world.now for at, _ in pass_time(world, 5.0)] == pytest.approx([0.0])
        client = Client()
        client.pull(subscriber)
        assert client.values["a"] == [1.0, 2.0, 3.0]
        assert [d["type"] for d in client.documents] == ["hello", *["points"] * 4]

    def test_the_schedule_holds_each_view_twice_at_most(self) -> None:
        world = World()
        world.subscribe(world.spec("a", max_hz=20))
        world.subscribe(world.spec("b", max_hz=20))
        for _ in range(200):
            for _ in range(3):
                world.publish({"a": [1.0], "b": [1.0]})
            assert len(world.hub._schedule) <= 2 * len(world.hub.views)
            world.tick(0.05)
            assert len(world.hub._schedule) <= 2 * len(world.hub.views)

    def test_a_series_that_appears_joins_the_views_that_want_it(self) -> None:
        world = World()
        a, rest = (
            world.subscribe(world.spec("a")),
            world.subscribe(world.spec('{__name__=~"[^a]"}')),
        )
        world.publish({"a": [1.0], "b": [2.0]})
        world.tick()
        clients = Client(), Client()
        clients[0].pull(a)
        clients[1].pull(rest)
        assert [client.values for client in clients] == [{"a": [1.0]}, {"b": [2.0]}]


class TestHeartbeats:
    def test_come_after_quiet_and_go_on(self) -> None:
        world = World(pacing=Pacing(heartbeat=15.0))
        start = world.now
        subscriber = world.subscribe()
        beats = [at - start for at, _ in pass_time(world, 50.0)]
        assert beats == pytest.approx([15.0, 30.0, 45.0])
        assert types(subscriber) == ["hello", "points", *["heartbeat"] * 3]

    def test_count_from_the_last_frame(self) -> None:
        world = World(pacing=Pacing(heartbeat=15.0))
        subscriber = world.subscribe()
        for _ in range(10):
            pass_time(world, 14.0)
            world.publish({"a": [1.0]})
        assert "heartbeat" not in types(subscriber)
        pass_time(world, 14.9)
        assert types(subscriber) == ["points"]
        pass_time(world, 0.2)
        assert types(subscriber) == ["heartbeat"]

    def test_tell_how_far_the_client_has_got(self) -> None:
        world = World()
        subscriber = world.subscribe(world.spec("a"))
        world.publish({"b": [1.0]})
        applied = world.publish({"b": [2.0]})
        pass_time(world, 20.0)
        beat = documents(subscriber)[-1]
        assert beat["type"] == "heartbeat"
        assert beat["id"] == str(applied.cursor)
        assert subscriber.cursor == applied.cursor.seq
        # A client that comes back with that id lacks nothing and is given nothing twice.
        world.publish({"a": [7.0]})
        client = Client()
        resumed = world.subscribe(world.spec("a"), since=beat["id"])
        world.tick()
        client.pull(resumed)
        assert client.values == {"a": [7.0]}
        assert client.gaps == {}

    def test_a_slow_view_lives_while_it_gathers(self) -> None:
        world = World(pacing=Pacing(heartbeat=5.0))
        subscriber = world.subscribe(world.spec("a", max_hz=0.05))  # a tick in 20 s
        world.publish({"a": [1.0]})
        ticks = pass_time(world, 1.0)
        assert len(ticks) == 1
        told = documents(subscriber)[-1]["id"]
        world.publish({"a": [2.0]})
        pass_time(world, 18.0)
        beats = documents(subscriber)
        assert [beat["type"] for beat in beats] == ["heartbeat"] * 3
        assert {beat["id"] for beat in beats} == {told}
        pass_time(world, 2.0)
        assert [p[2] for d in documents(subscriber) for p in d["points"]] == [2.0]

    def test_say_at_once_that_the_log_is_away_and_that_it_is_back(self) -> None:
        world = World()
        world.publish({"b": [1.0]})
        subscriber = world.subscribe(world.spec("a"))
        documents(subscriber)
        told = []
        for away in (None, 1, 2, None, None):
            world.hub.tell_away(away, world.now, world.time_ms)
            told.append([document.get("away", "there") for document in documents(subscriber)])
        assert told == [[], [1], [], ["there"], []]
        # Regular heartbeats say it as well, and a new client is told in its hello.
        world.hub.tell_away(7, world.now, world.time_ms)
        pass_time(world, 16.0)
        assert [document["away"] for document in documents(subscriber)] == [7, 7]
        assert documents(world.subscribe(world.spec("a")))[0]["away"] == 7

    def test_are_for_those_who_watch(self) -> None:
        world = World()
        subscriber = world.subscribe()
        world.hub.unsubscribe(subscriber, now=world.now)
        assert pass_time(world, 50.0) == []
        assert world.hub.next_due == float("inf")
        again = world.subscribe()
        assert again.view is subscriber.view
        assert pass_time(world, 14.9) == []
        assert len(pass_time(world, 0.2)) == 1
        assert len(pass_time(world, 15.0)) == 1

    def test_come_as_often_as_each_was_granted(self) -> None:
        world = World(pacing=Pacing(heartbeat=15.0))
        often = world.subscribe(world.spec("a", heartbeat=5))
        usual = world.subscribe(world.spec("a"))
        seldom = world.subscribe(world.spec("a", heartbeat=30))
        pass_time(world, 60.0)
        counts = [types(each).count("heartbeat") for each in (often, usual, seldom)]
        assert counts == [12, 4, 2]

    @pytest.mark.parametrize(
        ("asked", "granted"),
        [
            (None, 15.0),
            (15.0, 15.0),
            (12.0, 10.0),
            (5.0, 5.0),
            (1.0, 5.0),
            (0.0, 5.0),
            (59.9, 55.0),
            (3600.0, 60.0),
        ],
    )
    def test_are_granted_within_bounds_and_in_steps(
        self, asked: float | None, granted: float
    ) -> None:
        assert World().spec("a", heartbeat=asked).heartbeat == granted

    def test_a_bound_never_keeps_from_what_everyone_else_has(self) -> None:
        assert Pacing(heartbeat=2.0).grant_heartbeat(1.0) == 2.0
        assert Pacing(heartbeat=90.0).grant_heartbeat(90.0) == 90.0
        assert Pacing(min_heartbeat=0.1, max_heartbeat=0.9).grant_heartbeat(0.3) == 0.3

    @given(st.floats(0.0, 1e9))
    def test_make_few_views(self, asked: float) -> None:
        granted = Pacing().grant_heartbeat(asked)
        assert granted in range(5, 61, 5)
        assert granted <= max(asked, 5.0)

    def test_go_on_after_a_change_of_view(self) -> None:
        world = World()
        subscriber = world.subscribe(world.spec("a"))
        pass_time(world, 10.0)
        world.hub.watch(
            subscriber.session, world.spec("b"), None, now=world.now, time_ms=world.time_ms
        )
        documents(subscriber)
        pass_time(world, 31.0)
        assert types(subscriber) == ["heartbeat"] * 2


@pytest.mark.parametrize("kind", ["gauge", "counter", "delta"])
def test_two_producers_of_whom_one_is_behind_are_merged_like_one(kind: str) -> None:
    """Ten samples a second each, one of them five seconds behind, watched once a second."""
    world = World()
    client = Client()
    subscriber = world.subscribe(world.spec("a", max_hz=1, merge="envelope"))
    samples = 0
    for _ in range(200):
        for behind in (0, 5_000):
            time = world.time_ms - behind
            world.publish({"a": [1.0 if kind == "delta" else float(time)]}, kind, time_ms=time)
            samples += 1
        pass_time(world, 0.1)
        client.pull(subscriber)
    pass_time(world, 2.0)
    client.pull(subscriber)
    counts = [point[5] if len(point) > 3 else 1 for point in client.points]
    assert sum(counts) == samples
    # A tick has a second of each of the two.
    assert len(client.points) < 2 * 20 + 5
