"""Streams over TLS on detached sockets: none has a task, whatever the other end does."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.settings
import h11
import pytest
import trio
import trio.testing

from pushsvc.core.delivery.start import Start
from pushsvc.listen import acceptor
from pushsvc.listen.tls import Certificate
from pushsvc.listen.tls_socket import TlsSocket, TlsStream
from pushsvc.transport.detached import DetachedCarrier
from pushsvc.transport.engine import Engine, Watched
from tests.authority import Authority
from tests.core.world import FakeCarrier, World
from tests.serving import Documents, Served, carried, next_of, serving
from tests.test_acceptor import SSE, answer
from tests.test_websocket_protocol import HANDSHAKE


@pytest.fixture(autouse=True)
def over_tls(certified: Authority) -> Iterator[None]:
    with carried("tls", certified):
        yield


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.parametrize("request_", [SSE, HANDSHAKE], ids=["sse", "websocket"])
async def test_a_stream_costs_no_task(request_: bytes) -> None:
    async with serving() as served:
        await served.wait_metric("pushsvc_connections", 1)
        before = tasks()
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(30):
                stream = await stack.enter_async_context(await served.raw(request_))
                assert (await answer(stream))[:12] in (b"HTTP/1.1 200", b"HTTP/1.1 101")
            await served.wait_metric("pushsvc_subscribers", 30)
            assert tasks() < before + 10
        await served.wait_metric("pushsvc_subscribers", 0)


async def test_a_later_request_on_a_connection_is_detached_too() -> None:
    async with serving() as served:
        await served.wait_metric("pushsvc_connections", 1)
        before = tasks()
        async with await served.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") as stream:
            assert b" 200 " in await answer(stream)
            await stream.send_all(SSE)
            assert b"text/event-stream" in (await answer(stream)).lower()
            await served.wait_metric("pushsvc_subscribers", 1)
            with trio.fail_after(30):
                while tasks() > before:
                    await trio.sleep(0.01)


async def test_handshakes_that_go_no_further_cost_no_task(certified: Authority) -> None:
    async with serving() as served:
        await served.wait_metric("pushsvc_connections", 1)
        before = tasks()
        async with contextlib.AsyncExitStack() as stack:
            for number in range(40):
                stream = await stack.enter_async_context(await served.connect())
                assert isinstance(stream, trio.SSLStream)
                if number % 2:
                    await stream.do_handshake()
                else:
                    await stream.transport_stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00")
            await served.wait_metric("pushsvc_connections", 41)
            assert tasks() < before + 10


async def test_a_handshake_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "_HEAD_TIMEOUT", 0.2)
    async with serving() as served:
        async with await trio.open_tcp_stream(served.host, served.port) as stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00")
            with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        await served.wait_metric("pushsvc_connections_silent_total", 1)


async def test_handshakes_that_fail_are_counted() -> None:
    async with serving() as served:
        async with await trio.open_tcp_stream(served.host, served.port) as stream:
            await stream.send_all(b"\x16\x03\x01\x00\x05hello")
            with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass
        await served.wait_metric("pushsvc_tls_handshakes_failed_total", 1)


class _Slow:
    """What takes long to serve, as a handshake does."""

    closed = False

    def __init__(self, clock: trio.testing.MockClock, served: list[str]) -> None:
        self.socket, self.other = socket.socketpair()
        self.other.send(b"x")
        self._clock, self._served = clock, served

    def serve(self, _events: int) -> None:
        self.socket.recv(10)
        self._clock.jump(0.004)
        self._served.append("client")

    def tend(self, _now: float) -> None:
        raise AssertionError

    def abort(self) -> None:
        self.closed = True
        self.socket.close()
        self.other.close()


async def test_what_takes_long_lets_others_in(mock_clock: trio.testing.MockClock) -> None:
    turns: list[str] = []
    engine = Engine()
    crowd = [_Slow(mock_clock, turns) for _ in range(40)]
    for one in crowd:
        engine.add(cast("Watched", one))
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        with trio.fail_after(60):
            while turns.count("client") < len(crowd):
                await trio.lowlevel.checkpoint()
                turns.append("other")
        nursery.cancel_scope.cancel()
    first, last = turns.index("client"), len(turns) - turns[::-1].index("client")
    together = "".join(turn[0] for turn in turns[first:last]).split("o")
    assert max(map(len, together)) <= 4  # two of 4 ms in a turn, and two turns in a row
    assert sum(map(len, together)) == len(crowd)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_who_comes_back_resumes_its_session(
    certified: Authority, version: ssl.TLSVersion
) -> None:
    trust = certified.context()
    trust.maximum_version = version

    def come(served: Served, session: ssl.SSLSession | None) -> ssl.SSLSession:
        with (
            socket.create_connection((served.host, served.port), timeout=30) as plain,
            trust.wrap_socket(plain, server_hostname=served.host, session=session) as sock,
        ):
            sock.sendall(SSE)
            assert sock.recv(1024).startswith(b"HTTP/1.1 200")
            assert sock.session_reused == (session is not None)
            assert sock.session is not None
            return sock.session

    async with serving() as served:
        session = await trio.to_thread.run_sync(come, served, None)
        await trio.to_thread.run_sync(come, served, session)


async def test_streams_go_on_when_the_certificate_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushsvc.listen.tls._LOOK_AT_CERTIFICATE", 0.05)
    authority = Authority(tmp_path)
    with carried("tls", authority):
        async with serving() as served, served.documents("text/event-stream") as documents:
            await next_of(documents, "hello")
            former = await trio.to_thread.run_sync(authority.serial, served.port)
            authority.issue()
            with trio.fail_after(30):
                while await trio.to_thread.run_sync(authority.serial, served.port) == former:
                    await trio.sleep(0.05)
            await served.publish({"name": "a", "value": 7})
            while not (points := await next_of(documents, "points"))["points"]:
                pass
            assert points["points"][0][2] == 7


@pytest.mark.parametrize("how", ["close_notify", "the end alone", "a reset", "garbage"])
async def test_who_leaves_is_gone(how: str) -> None:
    async with serving() as served:
        stream = await served.connect()
        assert isinstance(stream, trio.SSLStream)
        await stream.send_all(SSE)
        await answer(stream)
        await served.wait_metric("pushsvc_subscribers", 1)
        bare = stream.transport_stream
        if how == "close_notify":
            rest, _ = await stream.unwrap()  # waits for the service's own
            assert rest is bare
        elif how == "the end alone":
            await bare.send_eof()
        elif how == "a reset":
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await bare.aclose()
        else:
            await bare.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        await served.wait_metric("pushsvc_subscribers", 0)
        await served.wait_metric("pushsvc_connections", 1)
        await trio.aclose_forcefully(bare)


async def test_that_nothing_follows_is_said_at_the_end(certified: Authority) -> None:
    """Without that a client couldn't tell an end from one that somebody made on the way."""

    def read(sock: ssl.SSLSocket) -> bytes:
        with sock:
            return b"".join(iter(lambda: sock.recv(16384), b""))

    async with serving() as served:

        def open_stream() -> ssl.SSLSocket:
            plain = socket.create_connection((served.host, served.port), timeout=30)
            sock = certified.trust.wrap_socket(
                plain, server_hostname=served.host, suppress_ragged_eofs=False
            )
            sock.sendall(SSE)
            return sock

        sock = await trio.to_thread.run_sync(open_stream)
        await served.wait_metric("pushsvc_subscribers", 1)
        served.drain.set()
        assert b'"goaway"' in await trio.to_thread.run_sync(read, sock)


async def test_a_slow_reader_of_large_frames_is_given_every_byte() -> None:
    async with serving() as served:
        stream = await served.connect(receive_buffer=4096)
        async with stream:
            connection = h11.Connection(h11.CLIENT)
            request = h11.Request(
                method="GET",
                target="/v1/stream",
                headers=[("Host", "x"), ("Accept", "application/x-ndjson")],
            )
            await stream.send_all(connection.send(request) + connection.send(h11.EndOfMessage()))
            documents = Documents(stream, connection)
            await documents.open()
            text = "x" * 1000
            for turn in range(40):  # frames of 100 kB each, several of OpenSSL's records
                await served.publish(
                    *({"name": f"s{i}", "value": turn, "help": f"{turn}{text}"} for i in range(100))
                )
            assert await served.metric("pushsvc_writes_blocked_total") > 0
            seen: dict[int, list[int]] = {}
            with trio.fail_after(60):
                while len(seen) < 100 or any(values[-1] != 39 for values in seen.values()):
                    for ref, _, value, *_ in (await next_of(documents, "points"))["points"]:
                        seen.setdefault(ref, []).append(round(value))
            assert all(values == list(range(values[0], 40)) for values in seen.values())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl isn't installed")
async def test_a_client_may_change_its_keys(certified: Authority) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        client = await trio.lowlevel.open_process(
            ["openssl", "s_client", "-connect", f"{served.host}:{served.port}", "-tls1_3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        heard = b""

        async def until(words: bytes) -> None:
            nonlocal heard
            assert client.stdout is not None
            with trio.fail_after(30):
                while words not in heard:
                    more = await client.stdout.receive_some()
                    assert more, heard[-500:]
                    heard += bytes(more)

        try:
            await client.stdin.send_all(SSE)
            await until(b'"points"')
            for value in (101, 102, 103):
                await client.stdin.send_all(b"K\n")  # with a request that we change ours
                await until(b"KEYUPDATE" if value == 101 else b"")
                await served.publish({"name": "a", "value": value})
                await until(b"%d.0]" % value)
            assert await served.metric("pushsvc_subscribers") == 1
        finally:
            client.send_signal(signal.SIGKILL)
            await client.wait()
            await client.stdin.aclose()
            await client.stdout.aclose()


class _KeyChanging(socket.socket):
    """A socket on which nothing can be read before something is sent, as TLS may have it."""

    asked = 0

    def recv(self, *_: int) -> bytes:
        self.asked += 1
        raise ssl.SSLWantWriteError


async def test_a_client_that_takes_no_answer_to_its_keys_is_not_asked_again_and_again() -> None:
    world, engine = World(), Engine()
    ours, theirs = socket.socketpair()
    sock = _KeyChanging(fileno=ours.detach())
    sock.setblocking(False)
    subscriber = world.hub.subscribe(
        world.spec(), Start(), FakeCarrier(), now=world.now, time_ms=world.time_ms
    )
    carrier = DetachedCarrier(engine, world.hub, sock, subscriber, "sse")
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536))
    theirs.send(b"x")
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        with trio.fail_after(30):
            while not sock.asked:
                await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked()
        assert sock.asked == 1
        assert carrier.stalled_since() is not None
        with trio.fail_after(30):
            while sock.asked == 1:  # until there is room
                with contextlib.suppress(BlockingIOError):
                    theirs.recv(1 << 20, socket.MSG_DONTWAIT)
                await trio.sleep(0.001)
        carrier.abort()
        theirs.close()
        nursery.cancel_scope.cancel()


async def test_a_page_of_this_service_is_known_by_its_origin() -> None:
    async with serving() as served:
        for origin, status in ((served.url, b" 101 "), (f"http://{served.url[8:]}", b" 403 ")):
            host = f"Host: {served.host}:{served.port}\r\nOrigin: {origin}"
            request = HANDSHAKE.replace(b"Host: x", host.encode())
            async with await served.raw(request) as stream:
                assert status in await answer(stream)


async def test_websockets_over_http2_are_not_offered_where_others_cost_less(
    certified: Authority,
) -> None:
    async with serving() as served:
        context = certified.context()
        context.set_alpn_protocols(["h2"])
        stream = await trio.open_ssl_over_tcp_stream(
            served.host, served.port, ssl_context=context, https_compatible=True
        )
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        peer.initiate_connection()
        async with stream:
            await stream.send_all(peer.data_to_send())
            with trio.fail_after(30):
                while True:
                    events = peer.receive_data(await stream.receive_some(65536))
                    told = [e for e in events if isinstance(e, h2.events.RemoteSettingsChanged)]
                    if told:
                        break
        offer = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
        assert offer not in told[0].changed_settings


# -- the socket and the stream ---------------------------------------------------------------------


async def pair(authority: Authority) -> tuple[TlsStream, trio.SSLStream[trio.SocketStream]]:
    """Both ends of a connection, with the handshake done."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    sock = Certificate(authority.certfile, authority.keyfile).wrap(ours)
    assert isinstance(sock, TlsSocket)
    client = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)),
        authority.context(),
        server_hostname="127.0.0.1",
        https_compatible=True,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        while not sock.agree():
            await trio.lowlevel.wait_readable(sock)
    return TlsStream(sock), client


async def test_the_stream_keeps_trios_contract(certified: Authority) -> None:
    async def make() -> tuple[TlsStream, trio.abc.Stream]:
        return await pair(certified)

    await trio.testing.check_two_way_stream(make, None)


async def test_closing_wakes_who_reads(certified: Authority) -> None:
    ours, client = await pair(certified)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        await trio.testing.wait_all_tasks_blocked()
        ours.socket.close()
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")
    assert await client.receive_some() == b""
    await trio.aclose_forcefully(client)


async def test_streams_are_whole_while_others_come_and_go() -> None:
    """Descriptors are used again and again: what is for one socket must never reach another."""
    ways = ("leaves", "is cut", "asks", "half", "no TLS")

    async def come(served: Served, way: str) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            if way in ("half", "no TLS"):
                async with await trio.open_tcp_stream(served.host, served.port) as bare:
                    await bare.send_all(b"\x16\x03\x01\x02" if way == "half" else b"hello")
                return
            stream = await served.connect()
            assert isinstance(stream, trio.SSLStream)
            async with stream:
                await stream.do_handshake()
                if way == "is cut":
                    await trio.aclose_forcefully(stream.transport_stream)
                elif way == "asks":
                    await stream.send_all(SSE)
                    assert b" 200 " in await answer(stream)

    async with serving() as served, contextlib.AsyncExitStack() as stack:
        await served.publish({"name": "a", "value": 0})
        opened = [
            await stack.enter_async_context(served.documents("text/event-stream", select="a"))
            for _ in range(5)
        ]
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def crowd() -> None:
                for _ in range(10):
                    async with trio.open_nursery() as some:
                        for way in ways * 4:
                            some.start_soon(come, served, way)

            for value in range(1, 30):
                await served.publish({"name": "a", "value": value})
        for documents in opened:
            values: list[int] = []
            while values[-1:] != [29]:
                values += [round(p[2]) for p in (await next_of(documents, "points"))["points"]]
            assert values == list(range(30))
