"""Looking around: which series there are, and what they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app import parameters
from pushsvc.app.context import Context
from pushsvc.app.guard import principal_of_request
from pushsvc.core.catalog import Series
from pushsvc.core.cursor import Cursor
from pushsvc.core.history import is_ending
from pushsvc.core.series import Value
from pushsvc.core.thin import thin
from pushsvc.core.wire import describe
from pushsvc.errors import Rejected
from pushsvc.pipeline import now_ms

_STEP = 500
"""Series gathered between two checkpoints."""
_MOST_POINTS = 1_000_000
"""Points in one answer."""


def install(app: QuartTrio, context: Context) -> None:
    hub, limits = context.hub, context.limits

    def shown() -> list[Series]:
        """What is asked for, of what may be seen."""
        asked = parameters.selectors(request.args, limits)
        return hub.catalog.select(asked, principal_of_request().read)

    @app.get("/v1/series")
    async def series() -> Response:
        parameters.refuse_unknown(request.args, ("select", "ticket"))
        found = shown()
        described = []
        for index, one in enumerate(found):
            if index % _STEP == _STEP - 1:
                await trio.lowlevel.checkpoint()
            document = describe(one)
            document.setdefault("help", "")
            document["time"], document["value"] = one.history.latest() or (None, None)
            if (ended := one.history.ended) is not None:
                document["ended"] = ended
            described.append(document)
        return await _encoded({"series": described})

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


async def _encoded(members: dict[str, Any]) -> Response:
    body = await trio.to_thread.run_sync(msgspec.json.encode, members)
    return Response(body, content_type="application/json")
