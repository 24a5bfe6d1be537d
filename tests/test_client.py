"""The Python client: events, resuming, when it retries and when it doesn't."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from pushsvc.client import (
    Away,
    Back,
    Busy,
    Gap,
    Gone,
    Points,
    Refused,
    Unreachable,
    connect,
    open_publisher,
    open_socket_publisher,
)
from pushsvc.client.dial import backoff, close_action
from pushsvc.core.resources.limits import Limits, Pacing
from tests.serving import serving

HELLO = {
    "type": "hello",
    "epoch": "e",
    "session": "s",
    "heartbeat": 15,
    "granted": {"max_hz": 10, "merge": "all", "select": ["a"]},
}


def points(seq: int, *values: float, describe: bool = True) -> dict[str, Any]:
    document: dict[str, Any] = {"type": "points", "id": f"e.{seq}"}
    if describe:
        document["series"] = [
            {"ref": 1, "name": "a", "labels": {}, "kind": "gauge", "unit": "", "help": ""}
        ]
    document["points"] = [[1, 1000 + seq, value] for value in values]
    return document


class Script:
    """A server that does what it is told on each connection, and keeps the paths it saw."""

    def __init__(self, *parts: Callable[[WebSocketConnection], Awaitable[None]]) -> None:
        self._parts = list(parts)
        self.paths: list[str] = []

    async def handle(self, request: WebSocketRequest) -> None:
        self.paths.append(request.path)
        part = self._parts.pop(0)
        socket = await request.accept()
        with contextlib.suppress(ConnectionClosed):
            await part(socket)

    async def run(self, task_status: trio.TaskStatus[str]) -> None:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                partial(serve_websocket, self.handle, "127.0.0.1", 0, None)
            )
            task_status.started(f"http://127.0.0.1:{server.port}")


async def say(socket: WebSocketConnection, *documents: dict[str, Any]) -> None:
    for document in documents:
        await socket.send_message(json.dumps(document))


def closing(code: int, *documents: dict[str, Any]) -> Any:
    async def part(socket: WebSocketConnection) -> None:
        await say(socket, *documents)
        await socket.aclose(code)

    return part


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No waiting between attempts; the attempts that would have waited."""
    attempts: list[int] = []

    def remember(attempt: int) -> float:
        attempts.append(attempt)
        return 0.0

    monkeypatch.setattr("pushsvc.client.stream.backoff", remember)
    return attempts


async def test_events_and_resuming_against_the_service() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "labels": {"h": "x"}, "value": 1, "unit": "bytes"})
        async with connect(served.url, ["a"], max_hz=20) as stream:
            first = await anext(stream)
            assert isinstance(first, Points)
            sample = first.samples[0]
            assert (sample.series.name, sample.series.labels) == ("a", {"h": "x"})
            assert (sample.series.unit, sample.value, sample.count) == ("bytes", 1.0, 1)
            assert stream.statistics.phase == "live"
            await served.publish({"name": "a", "labels": {"h": "x"}, "value": 2})
            second = await anext(stream)
            assert isinstance(second, Points)
            cursor = second.cursor
            await served.publish({"name": "b", "value": 9})
            await stream.watch(["b"])
            third = await anext(stream)
            assert isinstance(third, Points)
            assert [s.series.name for s in third.samples] == ["b"]
        assert str(stream.statistics.phase) == "closed"
        await served.publish({"name": "a", "labels": {"h": "x"}, "value": 3})
        async with connect(served.url, ["a"], since=cursor) as stream:
            event = await anext(stream)
            assert isinstance(event, Points)
            assert [s.value for s in event.samples] == [3.0]


async def test_a_log_that_is_away_and_back_is_told(nursery: trio.Nursery, quick: list[int]) -> None:
    def heartbeat(seq: int, **more: Any) -> dict[str, Any]:
        return {"type": "heartbeat", "id": f"e.{seq}", "time": 1, **more}

    script = Script(
        closing(1001, HELLO, heartbeat(1, away=0), heartbeat(1, away=1), heartbeat(2)),
        # Each hello tells it, so that a client that comes then knows; and another server may be
        # better.
        closing(1001, {**HELLO, "away": 60}),
        closing(1000, HELLO, points(3, 1.0)),
    )
    url = await nursery.start(script.run)
    async with connect(url, ["a"]) as stream:
        kinds = []
        for _ in range(5):
            event = await anext(stream)
            kinds.append(type(event))
            assert (stream.statistics.away_since is None) is not isinstance(event, Away)
            if isinstance(event, Away):
                assert event.since == stream.statistics.away_since
                assert time.time() - 65 < event.since <= time.time()
    assert kinds == [Away, Back, Away, Back, Points]
    assert isinstance(event, Points)
    assert event.samples[0].value == 1.0


async def test_a_cut_is_resumed_by_cursor(nursery: trio.Nursery, quick: list[int]) -> None:
    async def vanish(socket: WebSocketConnection) -> None:
        await say(socket, HELLO, points(3, 1.0, 2.0))
        await trio.testing.wait_all_tasks_blocked()
        await socket._stream.aclose()

    script = Script(vanish, closing(1000, HELLO, points(4, 3.0)))
    url = await nursery.start(script.run)
    async with connect(url, ["a"]) as stream:
        values: list[Any] = []
        while len(values) < 3:
            event = await anext(stream)
            assert isinstance(event, Points)
            values += [sample.value for sample in event.samples]
    assert values == [1.0, 2.0, 3.0]
    assert "since" not in script.paths[0]
    assert script.paths[1].endswith("since=e.3")
    assert stream.statistics.connects == 2
    nursery.cancel_scope.cancel()


async def test_gaps_and_departures_are_events(nursery: trio.Nursery, quick: list[int]) -> None:
    gap = {"type": "gap", "id": "e.1", "lost": 5}
    unknown = {"type": "gap", "id": "f.9", "lost": None}
    gone = {"type": "gone", "id": "e.5", "refs": [1, 77]}
    script = Script(
        closing(1012, HELLO, gap),
        closing(1012, HELLO, gap, points(4, 1.0), gone, unknown, points(10, 2.0)),
    )
    url = await nursery.start(script.run)
    async with connect(url) as stream:
        events = [await anext(stream) for _ in range(5)]
    # The gap that was told again after the cut is the same one.
    assert [type(event) for event in events] == [Gap, Points, Gone, Gap, Points]
    assert events[0] == Gap(5, "e.1")
    assert isinstance(events[2], Gone)
    assert [series.name for series in events[2].series] == ["a"]
    assert events[3] == Gap(None, "f.9")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("code", [1008, 1009, 4000, 4099])
async def test_a_refusal_is_not_retried(nursery: trio.Nursery, code: int) -> None:
    error = {"type": "error", "code": "selector", "message": "that is no selector"}
    url = await nursery.start(Script(closing(code, error)).run)
    async with connect(url, ["a{"]) as stream:
        with pytest.raises(Refused, match="that is no selector") as refused:
            await anext(stream)
    assert refused.value.code == "selector"
    nursery.cancel_scope.cancel()


async def test_errors_are_not_wrapped_in_groups() -> None:
    async with serving() as served:
        with pytest.raises(Refused, match="column"):
            async with connect(served.url, ["a{"]) as stream:
                await anext(stream)
    with pytest.raises(Unreachable, match="Connection refused"):
        async with connect("http://127.0.0.1:1", retries=0) as stream:
            await anext(stream)


async def test_goaway_says_when_to_come_back(
    nursery: trio.Nursery, quick: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = trio.sleep

    async def remember(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr("pushsvc.client.stream.trio.sleep", remember)
    goaway = {"type": "goaway", "retry": 2300}
    script = Script(
        closing(1012, HELLO, points(1, 1.0), goaway), closing(1000, HELLO, points(2, 2))
    )
    url = await nursery.start(script.run)
    async with connect(url) as stream:
        await anext(stream)
        await anext(stream)
    assert 2.3 in slept
    assert quick == [1]  # asked, but not needed
    nursery.cancel_scope.cancel()


async def test_silence_is_a_cut(nursery: trio.Nursery, quick: list[int]) -> None:
    async def mute(socket: WebSocketConnection) -> None:
        await say(socket, {**HELLO, "heartbeat": 0.05}, points(1, 1.0))
        await trio.sleep_forever()

    url = await nursery.start(Script(mute, closing(1000, HELLO, points(2, 2.0))).run)
    async with connect(url) as stream:
        await anext(stream)
        event = await anext(stream)
    assert isinstance(event, Points)
    assert stream.statistics.reason == "the server fell silent"
    nursery.cancel_scope.cancel()


async def test_a_full_server_is_tried_again(quick: list[int]) -> None:
    async with serving(limits=Limits(subscribers=1)) as served, connect(served.url) as first:
        await served.publish({"name": "a", "value": 1})
        await anext(first)
        with pytest.raises(Busy):
            async with connect(served.url, retries=0) as second:
                await anext(second)


def test_backoff_is_full_jitter_within_bounds() -> None:
    for attempt in range(1, 100):
        waits = [backoff(attempt) for _ in range(50)]
        assert all(0.5 <= wait <= 20 for wait in waits)
        assert len(set(waits)) > 1
    assert max(backoff(1) for _ in range(200)) <= 1.0


def test_close_codes_say_what_to_do() -> None:
    for code in (1002, 1003, 1007, 1008, 1009, 4000, 4050, 4099):
        assert close_action(code) == "refused"
    for code in (1000, 1001, 1006, 1011, 1012, 1013, 4100, 4199):
        assert close_action(code) == "retry"
    for code in (4200, 4299):
        assert close_action(code) == "at_once"


async def test_publishing() -> None:
    async with (
        serving(stream=Pacing()) as served,
        open_publisher(served.url) as publisher,
    ):
        answer = await publisher.publish([{"name": "a", "value": 1}])
        assert answer["applied"] == 1
        with pytest.raises(Refused, match="metric name is empty") as refused:
            await publisher.publish([{"name": "", "value": 1}])
        assert (refused.value.code, refused.value.status) == ("name", 422)

        async def lines() -> Any:
            yield b'{"name":"a","value":1}\n{"name":'
            yield b'"","value":1}\n'

        report = await publisher.upload(lines())
        assert (report["applied"], report["rejected"]) == (1, 1)
    async with open_publisher("http://127.0.0.1:1") as publisher:
        with pytest.raises(Unreachable):
            await publisher.publish([{"name": "a", "value": 1}])


@pytest.mark.parametrize("open_one", [connect, open_publisher, open_socket_publisher])
def test_another_event_loop_is_told_that_this_one_is_trios(open_one: Callable[..., Any]) -> None:
    async def main() -> None:
        async with open_one("http://127.0.0.1:1"):
            pass

    with pytest.raises(RuntimeError, match=r"trio\.run"):
        asyncio.run(main())
