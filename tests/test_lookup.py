"""Looking around: the catalog and the past."""

from __future__ import annotations

import time
from typing import Any

import trio

from pushsvc.core.resources.limits import Retention
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


async def test_a_list_without_values_is_answered_anew_only_when_it_is_another() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        url = "/v1/series?values=false"
        first = await served.http.get(url)
        assert first.json() == {
            "series": [
                {"ref": 1, "name": "a", "labels": {}, "kind": "gauge", "unit": "", "help": ""}
            ]
        }
        tag = first.headers["etag"]

        async def again() -> bool:
            """Whether there is another answer by now."""
            nonlocal tag
            answer = await served.http.get(url, headers={"If-None-Match": tag})
            assert answer.status_code in (200, 304)
            assert (answer.status_code == 304) is (answer.headers["etag"] == tag)
            tag = answer.headers["etag"]
            return answer.status_code == 200

        await served.publish({"name": "a", "value": 2})
        await served.publish({"name": "a", "value": 3, "unit": "", "help": "", "kind": "gauge"})
        assert not await again()
        await served.publish({"name": "b", "value": 1})
        assert await again()
        for change in ({"unit": "s"}, {"help": "How long."}, {"kind": "counter"}):
            await served.publish({"name": "b", "value": 2, **change})
            assert await again(), change
            assert not await again()
        # With values it changes all the time, and is not told to be the same.
        whole = await served.http.get("/v1/series", headers={"If-None-Match": tag})
        assert whole.status_code == 200
        assert "etag" not in whole.headers
        packed = await served.http.get(url, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["etag"] == tag


async def test_series_that_go_change_the_list() -> None:
    async with serving(history=Retention(seconds=0.5, series_ttl=1.0)) as served:
        await served.publish({"name": "a", "value": 1})
        first = await served.http.get("/v1/series?values=false")
        headers = {"If-None-Match": first.headers["etag"]}
        with trio.fail_after(30):
            while True:
                answer = await served.http.get("/v1/series?values=false", headers=headers)
                if answer.status_code == 200:
                    break
                await trio.sleep(0.05)
        assert answer.json() == {"series": []}


async def test_no_more_series_than_are_wanted() -> None:
    async with serving() as served:
        await served.publish(*({"name": f"a{number}", "value": 1} for number in range(5)))
        some = (await served.http.get("/v1/series?limit=2&values=false")).json()
        assert [one["name"] for one in some["series"]] == ["a0", "a1"]
        assert some["total"] == 5
        for query in ("limit=0", "limit=1.5", "limit=all", "values=no", "search=a"):
            assert (await served.http.get(f"/v1/series?{query}")).status_code == 400, query


async def test_labels_and_their_values_are_found_by_what_they_have_in_them() -> None:
    async with serving() as served:
        await served.publish(
            *(
                {"name": "up", "labels": {"host": host, "a.b/c": "x"}, "value": 1}
                for host in ("web10", "web2", "Web1", "db1", "my-web")
            ),
            {"name": "down", "labels": {"rack": "7"}, "value": 1},
        )

        async def get(path: str, **params: Any) -> Any:
            answer = await served.http.get(f"/v1/{path}", params=params)
            return answer.json() if answer.status_code == 200 else answer.status_code

        names = await get("label_names")
        assert names == {"labels": ["__name__", "a.b/c", "host", "rack"], "total": 4}
        assert await get("label_names", select="down") == {
            "labels": ["__name__", "rack"],
            "total": 2,
        }
        assert await get("label_names", select="nothing") == {"labels": [], "total": 0}
        assert (await get("label_names", search="RA"))["labels"] == ["rack"]
        assert await get("label_values", label="host", search="web") == {
            "values": ["Web1", "web2", "web10", "my-web"],
            "total": 4,
        }
        assert await get("label_values", label="host", search="web", limit=2) == {
            "values": ["Web1", "web2"],
            "total": 4,
        }
        assert (await get("label_values", label="__name__"))["values"] == ["down", "up"]
        assert (await get("label_values", label="__name__", select='{rack="7"}'))["values"] == [
            "down"
        ]
        assert (await get("label_values", label="a.b/c", select='up{host="db1"}'))["values"] == [
            "x"
        ]
        assert await get("label_values", label="nothing") == {"values": [], "total": 0}
        assert await get("label_values") == 400
        assert await get("label_values", label="host", select="{") == 400
        assert await get("label_names", prefix="h") == 400
