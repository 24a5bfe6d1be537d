"""Tickets at several processes of one log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from pushsvc.auth import ticket_log
from pushsvc.auth.principal import Grants, Principal, principal_of
from pushsvc.auth.sessions import Sessions
from pushsvc.auth.ticket_log import KIND, TicketLog
from pushsvc.auth.tickets import LIFETIME, FirstUse, Tickets
from pushsvc.config import Keeping
from pushsvc.core.storage import records
from pushsvc.core.storage.records import Capacity, Change
from pushsvc.errors import Unauthorized
from tests.flow import Service, running
from tests.journal import valkey_server
from tests.serving import Served, next_of, serving
from tests.shared_log import BEGUN_MS, SharedJournal, SharedLog
from tests.test_eventsource import JWT, SSE
from tests.tokens import SECRET, bearer, token

READER = principal_of("reader", Grants(read=("a",)))
OTHER = principal_of("other", Grants(read=("a",)))
SECONDS = 600.0


def now() -> float:
    return BEGUN_MS / 1000 + trio.current_time()


class Process:
    """Tickets as a process of the log has them."""

    def __init__(self, service: Service, journal: SharedJournal) -> None:
        self.journal = journal
        self.records = service.hub.records
        self.tickets = Tickets(Sessions(SECRET, SECONDS, None))
        log = TicketLog(self.records, service.pipeline, lambda: journal.away_since is not None)
        self.taken: list[str] = []
        log.taken = self.taken.append
        self.tickets.share(log)

    async def redeem(self, ticket: str, stream: str | None = None) -> Principal:
        try:
            return self.tickets.redeem(ticket, now(), stream)
        except FirstUse as first:
            await self.tickets.settle(first)
            return self.tickets.redeem(ticket, now(), stream)

    async def is_let_in(self, ticket: str, stream: str | None = None) -> bool:
        try:
            await self.redeem(ticket, stream)
        except Unauthorized:
            return False
        return True

    def issue(self, query: str | None = None, principal: Principal = READER) -> str:
        return self.tickets.issue(principal, now(), query)[0]


@asynccontextmanager
async def processes(log: SharedLog, count: int) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            journal = SharedJournal(log)
            service = await stack.enter_async_context(running(journal))
            found.append(Process(service, journal))
        yield found


async def test_a_ticket_is_good_once_wherever_it_was_made(autojump_clock: MockClock) -> None:
    async with processes(SharedLog(), 3) as (one, two, three):
        ticket = one.issue()
        assert (await two.redeem(ticket)).id == "reader"
        await trio.sleep(0.1)
        for process in (one, two, three):
            for stream in (None, "select=a"):
                assert not await process.is_let_in(ticket, stream)
        late = one.issue()
        await trio.sleep(LIFETIME)
        assert not await two.is_let_in(late)
        assert not await one.is_let_in(late)
        # What can't be used any more needn't be known.
        await trio.sleep(120)
        assert three.records.of(KIND) == []


async def test_of_many_who_use_one_at_once_one_is_let_in(autojump_clock: MockClock) -> None:
    async with processes(SharedLog(), 3) as found:
        ticket = found[0].issue()
        let_in: list[int] = []

        async def use(process: Process) -> None:
            let_in.append(await process.is_let_in(ticket))

        async with trio.open_nursery() as nursery:
            for process in found * 3:
                nursery.start_soon(use, process)
        assert sum(let_in) == 1


@pytest.mark.parametrize("query", [None, "select=a"])
async def test_a_stream_comes_back_wherever_and_one_at_a_time(
    autojump_clock: MockClock, query: str | None
) -> None:
    async with processes(SharedLog(), 3) as (one, two, three):
        ticket = one.issue(query)
        (name,) = one.tickets._unused
        principal = await one.redeem(ticket, "select=a")
        assert principal.ticket == name
        await trio.sleep(LIFETIME + 1)
        assert (one.taken, two.taken) == ([], [name])  # where it carries nothing
        assert await two.is_let_in(ticket, "select=a")
        await trio.sleep(0.1)
        assert one.taken == [name]
        # A client that comes back to the same process has nothing appended to the log.
        seq = len(two.journal.log.entries)
        assert await two.is_let_in(ticket, "select=a")
        await trio.sleep(0.1)
        assert [entry for entry in two.journal.log.entries[seq:] if entry.draft.change] == []
        for process in (one, two, three):
            for stream in ("select=b", None):
                assert not await process.is_let_in(ticket, stream)
        # Of those who come to several at once, one stays: the last in the log.
        for process in (one, two, three):
            process.taken.clear()
        async with trio.open_nursery() as nursery:
            for process in (three, one):
                nursery.start_soon(process.is_let_in, ticket, "select=a")
        await trio.sleep(0.1)
        last = two.records.get(KIND, name)
        assert last is not None
        by = ticket_log._use(last).by
        for process in (one, two, three):
            assert process.tickets._log is not None
            assert bool(process.taken) == (process.tickets._log._process != by)
        await trio.sleep(SECONDS)
        assert not await one.is_let_in(ticket, "select=a")
        assert one.records.of(KIND) == []


async def test_while_the_log_is_away_each_decides_and_then_it_does(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    async with processes(log, 2) as (one, two):
        ours, theirs, streams = one.issue(), two.issue(), one.issue("select=a")
        log.away = True
        begun = trio.current_time()
        # As long as nobody knows that it is away, it is waited for.
        assert await one.is_let_in(ours)
        assert trio.current_time() - begun < 3
        await trio.sleep(1)
        assert not await one.is_let_in(ours)
        assert await two.is_let_in(theirs)
        for process in (one, two):
            process.taken.clear()
            assert await process.is_let_in(streams, "select=a")
            assert not await process.is_let_in(streams, "select=b")
        assert (one.taken, two.taken) == ([], [])
        log.away = False
        log.tell()
        await trio.sleep(1)
        # One of the two streams is ended, and what was used is known to all.
        name = one.tickets._open(streams).name
        assert sorted([name in one.taken, name in two.taken]) == [False, True]
        assert one.records.dump() == two.records.dump()
        assert not await two.is_let_in(ours)
        assert not await one.is_let_in(theirs)
        assert one.records.get(KIND, name) is not None


async def test_nobody_takes_all_the_room(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(records.CAPACITY, KIND, Capacity(8, 10_000, gives_way=True))
    async with processes(SharedLog(), 2) as (one, two):
        theirs = one.issue("select=a", OTHER)
        assert await one.is_let_in(theirs, "select=a")
        (first,) = one.records.of(KIND)
        for _ in range(20):
            assert await two.is_let_in(two.issue("select=a"), "select=a")
        await trio.sleep(0.1)
        assert len(one.records.of(KIND)) <= 5
        assert one.records.get(KIND, first.name) == first


async def test_it_takes_its_count_from_a_log_that_it_reads_anew(
    autojump_clock: MockClock,
) -> None:
    log = SharedLog()
    async with processes(log, 1) as (one,):
        ticket = one.issue("select=a")
        assert await one.is_let_in(ticket, "select=a")
        await trio.sleep(0.1)
        log.lose(0)
        await trio.sleep(1)
        async with processes(log, 1) as (two,):
            assert two.tickets._log is not None
            assert len(two.tickets._log._owners) == 1
            assert await two.is_let_in(ticket, "select=a")
            assert not await two.is_let_in(ticket, "select=b")


def change_of(process: Process) -> Change:
    return next(entry.draft.change for entry in process.journal.log.entries if entry.draft.change)


async def test_nothing_that_stands_in_the_log_opens_anything(autojump_clock: MockClock) -> None:
    async with processes(SharedLog(), 1) as (one,):
        ticket = one.issue("select=a")
        assert await one.is_let_in(ticket, "select=a")
        written = msgspec.msgpack.encode(change_of(one))
        for text in (ticket, "select", "reader"):
            assert text.encode() not in written


# -- real services ---------------------------------------------------------------------------------


async def test_at_two_services_that_share_a_log(tmp_path: Path) -> None:
    with valkey_server.running(tmp_path / "valkey") as server:
        keeping = Keeping(url=server.url)
        headers = bearer(token("HS256"))
        async with (
            serving(journal=keeping, auth=JWT) as one,
            serving(journal=keeping, auth=JWT) as two,
        ):

            async def issue(at: Served) -> str:
                answer = await at.http.post("/v1/tickets", headers=headers)
                ticket: str = answer.json()["ticket"]
                return ticket

            used = await issue(one)
            for served, status in ((two, 200), (one, 401), (two, 401)):
                answer = await served.http.get(f"/v1/series?ticket={used}")
                assert answer.status_code == status, answer.text
            ticket = await issue(one)
            async with one.documents(SSE["Accept"], ticket=ticket, heartbeat=1) as first:
                await next_of(first, "hello")
                async with two.documents(SSE["Accept"], ticket=ticket, heartbeat=1) as second:
                    await next_of(second, "hello")
                    assert (await next_of(first, "error"))["code"] == "ticket"
                    async with one.documents(SSE["Accept"], ticket=ticket, heartbeat=1) as third:
                        await next_of(third, "hello")
                        assert (await next_of(second, "error"))["code"] == "ticket"
                        assert (await next_of(third, "heartbeat"))["type"] == "heartbeat"
            other = f"/v1/stream?select=b&ticket={ticket}"
            assert (await two.http.get(other, headers=SSE)).status_code == 401
        # A restart of all of them changes nothing, also for one that doesn't say its query.
        async with (
            serving(journal=keeping, auth=JWT) as again,
            again.documents(SSE["Accept"], ticket=ticket, heartbeat=1) as stream,
        ):
            await next_of(stream, "hello")
            assert (await again.http.get(f"/v1/series?ticket={used}")).status_code == 401
