"""A rolling update: pods behind a proxy, each replaced by a new one while everybody goes on.

With a log that they share nobody has less than what was published; with one for each process, a gap
is told. `python -m tests.bench rolling` does the first with more dashboards.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.journal.valkey_server import ValkeyServer, running
from tests.ports import free_ports
from tests.proxies.dashboards import TRANSPORTS, Crowd, Dashboard, peak
from tests.proxies.fleet import (
    ASKED_PER_SECOND,
    Fleet,
    Pod,
    Producers,
    balancer,
    log_faults,
    open_fleet,
)

pytestmark = pytest.mark.timeout(400)  # some 20 s on two cores that have nothing else to do

CROWD = 1_000
PATIENCE = 60.0
"""Seconds for all of them to be where they should be, on a machine that is busy."""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running(tmp_path / "valkey") as server:  # with its append-only file
        yield server


class Scene:
    """A fleet, its producer and its dashboards."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.crowd = Crowd(fleet.fronts, CROWD, max_hz=2, poll_pause=1.0, per_second=500)
        self.producers = Producers(f"http://127.0.0.1:{fleet.fronts[0]}", 0.5)
        self.peaks: list[float] = []

    async def step(self, change: Callable[[], Awaitable[None]]) -> None:
        """Change the fleet, and wait until everybody goes on."""
        begun = trio.current_time()
        await change()
        await self.crowd.everyone_live(self.producers.next, PATIENCE)
        self.peaks.append(peak(self.crowd.returns(begun), self.crowd.hiccups))

    def figures(self, what: str) -> str:
        crowd = self.crowd
        return (
            f"{what}, {CROWD:,} dashboards: the slowest ({crowd.slowest.transport}) was without "
            f"news for {crowd.slowest.silence:.1f} s, a producer without an answer for "
            f"{self.producers.longest:.1f} s; {max(self.peaks):.0f} came back in a second at the "
            f"most; {crowd.told} were told to go, {crowd.cuts.total()} cut, "
            f"{crowd.refusals.total()} refused"
        )


@contextlib.asynccontextmanager
async def scene(folder: Path, journal: str) -> AsyncIterator[Scene]:
    """Three pods and all who watch them; in the end each record is what was published."""
    async with open_fleet(folder, journal, size=3, clients=CROWD) as fleet:
        it = Scene(fleet)
        done = trio.Event()
        async with trio.open_nursery() as watching:
            async with trio.open_nursery() as publishing:
                await publishing.start(it.producers.run, done)
                watching.start_soon(it.crowd.run)
                await it.crowd.everyone_live(it.producers.next, PATIENCE)
                yield it
                done.set()
            await it.crowd.everyone_through(it.producers.published, PATIENCE)
            watching.cancel_scope.cancel()
        found = it.crowd.faults(it.producers.published)
        logged = await log_faults(journal, it.producers.published)
    assert not found, (len(found), found[:5], it.producers.trails, logged)
    assert not logged, it.producers.trails


@pytest.mark.long
async def test_with_one_log_nobody_notices(
    tmp_path: Path, valkey: ValkeyServer, record_property: Callable[[str, object], None]
) -> None:
    async with scene(tmp_path, valkey.url) as it:
        await it.step(it.fleet.roll)
    record_property("figures", it.figures("rolling update"))
    assert it.crowd.cuts == Counter()  # all that left was told to
    streams = [one for one in it.crowd.watching if one.transport != "longpoll"]
    assert all(one.told >= 1 for one in streams)
    assert 0 < max(it.fleet.asked_back) <= ASKED_PER_SECOND


@pytest.mark.long
async def test_with_one_log_nothing_is_lost_by_those_of_a_pod_that_is_killed(
    tmp_path: Path, valkey: ValkeyServer, record_property: Callable[[str, object], None]
) -> None:
    async with scene(tmp_path, valkey.url) as it:
        for _ in range(3):
            await it.step(it.fleet.crash)
    record_property("figures", it.figures("kill -9 of each pod"))
    assert it.crowd.told == 0
    assert it.crowd.cuts.total() >= CROWD // 2


@pytest.mark.long
async def test_the_logs_server_may_be_restarted_in_the_middle(
    tmp_path: Path, valkey: ValkeyServer, record_property: Callable[[str, object], None]
) -> None:
    async with scene(tmp_path, valkey.url) as it:

        async def restart() -> None:
            first, *_ = it.fleet.pods
            await trio.to_thread.run_sync(first.process.wait)
            valkey.kill()
            await trio.sleep(2.0)
            await trio.to_thread.run_sync(valkey.start)

        async def both() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(restart)
                await it.fleet.roll()

        await it.step(both)
        for pod in it.fleet.pods:
            assert await pod.metric(it.fleet.http, "pushsvc_journal_begun_anew_total") == 0
    record_property("figures", it.figures("rolling update, Valkey killed in the middle of it"))
    assert it.crowd.cuts == Counter()
    assert 0 < max(it.fleet.asked_back) <= ASKED_PER_SECOND


async def publish(pods: list[Pod], http: httpx.AsyncClient, last: list[int]) -> None:
    """Count up, in each process alike: they have no journal in common."""
    for value in itertools.count(1):
        for pod in list(pods):
            with contextlib.suppress(httpx.HTTPError):
                await http.post(f"{pod.url}/v1/samples", json={"name": "n", "value": value})
        last[0] = value
        await trio.sleep(0.25)


@pytest.mark.long
async def test_with_a_log_for_each_a_gap_is_told(tmp_path: Path) -> None:
    size = 2_000
    ports = free_ports(4)
    pods: list[Pod] = []
    last = [0]
    asked_back: list[int] = []

    async def everyone_live() -> None:
        wanted = last[0] + 1
        with trio.fail_after(PATIENCE):
            while any(not one.values or one.values[-1] < wanted for one in watching):
                await trio.sleep(0.1)

    try:
        async with (
            httpx.AsyncClient(timeout=5, trust_env=False) as http,
            balancer(tmp_path, ports, clients=size, checked=True) as front,
            trio.open_nursery() as nursery,
        ):
            pods += [Pod(port, tmp_path / f"pod-{port}.log") for port in ports[:2]]
            for pod in pods:
                await pod.ready(http)
            await trio.sleep(0.5)  # for the balancer to see it
            nursery.start_soon(publish, pods, http, last)
            transports = itertools.cycle(TRANSPORTS[:3])  # polls would go from log to log
            watching = [Dashboard(front.port, next(transports)) for _ in range(size)]
            for number, one in enumerate(watching):
                nursery.start_soon(one.run)
                if number % 50 == 49:
                    await trio.sleep(0.05)
            await everyone_live()
            for port in ports[2:]:
                new, old = Pod(port, tmp_path / f"pod-{port}.log"), pods[0]
                await new.ready(http)
                pods.append(new)
                await trio.sleep(0.5)
                pods.remove(old)
                await old.leave()
                await everyone_live()
                assert old.back_in_a_second is not None
                asked_back.append(old.back_in_a_second)
            nursery.cancel_scope.cancel()
    finally:
        for pod in pods:
            pod.kill()

    assert [cut for one in watching for cut in one.cut] == []  # all that left was told to
    assert sum(one.told for one in watching) >= size // 2
    assert 0 < max(asked_back) <= ASKED_PER_SECOND
    for one in watching:
        values = set(one.values)
        missing = max(values) - min(values) + 1 - len(values)
        assert not missing or one.gaps, (one.transport, missing)
        assert len(one.gaps) <= one.told
