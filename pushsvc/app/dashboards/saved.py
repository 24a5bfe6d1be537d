"""Dashboards over HTTP: list, read, save, delete, and the schema they keep to.

Reading takes a token that may read. Saving takes an operator's: a dashboard is what everybody is
shown, and the right to write samples is about some series and says nothing of that.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.changes import patience
from pushsvc.app.http.connection import JSON_TYPES, read_body
from pushsvc.app.http.context import CATCH_UP, Context
from pushsvc.dashboards.library import Broken, Held
from pushsvc.dashboards.model import MOST_BYTES, check_name, read, schema
from pushsvc.dashboards.precondition import precondition
from pushsvc.dashboards.recorded import newest_seen
from pushsvc.errors import UnsupportedMedia

_THREADS: Final = 4
"""That wait on files at once: a disk that hangs doesn't take those that others need. Those that
save are others, since they wait for the log where dashboards are kept there."""


def install(app: QuartTrio, context: Context) -> None:
    library = context.dashboards
    threads, savers = trio.CapacityLimiter(_THREADS), trio.CapacityLimiter(_THREADS)
    described = msgspec.json.encode(schema())

    @app.get("/v1/dashboards")
    async def dashboards() -> Response:
        parameters.refuse_unknown(request.args, ("ticket",))
        found = await trio.to_thread.run_sync(library.list, limiter=threads)
        members = {"writable": library.writable, "dashboards": [_entry(one) for one in found]}
        return Response(msgspec.json.encode(members), content_type="application/json")

    @app.get("/v1/dashboards/schema.json")
    async def dashboard_schema() -> Response:
        return Response(described, content_type="application/schema+json")

    async def catch_up() -> None:
        """Who has a version from another process is not told of an older one."""
        tags = [request.headers.get(name, "") for name in ("If-Match", "If-None-Match")]
        await context.pipeline.catch_up(max(map(newest_seen, tags)), CATCH_UP)

    @app.get("/v1/dashboards/<name>")
    async def dashboard(name: str) -> Response:
        parameters.refuse_unknown(request.args, ("ticket",))
        await catch_up()
        held = await trio.to_thread.run_sync(library.get, name, limiter=threads)
        seconds = patience(request.headers.get("Prefer", ""))
        waited = False
        if seconds > 0 and request.if_none_match.contains_weak(held.etag.strip('"')):
            waited = await context.changes.wait(name, held.etag, seconds)
            held = await trio.to_thread.run_sync(library.get, name, limiter=threads)
        response = Response(held.body, content_type="application/json")
        response.headers["ETag"] = held.etag
        response.headers["Cache-Control"] = "no-cache"
        if waited:
            response.headers["Preference-Applied"] = "wait"
        if request.if_none_match.contains_weak(held.etag.strip('"')):
            response.status_code = 304
            response.set_data(b"")
        return response

    @app.put("/v1/dashboards/<name>")
    async def save_dashboard(name: str) -> Response:
        condition = precondition(
            request.headers.get("If-Match"), request.headers.get("If-None-Match")
        )
        check_name(name)
        if request.mimetype not in JSON_TYPES:
            raise UnsupportedMedia("media_type", "a dashboard comes as application/json")
        body = await read_body(request, most=MOST_BYTES, timeout=context.pacing.body_timeout)
        wanted = await trio.to_thread.run_sync(read, body, limiter=threads)
        await catch_up()
        held, new = await trio.to_thread.run_sync(
            library.save, name, wanted, condition, limiter=savers
        )
        context.changes.saved()
        response = Response(
            msgspec.json.encode(_entry(held)),
            status=201 if new else 200,
            content_type="application/json",
        )
        response.headers["ETag"] = held.etag
        return response

    @app.delete("/v1/dashboards/<name>")
    async def delete_dashboard(name: str) -> Response:
        condition = precondition(
            request.headers.get("If-Match"), request.headers.get("If-None-Match")
        )
        await catch_up()
        await trio.to_thread.run_sync(library.delete, name, condition, limiter=savers)
        context.changes.saved()
        return Response(b"", status=204)


def _entry(one: Held | Broken) -> dict[str, object]:
    entry: dict[str, object] = {"name": one.name, "source": one.source}
    if isinstance(one, Broken):
        return {**entry, "error": one.reason}
    return {
        **entry,
        "title": one.dashboard.title,
        "etag": one.etag,
        "modified": one.modified,
    }
