"""Looking around: the catalog and the past."""

from __future__ import annotations

import time

from tests.serving import serving


async def test_series_are_selected_by_labels() -> None:
    async with serving() as served:
        for host in ("web1", "web2", "db1"):
            await served.publish({"name": "up", "labels": {"host": host}, "value": 1})
        await served.publish({"name": "down", "labels": {"host": "web1"}, "value": 0})
        for selector, count in (
            ("up", 3),
            ('up{host=~"web.*"}', 2),
            ('{host="web1"}', 2),
            ('up{host!~"web.*"}', 1),
            ('up{rack!="x"}', 3),
            ("nothing", 0),
        ):
            answer = await served.http.get("/v1/series", params={"select": selector})
            assert len(answer.json()["series"]) == count, selector
        both = await served.http.get("/v1/series?select=up&select=down")
        assert len(both.json()["series"]) == 4


async def test_history_is_thinned_with_its_spikes() -> None:
    async with serving() as served:
        start = time.time_ns() // 1_000_000 - 100_000
        samples = [
            {"name": "a", "value": 1000 if i == 777 else i % 10, "time": start + i * 100}
            for i in range(1000)
        ]
        applied = await served.publish(*samples)
        whole = (await served.http.get("/v1/history?select=a")).json()
        assert whole["id"] == applied["id"]
        assert len(whole["series"][0]["points"]) == 1000
        thinned = (await served.http.get("/v1/history?select=a&points=50")).json()
        points = thinned["series"][0]["points"]
        assert 20 < len(points) <= 50
        assert [start + 77_700, 1000.0] in points
        assert points == sorted(points)
        assert points[0] == [start, 0.0]
        assert points[-1] == [start + 99_900, 9.0]
        window = (await served.http.get("/v1/history?select=a&window=10s")).json()
        assert 50 <= len(window["series"][0]["points"]) <= 100
        until = whole["series"][0]["points"][20][0]
        upto = (await served.http.get(f"/v1/history?select=a&until={until}")).json()
        assert upto["series"][0]["points"] == whole["series"][0]["points"][:21]
        for query in ("points=3", "points=4.5", "points=many", "window=-1", "pts=4", "until=x"):
            assert (await served.http.get(f"/v1/history?{query}")).status_code == 400


async def test_a_stream_goes_on_where_history_ends() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        history = (await served.http.get("/v1/history?select=a")).json()
        await served.publish({"name": "a", "value": 2})
        poll = await served.http.get(
            f"/v1/stream?since={history['id']}", headers={"Accept": "application/json"}
        )
        assert [point[2] for d in poll.json()["documents"] for point in d["points"]] == [2.0]


async def test_metrics_are_prometheus_exposition() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        answer = await served.http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "pushsvc_samples_total 1.0\n" in answer.text
        assert "process_resident_memory_bytes" in answer.text


async def test_a_window_of_a_state_begins_with_what_held() -> None:
    async with serving() as served:
        now = time.time_ns() // 1_000_000
        await served.publish(
            {"name": "mode", "value": "old", "kind": "state", "time": now - 90_000},
            {"name": "mode", "value": "on", "time": now - 60_000},
            {"name": "mode", "value": "off", "time": now - 10_000},
        )
        history = (await served.http.get("/v1/history?select=mode&window=30s")).json()
        assert [value for _, value in history["series"][0]["points"]] == ["on", "off"]
        poll = await served.http.get(
            "/v1/stream?select=mode&window=30s", headers={"Accept": "application/json"}
        )
        assert [point[2] for d in poll.json()["documents"] for point in d["points"]] == [
            "on",
            "off",
        ]
