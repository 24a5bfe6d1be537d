"""Which transport answers a dashboard: proactive negotiation by `Accept` (RFC 9110 section 12.5.1).

A WebSocket is asked for by an upgrade and negotiates its subprotocol (RFC 6455 section 1.9); the
other transports share the URL and are told apart by media type.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pushsvc.errors import Malformed, NotAcceptable

SUBPROTOCOL: Final = "pushsvc.v1"
_HEADERS: Final = 256
"""Values of headers whose outcome is remembered: most clients send one of a few."""


class Transport(StrEnum):
    """How documents travel to a dashboard."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    NDJSON = "ndjson"
    LONGPOLL = "longpoll"


@dataclass(frozen=True, slots=True)
class Offer:
    """A transport, under the media type by which the client knows it."""

    transport: Transport
    media_type: str


_EVENTS: Final = "text/event-stream"
_PROBLEM: Final = "application/problem+json"

OFFERS: Final = (
    Offer(Transport.SSE, _EVENTS),
    Offer(Transport.NDJSON, "application/x-ndjson"),
    Offer(Transport.NDJSON, "application/ndjson"),
    Offer(Transport.NDJSON, "application/jsonl"),
    Offer(Transport.LONGPOLL, "application/json"),
)
"""The possible answers to `GET`, the server's favourite first. NDJSON has no registered media type,
so all names in use are accepted."""

_OTHERS: Final = tuple(o.media_type for o in OFFERS if o.media_type != _EVENTS)
_BY_TYPE: Final = {offer.media_type: offer for offer in OFFERS}


@functools.lru_cache(_HEADERS)
def choose(accept: str | None) -> Offer:
    """The offer that a request's `Accept` prefers; SSE if there is no such header.

    Several `Accept` lines of one request are to be joined with commas.

    Raises NotAcceptable, whose `offered` lists the available media types, when none of them is
    accepted, and Malformed when the header is too long; the code of both is `accept`.
    """
    media_type = prefer(accept, tuple(_BY_TYPE))
    if media_type is None:
        raise NotAcceptable(
            "accept",
            "the stream is on offer as " + ", ".join(_BY_TYPE) + ", and over a WebSocket",
            offered=list(_BY_TYPE),
        )
    return _BY_TYPE[media_type]


@functools.lru_cache(_HEADERS)
def needs_events(accept: str | None, last_event_id: str | None) -> bool:
    """Whether the client can be told of a failure only by events in the stream.

    That is so for a browser's own EventSource: any status except 200 ends it for good, and its page
    doesn't see the status (HTML standard, section 9.2.3). It accepts only events, unless a polyfill
    or a proxy has added more, and no other client sends Last-Event-ID. A client that would get
    another media type reads statuses, and so does one that accepts `application/problem+json`.
    """
    accept = (accept or "")[:_LONGEST].lower()
    if _EVENTS not in accept or prefer(accept, tuple(_BY_TYPE)) != _EVENTS:
        return False
    if last_event_id is not None:
        return _PROBLEM not in accept
    return prefer(accept, (_PROBLEM, *_OTHERS)) is None


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """The WebSocket subprotocol to answer with, None if the client offered none at all.

    Raises NotAcceptable, with the code `subprotocol`, when only others are offered: a client
    must fail the connection if its subprotocol isn't among the answers, so better say why.
    """
    if not offered:
        return None
    if SUBPROTOCOL not in offered:
        # What was offered isn't repeated: some clients carry a token there.
        raise NotAcceptable(
            "subprotocol",
            f"the WebSocket subprotocol is {SUBPROTOCOL}; offer it, or none",
            offered=[SUBPROTOCOL],
        )
    return SUBPROTOCOL


def prefer(accept: str | None, offers: Sequence[str]) -> str | None:
    """The media type among `offers` that an `Accept` header gives the greatest weight.

    A type's weight is that of the most specific range that covers it. Among equals one that the
    client named goes before one it takes under a wildcard (`application/json, */*` is what HTTP
    libraries send that want JSON), then the order of `offers` decides. Parameters but `q` are
    ignored, and so are ranges that can't be read. None if nothing is accepted; without a header,
    or with an empty one, everything is.

    Raises Malformed, with the code `accept`, for a header of more than 4,096 characters.
    """
    if accept is None or not accept.strip(" \t,"):
        return offers[0] if offers else None
    if len(accept) > _LONGEST:
        raise Malformed(
            "accept", f"the Accept header is {len(accept)} characters long, {_LONGEST} are allowed"
        )
    weights: dict[str, float] = {}
    for media_range, weight in _ranges(accept):
        weights[media_range] = max(weight, weights.get(media_range, 0.0))
    best, best_rank = None, (0.0, 0)
    for offer in offers:
        main = offer.partition("/")[0]
        for specificity, media_range in ((3, offer), (2, f"{main}/*"), (1, "*/*")):
            if media_range in weights:
                rank = (weights[media_range], specificity)
                if rank[0] > 0.0 and rank > best_rank:
                    best, best_rank = offer, rank
                break
    return best


_LONGEST = 4096
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE = re.compile(rf"\*/\*|({_NAME})/(?:\*|{_NAME})")
_WEIGHT = re.compile(r"[01]|[01]\.[0-9]*|\.[0-9]+")
# Elements may hold quoted strings, in which a separator doesn't separate. Possessive: no header
# makes this backtrack.
_QUOTED = r'"(?:[^"\\]|\\.)*+"?'
_ELEMENT = re.compile(rf'(?:[^",]|{_QUOTED})++', re.DOTALL)
_PARAMETER = re.compile(rf'(?:[^";]|{_QUOTED})++', re.DOTALL)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for element in _ELEMENT.findall(accept):
        media_range, *parameters = _PARAMETER.findall(element) or [""]
        media_range = media_range.strip(" \t").lower()
        if media_range == "*":
            # Not in the grammar, but in what Java's HttpURLConnection sends by default.
            media_range = "*/*"
        found = _RANGE.fullmatch(media_range)
        weight = _weight(parameters)
        if found is not None and found[1] != "*" and weight is not None:
            yield media_range, weight


def _weight(parameters: Sequence[str]) -> float | None:
    """The value of `q`, 1 if there is none, None if it can't be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip(" \t").lower() == "q":
            value = value.strip(" \t")
            if not _WEIGHT.fullmatch(value):
                return None
            weight = float(value)
            return weight if weight <= 1.0 else None
    return 1.0
