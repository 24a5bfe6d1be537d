"""The documents of protocol v1 and their wrapping, as bytes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from wsproto.frame_protocol import Frame as WireFrame
from wsproto.frame_protocol import FrameProtocol, Opcode

from pushsvc.core.delivery import wire
from pushsvc.core.delivery.wire import Frame, Wire
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.catalog import Catalog, Series

AT = Cursor("E", 42)


def series() -> Series:
    identity = identify("node_load1", {"host": 'a"\n\u2028é'}, Limits())
    return Catalog().add(Rows(identity, [1], [0.5], "gauge", "s", None), 1, 10)


def documented(frame: Frame) -> Any:
    return json.loads(frame.json)


DESCRIBED: dict[str, Any] = {
    "ref": 1,
    "name": "node_load1",
    "labels": {"host": 'a"\n\u2028é'},
    "kind": "gauge",
    "unit": "s",
}


@pytest.mark.parametrize(
    ("frame", "document", "covers"),
    [
        (
            wire.hello("E", "s1", 15.0, max_hz=10.0, merge="all", select=["up"]),
            {
                "type": "hello",
                "epoch": "E",
                "session": "s1",
                "heartbeat": 15.0,
                "granted": {"max_hz": 10.0, "merge": "all", "select": ["up"]},
            },
            None,
        ),
        (
            wire.points(AT, 40, [series()], [(1, 5, 0.5), (1, 6, 1.0, None, None, 2)]),
            {
                "type": "points",
                "id": "E.42",
                "series": [DESCRIBED],
                "points": [[1, 5, 0.5], [1, 6, 1.0, None, None, 2]],
            },
            (40, 42),
        ),
        (
            wire.points(AT, 41, None, [(1, 5, "on"), (1, 6, None), (1, 7, True)]),
            {"type": "points", "id": "E.42", "points": [[1, 5, "on"], [1, 6, None], [1, 7, True]]},
            (41, 42),
        ),
        (
            wire.points(AT, 41, None, [(1, 5, 0.5)], 1732320000000),
            {"type": "points", "id": "E.42", "time": 1732320000000, "points": [[1, 5, 0.5]]},
            (41, 42),
        ),
        (
            # Nobody is moved on by descriptions alone.
            wire.points(None, 41, [series()], []),
            {"type": "points", "series": [DESCRIBED], "points": []},
            None,
        ),
        (wire.gap(AT, 120), {"type": "gap", "id": "E.42", "lost": 120}, (42, 42)),
        (wire.gap(AT, None), {"type": "gap", "id": "E.42", "lost": None}, (42, 42)),
        (wire.gone(AT, 41, [7, 9]), {"type": "gone", "id": "E.42", "refs": [7, 9]}, (41, 42)),
        (
            wire.heartbeat(AT, 41, 1732320000000),
            {"type": "heartbeat", "id": "E.42", "time": 1732320000000},
            (41, 42),
        ),
        (
            wire.heartbeat(AT, 41, 1732320000000, 7),
            {"type": "heartbeat", "id": "E.42", "time": 1732320000000, "away": 7},
            (41, 42),
        ),
        (wire.goaway(2300), {"type": "goaway", "retry": 2300}, None),
        (
            wire.error("limit", "too much", limit="views"),
            {"type": "error", "code": "limit", "message": "too much", "limit": "views"},
            None,
        ),
    ],
)
def test_documents(frame: Frame, document: Any, covers: tuple[int, int] | None) -> None:
    assert documented(frame) == document
    if covers is None:
        assert frame.cursor is None
        assert "id" not in document
    else:
        assert frame.cursor == AT
        assert (frame.since, frame.seq) == covers
    assert frame.points == len(document.get("points", []))
    assert frame.quiet is (document["type"] == "heartbeat")
    assert b"\n" not in frame.json
    assert b"\r" not in frame.json


def test_help_is_told_if_there_is_any() -> None:
    one = series()
    assert wire.describe(one).help is msgspec.UNSET
    one.help = "What for"
    assert wire.describe(one).help == "What for"


def test_an_event_has_its_cursor_and_one_line_of_data() -> None:
    frame = wire.gap(AT, 3)
    assert frame.encoded("sse") == b'id: E.42\ndata: {"type":"gap","id":"E.42","lost":3}\n\n'
    error = wire.error("c", "m").encoded("sse")
    assert error == b'data: {"type":"error","code":"c","message":"m"}\n\n'


def test_an_event_source_is_told_in_its_own_words_when_to_come_back() -> None:
    goaway = wire.goaway(2300).encoded("sse")
    assert goaway == b'retry: 2300\ndata: {"type":"goaway","retry":2300}\n\n'


def test_a_line_ends_with_its_only_line_break() -> None:
    frame = wire.points(AT, 41, [series()], [])
    assert frame.encoded("ndjson") == frame.json + b"\n"
    assert frame.encoded("ndjson").count(b"\n") == 1


def test_chunks_add_up_to_the_body() -> None:
    frames = [wire.gap(AT, 3), wire.points(AT, 41, [series()], [(1, 5, 0.5)] * 1000)]
    for bare, chunked in (("sse", "sse-chunk"), ("ndjson", "ndjson-chunk")):
        stream = b"".join(frame.encoded(chunked) for frame in frames)  # type: ignore[arg-type]
        body = b""
        while stream:
            size, _, stream = stream.partition(b"\r\n")
            length = int(size, 16)
            body += stream[:length]
            assert stream[length : length + 2] == b"\r\n"
            stream = stream[length + 2 :]
        assert body == b"".join(frame.encoded(bare) for frame in frames)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_websocket_message_is_read_by_another_hand(size: int) -> None:
    frame = received(wire.websocket_frame(b"x" * size))
    assert frame.opcode is Opcode.TEXT
    assert frame.payload == "x" * size


def test_so_are_control_frames() -> None:
    assert received(wire.websocket_frame(b"x" * 125, 0x9)).payload == b"x" * 125
    closed = received(wire.websocket_frame(b"\x03\xe8done", 0x8))
    assert closed.opcode is Opcode.CLOSE
    assert closed.payload == (1000, "done")


def received(data: bytes) -> WireFrame:
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(data)
    (frame,) = reader.received_frames()
    assert frame.message_finished
    return frame


WIRES: tuple[Wire, ...] = (
    *("sse", "ndjson", "sse-chunk", "ndjson-chunk", "websocket"),
    *("sse-gzip", "ndjson-gzip-chunk", "sse-zstd", "ndjson-zstd-chunk"),
)


@pytest.mark.parametrize("name", WIRES)
def test_each_wire_is_encoded_once(name: Wire) -> None:
    frame = wire.gap(AT, 3)
    first = frame.encoded(name)
    assert frame.encoded(name) is first
    for other in WIRES:
        assert frame.encoded(other) is frame.encoded(other)
    assert frame.encoded(name) is first
    assert len({frame.encoded(other) for other in WIRES}) == len(WIRES)


def test_a_farewell_says_why_and_when_to_come_back() -> None:
    def types(message: str, retry_ms: int | None) -> list[str]:
        return [documented(f)["type"] for f in wire.farewell("drain", message, retry_ms)]

    assert types("", None) == []
    assert types("out", None) == ["error"]
    assert types("", 5) == ["goaway"]
    assert types("out", 5) == ["error", "goaway"]


def test_close_codes_are_ours_or_registered() -> None:
    codes = [value for name, value in vars(wire.Close).items() if name.isupper()]
    assert codes
    assert len(set(codes)) == len(codes)
    # RFC 6455 section 7.4.2: 3000-3999 are for libraries; 1004-1006 and 1015 are never sent.
    assert all(1000 <= code < 1015 or 4000 <= code < 4300 for code in codes)
    assert not {1004, 1005, 1006} & set(codes)
