"""Ingest yields to frames: where one core does both, what is written to dashboards comes first."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.lowlevel
import trio.testing
from trio.testing import MockClock

from pushsvc.app.http.decoding import Decoding
from pushsvc.core.storage.entry import PIECE
from pushsvc.ingest.pace import paced
from tests.flow import Recorder, Service, batch, running

DASHBOARDS = 2_000
"""Of one view: more than are woken between two checkpoints."""


class Watching(Recorder):
    """Notes how far the hub is whenever it is woken."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self.seqs: list[int] = []

    def wake(self) -> None:
        self.seqs.append(self._service.hub.seq)


async def test_nothing_large_is_taken_in_between_two_dashboards(autojump_clock: MockClock) -> None:
    async with running() as service:
        dashboards = [Watching(service) for _ in range(DASHBOARDS)]
        await service.pipeline.submit(batch("seen"))
        for one in dashboards:
            service.subscribe(one, "seen")
        await trio.testing.wait_all_tasks_blocked()
        for one in dashboards:
            one.seqs.clear()
        # In pieces, in one group with what is waited for.
        pieces = 20
        large = batch(*[f"m{n}" for n in range(10)], samples=pieces * PIECE // 10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.pipeline.submit, batch("seen"))
            nursery.start_soon(service.pipeline.submit, large)
            nursery.start_soon(service.pipeline.submit, batch("seen"))
        await trio.testing.wait_all_tasks_blocked()
        ticks = zip(*[one.seqs for one in dashboards], strict=True)
        seqs = [set(tick) for tick in ticks]
        assert len(seqs) >= 1
        assert all(len(of_tick) == 1 for of_tick in seqs), seqs
        assert service.hub.counts["samples"] == large.count + 3


async def test_ingest_goes_on_where_ticks_never_end(autojump_clock: MockClock) -> None:
    async with running() as service:
        precedence = service.pipeline.precedence
        precedence.begin()
        began = trio.current_time()
        await precedence.wait()
        assert trio.current_time() - began == pytest.approx(0.1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(precedence.wait)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            precedence.end()
        assert trio.current_time() == began
        with trio.testing.assert_checkpoints():
            await precedence.wait()
        assert trio.current_time() == began


async def test_a_large_body_stands_still_while_the_loop_is_busy() -> None:
    decoding = Decoding()
    threads: set[int] = set()
    taken = 0

    def decode() -> int:
        nonlocal taken
        threads.add(threading.get_ident())
        total = 0
        for number in paced(range(1_000_000)):
            total += number
            taken += 1
        return total

    async with trio.open_nursery() as nursery:
        results: list[int] = []

        async def run() -> None:
            results.append(await decoding.run(decode))

        for _ in range(2):
            nursery.start_soon(run)
        # The loop always has something to do: so little of it is done that both are still there.
        with trio.fail_after(30):
            while not threads:
                await trio.lowlevel.checkpoint()
        assert not results
    assert results == [sum(range(1_000_000))] * 2
    assert taken == 2_000_000
    assert threading.get_ident() not in threads


async def test_a_body_whose_producer_is_gone_is_read_no_further() -> None:
    decoding, begun, ended = Decoding(), threading.Event(), threading.Event()

    def decode() -> None:
        begun.set()
        try:
            while True:
                for _ in paced(range(1_000)):
                    pass
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(decoding.run, decode)
        with trio.fail_after(30):
            while not begun.is_set():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert ended.is_set()
    assert await decoding.run(lambda: 7) == 7
