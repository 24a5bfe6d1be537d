"""One reader under the fuzzer: `python -m tests.fuzz.targets NAME SECONDS DIRECTORY`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pushsvc"]):
    from pushsvc.app.front import parse_request
    from pushsvc.core.cursor import parse_cursor
    from pushsvc.core.duration import parse_duration
    from pushsvc.core.selector import parse
    from pushsvc.errors import Problem
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
    "cursor": (b"f3a1c2d4.42", _text(parse_cursor)),
    "duration": (b"1h30m5s10ms", _text(lambda text: parse_duration(text, "window"))),
    "message": (b'{"type":"watch","select":["a"],"max_hz":5}', decode_message),
    "request-head": (
        b"GET /v1/stream?select=a HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
        parse_request,
    ),
}
"""By name: an input that is good, and the reader, which may raise nothing but Problems."""
NAMES = tuple(READERS)


def main() -> None:
    name, seconds, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    good, read = READERS[name]

    def one(data: bytes) -> None:
        with contextlib.suppress(Problem):
            read(data)

    with tempfile.TemporaryDirectory() as corpus:
        (Path(corpus) / "good").write_bytes(good)
        for kept in directory.glob("*-*"):
            (Path(corpus) / kept.name).write_bytes(kept.read_bytes())
        atheris.Setup(
            [
                sys.argv[0],
                f"-max_total_time={seconds}",
                "-max_len=4096",
                "-timeout=5",
                "-rss_limit_mb=1024",
                "-print_final_stats=1",
                f"-artifact_prefix={directory}/",
                corpus,
            ],
            one,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
