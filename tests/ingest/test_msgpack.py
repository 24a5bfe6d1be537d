"""The native format as MessagePack, any bytes at all, and messages with their tags."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.errors import Malformed, Problem, Rejected, TooLarge
from pushsvc.ingest.native import JSON, MSGPACK, Codec, NativeDecoder
from tests.ingest.test_native import (
    LIMITS,
    NOW,
    Said,
    check_batch,
    check_problem,
    grouped,
    plain,
    published,
)

ENCODE = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}
both = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])


@settings(max_examples=40, deadline=None)
@given(published())
def test_what_was_sent_comes_out(samples: list[tuple[Said, dict[str, Any]]]) -> None:
    decoder = NativeDecoder(LIMITS)
    body = msgspec.msgpack.encode({"samples": [sample for _, sample in samples]})
    for _ in range(2):  # the second time what is remembered has its say
        assert plain(decoder.batch(body, NOW, MSGPACK).rows) == plain(grouped(samples))


def test_one_decoder_knows_both_ways_to_write_labels() -> None:
    decoder = NativeDecoder(LIMITS)
    sample = {"name": "up", "labels": {"host": "a"}, "value": 1}
    for codec in (JSON, MSGPACK, JSON, MSGPACK):
        for written in (sample, {"name": "up", "value": 1}):
            (rows,) = decoder.batch(ENCODE[codec](written), NOW, codec).rows
            assert rows.identity.text == ('up{host="a"}' if "labels" in written else "up")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"name": "a", "value": float("nan")}, "value"),
        ({"name": "a", "value": float("inf")}, "value"),
        ({"name": "a", "value": b"x"}, "schema"),
        ({"name": "a", "value": 1, "labels": 123}, "labels"),
        ({"name": "a", "value": 1, "labels": {1: "x"}}, "labels"),
        ({"name": "a", "value": 1, "vaule": 1}, "schema"),
        ([1], "schema"),
    ],
)
def test_bad_documents(document: Any, code: str) -> None:
    with pytest.raises((Malformed, Rejected)) as caught:
        NativeDecoder(LIMITS).batch(msgspec.msgpack.encode(document), NOW, MSGPACK)
    assert caught.value.code == code


bodies = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "value", "labels", "time", "samples", "tag"]), inner
            )
        ),
        max_leaves=8,
    ).map(msgspec.msgpack.encode),
)


@settings(max_examples=150, deadline=None)
@given(bodies, st.sampled_from([JSON, MSGPACK]))
def test_any_bytes_are_a_batch_or_a_problem(body: bytes, codec: Codec) -> None:
    decoder = NativeDecoder(LIMITS)
    found: list[Problem] = []
    try:
        check_batch(decoder.batch(body, NOW, codec))
        tag, batch = decoder.message(body, NOW, codec)
        assert tag is None
        check_batch(batch)
    except Problem as problem:
        found.append(problem)
    for one in found:
        check_problem(one)
    with pytest.raises(Malformed):
        decoder.batch(b"\x91" * 100_000, NOW, MSGPACK)


@both
@pytest.mark.parametrize("tag", [None, "a7", 7, -1])
def test_a_message_may_have_a_tag(codec: Codec, tag: str | int | None) -> None:
    decoder, encode = NativeDecoder(LIMITS), ENCODE[codec]
    sample = {"name": "a", "value": 1}
    said, batch = decoder.message(encode({"tag": tag, "samples": [sample]}), NOW, codec)
    assert (said, batch.count) == (tag, 1)
    assert decoder.message(encode(sample), NOW, codec)[0] is None
    for bad in (
        {"tag": tag, "samples": [{"name": "", "value": 1}]},
        {"tag": tag, "samples": [sample], "vaule": 1},
        {"tag": tag, "samples": 5},
        {"tag": tag},
    ):
        with pytest.raises((Malformed, Rejected)) as caught:
            decoder.message(encode(bad), NOW, codec)
        assert caught.value.extra["tag"] == tag
    with pytest.raises(Malformed) as wrong:
        decoder.message(encode({"tag": [1], "samples": [sample]}), NOW, codec)
    assert wrong.value.extra["tag"] is None
    with pytest.raises(TooLarge):
        decoder.message(encode({"tag": tag, "samples": [sample] * 51}), NOW, codec)
    with pytest.raises(Malformed, match="tag"):
        decoder.batch(encode({"tag": tag, "samples": [sample]}), NOW, codec)
