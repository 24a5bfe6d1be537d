"""The StatsD socket: what happens when it is flooded, when the hub is behind, and at the end."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.ingest.producers import Producers
from pushsvc.ingest.refusals import Ledger
from pushsvc.ingest.statsd.aggregate import Aggregator
from pushsvc.listen.statsd import StatsdListener, bind_statsd
from pushsvc.pipeline import now_ms
from tests.flow import GatedJournal, Service, running

LEDGER = Ledger(lambda _: None)


class Listening:
    """A listener on a free port, and a client of it."""

    def __init__(
        self,
        bound: socket.socket,
        service: Service,
        counts: Counter[str],
        producers: Producers,
    ) -> None:
        self.service = service
        self.counts = counts
        self.producers = producers
        self._address = bound.getsockname()
        self._client = socket.socket(bound.family, socket.SOCK_DGRAM)

    def send(self, datagram: bytes) -> None:
        self._client.sendto(datagram, self._address)

    async def wait(self, what: str, count: int) -> None:
        with trio.fail_after(30):
            while self.counts[what] < count:
                await trio.sleep(0.005)

    def value(self, series: str) -> Any:
        found = self.service.hub.catalog.get(series)
        newest = None if found is None else found.history.latest()
        return None if newest is None else newest[1]

    def close(self) -> None:
        self._client.close()


@asynccontextmanager
async def listening(
    *,
    interval: float = 0.05,
    journal: GatedJournal | None = None,
    host: str = "127.0.0.1",
    **limits: Any,
) -> AsyncGenerator[Listening]:
    bounds = Limits(**limits)
    async with running(journal, limits=bounds, pacing=Pacing(ingest_wait=0.01)) as service:
        bound = await bind_statsd(host, 0)
        counts = service.hub.counts
        producers = Producers()
        aggregator = Aggregator(bounds, ttl=Retention().series_ttl, now_ms=now_ms(), counts=counts)
        listener = StatsdListener(
            bound, aggregator, service.pipeline, counts, interval, LEDGER, producers
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.run)
            statsd = Listening(bound, service, counts, producers)
            try:
                yield statsd
            finally:
                statsd.close()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_datagrams_add_up_once_an_interval(host: str) -> None:
    async with listening(host=host) as statsd:
        statsd.send(b"hits:1|c\nhits:2|c\nbad\n")
        statsd.send(b"temp:20|g")
        await statsd.wait("samples", 3)
        assert (statsd.value("hits"), statsd.value("temp")) == (3.0, 20.0)
        assert statsd.counts["statsd_datagrams"] == 2
        assert statsd.counts["statsd_lines_bad"] == 1


async def test_what_was_gathered_is_flushed_at_the_end() -> None:
    async with running() as service:
        bound = await bind_statsd("127.0.0.1", 0)
        address = bound.getsockname()
        aggregator = Aggregator(Limits(), ttl=60.0, now_ms=now_ms(), counts=service.hub.counts)
        listener = StatsdListener(
            *(bound, aggregator, service.pipeline, service.hub.counts),
            *(3600.0, LEDGER, Producers()),
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.run)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"hits:5|c", address)
            nursery.cancel_scope.cancel()
        found = service.hub.catalog.get("hits")
        assert found is not None
        newest = found.history.latest()
        assert newest is not None
        assert newest[1] == 5.0


async def test_while_the_hub_is_behind_the_interval_gets_longer() -> None:
    journal = GatedJournal()
    async with listening(journal=journal, ingest_queue=1) as statsd:
        journal.shut()
        gate = journal.gate
        for _ in range(20):
            statsd.send(b"hits:1|c")
            await trio.sleep(0.01)
        await statsd.wait("statsd_lines", 20)
        assert journal.taken == []
        gate.set()
        with trio.fail_after(30):
            while statsd.value("hits") != 20.0:
                await trio.sleep(0.01)


async def test_a_flood_is_dropped_by_the_kernel_and_counted() -> None:
    async with listening() as statsd:
        sent = 40_000
        datagram = b"hits:1|c\n" + b"x" * 900
        for _ in range(sent):  # no checkpoint in here: nobody reads
            statsd.send(datagram)
        await trio.sleep(0.2)
        with trio.fail_after(30):
            while (
                statsd.counts["statsd_datagrams"] + statsd.counts["statsd_datagrams_dropped"] < sent
            ):
                statsd.send(b"more:1|c")  # the kernel tells of what it dropped with the next
                sent += 1
                await trio.sleep(0.01)
        assert statsd.counts["statsd_datagrams_dropped"] > 0


async def test_a_datagram_that_is_too_long_is_dropped_whole() -> None:
    async with listening() as statsd:
        statsd.send(b"hits:1|c\n" * 2_000)
        statsd.send(b"hits:1|c\n")
        await statsd.wait("samples", 2)
        assert statsd.value("hits") == 1.0
        assert statsd.counts["statsd_datagrams_too_long"] == 1


async def test_the_hub_may_refuse_some() -> None:
    async with listening(series=2) as statsd:
        statsd.send(b"a:1|g\nb:1|g\nc:1|g")
        await statsd.wait("statsd_samples_refused", 1)
        assert (statsd.value("a"), statsd.value("b"), statsd.value("c")) == (1.0, 1.0, None)


async def test_an_address_that_is_taken_is_named() -> None:
    bound = await bind_statsd("127.0.0.1", 0)
    port = bound.getsockname()[1]
    with bound, pytest.raises(OSError, match="in use") as caught:
        await bind_statsd("127.0.0.1", port)
    assert caught.value.filename == f"127.0.0.1 UDP port {port}"
