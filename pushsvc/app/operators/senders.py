"""`/v1/producers`, for operators: who sends, since when, how much, and what was refused and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import NOT_READ, Parameter, described, json
from pushsvc.errors import Malformed
from pushsvc.ingest.producers import Producer
from pushsvc.pipeline import now_ms

_LISTED = 100


class ProducerError(msgspec.Struct, frozen=True):
    at_ms: int
    code: Annotated[str, Meta(description="As in the answer to the producer, and in /metrics.")]
    message: Annotated[str, Meta(description="With what is wrong, by an example.")]


class ProducerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One that sends: in one format, with one account and one user agent. Times are Unix
    milliseconds."""

    format: Annotated[
        str, Meta(description="As in /metrics: samples, publish, otlp, remote_write, ...")
    ]
    producer: Annotated[str, Meta(description="The subject of its token or key, or its address.")]
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["identity", "address"]})]
    key: Annotated[str, Meta(description="What its key is called; empty where it has none.")]
    agent: Annotated[str, Meta(description="Its User-Agent; empty if it has none.")]
    address: Annotated[str, Meta(description="Where its last request was from.")]
    first_ms: int
    last_ms: Annotated[int, Meta(description="When it sent something last, be it refused.")]
    requests: Annotated[int, Meta(description="Requests, messages or datagrams.")]
    samples: Annotated[int, Meta(description="Samples that were applied.")]
    rate: Annotated[float, Meta(description="Of these, how many a second in the last minute.")]
    refused: Annotated[
        int, Meta(description="Samples, lines or points that were refused while others were not.")
    ]
    refused_requests: Annotated[int, Meta(description="Requests that were refused whole.")]
    error: Annotated[ProducerError | None, Meta(description="Its last error.")]


class ProducerList(msgspec.Struct, frozen=True):
    count: Annotated[int, Meta(description="How many are known, whatever the limit.")]
    forgotten: Annotated[
        int, Meta(description="How many were forgotten, since there was no room for more.")
    ]
    now_ms: Annotated[int, Meta(description="The server's clock, in Unix milliseconds.")]
    producers: list[ProducerEntry]


def install(app: QuartTrio, context: Context) -> None:
    peers = context.peers
    if peers is not None:

        async def answer(body: bytes) -> bytes:
            return msgspec.msgpack.encode(_known(context, msgspec.msgpack.decode(body, type=int)))

        peers.answer("producers", answer)

    @app.get("/v1/producers")
    @described(
        "Who sends, the last one first",
        "For operators: what this service has been sent since its start, by format, token or "
        "address, and user agent; and what of it was refused, and why. Pods each have their own "
        "list.",
        parameters=(
            Parameter("limit", Annotated[int, Meta(ge=1, le=1000)], "How many; 100 if not said."),
        ),
        answers={200: json(ProducerList, "Those that sent last."), 400: NOT_READ},
    )
    async def producers() -> Response:
        parameters.refuse_unknown(request.args, ("limit",))
        limit = parameters.number(request.args, "limit") or _LISTED
        if limit != int(limit) or limit > 1000:
            raise Malformed("limit", "limit must be a whole number from 1 to 1000")
        limit = int(limit)
        lists = [_known(context, limit)]
        if peers is not None:
            asked = await peers.ask_others("producers", msgspec.msgpack.encode(limit))
            lists += [msgspec.msgpack.decode(said, type=ProducerList) for said in asked.values()]
        return Response(msgspec.json.encode(_merge(lists, limit)), content_type="application/json")


def _known(context: Context, limit: int) -> ProducerList:
    """The producers of this process that sent last."""
    now = now_ms()
    # Those that made room for others are the silent ones, so that all can be asked for.
    known = list(context.producers)
    entries = [_describe(context, one, now) for one in known[:limit]]
    return ProducerList(len(known), context.producers.forgotten, now, entries)


def _describe(context: Context, one: Producer, now: int) -> ProducerEntry:
    account = one.account
    return ProducerEntry(
        format=one.format,
        producer=account.name,
        kind=account.kind,
        key=context.access.key_name(account.name) if account.identified else "",
        agent=one.agent,
        address=one.address,
        first_ms=one.first_ms,
        last_ms=one.last_ms,
        requests=one.requests,
        samples=one.samples,
        rate=round(one.rate(now), 3),
        refused=one.refused,
        refused_requests=one.refused_requests,
        error=None if one.error is None else ProducerError(*one.error),
    )


def _merge(lists: list[ProducerList], limit: int) -> ProducerList:
    """The lists of several workers as one."""
    entries = list(_together(entry for each in lists for entry in each.producers))
    entries.sort(key=lambda entry: entry.last_ms, reverse=True)
    # One that sends to several workers is on each one's list.
    more = sum(max(0, each.count - len(each.producers)) for each in lists)
    return ProducerList(
        len(entries) + more,
        sum(each.forgotten for each in lists),
        max(each.now_ms for each in lists),
        entries[:limit],
    )


def _together(entries: Iterable[ProducerEntry]) -> Iterable[ProducerEntry]:
    found: dict[tuple[str, str, str, str], ProducerEntry] = {}
    for entry in entries:
        key = entry.format, entry.kind, entry.producer, entry.agent
        before = found.get(key)
        found[key] = entry if before is None else _sum(before, entry)
    return found.values()


def _sum(one: ProducerEntry, other: ProducerEntry) -> ProducerEntry:
    last = one if one.last_ms >= other.last_ms else other
    errors = [each.error for each in (one, other) if each.error is not None]
    return msgspec.structs.replace(
        last,
        first_ms=min(one.first_ms, other.first_ms),
        requests=one.requests + other.requests,
        samples=one.samples + other.samples,
        rate=round(one.rate + other.rate, 3),
        refused=one.refused + other.refused,
        refused_requests=one.refused_requests + other.refused_requests,
        error=max(errors, key=lambda error: error.at_ms, default=None),
    )
