from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushsvc.core.delivery.negotiate import (
    OFFERS,
    Offer,
    Transport,
    choose,
    choose_subprotocol,
    needs_events,
    prefer,
)
from pushsvc.errors import Malformed, NotAcceptable

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
JSON = "application/json"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        # Nothing asked for.
        (None, SSE),
        ("", SSE),
        (" , ", SSE),
        ("*/*", SSE),
        # By name.
        (SSE, SSE),
        (NDJSON, NDJSON),
        ("application/ndjson", "application/ndjson"),
        ("application/jsonl", "application/jsonl"),
        (JSON, JSON),
        ("Text/Event-Stream", SSE),
        # Weights.
        ("text/event-stream;q=0.5, application/json", JSON),
        ("text/event-stream;q=0.5, application/json;q=0.6", JSON),
        ("text/event-stream;q=0.501, application/json;q=0.5", SSE),
        ("application/json;q=0.001", JSON),
        ("text/event-stream ; Q=0.2 ,application/json ; q=0.3", JSON),
        ("application/json;q=1.000", JSON),
        ("application/json;q=0.2, application/json;q=0.9, text/event-stream;q=0.5", JSON),
        # Equal weights: the server's favourite.
        ("application/json, text/event-stream", SSE),
        ("application/json, application/x-ndjson", NDJSON),
        ("application/jsonl, application/ndjson", "application/ndjson"),
        # Wildcards, and that the most specific range gives the weight.
        ("text/*", SSE),
        ("application/*", NDJSON),
        ("*/*, text/event-stream;q=0.1", NDJSON),
        ("*/*, text/*;q=0.1, application/*;q=0.2, application/json;q=0.3", JSON),
        ("*/*;q=0.1, text/event-stream;q=0", NDJSON),
        ("application/*;q=0.5, application/x-ndjson;q=0.4, text/*;q=0.1", "application/ndjson"),
        # Named goes before covered by a wildcard.
        ("application/json, */*", JSON),
        ("application/json, text/plain, */*", JSON),
        ("application/*, */*", NDJSON),
        ("application/json;q=0.9, */*", SSE),
        # Parameters.
        ("text/event-stream;charset=utf-8", SSE),
        ("text/event-stream; charset=utf-8; q=0.1, application/json; q=0.2", JSON),
        ('application/json;profile="a,b;q=0", text/html', JSON),
        ('application/json;profile="a\\",b";q=0.5;ext=1, text/event-stream;q=0.4', JSON),
        # What clients send by default.
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", SSE),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", SSE),
        # What can't be read doesn't count.
        ("rubbish, application/json", JSON),
        ("text/event-stream;q=high, application/json;q=0.1", JSON),
        ("text/event-stream;q=2, application/json;q=0.1", JSON),
        ("text/event-stream;q=-1, application/json;q=0.1", JSON),
        ("text/event-stream;q=, application/json;q=0.1", JSON),
        ("text/event-stream;q=., application/json;q=0.1", JSON),
        ("text /event-stream, application/json;q=0.1", JSON),
        ("*/event-stream, application/json;q=0.1", JSON),
        (";;, application/json;q=0.1", JSON),
        ('application/json, text/event-stream;x="no end, */*', SSE),
    ],
)
def test_choice(accept: str | None, media_type: str) -> None:
    assert choose(accept).media_type == media_type


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/xml, text/plain",
        "*/*;q=0",
        "text/event-stream;q=0",
        "text/event-stream;q=0.000, text/html",
        "rubbish",
        '"',
        "image/*",
    ],
)
def test_none_acceptable_lists_what_is_on_offer(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        choose(accept)
    assert caught.value.code == "accept"
    assert caught.value.status == 406
    assert caught.value.extra["offered"] == [offer.media_type for offer in OFFERS]
    assert SSE in caught.value.detail


@pytest.mark.parametrize(
    ("media_type", "transport"),
    [
        (SSE, Transport.SSE),
        (NDJSON, Transport.NDJSON),
        ("application/jsonl", Transport.NDJSON),
        (JSON, Transport.LONGPOLL),
    ],
)
def test_transport_of_a_media_type(media_type: str, transport: Transport) -> None:
    assert choose(media_type) == Offer(transport, media_type)


def test_a_long_header_is_refused() -> None:
    with pytest.raises(Malformed, match="5000 characters"):
        choose("," * 4999 + "a")


@pytest.mark.parametrize("part", ['"', '\\"', '"\\', ",", ";", "a/b;", '";', "q=", "*/*,", "/"])
def test_a_repetitive_header_ends(part: str) -> None:
    prefer((part * 4096)[:4096], [SSE])


def test_nothing_on_offer() -> None:
    assert prefer(None, []) is None
    assert prefer("*/*", []) is None


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ([], None),
        (["pushsvc.v1"], "pushsvc.v1"),
        (["pushsvc.v2", "pushsvc.v1"], "pushsvc.v1"),
        (["bearer.secret", "pushsvc.v1"], "pushsvc.v1"),
    ],
)
def test_subprotocol(offered: list[str], answer: str | None) -> None:
    assert choose_subprotocol(offered) == answer


def test_other_subprotocols_are_refused_and_not_repeated() -> None:
    with pytest.raises(NotAcceptable) as caught:
        choose_subprotocol(["graphql-ws", "bearer.secret"])
    assert caught.value.code == "subprotocol"
    assert caught.value.extra["offered"] == ["pushsvc.v1"]
    assert "secret" not in caught.value.detail


MAINS, SUBS = ("text", "application"), ("a", "b", "c")
TYPES = [f"{main}/{sub}" for main in MAINS for sub in SUBS]
RANGES = st.sampled_from([*TYPES, "text/*", "application/*", "*/*"])
WEIGHTS = st.sampled_from([0, 1, 250, 500, 999, 1000])


def model(ranges: dict[str, int], offers: list[str]) -> str | None:
    """RFC 9110 by the letter, slowly: score every offer, sort."""

    def score(offer: str) -> tuple[int, int]:
        for specificity, media_range in enumerate((offer, offer.split("/")[0] + "/*", "*/*")):
            if media_range in ranges:
                return ranges[media_range], -specificity
        return 0, 0

    liked = [offer for offer in offers if score(offer)[0] > 0]
    return max(liked, key=score, default=None)


@given(
    st.dictionaries(RANGES, WEIGHTS, min_size=1),
    st.lists(st.sampled_from(TYPES), unique=True),
    st.randoms(use_true_random=False),
)
def test_agrees_with_a_naive_model(
    ranges: dict[str, int], offers: list[str], random: Random
) -> None:
    parts = [f"{name};q={weight / 1000}" for name, weight in ranges.items()]
    random.shuffle(parts)
    assert prefer(", ".join(parts), offers) == model(ranges, offers)


def test_the_order_of_ranges_is_without_meaning() -> None:
    parts = ["text/event-stream;q=0.3", "application/*;q=0.4", "application/jsonl;q=0.1", "*/*"]
    assert {prefer(",".join(p), [SSE, JSON, "a/b"]) for p in permutations(parts)} == {"a/b"}


@given(st.text(alphabet='*/,;="\\ qQ01.ajson', max_size=60) | st.text(max_size=60))
def test_any_header_is_answered(accept: str) -> None:
    assert prefer(accept, [SSE, JSON]) in (SSE, JSON, None)


@pytest.mark.parametrize(
    ("accept", "first", "again"),
    [
        (SSE, True, True),
        (f"{SSE}, */*;q=0.1", False, True),
        (f"{SSE}, application/problem+json", False, False),
        # Who would be answered with something else, or with nothing, reads a status.
        (JSON, False, False),
        (NDJSON, False, False),
        ("text/html", False, False),
        (f"{SSE};q=0", False, False),
        (f"{SSE};q=0, */*", False, False),
        (f"{SSE};q=0.1, {JSON}", False, False),
        # Events are what these get; they were not asked for.
        ("*/*", False, False),
        (None, False, False),
    ],
)
def test_who_can_be_told_in_events_alone(accept: str | None, first: bool, again: bool) -> None:
    assert needs_events(accept, None) is first
    assert needs_events(accept, "a.1") is again
