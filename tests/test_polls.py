"""What long polls are told, each answer by itself: what its refs are, and of departures once."""

from __future__ import annotations

import json
from typing import Any

import trio

from pushsvc.core.delivery.carrier import Ending
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import ViewSpec
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from pushsvc.transport import longpoll
from pushsvc.transport.asgi import AsgiCarrier
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
        await served.publish({"name": "a", "value": 0})
        # At once, so that no tick comes in between however busy the machine is.
        await served.publish(*({"name": "a", "value": value} for value in range(1, 200)))
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


async def test_who_does_not_wait_is_given_what_is_there() -> None:
    async with serving() as served:
        first = await served.publish({"name": "a", "value": 1.0})
        assert_described(await poll(served, "select=a&wait=0"), 1.0)
        await served.publish({"name": "a", "value": 2.0})
        told = first
        with trio.fail_after(20):  # until its view has ticked
            while not told.get("documents"):
                told = await poll(served, f"select=a&wait=0&since={told['id']}")
        assert_described(told, 2.0)
        assert await poll(served, f"select=a&wait=0&since={told['id']}") == {
            "id": told["id"],
            "documents": [],
        }


async def test_who_does_not_wait_is_told_of_the_gap_before_it_has_an_id_of_this_epoch() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1.0})
        told = await poll(served, "wait=0&since=former.7")
        assert [one["type"] for one in told["documents"]] == ["gap", "points"]
        assert told["documents"][0]["lost"] is None


SPEC = ViewSpec((parse("a"),), 1.0, "all", 15.0)


async def ended(ending: Ending, since: str | None) -> dict[str, Any]:
    """The answer to a poll that the server ends as soon as it has begun."""
    hub = Hub(
        "here",
        limits=Limits(),
        retention=Retention(),
        pacing=Pacing(),
        make_session=lambda: "session",
    )

    def end(subscriber: Subscriber) -> None:
        subscriber.carrier.end(ending)

    body = await longpoll.poll(
        hub,
        SPEC,
        Start(None if since is None else parse_cursor(since)),
        AsgiCarrier(),
        wait=25,
        wake_ticker=lambda: None,
        attached=end,
        switches=2,
    )
    assert not hub.subscribers
    answer: dict[str, Any] = json.loads(body)
    return answer


async def test_one_that_is_ended_says_why_and_keeps_its_cursor() -> None:
    """Of whatever reason: a token that has expired, a key that was revoked, a ticket come back."""
    expired = Ending("token_expired", 4001, message="the token has expired")
    for since in ("there!1.7", "here.0"):
        answer = await ended(expired, since)
        assert answer["id"] == since
        (said,) = answer["documents"]
        assert (said["type"], said["code"]) == ("error", "token_expired")


async def test_one_that_is_drained_is_given_the_rest() -> None:
    answer = await ended(Ending("drain", 1012, retry_ms=500, flush=True), "there!1.7")
    assert [one["type"] for one in answer["documents"]] == ["gap", "goaway"]
    assert answer["id"] == "here!2.0"
