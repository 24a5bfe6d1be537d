"""RFC 6455 by the byte, against the engine's WebSockets and those that Hypercorn keeps.

The cases are those of the Autobahn test suite's chapters 2 to 7 as they apply to a server that
streams: control frames, reserved bits, opcodes, fragmentation, UTF-8 and closing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from pushsvc.core.resources.limits import Limits, Pacing
from tests.authority import Authority
from tests.serving import Served, carried, serving

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
WATCH = b'{"type":"watch","select":["b"]}'
HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """One client frame, masked with 1 2 3 4."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    else:
        head += bytes([bit | 126]) + len(payload).to_bytes(2, "big")
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


class Peer:
    """A client that says what it likes, and reads frame by frame."""

    def __init__(self, stream: trio.abc.Stream, rest: bytes) -> None:
        self.stream = stream
        self._rest = rest

    async def send(self, *frames: bytes) -> None:
        for one in frames:
            await self.stream.send_all(one)

    async def _read(self, count: int) -> bytes:
        while len(self._rest) < count:
            more = await self.stream.receive_some()
            if not more:
                raise EOFError
            self._rest += more
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    async def receive(self) -> tuple[int, bytes]:
        """The next frame from the server: never masked, never fragmented, no reserved bits."""
        with trio.fail_after(30):
            first, second = await self._read(2)
            assert first & 0xF0 == 0x80
            assert second & 0x80 == 0
            size = second
            if size == 126:
                size = int.from_bytes(await self._read(2), "big")
            elif size == 127:
                size = int.from_bytes(await self._read(8), "big")
            return first & 0x0F, await self._read(size)

    async def until(self, opcode: int) -> bytes:
        """The payload of the next frame with this opcode."""
        while True:
            got, payload = await self.receive()
            if got == opcode:
                return payload

    async def ended(self) -> bool:
        """Whether the server closes the connection; what still comes is passed over."""
        with trio.move_on_after(30), contextlib.suppress(trio.BrokenResourceError):
            while await self.stream.receive_some():
                pass
            return True
        return False


@contextlib.asynccontextmanager
async def peer(served: Served, path: str = "/v1/stream", early: bytes = b"") -> AsyncIterator[Peer]:
    """A client that has been let in, and may have said more before it was."""
    handshake = HANDSHAKE.replace(b"/v1/stream", path.encode())
    async with await served.raw(handshake + early) as stream:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        head, _, rest = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        one = Peer(stream, rest)
        if path == "/v1/stream" and not early:
            assert json.loads(await one.until(TEXT))["type"] == "hello"
        yield one


@pytest.mark.parametrize("size", [0, 1, 125])
async def test_pings_are_answered_with_their_payload(size: int) -> None:
    async with serving() as served, peer(served) as one:
        payload = bytes(range(size))
        await one.send(frame(PING, payload))
        assert await one.until(PONG) == payload


async def test_pongs_that_nobody_asked_for_are_ignored() -> None:
    async with serving() as served, peer(served) as one:
        await one.send(frame(PONG), frame(PONG, b"unasked"), frame(PING, b"x"))
        assert await one.until(PONG) == b"x"


async def watched(one: Peer) -> list[str]:
    while True:
        document = json.loads(await one.until(TEXT))
        if document["type"] == "hello":
            selected: list[str] = document["granted"]["select"]
            return selected


async def test_messages_whole_fragmented_and_in_single_bytes() -> None:
    async with serving() as served:
        async with peer(served) as one:
            await one.send(frame(TEXT, WATCH))
            assert await watched(one) == ["b"]
            fragments = [frame(TEXT, WATCH[:5], fin=False), frame(0, WATCH[5:9], fin=False)]
            await one.send(*fragments, frame(0, b"", fin=False), frame(0, WATCH[9:]))
            assert await watched(one) == ["b"]
            for byte in frame(TEXT, WATCH):
                await one.send(bytes([byte]))
            assert await watched(one) == ["b"]
        async with peer(served) as one:
            await one.send(frame(TEXT, WATCH) * 3)  # three in one segment
            for _ in range(3):
                assert await watched(one) == ["b"]


async def test_control_frames_come_between_fragments() -> None:
    async with serving() as served, peer(served) as one:
        await one.send(
            frame(TEXT, WATCH[:5], fin=False), frame(PING, b"between"), frame(0, WATCH[5:])
        )
        assert await one.until(PONG) == b"between"
        assert await watched(one) == ["b"]


BROKEN = {
    "not masked": (frame(TEXT, WATCH, masked=False), 1002),
    "reserved bit 1": (frame(TEXT, WATCH, rsv=4), 1002),
    "reserved bit 2": (frame(PING, rsv=2), 1002),
    "reserved bit 3": (frame(CLOSE, rsv=1), 1002),
    "reserved data opcode": (frame(0x3), 1002),
    "reserved control opcode": (frame(0xB), 1002),
    "fragmented ping": (frame(PING, fin=False), 1002),
    "long ping": (frame(PING, bytes(126)), 1002),
    "continuation of nothing": (frame(0, WATCH), 1002),
    "text within a text": (frame(TEXT, b"{", fin=False) + frame(TEXT, WATCH), 1002),
    "close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "close 999": (closing(999), 1002),
    "close 1004": (closing(1004), 1002),
    "close 1005": (closing(1005), 1002),
    "close 1006": (closing(1006), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xce\xba\xff"), 1007),
    "a code point cut at the end": (frame(TEXT, b"\xce"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "close reason that is not UTF-8": (closing(1000, b"\xff"), 1007),
    "binary": (frame(BINARY, b"x"), 1008),
    "not JSON": (frame(TEXT, b"x"), 1008),
    "too big": (frame(TEXT, b"x" * 2000), 1009),
    "too big in parts": (
        frame(TEXT, b"x" * 600, fin=False) + frame(0, b"x" * 600, fin=False),
        1009,
    ),
}


WAYS = {
    "detached": ("/v1/stream", "detached"),
    "detached, over TLS": ("/v1/stream", "tls"),
    "by Hypercorn": ("/v1/stream", "asgi"),
    "publishing": ("/v1/publish", "detached"),
}
ways = pytest.mark.parametrize(
    ("path", "carrier"), WAYS.values(), ids=WAYS.keys(), indirect=["carrier"]
)


@pytest.fixture
def carrier(request: pytest.FixtureRequest, certified: Authority) -> Iterator[str]:
    with carried(request.param, certified):
        yield request.param


@ways
@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_broken_is_closed_with_its_code_and_a_reason(
    sent: bytes, code: int, path: str, carrier: str
) -> None:
    if path == "/v1/publish" and code == 1008:
        return  # there it is a document that costs only its own message
    async with serving(limits=Limits(message_bytes=1000)) as served:
        async with peer(served, path) as one:
            await one.send(sent)
            payload = await one.until(CLOSE)
            assert int.from_bytes(payload[:2], "big") == code
            assert payload[2:].decode()
            await one.send(closing(code))
            assert await one.ended()
        await served.wait_metric("pushsvc_subscribers", 0)
        await served.wait_metric("pushsvc_connections", 1)


@ways
async def test_who_answers_no_close_is_cut(path: str, carrier: str) -> None:
    async with serving(limits=Limits(message_bytes=1000)) as served:
        async with peer(served, path) as one:
            await one.send(frame(TEXT, b"x" * 2000))
            await one.until(CLOSE)
            with trio.fail_after(30):
                while await served.metric("pushsvc_connections") > 1:
                    await trio.sleep(0.1)


@ways
@pytest.mark.parametrize(
    ("early", "answer"),
    [
        (frame(TEXT, b"{}") + frame(PING, b"early"), "a pong"),
        (b"GET / HTTP/1.1\r\n\r\n", "1002"),
        (b"x", "nothing"),
    ],
)
async def test_what_comes_before_the_handshake_is_answered_is_read_after_it(
    early: bytes, answer: str, path: str, carrier: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if answer == "a pong" and path == "/v1/stream":
        early = frame(TEXT, WATCH) + frame(PING, b"early")
    async with serving() as served:
        async with peer(served, path, early) as one:
            if answer == "a pong":
                assert await one.until(PONG) == b"early"
            elif answer == "1002":
                assert (await one.until(CLOSE))[:2] == (1002).to_bytes(2, "big")
                assert await one.ended()
    heard = capsys.readouterr()
    assert "Traceback" not in heard.out + heard.err
    assert "failed" not in heard.out + heard.err


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 3000, 3999, 4000, 4999])
async def test_a_close_is_answered_with_its_code(code: int) -> None:
    async with serving() as served, peer(served) as one:
        await one.send(closing(code, "tschüß".encode()))
        assert (await one.until(CLOSE))[:2] == code.to_bytes(2, "big")
        assert await one.ended()


async def test_a_close_without_a_code_is_answered_without_one() -> None:
    async with serving() as served, peer(served) as one:
        await one.send(frame(CLOSE))
        assert await one.until(CLOSE) == b""
        assert await one.ended()


async def test_nothing_is_heard_after_a_close() -> None:
    async with serving() as served, peer(served) as one:
        await one.send(closing(1000) + frame(PING, b"late") + frame(TEXT, b"x"))
        seen = []
        with contextlib.suppress(EOFError, trio.BrokenResourceError):
            while True:
                seen.append((await one.receive())[0])
        assert seen[-1] == CLOSE
        assert PONG not in seen


async def test_who_answers_pings_stays_and_who_does_not_goes() -> None:
    async with serving(stream=Pacing(heartbeat=0.5)) as served:
        async with peer(served) as deaf, peer(served) as alive:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def answer() -> None:
                    while True:
                        opcode, payload = await alive.receive()
                        if opcode == PING:
                            await alive.send(frame(PONG, payload))

                assert await deaf.ended()
                nursery.cancel_scope.cancel()
            await alive.send(frame(PING, b"still here"))
            assert await alive.until(PONG) == b"still here"
        assert await served.metric("pushsvc_subscribers_unanswering_total") == 1
