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
    hub = context.hub

    @app.get("/v1/subscribers")
    async def subscribers() -> Response:
        parameters.refuse_unknown(request.args, ("limit",))
        limit = parameters.number(request.args, "limit") or _LISTED
        if limit != int(limit):
            raise Malformed("limit", "limit must be a whole number above 0")
        now = trio.current_time()
        everyone = list(hub.subscribers.values())
        slowest = sorted(everyone, key=lambda one: _slowness(one, now), reverse=True)
        body = {
            "count": len(everyone),
            "subscribers": [_describe(one, now) for one in slowest[: int(limit)]],
        }
        return Response(msgspec.json.encode(body), content_type="application/json")


def _slowness(subscriber: Subscriber, now: float) -> tuple[float, int]:
    return _stalled(subscriber, now) or 0.0, subscriber.behind


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
