"""The service's own metrics as series, and the dashboard that shows them."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from pushsvc.app.operators.own_metrics import rows_of
from pushsvc.config import Ingest
from pushsvc.core.resources.limits import Limits
from pushsvc.dashboards.library import SHIPPED
from pushsvc.dashboards.model import read
from pushsvc.demo.host import HostMetrics
from pushsvc.durations import BOUNDS, Buckets
from tests.serving import Served, serving


def test_counters_and_gauges_become_rows() -> None:
    refused = CounterMetricFamily("refused", "By reason.", labels=["code"])
    refused.add_metric(["rate"], 3)
    refused.add_metric(["never"], 0)
    metrics = [
        refused,
        GaugeMetricFamily("memory_bytes", "In use.", value=0),
        InfoMetricFamily("build", "This.", value={"version": "1"}),
    ]
    rows = list(rows_of(metrics, 1000, Limits()))
    assert [
        (row.identity.text, row.times, row.values, row.kind, row.unit, row.help) for row in rows
    ] == [
        ('refused_total{code="rate"}', [1000], [3.0], "counter", "", "By reason."),
        ("memory_bytes", [1000], [0.0], "gauge", "bytes", "In use."),
    ]


async def catalog(served: Served, wanted: str) -> dict[str, dict[str, Any]]:
    answer = await served.http.get("/v1/series", params={"select": wanted})
    return {one["name"]: one for one in answer.json()["series"]}


async def test_they_are_published_if_that_is_wanted() -> None:
    async with serving(ingest=Ingest(own_interval=0.1)) as served:
        with trio.fail_after(30):
            while True:
                found = await catalog(served, '{__name__=~"pushsvc_.*"}')
                if "pushsvc_samples_total" in found:
                    break
                await trio.sleep(0.05)
    assert found["pushsvc_samples_total"]["kind"] == "counter"
    assert found["pushsvc_process_resident_memory_bytes"]["unit"] == "bytes"
    async with serving() as served:
        await trio.sleep(0.3)
        assert await catalog(served, '{__name__=~"pushsvc_.*"}') == {}


async def test_a_limit_of_series_stops_nothing() -> None:
    limits = Limits(series=5)
    async with serving(ingest=Ingest(own_interval=0.1), limits=limits) as served:
        with trio.fail_after(30):
            while await served.metric("pushsvc_own_samples_refused_total") < 20:
                await trio.sleep(0.05)
        assert (await served.http.get("/readyz")).status_code == 200


def names_of(dashboard: str) -> set[str]:
    """The metrics that its panels name."""
    panels = read((SHIPPED / f"{dashboard}.json").read_bytes()).panels
    return {
        name
        for panel in panels
        for name in re.findall(r"\b(?:pushsvc|node|process)_[a-z0-9_]+\b", panel.select or "")
    }


async def test_the_dashboard_of_the_service_names_what_there_is() -> None:
    async with serving() as served:
        text = (await served.http.get("/metrics")).text
    exposed = set(re.findall(r"^([a-z_]+)(?:\{.*\})? ", text, re.MULTILINE))
    exposed |= {name.replace("process_", "pushsvc_process_", 1) for name in exposed}
    assert len(names_of("service")) > 15
    assert names_of("service") <= exposed


def test_the_dashboard_of_the_host_names_what_the_demo_publishes() -> None:
    host = HostMetrics()
    # Rates are known from the second reading on, and what hardly changes is read in the first.
    published = {sample["name"] for reading in (host.read(), host.read()) for sample in reading}
    # Not every machine has a sensor, and nothing may be busy just now.
    maybe = {"node_hwmon_temp_celsius", "process_cpu_utilization"}
    assert names_of("host") - maybe <= published


def test_all_that_come_with_the_program_can_be_read() -> None:
    files = sorted(SHIPPED.glob("*.json"))
    assert [file.stem for file in files] == ["host", "kubernetes", "service"]
    for file in files:
        dashboard = read(file.read_bytes())
        for panel in dashboard.panels:
            assert panel.grid is not msgspec.UNSET


def buckets(text: str, name: str) -> dict[str, list[float]]:
    """The buckets of a histogram, by the labels that it has besides `le`."""
    found: dict[str, list[float]] = {}
    for labels, value in re.findall(rf"^{name}_bucket\{{(.*?)\}} (\S+)$", text, re.MULTILINE):
        found.setdefault(re.sub(r',?le="[^"]*",?', "", labels), []).append(float(value))
    return found


async def test_how_long_things_take_is_told_by_transport_and_format() -> None:
    sample = {"samples": [{"name": "m", "value": 1.5}]}
    async with serving() as served:
        await served.http.post("/v1/samples", json=sample)
        await served.http.post("/write", content=b"m v=1")
        async with (
            served.documents("text/event-stream", select="m") as events,
            served.documents("application/x-ndjson", select="m") as lines,
        ):
            await anext(events)
            await anext(lines)
            await served.http.post("/v1/samples", json=sample)
            with trio.fail_after(30):
                for documents in (events, lines):
                    async for document in documents:
                        if document["type"] == "points" and document.get("time"):
                            break
                while True:
                    text = (await served.http.get("/metrics")).text
                    delivered = buckets(text, "pushsvc_delivery_seconds")
                    if len(delivered) == 2 and buckets(text, "pushsvc_tick_seconds"):
                        break
                    await trio.sleep(0.02)
    assert {label: counts[-1] for label, counts in delivered.items()} == {
        'transport="sse"': 1.0,
        'transport="ndjson"': 1.0,
    }
    assert {
        label: counts[-1] for label, counts in buckets(text, "pushsvc_handshake_seconds").items()
    } == {'transport="sse"': 1.0, 'transport="ndjson"': 1.0}
    assert {
        label: counts[-1] for label, counts in buckets(text, "pushsvc_ingest_seconds").items()
    } == {'format="samples"': 2.0, 'format="influx"': 1.0}
    assert 'pushsvc_transport_subscribers{transport="sse"} 1.0' in text
    for name in ("delivery", "handshake", "ingest", "tick"):
        for counts in buckets(text, f"pushsvc_{name}_seconds").values():
            assert counts == sorted(counts)
        sums = re.findall(rf"^pushsvc_{name}_seconds_sum\S* (\S+)$", text, re.MULTILINE)
        assert all(0 < float(one) < 60 for one in sums)


def test_durations_are_counted_in_the_bucket_that_they_fit_into() -> None:
    one = Buckets()
    one.add(0.0)
    one.add(BOUNDS[0])
    one.add(BOUNDS[0] * 1.01, 3)
    one.add(1e9)
    found = dict(one.cumulative())
    assert found["0.0001"] == 2.0
    assert found["0.00025"] == 5.0
    assert found["10.0"] == 5.0
    assert found["+Inf"] == 6.0
