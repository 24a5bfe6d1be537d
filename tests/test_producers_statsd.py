"""Clients of StatsD and DogStatsD from PyPI publish; a stream shows it live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import trio
from datadog.dogstatsd.base import DogStatsd
from statsd import StatsClient

from pushsvc.config import Ingest
from tests.ports import free_port
from tests.serving import next_of, serving


class Live:
    """Kind and newest value of each series of a stream."""

    def __init__(self, documents: AsyncIterator[dict[str, Any]]) -> None:
        self._documents = documents
        self._series: dict[int, dict[str, Any]] = {}
        self._values: dict[str, tuple[str, float]] = {}

    async def wait(self, *names: str) -> dict[str, tuple[str, float]]:
        """All that came, once these were there."""
        with trio.fail_after(30):
            while not self._values.keys() >= set(names):
                points = await next_of(self._documents, "points")
                self._series.update({one["ref"]: one for one in points.get("series", ())})
                for ref, _, value, *_ in points["points"]:
                    one = self._series[ref]
                    inside = ",".join(f'{k}="{v}"' for k, v in sorted(one["labels"].items()))
                    name = f"{one['name']}{{{inside}}}" if inside else one["name"]
                    self._values[name] = (one["kind"], value)
        return self._values


async def test_the_statsd_client_is_read_live() -> None:
    port = free_port()
    ingest = Ingest(statsd=f"127.0.0.1:{port}", statsd_interval=0.2)
    async with (
        serving(ingest=ingest) as served,
        served.documents("text/event-stream") as documents,
    ):
        client = StatsClient("127.0.0.1", port, prefix="shop")
        with client.pipeline() as pipe:  # one datagram of several lines
            pipe.incr("visits", 3)
            pipe.incr("visits")
            pipe.gauge("queue", 7)
            pipe.gauge("queue", -2, delta=True)
            pipe.timing("checkout", 320)
            pipe.set("users", "ann")
            pipe.set("users", "bob")
        stream = Live(documents)
        live = await stream.wait("shop_visits", "shop_queue", "shop_checkout_count")
        assert live["shop_visits"] == ("counter", 4)
        assert live["shop_queue"] == ("gauge", 5)
        assert live["shop_users"] == ("gauge", 2)
        assert live["shop_checkout_count"] == ("counter", 1)
        assert live['shop_checkout{quantile="0.99"}'] == ("gauge", 320)
        await served.wait_metric("pushsvc_statsd_lines_total", 7)
        assert await served.metric("pushsvc_statsd_lines_bad_total") == 0
        for _ in range(200):
            client.incr("sampled", rate=0.5)
        client.incr("done")
        live = await stream.wait("shop_done", "shop_sampled")
        assert 100 < live["shop_sampled"][1] < 300
        client.close()


async def test_the_dogstatsd_client_is_read_live() -> None:
    port = free_port()
    ingest = Ingest(statsd=f"127.0.0.1:{port}", statsd_interval=0.2)
    async with (
        serving(ingest=ingest) as served,
        served.documents("text/event-stream") as documents,
    ):
        client = DogStatsd(
            "127.0.0.1", port, constant_tags=["env:prod"], disable_telemetry=True,
            disable_buffering=True,
        )  # fmt: skip
        client.increment("page.views", tags=["route:/buy", "canary"])
        client.gauge("temp", 21.5)
        client.histogram("size", 10)
        client.distribution("took", 0.25, tags=["route:/buy"])
        client.set("users", "ann")
        client.event("Deployed", "v2")
        client.service_check("db", DogStatsd.OK)
        views = 'page_views{canary="true",env="prod",route="/buy"}'
        took = 'took{env="prod",quantile="0.5",route="/buy"}'
        live = await Live(documents).wait(views, took, 'users{env="prod"}')
        assert live[views] == ("counter", 1)
        assert live['temp{env="prod"}'] == ("gauge", 21.5)
        assert live['size_sum{env="prod"}'] == ("gauge", 10)
        assert live[took] == ("gauge", 0.25)
        await served.wait_metric("pushsvc_statsd_lines_other_total", 2)
        assert await served.metric("pushsvc_statsd_lines_bad_total") == 0
        client.close_socket()
