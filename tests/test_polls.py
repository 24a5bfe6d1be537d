"""What long polls are told, each answer by itself: what its refs are, and of departures once."""

from __future__ import annotations

from typing import Any

import trio

from pushsvc.core.limits import Retention
from tests.chaos.links import open_link
from tests.serving import Served, serving


async def poll(served: Served, query: str) -> dict[str, Any]:
    with trio.fail_after(20):
        answer = await served.http.get(
            f"/v1/stream?{query}", headers={"Accept": "application/json"}
        )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def assert_described(answer: dict[str, Any], *values: float) -> None:
    """These came, and before each it was said of what it is."""
    described: set[int] = set()
    came = []
    for document in answer["documents"]:
        described |= {series["ref"] for series in document.get("series", ())}
        for ref, _, value in document["points"]:
            assert ref in described, answer
            came.append(value)
    assert came == list(values)


async def test_the_first_one_describes_what_others_have_been_told_of() -> None:
    async with serving() as served:
        query = "select=a&max_hz=0.5"
        other = await open_link(served, "ndjson", query)
        await served.publish({"name": "a", "value": 1.0})
        while (await other.next(5.0) or {"type": None})["type"] != "points":
            pass
        await served.publish({"name": "a", "value": 2.0})  # the view's next tick is 2 s away
        assert_described(await poll(served, query), 1.0)
        await other.close()


async def test_one_that_waited_describes_what_it_tells_of() -> None:
    async with serving() as served:
        first = await served.publish({"name": "a", "value": 1.0})
        answers = []

        async def ask() -> None:
            answers.append(await poll(served, f"select=a&since={first['id']}&wait=10"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await served.wait_metric("pushsvc_subscribers", 1)
            await served.publish({"name": "a", "value": 2.0})
        assert_described(answers[0], 2.0)


async def test_a_departure_is_told_once_and_then_they_wait() -> None:
    async with serving(history=Retention(series_ttl=0.5)) as served:
        told = await served.publish({"name": "a", "value": 1.0})
        documents: list[dict[str, Any]] = []
        with trio.fail_after(20):
            while not documents:
                told = await poll(served, f"since={told['id']}&wait=5")
                documents += told["documents"]
        assert [document["type"] for document in documents] == ["gone"]
        began = trio.current_time()
        again = await poll(served, f"since={told['id']}&wait=0.5")
        assert again == {"id": told["id"], "documents": []}
        assert trio.current_time() - began >= 0.5


async def test_what_was_lost_is_told_once_and_with_what_comes_after_it() -> None:
    """Also before the view's next tick, when there is nothing yet to give with it."""
    async with serving(history=Retention(samples=20)) as served:
        query = "select=a&max_hz=0.5"
        await served.publish({"name": "a", "value": -1.0})
        told = await poll(served, query)
        for value in range(200):
            await served.publish({"name": "a", "value": value})
        answers: list[dict[str, Any]] = []
        came: list[float] = []
        while not came:
            told = await poll(served, f"{query}&since={told['id']}&wait=5")
            answers += told["documents"]
            came = [value for one in answers for _, _, value in one.get("points", ())]
        assert came == list(range(180, 200))
        # At the most one of what came up to the last tick, and one of the rest.
        assert len(answers) <= 3, answers
        assert all(one["type"] == "gap" for one in answers[:-1])
        assert (await poll(served, f"{query}&since={told['id']}&wait=0.1"))["documents"] == []
