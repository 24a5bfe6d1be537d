"""Services of one program on a log that they share with others, and that can be lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from pushsvc import Away, Back, Gap, Points, Refused, Service, Subscription, open_service
from tests.shared_log import SharedJournal, SharedLog

SHARED = {"journal": {"url": "valkey://nowhere"}}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> SharedLog:
    log = SharedLog()

    @asynccontextmanager
    async def open_journal(*_: Any, **__: Any) -> AsyncGenerator[SharedJournal]:
        journal = SharedJournal(log)
        try:
            yield journal
        finally:
            await journal.aclose()

    monkeypatch.setattr("pushsvc.service.journal.open_journal", open_journal)
    return log


async def publish(service: Service, value: float) -> str:
    return (await service.publish([{"name": "n", "value": value}])).id


async def values(events: Subscription, last: float) -> list[Any]:
    """Values up to this one, with what else is told."""
    found: list[Any] = []
    with trio.fail_after(30):
        while last not in found:
            event = await events.receive()
            if isinstance(event, Points):
                found += [each.value for each in event.samples]
            else:
                found.append(event)
    return found


async def test_a_cursor_of_one_is_good_at_the_other(log: SharedLog) -> None:
    async with (
        open_service(SHARED) as one,
        open_service(SHARED) as other,
        other.subscribe("n") as events,
    ):
        await publish(one, 1)
        assert await values(events, 1) == [1]
        since = await publish(one, 2)
        # The other may not have read that yet: then it is waited for.
        async with other.subscribe("n", since=since) as later:
            await publish(other, 3)
            assert await values(later, 3) == [3]
        assert await values(events, 3) == [2, 3]


async def test_a_log_that_is_lost_is_told_and_gone_on_with(log: SharedLog) -> None:
    async with (
        open_service(SHARED) as service,
        service.subscribe("n") as events,
        service.subscribe_documents("n") as documents,
    ):
        await publish(service, 1)
        await publish(service, 2)
        assert await values(events, 2) == [1, 2]
        with trio.fail_after(30):
            while documents.cursor != service.cursor:
                await documents.receive()
        since = events.cursor
        log.lose(1)
        with trio.fail_after(30):
            while service.cursor.startswith("e1"):
                await trio.sleep(0.01)
        await publish(service, 3)
        told = await values(events, 3)
        assert [each.lost for each in told if isinstance(each, Gap)] == [None]
        assert told[-1] == 3
        assert events.cursor == service.cursor != since
        kinds = []
        with trio.fail_after(30):
            while "gap" not in kinds:
                kinds.append(msgspec.json.decode(await documents.receive())["type"])
        assert kinds[0] == "hello"


async def test_a_log_that_is_away_is_told(log: SharedLog) -> None:
    async with open_service(SHARED) as service, service.subscribe("n") as events:
        log.away = True
        log.tell()
        with trio.fail_after(30):
            assert isinstance(await events.receive(), Away)
        assert service.statistics().away
        log.away = False
        log.tell()
        with trio.fail_after(30):
            assert isinstance(await events.receive(), Back)


async def test_who_waits_for_a_cursor_that_never_comes_is_told(
    log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushsvc.embed.subscription.CATCH_UP", 0.05)
    async with open_service(SHARED) as service, service.subscribe(since="e1.9") as events:
        with trio.fail_after(30), pytest.raises(Refused, match="ahead"):
            await events.receive()
