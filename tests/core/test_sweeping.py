"""What grows old: samples, series, and the marks that tell their age."""

from __future__ import annotations

import pytest

from pushsvc.core.resources.limits import Retention
from pushsvc.core.storage import sweeping
from tests.core.stream import types
from tests.core.world import World


class TestSweeping:
    def held(self, world: World, name: str) -> list[float]:
        series = world.hub.catalog.get(name)
        assert series is not None
        _, values = series.history.rows(series.history.first, series.history.total)
        return list(values)  # type: ignore[arg-type]

    def sweep(self, world: World, seconds: float) -> None:
        """Let time pass as the service does: a sweep a second."""
        for _ in range(round(seconds)):
            world.now += 1.0
            world.sweep()

    def test_samples_are_dropped_by_the_age_of_their_arrival(self) -> None:
        world = World(retention=Retention(seconds=10.0, series_ttl=1000.0))
        for value in range(30):
            world.publish({"a": [float(value)]})
            self.sweep(world, 1.0)
        assert self.held(world, "a")[-1] == 29.0
        assert 9 <= len(self.held(world, "a")) <= 11
        self.sweep(world, 5.0)
        assert 4 <= len(self.held(world, "a")) <= 6

    @pytest.mark.parametrize("apart", [0.3, 0.5, 1.0])
    def test_the_newest_grow_old_even_if_nothing_comes_after(self, apart: float) -> None:
        world = World(retention=Retention(seconds=10.0, series_ttl=20.0))
        for value in (1.0, 2.0, 3.0):
            world.publish({"a": [value]})
            world.now += apart
        self.sweep(world, 6.0)
        assert self.held(world, "a") == [1.0, 2.0, 3.0]
        self.sweep(world, 6.0)
        assert self.held(world, "a") == []
        self.sweep(world, 5.0)
        assert len(world.hub.catalog) == 1
        self.sweep(world, 6.0)
        assert len(world.hub.catalog) == 0
        assert world.hub.counts["series_gone"] == 1

    def test_a_silent_series_goes_and_the_others_stay(self) -> None:
        world = World(retention=Retention(seconds=1000.0, series_ttl=10.0))
        world.publish({"a": [1.0], "b": [1.0]})
        for _ in range(9):
            self.sweep(world, 1.0)
            world.publish({"b": [1.0]})
        assert world.hub.catalog.get("a") is not None
        for _ in range(3):
            self.sweep(world, 1.0)
            world.publish({"b": [1.0]})
        assert [series.identity.text for series in world.hub.catalog] == ["b"]
        assert len(self.held(world, "b")) == 13

    def test_an_expired_series_leaves_its_views(self) -> None:
        world = World(retention=Retention(series_ttl=5.0))
        subscriber = world.subscribe()
        world.publish({"a": [1.0]})
        (series,) = world.hub.catalog
        world.publish({"b": [1.0]})
        self.sweep(world, 7.0)
        assert subscriber.view.members == {}
        assert subscriber.view.dirty == {}
        assert series.views == []
        assert world.tick() == 1
        assert "gone" in types(subscriber)

    def test_a_sweep_looks_at_some_series_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweeping, "_SWEEP", 10)
        world = World(retention=Retention(series_ttl=5.0))
        world.publish({f"s{n}": [1.0] for n in range(35)})
        world.sweep()  # begins a round
        world.now += 10.0
        left = []
        for _ in range(4):
            world.sweep()
            left.append(len(world.hub.catalog))
        assert left == [25, 15, 10, 0]

    def test_the_pasts_of_all_series_fit_together(self) -> None:
        world = World(retention=Retention(samples=1_000, total_samples=1_000))
        for _ in range(10):
            world.publish({"a": [1.0]})
        for _ in range(30):
            world.publish({f"s{n}": [1.0] * 20 for n in range(9)})
            self.sweep(world, 1.0)
        self.sweep(world, 3.0)
        held = {series.identity.text: len(series.history) for series in world.hub.catalog}
        assert held == {"a": 10, **dict.fromkeys((f"s{n}" for n in range(9)), 110)}
        self.sweep(world, 30.0)  # nothing comes, nothing goes
        assert sum(len(series.history) for series in world.hub.catalog) == 1_000

    def test_who_misses_what_was_cut_is_told_of_a_gap(self) -> None:
        world = World(retention=Retention(samples=1_000, total_samples=100))
        cursor = world.publish({"a": [1.0]}).cursor
        for _ in range(50):
            world.publish({"a": [1.0] * 4})
        self.sweep(world, 4.0)
        late = world.subscribe(since=str(cursor))
        assert types(late).count("gap") == 1

    def test_more_than_may_be_held_has_sweeps_come_sooner(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sweeping, "_SWEEP", 1)
        world = World(retention=Retention(samples=1_000, total_samples=100))
        world.publish({name: [1.0] * 36 for name in "abc"})
        assert not world.sweep()
        world.publish({"a": [1.0] * 3})
        assert [world.sweep() for _ in range(3)] == [True, True, False]

    def test_marks_are_bounded(self) -> None:
        world = World(retention=Retention(seconds=20.0, series_ttl=30.0))
        for _ in range(2_000):
            world.now += 0.1
            world.publish({"a": [1.0]})
            world.sweep()
            assert len(world.hub._sweeping._arrivals) <= 33
