"""Compressed streams through real proxies: none holds them back for it.

Measured event by event (SSE, 8 events a quarter of a second apart, over HTTP/1.1 in the clear, with
TLS, and HTTP/2): each comes 2 to 5 ms after it was published, in gzip, in zstd and in plain text,
through nginx, HAProxy, Caddy, Envoy and Apache as this project has them set, and also where they
compress what comes plain. What holds streams back without the settings holds all back alike:
nginx' buffers where `X-Accel-Buffering` isn't heeded, HAProxy's 208 ms without `http-no-delay`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.proxies.follower import Follower
from tests.proxies.proxy import Proxy, Values
from tests.proxies.running import Running
from tests.proxies.test_paths import MUTE, PROMPT, path, publish, tried


def everyone(front: Running) -> list[Follower]:
    """Both sorts of streams, in each coding and without, in the clear, with TLS and over HTTP/2."""
    return [
        Follower(url, transport, front.ssl, http2=http2, coding=coding)
        for transport in ("sse", "ndjson")
        for coding in ("gzip", "zstd", "identity")
        for url, http2 in ((front.plain, False), (front.tls, False), (front.tls, True))
    ]


@pytest.mark.parametrize("compresses", [False, True], ids=["passes on", "compresses itself"])
@pytest.mark.parametrize("proxy", tried("nginx"), ids=lambda each: each.name)
async def test_no_proxy_holds_a_compressed_stream_back(
    proxy: Proxy, compresses: bool, tmp_path: Path
) -> None:
    switch = "gzip" if proxy.name == "nginx" else "compress"
    values: Values = {**proxy.shipped(), **({switch: "on"} if compresses else {})}
    async with path(proxy, values, tmp_path, MUTE) as (served, front):
        async with trio.open_nursery() as nursery:
            all_of_them = everyone(front)
            for each in all_of_them:
                await nursery.start(each.run)
            for value in range(1, 6):
                await trio.sleep(0.15)
                await publish(served, value)
                for each in all_of_them:
                    await each.wait_value(value, PROMPT)
            nursery.cancel_scope.cancel()
    for each in all_of_them:
        assert each.encoding == each.coding, each.name  # as it was sent: in none of them twice
        assert each.values == [0, 1, 2, 3, 4, 5], each.name
        assert each.cuts == [], each.name
