"""The path doctor on real proxies: as the manifests set them, and each broken in some way."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushsvc.config import Web
from pushsvc.core.limits import Pacing
from pushsvc.doctor.examine import examine
from pushsvc.doctor.findings import Report
from pushsvc.doctor.text import as_text
from pushsvc.doctor.way import Way
from tests.proxies import SCALE
from tests.proxies.proxy import PROXIES, Caddy, Envoy, HAProxy, Nginx, Proxy, Values
from tests.proxies.running import running
from tests.serving import serving

PACING = Pacing(heartbeat=15 / SCALE)
IDLE = 60 / SCALE + 0.6
"""A little longer than the defaults that cut."""


async def examined(proxy: Proxy, values: Values, folder: Path, *, tls: bool = False) -> Report:
    web = Web(trusted_proxies="127.0.0.0/8")
    async with (
        serving(stream=PACING, web=web) as served,
        running(proxy, values, served.port, folder) as front,
    ):
        url = front.tls if tls else front.plain
        return await examine(Way(url, None, lambda: front.ssl, 1.0), IDLE)


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
    # HAProxy doesn't name itself, and that is said.
    names = {"nginx": "nginx", "caddy": "Caddy", "envoy": "Envoy (Envoy Gateway, Istio, Contour)"}
    assert set(report.seen) == ({names[proxy.name]} if proxy.name in names else set())


@pytest.mark.parametrize(
    ("proxy", "values", "found"),
    [
        (
            Nginx(),
            {**Nginx.stock, "proxy_read_timeout": 10},
            {"websocket_idle", "http_stream_idle"},
        ),
        (Nginx(), {**Nginx.stock, "gzip": "on", "heed": "no"}, {"compressed", "buffered"}),
        (Nginx(), {**Nginx.stock, "upgrade": "no"}, {"websocket_through"}),
        (
            HAProxy(),
            {"timeout server": 10, "timeout client": 10},
            {"websocket_idle", "http_stream_idle"},
        ),
        (Envoy(), Envoy.stock, {"http_stream_busy"}),
        (Envoy(), {**Envoy.stock, "route": 0, "upgrade": "no"}, {"websocket_through"}),
        (Caddy(), {"buffer_responses": "yes"}, {"buffered"}),
    ],
    ids=[
        "nginx that cuts",
        "nginx that compresses",
        "nginx without upgrades",
        "haproxy that cuts",
        "envoy that ends requests",
        "envoy without upgrades",
        "caddy that buffers",
    ],
)
async def test_what_is_wrong_is_found_with_the_setting_for_it(
    proxy: Proxy, values: Values, found: set[str], tmp_path: Path
) -> None:
    report = await examined(proxy, values, tmp_path)
    assert found <= problems(report), as_text(report)
    cures = {one.cure for one in report.findings if one.code in found}
    advised = {one.name.lower().split()[0] for one in report.advice}
    assert proxy.name in advised
    for each in report.advice:
        if each.name.lower().startswith(proxy.name):
            assert cures & {setting.cure for setting in each.settings}, as_text(report)


async def test_what_stock_idle_timeouts_leave_is_noted(tmp_path: Path) -> None:
    report = await examined(Nginx(), Nginx.stock, tmp_path)
    assert report.healthy, as_text(report)
    told = {one.code: one for one in report.findings}
    for code in ("websocket_idle", "http_stream_idle"):
        assert told[code].level == "note"
        assert "of quiet" in told[code].text
