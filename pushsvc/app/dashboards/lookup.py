"""Routes that look up series, their labels and their past samples."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from typing import Annotated, TypeAlias

import msgspec
import trio
from msgspec import UNSET, Meta, UnsetType
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import MultiDict

from pushsvc.app.http import parameters
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import (
    ASKED,
    LIMIT,
    NOT_READ,
    SEARCH,
    SELECT,
    STEP,
    WINDOW,
    Parameter,
    described,
    json,
)
from pushsvc.app.http.guard import principal_of_request
from pushsvc.core.delivery import documents
from pushsvc.core.delivery.documents import CursorText, SampleValue
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.thin import thin
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.model.promql import METRIC_LABEL
from pushsvc.core.model.series import Kind, Value
from pushsvc.core.query.scope import Scope
from pushsvc.core.query.search import search
from pushsvc.core.resources.limits import Limits
from pushsvc.core.standing.asked import Expression
from pushsvc.core.storage.catalog import Catalog, Series
from pushsvc.core.storage.history import is_ending
from pushsvc.errors import Malformed, Rejected
from pushsvc.pipeline import now_ms

_STEP = 500
"""Series gathered between two checkpoints."""
_MOST_POINTS = 1_000_000
"""Points in one answer."""
_NO_RESULTS = "An expression that has no results, as two of them would have the same labels."
_NO_ROOM = "No room for another expression; come back after Retry-After seconds."


_Total: TypeAlias = Annotated[int, Meta(description="How many there are, whatever the limit.")]
_Past: TypeAlias = Annotated[
    Sequence[SampleValue],
    Meta(description="[time, value].", min_length=2, max_length=2),
]


class SeriesNow(documents.Series, frozen=True, kw_only=True):
    """A series and its newest sample by time; null where it has none."""

    help: str
    time: int | UnsetType | None = UNSET
    value: SampleValue | UnsetType = UNSET
    ended: (
        Annotated[int, Meta(description="Since when it has no value, if it has ended.")] | UnsetType
    ) = UNSET


class SeriesList(msgspec.Struct, frozen=True):
    series: list[SeriesNow]
    total: (
        Annotated[int, Meta(description="How many there are, if a limit was given.")] | UnsetType
    ) = UNSET


class LabelNames(msgspec.Struct, frozen=True):
    labels: list[str]
    total: _Total


class LabelValues(msgspec.Struct, frozen=True):
    values: list[str]
    total: _Total


class SeriesPast(documents.Series, frozen=True, kw_only=True):
    """A series and what it was."""

    points: Sequence[_Past]
    ended: (
        Annotated[list[int], Meta(description="Times at which it ended: the line breaks there.")]
        | UnsetType
    ) = UNSET


class History(msgspec.Struct, frozen=True):
    id: CursorText
    series: list[SeriesPast]


def install(app: QuartTrio, context: Context) -> None:
    hub, limits = context.hub, context.limits
    # The start of each entity tag, since processes don't know each other's versions.
    process = secrets.token_hex(4)

    async def shown(window: float | None = None) -> list[Series]:
        """The requested series that the principal may read: stored ones, and the results of
        expressions, of the last `window` seconds or of now."""
        asked = parameters.asked(request.args, limits)
        allowed = principal_of_request().read
        expressions = [one for one in asked if isinstance(one, Expression)]
        results: list[Series] = []
        if expressions:
            step = parameters.seconds(request.args, "step")
            spec = hub.grant(expressions, None, None, step=step).within(allowed)
            await context.pipeline.prepare(spec, Start(None, window))
            for standing in hub.hold(spec, trio.current_time()):
                if standing.failed:
                    name = standing.expression.text
                    raise Rejected("expression", f"{name} has no results: {standing.failure}")
                results += standing.members.values()
        selectors = [one for one in asked if not isinstance(one, Expression)]
        return hub.catalog.select(selectors, allowed) + results

    @app.get("/v1/series")
    @described(
        "List series",
        "With values=false the answer changes only when a series comes, goes or is described "
        "otherwise. It has an ETag: ask again with If-None-Match, and the answer is 304 till then.",
        parameters=(
            ASKED,
            STEP,
            LIMIT,
            Parameter(
                "values",
                Annotated[bool, Meta(extra_json_schema={"default": True})],
                "Whether the newest samples are wanted.",
            ),
            Parameter("If-None-Match", str, "The ETag of an answer with values=false.", "header"),
        ),
        answers={
            200: json(
                SeriesList,
                "Each with its newest sample by time, unless values is false: then there is no "
                "time, value or ended.",
            ),
            304: "The same as If-None-Match says.",
            400: NOT_READ,
            422: _NO_RESULTS,
            503: _NO_ROOM,
        },
    )
    async def series() -> Response:
        parameters.refuse_unknown(request.args, ("select", "step", "limit", "values", "ticket"))
        limit = parameters.limit(request.args)
        values = parameters.boolean(request.args, "values", True)
        tag = _tag(process, hub.catalog.version, principal_of_request().read)
        if not values and request.if_none_match.contains_weak(tag):
            return _tagged(Response(b"", status=304), tag)
        found = await shown()
        listed = []
        for index, one in enumerate(found[:limit]):
            if index % _STEP == _STEP - 1:
                await trio.lowlevel.checkpoint()
            listed.append(_now(one, values))
        total = UNSET if limit is None else len(found)
        response = await _encoded(SeriesList(listed, total))
        worked_out = any(one.derived for one in found)
        return response if values or worked_out else _tagged(response, tag)

    async def found_names(
        answer: type[LabelNames | LabelValues], names: Collection[str]
    ) -> Response:
        wanted = request.args.get("search", "")
        limit = parameters.limit(request.args)
        listed, total = await trio.to_thread.run_sync(search, names, wanted, limit)
        return await _encoded(answer(listed, total))

    @app.get("/v1/label_names")
    @described(
        "Names of labels",
        parameters=(SELECT, SEARCH, LIMIT),
        answers={
            200: json(
                LabelNames,
                "Those that series have which are selected, __name__ among them; `total` is how "
                "many there are.",
            ),
            400: NOT_READ,
        },
    )
    async def label_names() -> Response:
        parameters.refuse_unknown(request.args, ("select", "search", "limit", "ticket"))
        return await found_names(LabelNames, label_names_of(hub.catalog, request.args, limits))

    @app.get("/v1/label_values")
    @described(
        "Values of a label",
        parameters=(
            Parameter(
                "label", str, "The label. __name__ is the name of the metric.", required=True
            ),
            SELECT,
            SEARCH,
            LIMIT,
        ),
        answers={
            200: json(
                LabelValues,
                "Those that it has in series which are selected; `total` is how many there are.",
            ),
            400: NOT_READ,
        },
    )
    async def label_values() -> Response:
        parameters.refuse_unknown(request.args, ("label", "select", "search", "limit", "ticket"))
        label = request.args.get("label")
        if label is None:
            raise Malformed("label", "label is missing: the label whose values are wanted")
        return await found_names(
            LabelValues, label_values_of(hub.catalog, label, request.args, limits)
        )

    @app.get("/v1/history")
    @described(
        "Past samples",
        parameters=(
            ASKED,
            STEP,
            WINDOW,
            Parameter(
                "points",
                Annotated[int, Meta(ge=4)],
                "At most so many per series: lowest and highest are kept, deltas added up.",
            ),
            Parameter(
                "until",
                Annotated[float, Meta(gt=0)],
                "Unix milliseconds up to which; the window is before them. None: now.",
            ),
        ),
        answers={
            200: json(History, "The id is a cursor: a stream since it goes on where this ends."),
            400: NOT_READ,
            422: "Too many points for one answer, or an expression that has no results.",
            503: _NO_ROOM,
        },
    )
    async def history() -> Response:
        known = ("select", "step", "window", "until", "points", "ticket")
        parameters.refuse_unknown(request.args, known)
        until = parameters.moment(request.args, "until")
        window = parameters.seconds(request.args, "window")
        points = parameters.points(request.args)
        newest = now_ms() if until is None else until
        reach = None if window is None else max(0.0, (now_ms() - newest) / 1000) + window
        found = await shown(hub.kept if reach is None else reach)
        cursor = hub.cursor
        after = None if window is None else newest - round(window * 1000)
        # All columns are cut in one step, so that the cursor is right for every series; the slow
        # work, thinning and encoding, is done on the copies in a thread.
        columns = []
        total = 0
        for one in found:
            past = one.history
            start = past.first if after is None else one.window_start(after)
            curve = past.curve(start, past.total, adds=one.kind == "delta")
            columns.append((one, *curve))
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


def series_of(
    catalog: Catalog, args: MultiDict[str, str], limits: Limits, name: str = "select"
) -> list[Series]:
    """The series that the parameters of this name select, of those that the principal may read.
    Raises Malformed."""
    return catalog.select(parameters.selectors(args, limits, name), principal_of_request().read)


def label_names_of(
    catalog: Catalog, args: MultiDict[str, str], limits: Limits, name: str = "select"
) -> Collection[str]:
    """The label names of these series, including `__name__`. Raises Malformed."""
    if _all_shown(args, name):
        return catalog.label_names()
    found = series_of(catalog, args, limits, name)
    names = {label for one in found for label, _ in one.identity.labels}
    return names | {METRIC_LABEL} if found else names


def label_values_of(
    catalog: Catalog, label: str, args: MultiDict[str, str], limits: Limits, name: str = "select"
) -> Collection[str]:
    """The values of a label in these series. Raises Malformed."""
    if _all_shown(args, name):
        return catalog.label_values(label)
    found = series_of(catalog, args, limits, name)
    if label == METRIC_LABEL:
        return {one.identity.name for one in found}
    labels = (dict(one.identity.labels) for one in found)
    return {one[label] for one in labels if label in one}


def _all_shown(args: MultiDict[str, str], name: str) -> bool:
    return name not in args and principal_of_request().read.selectors is None


def _history(
    cursor: Cursor,
    columns: list[tuple[Series, Sequence[int], Sequence[Value]]],
    after: int | None,
    until: int | None,
    points: int | None,
) -> bytes:
    answer = []
    for one, times, values in columns:
        stateful = one.kind == "state"
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
        answer.append(
            SeriesPast(
                *_members(one),
                one.help or UNSET,
                one.derived or UNSET,
                points=thin(times, values, most, adds=one.kind == "delta"),
                ended=endings or UNSET,
            )
        )
    return msgspec.json.encode(History(str(cursor), answer))


def _members(one: Series) -> tuple[int, str, dict[str, str], Kind, str]:
    return one.ref, one.identity.name, dict(one.identity.labels), one.kind, one.unit


def _now(one: Series, values: bool) -> SeriesNow:
    derived = one.derived or UNSET
    if not values:
        return SeriesNow(*_members(one), help=one.help, expression=derived)
    time, value = one.history.latest() or (None, None)
    ended = one.history.ended
    return SeriesNow(
        *_members(one),
        help=one.help,
        expression=derived,
        time=time,
        value=value,
        ended=UNSET if ended is None else ended,
    )


def _tag(process: str, version: int, scope: Scope) -> str:
    """The entity tag for a read scope. It differs by scope, because a browser may send a tag that
    it got when another user was logged in."""
    seen = hashlib.blake2b(repr(scope.key).encode(), digest_size=4).hexdigest()
    return f"{process}-{version}-{seen}"


def _tagged(response: Response, tag: str) -> Response:
    response.headers["ETag"] = f'W/"{tag}"'
    response.headers["Cache-Control"] = "private, no-cache"
    return response


async def _encoded(answer: SeriesList | LabelNames | LabelValues) -> Response:
    body = await trio.to_thread.run_sync(msgspec.json.encode, answer)
    return Response(body, content_type="application/json")
