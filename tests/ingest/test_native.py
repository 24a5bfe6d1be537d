"""The native format: what was sent is what comes out, or an error that says where."""

from __future__ import annotations

import json
from array import array
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pushsvc.core.model.series import Batch, Columns, Kind, Rows, identify
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, Problem, Rejected, TooLarge
from pushsvc.ingest.native import NativeDecoder
from tests.ingest.decoders import check

NOW = 1_732_320_000_000
LIMITS = Limits(
    batch_samples=50,
    labels=3,
    name_bytes=20,
    value_bytes=40,
    series=4,
    past_seconds=1000.0,
    future_seconds=100.0,
)


def decode(body: bytes | dict[str, Any], limits: Limits = LIMITS) -> Batch:
    sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return NativeDecoder(limits).batch(sent, NOW)


def decode_lines(*lines: bytes) -> tuple[Batch, list[tuple[int, Malformed | Rejected]]]:
    return NativeDecoder(LIMITS).lines(enumerate(lines, 1), NOW)


class Said(NamedTuple):
    """A series as its producer thinks of it."""

    name: str
    labels: dict[str, str]
    kind: Kind | None
    stateful: bool


def said(name: str, labels: dict[str, str], kind: Kind | None, stateful: bool) -> Said:
    return Said(name, labels, "state" if stateful and kind else kind, stateful)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
states: st.SearchStrategy[Any] = text | st.booleans()
series = st.builds(
    said,
    st.sampled_from(["up", "load:5m", "_x"]),
    st.dictionaries(st.sampled_from(["host", "job", "le"]), text),
    st.sampled_from([None, "gauge", "counter", "delta"]),
    st.booleans(),
)


def key(one: Said) -> tuple[str, frozenset[tuple[str, str]]]:
    return one.name, frozenset((label, value) for label, value in one.labels.items() if value)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["a", "b", "c", "d"]), "value": numbers},
            optional={
                "labels": st.sampled_from([{}, {"host": "x"}]),
                "time": st.sampled_from([NOW, NOW - 5, NOW + 5, NOW + 10**9]),
                "kind": st.sampled_from(["gauge", None]),
                "help": st.just("of it"),
            },
        )
        | st.builds(
            lambda name: {"name": name, "value": 1.0, "time": NOW},
            st.sampled_from(["a", "b", "c", "d", "e", "f"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_what_comes_again_is_read_as_it_was_the_first_time(samples: list[dict[str, Any]]) -> None:
    decoder = NativeDecoder(msgspec.structs.replace(LIMITS, series=100))
    body = msgspec.json.encode({"samples": samples})
    told = []
    for _ in range(3):
        try:
            told.append(repr(decoder.batch(body, NOW).rows))
        except Problem as problem:
            told.append(f"{problem.detail} {problem.extra}")
    assert told[0] == told[1] == told[2]


def test_series_that_come_again_are_the_same_columns() -> None:
    decoder = NativeDecoder(LIMITS)

    def read(*names: str, **said: Any) -> Batch:
        samples = [{"name": name, "value": 1.5, **said} for name in names]
        return decoder.batch(msgspec.json.encode({"samples": samples}), NOW)

    assert read(*"abcd").columns is None
    assert read(*"abcd").columns is None, "it is the first time that all of them are known"
    columns = read(*"abcd").columns
    assert columns is not None
    assert columns == Columns(
        columns.identities, array("q", [NOW] * 4), columns.values, (None,) * 4, False
    )
    again = read(*"abcd", time=NOW - 1).columns
    assert again is not None
    assert again.identities is columns.identities
    assert again.given
    for _ in range(3):
        assert read(*"abcda").columns is None, "one of them is there twice"
        assert read(*"abcd", kind="gauge").columns is None
        assert read(*"abc").columns is None, "so few are quicker by themselves"


@st.composite
def published(draw: st.DrawFn) -> list[tuple[Said, dict[str, Any]]]:
    """Samples that may stand in one batch, each with the series that it is of."""
    known = draw(st.lists(series, min_size=1, max_size=4, unique_by=key))
    samples = []
    for one in draw(st.lists(st.sampled_from(known), max_size=12)):
        value = draw(st.none() | (states if one.stateful else numbers))
        members: dict[str, Any] = {"name": one.name, "value": value}
        if draw(st.booleans()) or one.labels:
            members["labels"] = dict(draw(st.permutations(list(one.labels.items()))))
        if one.kind is not None and draw(st.booleans()):
            members["kind"] = one.kind
        if draw(st.booleans()):
            members["time"] = draw(st.integers(NOW - 1_000_000, NOW + 100_000))
        for field in ("unit", "help"):
            if draw(st.booleans()):
                members[field] = draw(text)
        names = draw(st.permutations(list(members)))
        samples.append((one, {name: members[name] for name in names}))
    return samples


def grouped(samples: list[tuple[Said, dict[str, Any]]]) -> list[Rows]:
    """The rows of these samples, found the long way."""
    rows: dict[Any, list[Rows]] = {}
    for one, sample in samples:
        runs = rows.setdefault(key(one), [])
        given = "time" in sample
        if not runs or runs[-1].given is not given:
            runs.append(Rows(identify(one.name, one.labels, LIMITS), [], [], given=given))
            if len(runs) > 1:
                runs[-1].unit, runs[-1].help = runs[-2].unit, runs[-2].help
        row = runs[-1]
        row.times.append(sample.get("time", NOW))
        value = sample["value"]
        row.values.append(float(value) if type(value) is int else value)
        for run in runs:  # what kind it is is said of the whole batch
            run.kind = sample.get("kind", runs[0].kind)
        row.unit = sample.get("unit", row.unit)
        row.help = sample.get("help", row.help)
    return [row for runs in rows.values() for row in runs]


def plain(rows: list[Rows]) -> list[tuple[Any, ...]]:
    """Rows by their parts, those of each series in order: identities are equal only to
    themselves."""
    return [
        (r.identity.text, r.identity.labels, r.times, r.values, r.kind, r.unit, r.help, r.given)
        for r in sorted(rows, key=lambda row: row.identity.text)
    ]


@settings(max_examples=40, deadline=None)
@given(published(), st.booleans(), st.sampled_from([None, 2]))
def test_what_was_sent_comes_out(
    samples: list[tuple[Said, dict[str, Any]]], ascii_only: bool, indent: int | None
) -> None:
    def written(document: Any) -> bytes:
        return json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode()

    expected = plain(grouped(samples))
    decoder = NativeDecoder(LIMITS)
    for _ in range(2):  # the second time what is remembered has its say
        body = written({"samples": [sample for _, sample in samples]})
        assert plain(decoder.batch(body, NOW).rows) == expected
        lines = [written(sample).replace(b"\n", b" ") for _, sample in samples]
        batch, errors = decoder.lines(enumerate(lines, 1), NOW)
        assert errors == []
        assert plain(batch.rows) == expected
        for one, sample in samples:
            alone = decoder.batch(written(sample), NOW)
            assert plain(alone.rows) == plain(grouped([(one, sample)]))
            assert alone.count == 1


def test_a_whole_number_is_a_number() -> None:
    (rows,) = decode(b'{"name":"up","value":1}').rows
    assert rows.values == [1.0]
    assert type(rows.values[0]) is float
    assert not rows.stateful


def test_labels_in_any_order_are_one_series() -> None:
    batch = decode(
        b'{"samples":[{"name":"up","labels":{"a":"1","b":"2"},"value":1},'
        b'{"name":"up","labels":{"b":"2","a":"1"},"value":2},'
        b'{"name":"up","labels":{ "b":"2", "c":"", "a":"\\u0031"},"value":3}]}'
    )
    (rows,) = batch.rows
    assert rows.identity.text == 'up{a="1",b="2"}'
    assert rows.values == [1.0, 2.0, 3.0]


def test_no_samples_are_an_empty_batch() -> None:
    assert decode({"samples": []}).rows == []
    assert decode_lines(b"", b"  \r") == (Batch([]), [])


# -- whatever comes --------------------------------------------------------------------------------

GOOD = (
    b'{"samples":[{"name":"up","labels":{"host":"a"},"value":1.5e0,"time":1732320000000,'
    b'"kind":"gauge","unit":"s","help":"\\u00e9"},{"name":"st","value":null,"kind":"state"}]}'
)

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["up", "gauge", "state", "x" * 100]),
)
fields = st.sampled_from(
    ["name", "value", "labels", "time", "kind", "unit", "help", "samples", "y" * 1000]
)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(fields, inner, max_size=6),
        st.fixed_dictionaries(
            {"name": leaves, "value": leaves},
            optional={
                "time": leaves,
                "labels": st.dictionaries(st.text(max_size=5), leaves, max_size=4),
                "kind": leaves,
                "unit": leaves,
            },
        ),
    ),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    body = bytearray(GOOD)
    for at, byte in draw(
        st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=4)
    ):
        body[at] = byte
    cut = draw(st.integers(0, len(GOOD)))
    return bytes(body[cut:] if draw(st.booleans()) else body[:cut] or body)


bodies = st.one_of(
    st.binary(max_size=60),
    spoilt(),
    documents.map(lambda document: json.dumps(document).encode()),
    documents.map(lambda document: json.dumps({"samples": [document]}).encode()),
)


def check_problem(problem: Problem) -> None:
    assert 400 <= problem.status < 500
    assert len(problem.detail) < 500, "a stranger's text is quoted at length"
    msgspec.json.encode(problem.document())


@settings(max_examples=150, deadline=None)
@given(bodies)
@example(b'{"name":"a","value":1,"time":1%b}' % (b"0" * 400))
@example(b'{"name":"a","value":1,"time":-1%b}' % (b"0" * 1_000))
@example(b'{"name":"a","value":1,"time":1%b}' % (b"0" * 5_000))
@example(b'{"name":"a","value":1%b}' % (b"0" * 5_000))
@example(b'{"name":"a","value":1,"kind":"%b"}' % (b"x" * 5_000))
@example(b'{"name":"a","value":1,"%b":0}' % (b"x" * 5_000))
@example(b'{"name":"%b","value":1,"time":5}' % (b"x" * 5_000))
@example(b'{"name":"%b","value":1,"kind":"state"}' % (b"x" * 5_000))
@example(b'{"name":"%b","value":1,"labels":[]}' % (b"x" * 5_000))
@example(b'{"name":"a","value":1,"labels":{"%b":""}}' % (b"x" * 5_000))
@example(b'{"name":"a","value":"\\ud800"}')
@example(b"[" * 100_000)
@example(b'{"samples":' + b"[" * 100_000)
@example(b'{"name":"a","value":1,"labels":' + b'{"a":' * 100_000)
def test_any_bytes_are_a_batch_or_a_problem(body: bytes) -> None:
    try:
        check_batch(decode(body))
    except Problem as problem:
        check_problem(problem)
    batch, errors = decode_lines(body, b'{"name":"last","value":7}')
    check_batch(batch)
    for number, error in errors:
        assert number == 1
        check_problem(error)
    last = batch.rows[-1]
    assert (last.identity.text, last.values) == ("last", [7.0])


def check_batch(batch: Batch) -> None:
    check(batch)
    for rows in batch.rows:
        assert all(NOW - 1_000_000 <= time <= NOW + 100_000 for time in rows.times)


def test_lines_are_told_of_lines_and_series() -> None:
    decoder = NativeDecoder(LIMITS)
    for first, second, says in (
        ('"value":1', '"value":"NaN"', "a has numbers, and this line's value is text or a boolean"),
        ('"value":"on"', '"value":1', "a has states, and this line's value is a number"),
        ('"value":1,"kind":"delta"', '"value":1,"kind":"gauge"', "a is a delta, and this line say"),
        ('"value":null,"kind":"gauge"', '"value":"on"', "a is a gauge by one line, and has states"),
    ):
        lines = [f'{{"name":"a",{fields}}}'.encode() for fields in (first, second)]
        _, [(number, error)] = decoder.lines(enumerate(lines, 1), NOW)
        assert number == 2
        assert error.detail.startswith(says)


# -- all or nothing --------------------------------------------------------------------------------

A: dict[str, Any] = {"name": "a", "value": 1}
NONE: dict[str, Any] = {"name": "a", "value": None}


@pytest.mark.parametrize(
    ("samples", "index", "code", "says"),
    [
        ([{"name": "", "value": 1}], 0, "name", "metric name is empty"),
        ([A, {"name": "b", "value": 1, "labels": {"__x": "1"}}], 1, "label", "'__x'"),
        ([A, A, {"name": "b", "value": 1, "labels": {"x": 1}}], 2, "labels", "str"),
        ([A, {"name": "a", "value": "on"}], 1, "value", "both numbers and states"),
        ([A, {"name": "a", "value": "on", "kind": "state"}], 1, "value", "both numbers and"),
        ([{"name": "a", "value": "on"}, A], 1, "value", "both numbers and states"),
        ([A, {**A, "kind": "delta"}, {**A, "kind": "gauge"}], 2, "kind", "both delta and gauge"),
        ([A, {**A, "kind": "state"}], 1, "value", "a is a state"),
        ([A, {**NONE, "kind": "state"}], 1, "value", "a is a state in one batch with numbers"),
        ([{**NONE, "kind": "state"}, A], 1, "value", "a is a state in one batch with numbers"),
        ([NONE, A, {**A, "value": "on"}], 2, "value", "both numbers and states"),
        ([A, {**NONE, "time": NOW}, {**A, "value": "on"}], 2, "value", "both numbers and states"),
        ([{**A, "value": "on"}, {**NONE, "kind": "gauge"}], 1, "value", "a is a gauge in one"),
        ([{**NONE, "kind": "gauge"}, {**A, "value": "on"}], 1, "value", "a is a gauge in one"),
        ([{**A, "value": True, "kind": "gauge"}], 0, "value", "a is a gauge"),
        ([{**A, "value": "x" * 41}], 0, "value", "limits.value_bytes"),
        ([{**A, "value": "é" * 21}], 0, "value", "42 bytes"),
        ([{**A, "unit": "x" * 41}], 0, "unit", "limits.value_bytes"),
        ([{**A, "help": "x" * 41}], 0, "help", "limits.value_bytes"),
        ([A, {**A, "time": NOW - 1_000_001}], 1, "time", "1000 s in the past"),
        ([A, {**A, "time": NOW + 100_001}], 1, "time", "100 s ahead"),
        ([{**A, "time": NOW // 1000}], 0, "time", "looks like seconds"),
        ([{**A, "time": NOW * 1000}], 0, "time", "looks like microseconds"),
        ([{**A, "time": NOW * 1_000_000}], 0, "time", "looks like nanoseconds"),
    ],
)
def test_an_error_says_which_sample(
    samples: list[dict[str, Any]], index: int, code: str, says: str
) -> None:
    with pytest.raises((Rejected, Malformed)) as caught:
        decode({"samples": samples})
    assert caught.value.extra["index"] == index
    assert caught.value.detail.startswith(f"samples[{index}]: ")
    assert caught.value.code == code
    assert says in caught.value.detail


def test_a_batch_has_a_limit() -> None:
    assert decode({"samples": [A] * 50}).count == 50
    with pytest.raises(TooLarge, match=r"51 samples.*limits\.batch_samples") as caught:
        decode({"samples": [A] * 51})
    assert caught.value.extra["limit"] == "batch_samples"


def test_lines_stand_each_on_its_own() -> None:
    batch, errors = decode_lines(
        b'{"name":"a","value":1}',
        b"",
        b"{",
        b'{"name":"a","value":2,"colour":"red"}',
        b'{"name":"a","value":3,"time":7}',
        b'{"name":"a","value":4}\r',
    )
    assert [(number, error.code) for number, error in errors] == [
        (3, "json"),
        (4, "schema"),
        (5, "time"),
    ]
    (rows,) = batch.rows
    assert rows.values == [1.0, 4.0]


def test_null_is_an_ending_of_any_kind_and_founds_none() -> None:
    batch = decode(
        {
            "samples": [
                NONE,
                {**A, "time": NOW - 2},
                {**NONE, "time": NOW - 1},
                {"name": "b", "value": None, "kind": "counter"},
                {"name": "c", "value": "on", "kind": "state"},
                {"name": "c", "value": None},
            ]
        }
    )
    found = [(r.identity.text, r.values, r.times, r.given, r.stateful, r.kind) for r in batch.rows]
    assert found == [
        ("a", [None], [NOW], False, None, None),
        ("a", [1.0, None], [NOW - 2, NOW - 1], True, False, None),
        ("b", [None], [NOW], False, None, "counter"),
        ("c", ["on", None], [NOW, NOW], False, True, "state"),
    ]


def test_a_kind_is_said_of_all_rows_of_a_batch() -> None:
    said = [{**A, "value": "on", "time": NOW}, {**A, "value": "off", "kind": "state"}]
    assert [rows.kind for rows in decode({"samples": said}).rows] == ["state", "state"]


def test_many_endings_cost_no_more_than_many_samples() -> None:
    # Each is compared with those before it, which must not all be looked at.
    many = decode({"samples": [NONE] * 20_000 + [A]}, Limits(past_seconds=1e9))
    assert many.count == 20_001


@pytest.mark.parametrize(
    ("first", "refused"),
    [
        (b'{"name":"a","value":"on"}', b'{"name":"a","value":1,"kind":"gauge","unit":"s"}'),
        (b'{"name":"a","value":1}', b'{"name":"a","value":"on","kind":"state","help":"h"}'),
        (
            b'{"name":"a","value":1,"kind":"gauge"}',
            b'{"name":"a","value":1,"kind":"delta","unit":"s"}',
        ),
    ],
)
def test_a_refused_line_leaves_nothing_behind(first: bytes, refused: bytes) -> None:
    alone, _ = decode_lines(first)
    batch, errors = decode_lines(first, refused)
    assert [number for number, _ in errors] == [2]
    assert plain(batch.rows) == plain(alone.rows)


# -- what is remembered ----------------------------------------------------------------------------


def test_a_series_that_comes_again_is_the_same_object() -> None:
    decoder = NativeDecoder(LIMITS)
    body = b'{"name":"up","labels":{"host":"a"},"value":1}'
    assert decoder.batch(body, NOW).rows[0].identity is decoder.batch(body, NOW).rows[0].identity


def test_memory_is_bounded_by_count_and_by_size() -> None:
    decoder = NativeDecoder(LIMITS)
    for host in range(100):
        decoder.batch(b'{"name":"up","labels":{"host":"%d"},"value":1}' % host, NOW)
        assert 0 < len(decoder._identities) <= 2 * LIMITS.series
    known = len(decoder._identities)
    for host in range(2):
        spaces = b" " * 10_000
        body = b'{"name":"up","labels":{%b"host":"s%d"},"value":1}' % (spaces, host)
        assert decoder.batch(body, NOW).rows[0].identity.text == f'up{{host="s{host}"}}'
    assert len(decoder._identities) == known


def test_what_was_refused_is_not_remembered() -> None:
    decoder = NativeDecoder(LIMITS)
    for _ in range(2):
        with pytest.raises(Rejected):
            decoder.batch(b'{"name":"up","labels":{"__x":"a"},"value":1}', NOW)
    assert decoder._identities == {}
