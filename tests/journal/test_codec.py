"""Drafts to bytes and back."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsvc import zstd
from pushsvc.core.model.series import Batch, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.core.storage.entry import Draft
from pushsvc.core.storage.records import Change
from pushsvc.journal.codec import CodecError, compress, decode, encode, encode_plainly

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = TEXTS.filter(lambda text: bool(text) and not text.startswith("__"))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    labels = draw(st.dictionaries(NAMES, TEXTS, max_size=3))
    count = draw(st.integers(1, 4))
    values = draw(
        st.lists(
            draw(
                st.sampled_from(
                    [
                        NUMBERS,
                        st.one_of(NUMBERS, st.none()),
                        st.one_of(TEXTS, st.booleans(), st.none()),
                    ]
                )
            ),
            min_size=count,
            max_size=count,
        )
    )
    return Rows(
        identify(draw(NAMES), labels, Limits()),
        draw(st.lists(INT64, min_size=count, max_size=count)),
        values,
        draw(st.sampled_from([None, "gauge", "counter", "delta", "state"])),
        draw(st.none() | TEXTS),
        draw(st.none() | TEXTS),
        draw(st.booleans()),
        draw(st.none() | st.lists(INT64, min_size=count, max_size=count)),
    )


nonces = st.binary(min_size=16, max_size=16)
changes = st.builds(
    Change,
    TEXTS,
    TEXTS,
    st.none() | st.binary(max_size=600),
    st.none() | st.integers(0, 2**53),
    st.integers(0, 2**53),
)
drafts = st.one_of(
    st.builds(
        Draft,
        nonces,
        st.builds(Batch, st.lists(rows(), max_size=6)),
        st.booleans(),
        st.sampled_from([b"", bytes(range(32))]),
        series=st.sampled_from([0, 1, 100_000]),
    ),
    st.builds(lambda nonce, change: Draft(nonce, Batch([]), change=change), nonces, changes),
)


def told(draft: Draft) -> Any:
    """All that a draft says; -0.0 and True are told from 0.0 and 1.0."""
    return (
        (draft.nonce, draft.partial, draft.once, draft.width, draft.series),
        (draft.change, draft.sweeps),
        [
            (one.identity.text, one.identity.labels, repr(list(msgspec.structs.astuple(one))[1:]))
            for one in draft.batch.rows
        ],
    )


@given(drafts)
def test_what_is_read_is_what_was_written(draft: Draft) -> None:
    read = decode(encode(draft))
    assert told(read) == told(draft)
    assert encode(read) == encode(draft), "in columns or not"
    assert told(decode(encode_plainly(draft))) == told(draft)


@given(st.lists(st.binary(max_size=5_000), min_size=1, max_size=4))
def test_what_is_compressed_has_nothing_of_what_was_before(bodies: list[bytes]) -> None:
    for body in bodies:
        packed = compress(b"\x01\x00" + body)
        assert len(packed) <= 400 or zstd.decompress(packed[2:]) == body
        assert packed == compress(b"\x01\x00" + body)


def test_many_of_one_sort() -> None:
    same = [
        Rows(identify("up", {"host": f"h{n}"}, Limits()), [n], [float(n)], "gauge", given=True)
        for n in range(3_000)
    ]
    draft = Draft(b"n" * 16, Batch(same))
    data = encode(draft)
    assert told(decode(data)) == told(draft) == told(decode(data))
    assert len(data) < 3_000 * 16, "names that are alike cost little"
    long = Draft(b"n" * 16, Batch([Rows(same[0].identity, list(range(7_000)), [1.5] * 7_000)]))
    assert told(decode(encode(long))) == told(long)
    assert decode(encode(long)).width == 2


@given(drafts, st.data())
def test_whatever_is_broken_is_told_as_that(draft: Draft, data: st.DataObject) -> None:
    written = bytearray(encode(draft))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(written) - 1))
        written[place] ^= data.draw(st.integers(1, 255))
    del written[data.draw(st.integers(0, len(written))) :]
    with contextlib.suppress(CodecError):
        decode(bytes(written))


@given(st.binary(max_size=200))
def test_strange_bytes_are_no_draft(data: bytes) -> None:
    for head in (b"", b"\x01\x00", b"\x01\x01"):
        with contextlib.suppress(CodecError):
            decode(head + data)


def test_what_older_versions_wrote_is_read_and_they_say_that_they_read_no_records() -> None:
    samples = Draft(b"n" * 16, Batch([Rows(identify("up", {"a": "b"}, Limits()), [1], [0.5])]))
    written = bytes.fromhex(
        "01009cc4106e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6ec201c40100c400c4080100000000000000c408000000000000"
        "e03f9090c400c4099193a27570a161a162c400"
    )
    assert told(decode(written)) == told(samples)
    assert encode(samples) == written
    change = Draft(b"n" * 16, Batch([]), change=Change("dashboard", "a", b"{}", 0))
    assert encode(change)[0] == 2, "an older one refuses it, and doesn't take it for a sweep"


def test_another_version_is_named() -> None:
    with pytest.raises(CodecError, match="version 9, this reads up to 2"):
        decode(b"\x09\x00\xc0")


def test_more_than_anyone_may_write_is_not_unpacked() -> None:
    bomb = b"\x01\x01" + zstd.compress(b"\0" * ((1 << 28) + 1), 1)
    with pytest.raises(CodecError, match="cut off, or too large"):
        decode(bomb)
