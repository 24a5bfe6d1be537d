"""Traps of the stack that the service stands on, each sprung on purpose.

They were met in Hypercorn, Quart and Quart-Trio as of 2026; a release that changes one of them
is no reason to drop the test, only to see whether the code could now be simpler.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.typing import HTTPScope

from pushsvc.app import create_app
from pushsvc.app.http.changes import Changes
from pushsvc.app.http.context import Context, make_handshake_limiter
from pushsvc.auth.access import Access
from pushsvc.auth.leases import Leases
from pushsvc.config import Server
from pushsvc.core.delivery.start import Start
from pushsvc.core.hub import Hub
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.dashboards.library import Library
from pushsvc.ingest.influx import InfluxDecoder
from pushsvc.ingest.native import NativeDecoder
from pushsvc.ingest.otlp.decoder import OtlpDecoder
from pushsvc.ingest.producers import Producers
from pushsvc.ingest.prometheus_text.decoder import PrometheusTextDecoder
from pushsvc.ingest.refusals import Ledger
from pushsvc.ingest.remote_write.decoder import RemoteWriteDecoder
from pushsvc.journal.memory import MemoryJournal
from pushsvc.pipeline import Pipeline
from pushsvc.pipeline.drain import Draining
from pushsvc.transport.asgi import AsgiCarrier
from tests.authority import Authority
from tests.core.world import World
from tests.serving import Served, carried, next_of, serving


@pytest.fixture(params=["detached", "asgi", "tls"], autouse=True)
def carrier(request: pytest.FixtureRequest, certified: Authority) -> Iterator[str]:
    """Each test runs on both carriers, and with TLS: they keep one contract."""
    with carried(request.param, certified):
        yield request.param


@contextlib.asynccontextmanager
async def context(pacing: Pacing) -> AsyncIterator[Context]:
    """What an app needs, without a server around it."""
    journal = MemoryJournal()
    limits = Limits()
    hub = Hub(
        journal.epoch,
        limits=limits,
        retention=Retention(),
        pacing=pacing,
        make_session=iter(map(str, range(1000))).__next__,
    )
    pipeline = Pipeline(hub, journal, limits, pacing)
    access = Access()
    async with trio.open_nursery() as nursery:
        await nursery.start(pipeline.run_ingest)
        await nursery.start(pipeline.run_ticks)
        yield Context(
            hub=hub,
            pipeline=pipeline,
            journal=journal,
            limits=limits,
            pacing=pacing,
            native=NativeDecoder(limits),
            otlp=OtlpDecoder(limits),
            remote_write=RemoteWriteDecoder(limits),
            influx=InfluxDecoder(limits),
            prometheus_text=PrometheusTextDecoder(limits),
            refused=Ledger(lambda _: None),
            producers=Producers(),
            engine=None,
            draining=Draining(),
            handshake_limiter=make_handshake_limiter(limits, 0.0),
            connections=lambda: 0,
            keep_alive=75.0,
            page=Path("/nonexistent"),
            access=access,
            dashboards=Library(None, None),
            changes=Changes(Library(None, None), Draining()),
            leases=Leases(access, hub, pipeline.wake_ticker),
        )
        nursery.cancel_scope.cancel()


def scope(path: str, accept: str) -> HTTPScope:
    return {
        "type": "http",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"accept", accept.encode()), (b"host", b"test")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},  # type: ignore[typeddict-item]
        "extensions": {},
    }


async def test_pulling_a_frame_always_checkpoints() -> None:
    # Hypercorn's send returns at once, without a checkpoint, when the client is gone: a loop that
    # awaits nothing else would freeze the process.
    world = World()
    carrier = AsgiCarrier()
    world.publish({"a": [1.0]})
    subscriber = world.hub.subscribe(
        world.spec(), Start(), carrier, now=world.now, time_ms=world.time_ms
    )
    for _ in range(2):
        with trio.testing.assert_checkpoints():
            assert await carrier.next_frame(subscriber) is not None


async def test_a_client_that_is_gone_cannot_freeze_the_process() -> None:
    async with context(Pacing(replay_points=1)) as parts:
        app = create_app(parts)
        await app.startup()
        identity = identify("a", {}, parts.limits)
        for value in range(2000):
            await parts.pipeline.submit(Batch([Rows(identity, [value], [float(value)])]))
        sent = 0

        async def send(message: Any) -> None:  # no checkpoint, as after the client has gone
            nonlocal sent
            sent += 1

        async def receive() -> Any:
            await trio.sleep_forever()

        request = scope("/v1/stream", "text/event-stream")
        request["query_string"] = f"since={parts.hub.epoch}.0".encode()
        turns = 0
        with trio.move_on_after(20) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(app, request, receive, send)
                while sent < 500:
                    turns += 1
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        assert not limit.cancelled_caught
        assert turns > 100  # others had their turn between the sends


async def test_a_stream_outlives_quarts_response_timeout(autojump_clock: Any) -> None:
    # Quart ends a response after RESPONSE_TIMEOUT (60 s by default), however alive it is.
    async with context(Pacing(heartbeat=15)) as parts:
        app = create_app(parts)
        await app.startup()
        sent: list[bytes] = []

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        async def receive() -> Any:
            await trio.sleep_forever()

        with trio.move_on_after(200):
            await app(scope("/v1/stream", "text/event-stream"), receive, send)
        beats = [body for body in sent if b'"heartbeat","id"' in body]
        assert len(beats) == 13


async def test_a_websocket_that_talks_and_vanishes_is_noticed() -> None:
    # Quart-Trio's channel of inbound messages holds ten: with nobody reading, the disconnect that
    # comes after them is never seen.
    async with serving() as served:
        handshake = (
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        stream = await served.raw(handshake)
        assert b" 101 " in await stream.receive_some()
        await served.wait_metric("pushsvc_subscribers", 1)
        message = b'{"type":"watch"}'
        frame = bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message
        await stream.send_all(frame * 30)
        await trio.aclose_forcefully(stream)
        await served.wait_metric("pushsvc_subscribers", 0)


async def stalled(served: Served, series: int = 200) -> trio.abc.Stream:
    """A client that asked for a stream and reads none of it, with more owed than buffers hold."""
    raw = await served.connect(receive_buffer=4096)
    request = b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
    await raw.send_all(request)
    await served.wait_metric("pushsvc_subscribers", 1)
    help_text = "x" * 1000
    for turn in range(60):
        await served.publish(
            *({"name": f"s{i}", "value": 1, "help": f"{turn} {help_text}"} for i in range(series))
        )
        await trio.sleep(0.02)
    return raw


async def test_a_stalled_client_holds_up_neither_others_nor_the_shutdown() -> None:
    # Hypercorn's Trio worker shields send_all: no timeout or cancellation of ours reaches it.
    pacing = Pacing(max_hz=100, default_hz=100)
    async with serving(stream=pacing, server=Server(port=0, shutdown_timeout=0.5)) as served:
        async with await stalled(served):
            async with served.documents("text/event-stream", select="news") as documents:
                await next_of(documents, "points")
                listed = (await served.http.get("/v1/subscribers")).json()
                assert listed["count"] == 2
                slow, quick = listed["subscribers"]
                assert (slow["transport"], slow["reason"]) == ("sse", "takes no bytes")
                assert slow["stalled"] > 0
                assert slow["behind"] > 0
                assert (quick["reason"], quick["stalled"]) == (None, None)
                await served.publish({"name": "news", "value": 7})
                points = await next_of(documents, "points")
                assert points["points"][0][2] == 7
            with trio.fail_after(20):  # who stalls is parted from after 30 s
                served.drain.set()
                while True:
                    try:
                        await trio.aclose_forcefully(
                            await trio.open_tcp_stream(served.host, served.port)
                        )
                    except OSError:
                        break
                    await trio.sleep(0.01)


async def test_a_stalled_client_is_parted_from() -> None:
    pacing = Pacing(max_hz=100, default_hz=100, stall_timeout=1.5)
    async with serving(stream=pacing) as served:
        async with await stalled(served):
            await served.wait_metric("pushsvc_subscribers_stalled_total", 1)
            await served.wait_metric("pushsvc_subscribers", 0)


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # a TLS hello
    b"\x00" * 1000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n",
    b"GET /" + b"a" * 100_000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    b"POST /v1/samples HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 99\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_ends_its_own_connection_only(garbage: bytes) -> None:
    async with serving() as served:
        async with await served.raw(garbage) as stream:
            with trio.move_on_after(0.5):
                while await stream.receive_some():
                    pass
        await served.wait_metric("pushsvc_connections", 1)
        assert (await served.publish({"name": "a", "value": 1}))["applied"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x05hello",  # not masked
        b"\x83\x80\x00\x00\x00\x00",  # reserved opcode
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",  # endless
        b"\x81\x82\x00\x00\x00\x00\xff\xff",  # not UTF-8
        b"\x88\x81\x00\x00\x00\x00\x03",  # a close with half a code
    ],
)
async def test_a_broken_websocket_ends_itself_only(frame: bytes) -> None:
    async with serving() as served:
        handshake = (
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        async with await served.raw(handshake) as stream:
            assert b" 101 " in await stream.receive_some()
            await stream.send_all(frame)
            with trio.fail_after(30):
                while await stream.receive_some():
                    pass
        await served.wait_metric("pushsvc_subscribers", 0)
        assert (await served.publish({"name": "a", "value": 1}))["applied"] == 1
