"""`pushsvc bench`: what it measures is what was published, and it loads nobody by mistake."""

from __future__ import annotations

import signal
import ssl
import subprocess
import time

import httpx
import msgspec
import pytest
import trio

from pushsvc.cli.bench import is_this_machine
from pushsvc.cli.bench.run import Bench, Plan, Unmeasurable
from pushsvc.cli.bench.summary import Summary, Times
from pushsvc.cli.bench.viewer import Ended, HttpWire, WebSocketWire
from pushsvc.core.resources.limits import Limits
from tests.cli.forked import ENV, run
from tests.cli.test_commands import PUSHSVC, started
from tests.serving import TRUST, serving


async def measured(url: str, transport: str = "websocket", connections: int = 5) -> Bench:
    plan = Plan(url, transport, connections, 3, 20.0, 1.0, None)
    bench = Bench(plan, ssl.create_default_context(), lambda _: None)
    with trio.fail_after(60):
        await bench.run()
    return bench


@pytest.mark.parametrize("transport", ["websocket", "sse", "ndjson"])
async def test_each_dashboard_is_given_each_update(transport: str) -> None:
    async with serving() as served:
        summary = (await measured(served.url, transport)).summary()
        left = (await served.http.get("/v1/series?select=pushsvc_bench")).json()["series"]
    assert summary.connected == summary.connections == 5
    assert summary.updates == 20
    assert summary.receipt is not None
    assert summary.handshake is not None
    assert summary.receipt.count == 5 * 20
    assert summary.handshake.count == 5
    assert summary.missing == 0
    assert summary.complete
    assert 0 < summary.receipt.p50 <= summary.receipt.p90 <= summary.receipt.p99
    assert summary.received_bytes > 5 * 20 * 50
    assert "updates      20 of 3 series" in summary.as_text()
    assert len(left) == 3  # and nothing of theirs goes on
    assert all("ended" in one for one in left)


async def test_those_that_find_no_room_are_told() -> None:
    async with serving(limits=Limits(subscribers=3)) as served:
        summary = (await measured(served.url)).summary()
    assert summary.connected == 3
    assert summary.failed == {"HTTP 503": 2}
    assert not summary.complete
    assert "connections failed: 2 times: HTTP 503" in summary.as_text()


async def test_who_may_not_watch_or_isnt_there_is_unmeasurable() -> None:
    async with serving(limits=Limits(subscribers=1)) as served:
        async with served.documents("text/event-stream", select="m") as documents:
            await anext(documents)
            with pytest.raises(Unmeasurable, match="can't be watched: HTTP 503"):
                await measured(served.url)
    with pytest.raises(Unmeasurable, match="can't be published to"):
        await measured("http://127.0.0.1:1")


def test_only_this_machine_is_loaded_unasked() -> None:
    for url in ("http://127.0.0.1:8080", "http://[::1]/x", "http://localhost", "http://127.9.9.9"):
        assert is_this_machine(url)
    for url in ("http://example.com", "http://10.0.0.1", "http://localhost.example.com"):
        assert not is_this_machine(url)
    ran = run("bench", "http://metrics.example.com")
    assert ran.returncode == 2
    assert "--own-service" in ran.stderr
    assert run("bench", "http://127.0.0.1:1", "--own-service").returncode == 2


def test_ctrl_c_ends_it_with_a_summary() -> None:
    with started("serve", "--port", "0") as (_, url):
        command = [*PUSHSVC, "bench", url, "--duration", "600", "--rate", "20", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENV) as bench:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                found = httpx.get(f"{url}/v1/series?select=pushsvc_bench", verify=TRUST).json()
                if any(one["value"] >= 2 for one in found["series"]):
                    break
                time.sleep(0.05)
            bench.send_signal(signal.SIGINT)
            out, _ = bench.communicate(timeout=60)
        assert bench.returncode == 130
        summary = msgspec.json.decode(out, type=Summary)
        assert summary.interrupted
        assert summary.updates >= 2
        assert summary.connected == 100


def test_times_are_ranks_of_what_was_added() -> None:
    times = Times()
    assert times.spread() is None
    for n in range(1, 1001):
        times.add(n / 1000)
    spread = times.spread()
    assert spread is not None
    assert (spread.count, spread.p50, spread.p90, spread.p99, spread.max) == (
        *(1000, 500.0, 900.0, 990.0, 1000.0),
    )


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_documents_are_whole_however_they_come(size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(one), one)
        for one in (b'id: 1\ndata: {"a"', b":1}\n\n", b"retry: 1\n\n")
    )
    wire = HttpWire("h", "/v1/stream", [], "text/event-stream")
    assert wire.opening().startswith(b"GET /v1/stream HTTP/1.1\r\n")
    found = []
    for start in range(0, len(head + chunks), size):
        found += wire.feed((head + chunks)[start : start + size])
    assert found == [b'{"a":1}']
    with pytest.raises(Ended, match="ended the stream"):
        wire.feed(b"0\r\n\r\n")


def test_what_isnt_a_stream_is_told() -> None:
    wire = HttpWire("h", "/", [], "application/x-ndjson")
    wire.opening()
    with pytest.raises(Ended, match="HTTP 401"):
        wire.feed(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    for make in (
        lambda: HttpWire("h", "/", [], "application/x-ndjson"),
        lambda: WebSocketWire("h", "/", []),
    ):
        other = make()
        other.opening()
        with pytest.raises(Ended, match="not"):
            other.feed(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
