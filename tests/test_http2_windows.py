"""HTTP/2 whose client says how much it takes, and says little or nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import httpx
import psutil
import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.listen import hypercorn_windows
from tests.authority import Authority
from tests.cli.test_commands import started
from tests.serving import Served, serving

WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
KIB = 1024
TASK = 32 * KIB  # what a request that waits is reckoned at


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Peer:
    """One HTTP/2 client, by prior knowledge or over TLS."""

    def __init__(self, stream: trio.abc.Stream, host: str, window: int) -> None:
        self.stream = stream
        self.host = host
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration())
        self.connection.local_settings = h2.settings.Settings(
            client=True, initial_values={WINDOW: window}
        )

    async def begin(self) -> None:
        self.connection.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        await self.stream.send_all(self.connection.data_to_send())

    async def ask(self, *paths: str, accept: str = "*/*") -> list[int]:
        """Send requests; their streams."""
        asked = []
        for path in paths:
            stream_id = self.connection.get_next_available_stream_id()
            fields = {":method": "GET", ":scheme": "http", ":authority": self.host, ":path": path}
            self.connection.send_headers(
                stream_id, [*fields.items(), ("accept", accept)], end_stream=True
            )
            self.bodies[stream_id] = b""
            asked.append(stream_id)
        await self.flush()
        return asked

    async def read(self) -> bool:
        """Take in what came next; tells whether the connection is still there."""
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            return False
        if not data:
            return False
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = event.error_code
        await self.flush()
        return True

    async def open_window(self, stream_id: int, more: int) -> None:
        self.connection.increment_flow_control_window(more)
        self.connection.increment_flow_control_window(more, stream_id)
        await self.flush()


@contextlib.asynccontextmanager
async def peer(
    served: Served, *, window: int = 0, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    stream: trio.abc.Stream = await trio.open_tcp_stream(served.host, served.port)
    if trust is not None:
        trust.set_alpn_protocols(["h2"])
        stream = trio.SSLStream(stream, trust, server_hostname=served.host, https_compatible=True)
    async with stream:
        client = Peer(stream, f"{served.host}:{served.port}", window)
        await client.begin()
        yield client


async def publish_many(served: Served, count: int = 400) -> None:
    """As many series as make the list of them some 100 kB."""
    labels = [{"n": f"{n:0200}"} for n in range(count)]
    for start in range(0, count, 100):
        part = labels[start : start + 100]
        await served.publish(*({"name": "a", "labels": one, "value": 1} for one in part))


LARGE = "/v1/series"


@pytest.mark.parametrize("window", [50, 500, 16_384, 40_000, 65_535])
async def test_all_of_an_answer_comes_in_order_whatever_the_window(window: int) -> None:
    async with serving() as served:
        await publish_many(served, 20 if window == 50 else 400)
        whole = (await served.http.get(LARGE)).content
        async with peer(served, window=window) as client:
            (stream_id,) = await client.ask(LARGE)
            with trio.fail_after(30):
                while stream_id not in client.ended:
                    assert await client.read()
                    with contextlib.suppress(h2.exceptions.StreamClosedError):
                        await client.open_window(stream_id, window)
            assert client.bodies[stream_id] == whole
        await served.wait_metric("pushsvc_http2_waiting_bytes", 0)
        assert await served.metric("pushsvc_http2_streams_reset_total") == 0


async def test_what_a_stream_waits_with_is_bounded_and_has_a_deadline() -> None:
    """Of a stream without an end, too, and over TLS as well as without."""
    pacing = Pacing(stall_timeout=2.0, max_hz=100, default_hz=100)
    async with serving(stream=pacing) as served, peer(served) as client:
        (stream_id,) = await client.ask("/v1/stream", accept="text/event-stream")
        most = 0.0
        with trio.move_on_after(8):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def watch() -> None:
                    nonlocal most
                    while True:
                        await publish_many(served, 100)
                        most = max(most, await served.metric("pushsvc_http2_waiting_bytes"))

                while await client.read() and stream_id not in client.reset:
                    pass
                nursery.cancel_scope.cancel()
        # One buffer, one frame that is waited with, and a task.
        assert TASK < most < 32 * KIB + TASK + 64 * KIB
        await served.wait_metric("pushsvc_http2_waiting_bytes", 0)
        await served.wait_metric("pushsvc_subscribers", 0)


@pytest.mark.parametrize("secure", [False, True])
async def test_who_takes_nothing_is_cut_and_nobody_beside(
    secure: bool, authority: Authority
) -> None:
    pacing = Pacing(stall_timeout=2.0)
    more: dict[str, Any] = {"server": authority.server, "verify": authority.trust} if secure else {}
    async with serving(stream=pacing, **more) as served:
        await publish_many(served)
        whole = (await served.http.get(LARGE)).content
        trust = authority.trust if secure else None
        async with (
            peer(served, window=65_535, trust=trust) as healthy,
            trio.open_nursery() as nursery,
        ):
            (live,) = await healthy.ask("/v1/stream", accept="text/event-stream")
            nursery.start_soon(healthy_reads, healthy, live)
            async with peer(served, trust=trust) as client:
                await client.ask(*[LARGE] * 50)
                with trio.fail_after(30):
                    while await client.read():
                        pass
            await served.wait_metric("pushsvc_http2_waiting_bytes", 0)
            assert live not in healthy.reset
            assert live not in healthy.ended
            assert b'"points"' in healthy.bodies[live]
            assert (await served.http.get(LARGE)).content == whole
            nursery.cancel_scope.cancel()


async def healthy_reads(client: Peer, stream_id: int) -> None:
    while await client.read():
        await client.open_window(stream_id, 10_000)


async def test_a_stream_is_reset_alone_where_others_of_its_connection_go_on() -> None:
    pacing = Pacing(stall_timeout=2.0)
    async with serving(stream=pacing) as served:
        await publish_many(served)
        async with peer(served) as client:
            (stuck, live) = await client.ask(LARGE, "/v1/stream?heartbeat=5s&select=b")
            with trio.fail_after(30):
                while stuck not in client.reset:
                    await served.publish({"name": "b", "value": 1})
                    await client.open_window(live, 500)
                    with trio.move_on_after(0.2):
                        assert await client.read()
            assert client.reset == {stuck: h2.errors.ErrorCodes.ENHANCE_YOUR_CALM}
            before = len(client.bodies[live])
            await served.publish({"name": "b", "value": 2})
            await client.open_window(live, 10_000)
            with trio.fail_after(30):
                while len(client.bodies[live]) == before:
                    assert await client.read()


async def test_beyond_the_bound_those_go_that_have_waited_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However busy this machine is, a client that reads does so within that.
    monkeypatch.setattr(hypercorn_windows, "_YOUNG", 5.0)
    limits = Limits(http2_waiting_bytes=2_000_000)
    async with serving(limits=limits) as served:
        await publish_many(served)
        async with peer(served, window=20_000) as reader:
            (stream_id,) = await reader.ask(LARGE)
            async with trio.open_nursery() as nursery:

                async def take_nothing() -> None:
                    async with peer(served) as client:
                        await client.ask(*[LARGE] * 30)
                        while await client.read():
                            pass

                for _ in range(3):
                    nursery.start_soon(take_nothing)
                with trio.fail_after(60):
                    # A hundred kilobytes each, and their tasks: some fifteen may stay.
                    while (
                        await served.metric("pushsvc_http2_streams_reset_total") < 60
                        or await served.metric("pushsvc_http2_waiting_bytes") > 2_000_000
                    ):
                        with trio.move_on_after(0.1):
                            await reader.read()
                        with contextlib.suppress(h2.exceptions.StreamClosedError):
                            await reader.open_window(stream_id, 500)
                # A client that reads, even slowly, is none of them.
                with trio.fail_after(60):
                    while stream_id not in reader.ended:
                        assert stream_id not in reader.reset
                        assert await reader.read()
                        with contextlib.suppress(h2.exceptions.StreamClosedError):
                            await reader.open_window(stream_id, 20_000)
                nursery.cancel_scope.cancel()
        await served.wait_metric("pushsvc_http2_waiting_bytes", 0)


@pytest.mark.parametrize("how", ["reset", "goaway", "close"])
async def test_nothing_waits_for_who_is_gone(how: str) -> None:
    async with serving() as served:
        await publish_many(served)
        async with peer(served) as client:
            asked = await client.ask(*[LARGE] * 10)
            with trio.fail_after(30):
                while await served.metric("pushsvc_http2_waiting_bytes") < 10 * TASK:
                    await trio.sleep(0.02)
            if how == "reset":
                for stream_id in asked:
                    client.connection.reset_stream(stream_id)
                await client.flush()
                await served.wait_metric("pushsvc_http2_waiting_bytes", 0)
            elif how == "goaway":
                client.connection.close_connection()
                await client.flush()
                await served.wait_metric("pushsvc_http2_waiting_bytes", 0)
        await served.wait_metric("pushsvc_http2_waiting_bytes", 0)
        await served.wait_metric("pushsvc_connections", 1)


def storm(port: int) -> list[socket.socket]:
    """Twenty connections with a hundred requests each, none of which is ever taken an answer of."""
    sockets = []
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", port))
        connection = h2.connection.H2Connection(h2.config.H2Configuration())
        connection.local_settings = h2.settings.Settings(client=True, initial_values={WINDOW: 0})
        connection.initiate_connection()
        for stream_id in range(1, 201, 2):
            fields = {":method": "GET", ":scheme": "http", ":path": "/client.js"}
            connection.send_headers(
                stream_id, [*fields.items(), (":authority", f"127.0.0.1:{port}")], end_stream=True
            )
        sock.sendall(connection.data_to_send())
        sockets.append(sock)
    return sockets


@pytest.mark.long
def test_a_storm_of_closed_windows_costs_little_and_leaves_less() -> None:
    with started("serve", "--port", "0", "--set", "stream.stall_timeout=3") as (process, url):
        port = int(url.rpartition(":")[2])
        memory = psutil.Process(process.pid).memory_info
        assert httpx.get(f"{url}/client.js").status_code == 200
        before = memory().rss
        after = []
        for _ in range(2):
            sockets = storm(port)
            most = 0
            end = time.monotonic() + 60
            while waiting(url) == 0 and time.monotonic() < end:
                time.sleep(0.05)
            while waiting(url) and time.monotonic() < end:
                most = max(most, memory().rss)
                time.sleep(0.2)
            assert waiting(url) == 0
            assert most - before < 120 * KIB * KIB  # as Hypercorn is, 250 and for good
            for sock in sockets:
                sock.close()
            after.append(memory().rss)
        assert after[1] - after[0] < 30 * KIB * KIB


def waiting(url: str) -> float:
    for line in httpx.get(f"{url}/metrics").text.splitlines():
        if line.startswith("pushsvc_http2_waiting_bytes "):
            return float(line.split()[1])
    raise KeyError
