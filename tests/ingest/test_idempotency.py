"""Keys: the first answer for five minutes, and no more of them than there is room for."""

from __future__ import annotations

import pytest

from pushsvc.core.resources.account import Account
from pushsvc.errors import Conflict, Malformed, Overloaded, Rejected
from pushsvc.ingest.idempotency import Answers, fingerprint, read_key

ONE = Account("192.0.2.1")
A, B = fingerprint(b"a", "application/json"), fingerprint(b"b", "application/json")


def test_the_first_answer_is_given_for_five_minutes() -> None:
    answers: Answers[int] = Answers(10)
    assert answers.begin("k", A, ONE, 0.0) is None
    answers.give("k", 7, 10.0)
    assert answers.begin("k", A, ONE, 309.0) == 7
    assert answers.begin("k", A, ONE, 310.0) is None, "it is forgotten, and counts anew"


def test_one_under_way_is_a_conflict_and_another_body_is_refused() -> None:
    answers: Answers[int] = Answers(10)
    answers.begin("k", A, ONE, 0.0)
    with pytest.raises(Conflict) as caught:
        answers.begin("k", A, ONE, 0.0)
    assert caught.value.extra["retry_after"] > 0
    with pytest.raises(Rejected, match="another body"):
        answers.begin("k", B, ONE, 0.0)
    answers.give("k", 7, 0.0)
    with pytest.raises(Rejected, match="another body"):
        answers.begin("k", B, ONE, 1.0)


def test_a_failure_may_be_tried_again() -> None:
    answers: Answers[int] = Answers(10)
    answers.begin("k", A, ONE, 0.0)
    answers.forget("k")
    assert answers.begin("k", B, ONE, 0.0) is None


def test_there_is_room_for_so_many() -> None:
    answers: Answers[int] = Answers(2, seconds=100.0)
    for key in "ab":
        answers.begin(key, A, ONE, 0.0)
    answers.give("a", 1, 5.0)
    with pytest.raises(Overloaded, match=r"limits\.idempotency_keys") as caught:
        answers.begin("c", A, ONE, 50.0)
    assert caught.value.retry_after == 55.0
    assert answers.begin("a", A, ONE, 50.0) == 1, "those that are known still count"
    assert answers.begin("c", A, ONE, 105.0) is None
    assert len(answers) == 2


@pytest.mark.parametrize(
    ("header", "key"),
    [('"8e03"', "8e03"), ("8e03", "8e03"), (' "a b" ', "a b"), (r'"a\"b"', r"a\"b"), ('"x"', "x")],
)
def test_keys(header: str, key: str) -> None:
    assert read_key(header) == key


@pytest.mark.parametrize("header", ["", '""', '"', "a b", "é", '"a', "x" * 256, '"a";p=1', "\x00"])
def test_what_is_no_key(header: str) -> None:
    with pytest.raises(Malformed, match="255"):
        read_key(header)


def test_bodies_are_told_apart_also_by_their_type() -> None:
    assert fingerprint(b"a", "application/json") != fingerprint(b"a", "application/msgpack")
