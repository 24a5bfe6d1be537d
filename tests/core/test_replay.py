"""The promise: what a client ends up with is what was published, each sample once and in order,
or a gap that counts exactly what is missing; whatever was evicted, cut off, or changed over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.delivery.replay import Describe
from pushsvc.core.resources.limits import Pacing, Retention
from pushsvc.errors import Malformed
from tests.core.world import Client, World

NAMES = ("a", "b", "c", "d")

operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("publish"),
            st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1),
        ),
        st.tuples(st.just("tick"), st.sampled_from([0.0, 0.05, 0.3, 20.0])),
        st.tuples(st.just("pull"), st.integers(1, 4)),
        st.tuples(st.just("cut"), st.sampled_from(["all", "used"])),
        st.tuples(st.just("sweep"), st.sampled_from([0.5, 2.0])),
        st.tuples(
            st.just("ahead"),
            st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1),
        ),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(
    operations,
    st.integers(1, 25),  # history limit
    st.integers(1, 4),  # frames in the ring
    st.integers(1, 12),  # points in a replayed frame
    st.sampled_from([5.0, 1e9]),  # retention
)
def test_each_sample_once_in_order_or_counted(
    ops: list[tuple[str, Any]], limit: int, ring: int, points: int, keep: float
) -> None:
    world = World(
        retention=Retention(samples=limit, seconds=keep, series_ttl=1e9),
        pacing=Pacing(ring_frames=ring, replay_points=points),
    )
    client = Client(f"{world.hub.epoch}.0")
    spec = world.spec("{__name__=~'a|b|c'}")
    subscriber = world.subscribe(spec, since=client.cursor)
    world.subscribe(world.spec())  # another view, whose ticks are its own
    counters = dict.fromkeys(NAMES, 0)

    def publish(amounts: dict[str, int]) -> None:
        samples: dict[str, list[Any]] = {}
        for name, amount in amounts.items():
            samples[name] = [float(counters[name] + i) for i in range(amount)]
            counters[name] += amount
        world.publish(samples)

    for operation, argument in ops:
        if operation == "publish":
            publish(argument)
        elif operation == "tick":
            world.tick(argument)
        elif operation == "pull":
            client.pull(subscriber, argument)
        elif operation == "cut":
            world.hub.unsubscribe(subscriber, now=world.now)
            describe: Describe = argument
            subscriber = world.subscribe(spec, since=client.cursor, describe=describe)
        elif operation == "ahead":
            # Coming with the cursor of a publisher's answer, which is ahead of the last tick:
            # who does that says to have what was published so far.
            world.tick(20.0)
            client.pull(subscriber)
            publish(dict.fromkeys(NAMES, 1))
            world.tick(1.0)
            client.pull(subscriber)
            publish(argument)
            for name in argument:
                client.values.setdefault(name, []).extend(world.published[name][-argument[name] :])
            world.hub.unsubscribe(subscriber, now=world.now)
            subscriber = world.subscribe(spec, since=str(world.hub.cursor))
            client.cursor = str(world.hub.cursor)
        else:
            world.now += argument
            world.sweep()
    for _ in range(3):
        world.tick(20.0)
        client.pull(subscriber)

    client.values.pop("d", None)  # never sent, only claimed
    missing = 0
    for name in "abc":
        got = client.values.get(name, [])
        assert got == sorted(set(got)), f"{name} doubled or out of order"  # type: ignore[type-var]
        assert set(got) <= set(world.published.get(name, []))
        missing += len(world.published.get(name, [])) - len(got)
        if got:
            assert got[-1] == world.published[name][-1] or missing
    if None not in client.gaps.values():
        assert sum(lost or 0 for lost in client.gaps.values()) == missing
    else:
        assert missing


def test_a_stream_starts_with_the_newest_of_each_series() -> None:
    world = World()
    world.publish({"a": [1.0, 2.0], "b": [3.0]})
    client = Client()
    client.pull(world.subscribe())
    assert client.values == {"a": [2.0], "b": [3.0]}
    assert [document["type"] for document in client.documents] == ["hello", "points"]


def test_a_window_gives_history_and_the_newest_of_what_is_older() -> None:
    world = World()
    world.publish({"old": [1.0, 2.0]})
    for value in range(10):
        world.now += 10
        world.publish({"a": [float(value)]})
    client = Client()
    client.pull(world.subscribe(window=35))
    assert client.values == {"old": [2.0], "a": [6.0, 7.0, 8.0, 9.0]}


def test_a_cursor_of_another_epoch_is_a_gap_then_live() -> None:
    world = World()
    world.publish({"a": [1.0, 2.0]})
    client = Client()
    subscriber = world.subscribe(since="other.7")
    client.pull(subscriber)
    assert list(client.gaps.values()) == [None]
    assert client.values == {"a": [2.0]}
    world.publish({"a": [3.0]})
    world.tick(1.0)
    client.pull(subscriber)
    assert client.values == {"a": [2.0, 3.0]}


def test_a_cursor_from_the_future_is_refused() -> None:
    with pytest.raises(Malformed, match="ahead"):
        World().subscribe(since="e1.5")


def test_nothing_is_doubled_for_a_cursor_ahead_of_the_last_tick() -> None:
    world = World()
    first = world.subscribe()
    world.publish({"a": [1.0]})
    world.tick()
    world.publish({"a": [2.0]})
    applied = world.publish({"a": [3.0]})  # not ticked yet: the view is paced
    client = Client()
    subscriber = world.subscribe(since=str(applied.cursor))
    client.pull(subscriber)
    world.publish({"a": [4.0]})
    world.tick(1.0)
    client.pull(subscriber)
    assert client.values == {"a": [4.0]}
    other = Client()
    other.pull(first)
    assert other.values == {"a": [1.0, 2.0, 3.0, 4.0]}


def test_every_series_of_the_view_is_described_on_a_new_connection() -> None:
    world = World()
    applied = world.publish({"a": [1.0], "b": [1.0]})
    client = Client()
    client.pull(world.subscribe(since=str(applied.cursor)))
    assert sorted(client.names.values()) == ["a", "b"]
    assert client.values == {}


def test_a_poll_describes_only_what_it_tells_of() -> None:
    world = World()
    applied = world.publish({"a": [1.0], "b": [1.0]})
    world.publish({"b": [2.0]})
    client = Client()
    client.pull(world.subscribe(since=str(applied.cursor), describe="used", greet=False))
    assert list(client.names.values()) == ["b"]
    assert client.values == {"b": [2.0]}


def test_many_series_are_described_in_several_frames() -> None:
    world = World()
    world.publish({f"s{i}": [1.0] for i in range(4_500)})
    client = Client()
    client.pull(world.subscribe())
    documents = [d for d in client.documents if d["type"] == "points"]
    assert [len(d["series"]) for d in documents] == [2000, 2000, 500]
    assert [len(d["points"]) for d in documents] == [0, 0, 4500]
    assert "id" not in documents[0]


def test_a_long_replay_comes_in_slices_that_can_each_be_resumed() -> None:
    world = World(pacing=Pacing(replay_points=10))
    for value in range(100):
        world.publish({"a": [float(value)], "b": [float(value)]})
    client = Client(f"{world.hub.epoch}.0")
    for _ in range(40):
        client.pull(world.subscribe(since=client.cursor), 2)
    assert client.values["a"] == client.values["b"] == [float(value) for value in range(100)]
    assert max(len(d["points"]) for d in client.documents if d["type"] == "points") <= 10


class TestGone:
    def world(self) -> World:
        return World(retention=Retention(seconds=5.0, series_ttl=10.0))

    def expire_a(self, world: World) -> None:
        for _ in range(15):
            world.now += 1
            world.publish({"b": [world.now]})
            world.sweep()

    def test_live_subscribers_are_told(self) -> None:
        world = self.world()
        client = Client()
        subscriber = world.subscribe()
        world.publish({"a": [1.0], "b": [1.0]})
        world.tick(1.0)
        client.pull(subscriber)
        self.expire_a(world)
        world.tick(1.0)
        client.pull(subscriber)
        assert client.gone == ["a"]
        assert [s.identity.name for s in world.hub.catalog] == ["b"]

    def test_who_was_away_is_told_and_what_was_lost_is_counted(self) -> None:
        world = self.world()
        applied = world.publish({"a": [1.0], "b": [1.0]})
        client = Client()
        client.pull(world.subscribe())
        world.publish({"a": [2.0, 3.0]})
        self.expire_a(world)
        world.tick(1.0)
        client.pull(world.subscribe(since=str(applied.cursor)))
        assert client.gone == ["a"]
        lost = sum(lost or 0 for lost in client.gaps.values())
        assert lost == 2 + (15 - (len(client.values["b"]) - 1))

    def test_who_starts_anew_is_not_told(self) -> None:
        world = self.world()
        world.publish({"a": [1.0], "b": [1.0]})
        self.expire_a(world)
        client = Client()
        client.pull(world.subscribe())
        assert list(client.names.values()) == ["b"]
        assert not any(d["type"] == "gone" for d in client.documents)

    def test_a_series_that_returns_has_a_new_ref(self) -> None:
        world = self.world()
        client = Client()
        subscriber = world.subscribe()
        world.publish({"a": [1.0]})
        world.tick(1.0)
        client.pull(subscriber)
        self.expire_a(world)
        world.tick(1.0)
        world.publish({"a": [2.0]})
        world.tick(1.0)
        client.pull(subscriber)
        assert client.values["a"][-1] == 2.0
        assert len([ref for ref, name in client.names.items() if name == "a"]) == 2


class TestWatch:
    def test_what_is_watched_already_goes_on_and_the_rest_starts(self) -> None:
        world = World()
        client = Client()
        subscriber = world.subscribe(world.spec("a"))
        world.publish({"a": [1.0, 2.0], "b": [1.0, 2.0]})
        world.tick(1.0)
        client.pull(subscriber)
        world.publish({"a": [3.0], "b": [3.0]})
        world.hub.watch(
            subscriber.session,
            world.spec("a", "b", max_hz=1),
            None,
            now=world.now,
            time_ms=world.time_ms,
        )
        world.tick(2.0)
        client.pull(subscriber)
        assert client.values == {"a": [1.0, 2.0, 3.0], "b": [3.0]}
        hello = [d for d in client.documents if d["type"] == "hello"][-1]
        granted = {"max_hz": 1.0, "merge": "all", "select": ["a", "b"], "kept": 3600.0}
        assert hello["granted"] == granted
        assert hello["session"] == subscriber.session
        world.publish({"a": [4.0], "b": [4.0]})
        world.tick(2.0)
        client.pull(subscriber)
        assert client.values == {"a": [1.0, 2.0, 3.0, 4.0], "b": [3.0, 4.0]}

    def test_a_window_is_for_what_is_new(self) -> None:
        world = World()
        client = Client()
        subscriber = world.subscribe(world.spec("a"))
        for value in (1.0, 2.0, 3.0):
            world.publish({"a": [value], "b": [value]})
            world.tick(1.0)
        client.pull(subscriber)
        world.hub.watch(
            subscriber.session, world.spec("a", "b"), 60, now=world.now, time_ms=world.time_ms
        )
        client.pull(subscriber)
        assert client.values == {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, 3.0]}

    def test_the_cursor_never_goes_back(self) -> None:
        world = World(pacing=Pacing(replay_points=5))
        client = Client()
        subscriber = world.subscribe(world.spec("a"))
        for value in range(30):
            world.publish({"a": [float(value)], "b": [float(value)]})
            world.tick(1.0)
        client.pull(subscriber)
        world.hub.watch(
            subscriber.session, world.spec("a", "b"), 60, now=world.now, time_ms=world.time_ms
        )
        client.pull(subscriber)
        seqs = [int(d["id"].split(".")[1]) for d in client.documents if "id" in d]
        assert seqs == sorted(seqs)
        assert client.values["b"] == [float(value) for value in range(30)]


class TestOpenings:
    def frames(self, world: World, **start: Any) -> list[Any]:
        subscriber = world.subscribe(greet=False, **start)
        frames = []
        while (frame := subscriber.pull()) is not None:
            frames.append(frame)
        return frames

    def test_who_comes_for_the_same_gets_the_same_frames(self) -> None:
        world = World()
        cursor = str(world.publish({"a": [1.0]}).cursor)
        world.publish({"a": [2.0]})
        first, second = self.frames(world), self.frames(world)
        assert first
        assert all(a is b for a, b in zip(first, second, strict=True))
        resumed = self.frames(world, since=cursor)
        assert resumed[0] is self.frames(world, since=cursor)[0]
        assert resumed[0] is not first[0]

    def test_what_has_changed_is_not_shared(self) -> None:
        world = World()
        world.publish({"a": [1.0]})
        first = self.frames(world)
        world.publish({"b": [2.0]})
        world.tick(1.0)
        client = Client()
        client.pull(world.subscribe())
        assert client.values == {"a": [1.0], "b": [2.0]}
        assert self.frames(world)[0] is not first[0]

    def test_long_ones_are_each_client_s_own(self) -> None:
        world = World(pacing=Pacing(replay_points=3))
        for value in range(10):
            world.publish({"a": [float(value)]})
        one, two = Client(), Client()
        first = world.subscribe(since="e1.0")
        second = world.subscribe(since="e1.0")
        one.pull(first, 3)
        two.pull(second)
        one.pull(first)
        assert one.values == two.values == {"a": [float(value) for value in range(10)]}
