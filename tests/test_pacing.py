"""The tasks that let time pass over the hub, under a clock that jumps."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from pushsvc.core.delivery.wire import Close
from pushsvc.core.resources.limits import Pacing, Retention
from pushsvc.pipeline import now_ms
from tests.core.stream import documents
from tests.flow import Recorder, batch, running

# -- ticking ---------------------------------------------------------------------------------------


async def test_ticks_come_at_once_and_then_at_the_granted_rate(autojump_clock: MockClock) -> None:
    async with running() as service:
        carrier = Recorder()
        service.subscribe(carrier, max_hz=10)
        await trio.sleep(5.0)
        began = trio.current_time()
        for _ in range(8):
            await service.pipeline.submit(batch("a"))
            await trio.sleep(0.025)
        await trio.sleep(1.0)
        assert [at - began for at in carrier.woken] == pytest.approx([0.0, 0.1, 0.2])


async def test_heartbeats_come_on_time(autojump_clock: MockClock) -> None:
    async with running(pacing=Pacing(heartbeat=15.0)) as service:
        await trio.sleep(3.0)
        carrier = Recorder()
        began = trio.current_time()
        subscriber = service.subscribe(carrier)
        await trio.sleep(40.0)
        assert [at - began for at in carrier.woken] == pytest.approx([15.0, 30.0])
        beat = documents(subscriber)[-1]
        assert beat["type"] == "heartbeat"
        assert abs(beat["time"] - now_ms()) < 60_000


async def test_everyone_of_a_large_view_is_woken_and_others_have_their_turn(
    autojump_clock: MockClock,
) -> None:
    async with running() as service:
        carriers = [Recorder() for _ in range(1_000)]
        subscribers = [service.subscribe(carrier) for carrier in carriers]
        woken = [0]
        await service.pipeline.submit(batch("a"))
        while woken[-1] < 1_000:
            await trio.lowlevel.checkpoint()
            woken.append(sum(len(carrier.woken) for carrier in carriers))
        # A task that waits for its turn gets it several times meanwhile; which runs first is
        # random.
        assert max(b - a for a, b in pairwise(woken)) <= 2 * 256
        assert [len(carrier.woken) for carrier in carriers] == [1] * 1_000
        assert len({subscriber.view for subscriber in subscribers}) == 1


async def test_between_two_views_others_have_their_turn(autojump_clock: MockClock) -> None:
    async with running() as service:
        carriers = [Recorder() for _ in range(50)]
        for number, carrier in enumerate(carriers):
            service.subscribe(carrier, max_hz=1 + number / 10)
        assert len(service.hub.views) == 50
        woken = [0]
        await service.pipeline.submit(batch("a"))
        while woken[-1] < 50:
            await trio.lowlevel.checkpoint()
            woken.append(sum(len(carrier.woken) for carrier in carriers))
        assert max(b - a for a, b in pairwise(woken)) <= 2


async def test_one_may_leave_while_the_others_are_woken(autojump_clock: MockClock) -> None:
    async with running() as service:

        class Leaving(Recorder):
            def wake(self) -> None:
                super().wake()
                for subscriber in list(service.hub.subscribers.values()):
                    service.hub.unsubscribe(subscriber, now=trio.current_time())

        carriers = [Leaving() for _ in range(3)]
        for carrier in carriers:
            service.subscribe(carrier)
        await service.pipeline.submit(batch("a"))
        await trio.sleep(1.0)
        await service.pipeline.submit(batch("a"))
        await trio.sleep(1.0)
        assert max(len(carrier.woken) for carrier in carriers) == 1
        assert service.hub.subscribers == {}


# -- sweeping --------------------------------------------------------------------------------------


async def test_time_passes_over_what_the_hub_holds(autojump_clock: MockClock) -> None:
    async with running(retention=Retention(seconds=5.0, series_ttl=10.0)) as service:
        carrier = Recorder()
        subscriber = service.subscribe(carrier)
        await service.pipeline.submit(batch("a"))
        await trio.sleep(0.3)
        await service.pipeline.submit(batch("b"))
        await trio.sleep(4.0)
        assert documents(subscriber)[-1]["type"] == "points"
        await trio.sleep(9.0)
        assert len(service.hub.catalog) == 0
        told = documents(subscriber)
        assert {document["type"] for document in told} == {"gone"}
        assert sorted(ref for document in told for ref in document["refs"]) == [1, 2]
        assert service.hub.counts["series_gone"] == 2


async def test_where_nothing_comes_the_log_says_only_when_something_grows_old(
    autojump_clock: MockClock,
) -> None:
    async with running(retention=Retention(seconds=100.0, series_ttl=300.0)) as service:
        hub = service.hub
        await trio.sleep(50.0)
        assert hub.seq == 0
        await service.pipeline.submit(batch("a"))
        await trio.sleep(10.0)
        looked = hub.seq
        assert looked < 10
        await trio.sleep(85.0)
        assert hub.seq == looked
        await trio.sleep(20.0)
        (series,) = hub.catalog
        assert len(series.history) == 0
        dropped = hub.seq
        await trio.sleep(150.0)
        assert hub.seq == dropped
        await trio.sleep(100.0)
        assert (len(hub.catalog), hub.counts["series_gone"]) == (0, 1)
        gone = hub.seq
        await trio.sleep(500.0)
        assert hub.seq == gone < 20


async def test_who_takes_nothing_for_too_long_is_parted_from(autojump_clock: MockClock) -> None:
    async with running(pacing=Pacing(stall_timeout=30.0)) as service:
        well, stalled = Recorder(), Recorder()
        service.subscribe(well)
        subscriber = service.subscribe(stalled)
        began = trio.current_time()
        stalled.stalled = began
        await trio.sleep(29.0)
        assert stalled.asked == []
        await trio.sleep(2.0)
        service.hub.unsubscribe(subscriber, now=trio.current_time())
        await trio.sleep(60.0)
        assert well.asked == []
        (ended, first, ending), (aborted, second, _) = stalled.asked[:2]
        assert (first, second) == ("end", "abort")
        assert ended == aborted
        assert 30.0 <= ended - began <= 31.0
        assert ending is not None
        assert (ending.reason, ending.close_code) == ("stalled", Close.STALLED)
        assert service.hub.counts["subscribers_stalled"] >= 1


async def test_who_moves_on_in_time_stays(autojump_clock: MockClock) -> None:
    async with running(pacing=Pacing(stall_timeout=5.0)) as service:
        carrier = Recorder()
        service.subscribe(carrier)
        for _ in range(10):
            carrier.stalled = trio.current_time()
            await trio.sleep(4.0)
        assert carrier.asked == []
        assert service.hub.counts["subscribers_stalled"] == 0
