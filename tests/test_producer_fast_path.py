"""Producers' connections that are served without the framework, and how it gets them."""

from __future__ import annotations

import json
from typing import Any

import h11
import pytest
import trio

from pushsvc.app.producers import fast_path as producer_connection
from pushsvc.core.resources.limits import Limits, Pacing
from tests.serving import Served, serving


def post(body: bytes | str, *fields: str, path: str = "/v1/samples") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + data


def sample(value: float) -> str:
    return json.dumps({"name": "a", "value": value})


class Answers:
    """The responses on one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._connection = h11.Connection(h11.CLIENT)

    async def next(self) -> tuple[int, dict[str, str], Any]:
        if self._connection.our_state is h11.IDLE:
            # What was really sent is no matter to it.
            self._connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
            self._connection.send(h11.EndOfMessage())
        body = b""
        response: h11.Response | None = None
        with trio.fail_after(30):
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    self._connection.receive_data(bytes(await self._stream.receive_some()))
                elif isinstance(event, h11.Response):
                    response = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
        assert response is not None
        if self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
        fields = {name.decode(): value.decode() for name, value in response.headers}
        is_json = "json" in fields.get("content-type", "")
        return response.status_code, fields, json.loads(body) if is_json else body


async def newest(served: Served) -> float:
    listed = (await served.http.get("/v1/series")).json()
    value: float = listed["series"][0]["value"]
    return value


async def test_one_connection_many_batches() -> None:
    async with serving() as served, await served.raw(b"") as stream:
        answers = Answers(stream)
        for value in range(5):
            await stream.send_all(post(sample(value)))
            status, fields, body = await answers.next()
            assert (status, body["applied"]) == (200, 1)
            assert body["id"].endswith(f".{value + 1}")
            assert fields["content-type"] == "application/json"
            assert "date" in fields
        assert await newest(served) == 4


async def test_requests_that_are_pipelined_are_answered_in_order() -> None:
    async with serving() as served:
        async with await served.raw(b"".join(post(sample(n)) for n in range(4))) as stream:
            answers = Answers(stream)
            ids = [(await answers.next())[2]["id"].partition(".")[2] for _ in range(4)]
        assert ids == ["1", "2", "3", "4"]


async def test_requests_in_single_bytes() -> None:
    async with serving() as served, await served.raw(b"") as stream:
        answers = Answers(stream)
        for value in (1, 2):
            for byte in post(sample(value)):
                await stream.send_all(bytes((byte,)))
                await trio.lowlevel.checkpoint()
            assert (await answers.next())[0] == 200
        assert await newest(served) == 2


@pytest.mark.parametrize(
    "other",
    [
        b"GET /v1/series HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        post("\n".join(sample(n) for n in range(3)), "Content-Type: application/x-ndjson"),
        b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1e\r\n" + sample(7).encode().ljust(30) + b"\r\n0\r\n\r\n",
        post(json.dumps({"samples": [json.loads(sample(n)) for n in range(3000)]})),
        post(sample(3), "Expect: 100-continue"),
    ],
    ids=["series", "metrics", "ndjson", "chunked", "large", "expect"],
)
async def test_another_request_takes_the_connection_along(other: bytes) -> None:
    async with serving() as served, await served.raw(post(sample(1))) as stream:
        answers = Answers(stream)
        assert (await answers.next())[0] == 200
        await stream.send_all(other + post(sample(9)))
        status, _, _ = await answers.next()
        if status == 100:
            status, _, _ = await answers.next()
        assert status == 200
        status, _, body = await answers.next()
        assert (status, body["applied"]) == (200, 1)
        assert await newest(served) == 9


async def test_errors_are_told_and_the_connection_goes_on() -> None:
    async with serving() as served, await served.raw(b"") as stream:
        answers = Answers(stream)
        for body, status, code in (
            ('{"name":', 400, "json"),
            ('{"name":"","value":1}', 422, "name"),
            ('{"name":"a","wrong":1}', 400, "schema"),
        ):
            await stream.send_all(post(body))
            got, fields, problem = await answers.next()
            assert (got, problem["code"]) == (status, code)
            assert fields["content-type"] == "application/problem+json"
        await stream.send_all(post(sample(1)))
        assert (await answers.next())[0] == 200


async def test_a_garbled_head_is_the_frameworks() -> None:
    garbled = b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n: x\r\n\r\n"
    async with serving() as served, await served.raw(post(sample(1))) as stream:
        answers = Answers(stream)
        assert (await answers.next())[0] == 200
        await stream.send_all(garbled)
        assert (await answers.next())[0] == 400


async def test_the_largest_body_is_told() -> None:
    limits = Limits(body_bytes=100)
    async with serving(limits=limits) as served:
        async with await served.raw(post("x" * 101)) as stream:
            status, _, problem = await Answers(stream).next()
            assert (status, problem["limit"]) == (413, "body_bytes")


async def test_close_is_kept_to() -> None:
    async with serving() as served:
        async with await served.raw(post(sample(1), "Connection: close")) as stream:
            status, fields, _ = await Answers(stream).next()
            assert (status, fields["connection"]) == (200, "close")
            assert await stream.receive_some() == b""


async def test_a_body_that_stops_is_given_up() -> None:
    pacing = Pacing(body_timeout=0.2)
    async with serving(stream=pacing) as served:
        async with await served.raw(post(sample(1))[:-3]) as stream:
            status, fields, problem = await Answers(stream).next()
            assert (status, problem["code"]) == (408, "body_timeout")
            assert fields["connection"] == "close"
            assert await stream.receive_some() == b""
        assert await served.metric("pushsvc_samples_total") == 0


async def test_a_head_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_connection, "_HEAD_TIMEOUT", 0.2)
    async with serving() as served, await served.raw(post(sample(1))) as stream:
        await Answers(stream).next()
        await stream.send_all(b"POST /v1/sam")
        with trio.fail_after(30):
            assert await stream.receive_some() == b""


async def test_draining_ends_idle_connections_and_answers_the_others() -> None:
    async with serving() as served, await served.raw(post(sample(1))) as idle:
        await Answers(idle).next()
        async with await served.raw(post(sample(2))[:-3]) as busy:
            await served.wait_metric("pushsvc_connections", 3)
            served.drain.set()
            with trio.fail_after(30):
                assert await idle.receive_some() == b""
            await busy.send_all(post(sample(2))[-3:])
            status, fields, body = await Answers(busy).next()
            assert (status, body["applied"], fields["connection"]) == (200, 1, "close")


async def test_a_peer_that_leaves_in_a_body_is_nothing() -> None:
    async with serving() as served:
        async with await served.raw(post(sample(1))[:-3]):
            await served.wait_metric("pushsvc_connections", 2)
        await served.wait_metric("pushsvc_connections", 1)
        assert await served.metric("pushsvc_samples_total") == 0
