"""What subscribers of a view share, and what hangs on each of them alone."""

from __future__ import annotations

import sys

from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.resources.limits import Pacing, Retention
from tests.core.stream import documents
from tests.core.world import Client, World

RUNGS = (
    "frames",
    "frames_late",
    "frames_replayed",
    "subscribers_overtaken",
    "gaps",
    "samples_lost",
)


class TestSharing:
    def test_two_subscribers_are_given_the_same_frames(self) -> None:
        world = World()
        first, second = world.subscribe(), world.subscribe()
        for subscriber in (first, second):
            while subscriber.pull() is not None:
                pass
        for value in range(5):
            world.publish({"a": [float(value)]})
            world.tick(1.0)
        for _ in range(5):
            frame = first.pull()
            assert frame is not None
            assert second.pull() is frame
        assert first.pull() is second.pull() is None
        assert first.frames - first.replayed == 5

    def test_who_falls_off_the_ring_gets_a_replay_and_then_shares_again(self) -> None:
        world = World(pacing=Pacing(ring_frames=3))
        slow, fast = world.subscribe(), world.subscribe()
        clients = Client(), Client()
        clients[0].pull(slow)
        clients[1].pull(fast)
        replayed = slow.replayed
        for value in range(10):
            world.publish({"a": [float(value)]})
            world.tick(1.0)
            clients[1].pull(fast)
        clients[0].pull(slow)
        assert slow.replayed == replayed + 1  # ten frames in one
        assert clients[0].values == clients[1].values == world.published
        world.publish({"a": [10.0]})
        world.tick(1.0)
        frame = fast.pull()
        assert frame is not None
        assert slow.pull() is frame

    def test_the_last_frames_of_the_ring_are_still_shared(self) -> None:
        world = World(pacing=Pacing(ring_frames=3))
        subscriber = world.subscribe()
        documents(subscriber)
        replayed = subscriber.replayed
        for value in range(3):
            world.publish({"a": [float(value)]})
            world.tick(1.0)
        assert len(documents(subscriber)) == 3
        assert subscriber.replayed == replayed

    def test_each_rung_is_counted_while_its_client_is_there_and_after(self) -> None:
        retention = Retention(samples=4)
        world = World(pacing=Pacing(ring_frames=3), retention=retention)
        clients = [world.subscribe() for _ in range(3)]
        for client in clients:
            documents(client)
        before = world.hub.totals()
        prompt, late, overtaken = clients
        for value in range(10):
            world.publish({"a": [float(value)]})
            world.tick(1.0)
            documents(prompt)
            if value % 2:
                documents(late)
        documents(overtaken)

        def since() -> dict[str, int]:
            now = world.hub.totals()
            return {name: now[name] - before[name] for name in RUNGS}

        expected = {
            "frames": 10 + 10 + 2,
            "frames_late": 5,
            "frames_replayed": 2,  # a gap, and what is left
            "subscribers_overtaken": 1,
            "gaps": 1,
            "samples_lost": 6,
        }
        assert since() == expected
        for client in clients:
            world.hub.unsubscribe(client, now=world.now)
        assert since() == expected

    def test_a_stalled_subscriber_costs_nothing(self) -> None:
        world = World(pacing=Pacing(ring_frames=4))
        subscriber = world.subscribe()
        client = Client()
        client.pull(subscriber)
        for value in range(3):
            world.publish({"a": [float(value)]})
            world.tick(1.0)
        client.pull(subscriber, 1)  # and takes nothing any more
        size = footprint(subscriber)
        slots = {name: getattr(subscriber, name) for name in Subscriber.__slots__}
        for value in range(3, 300):
            world.publish({"a": [float(value)], "b": [float(value)]})
            world.tick(1.0)
        assert footprint(subscriber) == size
        assert {name: getattr(subscriber, name) for name in Subscriber.__slots__} == slots
        assert len(subscriber._pending) == 0
        assert len(subscriber.view._frames) == 4
        client.pull(subscriber)
        assert client.values == world.published

    def test_who_stalls_before_its_first_frame_costs_no_more(self) -> None:
        world = World(pacing=Pacing(ring_frames=4))
        world.publish({"a": [1.0]})
        subscriber = world.subscribe()
        waiting = len(subscriber._pending)
        for _ in range(100):
            world.publish({"a": [1.0]})
            world.tick(1.0)
        assert len(subscriber._pending) == waiting <= 2


def footprint(subscriber: Subscriber) -> int:
    """Bytes of what hangs on a subscriber alone."""
    own = ("_pending", "_replay", "cursor", "frames", "replayed", "_number", "session")
    return sum(sys.getsizeof(getattr(subscriber, name)) for name in own)


class TestOpenings:
    def test_a_series_that_is_gone_is_in_none(self) -> None:
        world = World(retention=Retention(series_ttl=10.0))
        world.publish({"a": [1.0]})
        first = world.subscribe()
        assert [series["name"] for series in documents(first)[1]["series"]] == ["a"]
        world.hub.unsubscribe(first, now=world.now)
        for _ in range(15):
            world.now += 1.0
            world.sweep()
            world.tick()
        assert len(world.hub.catalog) == 0
        assert documents(world.subscribe())[1:] == [
            {"type": "points", "id": "e1.16", "series": [], "points": []}
        ]

    def test_are_kept_no_longer_than_they_are_good(self) -> None:
        world = World()
        world.publish({"a": [1.0]})
        subscriber = world.subscribe()
        assert subscriber.view._openings
        world.publish({"a": [2.0]})
        world.tick(1.0)
        assert subscriber.view._openings == {}

    def test_are_few(self) -> None:
        world = World()
        for _ in range(50):
            world.publish({"a": [1.0]})
        for seq in range(50):
            subscriber = world.subscribe(since=f"e1.{seq}")
        assert len(subscriber.view._openings) <= 16


def test_a_long_past_begins_with_a_short_frame_and_is_whole() -> None:
    world = World(pacing=Pacing(replay_points=5_000))
    for _ in range(120):
        world.publish({f"s{n}": [1.0] for n in range(50)})
        world.now += 1.0
    subscriber = world.subscribe(window=600.0)
    sizes = []
    while (frame := subscriber.pull()) is not None:
        sizes.append(frame.points)
    sizes = [size for size in sizes if size]
    assert 0 < sizes[0] <= 1_000
    assert sum(sizes) == 6_000
    # What fits into one frame comes in one, which others are given too.
    subscriber = world.subscribe(window=50.0)
    frames = []
    while (frame := subscriber.pull()) is not None:
        frames.append(frame)
    assert [frame.points for frame in frames if frame.points] == [sum(f.points for f in frames)]
