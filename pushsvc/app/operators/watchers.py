"""`/v1/subscribers`: who is connected, and who is slow, by how much and why. For operators."""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.context import Context
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.errors import Malformed

_LISTED = 100


def install(app: QuartTrio, context: Context) -> None:
    peers = context.peers
    if peers is not None:

        async def answer(body: bytes) -> bytes:
            return msgspec.msgpack.encode(_slowest(context, msgspec.msgpack.decode(body, type=int)))

        peers.answer("subscribers", answer)

    @app.get("/v1/subscribers")
    async def subscribers() -> Response:
        parameters.refuse_unknown(request.args, ("limit",))
        limit = parameters.number(request.args, "limit") or _LISTED
        if limit != int(limit):
            raise Malformed("limit", "limit must be a whole number above 0")
        count, slowest = _slowest(context, int(limit))
        if peers is not None:
            for one in slowest:
                one["worker"] = peers.index
            asked = await peers.ask_others("subscribers", msgspec.msgpack.encode(int(limit)))
            for index, said in asked.items():
                more, theirs = msgspec.msgpack.decode(said, type=tuple[int, list[dict[str, Any]]])
                count += more
                slowest += [{**one, "worker": index} for one in theirs]
            slowest.sort(key=_slowness, reverse=True)
        body = {"count": count, "subscribers": slowest[: int(limit)]}
        return Response(msgspec.json.encode(body), content_type="application/json")


def _slowest(context: Context, limit: int) -> tuple[int, list[dict[str, Any]]]:
    """How many subscribers this process has, and those of them that are slowest."""
    now = trio.current_time()
    everyone = list(context.hub.subscribers.values())
    slowest = sorted(
        everyone, key=lambda one: (_stalled(one, now) or 0.0, one.behind), reverse=True
    )
    return len(everyone), [_describe(one, now) for one in slowest[:limit]]


def _slowness(described: dict[str, Any]) -> tuple[float, int]:
    return described["stalled"] or 0.0, described["behind"]


def _stalled(subscriber: Subscriber, now: float) -> float | None:
    since = subscriber.carrier.stalled_since()
    return None if since is None else now - since


def _describe(subscriber: Subscriber, now: float) -> dict[str, Any]:
    stalled = _stalled(subscriber, now)
    if stalled is not None:
        reason = "takes no bytes"
    elif subscriber.catching_up and subscriber.behind:
        reason = "catching up"
    else:
        reason = None
    wish = subscriber.view.wish
    return {
        # A whole session could be used to change what its stream shows.
        "session": subscriber.session[:8],
        "transport": subscriber.transport,
        "address": subscriber.address,
        "view": {
            "select": [selector.text for selector in wish.selectors],
            "max_hz": wish.max_hz,
            "merge": wish.merge,
        },
        "seconds": round(now - subscriber.since, 3),
        "behind": subscriber.behind,
        "stalled": None if stalled is None else round(stalled, 3),
        "reason": reason,
        "frames": subscriber.frames,
        "late": subscriber.late,
        "replayed": subscriber.replayed,
        "blocked": subscriber.blocked,
        "overtaken": subscriber.overtaken,
    }
