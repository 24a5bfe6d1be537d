"""Changing what is watched: a debt stays, and no cursor goes back."""

from __future__ import annotations

import msgspec
import pytest

from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.model.cursor import Cursor, parse_cursor
from pushsvc.core.resources.limits import Pacing, Retention
from tests.core.world import Client, World


def order(text: str) -> tuple[int, float]:
    """Cursors in the order in which a client is given them."""
    cursor = parse_cursor(text)
    return cursor.seq, float("inf") if cursor.debt is None else cursor.debt + cursor.place / 1e9


def assert_no_id_goes_back(client: Client) -> None:
    ids = [order(document["id"]) for document in client.documents if "id" in document]
    seqs = [seq for seq, _ in ids]
    assert seqs == sorted(seqs), ids


def floats(count: int, start: int = 0) -> list[float]:
    return [float(value) for value in range(start, start + count)]


class Watched:
    """A client that watches `a`, and has been given all of it while `b` came too."""

    def __init__(self, *, samples: int = 30, frame: int = 5, limit: int = 10_000) -> None:
        self.world = World(
            pacing=Pacing(replay_points=frame), retention=Retention(samples=limit, series_ttl=20.0)
        )
        self.client = Client()
        self.subscriber = self.world.subscribe(self.world.spec("a"))
        for value in floats(samples):
            self.world.publish({"a": [value], "b": [value]})
            self.world.tick(0.1)
            self.client.pull(self.subscriber)

    def pull(self, most: int | None = None) -> None:
        self.client.pull(self.subscriber, most)
        assert_no_id_goes_back(self.client)

    def resume(self, *selectors: str) -> None:
        self.world.hub.unsubscribe(self.subscriber, now=self.world.now)
        spec = self.world.spec(*selectors)
        self.subscriber = self.world.subscribe(spec, since=self.client.cursor)


class TestDebt:
    @pytest.mark.parametrize("taken", range(8))
    def test_a_second_watch_owes_what_the_first_did(self, taken: int) -> None:
        watched = Watched()
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull(taken)
        watched.world.watch(watched.subscriber, "a", "b", max_hz=1)
        watched.pull()
        assert watched.client.values == {"a": floats(30), "b": floats(30)}
        assert not watched.client.gaps

    @pytest.mark.parametrize("taken", range(1, 9))
    def test_it_is_owed_to_who_comes_back(self, taken: int) -> None:
        watched = Watched()
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull(taken)
        watched.resume("a", "b")
        watched.world.publish({"a": [30.0], "b": [30.0]})
        watched.world.tick(1.0)
        watched.pull()
        assert watched.client.values == {"a": floats(31), "b": floats(31)}
        assert not watched.client.gaps

    def test_who_comes_back_elsewhere_is_told_that_something_is_missing(self) -> None:
        watched = Watched()
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull(3)
        elsewhere = parse_cursor(watched.client.cursor or "")
        assert elsewhere.debt is not None
        watched.client.cursor = str(msgspec.structs.replace(elsewhere, debt=elsewhere.debt + 1))
        watched.resume("a", "b")
        watched.pull()
        assert list(watched.client.gaps.values()) == [None]

    def test_what_is_evicted_of_it_is_counted(self) -> None:
        watched = Watched(limit=30)
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull(3)
        given = len(watched.client.values["b"])
        for value in floats(20, 30):
            watched.world.publish({"b": [value]})
        watched.world.watch(watched.subscriber, "a", "b", max_hz=1)
        watched.world.tick(2.0)
        watched.pull()
        got = watched.client.values["b"]
        assert got[-20:] == floats(20, 30)
        assert given < len(got) < 50
        assert len(got) + sum(lost or 0 for lost in watched.client.gaps.values()) == 50

    def test_a_gap_doesn_t_take_the_cursor_back(self) -> None:
        watched = Watched(limit=30)
        watched.world.publish({"a": [30.0]})
        watched.world.tick(1.0)
        watched.pull()
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull(2)
        for value in floats(40, 31):
            watched.world.publish({"b": [value]})
        watched.world.tick(1.0)
        while not watched.client.gaps:
            watched.pull(1)
        watched.resume("a", "b")
        watched.pull()
        assert watched.client.values["a"] == floats(31)

    def test_a_series_that_goes_meanwhile_is_told(self) -> None:
        watched = Watched()
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull(3)
        given = len(watched.client.values["b"])
        for _ in range(30):
            watched.world.publish({"a": [0.0]})
            watched.world.sweep(1.0)
        watched.world.watch(watched.subscriber, "a", "b", max_hz=1)
        watched.world.tick(2.0)
        watched.pull()
        assert watched.client.gone == ["b"]
        assert sum(lost or 0 for lost in watched.client.gaps.values()) == 30 - given

    def test_the_cursor_is_plain_again_when_it_is_paid(self) -> None:
        watched = Watched()
        watched.world.watch(watched.subscriber, "a", "b", window=60)
        watched.pull()
        assert watched.subscriber.id == Cursor("e1", 30)
        assert watched.client.cursor == "e1.30"


class TestOthersViews:
    """The view that somebody goes over to has ticked before, or later."""

    def behind(self) -> tuple[World, Client, Subscriber]:
        """A client that is ahead of the slow view that it goes over to."""
        world = World(pacing=Pacing(ring_frames=1, replay_points=2))
        world.publish({"a": [0.0], "b": [0.0]})
        slow = world.subscribe(world.spec("a", "b", max_hz=0.2))
        client = Client()
        fast = world.subscribe(world.spec("a", max_hz=20))
        client.pull(fast)
        world.publish({"b": [1.0]})
        world.tick()
        Client().pull(slow)
        for value in floats(5, 1):
            world.publish({"a": [value]})
            world.tick(0.1)
            client.pull(fast)
        assert client.values == {"a": floats(6)}
        world.watch(fast, "a", "b", max_hz=0.2)
        return world, client, fast

    def test_nothing_is_doubled(self) -> None:
        world, client, fast = self.behind()
        client.pull(fast)
        world.publish({"a": [6.0], "b": [2.0]})
        world.tick(5.0)
        client.pull(fast)
        assert client.values == {"a": floats(7), "b": [1.0, 2.0]}
        assert not client.gaps
        assert_no_id_goes_back(client)

    def test_heartbeats_have_the_client_s_own_cursor(self) -> None:
        world, client, fast = self.behind()
        client.pull(fast)
        (view,) = {fast.view}
        view.beat(view.seq, world.now, world.time_ms)
        client.pull(fast)
        assert client.documents[-1]["type"] == "heartbeat"
        assert_no_id_goes_back(client)

    def test_a_batch_of_what_is_new_is_not_skipped(self) -> None:
        world, client, fast = self.behind()
        client.pull(fast, 2)
        for value in floats(6, 2):
            world.publish({"b": [value]})
            world.tick(5.0)
        client.pull(fast)
        assert client.values["b"] == floats(7, 1)
        assert_no_id_goes_back(client)

    def test_a_gap_is_counted_or_said_to_be_unknown(self) -> None:
        world = World(retention=Retention(samples=50))
        world.publish({"a": [0.0]})
        client = Client()
        slow = world.subscribe(world.spec("a", max_hz=0.1))
        client.pull(slow)
        for value in floats(1_000, 1):
            world.publish({"a": [value]})
        world.watch(slow, "a", max_hz=20)
        world.tick(1.0)
        client.pull(slow)
        got = client.values["a"]
        assert list(client.gaps.values()) in ([None], [1_001 - len(got)])

    def test_who_is_behind_is_told_of_what_went(self) -> None:
        world = World(retention=Retention(series_ttl=5.0))
        world.publish({"a": [0.0], "b": [0.0]})
        client = Client()
        slow = world.subscribe(world.spec("a", "b", max_hz=0.01))
        client.pull(slow)
        world.publish({"b": [1.0]})
        world.tick(0.0)
        client.pull(slow)
        for value in floats(5, 1):
            world.publish({"a": [value]})
        for value in floats(10, 2):
            world.publish({"b": [value]})
            world.sweep(1.0)
        world.watch(slow, "a", "b", max_hz=20)
        world.tick(1.0)
        client.pull(slow)
        assert client.gone == ["a"]
        assert list(client.gaps.values()) == [5]
        assert client.values["b"] == floats(12)


class TestDepartures:
    def gone(self) -> World:
        world = World(retention=Retention(series_ttl=5.0))
        world.publish({"a": [0.0], "b": [0.0]})
        return world

    def expire_a(self, world: World) -> None:
        for value in floats(10, 1):
            world.publish({"b": [value]})
            world.sweep(1.0)

    def test_a_poll_is_told_once(self) -> None:
        world = self.gone()
        cursor = str(world.hub.cursor)
        world.sweep()
        world.sweep(10.0)
        client = Client(cursor)
        for _ in range(3):
            poll = world.subscribe(since=client.cursor, describe="used", greet=False)
            client.pull(poll)
            client.cursor = str(poll.id)
            world.hub.unsubscribe(poll, now=world.now)
        assert [d["type"] for d in client.documents] == ["gone"]

    @pytest.mark.parametrize("taken", [1, 2, 3])
    def test_who_is_cut_off_before_it_is_told_when_it_returns(self, taken: int) -> None:
        world = self.gone()
        client = Client()
        subscriber = world.subscribe(world.spec(max_hz=0.01))
        client.pull(subscriber)
        world.publish({"a": [1.0], "b": [0.5]})
        self.expire_a(world)
        world.tick(100.0)
        client.pull(subscriber, taken)
        world.hub.unsubscribe(subscriber, now=world.now)
        world.publish({"b": [99.0]})
        client.pull(world.subscribe(since=client.cursor))
        assert set(client.gone) == {"a"}
        assert sum(lost or 0 for lost in client.gaps.values()) == 1
        assert client.values["b"][-1] == 99.0

    def test_each_slice_of_a_replay_may_be_the_last_that_is_taken(self) -> None:
        world = World(retention=Retention(series_ttl=5.0), pacing=Pacing(replay_points=3))
        world.publish({"a": [0.0], "b": [0.0]})
        cursor = str(world.hub.cursor)
        self.expire_a(world)
        for taken in range(2, 8):
            client = Client(cursor)
            client.names = {1: "a"}
            client.pull(world.subscribe(since=cursor), taken)
            client.pull(world.subscribe(since=client.cursor))
            assert set(client.gone) == {"a"}

    def test_what_is_left_of_them_is_small(self) -> None:
        world = World(retention=Retention(series_ttl=5.0))
        world.publish({"a": [*floats(9_000)]})
        series = next(iter(world.hub.catalog))
        for _ in range(3):
            world.sweep(4.0)
        assert len(world.hub.catalog) == 0
        assert series.history._seqs.buffer_info()[1] <= 64
        client = Client()
        client.pull(world.subscribe(since="e1.0"))
        assert list(client.gaps.values()) == [None]


class TestDescriptions:
    def test_a_poll_that_waited_describes_what_it_tells_of(self) -> None:
        world = World()
        world.publish({"a": [0.0]})
        live = world.subscribe()
        poll = world.subscribe(since=str(world.hub.cursor), describe="used", greet=False)
        assert poll.pull() is None
        world.publish({"a": [1.0]})
        world.tick(1.0)
        client = Client()
        client.pull(poll)
        assert client.values == {"a": [1.0]}
        Client().pull(live)

    def test_polls_share_what_they_are_told(self) -> None:
        world = World()
        cursor = str(world.publish({"a": [0.0]}).cursor)
        polls = [world.subscribe(since=cursor, describe="used", greet=False) for _ in range(3)]
        assert [poll.pull() for poll in polls] == [None] * 3
        world.publish({"a": [1.0]})
        world.tick(1.0)
        frames = [poll.pull() for poll in polls]
        assert frames[0] is not None
        assert frames[0] is frames[1] is frames[2]

    def test_of_a_series_described_twice_in_one_tick(self) -> None:
        world = World(pacing=Pacing(replay_points=10))
        world.publish({"a": [0.0]})
        client = Client()
        subscriber = world.subscribe(world.spec(max_hz=0.2))
        client.pull(subscriber)
        world.publish({"a": [1.0]})
        world.tick()
        client.pull(subscriber)
        for name in ("x", "y", "z"):
            world.publish({name: [*floats(9)]})
        world.publish({"x": [9.0]}, kind="counter")
        world.tick(5.0)
        client.pull(subscriber)  # a KeyError for a ref without a description
        assert client.values["x"] == floats(10)

    def test_what_is_live_says_when_it_was_made(self) -> None:
        world = World()
        cursor = str(world.publish({"a": [0.0]}).cursor)
        poll = world.subscribe(since=cursor, describe="used", greet=False)
        assert poll.pull() is None
        world.publish({"a": [1.0]})
        world.tick(1.0)
        client = Client()
        client.pull(poll)
        assert client.documents[0]["time"] == world.time_ms
        late = Client()
        late.pull(world.subscribe(since=cursor, describe="used", greet=False))
        assert "time" not in late.documents[0]
