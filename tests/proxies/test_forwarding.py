"""What real proxies do to `Host`, `Origin` and forwarding headers, and what comes of it here."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from pushsvc.config import Web
from tests.proxies.proxy import PROXIES, Apache, HAProxy, Nginx, Proxy, Values
from tests.proxies.running import running
from tests.serving import serving

TRUSTED = Web(trusted_proxies="127.0.0.1")
CLIENT = "127.0.0.2"
"""Of this machine as well, and no proxy."""


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda each: each.name)
async def test_what_a_client_writes_itself_neither_refuses_nor_hides_it(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with (
        serving(web=TRUSTED) as served,
        running(proxy, proxy.shipped(), served.port, tmp_path) as front,
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=front.ssl, local_address=CLIENT)
        ) as http,
    ):
        addresses = set()
        for mine in (
            {},
            {"Forwarded": "for=198.51.100.1;proto=https;host=evil.example"},
            {"Forwarded": "nonsense, more of it"},
            {"X-Forwarded-For": "unknown"},
            {"X-Forwarded-For": "198.51.100.1"},
            {"X-Forwarded-For": "198.51.100.1, _hidden", "Forwarded": "for=unknown"},
        ):
            for url in (front.plain, front.tls):
                answer = await http.get(f"{url}/v1/doctor/echo", headers=mine)
                assert answer.status_code == 200, (mine, answer.text)
                told = answer.json()
                addresses.add(told["address"])
                assert told["scheme"] == url.partition(":")[0], mine
        # Envoy names another address of this machine for clients that come by loopback.
        [address] = addresses
        assert address == CLIENT or proxy.name == "envoy"
        assert address != "198.51.100.1"


@pytest.mark.parametrize(
    ("proxy", "values", "web", "told"),
    [
        (Nginx(), {"bare": "yes"}, Web(), "nginx: proxy_set_header Host $http_host"),
        (
            Apache(),
            Apache.stock,
            Web(),
            "(X-Forwarded-Host), name the proxy in web.trusted_proxies",
        ),
        (HAProxy(), HAProxy.stock, Web(), "X-Forwarded-Proto, and name the proxy in web.trusted"),
    ],
    ids=["nginx that says nothing", "stock apache", "haproxy that ends TLS"],
)
async def test_a_page_behind_a_proxy_that_is_not_set_up_is_told_what_is_missing(
    proxy: Proxy, values: Values, web: Web, told: str, tmp_path: Path
) -> None:
    async with (
        serving(web=web) as served,
        running(proxy, values, served.port, tmp_path) as front,
        httpx.AsyncClient(verify=front.ssl, trust_env=False) as http,
    ):
        answer = await http.post(
            f"{front.tls}/v1/samples",
            json={"name": "n", "value": 1},
            headers={"Origin": front.tls},
        )
        assert answer.status_code == 403
        assert told in answer.json()["detail"]
        assert (await http.get(f"{front.tls}/livez")).status_code == 200
