"""Clients that come to the hub and share views, and refusals that change nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.core.storage.catalog import Watcher
from pushsvc.errors import Malformed, Overloaded, Rejected, Unknown
from tests.core.stream import documents
from tests.core.world import World


class TestViews:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (["a", "b"], ["b", "a"]),
            (["a", "b"], ["a", "b", "a"]),
            (['{__name__="a"}'], ["a"]),
            (['a{x="1",y="2"}'], ["a { y='2', x=\"1\" }"]),
        ],
    )
    def test_are_shared_by_equal_specs(self, one: list[str], other: list[str]) -> None:
        world = World()
        first = world.subscribe(world.spec(*one))
        second = world.subscribe(world.spec(*other))
        assert first.view is second.view
        assert len(world.hub.views) == 1
        assert set(first.view.subscribers.values()) == {first, second}

    def test_whatever_the_order_in_which_they_are_asked(self) -> None:
        a, b = parse("a"), parse("b")
        keys = {ViewSpec(chosen, 1.0, "all", 15.0).key for chosen in ((a, b), (b, a), (a, b, a))}
        assert len(keys) == 1

    def test_hardly_different_rates_are_the_same(self) -> None:
        world = World(pacing=Pacing(max_hz=20.0, default_hz=10.0))
        views = {
            world.subscribe(world.spec("a", max_hz=hz)).view for hz in (None, 10, 10.02, 9.999)
        }
        assert len(views) == 1

    def test_different_specs_are_different_views(self) -> None:
        world = World()
        specs = [
            world.spec("a"),
            world.spec("b"),
            world.spec("a", "b"),
            world.spec('a{x="1"}'),
            world.spec("a", max_hz=5),
            world.spec("a", merge="last"),
            world.spec("a", merge="envelope"),
            world.spec("a", heartbeat=5),
        ]
        assert len({world.subscribe(spec).view for spec in specs}) == len(specs)

    def test_linger_when_nobody_watches_then_close(self) -> None:
        world = World()
        world.publish({"a": [1.0]})
        subscriber = world.subscribe()
        (series,) = world.hub.catalog
        for _ in range(3):
            world.hub.unsubscribe(subscriber, now=world.now)
            world.now += 59
            world.sweep()
            assert world.subscribe().view is subscriber.view  # it comes back in time
            (subscriber,) = world.hub.subscribers.values()
        world.now += 1000
        world.sweep()
        assert list(world.hub.views.values()) == [subscriber.view]  # watched
        world.hub.unsubscribe(subscriber, now=world.now)
        world.now += 60
        world.sweep()
        assert world.hub.views == {}
        assert series.views == []
        assert world.subscribe().view is not subscriber.view

    def test_the_schedule_forgets_what_is_closed(self) -> None:
        world = World()
        subscriber = world.subscribe()
        world.publish({"a": [1.0]})
        world.hub.unsubscribe(subscriber, now=world.now)
        world.hub.close_idle(world.now + 60)
        assert world.tick(100.0) == 0
        assert len(world.hub._schedule) == 0


class TestGrants:
    @pytest.mark.parametrize(
        ("asked", "granted"),
        [
            (None, 10.0),
            (5, 5.0),
            (1000, 12.5),
            (12.6, 12.5),
            (12.4, 12.0),
            (3.14159, 3.1),
            (0.123, 0.12),
            (0.000001, 0.01),
        ],
    )
    def test_rates(self, asked: float | None, granted: float) -> None:
        world = World(pacing=Pacing(max_hz=12.5, default_hz=10.0))
        assert world.spec("a", max_hz=asked).max_hz == granted

    def test_selectors_are_distinct_and_limited(self) -> None:
        world = World(limits=Limits(selectors=2))
        spec = world.spec("b", "a", "b", '{__name__="a"}')
        assert [selector.text for selector in spec.selectors] == ["a", "b"]
        with pytest.raises(Rejected, match=r"3 selectors.*limits\.selectors"):
            world.spec("a", "b", "c")

    def test_merge_is_one_of_three(self) -> None:
        world = World()
        assert world.spec("a").merge == "all"
        assert world.spec("a", merge="last").merge == "last"
        with pytest.raises(Malformed, match="all, last or envelope") as caught:
            world.spec("a", merge="x" * 10_000)
        assert len(caught.value.detail) < 200


def state(hub: Hub) -> Any:
    """What refusing must not change."""
    return (
        hub.seq,
        {key: (set(view.subscribers), view.idle_since) for key, view in hub.views.items()},
        set(hub.subscribers),
        [
            (s.identity.text, s.kind, s.history.total, set(map(id, s.views)), s.described_seq)
            for s in hub.catalog
        ],
        sorted(entry[:2] for entry in hub._schedule._entries),
        {name: n for name, n in hub.counts.items() if not name.endswith("_refused")},
    )


class TestRefusing:
    def test_subscribers(self) -> None:
        world = World(limits=Limits(subscribers=2))
        first = world.subscribe(world.spec("a"))
        world.subscribe(world.spec("a"))
        before = state(world.hub)
        for spec in (world.spec("a"), world.spec("b")):
            with pytest.raises(Overloaded, match=r"2 subscribers.*limits\.subscribers") as caught:
                world.subscribe(spec)
            assert caught.value.retry_after > 0
        assert state(world.hub) == before
        assert world.hub.counts["subscribers_refused"] == 2
        world.hub.unsubscribe(first, now=world.now)
        world.subscribe(world.spec("a"))

    def test_views(self) -> None:
        world = World(limits=Limits(views=2))
        a, b = world.subscribe(world.spec("a")), world.subscribe(world.spec("b"))
        before = state(world.hub)
        with pytest.raises(Overloaded, match=r"limits\.views"):
            world.subscribe(world.spec("c"))
        with pytest.raises(Overloaded, match=r"limits\.views"):
            world.hub.watch(a.session, world.spec("c"), None, now=world.now, time_ms=world.time_ms)
        assert state(world.hub) == before
        world.subscribe(world.spec("a"))  # one that is there has room for all
        # One that only lingers makes room.
        world.hub.unsubscribe(b, now=world.now)
        assert world.subscribe(world.spec("c")).view in world.hub.views.values()
        assert len(world.hub.views) == 2
        assert b.view not in world.hub.views.values()

    def test_cursors_from_the_future(self) -> None:
        world = World()
        world.publish({"a": [1.0]})
        before = state(world.hub)
        with pytest.raises(Malformed, match=r"e1\.2 is ahead of this hub, which is at e1\.1"):
            world.subscribe(since="e1.2")
        assert state(world.hub) == before

    def test_series(self) -> None:
        world = World(limits=Limits(series=2))
        world.publish({"a": [1.0]})
        before = state(world.hub)
        with pytest.raises(Rejected, match=r"2 new series would make 3.*limits\.series"):
            world.publish({"a": [2.0], "b": [1.0], "c": [1.0]})
        assert state(world.hub) == before
        world.publish({"a": [2.0], "b": [1.0]})
        world.publish({"a": [3.0], "b": [2.0]})  # full, but these are known

    def test_kinds(self) -> None:
        world = World()
        world.publish({"a": [1.0]}, kind="counter")
        before = state(world.hub)
        for values, kind in (([2.0], "gauge"), (["on"], None)):
            with pytest.raises(Rejected) as caught:
                world.publish({"b": [1.0], "a": values}, kind=kind)  # type: ignore[dict-item]
            assert caught.value.extra["series"] == "a"
        assert state(world.hub) == before

    def test_what_another_process_accepted_is_left_out_and_counted(self) -> None:
        world = World(limits=Limits(series=2))
        world.publish({"a": [1.0], "b": [1.0]}, kind="counter")
        rows = [
            Rows(identify("a", {}, world.limits), [1, 2], [1.0, 2.0], "gauge"),
            Rows(identify("b", {}, world.limits), [1], [5.0]),
            Rows(identify("c", {}, world.limits), [1, 2, 3], [1.0, 2.0, 3.0]),
        ]
        applied = world.hub.apply(2, Batch(rows), world.now)
        assert applied.samples == 1
        assert applied.cursor.seq == 2
        assert world.hub.counts["samples_conflicting"] == 5
        assert [(s.identity.text, s.history.total) for s in world.hub.catalog] == [
            ("a", 1),
            ("b", 2),
        ]

    def test_changing_the_view_of_who_is_gone(self) -> None:
        world = World()
        subscriber = world.subscribe()
        world.hub.unsubscribe(subscriber, now=world.now)
        before = state(world.hub)
        with pytest.raises(Unknown):
            world.hub.watch(
                subscriber.session, world.spec("b"), None, now=world.now, time_ms=world.time_ms
            )
        assert state(world.hub) == before


class TestGivingWay:
    """Where there are as many series as there may be, those that have ended make room."""

    def full(self) -> World:
        world = World(limits=Limits(series=2))
        world.publish({"a": [1.0], "b": [1.0]})
        world.end("a")
        return world

    def names(self, world: World) -> set[str]:
        return {series.identity.text for series in world.hub.catalog}

    def test_to_new_ones(self) -> None:
        world = self.full()
        world.publish({"c": [1.0]})
        assert self.names(world) == {"b", "c"}

    @pytest.mark.parametrize("order", [("a", "c"), ("c", "a")])
    def test_not_where_they_return_in_the_same_batch(self, order: tuple[str, str]) -> None:
        world = self.full()
        before = state(world.hub)
        with pytest.raises(Rejected, match=r"limits\.series"):
            world.publish({name: [2.0] for name in order})
        assert state(world.hub) == before
        rows = [Rows(identify(name, {}, world.limits), [9], [2.0]) for name in order]
        good, refused = world.hub.sift(Batch(rows))
        assert [one.rows.identity.text for one in refused] == ["c"]
        assert world.hub.apply(world.hub.seq + 1, good, world.now).samples == 1
        assert self.names(world) == {"a", "b"}

    def test_another_gives_way_then(self) -> None:
        world = self.full()
        world.end("b")
        world.publish({"c": [1.0], "a": [2.0]})
        assert self.names(world) == {"a", "c"}
        assert world.hub.counts["samples_conflicting"] == 0


class TestWatchers:
    def test_each_is_counted_once(self) -> None:
        world = World()
        spec = world.spec("a", "b")
        first, _ = world.subscribe(spec), world.subscribe(spec)
        world.subscribe(world.spec("a", max_hz=1))
        assert world.publish({"a": [1.0], "b": [1.0]}).watchers == 3
        assert world.publish({"b": [1.0]}).watchers == 2
        assert world.publish({"c": [1.0]}).watchers == 0
        world.hub.unsubscribe(first, now=world.now)
        assert world.publish({"b": [1.0]}).watchers == 1

    def test_of_a_batch_that_was_applied_in_pieces(self) -> None:
        world = World()
        world.subscribe(world.spec("a", "b"))
        world.subscribe(world.spec("a"))
        world.publish({"a": [1.0], "b": [1.0]})
        touched: dict[Watcher, None] = {}
        watchers = []
        for name in ("b", "a", "z"):
            piece = Batch([Rows(identify(name, {}, world.limits), [1], [1.0])])
            seq = world.hub.seq + 1
            applied = world.hub.apply(seq, piece, world.now, checked=True, touched=touched)
            watchers.append(applied.watchers)
        assert watchers == [1, 2, 2]


class TestLeaving:
    def test_again_does_nothing(self) -> None:
        world = World()
        first, second = world.subscribe(), world.subscribe()
        world.hub.unsubscribe(first, now=world.now)
        before = state(world.hub)
        world.hub.unsubscribe(first, now=world.now)
        assert state(world.hub) == before
        assert set(world.hub.subscribers.values()) == {second}
        assert second.view.idle_since is None
        world.hub.unsubscribe(second, now=world.now)
        idle = second.view.idle_since
        assert idle == world.now
        world.hub.unsubscribe(second, now=world.now + 50)
        assert second.view.idle_since == idle

    def test_after_a_change_of_view_both_are_left(self) -> None:
        world = World()
        subscriber = world.subscribe(world.spec("a"))
        old = subscriber.view
        world.hub.watch(
            subscriber.session, world.spec("b"), None, now=world.now, time_ms=world.time_ms
        )
        assert old.idle_since == world.now
        assert subscriber.view is not old
        world.hub.unsubscribe(subscriber, now=world.now)
        assert old.subscribers == subscriber.view.subscribers == {}
        assert world.hub.subscribers == {}

    def test_changing_to_the_same_view_stays(self) -> None:
        world = World()
        subscriber = world.subscribe(world.spec("a"))
        world.hub.watch(
            subscriber.session, world.spec("a"), None, now=world.now, time_ms=world.time_ms
        )
        assert subscriber.view.idle_since is None
        assert list(subscriber.view.subscribers.values()) == [subscriber]


def test_counts_what_happened() -> None:
    world = World()
    subscriber = world.subscribe()
    world.publish({"a": [1.0, 2.0], "b": [1.0]})
    world.publish({"a": [3.0]})
    world.tick()
    counts = world.hub.counts
    assert (counts["samples"], counts["batches"]) == (4, 2)
    assert (counts["subscribed"], counts["ticks"]) == (1, 1)
    assert subscriber.frames == 0
    documents(subscriber)
    assert subscriber.frames == 3
    assert msgspec.json.encode(dict(counts))
    assert str(world.hub.cursor) == "e1.2"
