"""Two servers that know nothing of each other behind one address: nobody storms them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import trio
from structlog.testing import capture_logs

from pushsvc.app.dashboards.switching import Switching
from pushsvc.client import Points, connect
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.resources.limits import Limits, Pacing, Retention
from tests.serving import TRUST, Served, serving


class RoundRobin:
    """A balancer that leads each connection to the next server, and cuts it after a while."""

    def __init__(self, ports: list[int], lasts: float) -> None:
        self.connections = 0
        self.url = ""
        self._ports = ports
        self._lasts = lasts

    async def pass_on(self, client: trio.SocketStream) -> None:
        port = self._ports[self.connections % len(self._ports)]
        self.connections += 1
        async with client, await trio.open_tcp_stream("127.0.0.1", port) as server:
            with trio.move_on_after(self._lasts):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_copy, client, server)
                    nursery.start_soon(_copy, server, client)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()


async def publish(served: Served) -> None:
    """News all the time, so that no answer waits for some."""
    count = 0
    while True:
        # Cut in the middle of a request, httpx leaves its body to the garbage collector.
        with trio.CancelScope(shield=True):
            await served.publish({"name": "a", "value": count})
        count += 1
        await trio.sleep(0.05)


@contextlib.asynccontextmanager
async def two(lasts: float = 60.0) -> AsyncIterator[RoundRobin]:
    async with serving() as one, serving() as other, trio.open_nursery() as nursery:
        for served in (one, other):
            nursery.start_soon(publish, served)
        balancer = RoundRobin([one.port, other.port], lasts)
        listeners = await nursery.start(trio.serve_tcp, balancer.pass_on, 0)
        balancer.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield balancer
        nursery.cancel_scope.cancel()


async def poll(url: str, since: str | None) -> str:
    """One poll, on a connection of its own; the next cursor."""
    headers = {"Accept": "application/json"}
    async with httpx.AsyncClient(timeout=30, verify=TRUST) as http:
        answer = await http.get(
            f"{url}/v1/stream", params={"since": since} if since else {}, headers=headers
        )
    assert answer.status_code == 200
    said: dict[str, Any] = answer.json()
    # Whichever of them a client keeps, it is the same.
    assert {one["id"] for one in said["documents"][-1:]} <= {said["id"]}
    return str(said["id"])


async def test_who_polls_in_turns_comes_ever_more_rarely() -> None:
    async with two() as balancer:
        since, began = None, trio.current_time()
        for _ in range(5):
            since = await poll(balancer.url, since)
        # At once, at once, and then after 1, 2 and 4 seconds, or three quarters of that.
        assert balancer.connections == 5
        assert trio.current_time() - began > 0.75 * (1 + 2 + 4) - 0.1
        assert since is not None
        assert parse_cursor(since).switches >= 3


async def test_who_polls_one_server_is_never_held() -> None:
    async with serving() as served, trio.open_nursery() as nursery:
        nursery.start_soon(publish, served)
        since, polls = None, 0
        with trio.move_on_after(2):
            while True:
                since = await poll(served.url, since)
                polls += 1
        assert polls > 5
        assert await served.metric("pushsvc_polls_held_total") == 0
        nursery.cancel_scope.cancel()


async def test_after_a_restart_the_first_poll_is_answered_at_once() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        assert parse_cursor(await poll(served.url, "former.7")).switches == 1
        assert await served.metric("pushsvc_polls_held_total") == 0


async def test_the_python_client_backs_off_and_says_why() -> None:
    async with two(lasts=0.3) as balancer:
        async with connect(balancer.url, ["a"]) as stream:
            with trio.move_on_after(8):
                async for _ in stream:
                    pass
            assert stream.statistics.several
        assert 2 <= balancer.connections <= 9


async def test_a_connection_that_lasts_is_one() -> None:
    async with two() as balancer:
        async with connect(balancer.url, ["a"]) as stream:
            with trio.move_on_after(2):
                points = [event async for event in stream if isinstance(event, Points)]
                assert points
            assert not stream.statistics.several
        async with httpx.AsyncClient(base_url=balancer.url, timeout=30, verify=TRUST) as http:
            for accept in ("text/event-stream", "application/x-ndjson"):
                headers = {"Accept": accept, "Last-Event-ID": "elsewhere!7.1"}
                with trio.CancelScope() as reading:
                    async with http.stream("GET", "/v1/stream", headers=headers) as answer:
                        async for line in answer.aiter_lines():
                            if '"gap"' in line:
                                reading.deadline = trio.current_time() + 1
        assert balancer.connections == 3


# -- how long a poll is held -----------------------------------------------------------------------


HUB = Hub(
    "here",
    limits=Limits(),
    retention=Retention(),
    pacing=Pacing(),
    make_session=lambda: "session",
)


def held(cursor: str | None, wait: float | None = None, most: float = 25.0) -> tuple[float, int]:
    """For how long a poll is held, and how often its holder strayed by then."""
    since = None if cursor is None else parse_cursor(cursor)
    return Switching(HUB).hold(since, wait, most, "192.0.2.1")


async def test_each_is_held_twice_as_long_as_the_one_before() -> None:
    for times, most in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 15.0), (99, 15.0)):
        seconds, switches = held(f"there!{times}.7")
        assert 0.75 * most <= seconds <= most
        assert switches == min(99, times + 1)


async def test_who_is_held_and_who_is_not() -> None:
    assert held(None) == (0, 0)
    assert held("here.7") == (0, 0)
    assert held("here!3.7") == (0, 2)
    assert held("there.7") == (0, 1)
    # A poll that may wait a second at the most must be answered by then, and still mustn't storm.
    for wait in (0.0, 0.1, 1.0):
        seconds, _ = held("there!9.7", wait)
        assert 0.75 <= seconds <= 1.0
    # Nobody is held for longer than its path bears.
    for asked in (None, 0.0, 30.0):
        assert held("there!9.7", asked, most=0.5)[0] <= 0.5


def told(*polls: tuple[str, str]) -> list[Any]:
    """What the log says when these come, each with a cursor and from an address."""
    switching = Switching(HUB)
    with capture_logs() as logs:
        for cursor, address in polls:
            switching.hold(parse_cursor(cursor), None, 25.0, address)
    return list(logs)


async def test_the_operator_is_told_once() -> None:
    (line,) = told(*((f"there!{times}.7", "192.0.2.1") for times in (1, 3, 5, 7, 9)))
    assert "share a" in line["event"]
    assert (line["epoch"], line["client"]) == ("here", "192.0.2.1")
    assert "there" not in line.values()


async def test_what_a_client_makes_up_is_not_told() -> None:
    assert told(("made-up!9.7", "192.0.2.1")) == []
    assert told(*[("made-up!9.7", "192.0.2.1")] * 50) == []
    assert told(*[("made-up!99.7", "192.0.2.1")] * 50) == []
    # Nor is a server that is restarted, which many come back to.
    assert told(*((f"former{n % 3}.7", f"192.0.2.{n}") for n in range(200))) == []


async def ask(served: Served, query: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30, verify=TRUST) as http:
        return await http.get(
            f"{served.url}/v1/stream?{query}", headers={"Accept": "application/json", **headers}
        )


async def test_one_that_is_held_is_answered_within_its_heartbeat() -> None:
    async with serving(stream=Pacing(min_heartbeat=0.1)) as served:
        with trio.fail_after(12):  # the default is longer
            answer = await ask(served, "since=there!9.7&heartbeat=0.5")
        assert [one["type"] for one in answer.json()["documents"]] == ["gap"]


async def test_those_that_are_held_count() -> None:
    async with serving(limits=Limits(subscribers_per_address=2)) as served:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(ask, served, "since=there!9.7")
            await served.wait_metric("pushsvc_subscribers", 2)
            assert (await ask(served, "since=there!9.7")).status_code in (429, 503)
            nursery.cancel_scope.cancel()


async def test_one_that_is_held_is_drained_like_any_other() -> None:
    async with serving() as served, trio.open_nursery() as nursery:
        answers = []

        async def hold() -> None:
            answers.append((await ask(served, "since=there!9.7")).json())

        nursery.start_soon(hold)
        await served.wait_metric("pushsvc_subscribers", 1)
        with trio.fail_after(30):
            served.drain.set()
            while not answers:
                await trio.sleep(0.01)
        assert [one["type"] for one in answers[0]["documents"]] == ["gap", "goaway"]
