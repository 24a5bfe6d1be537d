"""Dashboards over HTTP: list, read, save and delete them, and their JSON schema.

Reading needs a token that may read. Saving needs an operator's token: dashboards are shown to
everybody, and the right to write some series doesn't cover that.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.changes import patience
from pushsvc.app.http.connection import JSON_TYPES, read_body
from pushsvc.app.http.context import CATCH_UP, Context
from pushsvc.app.http.described import NOT_READ, TOO_SLOW, Content, Parameter, described, json
from pushsvc.dashboards.grafana import MOST_IMPORTED_BYTES, Imported, take_in
from pushsvc.dashboards.library import Broken, Held, Source
from pushsvc.dashboards.model import MOST_BYTES, check_name, read, schema
from pushsvc.dashboards.precondition import precondition
from pushsvc.dashboards.recorded import newest_seen
from pushsvc.errors import UnsupportedMedia

_THREADS: Final = 4
"""Threads that wait for files at once, apart from Trio's other threads, so that a disk that hangs
doesn't use those up. Saving uses other threads, since it waits for the log where dashboards are
kept there."""


_NAME: Final = Parameter("name", str, "1 to 64 of a-z, 0-9 and -.", "path")
_CONDITIONS: Final = (
    Parameter("If-Match", str, "The ETag of the version that is replaced.", "header"),
    Parameter("If-None-Match", str, "*: only if there is none of this name.", "header"),
)
_REFUSED: Final = (
    "The token is not an operator's, the request comes from a page of another origin, the "
    "dashboard is provisioned, or nothing is saved here."
)


class DashboardEntry(msgspec.Struct, frozen=True):
    """A dashboard without its content."""

    name: str
    source: Source
    title: str | UnsetType = UNSET
    etag: str | UnsetType = UNSET
    modified: Annotated[int, Meta(description="Unix milliseconds.")] | UnsetType = UNSET
    error: str | UnsetType = UNSET


class DashboardList(msgspec.Struct, frozen=True):
    writable: Annotated[bool, Meta(description="Whether any can be saved here.")]
    dashboards: list[DashboardEntry]


def install(app: QuartTrio, context: Context) -> None:
    library = context.dashboards
    threads, savers = trio.CapacityLimiter(_THREADS), trio.CapacityLimiter(_THREADS)
    in_full = msgspec.json.encode(schema())

    @app.get("/v1/dashboards")
    @described(
        "List dashboards",
        answers={
            200: json(
                DashboardList,
                "By name; a file that is no dashboard has an error in place of a title.",
            ),
            400: NOT_READ,
            503: "The directory can't be read just now.",
        },
    )
    async def dashboards() -> Response:
        parameters.refuse_unknown(request.args, ("ticket",))
        found = await trio.to_thread.run_sync(library.list, limiter=threads)
        listed = DashboardList(library.writable, [_entry(one) for one in found])
        return Response(msgspec.json.encode(listed), content_type="application/json")

    @app.get("/v1/dashboards/schema.json")
    @described(
        "The JSON Schema of a dashboard",
        answers={200: Content("Draft 2020-12.", {"application/schema+json": dict[str, Any]})},
    )
    async def dashboard_schema() -> Response:
        return Response(in_full, content_type="application/schema+json")

    @app.post("/v1/dashboards/import")
    @described(
        "Read a dashboard that was exported",
        "From Grafana, in its classic schema, or from pushsvc. Nothing is saved: PUT what comes "
        "of it under the name that it is to have.",
        body=json(dict[str, Any], "The file as it was exported."),
        answers={
            200: json(
                Imported,
                "The dashboard, as /v1/dashboards/schema.json, and what could not be taken.",
            ),
            400: "The body can't be read.",
            408: TOO_SLOW,
            413: "Larger than 2 MiB.",
            415: "Not JSON.",
            422: "Not a dashboard, or one in Grafana's new schema (v2), or too large.",
        },
    )
    async def import_dashboard() -> Response:
        parameters.refuse_unknown(request.args, ("ticket",))
        if request.mimetype not in JSON_TYPES:
            raise UnsupportedMedia("media_type", "a dashboard comes as application/json")
        body = await read_body(
            request, most=MOST_IMPORTED_BYTES, timeout=context.pacing.body_timeout
        )
        found = await trio.to_thread.run_sync(take_in, body, limiter=threads)
        return Response(msgspec.json.encode(found), content_type="application/json")

    async def catch_up() -> None:
        """Wait, up to CATCH_UP seconds, until this process has read the version that the client
        has, so that no older one is answered."""
        tags = [request.headers.get(name, "") for name in ("If-Match", "If-None-Match")]
        await context.pipeline.catch_up(max(map(newest_seen, tags)), CATCH_UP)

    @app.get("/v1/dashboards/<name>")
    @described(
        "Read a dashboard",
        "With If-None-Match and Prefer: wait=25 the answer comes when it has become another "
        "version, or after so many seconds, 30 at the most, and then says Preference-Applied: "
        "wait. Without that header nothing was waited for: ask again some seconds later.",
        parameters=(
            _NAME,
            Parameter("If-None-Match", str, "The ETag that is known.", "header"),
            Parameter(
                "Prefer",
                str,
                "wait=SECONDS: answer when there is another version (RFC 7240).",
                "header",
            ),
        ),
        answers={
            200: json(dict[str, Any], "As /v1/dashboards/schema.json; see ETag."),
            304: "It is as If-None-Match says.",
            400: "A parameter or the name can't be read.",
            404: "There is none, or its file is broken.",
            503: "The directory can't be read just now.",
        },
    )
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
    @described(
        "Save a dashboard",
        "For operators: it is what everybody is shown. Services that share a log have the same: "
        "who goes on at another with the ETag is given this version, or a later one.",
        parameters=(_NAME, *_CONDITIONS),
        body=json(dict[str, Any], ""),
        answers={
            200: json(DashboardEntry, "Replaced."),
            201: json(DashboardEntry, "Created."),
            400: "The body, the name or a header can't be read.",
            403: _REFUSED,
            404: "It was deleted as it was saved.",
            408: TOO_SLOW,
            412: "It was changed meanwhile: etag and modified are the present's.",
            413: "Larger than 256 KiB.",
            415: "Not JSON.",
            422: "Not a dashboard, or there are too many, or too large together.",
            428: "Neither If-Match nor If-None-Match.",
            503: "It can't be written just now. With the code journal it may be saved yet: sent "
            "again as it was, it is answered 200 if it has been.",
        },
    )
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
    @described(
        "Delete a dashboard",
        parameters=(_NAME, *_CONDITIONS),
        answers={
            204: "Deleted.",
            400: "The name or a header can't be read.",
            403: _REFUSED,
            404: "There is none.",
            412: "It was changed meanwhile.",
            428: "Neither If-Match nor If-None-Match.",
            503: "It can't be deleted just now.",
        },
    )
    async def delete_dashboard(name: str) -> Response:
        condition = precondition(
            request.headers.get("If-Match"), request.headers.get("If-None-Match")
        )
        await catch_up()
        await trio.to_thread.run_sync(library.delete, name, condition, limiter=savers)
        context.changes.saved()
        return Response(b"", status=204)


def _entry(one: Held | Broken) -> DashboardEntry:
    if isinstance(one, Broken):
        return DashboardEntry(one.name, one.source, error=one.reason)
    return DashboardEntry(one.name, one.source, one.dashboard.title, one.etag, one.modified)
