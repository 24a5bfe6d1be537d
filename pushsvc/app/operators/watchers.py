"""`/v1/subscribers`, for operators: who is connected, and who is slow, by how much and why."""

from __future__ import annotations

from typing import Annotated

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import NOT_READ, Parameter, described, json
from pushsvc.auth.principal import Principal
from pushsvc.core.delivery.documents import Granted
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.errors import Malformed
from pushsvc.printable import printable

_LISTED = 100


class SubscriberEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One client. Frames, and what became of them, are counted from its connection on."""

    session: Annotated[str, Meta(description="How it begins.")]
    transport: Annotated[
        str, Meta(extra_json_schema={"enum": ["websocket", "sse", "ndjson", "longpoll", "local"]})
    ]
    address: str
    subject: Annotated[
        str | None, Meta(description="The subject of its token or key; null where it showed none.")
    ]
    key: Annotated[str, Meta(description="What its key is called; empty where it has none.")]
    agent: Annotated[str, Meta(description="Its User-Agent; empty if it has none.")]
    view: Granted
    seconds: Annotated[float, Meta(description="For how long it has been there.")]
    behind: Annotated[int, Meta(description="Batches that it hasn't been given.")]
    stalled: Annotated[float | None, Meta(description="Seconds without a byte taken.")]
    reason: Annotated[str | None, Meta(description="Why it is slow; null for who keeps up.")]
    frames: int
    late: int
    replayed: int
    blocked: int
    overtaken: int
    worker: (
        Annotated[int, Meta(description="The worker it is connected to, where there are several.")]
        | UnsetType
    ) = UNSET


class SubscriberList(msgspec.Struct, frozen=True):
    count: Annotated[int, Meta(description="How many there are, whatever the limit.")]
    subscribers: list[SubscriberEntry]


def install(app: QuartTrio, context: Context) -> None:
    peers = context.peers
    if peers is not None:

        async def answer(body: bytes) -> bytes:
            return msgspec.msgpack.encode(_slowest(context, msgspec.msgpack.decode(body, type=int)))

        peers.answer("subscribers", answer)

    @app.get("/v1/subscribers")
    @described(
        "Who is connected, the slowest first",
        "For operators. `behind` counts batches, `stalled` seconds without a byte taken; `reason` "
        "is null for who keeps up.",
        parameters=(Parameter("limit", Annotated[int, Meta(ge=1)], "How many; 100 if not said."),),
        answers={200: json(SubscriberList, "The slowest."), 400: NOT_READ},
    )
    async def subscribers() -> Response:
        parameters.refuse_unknown(request.args, ("limit",))
        limit = parameters.number(request.args, "limit") or _LISTED
        if limit != int(limit):
            raise Malformed("limit", "limit must be a whole number above 0")
        count, slowest = _slowest(context, int(limit))
        if peers is not None:
            slowest = [msgspec.structs.replace(one, worker=peers.index) for one in slowest]
            asked = await peers.ask_others("subscribers", msgspec.msgpack.encode(int(limit)))
            for index, said in asked.items():
                more, theirs = msgspec.msgpack.decode(said, type=tuple[int, list[SubscriberEntry]])
                count += more
                slowest += [msgspec.structs.replace(one, worker=index) for one in theirs]
            slowest.sort(key=_slowness, reverse=True)
        body = SubscriberList(count, slowest[: int(limit)])
        return Response(msgspec.json.encode(body), content_type="application/json")


def _slowest(context: Context, limit: int) -> tuple[int, list[SubscriberEntry]]:
    """How many subscribers this process has, and the slowest of them."""
    now = trio.current_time()
    everyone = list(context.hub.subscribers.values())
    slowest = sorted(
        everyone, key=lambda one: (_stalled(one, now) or 0.0, one.behind), reverse=True
    )
    return len(everyone), [_describe(context, one, now) for one in slowest[:limit]]


def _slowness(one: SubscriberEntry) -> tuple[float, int]:
    return one.stalled or 0.0, one.behind


def _stalled(subscriber: Subscriber, now: float) -> float | None:
    since = subscriber.carrier.stalled_since()
    return None if since is None else now - since


def _describe(context: Context, subscriber: Subscriber, now: float) -> SubscriberEntry:
    stalled = _stalled(subscriber, now)
    if stalled is not None:
        reason = "takes no bytes"
    elif subscriber.catching_up and subscriber.behind:
        reason = "catching up"
    else:
        reason = None
    spec = subscriber.view.spec
    owner = subscriber.owner
    subject = owner.id if isinstance(owner, Principal) and not owner.stranger else None
    return SubscriberEntry(
        # Only a part of the session: with all of it one could change what the stream shows.
        session=subscriber.session[:8],
        transport=subscriber.transport,
        address=subscriber.address,
        subject=subject,
        key="" if subject is None else context.access.key_name(subject),
        agent=printable(subscriber.agent),
        view=Granted(spec.max_hz, spec.merge, spec.select),
        seconds=round(now - subscriber.since, 3),
        behind=subscriber.behind,
        stalled=None if stalled is None else round(stalled, 3),
        reason=reason,
        frames=subscriber.frames,
        late=subscriber.late,
        replayed=subscriber.replayed,
        blocked=subscriber.blocked,
        overtaken=subscriber.overtaken,
    )
