"""HTTP/2 frame by frame: what becomes of a connection when one of its requests goes wrong."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
import trio

from pushsvc.app.http.connection import BoundedBody
from pushsvc.core.resources.limits import Limits
from tests.authority import Authority
from tests.serving import Served, serving


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Peer:
    """A client that sends what it likes, and hears what comes by stream."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], authority: str) -> None:
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.heard: dict[int, bytes] = {}
        self.status: dict[int, str] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self._stream = stream
        self._authority = authority

    def ask(self, stream_id: int, method: str, path: str, *fields: tuple[str, str]) -> None:
        """Begin a request; one that isn't a POST ends with it."""
        head = [(":method", method), (":path", path), (":scheme", "https")]
        head += [(":authority", self._authority), *fields]
        self.connection.send_headers(stream_id, head, end_stream=method != "POST")

    async def flush(self) -> None:
        await self._stream.send_all(self.connection.data_to_send())

    async def hear(self) -> None:
        data = await self._stream.receive_some(65536)
        assert data, "the connection has ended"
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.status[event.stream_id] = dict(event.headers)[b":status"].decode()
            elif isinstance(event, h2.events.DataReceived):
                self.heard[event.stream_id] = self.heard.get(event.stream_id, b"") + event.data
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.reset[event.stream_id] = event.error_code
        await self.flush()

    async def until(self, stream_id: int, words: bytes) -> None:
        with trio.fail_after(30):
            while words not in self.heard.get(stream_id, b""):
                await self.hear()


@contextlib.asynccontextmanager
async def peer(authority: Authority, served: Served) -> AsyncIterator[Peer]:
    context = ssl.create_default_context()
    authority.ca.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    stream = await trio.open_ssl_over_tcp_stream(
        served.host, served.port, ssl_context=context, https_compatible=True
    )
    one = Peer(stream, f"{served.host}:{served.port}")
    one.connection.initiate_connection()
    await one.flush()
    try:
        yield one
    finally:
        await trio.aclose_forcefully(stream)


async def lives_on(served: Served, one: Peer) -> None:
    """The stream that was open goes on, and requests are answered."""
    await served.publish({"name": "later", "value": 1})
    await one.until(1, b'"later"')
    one.ask(5, "GET", "/livez")
    await one.flush()
    await one.until(5, b"ok")


async def test_an_upload_that_is_refused_early_costs_the_connection_nothing(
    authority: Authority,
) -> None:
    limits = Limits(body_bytes=500_000)
    async with serving(server=authority.server, verify=authority.trust, limits=limits) as served:
        async with peer(authority, served) as one:
            one.ask(1, "GET", "/v1/stream", ("accept", "text/event-stream"))
            await one.flush()
            await one.until(1, b"hello")
            one.ask(3, "POST", "/v1/samples", ("content-type", "application/json"))
            sent = 0
            with trio.fail_after(30):
                while 3 not in one.reset:
                    room = one.connection.local_flow_control_window(3)
                    if room:
                        size = min(room, one.connection.max_outbound_frame_size)
                        one.connection.send_data(3, b" " * size)
                        sent += size
                        await one.flush()
                    else:
                        await one.hear()
            assert one.status[3] == "413"
            assert 3 in one.ended  # the whole answer, before it is asked to send no more
            assert b"limits.body_bytes" in one.heard[3]
            assert one.reset[3] == 0
            assert sent < 2_000_000
            await lives_on(served, one)


async def test_a_body_that_nobody_reads_holds_up_no_other_stream(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedBody, "_HIGH", 0)
    limits = Limits(body_bytes=300)
    async with serving(server=authority.server, verify=authority.trust, limits=limits) as served:
        async with peer(authority, served) as one:
            one.ask(1, "GET", "/v1/stream", ("accept", "text/event-stream"))
            await one.flush()
            await one.until(1, b"hello")
            one.ask(3, "POST", "/v1/samples", ("content-type", "application/json"))
            for _ in range(200):
                one.connection.send_data(3, b" " * 10)
            await one.flush()
            await one.until(3, b"limits.body_bytes")
            await lives_on(served, one)
