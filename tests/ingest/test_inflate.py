"""Content codings: what was compressed comes out, and no more of it than is allowed."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from pushsvc.errors import Malformed, Problem, TooLarge, UnsupportedMedia
from pushsvc.ingest.inflate import Inflater, inflate, inflate_whole, is_whole

DEFLATE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "identity": bytes,
    "": bytes,
}

codings = st.sampled_from(sorted(DEFLATE))
compressed = st.sampled_from(["gzip", "deflate", "zstd"])


def in_parts(coding: str, body: bytes, size: int) -> bytes:
    inflater = Inflater(coding, 1_000_000)
    out = [
        piece for at in range(0, len(body), size) for piece in inflater.feed(body[at : at + size])
    ]
    inflater.finish()
    return b"".join(out)


@settings(max_examples=60, deadline=None)
@given(codings, st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.integers(1, 300))
def test_any_body_in_any_parts(coding: str, members: list[bytes], size: int) -> None:
    body = b"".join(DEFLATE[coding](member) for member in members)
    assert in_parts(coding, body, size) == b"".join(members)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_bomb_meets_the_bound_and_little_memory(coding: str) -> None:
    bomb = DEFLATE[coding](bytes(64 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(TooLarge, match=r"limits\.body_bytes"):
        inflate(coding, bomb, 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_nothing_is_inflated_ahead_of_its_reader(coding: str) -> None:
    bomb = DEFLATE[coding](bytes(16 * 1024 * 1024))
    inflater = Inflater(coding, 16 * 1024 * 1024)
    pieces = inflater.feed(bomb)
    for _ in range(3):
        assert 0 < len(next(pieces)) <= 64 * 1024
    assert sum(len(piece) for piece in pieces) == 16 * 1024 * 1024 - 3 * 64 * 1024
    inflater.finish()


def test_a_window_too_large_to_hold_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(b"x" * 100) + compressor.flush()
    with pytest.raises(Malformed, match="zstd"):
        inflate("zstd", body, 1000)


@settings(max_examples=40, deadline=None)
@given(compressed, st.binary(min_size=1, max_size=100), st.data())
def test_a_body_cut_short_is_said_so(coding: str, body: bytes, data: st.DataObject) -> None:
    whole = DEFLATE[coding](body)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Malformed):
        inflate(coding, whole[:cut], 1000)


@settings(max_examples=100, deadline=None)
@given(compressed, st.binary(max_size=100), st.integers(0, 200), st.integers(0, 255))
def test_any_bytes_are_a_body_or_a_problem(coding: str, body: bytes, at: int, byte: int) -> None:
    spoilt = bytearray(DEFLATE[coding](body))
    spoilt[at % len(spoilt)] = byte
    for sent in (body, bytes(spoilt)):
        problem = None
        try:
            inflate(coding, sent, 1000)
        except Problem as caught:
            problem = caught
        assert problem is None or (400 <= problem.status < 500 and len(problem.detail) < 300)


def test_other_codings_are_refused_by_name() -> None:
    for coding in ("br", "gzip, gzip", "x" * 1000):
        with pytest.raises(UnsupportedMedia, match="gzip, zstd, deflate") as caught:
            Inflater(coding, 10)
        assert len(caught.value.detail) < 200
    assert inflate("GZIP ", gzip.compress(b"x"), 10) == b"x"


def test_an_endless_body_may_grow_as_text_does_but_not_as_a_bomb() -> None:
    lines = b"".join(b'{"name":"m%d","value":%d}\n' % (i % 7, i) for i in range(20_000))
    inflater = Inflater("gzip", 1000, endless=True)
    assert b"".join(inflater.feed(gzip.compress(lines))) == lines
    inflater.finish()
    inflater = Inflater("zstd", 1000, endless=True)
    with pytest.raises(TooLarge, match="200 times"):
        list(inflater.feed(zstd.compress(bytes(10_000_000))))
    inflater = Inflater("", 1000, endless=True)
    assert sum(len(piece) for _ in range(10) for piece in inflater.feed(bytes(1000))) == 10_000


WHOLE = {
    "snappy": lambda body: bytes(cramjam.snappy.compress_raw(body)),
    "Snappy": lambda body: bytes(cramjam.snappy.compress(body)),
    "x-snappy-framed": lambda body: bytes(cramjam.snappy.compress(body)),
    "lz4": lambda body: bytes(cramjam.lz4.compress(body)),
}


@pytest.mark.parametrize("coding", WHOLE)
def test_whole_bodies_as_the_collector_sends_them(coding: str) -> None:
    assert is_whole(coding)
    body = b"sample " * 1000
    sent = WHOLE[coding](body)
    assert inflate_whole(coding, sent, len(body)) == body
    with pytest.raises(TooLarge, match=r"limits\.body_bytes"):
        inflate_whole(coding, sent, len(body) - 1)
    for bad in (sent[:-9], b"\xff" * 50, b"garbage"):
        with pytest.raises(Malformed):
            inflate_whole(coding, bad, 10_000)


def test_zlib_is_deflate() -> None:
    assert inflate("zlib", zlib.compress(b"abc"), 10) == b"abc"
    assert not is_whole("zlib")
