"""A browser's own EventSource is never ended by what may mend itself.

Whatever it is answered but 200 ends it for good (HTML standard, section 9.2.3). The browsers
themselves are asked in `tests/browser/eventsource.test.ts`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest
import trio

from pushsvc.app.dashboards import eventsource
from pushsvc.auth.mode import AccessControl, make_access_control
from pushsvc.auth.principal import Grants, principal_of
from pushsvc.auth.tickets import LIFETIME, Tickets
from pushsvc.config import Auth, Server, Settings, Web
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.errors import Malformed, Overloaded, Problem, TooMany, Unauthorized
from tests.serving import TRUST, Served, detach, next_of, serving
from tests.tokens import AUDIENCE, ISSUER, SECRET, bearer, token

SSE = {"Accept": "text/event-stream"}
TOLD = {"Accept": "text/event-stream, application/problem+json"}
ORIGIN = "https://wall.example"


@pytest.fixture(params=[True, False], ids=["detached", "asgi"], autouse=True)
def carrier(request: pytest.FixtureRequest) -> Iterator[None]:
    token = detach.set(request.param)
    yield
    detach.reset(token)


class Told(msgspec.Struct):
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    documents: list[dict[str, Any]]
    retry: int | None
    """What EventSource was told, in milliseconds."""


def read(answer: httpx.Response) -> Told:
    lines = answer.text.splitlines()
    documents = [msgspec.json.decode(line[6:]) for line in lines if line.startswith("data: ")]
    retries = [int(line[7:]) for line in lines if line.startswith("retry: ")]
    return Told(answer.status_code, answer.headers, documents, retries[-1] if retries else None)


async def told(served: Served, headers: Mapping[str, str], query: str = "") -> Told:
    # A connection of its own: the fast path looks at first requests only.
    async with httpx.AsyncClient(base_url=served.url, timeout=10, verify=TRUST) as http:
        return read(await http.get(f"/v1/stream?{query}", headers=dict(headers)))


def assert_comes_back(answer: Told, code: str | None) -> None:
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    *errors, goaway = answer.documents
    assert [error["code"] for error in errors] == ([] if code is None else [code])
    assert goaway["type"] == "goaway"
    assert goaway["retry"] == answer.retry
    assert answer.retry is not None
    assert answer.retry >= 500


async def epoch_of(served: Served) -> str:
    async with served.documents(SSE["Accept"]) as documents:
        epoch: str = (await next_of(documents, "hello"))["epoch"]
        return epoch


@pytest.mark.parametrize("cursor", ["nonsense", "elsewhere.7", "{epoch}.999", "{epoch}~1-1.999"])
async def test_whatever_cursor_it_comes_back_with_it_is_told_what_can_be(cursor: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        text = cursor.format(epoch=await epoch_of(served))
        async with served.documents(SSE["Accept"], headers={"Last-Event-ID": text}) as documents:
            assert (await next_of(documents, "gap"))["lost"] is None
            while not (points := (await next_of(documents, "points"))["points"]):
                pass
            assert points[0][2] == 1
            await served.publish({"name": "a", "value": 2})
            while not (points := (await next_of(documents, "points"))["points"]):
                pass
            assert points[0][2] == 2


@pytest.mark.parametrize("cursor", ["nonsense", "{epoch}.999"])
async def test_who_can_read_a_status_is_given_one(cursor: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        text = cursor.format(epoch=await epoch_of(served))
        answer = await served.http.get("/v1/stream", headers={**TOLD, "Last-Event-ID": text})
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor")
        answer = await served.http.get(f"/v1/stream?since={text}")
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor")


async def test_a_server_that_is_full_says_so_in_the_stream() -> None:
    async with serving(limits=Limits(subscribers=1)) as served:
        async with served.documents(SSE["Accept"]) as documents:
            await next_of(documents, "hello")
            assert_comes_back(await told(served, SSE), "subscribers")
            refused = await told(served, TOLD)
            assert (refused.status, "retry-after" in refused.headers) == (503, True)
            for accept in ("application/json", "application/x-ndjson", "text/event-stream;q=0"):
                other = {"Accept": accept, "Last-Event-ID": "a.1"}
                assert (await told(served, other)).status == 503
        await served.wait_metric("pushsvc_subscribers", 0)
        async with served.documents(SSE["Accept"]) as documents:
            await next_of(documents, "hello")


@pytest.mark.parametrize(
    "limits",
    [Limits(subscribers_per_address=1), Limits(views=1), Limits(streams_per_second=1.0)],
    ids=["subscribers_per_address", "views", "streams_per_second"],
)
async def test_so_it_does_for_every_limit(limits: Limits, request: pytest.FixtureRequest) -> None:
    async with serving(limits=limits) as served:
        async with served.documents(SSE["Accept"], select="a") as documents:
            await next_of(documents, "hello")
            code = request.node.callspec.id.rpartition("-")[2]
            assert_comes_back(await told(served, SSE, "select=b"), code)


async def test_what_asking_again_will_not_mend_stays_a_status() -> None:
    async with serving() as served:
        for query in ("select={", "max_hz=0", "since=nonsense", "nothing=1"):
            assert (await told(served, SSE, query)).status == 400
        many = "&".join(f"select=a{n}" for n in range(100))
        assert (await told(served, SSE, many)).status == 422


@pytest.mark.parametrize(
    ("problem", "mends"),
    [
        (Overloaded("a", "b", retry_after=1.0), True),
        (TooMany("a", "b"), True),
        (Problem("a", "b"), True),
        (Malformed("a", "b"), False),
        (Unauthorized("a", "b"), False),
    ],
)
def test_what_mends_itself(problem: Problem, mends: bool) -> None:
    assert eventsource.mends(problem) is mends


async def test_pages_of_other_origins_are_let_read_it() -> None:
    web = Web(origins=ORIGIN)
    async with serving(limits=Limits(subscribers=1), web=web) as served:
        async with served.documents(SSE["Accept"]) as documents:
            await next_of(documents, "hello")
            answer = await told(served, {**SSE, "Origin": ORIGIN})
            assert_comes_back(answer, "subscribers")
            assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_a_drain_is_waited_for_until_its_end() -> None:
    server = Server(port=0, drain_delay=0.3, drain_timeout=2.0, shutdown_timeout=1.0)
    pacing = Pacing(reconnects_per_second=1.0)
    async with serving(server=server, stream=pacing) as served:
        async with served.documents(SSE["Accept"]) as one, served.documents(SSE["Accept"]) as two:
            for documents in (one, two):
                await next_of(documents, "hello")
            served.drain.set()
            with trio.fail_after(30):
                while (await served.http.get("/readyz")).status_code == 200:
                    await trio.sleep(0.01)
            # At first it may be that a balancer has yet to notice.
            early = await told(served, SSE)
            assert_comes_back(early, None)
            # Who meets the same server again waits until it is gone.
            late = early
            with trio.fail_after(30):
                while late.retry is None or late.retry < 2000:
                    late = await told(served, SSE)
                    assert_comes_back(late, None)
            assert late.retry <= 6000
            refused = await told(served, TOLD)
            assert (refused.status, "retry-after" in refused.headers) == (503, True)


async def test_a_goaway_is_for_that_once() -> None:
    """After it, an EventSource would keep its wait for good: each stream begins with a new one."""
    retries = set()
    async with serving() as served:
        for _ in range(3):
            async with await served.raw(
                b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
            ) as stream:
                head = b""
                while b"data: " not in head:
                    head += await stream.receive_some()
                (line,) = [line for line in head.splitlines() if line.startswith(b"retry: ")]
                retries.add(int(line[7:]))
    assert all(1500 <= retry < 4500 for retry in retries)
    assert len(retries) > 1


# -- tickets ---------------------------------------------------------------------------------------

JWT = Auth(mode="jwt", secret=SECRET, session_secret=SECRET, issuer=ISSUER, audience=AUDIENCE)


def access_control(auth: Auth = JWT) -> AccessControl:
    return make_access_control(msgspec.structs.replace(Settings(), auth=auth))


READER = principal_of("reader", Grants(read=('{job="a"}',)))


def tickets(auth: Auth = JWT, **more: int) -> Tickets:
    sessions = access_control(auth).access._sessions
    assert sessions is not None
    return Tickets(sessions, **more)


def test_a_ticket_is_good_once() -> None:
    ours = tickets()
    ticket, _ = ours.issue(READER, 1000.0)
    principal = ours.redeem(ticket, 1001.0)
    assert (principal.id, principal.readable, principal.ticket) == ("reader", ('{job="a"}',), None)
    for stream in (None, "select=a"):
        with pytest.raises(Unauthorized):
            ours.redeem(ticket, 1002.0, stream)


def test_or_for_one_stream_which_may_come_back() -> None:
    ours = tickets()
    ticket, ends = ours.issue(READER, 1000.0)
    assert ends == 1000.0 + JWT.session_seconds
    for now in (1001.0, 1002.0, 1000.0 + JWT.session_seconds - 1):
        principal = ours.redeem(ticket, now, "select=a")
        assert principal.ticket is not None
        assert principal.expires == ends
    for now, stream in ((1003.0, "select=b"), (1003.0, None), (ends, "select=a")):
        with pytest.raises(Unauthorized):
            ours.redeem(ticket, now, stream)


def test_it_ends_with_its_token() -> None:
    ours = tickets()
    brief = msgspec.structs.replace(READER, expires=1060.0)
    ticket, ends = ours.issue(brief, 1000.0)
    assert ends == 1060.0
    ours.redeem(ticket, 1001.0, "select=a")
    with pytest.raises(Unauthorized):
        ours.redeem(ticket, 1060.0, "select=a")


def test_one_that_lapsed_unused_is_none() -> None:
    ours = tickets()
    ticket, _ = ours.issue(READER, 1000.0)
    with pytest.raises(Unauthorized):
        ours.redeem(ticket, 1000.0 + LIFETIME, "select=a")


def test_with_a_secret_it_is_good_after_a_restart_and_on_other_pods() -> None:
    ticket, _ = tickets().issue(READER, 1000.0, "select=a&window=5m")
    restarted = tickets()
    query = f"ticket={ticket}&window=5m&select=a"
    assert restarted.redeem(ticket, 5000.0, query).id == "reader"
    assert restarted.redeem(ticket, 5001.0, query).id == "reader"
    for stream in ("select=b", "select=a", "select=a&select=b&window=5m", "", None):
        with pytest.raises(Unauthorized):
            tickets().redeem(ticket, 1001.0, stream)  # nothing but that stream


def test_without_its_query_it_is_good_where_it_was_made_alone() -> None:
    ours = tickets()
    ticket, _ = ours.issue(READER, 1000.0)
    ours.redeem(ticket, 1001.0, "select=a")
    for stream in ("select=a", "select=b", None):
        with pytest.raises(Unauthorized):
            tickets().redeem(ticket, 1002.0, stream)


def test_one_that_is_for_a_stream_opens_that_one_alone() -> None:
    ours = tickets()
    ticket, _ = ours.issue(READER, 1000.0, "select=a")
    for stream in ("select=b", None):
        with pytest.raises(Unauthorized):
            ours.redeem(ticket, 1001.0, stream)
    assert ours.redeem(ticket, 1001.0, "select=a").ticket is not None


async def test_a_ticket_says_which_stream_it_is_for_and_is_exchanged_for_none() -> None:
    async with serving(auth=JWT) as served:
        post = served.http.post
        headers = bearer(token("HS256"))
        wanted = await post("/v1/tickets", json={"query": "select=a"}, headers=headers)
        ticket = wanted.json()["ticket"]
        assert (await served.http.get(f"/v1/series?ticket={ticket}")).status_code == 401
        other = await served.http.get(f"/v1/stream?select=b&ticket={ticket}", headers=SSE)
        assert other.status_code == 401
        async with served.documents(SSE["Accept"], ticket=ticket, select="a") as documents:
            await next_of(documents, "hello")
        plain = (await post("/v1/tickets", headers=headers)).json()["ticket"]
        chained = await post(f"/v1/tickets?ticket={plain}")
        assert (chained.status_code, chained.json()["code"]) == (403, "ticket")
        bad = await post("/v1/tickets", json={"quer": "select=a"}, headers=headers)
        assert (bad.status_code, bad.json()["code"]) == (400, "ticket")
        # A poll isn't an EventSource, whatever it names besides.
        poll = {"Accept": "application/json, text/event-stream;q=0"}
        again = (await post("/v1/tickets", headers=headers)).json()["ticket"]
        query = f"/v1/stream?wait=0&ticket={again}"
        assert (await served.http.get(query, headers=poll)).status_code == 200
        assert (await served.http.get(query, headers=poll)).status_code == 401


def test_without_a_secret_it_ends_with_the_process() -> None:
    made_up = msgspec.structs.replace(JWT, session_secret="")
    ticket, _ = tickets(made_up).issue(READER, 1000.0)
    with pytest.raises(Unauthorized):
        tickets(made_up).redeem(ticket, 1001.0, "select=a")


@pytest.mark.parametrize("ticket", ["", "a", "a.b.c.d.e", "é", "x" * 5000])
def test_what_is_no_ticket(ticket: str) -> None:
    with pytest.raises(Unauthorized):
        tickets().redeem(ticket, 1000.0, "select=a")


def test_no_part_of_a_ticket_may_be_changed() -> None:
    ours = tickets()
    ticket, _ = ours.issue(READER, 1000.0)
    ours.redeem(ticket, 1001.0, "select=a")
    for at in range(len(ticket)):
        changed = ticket[:at] + ("A" if ticket[at] != "A" else "B") + ticket[at + 1 :]
        with pytest.raises(Unauthorized):
            ours.redeem(changed, 1002.0, "select=b")


def test_used_ones_are_remembered_up_to_a_number() -> None:
    ours = tickets(most_used=10)
    other, _ = ours.issue(principal_of("other", Grants(read=("b",))), 1000.0)
    ours.redeem(other, 1001.0, "select=a")
    issued = [ours.issue(READER, 1000.0)[0] for _ in range(9)]
    for ticket in issued:
        ours.redeem(ticket, 1001.0, "select=a")
    assert ours.redeem(issued[-1], 1002.0, "select=a").id == "reader"
    with pytest.raises(Unauthorized):
        ours.redeem(issued[0], 1002.0, "select=a")
    assert ours.redeem(other, 1002.0, "select=a").id == "other"  # nobody else's had to go
    assert len(ours) == 0


@contextlib.asynccontextmanager
async def with_ticket(served: Served, issued: str) -> AsyncIterator[Any]:
    async with served.documents(SSE["Accept"], ticket=issued) as documents:
        await next_of(documents, "hello")
        yield documents


async def test_the_stream_of_a_ticket_comes_back_one_at_a_time() -> None:
    async with serving(auth=JWT) as served:
        answer = await served.http.post("/v1/tickets", headers=bearer(token("HS256")))
        ticket = answer.json()["ticket"]
        assert answer.json()["stream_expires_in"] > 60
        async with with_ticket(served, ticket) as first:
            async with with_ticket(served, ticket):
                # What was there is ended, if only half of it is: its browser comes back or is gone.
                assert (await next_of(first, "error"))["code"] == "ticket"
        async with with_ticket(served, ticket):
            for query in (f"ticket={ticket}&select=a", f"ticket={ticket}&window=1h"):
                assert (await told(served, SSE, query)).status == 401
            series = await served.http.get(f"/v1/series?ticket={ticket}")
            assert series.status_code == 401
