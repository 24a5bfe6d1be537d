"""TLS in the process: HTTP/1.1 and HTTP/2, WebSockets over both, certificates that are replaced."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import psutil
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from trio_websocket import open_websocket_url
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage
from wsproto.frame_protocol import CloseReason

from pushsvc.config import ConfigError, load
from pushsvc.listen.tls import Certificate, CertificateError
from tests.authority import Authority
from tests.cli.forked import ENV, run
from tests.cli.test_commands import PUSHSVC
from tests.serving import detach, serving

# A response of httpx that isn't read to its end leaves generators to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*httpcore.*:ResourceWarning",
    "ignore:.*(httpcore|httpx|async_generator).*:pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def secured(authority: Authority) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """A service with TLS, and an HTTP/2 client of it."""
    async with serving(server=authority.server, verify=authority.trust) as served:
        assert served.url.startswith("https://")
        async with httpx.AsyncClient(
            base_url=served.url, verify=authority.trust, http2=True
        ) as client:
            yield served.url, client


SAMPLES = {"samples": [{"name": "a", "value": 1}, {"name": "b", "value": 2}]}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_publish_and_stream(authority: Authority, version: str, accept: str) -> None:
    async with serving(server=authority.server, verify=authority.trust) as served:
        async with httpx.AsyncClient(
            base_url=served.url, verify=authority.trust, http2=version == "HTTP/2"
        ) as client:
            published = await client.post("/v1/samples", json=SAMPLES)
            assert published.status_code == 200
            assert published.http_version == version
            async with client.stream("GET", "/v1/stream", headers={"Accept": accept}) as stream:
                kinds = []
                async for line in stream.aiter_lines():
                    text = line.removeprefix("data: ")
                    if text.startswith("{"):
                        kinds.append(json.loads(text)["type"])
                    if kinds[-1:] == ["points"]:
                        break
                assert kinds == ["hello", "points"]


async def test_a_hundred_streams_share_one_http2_connection(authority: Authority) -> None:
    async with secured(authority) as (_, client):
        await client.post("/v1/samples", json=SAMPLES)
        heard = 0

        async def one() -> None:
            nonlocal heard
            async with client.stream("GET", "/v1/stream") as stream:
                async for line in stream.aiter_lines():
                    if '"points"' in line:
                        heard += 1
                        return

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(60):
                    nursery.start_soon(one)
        assert heard == 60


async def test_a_stream_that_is_reset_is_over(authority: Authority) -> None:
    async with serving(server=authority.server, verify=authority.trust) as served:
        context = ssl.create_default_context()
        authority.ca.configure_trust(context)
        context.set_alpn_protocols(["h2"])
        stream = await trio.open_ssl_over_tcp_stream(
            served.host, served.port, ssl_context=context, https_compatible=True
        )
        async with stream:
            peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
            peer.initiate_connection()
            head = [(":method", "GET"), (":scheme", "https"), (":path", "/v1/stream")]
            peer.send_headers(1, [*head, (":authority", "x")], end_stream=True)
            await stream.send_all(peer.data_to_send())
            await served.wait_metric("pushsvc_subscribers", 1)
            peer.reset_stream(1)
            await stream.send_all(peer.data_to_send())
            await served.wait_metric("pushsvc_subscribers", 0)


async def test_a_websocket_over_tls(authority: Authority) -> None:
    async with serving(server=authority.server, verify=authority.trust) as served:
        await served.http.post("/v1/samples", json=SAMPLES)
        url = served.url.replace("https:", "wss:") + "/v1/stream?select=a"
        async with open_websocket_url(url, ssl_context=authority.trust) as websocket:
            documents = [json.loads(await websocket.get_message()) for _ in range(2)]
            assert [document["type"] for document in documents] == ["hello", "points"]
            await websocket.send_message('{"type":"watch","select":["b"]}')
            assert json.loads(await websocket.get_message())["granted"]["select"] == ["b"]


async def test_a_websocket_over_http2(authority: Authority) -> None:
    """RFC 8441: CONNECT with :protocol on one stream of the connection."""
    detach.set(False)  # for this test's own task
    async with serving(server=authority.server, verify=authority.trust) as served:
        await served.http.post("/v1/samples", json=SAMPLES)
        context = ssl.create_default_context()
        authority.ca.configure_trust(context)
        context.set_alpn_protocols(["h2"])
        stream = await trio.open_ssl_over_tcp_stream(
            served.host, served.port, ssl_context=context, https_compatible=True
        )
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        websocket = Connection(ConnectionType.CLIENT)
        peer.initiate_connection()
        await stream.send_all(peer.data_to_send())
        opened = False
        documents: list[dict[str, Any]] = []
        async with stream:
            with trio.fail_after(30):
                while len(documents) < 3:
                    for event in peer.receive_data(await stream.receive_some(65536)):
                        if isinstance(event, h2.events.RemoteSettingsChanged) and not opened:
                            setting = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
                            assert event.changed_settings[setting].new_value == 1
                            opened = True
                            peer.send_headers(
                                1,
                                [
                                    (":method", "CONNECT"),
                                    (":protocol", "websocket"),
                                    (":scheme", "https"),
                                    (":path", "/v1/stream?select=a"),
                                    (":authority", f"{served.host}:{served.port}"),
                                    ("sec-websocket-version", "13"),
                                    ("sec-websocket-protocol", "pushsvc.v1"),
                                ],
                            )
                        elif isinstance(event, h2.events.ResponseReceived):
                            fields = dict(event.headers)
                            assert fields[b":status"] == b"200"
                            assert fields[b"sec-websocket-protocol"] == b"pushsvc.v1"
                        elif isinstance(event, h2.events.DataReceived):
                            websocket.receive_data(event.data)
                            for message in websocket.events():
                                assert isinstance(message, TextMessage)
                                documents.append(json.loads(message.data))
                            if len(documents) == 2:
                                said = websocket.send(
                                    TextMessage(data='{"type":"watch","select":["b"]}')
                                )
                                peer.send_data(1, said)
                    await stream.send_all(peer.data_to_send())
        assert [each["type"] for each in documents[:3]] == ["hello", "points", "hello"]
        assert documents[2]["granted"]["select"] == ["b"]


async def test_a_broken_frame_over_http2_ends_that_websocket_alone(authority: Authority) -> None:
    async with serving(server=authority.server, verify=authority.trust) as served:
        context = ssl.create_default_context()
        authority.ca.configure_trust(context)
        context.set_alpn_protocols(["h2"])
        stream = await trio.open_ssl_over_tcp_stream(
            served.host, served.port, ssl_context=context, https_compatible=True
        )
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        peer.initiate_connection()
        fields = [(":scheme", "https"), (":authority", f"{served.host}:{served.port}")]
        heard: dict[int, bytes] = {1: b"", 3: b""}
        asked = ended = False
        async with stream:
            with trio.fail_after(30):
                await stream.send_all(peer.data_to_send())
                while not ended or b"ok" not in heard[3]:
                    for event in peer.receive_data(await stream.receive_some(65536)):
                        if isinstance(event, h2.events.RemoteSettingsChanged) and not asked:
                            asked = True
                            publish = [(":method", "CONNECT"), (":protocol", "websocket"), *fields]
                            publish += [(":path", "/v1/publish"), ("sec-websocket-version", "13")]
                            peer.send_headers(1, publish)
                            peer.send_data(
                                1, b"\x83\x80\x00\x00\x00\x00"
                            )  # no such opcode, and early
                        elif isinstance(event, h2.events.DataReceived):
                            heard[event.stream_id] += event.data
                        elif isinstance(event, h2.events.StreamEnded) and event.stream_id == 1:
                            ended = True
                            ready = [(":method", "GET"), (":path", "/readyz"), *fields]
                            peer.send_headers(3, ready, end_stream=True)
                    await stream.send_all(peer.data_to_send())
        closed = CloseReason.PROTOCOL_ERROR.to_bytes(2, "big")
        assert heard[1][2:] == closed + b"Invalid opcode 0x3"


async def test_subscribers_are_told_at_the_end(authority: Authority) -> None:
    async with serving(server=authority.server, verify=authority.trust) as served:
        async with served.http.stream("GET", "/v1/stream") as stream:
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("retry: ")
            assert '"hello"' in await anext(lines)
            served.drain.set()
            with trio.fail_after(30):
                rest = [line async for line in lines]
        assert any('"goaway"' in line for line in rest)


async def test_who_says_nothing_or_no_tls_costs_no_one_anything(authority: Authority) -> None:
    async with serving(server=authority.server, verify=authority.trust) as served:
        silent = [socket.create_connection((served.host, served.port)) for _ in range(20)]
        async with await trio.open_tcp_stream(served.host, served.port) as plain:
            await plain.send_all(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
                assert b"HTTP/1.1 200" not in await plain.receive_some()
        assert (await served.http.get("/livez")).status_code == 200
        for sock in silent:
            sock.close()


async def test_plain_http_is_told_that_this_is_tls(authority: Authority) -> None:
    async with secured(authority) as (url, _):
        stream = await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            with trio.fail_after(30):
                answer = b"".join([bytes(data) async for data in stream])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"https://" in answer


async def fail_handshake(port: int, how: str) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    with contextlib.suppress(trio.BrokenResourceError):
        if how == "half":
            await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00")
        elif how == "not TLS 1.2":
            await stream.send_all(b"\x16\x03\x01\x00\x05hello")
        elif how == "plain":
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await trio.sleep(0.01)
    await trio.aclose_forcefully(stream)


def left_by_connections() -> list[str]:
    """Which objects of connections the collector would have to find, or are held."""
    kinds = {"Connection", "SSLStream", "SSLObject", "SocketStream", "TCPServer"}
    return sorted(type(one).__name__ for one in gc.get_objects() if type(one).__name__ in kinds)


async def test_failed_handshakes_leave_nothing_to_the_collector(authority: Authority) -> None:
    async with secured(authority) as (url, client):
        port = int(url.rpartition(":")[2])
        assert (await client.get("/livez")).status_code == 200
        gc.collect()
        before = left_by_connections()
        gc.disable()
        try:
            async with trio.open_nursery() as nursery:
                for how in ("half", "not TLS 1.2", "plain", "nothing") * 25:
                    nursery.start_soon(fail_handshake, port, how)
            with trio.fail_after(30):
                while left_by_connections() != before:
                    await trio.sleep(0.05)
        finally:
            gc.enable()


async def test_a_finished_connection_leaves_nothing_to_the_collector(authority: Authority) -> None:
    async with secured(authority) as (url, client):
        assert (await client.get("/livez")).status_code == 200
        gc.collect()
        before = left_by_connections()
        gc.disable()
        try:
            for _ in range(10):
                port = int(url.rpartition(":")[2])
                await trio.to_thread.run_sync(ask, authority, port)
            with trio.fail_after(30):
                while left_by_connections() != before:
                    await trio.sleep(0.05)
        finally:
            gc.enable()


_STORM = 9_000
_AT_ONCE = 300
"""Connections under way at a time: fewer than the process takes of one address."""
_SLACK_BYTES = 20 * 1024 * 1024


def storm(port: int, hello: bytes, count: int) -> None:
    """Connections that fail in every way: half a hello, a whole one and gone, no TLS, plain HTTP,
    nothing at all; some end in order and some by a reset."""
    ways = (
        hello[: len(hello) // 2],
        hello,
        b"\x16\x03\x01\x00\x05hello",
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    )
    for start in range(0, count, _AT_ONCE):
        crowd = []
        for place in range(start, min(start + _AT_ONCE, count)):
            sock = socket.create_connection(("127.0.0.1", port), timeout=10)
            with contextlib.suppress(OSError):
                sock.sendall(ways[place % len(ways)])
            crowd.append(sock)
        for place, sock in enumerate(crowd):
            if place % 2:
                linger = struct.pack("ii", 1, 0)  # the close is a reset
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif place % 4:
                with contextlib.suppress(OSError):  # wait for what the service says of it
                    sock.settimeout(0.05)
                    sock.recv(4096)
            sock.close()


def client_hello(authority: Authority) -> bytes:
    """The first bytes of a client that speaks TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.long
def test_a_storm_of_failed_handshakes_gives_its_memory_back(authority: Authority) -> None:
    files = ("--certfile", str(authority.certfile), "--keyfile", str(authority.keyfile))
    with process("serve", "--port", "0", *files) as (child, port):
        hello = client_hello(authority)
        of = psutil.Process(child.pid)
        storm(port, hello, 2 * _AT_ONCE)  # what is loaded once, at the first connection, and kept
        ask(authority, port)
        before = of.memory_info().rss
        storm(port, hello, _STORM)
        deadline = time.monotonic() + 30
        while (grown := of.memory_info().rss - before) > _SLACK_BYTES:
            assert time.monotonic() < deadline, f"{grown / 2**20:.0f} MiB more than before"
            time.sleep(0.5)
        ask(authority, port)
        assert child.poll() is None


def ask(authority: Authority, port: int) -> None:
    trust = ssl.create_default_context()  # httpx has the other one offer HTTP/2
    authority.ca.configure_trust(trust)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
        trust.wrap_socket(sock, server_hostname="127.0.0.1") as wrapped,
    ):
        wrapped.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert wrapped.recv(4096).startswith(b"HTTP/1.1 200")


async def test_replaced_files_are_noticed(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushsvc.listen.tls._LOOK_AT_CERTIFICATE", 0.05)
    async with secured(authority) as (url, _):
        port = int(url.rpartition(":")[2])
        former = await trio.to_thread.run_sync(authority.serial, port)
        authority.issue()
        with trio.fail_after(30):
            while await trio.to_thread.run_sync(authority.serial, port) == former:
                await trio.sleep(0.05)


def test_files_that_are_no_good_are_named(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    foreign = Authority(other)
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(encrypt(authority.keyfile))
    for certfile, keyfile, complaint in (
        (authority.certfile, foreign.keyfile, "isn't the one of"),
        (garbage, authority.keyfile, "not a certificate"),
        (tmp_path / "none.pem", authority.keyfile, "No such file"),
        (authority.certfile, encrypted, "encrypted"),
    ):
        with pytest.raises(CertificateError, match=complaint):
            Certificate(certfile, keyfile)


def encrypt(keyfile: Path) -> bytes:
    key = serialization.load_pem_private_key(keyfile.read_bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )


def test_one_file_needs_the_other() -> None:
    with pytest.raises(ConfigError, match=r"--certfile: server\.certfile needs server\.keyfile"):
        load(None, {}, [("--certfile", "server.certfile", "x.pem")])


@contextlib.contextmanager
def process(*args: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(
        [*PUSHSVC, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV
    ) as child:
        assert child.stdout is not None
        try:
            url = child.stdout.readline().strip()
            assert url.startswith("https://"), child.communicate()[1]
            yield child, int(url.rsplit(":", 1)[1])
        finally:
            child.terminate()


def test_sighup_reads_the_certificate_again(authority: Authority) -> None:
    files = ("--certfile", str(authority.certfile), "--keyfile", str(authority.keyfile))
    with process("serve", "--port", "0", *files) as (child, port):
        first = authority.serial(port)

        def wait_for(words: str) -> None:
            assert child.stderr is not None
            deadline = time.monotonic() + 30
            while words not in (line := child.stderr.readline()):
                assert line
                assert time.monotonic() < deadline

        authority.issue()
        child.send_signal(signal.SIGHUP)
        wait_for("certificate reloaded")
        second = authority.serial(port)
        assert second != first
        authority.keyfile.write_text("nonsense")
        os.kill(child.pid, signal.SIGHUP)
        wait_for("the former certificate stays")
        assert authority.serial(port) == second


def test_a_certificate_that_is_no_good_ends_the_command(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    done = run("serve", "--port", "0", "--certfile", missing, "--keyfile", missing)
    assert done.returncode == 1
    assert done.stderr == f"pushsvc: {missing}: No such file or directory\n"
    assert done.stdout == ""
