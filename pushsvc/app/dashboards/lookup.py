"""Looking around: which series there are, and what they were."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.context import Context
from pushsvc.app.http.guard import principal_of_request
from pushsvc.core.delivery.thin import thin
from pushsvc.core.delivery.wire import describe
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.series import Value
from pushsvc.core.query.scope import Scope
from pushsvc.core.query.search import search
from pushsvc.core.storage.catalog import Series
from pushsvc.core.storage.history import is_ending
from pushsvc.errors import Malformed, Rejected
from pushsvc.pipeline import now_ms

_STEP = 500
"""Series gathered between two checkpoints."""
_MOST_POINTS = 1_000_000
"""Points in one answer."""


def install(app: QuartTrio, context: Context) -> None:
    hub, limits = context.hub, context.limits
    # What an entity tag begins with: of two processes neither knows the other's versions.
    process = secrets.token_hex(4)

    def shown() -> list[Series]:
        """What is asked for, of what may be seen."""
        asked = parameters.selectors(request.args, limits)
        return hub.catalog.select(asked, principal_of_request().read)

    @app.get("/v1/series")
    async def series() -> Response:
        parameters.refuse_unknown(request.args, ("select", "limit", "values", "ticket"))
        limit = parameters.limit(request.args)
        values = parameters.boolean(request.args, "values", True)
        tag = _tag(process, hub.catalog.version, principal_of_request().read)
        if not values and request.if_none_match.contains_weak(tag):
            return _tagged(Response(b"", status=304), tag)
        found = shown()
        described = []
        for index, one in enumerate(found[:limit]):
            if index % _STEP == _STEP - 1:
                await trio.lowlevel.checkpoint()
            document = describe(one)
            document.setdefault("help", "")
            if values:
                document["time"], document["value"] = one.history.latest() or (None, None)
                if (ended := one.history.ended) is not None:
                    document["ended"] = ended
            described.append(document)
        answer: dict[str, Any] = {"series": described}
        if limit is not None:
            answer["total"] = len(found)
        response = await _encoded(answer)
        return response if values else _tagged(response, tag)

    async def found_names(member: str, names: Collection[str]) -> Response:
        wanted = request.args.get("search", "")
        limit = parameters.limit(request.args)
        listed, total = await trio.to_thread.run_sync(search, names, wanted, limit)
        return await _encoded({member: listed, "total": total})

    def all_shown() -> bool:
        return "select" not in request.args and principal_of_request().read.selectors is None

    @app.get("/v1/label_names")
    async def label_names() -> Response:
        parameters.refuse_unknown(request.args, ("select", "search", "limit", "ticket"))
        if all_shown():
            return await found_names("labels", hub.catalog.label_names())
        names = {name for one in shown() for name, _ in one.identity.labels}
        return await found_names("labels", names | {"__name__"} if names else names)

    @app.get("/v1/label_values")
    async def label_values() -> Response:
        parameters.refuse_unknown(request.args, ("label", "select", "search", "limit", "ticket"))
        label = request.args.get("label")
        if label is None:
            raise Malformed("label", "label is missing: the label whose values are wanted")
        if all_shown():
            return await found_names("values", hub.catalog.label_values(label))
        if label == "__name__":
            return await found_names("values", {one.identity.name for one in shown()})
        labels = (dict(one.identity.labels) for one in shown())
        return await found_names("values", {one[label] for one in labels if label in one})

    @app.get("/v1/history")
    async def history() -> Response:
        parameters.refuse_unknown(request.args, ("select", "window", "until", "points", "ticket"))
        found = shown()
        until = parameters.moment(request.args, "until")
        window = parameters.seconds(request.args, "window")
        points = parameters.points(request.args)
        cursor = hub.cursor
        newest = now_ms() if until is None else until
        after = None if window is None else newest - round(window * 1000)
        # All columns are cut in one step, so that the cursor is that of every series; what takes
        # long, thinning and encoding, happens on the copies and off the loop.
        columns = []
        total = 0
        for one in found:
            past = one.history
            start = past.first if after is None else one.window_start(after)
            curve = past.curve(start, past.total, adds=one.kind == "delta")
            columns.append((describe(one), *curve))
            count = past.total - start
            total += count if points is None else min(count, points)
        if total > _MOST_POINTS:
            raise Rejected(
                "history",
                f"this would be {total} points, more than {_MOST_POINTS}: ask for fewer series, "
                "a shorter window, or fewer points= per series",
                limit=_MOST_POINTS,
            )
        body = await trio.to_thread.run_sync(_history, cursor, columns, after, until, points)
        return Response(body, content_type="application/json")


def _history(
    cursor: Cursor,
    columns: list[tuple[dict[str, Any], Sequence[int], Sequence[Value]]],
    after: int | None,
    until: int | None,
    points: int | None,
) -> bytes:
    answer = []
    for described, times, values in columns:
        stateful = described["kind"] == "state"
        if after is not None and not stateful and any(time < after for time in times):
            kept = [pair for pair in zip(times, values, strict=True) if pair[0] >= after]
            times, values = [time for time, _ in kept], [value for _, value in kept]
        if until is not None:
            kept = [pair for pair in zip(times, values, strict=True) if pair[0] <= until]
            times, values = [time for time, _ in kept], [value for _, value in kept]
        endings = [time for time, value in zip(times, values, strict=True) if is_ending(value)]
        if endings:
            pairs = zip(times, values, strict=True)
            kept = [pair for pair in pairs if not is_ending(pair[1])]
            times, values = [time for time, _ in kept], [value for _, value in kept]
        most = len(times) if points is None else points
        described["points"] = thin(times, values, most, adds=described["kind"] == "delta")
        if endings:
            described["ended"] = endings
        answer.append(described)
    return msgspec.json.encode({"id": str(cursor), "series": answer})


def _tag(process: str, version: int, scope: Scope) -> str:
    """Who may see less has other tags: a browser asks with those that another user was given."""
    seen = hashlib.blake2b(repr(scope.key).encode(), digest_size=4).hexdigest()
    return f"{process}-{version}-{seen}"


def _tagged(response: Response, tag: str) -> Response:
    response.headers["ETag"] = f'W/"{tag}"'
    response.headers["Cache-Control"] = "private, no-cache"
    return response


async def _encoded(members: dict[str, Any]) -> Response:
    body = await trio.to_thread.run_sync(msgspec.json.encode, members)
    return Response(body, content_type="application/json")
