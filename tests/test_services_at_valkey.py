"""Several services that share a log at a Valkey: one is as good as another, and none as before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from pushsvc.client import Points, connect
from pushsvc.config import Keeping
from tests.cli.forked import run
from tests.described import check
from tests.journal.link import open_link
from tests.journal.test_valkey_failover import pair, part, promote
from tests.journal.valkey_server import ValkeyServer, running
from tests.proxies.follower import Follower
from tests.serving import TRUST, Documents, Served, next_of, serving

__all__ = ["pair"]  # a fixture


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running(tmp_path / "valkey") as server:
        yield server


@asynccontextmanager
async def two(server: ValkeyServer) -> AsyncIterator[tuple[Served, Served]]:
    keeping = Keeping(url=server.url)
    async with serving(journal=keeping) as one, serving(journal=keeping) as other:
        yield one, other


async def reaches(stream: Documents, value: float) -> list[float]:
    """The values that come, up to this one."""
    values: list[float] = []
    while value not in values:
        values += [point[-1] for point in (await next_of(stream, "points"))["points"]]
    return values


async def past(service: Served, select: str) -> list[float]:
    answer = (await service.http.get("/v1/history", params={"select": select})).json()
    return [point[-1] for series in answer["series"] for point in series["points"]]


async def test_what_is_published_at_one_is_seen_at_the_other(server: ValkeyServer) -> None:
    async with two(server) as (one, other):
        async with other.documents("application/x-ndjson", select="up") as stream:
            first = await one.publish({"name": "up", "value": 1})
            await reaches(stream, 1)
            second = await other.publish({"name": "up", "value": 2})
            await reaches(stream, 2)
        assert first["id"].partition(".")[0] == second["id"].partition(".")[0]
        assert await past(other, "up") == [1, 2]
        # A cursor of one is good at the other.
        with trio.fail_after(30):
            while await past(one, "up") != [1, 2]:
                await trio.sleep(0.01)
        async with one.documents("application/x-ndjson", select="up", since=first["id"]) as stream:
            assert await reaches(stream, 2) == [2]


async def test_one_that_begins_has_all_that_there_is(server: ValkeyServer) -> None:
    keeping = Keeping(url=server.url)
    async with serving(journal=keeping) as one:
        first = await one.publish({"name": "up", "value": 1})
        await one.publish({"name": "up", "value": 2})
    async with serving(journal=keeping) as next_one:
        assert await past(next_one, "up") == [1, 2]
        async with next_one.documents(
            "application/x-ndjson", select="up", since=first["id"]
        ) as stream:
            assert await reaches(stream, 2) == [2]


async def test_a_key_counts_once_whichever_is_asked(server: ValkeyServer) -> None:
    body = {"samples": [{"name": "orders", "kind": "delta", "value": 1}]}
    async with two(server) as (one, other):
        for service in (one, other, one):
            answer = await service.http.post(
                "/v1/samples", json=body, headers={"Idempotency-Key": "k"}
            )
            assert answer.status_code == 200, answer.text
        assert await past(one, "orders") == [1]


async def test_while_the_log_is_away_streams_stay_and_producers_are_told(
    server: ValkeyServer,
) -> None:
    async with two(server) as (one, other):

        async def send(value: int) -> httpx.Response:
            return await one.http.post(
                "/v1/samples",
                json={"name": "up", "value": value},
                headers={"Idempotency-Key": f"value-{value}"},
            )

        async with other.documents("application/x-ndjson", select="up") as stream:
            await send(1)
            await reaches(stream, 1)
            server.kill()
            told = await next_of(stream, "heartbeat")
            assert told["away"] >= 1
            async with other.documents("application/x-ndjson", select="up") as newcomer:
                assert (await next_of(newcomer, "hello"))["away"] >= 1
            answer = await send(2)
            assert answer.status_code == 503
            assert answer.json()["code"] == "journal"
            assert int(answer.headers["retry-after"]) > 0
            # What is there can be asked for, and to take the pod out would help nobody.
            assert await past(other, "up") == [1]
            ready = await other.http.get("/readyz")
            assert (ready.status_code, ready.text[:23]) == (200, "ok, the journal is away")
            assert await other.metric("pushsvc_journal_away_seconds") > 0
            server.start()
            with trio.fail_after(20):
                while (await send(2)).status_code != 200:
                    await trio.sleep(0.1)
            while "away" in await next_of(stream, "heartbeat"):
                pass
            await send(3)
            await reaches(stream, 3)
            assert (await other.http.get("/readyz")).text == "ok\n"
            assert await other.metric("pushsvc_journal_away_seconds") == 0
            assert await past(other, "up") == [1, 2, 3]
        sequence = await one.metric("pushsvc_journal_sequence")
        assert sequence >= 3
        assert await one.metric("pushsvc_journal_entries") == sequence
        assert await one.metric("pushsvc_journal_bytes") > 100
        assert await one.metric("pushsvc_journal_horizon") == 0
        assert await one.metric("pushsvc_journal_begun_anew_total") == 0


async def test_polls_the_python_client_and_tail_are_told_that_the_log_is_away_and_back(
    server: ValkeyServer,
) -> None:
    keeping = Keeping(url=server.url)
    async with serving(journal=keeping) as one, trio.open_nursery() as nursery:
        since = (await one.publish({"name": "up", "value": 1}))["id"]

        async def poll(wait: float = 25) -> dict[str, Any]:
            """What is told of the log by the next poll, if anything is."""
            nonlocal since
            with trio.fail_after(60):
                answer = await one.http.get(
                    "/v1/stream",
                    params={"select": "up", "wait": wait, "since": since},
                    headers={"Accept": "application/json"},
                    timeout=60,
                )
            assert answer.status_code == 200, answer.text
            since = answer.json()["id"]
            *others, last = answer.json()["documents"] or [{}]
            check("/v1/stream", "get", 200, "application/json", answer.json())
            assert "heartbeat" not in [one["type"] for one in others]
            told: dict[str, Any] = last if last.get("type") == "heartbeat" else {}
            return told

        assert await poll(0) == {}
        told: list[dict[str, Any]] = []

        async def wait_and_note() -> None:
            told.append(await poll())

        lines = await nursery.start(tail, one.url)
        stream = await nursery.start(follow, one.url)
        nursery.start_soon(wait_and_note)
        await one.wait_metric("pushsvc_subscribers", 3)
        server.kill()
        # A poll that waits is told at once, one that comes later before long, and sooner than it
        # may wait.
        with trio.fail_after(30):
            assert await stream.receive() == "Away"
            assert "can't reach its log" in await lines.receive()
            while not told:
                await trio.sleep(0.01)
        assert told[0]["away"] >= 1
        assert told[0]["id"] == since
        begun = trio.current_time()
        assert (await poll())["away"] >= 1
        assert trio.current_time() - begun < 15
        told.clear()
        nursery.start_soon(wait_and_note)
        server.start()
        with trio.fail_after(60):
            while not told or "away" in told[-1]:
                if told:
                    told.clear()
                    nursery.start_soon(wait_and_note)
                await trio.sleep(0.01)
            assert await stream.receive() == "Back"
            assert "can reach its log again" in await lines.receive()
        assert told[-1]["type"] == "heartbeat"
        # Also by those that come when news does.
        await one.publish({"name": "up", "value": 2})
        assert "away" not in await poll() != {}
        nursery.cancel_scope.cancel()


async def follow(url: str, task_status: trio.TaskStatus[trio.MemoryReceiveChannel[str]]) -> None:
    """The names of what the Python client yields besides points."""
    send, receive = trio.open_memory_channel[str](100)
    async with connect(url, ["up"]) as stream:
        task_status.started(receive)
        async for event in stream:
            if not isinstance(event, Points):
                await send.send(type(event).__name__)


async def tail(url: str, task_status: trio.TaskStatus[trio.MemoryReceiveChannel[str]]) -> None:
    """What `pushsvc tail` says beside samples."""
    send, receive = trio.open_memory_channel[str](100)
    command = [sys.executable, "-m", "pushsvc", "tail", "--url", url, "up"]
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )
        task_status.started(receive)
        assert process.stderr is not None
        async for chunk in process.stderr:
            for line in chunk.decode().splitlines():
                await send.send(line)


async def test_a_service_ends_in_good_time_while_the_log_is_away(server: ValkeyServer) -> None:
    async with serving(journal=Keeping(url=server.url)) as service:
        await service.publish({"name": "up", "value": 1})
        server.suspend()

        async def send() -> None:
            with suppress(httpx.HTTPError):  # it is cut
                await service.http.post("/v1/samples", json={"name": "up", "value": 2})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(0.5)
            begun = trio.current_time()
            service.drain.set()
    assert trio.current_time() - begun < 25
    server.resume()


async def test_the_end_that_a_failover_lost_is_told_and_counted(
    pair: tuple[ValkeyServer, ValkeyServer],
) -> None:
    primary, replica = pair
    keeping = Keeping(url=f"{primary.url},127.0.0.1:{replica.port}")
    async with (
        serving(journal=keeping) as one,
        serving(journal=keeping) as other,
        trio.open_nursery() as nursery,
    ):
        await one.publish({"name": "n", "value": 1})
        with primary.client() as client:
            client.wait(1, 5000)
        followers = [
            Follower(service.url, transport, TRUST)
            for service in (one, other)
            for transport in ("websocket", "sse", "ndjson", "longpoll")
        ]
        for each in followers:
            await nursery.start(each.run)
        part(replica)
        lost = (await one.publish({"name": "n", "value": 2}))["id"]
        for each in followers:
            await each.wait_value(2, 30)
            assert (each.values, each.gaps) == ([1, 2], 0), each.name
        primary.kill()
        promote(replica)
        with trio.fail_after(60):
            while (
                await other.http.post("/v1/samples", json={"name": "n", "value": 3})
            ).status_code != 200:
                await trio.sleep(0.1)
        for each in followers:
            await each.wait_value(3, 30)
            assert each.gaps >= 1, each.name
        nursery.cancel_scope.cancel()
        for service in (one, other):
            assert await past(service, "n") == [1, 3]
            assert await service.metric("pushsvc_journal_begun_anew_total") == 1
        # A client that comes with a cursor of what was lost is told as well.
        async with other.documents("application/x-ndjson", select="n", since=lost) as stream:
            gap = await next_of(stream, "gap")
            assert gap["lost"] is None
            assert gap["id"].partition(".")[0] != lost.partition(".")[0]


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        (["journal.url=valkey://127.0.0.1:1", "journal.start_wait=0"], 1, "Connection refused"),
        (["journal.url=http://h"], 2, "journal.url begins with http"),
        (["journal.url=valkey://h", "journal.path=/tmp/x"], 2, "not in both"),
        (["journal.prefix={x}"], 2, "without braces"),
        (["journal.replicas=-1"], 2, "from 0 to 100"),
        (["journal.start_wait=-1"], 2, "from 0 to 86400"),
    ],
)
def test_what_can_not_be_is_one_line(settings: list[str], status: int, said: str) -> None:
    flags = [part for setting in settings for part in ("--set", setting)]
    done = run("serve", "--port", "0", *flags)
    assert done.returncode == status
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_configuration_is_checked_and_its_secret_masked() -> None:
    good = run("check-config", "--set", "journal.url=valkey://:hidden@h")
    assert good.returncode == 0, good.stderr
    assert 'url = "valkey://:********@h"' in good.stdout
    assert "hidden" not in good.stdout
    bad = run("check-config", "--set", "journal.url=valkey://h:x")
    assert bad.returncode == 2
    assert "a port that is none" in bad.stderr


async def test_polls_that_go_round_see_each_sample_once_and_in_order(server: ValkeyServer) -> None:
    """Each poll is answered by another service than the one before, which may be a moment behind
    it."""
    keeping = Keeping(url=server.url)
    async with two(server) as (one, other), serving(journal=keeping) as third:
        services = [one, other, third]
        seen: list[float] = []
        done = trio.Event()

        async def publish() -> None:
            for value in range(300):
                await services[value % 2].publish({"name": "up", "value": value})
            done.set()

        async def poll() -> None:
            since = ""
            for service in cycle(services):
                answer = await service.http.get(
                    "/v1/stream",
                    params={"select": "up", "wait": "0.2", **({"since": since} if since else {})},
                    headers={"Accept": "application/json"},
                )
                assert answer.status_code == 200, answer.text
                for document in answer.json()["documents"]:
                    assert document["type"] != "gap"
                    since = document.get("id", since)
                    seen.extend(point[-1] for point in document.get("points", []))
                if done.is_set() and seen and seen[-1] == 299:
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            with trio.fail_after(60):
                await poll()
        assert seen == list(range(300))


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_what_is_said_to_a_stream_by_way_of_another_service_is_done_by_opening_one(
    server: ValkeyServer, accept: str
) -> None:
    """As a balancer may lead it there: it is told at once what to do, which is exact."""
    async with two(server) as (one, other):
        for value in range(3):
            await one.publish({"name": "a", "value": value}, {"name": "b", "value": value})
        seen: list[float] = []
        cursor = ""

        async def take(stream: Documents, last: float) -> None:
            nonlocal cursor
            while last not in seen:
                document = await next_of(stream, "points")
                seen.extend(point[-1] for point in document["points"])
                cursor = document["id"]

        async with one.documents(accept, select="a", window="1m") as stream:
            session = (await next_of(stream, "hello"))["session"]
            await take(stream, 2)
            begun = trio.current_time()
            watch = {"type": "watch", "select": ["a", "b"], "window": "1m"}
            for message in (watch, {"type": "watch", "max_hz": 1}, {"type": "auth", "token": "x"}):
                said = await other.http.post(f"/v1/stream/{session}", json=message)
                assert (said.status_code, said.json()["code"]) == (404, "session")
                assert said.json()["reconnect"] is True
                assert "Open a stream" in said.json()["detail"]
            assert trio.current_time() - begun < 20
            check("/v1/stream/{session}", "post", 404, "application/problem+json", said.json())
            # Meanwhile it goes on as it was.
            await other.publish({"name": "a", "value": 3}, {"name": "b", "value": 3})
            await take(stream, 3)
        past = await other.http.get(
            "/v1/stream",
            params={"select": "b", "window": "1m", "wait": "0"},
            headers={"Accept": "application/json"},
        )
        added = [point[-1] for document in past.json()["documents"] for point in document["points"]]
        assert added == [0, 1, 2, 3]
        async with other.documents(accept, select="a", since=cursor) as stream:
            await one.publish({"name": "a", "value": 4})
            await take(stream, 4)
        assert seen == [0, 1, 2, 3, 4]


async def newest(service: Served, how: str, cursor: str) -> list[dict[str, Any]]:
    """What a stream begins with that goes on from a cursor, up to the first points."""
    query: dict[str, Any] = {"select": "up", "since": cursor}
    told: list[dict[str, Any]] = []
    if how == "longpoll":
        answer = await service.http.get(
            "/v1/stream", params={**query, "wait": "20"}, headers={"Accept": "application/json"},
            timeout=60,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        told = answer.json()["documents"]
    elif how == "websocket":
        async with service.websocket(str(httpx.QueryParams(query))) as socket:
            while not told or not told[-1].get("points"):
                told.append(json.loads(await socket.get_message()))
    else:
        async with service.documents(how, **query) as stream:
            while not told or not told[-1].get("points"):
                told.append(await anext(stream))
    return [document for document in told if document["type"] not in ("hello", "heartbeat")]


HOW = ["websocket", "text/event-stream", "application/x-ndjson", "longpoll"]


async def test_a_cursor_of_a_service_that_is_ahead_is_waited_for(server: ValkeyServer) -> None:
    async with open_link(server.port) as link, serving(journal=Keeping(url=server.url)) as one:
        async with serving(journal=Keeping(url=link.url)) as behind:
            first = await one.publish({"name": "up", "value": 1})
            with trio.fail_after(30):
                while await past(behind, "up") != [1]:
                    await trio.sleep(0.01)
            link.passes = trio.Event()
            cursor = (await one.publish({"name": "up", "value": 2}))["id"]
            told: dict[str, list[dict[str, Any]]] = {}

            async def go_on(how: str) -> None:
                told[how] = await newest(behind, how, cursor)

            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    for how in HOW:
                        nursery.start_soon(go_on, how)
                    await trio.sleep(0.5)
                    assert told == {}
                    assert await past(behind, "up") == [1]
                    link.passes.set()
                    # They have what is newer, and nothing that they have.
                    await one.publish({"name": "up", "value": 3})
            for how in HOW:
                values = [point[-1] for document in told[how] for point in document["points"]]
                assert values == [3], how
            assert first["id"] < cursor


async def test_who_is_ahead_of_a_service_that_is_cut_off_is_to_come_back(
    server: ValkeyServer,
) -> None:
    """A service that can't read the log can't know that a cursor is none."""
    async with open_link(server.port) as link, serving(journal=Keeping(url=server.url)) as one:
        async with serving(journal=Keeping(url=link.url)) as behind:
            await one.publish({"name": "up", "value": 1})
            link.mute = True
            link.cut()
            with trio.fail_after(30):
                while await behind.metric("pushsvc_journal_away_seconds") == 0:
                    await trio.sleep(0.05)
            cursor = (await one.publish({"name": "up", "value": 2}))["id"]
            statuses: dict[str, int] = {}

            async def ask(accept: str) -> None:
                answer = await behind.http.get(
                    "/v1/stream", params={"since": cursor}, headers={"Accept": accept}, timeout=60
                )
                statuses[accept] = answer.status_code
                if answer.status_code == 503:
                    assert answer.json()["code"] == "journal"
                    assert int(answer.headers["retry-after"]) > 0
                else:  # a browser's EventSource: by a status it would be ended for good
                    assert "goaway" in answer.text
                    assert '"type":"gap"' not in answer.text

            async def open_socket() -> None:
                statuses["websocket"] = await behind.rejection(query=f"since={cursor}")

            kinds = [
                "application/json",
                "application/x-ndjson",
                "text/event-stream, application/problem+json",
                "text/event-stream",
            ]
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    for accept in kinds:
                        nursery.start_soon(ask, accept)
                    nursery.start_soon(open_socket)
            assert statuses == {**dict.fromkeys([*kinds, "websocket"], 503), kinds[-1]: 200}
            link.mute = False
            link.cut()

            async def is_served() -> bool:
                answer = await behind.http.get(
                    "/v1/stream",
                    params={"since": cursor, "wait": "0"},
                    headers={"Accept": "application/json"},
                )
                return answer.status_code == 200 and not any(
                    document["type"] == "gap" for document in answer.json()["documents"]
                )

            with trio.fail_after(60):
                while not await is_served():
                    await trio.sleep(0.1)


async def test_a_cursor_that_nobody_gave_is_refused_after_a_while(server: ValkeyServer) -> None:
    async with serving(journal=Keeping(url=server.url)) as service:
        given = await service.publish({"name": "up", "value": 1})
        epoch = given["id"].partition(".")[0]
        begun = trio.current_time()
        answer = await service.http.get("/v1/stream", params={"since": f"{epoch}.1000"})
        assert answer.status_code == 400
        assert answer.json()["code"] == "cursor"
        assert trio.current_time() - begun < 25


async def test_a_cursor_of_what_is_yet_to_be_read_is_refused_only_for_now(
    server: ValkeyServer,
) -> None:
    """Where a service is that far behind, or can't reach the log, while another one isn't."""
    async with (
        serving(journal=Keeping(url=server.url)) as one,
        open_link(server.port) as link,
        serving(journal=Keeping(url=link.url)) as other,
    ):
        await one.publish({"name": "up", "value": 1})
        link.mute = True
        since = (await one.publish({"name": "up", "value": 2}))["id"]

        async def ask(accept: str) -> httpx.Response:
            query = {"select": "up", "since": since, "wait": "0"}
            return await other.http.get("/v1/stream", params=query, headers={"Accept": accept})

        for accept in ("application/json", "application/x-ndjson"):
            answer = await ask(accept)
            assert (answer.status_code, answer.json()["code"]) == (503, "journal"), answer.text
            assert int(answer.headers["retry-after"]) > 0
        # Who can't be told by a status is told to come back, and not that there is a gap.
        async with other.http.stream(
            "GET",
            "/v1/stream",
            params={"select": "up"},
            headers={"Accept": "text/event-stream", "Last-Event-ID": since},
        ) as stream:
            text = (await stream.aread()).decode()
        assert '"goaway"' in text
        assert '"gap"' not in text
        link.mute = False
        link.cut()
        with trio.fail_after(30):
            while (await ask("application/json")).status_code != 200:
                await trio.sleep(0.1)
        await one.publish({"name": "up", "value": 3})
        async with other.documents("application/x-ndjson", select="up", since=since) as stream_:
            assert await reaches(stream_, 3) == [3]
