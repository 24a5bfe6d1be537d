"""Expressions on streams of a real service (docs/promql.md)."""

from __future__ import annotations

import time
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
import trio

from pushsvc.client import Failing, Points, connect
from tests.serving import Served, next_of, serving

QUESTION = "sum by (job) (x)"


async def keep_publishing(served: Served, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    """A sample of each of two series, ten times a second."""
    await publish(served)
    task_status.started()
    while True:
        await publish(served)
        await trio.sleep(0.1)


async def publish(served: Served) -> None:
    await served.publish(
        *(
            {"name": "x", "labels": {"job": job}, "value": value}
            for job, value in (("a", 1), ("b", 2))
        )
    )


def check(documents: list[dict[str, Any]]) -> bool:
    """Whether there were three steps; each result is right, and of a whole second."""
    series = {one["ref"]: one for said in documents for one in said.get("series", ())}
    found: dict[str, list[int]] = {}
    for said in documents:
        for ref, at, value in said.get("points", ()):
            assert series[ref]["name"] == QUESTION
            assert series[ref]["expression"] is True
            job = series[ref]["labels"]["job"]
            assert value == {"a": 1.0, "b": 2.0}[job]
            found.setdefault(job, []).append(at)
    for times in found.values():
        assert times == list(range(times[0], times[0] + len(times) * 1000, 1000))
        assert times[0] % 1000 == 0
    return set(found) == {"a", "b"} and min(map(len, found.values())) >= 3


@pytest.mark.parametrize("busy", [True, False])
async def test_over_a_websocket(busy: bool) -> None:
    async with serving() as served, trio.open_nursery() as nursery:
        if busy:
            await nursery.start(keep_publishing, served)
        else:
            await publish(served)
        documents: list[dict[str, Any]] = []
        with trio.fail_after(30):
            async with served.websocket(f"select={quote(QUESTION)}") as socket:
                while not check(documents):
                    documents.append(msgspec.json.decode(await socket.get_message()))
        assert documents[0]["granted"]["select"] == [QUESTION]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_over_http(accept: str) -> None:
    async with serving() as served:
        await publish(served)
        seen: list[dict[str, Any]] = []
        with trio.fail_after(30):
            async with served.documents(accept, select=QUESTION) as documents:
                async for said in documents:
                    seen.append(said)
                    if check(seen):
                        break


async def test_by_polling() -> None:
    async with serving() as served:
        await publish(served)
        documents: list[dict[str, Any]] = []
        since: dict[str, str] = {}
        with trio.fail_after(30):
            while not check(documents):
                answer = await polled(served, select="sum(x) by(job)", **since)
                assert answer["expressions"] == {"sum(x) by(job)": QUESTION}
                documents += answer["documents"]
                since = {"since": answer["id"]}
        assert not any(said["type"] == "gap" for said in documents)


async def polled(served: Served, **more: str) -> dict[str, Any]:
    answer = await served.http.get(
        "/v1/stream",
        params={"select": QUESTION} | more,
        headers={"Accept": "application/json"},
        timeout=httpx.Timeout(60),
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_what_cant_be_read_says_where() -> None:
    async with serving() as served:
        for select, code in (("sum(x", "expression"), ("x{", "selector"), ("x[5m]", "expression")):
            answer = await served.http.get("/v1/stream", params={"select": select})
            assert (answer.status_code, answer.json()["code"]) == (400, code)
        answer = await served.http.get("/v1/stream", params={"select": "sum(x)", "step": "0.1"})
        assert (answer.status_code, answer.json()["code"]) == (400, "step")


async def test_a_window_of_the_past() -> None:
    async with serving() as served:
        now = int(time.time() * 1000)
        for place in range(10):
            await served.publish(
                {"name": "x", "labels": {"job": "a"}, "value": 1, "time": now - 9 - place}
            )
        await trio.sleep(2.1)  # for steps that nobody watches
        answer = await polled(served, window="1m")
        points = [point for said in answer["documents"] for point in said["points"]]
        assert [value for _, _, value in points] == [1.0] * len(points)
        assert len(points) >= 2
        newest = await polled(served)
        assert newest["documents"][0]["points"][-1][1] >= points[-1][1]
        assert len(newest["documents"][0]["points"]) == 1


MANY = "y + on (job) y"


async def publish_many(served: Served, *, ended: bool = False) -> None:
    """Series for which `MANY` has no result, or what has them end."""
    value = None if ended else 1
    await served.publish(
        *({"name": "y", "labels": {"job": "a", "le": le}, "value": value} for le in "ab")
    )


async def test_what_has_no_result_is_refused_where_there_is_no_stream() -> None:
    async with serving() as served:
        await publish_many(served)
        await trio.sleep(1.1)  # a step
        for path in ("series", "history"):
            answer = await served.http.get(f"/v1/{path}", params={"select": MANY})
            assert (answer.status_code, answer.json()["code"]) == (422, "expression")
            assert "many-to-many" in answer.json()["detail"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_what_has_no_result_says_so_in_the_stream(accept: str) -> None:
    async with serving() as served:
        await publish_many(served)
        with trio.fail_after(30):
            async with served.documents(accept, select=MANY) as documents:
                reasons: dict[str, str] = {}
                while not reasons:
                    reasons = (await anext(documents)).get("failing", {})
                assert "many-to-many" in reasons[MANY]
                await publish_many(served, ended=True)
                assert (await next_of(documents, "failing"))["failing"] == {}


async def test_what_has_no_result_says_so_in_each_answer_to_a_poll() -> None:
    async with serving() as served, trio.open_nursery() as nursery:
        await publish_many(served)
        since: dict[str, str] = {}
        with trio.fail_after(30):
            reasons: dict[str, str] = {}
            while not reasons:
                answer = await polled(served, select=MANY, **since)
                since = {"since": answer["id"]}
                reasons = failing_of(answer)
            assert "many-to-many" in reasons[MANY]
            quiet = await polled(served, select=MANY, wait="0.1", **since)
            assert failing_of(quiet) == reasons
            nursery.start_soon(lambda: publish_many(served, ended=True))
            while failing_of(answer):  # one that waits is answered when it is over
                answer = await polled(served, select=MANY, since=answer["id"])


def failing_of(answer: dict[str, Any]) -> dict[str, str]:
    told = [said["failing"] for said in answer["documents"] if said["type"] == "failing"]
    assert len(told) <= 1
    return told[0] if told else {}


async def test_clients_are_told_what_has_no_result() -> None:
    async with serving() as served, connect(served.url, MANY) as stream:
        await publish_many(served)
        with trio.fail_after(30):
            async for event in stream:
                if isinstance(event, Failing):
                    break
            assert "many-to-many" in stream.statistics.failing[MANY]
            await publish_many(served, ended=True)
            async for event in stream:
                if isinstance(event, Failing):
                    break
            assert (event, stream.statistics.failing) == (Failing({}), {})


async def test_a_watch_may_add_expressions_with_their_past() -> None:
    async with serving() as served:
        await publish(served)
        await trio.sleep(2.1)
        await publish(served)  # the steps before it are over by the clock of the log
        with trio.fail_after(30):
            async with served.websocket("select=x") as socket:

                async def next_points(count: int) -> list[dict[str, Any]]:
                    documents: list[dict[str, Any]] = []
                    while sum(len(said.get("points", ())) for said in documents) < count:
                        documents.append(msgspec.json.decode(await socket.get_message()))
                    return documents

                await next_points(2)
                watch = {"type": "watch", "select": ["x", QUESTION, "sum(x)"], "window": "1m"}
                await socket.send_message(msgspec.json.encode(watch).decode())
                documents = await next_points(6)
                first = next(said for said in documents if said.get("points"))
                names = {one["ref"]: one["name"] for one in first["series"]}
                times = [at for ref, at, _ in first["points"] if names[ref] == "sum(x)"]
                assert len(times) >= 2
                watch = {"type": "watch", "select": ["count(x)"]}
                await socket.send_message(msgspec.json.encode(watch).decode())
                documents = await next_points(2)
                assert {point[2] for said in documents for point in said.get("points", ())} >= {2.0}
                watch = {"type": "watch", "select": ["sum("]}
                await socket.send_message(msgspec.json.encode(watch).decode())
                while documents[-1]["type"] != "error":
                    documents.append(msgspec.json.decode(await socket.get_message()))
                assert documents[-1]["code"] == "expression"


async def test_a_companion_request_may_add_expressions_with_their_past() -> None:
    async with serving() as served:
        await publish(served)
        await trio.sleep(2.1)
        await publish(served)  # the steps before it are over by the clock of the log
        with trio.fail_after(30):
            async with served.documents("application/x-ndjson", select="x") as documents:
                hello = await next_of(documents, "hello")
                watch = {"type": "watch", "select": ["sum(x)"], "window": "1m"}
                path = f"/v1/stream/{hello['session']}"
                answer = await served.http.post(path, json=watch)
                assert answer.json()["granted"]["select"] == ["sum(x)"]
                await next_of(documents, "hello")
                points = await next_of(documents, "points")
                assert len(points["points"]) >= 2


async def test_results_are_listed_and_have_a_history() -> None:
    async with serving() as served:
        await publish(served)
        await trio.sleep(2.1)
        await publish(served)  # the steps before it are over by the clock of the log
        answer = await served.http.get("/v1/history", params={"select": ["x", "sum(x)"]})
        assert answer.status_code == 200, answer.text
        past = {one["name"]: one for one in answer.json()["series"]}
        assert past["sum(x)"]["expression"] is True
        assert "expression" not in past["x"]
        times = [at for at, _ in past["sum(x)"]["points"]]
        assert len(times) >= 2
        assert times == list(range(times[0], times[-1] + 1, 1000))
        assert {value for _, value in past["sum(x)"]["points"]} == {3.0}
        begun = time.time() * 1000
        answer = await served.http.get("/v1/history", params={"select": "sum(x)", "window": "1s"})
        assert all(at >= begun - 1000 for at, _ in answer.json()["series"][0]["points"])
        answer = await served.http.get(
            "/v1/history", params={"select": "sum(x)", "window": "1h", "step": "2s"}
        )
        assert all(at % 2000 == 0 for at, _ in answer.json()["series"][0]["points"])

        answer = await served.http.get("/v1/series", params={"select": ["x", QUESTION]})
        listed = answer.json()["series"]
        assert [(one["name"], one["labels"]["job"], one["value"]) for one in listed] == [
            ("x", "a", 1.0),
            ("x", "b", 2.0),
            (QUESTION, "a", 1.0),
            (QUESTION, "b", 2.0),
        ]
        for path in ("series", "history"):
            answer = await served.http.get(f"/v1/{path}", params={"select": "sum(x"})
            assert (answer.status_code, answer.json()["code"]) == (400, "expression")


async def test_results_say_what_they_are() -> None:
    """The unit of what they are of goes through the arithmetic, and what becomes known later is
    told to who watches."""
    rate = "sum(rate(net_total[10s]))"
    said: dict[str, str] = {}
    units: list[str] = []

    async def count_up() -> None:
        for value in count():
            sample = {"name": "net_total", "value": value, "kind": "counter"} | said
            await served.publish(sample)
            await trio.sleep(0.2)

    async with serving() as served, trio.open_nursery() as nursery:
        nursery.start_soon(count_up)
        with trio.fail_after(30):
            async with connect(served.url, rate) as stream:
                async for event in stream:
                    if isinstance(event, Points):
                        units += [sample.series.unit for sample in event.samples]
                        said["unit"] = "bytes"
                    if units[-1:] == ["bytes_per_second"]:
                        break
            assert units[0] == "per_second"
            for path in ("series", "history"):
                answer = await served.http.get(f"/v1/{path}", params={"select": rate})
                (one,) = answer.json()["series"]
                assert (one["kind"], one["unit"]) == ("gauge", "bytes_per_second")
            poll = await polled(served, select=rate, window="1m")
            told = [one for document in poll["documents"] for one in document.get("series", ())]
            assert [one["unit"] for one in told] == ["bytes_per_second"]
            nursery.cancel_scope.cancel()
