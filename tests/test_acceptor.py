"""The acceptor: connections without a task, heads in pieces, crowds that are sent away."""

from __future__ import annotations

import socket

import httpx
import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.listen import acceptor
from tests.serving import TRUST, Served, serving
from tests.test_websocket_protocol import HANDSHAKE

SSE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n"
    b"Accept: text/event-stream, application/problem+json\r\n\r\n"
)


async def answer(stream: trio.abc.Stream) -> bytes:
    """What comes until the head of an answer is whole."""
    head = b""
    with trio.fail_after(30):
        while b"\r\n\r\n" not in head:
            more = await stream.receive_some()
            assert more, head
            head += more
    return head


@pytest.mark.parametrize("request_", [SSE, HANDSHAKE], ids=["sse", "websocket"])
async def test_a_head_may_come_in_pieces(request_: bytes) -> None:
    async with serving() as served, await served.raw(b"") as stream:
        for start in range(0, len(request_), 25):
            await stream.send_all(request_[start : start + 25])
            await trio.sleep(0.005)
        assert (await answer(stream))[:12] in (b"HTTP/1.1 200", b"HTTP/1.1 101")
        await served.wait_metric("pushsvc_subscribers", 1)


async def test_many_silent_connections_are_only_sockets() -> None:
    async with serving() as served:
        crowd = [socket.create_connection((served.host, served.port)) for _ in range(200)]
        tasks = trio.lowlevel.current_statistics().tasks_living
        await served.wait_metric("pushsvc_connections", 201)
        assert trio.lowlevel.current_statistics().tasks_living < tasks + 20
        for sock in crowd:
            sock.close()
        await served.wait_metric("pushsvc_connections", 1)


async def test_a_head_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "_HEAD_TIMEOUT", 0.2)
    async with serving() as served, await served.raw(b"GET /v1/str") as stream:
        with trio.fail_after(30):
            assert await stream.receive_some() == b""


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with serving() as served:
        endless = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 4000
        async with await served.raw(endless) as stream:
            assert b" 431 " in await answer(stream) or b" 400 " in await answer(stream)


async def test_what_is_not_http_is_passed_on_and_ended() -> None:
    async with serving() as served, await served.raw(b"\x16\x03\x01 hello\r\n\r\n") as stream:
        with trio.fail_after(30):
            assert b" 400 " in await answer(stream)


async def open_streams(served: Served, count: int, request_: bytes) -> list[bytes]:
    heads: list[bytes] = []
    async with trio.open_nursery() as nursery:

        async def one() -> None:
            async with await served.raw(request_) as stream:
                heads.append(await answer(stream))

        for _ in range(count):
            nursery.start_soon(one)
    return heads


async def test_those_that_take_long_are_accepted_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acceptor, "_LONGEST", -1.0)
    async with serving() as served:
        heads = await open_streams(served, 40, SSE)
        assert [head[:12] for head in heads] == [b"HTTP/1.1 200"] * 40


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("request_", [SSE, HANDSHAKE], ids=["sse", "websocket"])
async def test_a_crowd_is_sent_away_before_it_costs(
    request_: bytes, detach: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(streams_per_second=1.0)
    pacing = Pacing(detach=detach)
    async with serving(limits=limits, stream=pacing) as served:
        heads = await open_streams(served, 40, request_)
        refused = [head for head in heads if head.startswith(b"HTTP/1.1 503 ")]
        assert 10 <= len(refused) < 40
        fields = [head.lower().split(b"\r\n") for head in refused]
        waits = {
            int(line.partition(b":")[2])
            for lines in fields
            for line in lines
            if line.startswith(b"retry-after:")
        }
        assert waits <= set(range(3, 9))
        assert len(waits) > 2  # they don't all come back in the same second
        assert await served.metric("pushsvc_streams_refused_total") == len(refused)


async def test_long_polls_are_no_crowd() -> None:
    async with serving(limits=Limits(streams_per_second=2.0)) as served:
        async with httpx.AsyncClient(base_url=served.url, verify=TRUST) as client:
            for _ in range(8):
                polled = await client.get(
                    "/v1/stream?wait=0.01", headers={"Accept": "application/json"}
                )
                assert polled.status_code == 200


async def test_a_full_house_is_told_at_the_door() -> None:
    async with serving(limits=Limits(subscribers=1)) as served, await served.raw(SSE) as first:
        await answer(first)
        async with await served.raw(SSE) as second:
            head = await answer(second)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"limits.subscribers" in head
        assert b"Retry-After: " in head
