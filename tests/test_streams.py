"""`/v1/stream` over every transport: negotiation, documents, resuming, changing, ending."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
import trio.lowlevel
from trio_websocket import ConnectionClosed, WebSocketConnection

from pushsvc.core.resources.limits import Limits, Pacing, Retention
from tests.authority import Authority
from tests.serving import Served, carried, next_of, serving


@pytest.fixture(params=["detached", "asgi", "tls"], autouse=True)
def carrier(request: pytest.FixtureRequest, certified: Authority) -> Iterator[str]:
    """Each test runs on both carriers, and with TLS: they keep one contract."""
    with carried(request.param, certified):
        yield request.param


TRANSPORTS = ("websocket", "sse", "ndjson", "longpoll")


class SocketDocuments:
    """The documents of a WebSocket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket

    def __aiter__(self) -> SocketDocuments:
        return self

    async def __anext__(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(await self.socket.get_message())
        except ConnectionClosed:
            raise StopAsyncIteration from None
        return document


def code_of(socket: WebSocketConnection) -> int:
    """The code with which it was closed."""
    assert socket.closed is not None
    return int(socket.closed.code)


class PolledDocuments:
    """The documents of one long poll after another."""

    def __init__(self, served: Served, parameters: dict[str, Any]) -> None:
        self._served = served
        self._parameters = parameters
        self._ready: list[dict[str, Any]] = []

    def __aiter__(self) -> PolledDocuments:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._ready:
            answer = await self._served.http.get(
                "/v1/stream", params=self._parameters, headers={"Accept": "application/json"}
            )
            assert answer.status_code == 200, answer.text
            self._parameters["since"] = answer.json()["id"]
            self._ready = answer.json()["documents"]
        return self._ready.pop(0)


@asynccontextmanager
async def stream(
    served: Served, transport: str, **parameters: Any
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """A stream over this transport."""
    if transport == "websocket":
        query = str(httpx.QueryParams(parameters))
        async with served.websocket(query, ["pushsvc.v1"]) as socket:
            assert socket.subprotocol == "pushsvc.v1"
            yield SocketDocuments(socket)
    elif transport == "longpoll":
        yield PolledDocuments(served, parameters)
    else:
        accept = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}[transport]
        async with served.documents(accept, **parameters) as documents:
            yield documents


async def collect(documents: AsyncIterator[dict[str, Any]], values: int) -> list[dict[str, Any]]:
    """Documents until there were so many points."""
    got: list[dict[str, Any]] = []
    with trio.fail_after(30):
        while sum(len(document.get("points", ())) for document in got) < values:
            got.append(await anext(documents))
    return got


def values_of(documents: list[dict[str, Any]]) -> list[Any]:
    return [point[2] for document in documents for point in document.get("points", ())]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_live_and_resumed_by_cursor(transport: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 0})
        async with stream(served, transport) as documents:
            got = await collect(documents, 1)
            for value in (1, 2, 3):
                await served.publish({"name": "a", "value": value})
                got += await collect(documents, 1)
        assert values_of(got) == [0, 1, 2, 3]
        if transport != "longpoll":
            assert got[0]["type"] == "hello"
            assert got[0]["granted"] == {
                "max_hz": 10.0,
                "merge": "all",
                "select": ['{__name__=~".+"}'],
                "kept": 3600.0,
            }
        cursor = [document["id"] for document in got if "id" in document][-1]
        for value in (4, 5):
            await served.publish({"name": "a", "value": value})
        async with stream(served, transport, since=cursor) as documents:
            assert values_of(await collect(documents, 2)) == [4, 5]


async def test_moving_from_transport_to_transport_loses_and_doubles_nothing() -> None:
    async with serving(stream=Pacing(max_hz=100, default_hz=100)) as served:
        cursor = (await served.publish({"name": "a", "value": 0}))["id"]
        got: list[Any] = []
        stop = trio.Event()
        published = 1

        async def produce() -> None:
            nonlocal published
            while not stop.is_set():
                await served.publish({"name": "a", "value": published})
                published += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            for transport in TRANSPORTS * 3:
                async with stream(served, transport, since=cursor) as documents:
                    some = await collect(documents, 5)
                got += values_of(some)
                cursor = [document["id"] for document in some if "id" in document][-1]
            stop.set()
        assert got == list(range(1, len(got) + 1))


async def test_last_event_id_beats_since() -> None:
    async with serving() as served:
        cursors = [(await served.publish({"name": "a", "value": i}))["id"] for i in range(4)]
        request = (
            f"GET /v1/stream?since={cursors[0]} HTTP/1.1\r\nHost: x\r\n"
            f"Accept: text/event-stream\r\nLast-Event-ID: {cursors[2]}\r\n\r\n"
        )
        async with await served.raw(request.encode()) as raw:
            seen = b""
            with trio.fail_after(30):
                while b'"points":[' not in seen:
                    seen += await raw.receive_some()
            assert b'"points":[[1,' in seen
            assert b",3.0]]" in seen
            assert b",2.0]" not in seen


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cursor_of_another_epoch_is_a_gap_then_live(transport: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        async with stream(served, transport, since="0ther.5") as documents:
            assert (await next_of(documents, "gap"))["lost"] is None
            assert values_of(await collect(documents, 1)) == [1]
            await served.publish({"name": "a", "value": 2})
            assert values_of(await collect(documents, 1)) == [2]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_was_evicted_is_counted(transport: str) -> None:
    async with serving(history=Retention(samples=10)) as served:
        first = await served.publish({"name": "a", "value": 0})
        for value in range(1, 31):
            await served.publish({"name": "a", "value": value})
        async with stream(served, transport, since=first["id"]) as documents:
            assert (await next_of(documents, "gap"))["lost"] == 20
            assert values_of(await collect(documents, 10)) == list(range(21, 31))


@pytest.mark.parametrize("transport", ["websocket", "sse", "ndjson"])
async def test_quiet_streams_beat(transport: str) -> None:
    async with serving(stream=Pacing(heartbeat=0.1)) as served:
        await served.publish({"name": "a", "value": 1})
        async with stream(served, transport, select="a") as documents:
            assert (await next_of(documents, "hello"))["heartbeat"] == 0.1
            points = await next_of(documents, "points")
            beyond = await served.publish({"name": "b", "value": 1})
            beat = await next_of(documents, "heartbeat")
            assert set(beat) == {"type", "id", "time"}
            # The cursor moves past what the view doesn't show.
            while seq_of(beat) < seq_of(beyond):
                beat = await next_of(documents, "heartbeat")
            assert seq_of(points) < seq_of(beyond)


def seq_of(document: dict[str, Any]) -> int:
    return int(document["id"].rpartition(".")[2])


@pytest.mark.parametrize("transport", ["websocket", "sse", "ndjson"])
async def test_a_client_says_how_long_a_quiet_its_path_bears(transport: str) -> None:
    async with serving(stream=Pacing(min_heartbeat=0.1)) as served:
        async with stream(served, transport, select="a", heartbeat="0.25") as documents:
            hello = await next_of(documents, "hello")
            assert hello["heartbeat"] == 0.2
            assert hello["granted"]["kept"] == 3600.0
            begin = trio.current_time()
            for _ in range(3):
                await next_of(documents, "heartbeat")
            assert trio.current_time() - begin < 30  # three by default take 45 s
            # It may say so later as well; what is left out stays.
            target = f"/v1/stream/{hello['session']}"
            answer = await served.http.post(target, json={"type": "watch", "heartbeat": "400ms"})
            assert answer.status_code == 200
            assert (await next_of(documents, "hello"))["heartbeat"] == 0.4
            await served.http.post(target, json={"type": "watch", "max_hz": 1})
            assert (await next_of(documents, "hello"))["heartbeat"] == 0.4


async def test_a_poll_answers_within_the_heartbeat_that_was_asked_for() -> None:
    async with serving(stream=Pacing(min_heartbeat=0.1)) as served:
        with trio.fail_after(12):
            answer = await served.http.get(
                "/v1/stream?heartbeat=0.2&wait=20", headers={"Accept": "application/json"}
            )
        assert answer.json()["documents"] == []


@pytest.mark.parametrize("text", ["soon", "-1", "", "inf"])
async def test_a_heartbeat_that_is_no_time_is_refused(text: str) -> None:
    async with serving() as served:
        answer = await served.http.get(f"/v1/stream?heartbeat={text}")
        assert answer.status_code == 400
        assert answer.json()["code"] == "heartbeat"


async def test_a_poll_without_news_answers_in_time_with_a_cursor() -> None:
    async with serving() as served:
        cursor = (await served.publish({"name": "a", "value": 1}))["id"]
        answer = await served.http.get(
            f"/v1/stream?since={cursor}&wait=0.1", headers={"Accept": "application/json"}
        )
        assert answer.json() == {"id": cursor, "documents": []}


async def test_watching_changes_a_websocket() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1}, {"name": "b", "value": 2})
        async with served.websocket("select=a") as socket:
            documents = SocketDocuments(socket)
            session = (await next_of(documents, "hello"))["session"]
            assert values_of(await collect(documents, 1)) == [1]
            watch = {"type": "watch", "select": ["b"], "max_hz": 1, "merge": "last"}
            await socket.send_message(json.dumps(watch))
            hello = await next_of(documents, "hello")
            assert hello["session"] == session
            assert hello["granted"] == {
                "max_hz": 1.0,
                "merge": "last",
                "select": ["b"],
                "kept": 3600.0,
            }
            assert values_of(await collect(documents, 1)) == [2]
            await served.publish({"name": "a", "value": 3}, {"name": "b", "value": 4})
            assert values_of(await collect(documents, 1)) == [4]


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
async def test_watching_changes_a_one_way_stream_by_a_companion_request(transport: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1}, {"name": "b", "value": 2})
        async with stream(served, transport, select="a") as documents:
            session = (await next_of(documents, "hello"))["session"]
            await collect(documents, 1)
            answer = await served.http.post(
                f"/v1/stream/{session}", json={"type": "watch", "select": ["b"]}
            )
            assert answer.json()["granted"]["select"] == ["b"]
            assert (await next_of(documents, "hello"))["granted"]["select"] == ["b"]
            assert values_of(await collect(documents, 1)) == [2]
            bad = await served.http.post(
                f"/v1/stream/{session}", json={"type": "watch", "select": ["b{"]}
            )
            assert (bad.status_code, bad.json()["code"]) == (400, "selector")
            await served.publish({"name": "b", "value": 3})
            assert values_of(await collect(documents, 1)) == [3]
        gone = await served.http.post("/v1/stream/nothing", json={"type": "watch"})
        assert (gone.status_code, gone.json()["code"]) == (404, "session")
        assert gone.json()["reconnect"] is True


@pytest.mark.parametrize("transport", ["websocket", "sse", "ndjson", "longpoll"])
async def test_the_rate_and_the_merging_that_were_granted(transport: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 0})
        parameters = {"max_hz": 2, "merge": "envelope"}
        async with stream(served, transport, **parameters) as documents:
            await collect(documents, 1)
            await served.publish({"name": "a", "value": 1})
            first = await collect(documents, 1)
            for value in (5, -3, 2):
                await served.publish({"name": "a", "value": value})
            second = await collect(documents, 1)
        assert values_of(first) == [1]
        assert [point[2:] for d in second for point in d.get("points", ())] == [[2, -3, 5, 3]]


REFUSED = [
    ("since=nonsense", "cursor", ""),
    ("select=a{b%3D", "selector", "column"),
    ("select=a[5m]", "expression", "range of samples"),
    ("select={x%3D~'('}", "selector", ""),
    ("select={x%3D''}", "selector", ""),
    ("max_hz=fast", "max_hz", "positive number"),
    ("max_hz=-1", "max_hz", "positive number"),
    ("merge=average", "merge", "envelope"),
    ("window=soon", "window", "15m"),
    ("points=100", "points", "give window as well"),
    ("window=1m&points=3", "points", "4 or more"),
    ("slect=a", "parameter", "slect"),
]


@pytest.mark.parametrize(("query", "code", "says"), REFUSED)
async def test_a_bad_wish_is_refused_with_the_reason(query: str, code: str, says: str) -> None:
    async with serving() as served:
        for accept in ("text/event-stream", "application/x-ndjson", "application/json"):
            answer = await served.http.get(f"/v1/stream?{query}", headers={"Accept": accept})
            assert (answer.status_code, answer.json()["code"]) == (400, code)
            assert says in answer.json()["detail"]
        async with served.websocket(query) as socket:
            error = json.loads(await socket.get_message())
            assert (error["type"], error["code"]) == ("error", code)
            with pytest.raises(ConnectionClosed):
                await socket.get_message()
            assert code_of(socket) == 1008


async def test_a_catastrophic_regex_is_harmless() -> None:
    async with serving() as served:
        await served.publish({"name": "a", "labels": {"x": "a" * 1000 + "!"}, "value": 1})
        answer = await served.http.get("/v1/series", params={"select": 'a{x=~"(a+)+$"}'})
        assert answer.json() == {"series": []}


async def test_an_unknown_transport_gets_the_list() -> None:
    async with serving() as served:
        for accept in ("application/pdf", "text/event-stream;q=0, image/png"):
            answer = await served.http.get("/v1/stream", headers={"Accept": accept})
            assert answer.status_code == 406
            assert "text/event-stream" in answer.json()["offered"]
        page = await served.http.get("/v1/stream", headers={"Accept": "text/html"})
        assert page.status_code == 406
        assert "text/event-stream" in page.text
        assert await served.rejection(["graphql-ws"]) == 406


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x00\x01", "binary"),
        (b"", "binary"),
        ("", "message"),
        ("nonsense", "message"),
        ('{"type":"dance"}', "message"),
        ('{"type":"watch","select":5}', "message"),
        ('{"type":"watch","select":["a{"]}', "selector"),
        ("[" * 60_000, "message"),
    ],
)
async def test_garbage_on_a_websocket_is_told_and_closed(message: Any, code: str) -> None:
    async with serving() as served:
        async with served.websocket() as socket:
            await socket.send_message(message)
            error = await next_of(SocketDocuments(socket), "error")
            assert error["code"] == code
            with pytest.raises(ConnectionClosed):
                await socket.get_message()
            assert code_of(socket) == 1008
        assert (await served.http.get("/livez")).status_code == 200


async def test_too_much_on_a_websocket_is_closed() -> None:
    async with serving(limits=Limits(message_bytes=1000, messages_per_second=2)) as served:
        async with served.websocket() as socket:
            await socket.send_message("x" * 1001)
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.get_message()
            assert code_of(socket) == 1009
        async with served.websocket() as socket:
            documents = SocketDocuments(socket)
            with pytest.raises(ConnectionClosed):
                for _ in range(100):
                    await socket.send_message('{"type":"watch"}')
                    await trio.lowlevel.checkpoint()
                assert (await next_of(documents, "error"))["code"] == "messages"
                await socket.get_message()
            assert code_of(socket) == 1008


async def test_subscribers_and_selectors_are_limited() -> None:
    async with serving(limits=Limits(subscribers=1, selectors=2)) as served:
        many = await served.http.get("/v1/stream?select=a&select=b&select=c")
        assert (many.status_code, many.json()["code"]) == (422, "selectors")
        async with stream(served, "sse") as documents:
            await next_of(documents, "hello")
            full = await served.http.get("/v1/stream")
            assert (full.status_code, full.json()["code"]) == (503, "subscribers")
            assert int(full.headers["retry-after"]) > 0
            assert await served.rejection() == 503
        await served.wait_metric("pushsvc_subscribers", 0)
        async with stream(served, "sse") as documents:
            await next_of(documents, "hello")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_leaves_is_let_go(transport: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        async with stream(served, transport) as documents:
            await collect(documents, 1)
        await served.wait_metric("pushsvc_subscribers", 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_drained_subscriber_is_told_to_come_back(transport: str) -> None:
    async with serving() as served:
        await served.publish({"name": "a", "value": 1})
        async with stream(served, transport) as documents:
            await collect(documents, 1)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def drain() -> None:
                    if transport == "longpoll":  # let it ask again
                        await served.wait_metric("pushsvc_subscribers", 1)
                    served.drain.set()

                goaway = await next_of(documents, "goaway")
                assert 1000 <= goaway["retry"] <= 1100
            if isinstance(documents, SocketDocuments):
                with pytest.raises(StopAsyncIteration):
                    await anext(documents)
                assert code_of(documents.socket) == 1012


async def test_head_has_no_body() -> None:
    async with serving() as served:
        answer = await served.http.head("/v1/stream", headers={"Accept": "text/event-stream"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert await served.metric("pushsvc_subscribers") == 0


async def test_streams_tell_proxies_to_leave_them_alone() -> None:
    async with serving() as served, served.documents("text/event-stream") as documents:
        assert documents.headers["x-accel-buffering"] == "no"
        assert "no-transform" in documents.headers["cache-control"]
        assert documents.headers["vary"] == "Accept, Accept-Encoding"
        assert documents.headers["date"].endswith(" GMT")
        assert "connection" not in documents.headers


UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize(
    ("rest", "marker"),
    [
        (b"Accept: text/event-stream\r\n\r\n", b'data: {"type":"hello"'),
        (b"Accept: application/x-ndjson\r\n\r\n", b'{"type":"hello"'),
        (UPGRADE, b'{"type":"hello"'),
    ],
    ids=["sse", "ndjson", "websocket"],
)
async def test_a_request_that_comes_in_pieces_takes_the_long_way(
    rest: bytes, marker: bytes
) -> None:
    async with serving() as served:
        async with await served.raw(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n") as stream:
            await trio.sleep(0.05)
            await stream.send_all(rest)
            seen = b""
            with trio.fail_after(30):
                while marker not in seen:
                    seen += await stream.receive_some()
                await served.publish({"name": "late", "value": 1})
                while b'"late"' not in seen:
                    seen += await stream.receive_some()
        await served.wait_metric("pushsvc_subscribers", 0)


async def test_a_stream_after_another_request_on_the_same_connection() -> None:
    async with serving() as served:
        async with await served.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") as stream:
            seen = b""
            while b"ok\n" not in seen:
                seen += await stream.receive_some()
            await stream.send_all(
                b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
            )
            seen = b""
            with trio.fail_after(30):
                while b'"points":[]' not in seen:
                    seen += await stream.receive_some()


async def test_two_requests_in_one_segment_are_both_answered() -> None:
    async with serving() as served:
        request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        async with await served.raw(request * 2) as stream:
            seen = b""
            with trio.fail_after(30):
                while seen.count(b"ok\n") < 2:
                    seen += await stream.receive_some()
