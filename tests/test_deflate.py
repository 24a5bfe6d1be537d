"""permessage-deflate: what is negotiated, frames that everyone shares, bombs that don't go off."""

from __future__ import annotations

import contextlib
import json
import random
import zlib
from collections.abc import AsyncIterator, Iterable

import pytest
import trio

from pushsvc.app.dashboards.answer import of_this_machine
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.resources.limits import Limits, Pacing
from pushsvc.errors import TooLarge
from pushsvc.transport.deflate import negotiate
from pushsvc.transport.incoming import CloseConnection, Incoming
from tests.serving import Served, serving
from tests.test_websocket_protocol import CLOSE, HANDSHAKE, PING, PONG, TEXT, WATCH, frame

TAIL = b"\x00\x00\xff\xff"
RSV1 = 4
PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def deflate(payload: bytes, bits: int = 15) -> bytes:
    packer = zlib.compressobj(wbits=-bits)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflate(payload: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(payload + TAIL)


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", PLAIN),
        ("permessage-deflate; client_max_window_bits", PLAIN),  # Chromium and Firefox
        ('permessage-deflate; client_max_window_bits="10"', PLAIN),
        ("permessage-deflate;server_no_context_takeover; client_no_context_takeover", PLAIN),
        ("x-webkit-deflate-frame, permessage-deflate", PLAIN),
        (
            "permessage-deflate; server_max_window_bits=15",
            f"{PLAIN}; server_max_window_bits=15",
        ),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", PLAIN),
        # A smaller window would need frames of its own.
        ("permessage-deflate; server_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; unheard_of", None),
        ("permessage-bzip2", None),
        ("", None),
        (",;=,;,", None),
    ],
)
def test_what_is_negotiated(offers: str, answer: str | None) -> None:
    assert negotiate(offers) == answer


def test_a_frame_is_compressed_when_that_is_worth_it() -> None:
    points = json.dumps({"points": [[n % 50, 1732320000000 + n, n / 7] for n in range(70)]})
    compressed = Frame(points.encode()).encoded("websocket-deflate")
    assert compressed[0] == 0x80 | RSV1 << 4 | TEXT
    assert inflate(compressed[4:]) == points.encode()
    assert len(compressed) < 0.6 * len(points)
    small = Frame(b'{"type":"heartbeat"}')
    assert small.encoded("websocket-deflate") is small.encoded("websocket")
    noise = Frame(random.Random(1).randbytes(2000))
    assert noise.encoded("websocket-deflate") is noise.encoded("websocket")


def test_everyone_shares_the_compressed_bytes() -> None:
    shared = Frame(b'{"points":[' + b"[1,2,3]," * 200 + b"[1,2,3]]}")
    assert shared.encoded("websocket-deflate") is shared.encoded("websocket-deflate")


def messages(frames: Iterable[bytes], most: int = 1000) -> list[object]:
    incoming = Incoming(most, deflated=True)
    return [event for data in frames for event in incoming.feed(data)]


def ending(frames: Iterable[bytes]) -> int:
    """The code that what is said there is closed with."""
    try:
        last = messages(frames)[-1]
    except TooLarge as problem:
        return problem.close_code
    assert isinstance(last, CloseConnection)
    return last.code


@pytest.mark.parametrize("bits", [9, 15])
def test_messages_are_inflated_whole_in_fragments_and_byte_by_byte(bits: int) -> None:
    packed = deflate(WATCH, bits)
    whole = frame(TEXT, packed, rsv=RSV1)
    fragments = [
        frame(TEXT, packed[:3], rsv=RSV1, fin=False),
        frame(PING, b""),
        frame(0, packed[3:], fin=False),
        frame(0),
    ]
    plain = frame(TEXT, WATCH)
    expected = WATCH.decode()
    assert messages([whole, plain, whole]) == [expected] * 3
    assert [each for each in messages(fragments) if isinstance(each, str)] == [expected]
    assert messages([bytes([byte]) for byte in whole + whole]) == [expected] * 2


def test_a_final_block_is_read_too() -> None:
    # RFC 7692 section 7.2.3.4.
    packed = bytes((0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00))
    assert messages([frame(TEXT, packed, rsv=RSV1)]) == ["Hello"]


@pytest.mark.parametrize("fragment", [20, 10_000])
def test_a_bomb_is_stopped_while_it_inflates(fragment: int) -> None:
    packed = deflate(b" " * 10_000_000)
    assert len(packed) < 10_000
    parts = [packed[start : start + fragment] for start in range(0, len(packed), fragment)]
    frames = [frame(TEXT, parts[0], rsv=RSV1, fin=len(parts) == 1)]
    frames += [frame(0, part, fin=part is parts[-1]) for part in parts[1:]]
    assert ending(frames) == 1009


def test_a_message_of_the_largest_size_passes() -> None:
    assert messages([frame(TEXT, deflate(b"x" * 1000), rsv=RSV1)]) == ["x" * 1000]
    assert ending([frame(TEXT, deflate(b"x" * 1001), rsv=RSV1)]) == 1009


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff\xff\xff", rsv=RSV1), 1007),
        (frame(PING, b"", rsv=RSV1), 1002),
        (frame(TEXT, b"", fin=False) + frame(0, b"", rsv=RSV1), 1002),
        (frame(TEXT, deflate(b"\xc3\x28"), rsv=RSV1), 1007),
        (frame(TEXT, b"x", rsv=2), 1002),
    ],
    ids=["garbage", "compressed ping", "compressed continuation", "not UTF-8", "RSV2"],
)
def test_what_may_not_be_compressed_so(sent: bytes, code: int) -> None:
    assert ending([sent]) == code


class Compressed:
    """A connection that has permessage-deflate."""

    def __init__(self, stream: trio.abc.Stream, rest: bytes) -> None:
        self.stream = stream
        self._rest = rest

    async def receive(self) -> tuple[int, bytes, bool]:
        """The next frame: opcode, payload, and whether it came compressed."""
        with trio.fail_after(30):
            first, second = await self._read(2)
            size = second if second < 126 else int.from_bytes(await self._read(2), "big")
            payload = await self._read(size)
        packed = bool(first & 0x40)
        return first & 0x0F, inflate(payload) if packed else payload, packed

    async def _read(self, count: int) -> bytes:
        while len(self._rest) < count:
            self._rest += await self.stream.receive_some()
        data, self._rest = self._rest[:count], self._rest[count:]
        return data


@contextlib.asynccontextmanager
async def compressed(served: Served) -> AsyncIterator[Compressed]:
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    async with await served.raw(HANDSHAKE[:-2] + offer) as stream:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        head, _, rest = head.partition(b"\r\n\r\n")
        assert f"Sec-WebSocket-Extensions: {PLAIN}".encode() in head
        yield Compressed(stream, rest)


async def test_a_stream_is_compressed_both_ways() -> None:
    many = [{"name": "load", "labels": {"host": f"h{n}"}, "value": n} for n in range(100)]
    async with serving() as served:
        await served.publish(*many)
        async with compressed(served) as one:
            assert json.loads((await one.receive())[1])["type"] == "hello"
            opcode, payload, packed = await one.receive()
            assert (opcode, packed) == (TEXT, True)
            assert len(json.loads(payload)["points"]) == 100
            await one.stream.send_all(frame(TEXT, deflate(WATCH), rsv=RSV1))
            assert json.loads((await one.receive())[1])["granted"]["select"] == ["b"]
            await one.stream.send_all(frame(PING, b"still"))
            while (got := await one.receive())[0] != PONG:
                pass
            assert got[1] == b"still"


async def test_a_bomb_ends_the_stream_with_1009() -> None:
    async with serving(limits=Limits(message_bytes=1000)) as served, compressed(served) as one:
        await one.stream.send_all(frame(TEXT, deflate(b" " * 100_000), rsv=RSV1))
        while (got := await one.receive())[0] != CLOSE:
            pass
        assert got[1][:2] == (1009).to_bytes(2, "big")


async def test_compression_can_be_off() -> None:
    async with serving(stream=Pacing(compress=False)) as served:
        offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        async with await served.raw(HANDSHAKE[:-2] + offer) as stream:
            head = await stream.receive_some()
            assert b" 101 " in head
            assert b"permessage-deflate" not in head.lower()


@pytest.mark.parametrize(
    ("origin", "here"),
    [
        ("http://localhost:8080", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8080", True),
        ("https://dash.example", False),
        ("http://localhost.example", False),
        ("http://10.0.0.1:8080", False),
        ("null", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_pages_of_this_machine_are_not_compressed_for(origin: str, here: bool) -> None:
    assert of_this_machine(origin) is here
