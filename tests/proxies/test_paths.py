"""Streams through real proxies, over each transport and front, as the manifests set them."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from _pytest.mark import ParameterSet

from pushsvc.core.resources.limits import Pacing
from tests.proxies import SCALE
from tests.proxies.follower import Follower
from tests.proxies.proxy import PROXIES, Envoy, HAProxy, Nginx, Proxy, Values
from tests.proxies.running import Running, running
from tests.serving import Served, serving

PACING = Pacing(heartbeat=15 / SCALE, poll_wait=25 / SCALE)
"""What the service has by default, to scale."""
MUTE = Pacing(heartbeat=3600 / SCALE, max_heartbeat=3600 / SCALE, poll_wait=3600 / SCALE)
"""A service that never sends anything unasked."""
PROMPT = 5.0
"""Seconds, not to scale, in which a document has to be through. Of a mute service nothing comes
that would push on what is held back, so that a busy machine may take its time."""


def tried(*every_day: str) -> list[Proxy | ParameterSet]:
    """All proxies, of which those that aren't named are left to the tests that take long."""
    return [
        each if each.name in every_day else pytest.param(each, marks=pytest.mark.long)
        for each in PROXIES
    ]


every_proxy = pytest.mark.parametrize("proxy", PROXIES, ids=lambda each: each.name)
some_proxies = pytest.mark.parametrize(
    "proxy", tried("nginx", "haproxy"), ids=lambda each: each.name
)


@contextlib.asynccontextmanager
async def path(
    proxy: Proxy, values: Values, folder: Path, pacing: Pacing = PACING
) -> AsyncIterator[tuple[Served, Running]]:
    """The service with a proxy in front; one value of `n` is there."""
    async with serving(stream=pacing) as served:
        await publish(served, 0)
        async with running(proxy, values, served.port, folder) as front:
            yield served, front


async def publish(served: Served, value: float) -> None:
    await served.publish({"name": "n", "value": value})


def followers(front: Running) -> list[Follower]:
    """Every transport over HTTP/1.1, in the clear and with TLS, and over HTTP/2. Of these proxies
    none carries a WebSocket over HTTP/2 (RFC 8441) as it is configured here: browsers then open
    a connection of HTTP/1.1 for it."""
    transports = ("websocket", "sse", "ndjson", "longpoll")
    return [
        *(Follower(front.plain, transport, front.ssl) for transport in transports),
        *(Follower(front.tls, transport, front.ssl) for transport in transports),
        *(Follower(front.tls, transport, front.ssl, http2=True) for transport in transports[1:]),
    ]


def of(kind: str, all_of_them: list[Follower]) -> list[Follower]:
    return [each for each in all_of_them if each.name.startswith(kind)]


@some_proxies
async def test_each_document_passes_at_once(proxy: Proxy, tmp_path: Path) -> None:
    async with path(proxy, proxy.shipped(), tmp_path, MUTE) as (served, front):
        async with trio.open_nursery() as nursery:
            everyone = followers(front)
            for each in everyone:
                await nursery.start(each.run)
            for value in range(1, 6):
                await trio.sleep(0.15)
                await publish(served, value)
                for each in everyone:
                    await each.wait_value(value, PROMPT)
            nursery.cancel_scope.cancel()
    for each in everyone:
        assert each.values == [0, 1, 2, 3, 4, 5], each.name
        assert each.first_byte is not None
        assert each.first_byte < PROMPT, each.name
        assert each.cuts == [], each.name


@pytest.mark.parametrize("proxy", tried("nginx"), ids=lambda each: each.name)
async def test_quiet_streams_live_on_by_their_heartbeats(proxy: Proxy, tmp_path: Path) -> None:
    # Longer than each idle timeout that is left: nginx's 60 s, HAProxy's client's 50 s, and the
    # 120 s that the manifests give Envoy.
    quiet = 130 / SCALE
    async with path(proxy, proxy.shipped(), tmp_path) as (served, front):
        async with trio.open_nursery() as nursery:
            everyone = followers(front)
            for each in everyone:
                await nursery.start(each.run)
            await trio.sleep(quiet)
            assert {each.name: each.cuts for each in everyone if each.cuts} == {}
            await publish(served, 1)
            for each in everyone:
                await each.wait_value(1, PROMPT)
                assert each.beats >= 0.6 * quiet / PACING.poll_wait, each.name
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("proxy", "how"),
    [
        (Nginx(), "restart"),
        (HAProxy(), "reload"),
        *(
            pytest.param(each, how, marks=pytest.mark.long)
            for each in PROXIES
            for how in ("restart", "reload")
            if (each.name, how)
            not in (
                *(("nginx", "restart"), ("haproxy", "reload")),
                # It takes its configuration from a control plane, without a reload.
                ("envoy", "reload"),
            )
        ),
    ],
    ids=lambda each: getattr(each, "name", each),
)
async def test_clients_resume_without_loss(proxy: Proxy, how: str, tmp_path: Path) -> None:
    async with path(proxy, proxy.shipped(), tmp_path) as (served, front):
        everyone = followers(front)
        async with trio.open_nursery() as nursery:
            for each in everyone:
                await nursery.start(each.run)

            async def produce() -> None:
                for value in range(1, 61):
                    await publish(served, value)
                    await trio.sleep(0.05)

            nursery.start_soon(produce)
            await trio.sleep(0.5)
            if how == "reload":
                await front.reload()
            else:
                await front.stop()
                await trio.sleep(0.3)
                await front.start()
            for each in everyone:
                await each.wait_value(60, 15)
            nursery.cancel_scope.cancel()
    for each in everyone:
        assert each.values == list(range(61)), each.name
        assert each.gaps == 0, each.name
        if how == "restart":
            assert each.cuts, each.name


@every_proxy
async def test_the_clients_address_arrives(proxy: Proxy, tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = await stream.receive_some()
            if not chunk:
                return
            head += chunk
        heads.append(head)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        async with running(proxy, proxy.shipped(), port, tmp_path) as front:
            async with httpx.AsyncClient(verify=front.ssl, trust_env=False) as http:
                for url in (front.plain, front.tls):
                    assert (await http.get(f"{url}/v1/stream")).status_code == 200
        nursery.cancel_scope.cancel()
    schemes = set()
    for head in heads:
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode().split("\r\n")[1:])
        }
        address = headers["x-forwarded-for"].split(",")[-1].strip()
        # Envoy names an address of this machine for clients that come by loopback.
        assert address == "127.0.0.1" or proxy.name == "envoy"
        ipaddress.ip_address(address)
        schemes.add(headers["x-forwarded-proto"])
    assert schemes == {"http", "https"}


@pytest.mark.long
class TestControl:
    """With what the vendor ships the same streams are cut or held back: the settings are needed."""

    @pytest.mark.parametrize(
        ("proxy", "after"), [(Nginx(), 60), (HAProxy(), 50)], ids=["nginx", "haproxy"]
    )
    async def test_quiet_streams_are_cut(self, proxy: Proxy, after: float, tmp_path: Path) -> None:
        async with path(proxy, proxy.stock, tmp_path, MUTE) as (_, front):
            async with trio.open_nursery() as nursery:
                streams = [
                    Follower(front.plain, transport, front.ssl)
                    for transport in ("websocket", "sse", "ndjson")
                ]
                begin = trio.current_time()
                for each in streams:
                    await nursery.start(each.run)
                with trio.fail_after(30):
                    while not all(each.cuts for each in streams):
                        await trio.sleep(0.1)
                for each in streams:
                    assert each.cuts[0][0] - begin > after / SCALE - 0.7, each.name
                nursery.cancel_scope.cancel()

    @pytest.mark.parametrize("proxy", [Nginx(), HAProxy()], ids=["nginx", "haproxy"])
    async def test_with_the_settings_they_are_not(self, proxy: Proxy, tmp_path: Path) -> None:
        async with path(proxy, proxy.shipped(), tmp_path, MUTE) as (served, front):
            async with trio.open_nursery() as nursery:
                streams = [
                    Follower(front.plain, transport, front.ssl)
                    for transport in ("websocket", "sse", "ndjson")
                ]
                for each in streams:
                    await nursery.start(each.run)
                await trio.sleep(1.5 * 60 / SCALE)
                await publish(served, 1)
                for each in streams:
                    await each.wait_value(1, PROMPT)
                    assert each.cuts == [], each.name
                nursery.cancel_scope.cancel()

    async def test_envoy_ends_streams_that_are_busy_and_polls_that_wait(
        self, tmp_path: Path
    ) -> None:
        async with path(Envoy(), Envoy().stock, tmp_path) as (served, front):
            async with trio.open_nursery() as nursery:
                everyone = followers(front)
                for each in everyone:
                    await nursery.start(each.run)

                async def produce() -> None:
                    for value in range(1, 45):
                        await publish(served, value)
                        await trio.sleep(0.1)

                busy = of("sse", everyone) + of("ndjson", everyone)
                await produce()
                for each in busy:
                    await each.wait_value(44, 3)
                    # The connection lasts 15 s to scale, whatever passes; clients resume.
                    assert len(each.cuts) >= 2, each.name
                    assert each.values == list(range(45)), each.name
                for each in of("websocket", everyone):
                    assert each.cuts == [], each.name
                await trio.sleep(1.5)
                for each in of("longpoll", everyone):
                    assert any("504" in reason for _, reason in each.cuts), each.name
                nursery.cancel_scope.cancel()

    async def test_nginx_holds_back_what_it_compresses(self, tmp_path: Path) -> None:
        # With buffering, nothing tells its compressor that an event is over. The service's
        # X-Accel-Buffering: no is enough for nginx; here it is not listened to. What the service
        # has compressed already it leaves alone.
        for folder, values, passes in (
            ("stock", {**Nginx().stock, "gzip": "on", "heed": "no"}, False),
            ("heeded", {**Nginx().stock, "gzip": "on"}, True),
            ("shipped", {**Nginx().shipped(), "gzip": "on", "heed": "no"}, True),
        ):
            place = tmp_path / folder
            place.mkdir()
            pacing = msgspec.structs.replace(PACING, compress_http=False)
            async with path(Nginx(), values, place, pacing) as (_, front):
                for transport in ("sse", "ndjson"):
                    one = Follower(front.plain, transport, front.ssl)
                    async with trio.open_nursery() as nursery:
                        with trio.move_on_after(PROMPT if passes else 1):
                            await nursery.start(one.run)
                        nursery.cancel_scope.cancel()
                    assert (one.first_byte is not None) is passes, (transport, values)

    async def test_haproxy_keeps_each_event_for_a_moment(self, tmp_path: Path) -> None:
        # In the clear, over HTTP/1.1: with TLS or HTTP/2 nothing of it is seen.
        for folder, values, late in (
            ("stock", HAProxy().stock, True),
            ("shipped", HAProxy().shipped(), False),
        ):
            place = tmp_path / folder
            place.mkdir()
            async with path(HAProxy(), values, place) as (served, front):
                for transport in ("sse", "ndjson"):
                    one = Follower(front.plain, transport, front.ssl)
                    waited = []
                    async with trio.open_nursery() as nursery:
                        await nursery.start(one.run)
                        await publish(served, -1)
                        await one.wait_value(-1, 2)
                        for value in range(1, 6):
                            await trio.sleep(0.25)
                            began = trio.current_time()
                            await publish(served, value)
                            await one.wait_value(value, 2)
                            waited.append(trio.current_time() - began)
                        nursery.cancel_scope.cancel()
                    # It keeps each; a busy machine keeps some.
                    assert (sorted(waited)[1] > 0.15) is late, (transport, waited)
