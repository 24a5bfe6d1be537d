"""The data model: which names and labels there are, and when two series are the same."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushsvc.core.model.series import Batch, Rows, identify, quote, shorten
from pushsvc.core.query.selector import parse
from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Rejected

LIMITS = Limits(labels=3, name_bytes=10, value_bytes=8)

names = st.sampled_from(["up", "u", "p:_9", "http.server", "9u", "on", 'a",b="c', "é\n\\"])
# Few and short, so that two draws are often the same or nearly so.
values = st.text('a",=}{\\\n ', max_size=2) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=2
)
labels = st.dictionaries(st.sampled_from(["a", "b", "A_", "a.b", '"', "é ="]), values, max_size=2)
parts = st.tuples(names, labels)


@settings(max_examples=50)
@given(parts, st.randoms(use_true_random=False))
def test_order_and_empty_values_make_no_difference(
    one: tuple[str, dict[str, str]], random: Random
) -> None:
    name, given_labels = one
    limits = Limits()
    identity = identify(name, given_labels, limits)
    shuffled = list(given_labels.items())
    random.shuffle(shuffled)
    again = identify(name, {**dict(shuffled), "empty": ""}, limits)
    assert again.text == identity.text
    assert again.labels == identity.labels
    assert list(identity.labels) == sorted(
        (label, value) for label, value in given_labels.items() if value
    )


@settings(max_examples=60)
@given(parts, parts)
def test_the_text_is_equal_exactly_when_the_parts_are(
    one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]
) -> None:
    a, b = (identify(name, given_labels, Limits()) for name, given_labels in (one, other))
    assert (a.text == b.text) is ((a.name, a.labels) == (b.name, b.labels))


@settings(max_examples=60)
@given(parts, parts)
def test_the_text_is_a_selector_of_the_series(
    one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]
) -> None:
    a, b = (identify(name, given_labels, Limits()) for name, given_labels in (one, other))
    selector = parse(a.text)
    assert selector.matches(a)
    # A series of more labels is matched too, as in PromQL; one that lacks any is not.
    assert selector.matches(b) is (a.name == b.name and set(a.labels) <= set(b.labels))


@pytest.mark.parametrize(
    ("name", "given_labels", "code", "says"),
    [
        ("", {}, "name", "empty"),
        ("u\ud800p", {}, "name", r"'u\ud800p' is not valid Unicode"),
        ("é" * 6, {}, "name", "12 bytes long"),
        ("a" * 11, {}, "name", "limits.name_bytes"),
        ("up", {"": "x"}, "label", "label name of 'up' is empty"),
        ("up", {"\udfff": "x"}, "label", "lone surrogate"),
        ("up", {"__name__": "x"}, "label", "reserved"),
        ("up", {"__": ""}, "label", "reserved"),
        ("up", {"a" * 11: "x"}, "label", "limits.name_bytes"),
        ("up", {"a": "x" * 9}, "label", "9 bytes long, the limit is 8 (limits.value_bytes)"),
        ("up", {"a": "é" * 5}, "label", "10 bytes long"),
        ("up", {"a": "\ud800"}, "label", "lone surrogate"),
        ("up", dict.fromkeys("abcd", "x"), "labels", "4 labels, the limit is 3 (limits.labels)"),
    ],
)
def test_what_breaks_the_model_is_named(
    name: str, given_labels: dict[str, str], code: str, says: str
) -> None:
    with pytest.raises(Rejected) as caught:
        identify(name, given_labels, LIMITS)
    assert caught.value.code == code
    assert says in caught.value.detail
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    ("name", "given_labels", "text"),
    [
        ("a" * 10, {}, "a" * 10),
        (":up", {"_a": "x" * 8}, ':up{_a="xxxxxxxx"}'),
        ("up", {"b": "2", "a": "1", "C": "3"}, 'up{C="3",a="1",b="2"}'),
        ("up", {"a": 'q"\\\n'}, r'up{a="q\"\\\n"}'),
        ("up", {"a": "é" * 4}, 'up{a="éééé"}'),
        ("u.p", {}, '{"u.p"}'),
        ("u.p", {"a.b": "c", "a": "x"}, '{"u.p",a="x","a.b"="c"}'),
        ("on", {"a": "x"}, '{"on",a="x"}'),
        ('u"\\\n', {'"': "x"}, r'{"u\"\\\n","\""="x"}'),
        ("9é", {}, '{"9é"}'),
    ],
)
def test_what_keeps_to_it_has_a_canonical_form(
    name: str, given_labels: dict[str, str], text: str
) -> None:
    assert identify(name, given_labels, LIMITS).text == text


def test_a_strangers_text_is_quoted_briefly() -> None:
    hostile = "x" * 10_000
    for name, given_labels in ((hostile, {}), ("up", {hostile: "x"}), ("up", {"a": hostile})):
        with pytest.raises(Rejected) as caught:
            identify(name, given_labels, LIMITS)
        assert len(caught.value.detail) < 300


def test_quotes_and_shortens() -> None:
    assert quote('a"b\\c\nd') == r'"a\"b\\c\nd"'
    assert shorten("x" * 60) == repr("x" * 60)
    assert shorten("x" * 61) == repr("x" * 60 + "…")


def test_a_batch_counts_its_samples() -> None:
    up, down = identify("up", {}, LIMITS), identify("down", {}, LIMITS)
    batch = Batch([Rows(up, [1, 2], [1.0, 2.0]), Rows(down, [1], [None])])
    assert batch.count == 3
    assert [rows.stateful for rows in batch.rows] == [False, None]
    assert Rows(up, [1, 2], [None, True]).stateful is True
    assert Rows(up, [1], [True]).stateful
    assert Batch([]).count == 0
