"""The path doctor on real proxies: as the manifests set them, and each broken in some way."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from pushsvc.config import Web
from pushsvc.core.resources.limits import Pacing
from pushsvc.doctor.examine import Unexaminable, examine
from pushsvc.doctor.findings import Report
from pushsvc.doctor.text import as_text
from pushsvc.doctor.way import Way
from tests.proxies import SCALE
from tests.proxies.proxy import PROXIES, Apache, Caddy, Envoy, HAProxy, Nginx, Place, Proxy, Values
from tests.proxies.running import running
from tests.serving import serving

PACING = Pacing(heartbeat=15 / SCALE, poll_wait=25 / SCALE)
IDLE = 60 / SCALE + 0.6
"""A little longer than the defaults that cut."""
RARE = Pacing(heartbeat=60 / SCALE, poll_wait=60 / SCALE)
"""Heartbeats so rare that a path may be slow to cut, and is still too quick for them."""


pytestmark = pytest.mark.long

PATIENCE = 5.0
"""Seconds that a busy machine may take for a handshake."""


async def examined(
    proxy: Proxy, values: Values, folder: Path, *, tls: bool = False, pacing: Pacing = PACING
) -> Report:
    web = Web(trusted_proxies="127.0.0.0/8")
    async with (
        serving(stream=pacing, web=web) as served,
        running(proxy, values, served.port, folder) as front,
    ):
        url = front.tls if tls else front.plain
        return await examine(Way(url, None, lambda: front.ssl, PATIENCE), IDLE)


def problems(report: Report) -> set[str]:
    return {one.code for one in report.findings if one.level == "problem"}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("proxy", PROXIES, ids=lambda each: each.name)
async def test_as_the_manifests_set_it_a_path_is_healthy(
    proxy: Proxy, tls: bool, tmp_path: Path
) -> None:
    report = await examined(proxy, proxy.shipped(), tmp_path, tls=tls)
    assert report.healthy, as_text(report)
    told = {one.code: one for one in report.findings}
    assert told["forwarding"].level == "ok"
    assert ("HTTP/2 at this end" in told["http_version"].text) is tls
    for code in ("unbuffered", "upload", "http_version"):
        assert told[code].level == "ok", as_text(report)
    assert "origin" not in told
    # HAProxy doesn't name itself, and that is said.
    names = {
        "nginx": "nginx",
        "caddy": "Caddy",
        "envoy": "Envoy (Envoy Gateway, Istio, Contour)",
        "apache2": "Apache",
    }
    assert set(report.seen) == ({names[proxy.name]} if proxy.name in names else set())


@pytest.mark.parametrize(
    ("proxy", "values", "found"),
    [
        (
            Nginx(),
            {**Nginx.stock, "proxy_read_timeout": 20},
            {"websocket_idle", "http_stream_idle"},
        ),
        (Nginx(), {**Nginx.stock, "gzip": "on", "heed": "no"}, {"compressed", "buffered"}),
        (Nginx(), {**Nginx.stock, "upgrade": "no"}, {"websocket_through"}),
        (
            HAProxy(),
            {"timeout server": 20, "timeout client": 20},
            {"websocket_idle", "http_stream_idle", "delayed"},
        ),
        (Nginx(), {"bare": "yes"}, {"origin", "upload"}),
        (Apache(), Apache.stock, {"websocket_through"}),
        (Envoy(), Envoy.stock, {"http_stream_busy"}),
        (Envoy(), {**Envoy.stock, "route": 0, "upgrade": "no"}, {"websocket_through"}),
        (Caddy(), {"buffer_responses": "yes"}, {"buffered"}),
    ],
    ids=[
        "nginx that cuts",
        "nginx that compresses",
        "nginx without upgrades",
        "haproxy that cuts and holds back",
        "nginx that says nothing",
        "stock apache",
        "envoy that ends requests",
        "envoy without upgrades",
        "caddy that buffers",
    ],
)
async def test_what_is_wrong_is_found_with_the_setting_for_it(
    proxy: Proxy, values: Values, found: set[str], tmp_path: Path
) -> None:
    report = await examined(proxy, values, tmp_path, pacing=RARE)
    assert found <= problems(report), as_text(report)
    cures = {one.cure for one in report.findings if one.code in found}
    advised = {one.name.lower().split()[0] for one in report.advice}
    name = proxy.name.rstrip("2")
    assert name in advised
    for each in report.advice:
        if each.name.lower().startswith(name):
            assert cures & {setting.cure for setting in each.settings}, as_text(report)


async def test_what_stock_idle_timeouts_leave_is_noted(tmp_path: Path) -> None:
    report = await examined(Nginx(), {**Nginx.stock, "client_max_body_size": "2m"}, tmp_path)
    assert report.healthy, as_text(report)
    told = {one.code: one for one in report.findings}
    for code in ("websocket_idle", "http_stream_idle"):
        assert told[code].level == "note"
        assert "of quiet" in told[code].text
    assert "holds uploads back until they end" in told["upload"].text


@pytest.mark.parametrize("proxy", [Nginx(), HAProxy(), Apache()], ids=lambda each: each.name)
async def test_what_the_doctor_prints_makes_a_path_healthy(proxy: Proxy, tmp_path: Path) -> None:
    """All that it says of a proxy, word for word, and a page's own requests with it."""
    web = Web(trusted_proxies="127.0.0.0/8")
    async with (
        serving(stream=PACING, web=web) as served,
        running(proxy, {"advised": "yes"}, served.port, tmp_path) as front,
    ):
        report = await examine(Way(front.plain, None, lambda: front.ssl, PATIENCE), IDLE)
        assert report.healthy, as_text(report)
        for url in (front.plain, front.tls):
            async with httpx.AsyncClient(verify=front.ssl, trust_env=False) as http:
                answer = await http.post(
                    f"{url}/v1/samples", json={"name": "n", "value": 1}, headers={"Origin": url}
                )
                assert answer.status_code == 200, answer.text
                refused = await http.post(
                    f"{url}/v1/samples", json={}, headers={"Origin": "https://evil.example"}
                )
                assert refused.status_code == 403


async def test_two_services_behind_one_address_are_found(tmp_path: Path) -> None:
    async with (
        serving(stream=PACING) as one,
        serving(stream=PACING) as other,
        running(Several(other.port), HAProxy().shipped(), one.port, tmp_path) as front,
    ):
        report = await examine(Way(front.plain, None, lambda: front.ssl, PATIENCE), 1.0)
    assert "epochs" in problems(report), as_text(report)


class Several(HAProxy):
    """With a second pod, in turns."""

    def __init__(self, port: int) -> None:
        self._port = port

    def configuration(self, values: Values, place: Place) -> str:
        other = f"  server other 127.0.0.1:{self._port}\n"
        return super().configuration(values, place) + other


async def test_the_proxy_protocol_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for version in ("send-proxy", "send-proxy-v2"):
        folder = tmp_path / version
        folder.mkdir()
        async with (
            serving() as served,
            running(HAProxy(), {**HAProxy.stock, "server": version}, served.port, folder) as front,
        ):
            with pytest.raises(Unexaminable, match="PROXY protocol isn't spoken here"):
                await examine(Way(front.plain, None, lambda: front.ssl, PATIENCE), IDLE)


async def test_a_certificate_that_is_not_trusted_is_said_to_be(tmp_path: Path) -> None:
    async with serving() as served, running(Nginx(), Nginx.stock, served.port, tmp_path) as front:
        way = Way(front.tls, None, ssl.create_default_context, 1.0)
        with pytest.raises(Unexaminable, match="its certificate is not trusted: unable to get"):
            await examine(way, IDLE)
