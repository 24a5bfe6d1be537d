"""What the service offers the path doctor."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.described import check
from tests.serving import serving


async def test_an_echo_tells_how_the_request_arrived_without_its_secrets() -> None:
    async with serving() as served:
        headers = {"X-Forwarded-For": "192.0.2.7", "Cookie": "a=b", "Via": "1.1 there"}
        answer = (await served.http.get("/v1/doctor/echo", headers=headers)).json()
    assert answer["http_version"] == "1.1"
    assert answer["peer"] == answer["address"] == "127.0.0.1"
    assert not answer["trusted"]
    assert answer["headers"]["x-forwarded-for"] == "192.0.2.7"
    assert answer["headers"]["via"] == "1.1 there"
    assert answer["headers"]["cookie"] == "(hidden)"


async def test_a_drip_comes_a_line_at_a_time() -> None:
    async with serving() as served:
        async with served.http.stream("GET", "/v1/doctor/drip?lines=3&interval=200ms") as answer:
            arrived = [
                (trio.current_time(), msgspec.json.decode(line)["n"])
                async for line in answer.aiter_lines()
            ]
        assert [n for _, n in arrived] == [0, 1, 2]
        assert arrived[2][0] - arrived[0][0] > 0.3
        for query in ("lines=0", "lines=1001", "lines=2&interval=700s", "as=xml", "line=3"):
            assert (await served.http.get(f"/v1/doctor/drip?{query}")).status_code == 400, query


async def test_a_drip_ends_with_the_service() -> None:
    async with serving() as served:
        with trio.fail_after(30):
            async with served.http.stream("GET", "/v1/doctor/drip?lines=2&interval=60s") as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                served.drain.set()
                assert [line async for line in lines] == []


async def test_a_socket_gives_back_what_it_is_sent_and_bounds_it() -> None:
    async with serving() as served:
        async with served.websocket(path="/v1/doctor/echo") as socket:
            await socket.send_message("a")
            assert await socket.get_message() == "a"
            await socket.send_message("a" * 2000)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.get_message()
            assert closed.value.reason is not None
            assert closed.value.reason.code == 1009


async def test_a_socket_ends_with_the_service() -> None:
    async with serving() as served, served.websocket(path="/v1/doctor/echo") as socket:
        await socket.send_message("a")
        await socket.get_message()
        served.drain.set()
        with trio.fail_after(30), pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1012


async def test_measurements_are_judged() -> None:
    async with serving() as served:
        echo = (await served.http.get("/v1/doctor/echo")).json()
        measured = {
            "url": "https://dash.example/",
            "idle": 20.0,
            "seconds": 22.0,
            "before": 100.0,
            "after": 100.2,
            "echo": echo,
            "headers": {"server": "nginx/1.22"},
            "front": "HTTP/2",
            "through": {"WebSocket": "closed with 1006", "SSE": ""},
            "drip": {
                "arrived": [2.0, 2.0],
                "sent_ms": [0, 2000],
                "encoding": "",
                "whole": True,
                "failure": "",
            },
            "quiet": {"HTTP stream": [{"asked": 20, "lived": 9, "end": "cut", "failure": ""}]},
            "busy": {"HTTP stream": {"lasted": 20, "failure": ""}},
        }
        answer = await served.http.post("/v1/doctor/report", json=measured)
        assert answer.status_code == 200, answer.text
        report = answer.json()
        check("/v1/doctor/report", "post", 200, "application/json", report)
        check("/v1/doctor/echo", "get", 200, "application/json", echo)
        problems = {one["code"] for one in report["findings"] if one["level"] == "problem"}
        assert problems >= {"websocket_through", "buffered", "http_stream_idle", "scheme"}
        assert report["seen"] == ["nginx"]
        for changed in (
            {**measured, "idle": 0},
            {**measured, "more": 1},
            {**measured, "echo": {}},
            {key: value for key, value in measured.items() if key != "drip"},
        ):
            refused = await served.http.post("/v1/doctor/report", json=changed)
            assert (refused.status_code, refused.json()["code"]) == (400, "measured")
        large = await served.http.post("/v1/doctor/report", content=b" " * 100_000)
        assert large.status_code == 413


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    async with serving() as served:
        statuses: list[int] = []
        # Faster than it lets through, however slow the machine: several ask at a time.

        async def ask() -> None:
            while len(statuses) < 2_000 and 503 not in statuses:
                statuses.append((await served.http.get("/v1/doctor/echo")).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(ask)
    assert statuses[0] == 200
    assert 503 in statuses
