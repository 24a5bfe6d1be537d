"""`/v1/producers`: who sends in which format, and what of it was refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from pushsvc.auth.keys import make_key, table_of
from pushsvc.config import Auth
from tests.ingest.test_otlp import gauge, request
from tests.serving import TRUST, Served, next_of, serving
from tests.test_otlp import JSON, encoded, now

REMOTE_WRITE = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


async def listed(served: Served, **headers: str) -> list[dict[str, Any]]:
    answer = await served.http.get("/v1/producers", headers=headers)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["count"] == len(document["producers"])
    producers: list[dict[str, Any]] = document["producers"]
    return producers


async def test_each_format_and_client_is_listed_the_last_one_first() -> None:
    async with serving() as served:
        assert await listed(served) == []
        async with httpx.AsyncClient(
            base_url=served.url, verify=TRUST, headers={"User-Agent": "mine/1"}
        ) as mine:
            await mine.post("/v1/samples", json={"name": "a", "value": 1})
            await mine.post("/v1/samples", json={"name": "a", "value": 2})
        await served.http.post("/api/v2/write", content=b"cpu,host=a load=1\nnonsense\n")
        await served.http.post("/v1/metrics", content=b"{", headers=JSON)
        await served.http.post(
            "/v1/metrics",
            content=encoded(request(gauge("g", now(asDouble=1.0))), JSON),
            headers=JSON,
        )
        async with served.websocket(path="/v1/publish") as socket:
            await socket.send_message(json.dumps({"name": "b", "value": 1}))
            await socket.get_message()
            await socket.send_message("{")
            await socket.get_message()
        lines = b'{"name":"up","value":2}\n{"name":"","value":3}\n{"name":"up","value":4}'
        ndjson = {"Content-Type": "application/x-ndjson"}
        await served.http.post("/v1/samples", content=lines, headers=ndjson)
        await served.http.post("/api/v1/write", content=b"nonsense", headers=REMOTE_WRITE)
        producers = await listed(served)
    told = [
        (one["format"], one["requests"], one["samples"], one["refused"], one["refused_requests"])
        for one in producers
    ]
    assert told == [
        ("remote_write", 1, 0, 0, 1),
        ("samples", 1, 2, 1, 0),
        ("publish", 2, 1, 0, 1),
        ("otlp", 2, 1, 0, 1),
        ("influx", 1, 1, 1, 0),
        ("samples", 2, 2, 0, 0),
    ]
    assert {one["producer"] for one in producers} == {"127.0.0.1"}
    assert producers[5]["agent"] == "mine/1"
    assert producers[5]["error"] is None
    assert producers[4]["error"]["message"].startswith("line 2")
    assert all(one["first_ms"] <= one["last_ms"] for one in producers)


async def test_those_with_a_key_go_by_its_name_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    key, id_, hash_ = make_key()
    everything = ['{__name__=~".+"}']
    file = tmp_path / "keys.toml"
    file.write_text(
        table_of(id_, hash_, name="plant", read=everything, write=everything, operator=True)
    )
    auth = Auth(mode="keys", keys_file=str(file))
    good = {"Authorization": f"Bearer {key}"}
    async with serving(auth=auth) as served:
        sample = {"name": "a", "value": 1}
        assert (await served.http.post("/v1/samples", json=sample)).status_code == 401
        wrong = {"Authorization": f"Bearer {key[:-1]}"}
        refused = await served.http.post("/v1/samples", json=sample, headers=wrong)
        assert refused.status_code == 401
        await served.http.post("/v1/samples", json=sample, headers=good)
        assert (await served.http.get("/v1/producers")).status_code == 401
        known, stranger = await listed(served, **good)
    assert (known["producer"], known["kind"], known["key"]) == (f"key:{id_}", "identity", "plant")
    assert (known["samples"], known["error"]) == (1, None)
    assert (stranger["kind"], stranger["refused_requests"]) == ("address", 2)
    assert stranger["error"]["code"] in {"token", "key"}


async def test_who_watches_has_a_name_too(tmp_path: Path) -> None:
    key, id_, hash_ = make_key()
    everything = ['{__name__=~".+"}']
    file = tmp_path / "keys.toml"
    file.write_text(table_of(id_, hash_, name="wall", read=everything, write=[], operator=True))
    good = {"Authorization": f"Bearer {key}"}
    async with (
        serving(auth=Auth(mode="keys", keys_file=str(file))) as served,
        served.documents("text/event-stream", headers={**good, "User-Agent": "Kiosk/2"}) as stream,
        served.websocket(headers={**good, "User-Agent": "x" * 900}) as socket,
    ):
        await next_of(stream, "hello")
        await socket.get_message()
        listed = (await served.http.get("/v1/subscribers", headers=good)).json()["subscribers"]
    told = {(one["transport"], one["subject"], one["key"], one["agent"]) for one in listed}
    assert told == {
        ("sse", f"key:{id_}", "wall", "Kiosk/2"),
        ("websocket", f"key:{id_}", "wall", "x" * 240),
    }


async def test_only_so_many_are_listed_and_nonsense_is_refused() -> None:
    async with serving() as served:
        for agent in "abc":
            await served.http.post(
                "/v1/samples", json={"name": "a", "value": 1}, headers={"User-Agent": agent}
            )
        answer = (await served.http.get("/v1/producers?limit=2")).json()
        assert (answer["count"], [one["agent"] for one in answer["producers"]]) == (3, ["c", "b"])
        for query in ("limit=0", "limit=1001", "limit=x", "limit=1.5", "format=otlp"):
            assert (await served.http.get(f"/v1/producers?{query}")).status_code == 400
