"""InfluxDB's own client, and requests as its other clients make them."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import trio
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from pushsvc.core.resources.limits import Limits
from tests.serving import Served, next_of, serving


async def values(served: Served) -> dict[str, Any]:
    listed = (await served.http.get("/v1/series")).json()["series"]
    return {
        series["name"] + "".join(f"|{k}={v}" for k, v in series["labels"].items()): series["value"]
        for series in listed
    }


@pytest.mark.parametrize("compressed", [False, True])
async def test_the_official_client(compressed: bool) -> None:
    def write(url: str) -> None:
        with InfluxDBClient(url=url, token="any", org="any", enable_gzip=compressed) as client:
            assert client.ping()
            with client.write_api(write_options=SYNCHRONOUS) as writer:
                point = Point("room").tag("place", "the lab").field("celsius", 21.5)  # type: ignore[no-untyped-call]
                writer.write("any", record=point.field("open", True).field("note", "a, b"))
                record = {"measurement": "hits", "tags": {"code": "200"}, "fields": {"value": 7}}
                writer.write("any", record=[record], write_precision=WritePrecision.S)
                with pytest.raises(ApiException) as caught:
                    writer.write("any", record="room celsius=warm")
                assert caught.value.status == 400
                assert "line 1" in caught.value.body

    async with serving() as served:
        async with served.documents("text/event-stream", select="room_celsius") as documents:
            await next_of(documents, "points")
            await trio.to_thread.run_sync(write, served.url)
            points = await next_of(documents, "points")
            assert points["points"][0][2] == 21.5
        assert await values(served) == {
            "room_celsius|place=the lab": 21.5,
            "room_open|place=the lab": 1.0,
            "hits|code=200": 7.0,
        }
        assert await served.metric("pushsvc_influx_strings_total") == 1


async def test_partial_writes_in_both_apis_words() -> None:
    async with serving() as served:
        body = "good a=1\nbad\ngood a=2"
        second = await served.http.post("/api/v2/write?bucket=b&org=o", content=body)
        assert second.status_code == 400
        told = second.json()
        assert told["code"] == "invalid"
        assert told["message"].startswith("partial write: 1 refused: line 2: ")
        first = await served.http.post("/write?db=d&precision=ms", content=body)
        assert first.status_code == 400
        assert first.json()["error"].startswith("partial write: ")
        assert await values(served) == {"good_a": 2.0}
        assert await served.metric("pushsvc_influx_lines_refused_total") == 2


async def test_gzip_and_precision() -> None:
    async with serving(limits=Limits(past_seconds=1e11)) as served:
        body = gzip.compress(b"m value=5 1732320000")
        answer = await served.http.post(
            "/write?db=d&precision=s", content=body, headers={"Content-Encoding": "gzip"}
        )
        assert (answer.status_code, answer.content) == (204, b"")
        listed = (await served.http.get("/v1/series")).json()["series"]
        assert (listed[0]["name"], listed[0]["time"]) == ("m", 1732320000000)
        wrong = await served.http.post("/write?precision=years", content=b"m value=5")
        assert (wrong.status_code, "precision must be" in wrong.json()["error"]) == (400, True)


async def test_a_bomb_is_bounded() -> None:
    async with serving(limits=Limits(body_bytes=10_000)) as served:
        answer = await served.http.post(
            "/api/v2/write",
            content=gzip.compress(b"m value=5\n" * 100_000),
            headers={"Content-Encoding": "gzip"},
        )
        assert answer.status_code == 413
        assert answer.json()["code"] == "request too large"


async def test_beyond_the_limit_of_series_new_ones_are_named_and_known_ones_flow() -> None:
    async with serving(limits=Limits(series=1)) as served:
        assert (await served.http.post("/write", content="a value=1")).status_code == 204
        answer = await served.http.post("/write", content="a value=2\nb value=1")
        assert answer.status_code == 400
        assert "b would be a new series" in answer.json()["error"]
        assert await values(served) == {"a": 2.0}


async def test_who_sends_too_much_is_made_to_wait() -> None:
    async with serving(limits=Limits(samples_per_second=1.0)) as served:
        flood = "\n".join(f"m value={n}" for n in range(50))
        assert (await served.http.post("/write", content=flood)).status_code == 204
        answer = await served.http.post("/write", content=flood)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 1


async def test_clients_that_ask_whether_someone_is_there() -> None:
    async with serving() as served:
        ping = await served.http.get("/ping")
        assert (ping.status_code, ping.headers["X-Influxdb-Build"]) == (204, "pushsvc")
        assert (await served.http.get("/health")).json()["status"] == "pass"


async def test_the_official_client_waits_when_it_is_told_to_and_loses_nothing() -> None:
    def write(url: str) -> None:
        options = WriteOptions(batch_size=1, flush_interval=50, retry_interval=100)
        with InfluxDBClient(url=url, token="any", org="any") as client:
            with client.write_api(write_options=options) as writer:
                writer.write("any", record="room celsius=21.5")

    async with serving(limits=Limits(samples_per_second=20.0)) as served:
        flood = "\n".join(f"m value={n}" for n in range(230))
        assert (await served.http.post("/write", content=flood)).status_code == 204
        began = trio.current_time()
        await trio.to_thread.run_sync(write, served.url)
        assert trio.current_time() - began > 1.0
        assert (await values(served))["room_celsius"] == 21.5
