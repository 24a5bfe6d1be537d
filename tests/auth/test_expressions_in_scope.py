"""A tenant's `sum` is of its own series, by each way to ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec
import pytest
import trio

from pushsvc.auth.keys import make_key, table_of
from pushsvc.config import Auth
from tests.serving import Served, serving

SUM = "sum(x)"
VALUES = {"acme": 1.0, "globex": 20.0, "other": 300.0}
Headers: TypeAlias = dict[str, str]
Way: TypeAlias = Callable[[Served, Headers], Awaitable[list[float]]]


async def first_values(documents: AsyncIterator[dict[str, Any]]) -> list[float]:
    async for said in documents:
        if said.get("points"):
            return [point[2] for point in said["points"]]
    raise AssertionError("the stream ended")


async def by_websocket(served: Served, headers: Headers) -> list[float]:
    async with served.websocket(f"select={quote(SUM)}", headers=headers) as socket:
        while True:
            said = msgspec.json.decode(await socket.get_message())
            if said.get("points"):
                return [point[2] for point in said["points"]]


async def by_watch(served: Served, headers: Headers) -> list[float]:
    async with served.websocket("select=nothing", headers=headers) as socket:
        await socket.get_message()
        await socket.send_message(msgspec.json.encode({"type": "watch", "select": [SUM]}).decode())
        while True:
            said = msgspec.json.decode(await socket.get_message())
            if said.get("points"):
                return [point[2] for point in said["points"]]


async def by_events(served: Served, headers: Headers) -> list[float]:
    async with served.documents("text/event-stream", headers=headers, select=SUM) as documents:
        return await first_values(documents)


async def by_lines(served: Served, headers: Headers) -> list[float]:
    async with served.documents("application/x-ndjson", headers=headers, select=SUM) as documents:
        return await first_values(documents)


async def by_companion(served: Served, headers: Headers) -> list[float]:
    accept = "application/x-ndjson"
    async with served.documents(accept, headers=headers, select="nothing") as documents:
        session = (await anext(documents))["session"]
        watch = {"type": "watch", "select": [SUM]}
        answer = await served.http.post(f"/v1/stream/{session}", json=watch, headers=headers)
        assert answer.status_code == 200, answer.text
        return await first_values(documents)


async def asked(served: Served, headers: Headers, path: str, **query: str) -> Any:
    answer = await served.http.get(path, params=query, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def by_poll(served: Served, headers: Headers) -> list[float]:
    accept = headers | {"Accept": "application/json"}
    since: dict[str, str] = {}
    while True:
        answer = await asked(served, accept, "/v1/stream", select=SUM, **since)
        since = {"since": answer["id"]}
        for said in answer["documents"]:
            if said.get("points"):
                return [point[2] for point in said["points"]]


async def by_series(served: Served, headers: Headers) -> list[float]:
    while not (listed := (await asked(served, headers, "/v1/series", select=SUM))["series"]):
        await trio.sleep(0.1)
    return [one["value"] for one in listed]


async def by_history(served: Served, headers: Headers) -> list[float]:
    while True:
        answer = await asked(served, headers, "/v1/history", select=SUM, window="1m")
        if values := [value for one in answer["series"] for _, value in one["points"]]:
            return values


async def by_query(served: Served, headers: Headers) -> list[float]:
    answer = await asked(served, headers, "/api/v1/query", query=SUM)
    return [float(one["value"][1]) for one in answer["data"]["result"]]


async def by_query_range(served: Served, headers: Headers) -> list[float]:
    now = (await asked(served, headers, "/api/v1/query", query="time()"))["data"]["result"][0]
    range_ = {"start": str(now - 10), "end": str(now), "step": "1"}
    answer = await asked(served, headers, "/api/v1/query_range", query=SUM, **range_)
    return [float(value) for one in answer["data"]["result"] for _, value in one["values"]]


WAYS: list[Way] = [
    *(by_websocket, by_watch, by_events, by_lines, by_companion, by_poll),
    *(by_series, by_history, by_query, by_query_range),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_sum_is_of_what_may_be_read(way: Way, tmp_path: Path) -> None:
    tenants = ("acme", "globex")
    grants: dict[str, tuple[list[str], list[str]]] = {
        tenant: ([f'x{{tenant="{tenant}"}}'], []) for tenant in tenants
    }
    grants["all"] = (['{__name__=~".+"}'], ['{__name__=~".+"}'])
    keys, tables = {}, []
    for name, (read, write) in grants.items():
        keys[name], id_, hash_ = make_key()
        tables.append(table_of(id_, hash_, name=name, read=read, write=write, operator=False))
    file = tmp_path / "keys.toml"
    file.write_text("\n".join(tables))
    async with serving(auth=Auth(mode="keys", keys_file=str(file))) as served:
        headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
        samples = [
            {"name": "x", "labels": {"tenant": tenant}, "value": value}
            for tenant, value in VALUES.items()
        ]
        answer = await served.http.post(
            "/v1/samples", json={"samples": samples}, headers=headers["all"]
        )
        assert answer.status_code == 200, answer.text
        expected = {tenant: {VALUES[tenant]} for tenant in tenants} | {"all": {321.0}}
        found: dict[str, set[float]] = {}

        async def ask(name: str) -> None:
            found[name] = set(await way(served, headers[name]))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:  # at once, as they share what they can
                for name in expected:
                    nursery.start_soon(ask, name)
        assert found == expected
