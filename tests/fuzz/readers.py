"""What is fuzzed: each reader of bytes that strangers send, with an input that is good."""

from __future__ import annotations

from collections.abc import Callable

from pushsvc.app.http.plain import read_request
from pushsvc.core.expression.reading import read
from pushsvc.core.model.cursor import parse_cursor
from pushsvc.core.model.duration import parse_duration
from pushsvc.core.query.selector import parse
from pushsvc.transport.inbound import decode_message
from tests.ingest.decoders import DECODERS, VALID, check


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode(errors="replace"))


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    **{
        name: (VALID[name], lambda body, decode=decode: check(decode(body)))  # type: ignore[misc]
        for name, decode in DECODERS.items()
    },
    "selector": (b'a{b="c",d!~"e.*|f",__name__=~"g"}', _text(parse)),
    "expression": (
        b'sum by (a) (rate(b{c=~"d"}[5m:1s] offset 1m)) / on(e) group_left(f) g @ 5 > bool 1e3',
        _text(read),
    ),
    "cursor": (b"f3a1c2d4.42", _text(parse_cursor)),
    "duration": (b"1h30m5s10ms", _text(lambda text: parse_duration(text, "window"))),
    "message": (b'{"type":"watch","select":["a"],"max_hz":5}', decode_message),
    "request-head": (
        b"GET /v1/stream?select=a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
        read_request,
    ),
}
"""By name: an input that is good, and the reader, which may raise nothing but Problems."""
