"""`/v1/publish`: a producer's WebSocket, by clients that have nothing of ours and by our own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from pushsvc.client import Busy, Refused, Unreachable, open_publisher, open_socket_publisher
from pushsvc.config import Server
from pushsvc.core.resources.limits import Limits, Pacing
from tests.described import validator
from tests.serving import Served, next_of, serving
from tests.test_websocket_protocol import TEXT, frame, peer

RECEIPTS = [{"$ref": f"#/components/schemas/{name}"} for name in ("Receipt", "Refusal", "Goaway")]


@contextlib.asynccontextmanager
async def producer(served: Served) -> AsyncGenerator[WebSocketConnection]:
    async with (
        await trio.open_tcp_stream(served.host, served.port) as stream,
        trio.open_nursery() as nursery,
    ):
        socket = await wrap_client_stream(nursery, stream, "test", "/v1/publish")
        yield socket
        with trio.move_on_after(1):
            await socket.aclose()
        nursery.cancel_scope.cancel()


async def say(socket: WebSocketConnection, message: Any) -> dict[str, Any]:
    """Send a message and give its answer."""
    await socket.send_message(message if isinstance(message, str | bytes) else json.dumps(message))
    with trio.fail_after(30):
        answer: dict[str, Any] = json.loads(await socket.get_message())
    validator({"oneOf": RECEIPTS}).validate(answer)
    return answer


async def test_each_batch_is_acknowledged_with_a_cursor() -> None:
    async with (
        serving() as served,
        served.documents("text/event-stream", select="a") as documents,
        producer(served) as socket,
    ):
        await next_of(documents, "points")
        for tag in (7, "x", None):
            answer = await say(socket, {"tag": tag, "samples": [{"name": "a", "value": 1}]})
            points = await next_of(documents, "points")
            assert answer == {
                "type": "applied",
                "tag": tag,
                "applied": 1,
                "id": points["id"],
                "watchers": 1,
            }
        lone = await say(socket, {"name": "a", "value": 2})
        assert (lone["type"], lone["tag"]) == ("applied", None)
        packed = msgspec.msgpack.encode({"tag": 9, "samples": [{"name": "b", "value": 1}] * 2})
        answer = await say(socket, packed)
        assert (answer["tag"], answer["applied"], answer["watchers"]) == (9, 2, 0)


async def test_an_error_costs_its_own_message_only() -> None:
    async with serving(limits=Limits(series=1)) as served, producer(served) as socket:
        good = {"samples": [{"name": "a", "value": 1}]}
        for message, tag, code in (
            ({"tag": 1, "samples": [{"name": "", "value": 1}]}, 1, "name"),
            ({"tag": 2, "samples": [{"name": "b", "value": 1}, {"name": "c", "value": 1}]}, 2,
             "series_limit"),
            ({"tag": 3, "samples": 5}, 3, "schema"),
            ("{", None, "json"),
            (b"\xc1", None, "messagepack"),
            ('{"samples":' + "[" * 10_000, None, "json"),
        ):  # fmt: skip
            answer = await say(socket, message)
            assert (answer["type"], answer["tag"], answer["code"]) == ("error", tag, code)
            assert answer["message"]
            assert (await say(socket, good))["type"] == "applied"
        assert (await say(socket, {"samples": [{"name": "", "value": 1}]}))["index"] == 0


async def test_a_message_that_is_too_large_ends_it() -> None:
    async with serving(limits=Limits(message_bytes=1000)) as served, producer(served) as socket:
        assert (await say(socket, {"name": "a", "value": 1}))["applied"] == 1
        with trio.fail_after(30), pytest.raises(ConnectionClosed) as caught:
            await say(socket, '{"name":"a","value":1}' + " " * 1000)
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1009


async def test_when_the_service_ends_producers_are_told() -> None:
    async with serving(server=Server(port=0, shutdown_timeout=5.0)) as served:
        async with producer(served) as socket:
            await say(socket, {"name": "a", "value": 1})
            served.drain.set()
            with trio.fail_after(30):
                assert json.loads(await socket.get_message()) == {"type": "goaway", "retry": 1000}
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.get_message()
            assert caught.value.reason is not None
            assert caught.value.reason.code == 1012


async def test_a_producer_that_takes_no_answers_is_cut_and_nobody_else_waits() -> None:
    async with serving(stream=Pacing(stall_timeout=0.4)) as served:
        async with (
            await trio.open_tcp_stream(served.host, served.port) as stream,
            trio.open_nursery() as nursery,
        ):
            # Small messages whose answers are much larger: the name comes back in the error.
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await stream.send_all(
                b"GET /v1/publish HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert b"101" in bytes(await stream.receive_some(200))

            async def flood() -> None:
                frame = b"\x81\x82\0\0\0\0{{" * 10_000
                with contextlib.suppress(trio.BrokenResourceError):
                    while True:
                        await stream.send_all(frame)

            nursery.start_soon(flood)
            await served.wait_metric("pushsvc_producers_stalled_total", 1)
            assert (await served.publish({"name": "a", "value": 1}))["applied"] == 1
            nursery.cancel_scope.cancel()


async def test_compression_is_declined() -> None:
    async with serving() as served:
        async with await served.raw(
            b"GET /v1/publish HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ) as stream:
            answer = bytes(await stream.receive_some()).lower()
            assert b"101" in answer
            assert b"permessage-deflate" not in answer


async def test_our_publisher_over_a_websocket() -> None:
    async with serving() as served, open_socket_publisher(served.url) as publisher:
        answers = []

        async def publish(i: int) -> None:
            answers.append(await publisher.publish([{"name": "a", "value": i}]))

        async with trio.open_nursery() as nursery:
            for i in range(50):
                nursery.start_soon(publish, i)
        assert sum(answer["applied"] for answer in answers) == 50
        assert len({answer["id"] for answer in answers}) == 50
        with pytest.raises(Refused, match="metric name is empty") as caught:
            await publisher.publish([{"name": "", "value": 1}])
        assert caught.value.code == "name"
        assert (await publisher.publish([{"name": "a", "value": 1}]))["applied"] == 1


async def test_our_publisher_connects_again_after_a_cut() -> None:
    async with open_socket_publisher("http://127.0.0.1:1") as nowhere:
        with pytest.raises(Unreachable, match="refused"):
            await nowhere.publish([{"name": "a", "value": 1}])
    async with serving() as first:
        port = first.port
        async with open_socket_publisher(first.url) as publisher:
            await publisher.publish([{"name": "a", "value": 1}])
            first.drain.set()
            with trio.fail_after(30):
                while publisher._socket is not None:
                    await trio.sleep(0.01)
            await first.http.aclose()
            async with serving(server=Server(port=port)):
                answer = await publisher.publish([{"name": "a", "value": 2}])
                assert answer["applied"] == 1


async def test_our_publisher_waits_while_the_hub_is_behind() -> None:
    limits = Limits(idempotency_keys=1)
    async with serving(limits=limits) as served, open_publisher(served.url) as publisher:
        sample = {"name": "a", "value": 1}
        first = await publisher.publish([sample], key="k-1")
        assert await publisher.publish([sample], key="k-1") == first
        assert await served.metric("pushsvc_samples_total") == 1
        with pytest.raises(Busy, match="idempotency_keys"):
            await publisher.publish([sample], key="k-2", patience=1.0)


async def test_a_producer_that_never_pauses_is_told_of_a_drain() -> None:
    batches = frame(TEXT, b'{"name":"up","value":1}') * 200
    heard = b""
    async with serving(server=Server(port=0, shutdown_timeout=60.0)) as served:
        async with peer(served, "/v1/publish") as one, trio.open_nursery() as nursery:

            async def flood() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    while True:
                        await one.stream.send_all(batches)

            nursery.start_soon(flood)
            with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
                while more := await one.stream.receive_some(1 << 20):
                    heard = heard[-200:] + bytes(more)
                    served.drain.set()
            nursery.cancel_scope.cancel()
    # The last that it hears, whatever it had sent by then.
    assert heard.endswith(b'{"type":"goaway","retry":1000}\x88\x07\x03\xf4drain')
