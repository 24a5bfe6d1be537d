"""Clients that mean harm, or act as if: each meets a bound, and harms no other client.

What is hostile in single messages and frames is in `test_hazards`, `test_websocket_protocol`,
`test_deflate` and `test_door`.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.listen.address import group
from tests.serving import Served, next_of, serving

ELSEWHERE = "127.0.0.2"
SSE = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert group(address) == counted


@contextlib.contextmanager
def crowd(served: Served, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections from one address that have said so much."""
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection((served.host, served.port)))
            with contextlib.suppress(OSError):
                sock.sendall(said)
            sock.setblocking(False)
            sockets.append(sock)
        yield sockets


def closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextlib.asynccontextmanager
async def neighbour(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Someone who comes from elsewhere."""
    transport = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
    async with httpx.AsyncClient(base_url=served.url, transport=transport) as client:
        yield client


@pytest.mark.parametrize(
    "said", [b"", b"GET /v1/ser", b"POST /v1/samples HTTP/1.1\r\nContent-Length: 9\r\n"]
)
async def test_a_thousand_connections_from_one_address(said: bytes) -> None:
    async with serving(limits=Limits(connections_per_address=100)) as served:
        with crowd(served, 300, said) as sockets:
            async with neighbour(served) as client:
                answer = await client.get("/metrics")
                assert answer.status_code == 200
                assert "pushsvc_connections_refused_by_address_total 200.0" in answer.text
            assert sum(closed(sock) for sock in sockets) == 200
        # Who leaves makes room.
        await served.wait_metric("pushsvc_connections", 1)


async def test_more_dashboards_than_one_address_may_have() -> None:
    async with serving(limits=Limits(subscribers_per_address=2)) as served:
        with crowd(served, 2, SSE):
            await served.wait_metric("pushsvc_subscribers", 2)
            for accept in ("application/x-ndjson", "application/json"):
                refused = await served.http.get("/v1/stream", headers={"Accept": accept})
                assert (refused.status_code, refused.json()["limit"]) == (
                    503,
                    "subscribers_per_address",
                )
                assert int(refused.headers["Retry-After"]) > 0
            async with neighbour(served) as client:
                listed = (await client.get("/v1/subscribers")).json()["subscribers"]
                assert {one["address"] for one in listed} == {"127.0.0.1"}
                polled = await client.get(
                    "/v1/stream?wait=0.01", headers={"Accept": "application/json"}
                )
                assert polled.status_code == 200
        await served.wait_metric("pushsvc_subscribers", 0)
        polled = await served.http.get(
            "/v1/stream?wait=0.01", headers={"Accept": "application/json"}
        )
        assert polled.status_code == 200


def batch(samples: int) -> dict[str, object]:
    return {"samples": [{"name": "flood", "value": n} for n in range(samples)]}


@pytest.mark.parametrize(
    ("path", "body", "media_type", "status"),
    [
        ("/v1/samples", json.dumps(batch(100)), "application/json", 429),
        ("/v1/samples", json.dumps({"name": "a", "value": 1}) + "\n", "application/x-ndjson", 429),
        # What a producer there takes for "later".
        ("/v1/metrics", "{}", "application/json", 503),
    ],
    ids=["batch", "lines", "otlp"],
)
async def test_a_producer_that_floods(path: str, body: str, media_type: str, status: int) -> None:
    async with serving(limits=Limits(samples_per_second=10.0)) as served:
        async with served.documents("text/event-stream", select="calm") as documents:
            flooded = await served.http.post("/v1/samples", json=batch(2_000))
            assert flooded.status_code == 200
            refused = await served.http.post(
                path, content=body, headers={"Content-Type": media_type}
            )
            assert refused.status_code == status
            assert "limits.samples_per_second" in refused.text
            assert 90 <= int(refused.headers["Retry-After"]) <= 300
            # A producer elsewhere and its watcher notice nothing.
            async with neighbour(served) as client:
                calm = await client.post("/v1/samples", json={"name": "calm", "value": 7})
                assert calm.status_code == 200
            points = await next_of(documents, "points")
            while not points["points"]:
                points = await next_of(documents, "points")
            assert points["points"][0][2] == 7
            assert await served.metric("pushsvc_samples_total") == 2_001


# A request that httpx doesn't send to its end leaves its generator to the collector.
@pytest.mark.filterwarnings(
    "ignore:.*:ResourceWarning", "ignore:.*:pytest.PytestUnraisableExceptionWarning"
)
async def test_a_flood_of_lines_ends_where_the_share_does() -> None:
    line = json.dumps({"name": "a", "value": 1}) + "\n"
    async with serving(limits=Limits(samples_per_second=10.0)) as served:

        async def lines() -> object:
            while True:
                yield line.encode() * 50
                await trio.sleep(0.01)

        with trio.fail_after(30):
            answer = await served.http.post(
                "/v1/samples",
                content=lines(),  # type: ignore[arg-type]
                headers={"Content-Type": "application/x-ndjson"},
            )
        told = answer.json()
        assert (answer.status_code, told["code"]) == (429, "samples_per_second")
        assert 100 <= told["applied"] <= 500
        assert await served.metric("pushsvc_samples_total") == told["applied"]


@pytest.mark.parametrize("path", ["/v1/samples", "/v1/metrics"])
async def test_json_a_million_deep(path: str) -> None:
    async with serving() as served:
        for deep in (b"[" * 1_000_000, b'{"samples":' + b'{"labels":' * 100_000):
            answer = await served.http.post(
                path, content=deep, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 400
        assert (await served.http.get("/livez")).status_code == 200


async def test_slow_bodies_and_heads_by_the_hundred() -> None:
    pacing = Pacing(body_timeout=0.5)
    slow = b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    async with serving(stream=pacing) as served:
        with crowd(served, 200, slow) as sockets:
            published = await served.publish({"name": "calm", "value": 1})
            assert published["applied"] == 1
            with trio.fail_after(30):
                while await served.metric("pushsvc_connections") > 1:
                    await trio.sleep(0.05)
            assert b" 408 " in sockets[0].recv(100)
