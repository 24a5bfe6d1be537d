"""`/metrics/job/JOB{/LABEL/VALUE}`: what pushes to a Prometheus Pushgateway, batch jobs as a rule.

What is pushed are samples like any, of now: they go with the history, and a series that is gone has
ended. Which series a group has is a record in the log, so that any process can replace or delete
the group, also after a restart. A push that brings the same series as the one before changes no
record. One that brings others writes both into the record before it publishes, and what is left
afterwards: whatever ends in between, no series is there that isn't in the record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_inflated
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import CODING, TEXT, TOO_SLOW, Content, Parameter, described
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.producers.producer import answer_producers, took, who
from pushsvc.auth.access import outside, refuse_outside
from pushsvc.core.model.series import Batch
from pushsvc.core.storage.records import Change, Record
from pushsvc.errors import Malformed, Overloaded, Problem, Rejected, UnsupportedMedia
from pushsvc.ingest.prometheus_text.pushed import (
    FAILED_AT,
    PUSHED_AT,
    Group,
    Members,
    Pushed,
    ending,
    members_after,
    missing,
    read_group,
    read_members,
    read_pushed,
    said_of,
    together,
    write_members,
)
from pushsvc.pipeline import now_ms

_FORMAT: Final = "pushgateway"
_KIND: Final = "pushed"
_PATH: Final = "/metrics/<path:group>"
_TRIES: Final = 10
"""How often a change of a group is tried if others change it at the same time."""
_OPENMETRICS: Final = "application/openmetrics-text"
_NO_PATH: Final = "No path of a group: one with a line break, which base64 can have."
_PROTOBUF: Final = "application/vnd.google.protobuf"


def words(problem: Problem) -> Response:
    """The problem as a Pushgateway tells it: a line of text, 400 for all that can't be taken."""
    response = problems.respond(problem)
    response.set_data(f"{problem.detail}\n")
    response.content_type = "text/plain; charset=utf-8"
    if problem.status == 422:
        response.status_code = 400
    return response


def _described_push(summary: str, text: str) -> Callable[..., Any]:
    return described(
        summary,
        text,
        parameters=(_GROUP, CODING),
        body=Content(types={"text/plain": TEXT, _OPENMETRICS: TEXT}, required=False),
        answers={
            200: "Applied.",
            400: _said(
                "The path or the body can't be read, or a series can't be taken: nothing "
                "is applied."
            ),
            404: _NO_PATH,
            408: _said(TOO_SLOW),
            413: _said("Larger than limits.body_bytes or batch_samples."),
            415: _said("Protobuf, or another Content-Encoding than those."),
            429: _said("More than limits.samples_per_second; Retry-After says when."),
            503: _said(
                "The hub is behind, or the log is away; come back after Retry-After seconds."
            ),
        },
    )


def _said(text: str) -> Content:
    return Content(text, {"text/plain": TEXT})


_GROUP: Final = Parameter(
    "group",
    str,
    "job/JOB, and /LABEL/VALUE for each other label of the group. Behind a name that ends in "
    "@base64 the value is base64 (RFC 4648 section 5): job@base64/YS9i.",
    "path",
    required=True,
)


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, hub, pipeline = context.limits, context.pacing, context.hub, context.pipeline

    @app.put(_PATH)
    @_described_push(
        "Replace a group of metrics, as at a Pushgateway",
        "Series that the group had and that aren't among these end.",
    )
    async def replace_group(group: str) -> Response:
        return await push(group, whole=True)

    @app.post(_PATH)
    @_described_push(
        "Replace metrics of a group, as at a Pushgateway",
        "Series of the metrics that are pushed, by name, end if they aren't among these.",
    )
    async def add_to_group(group: str) -> Response:
        return await push(group, whole=False)

    @app.delete(_PATH)
    @described(
        "Delete a group of metrics, as at a Pushgateway",
        "All of its series end. Other groups stay, also those with the same labels and more.",
        parameters=(_GROUP,),
        answers={
            202: "They have ended, if there were any.",
            400: _said("The path can't be read."),
            404: _NO_PATH,
            503: _said("The log is away; come back after Retry-After seconds."),
        },
    )
    async def delete_group(group: str) -> Response:
        named = read(group)
        for _ in range(_TRIES):
            record = hub.records.get(_KIND, named.name)
            if record is None and (context.shared or not hub.warm):
                # Another process may have taken a push that isn't read here yet. What is deleted
                # here is nothing, and comes after it.
                await pipeline.record(Change(_KIND, named.name, None, 0))
                record = hub.records.get(_KIND, named.name)
            if record is None:
                break
            batch = ends(missing(read_members(record.value), {}))
            refuse_outside(principal_of_request(), batch)
            applied = await pipeline.submit(batch, producer=who(request))
            if await change(named, record, None):
                took(context, _FORMAT, applied.samples)
                break
        else:
            raise contended()
        return Response(b"", status=202)

    answer_producers(app, context, _FORMAT, _PATH, words)

    async def push(path: str, *, whole: bool) -> Response:
        group = read(path)
        if request.mimetype == _PROTOBUF:
            raise UnsupportedMedia(
                "media_type", "protobuf isn't read here: push as text or OpenMetrics"
            )
        body = await read_inflated(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        try:
            pushed = await decode(body, group)
            refuse_outside(principal_of_request(), pushed.batch)
            samples = await publish(group, pushed, whole=whole)
        except (Malformed, Rejected):
            await note_failure(group)
            raise
        took(context, _FORMAT, samples)
        return Response(b"", status=200)

    def read(path: str) -> Group:
        # The framework takes several slashes for one, and a value might be taken for a name.
        if b"//" in request.scope.get("raw_path", b""):
            raise Malformed("group", "an empty value is written /LABEL@base64/=")
        return read_group(path)

    async def decode(body: bytes, group: Group) -> Pushed:
        openmetrics = request.mimetype == _OPENMETRICS
        return await context.decoding.run(
            lambda: read_pushed(
                context.prometheus_text, body, group, now_ms(), openmetrics=openmetrics
            )
        )

    async def publish(group: Group, pushed: Pushed, *, whole: bool) -> int:
        """Publish what was pushed, with the endings of what it replaces; tells how many samples
        were applied."""
        for _ in range(_TRIES):
            record = hub.records.get(_KIND, group.name)
            before: Members = {} if record is None else read_members(record.value)
            rows = list(pushed.batch.rows)
            arrived = now_ms()
            ours = [said_of(group, PUSHED_AT, arrived / 1000, limits, arrived)]
            if FAILED_AT not in before:
                ours.append(said_of(group, FAILED_AT, 0.0, limits, arrived))
            admits = not outside(principal_of_request(), Batch(ours))
            members = dict(pushed.members)
            if admits:
                rows += ours
                members |= {one.identity.name: [one.identity.text] for one in ours}
            after = members_after(before, members, whole=whole)
            batch = Batch([*rows, *ends(missing(before, after)).rows])
            refuse_outside(principal_of_request(), batch)
            both = together(before, after)
            if record is None or both != before or is_due(record):
                if not await change(group, record, both or None):
                    continue
                record = hub.records.get(_KIND, group.name)
            applied = await pipeline.submit(batch, producer=who(request))
            if after != both and record is not None:
                # If another push came first, it has found those that ended here, and ends them
                # again, which changes nothing.
                await change(group, record, after)
            return applied.samples
        raise contended()

    def is_due(record: Record) -> bool:
        """Whether a record expires before its series may."""
        return record.until - now_ms() < hub.series_last * 1000

    def ends(texts: list[str]) -> Batch:
        """The endings of those of these series that are known."""
        arrived = now_ms()
        known = [series for text in texts if (series := hub.catalog.get(text)) is not None]
        return Batch([ending(series.identity, arrived) for series in known])

    async def change(group: Group, record: Record | None, members: Members | None) -> bool:
        """Set the series of a group; tells whether nobody else did since `record` was read."""
        until = now_ms() + round(2000 * hub.series_last)
        value = None if members is None else write_members(group, members)
        expected = 0 if record is None else record.version
        seen = b"" if record is None else record.fingerprint
        try:
            await pipeline.record(
                Change(_KIND, group.name, value, expected, 0 if value is None else until, seen)
            )
        except Rejected as rejected:
            if rejected.code == "record_version":
                return False
            raise Rejected("groups", f"no room for another group: {rejected.detail}") from None
        return True

    async def note_failure(group: Group) -> None:
        """Say of a group that is there that what was pushed to it was refused."""
        arrived = now_ms()
        row = Batch([said_of(group, FAILED_AT, arrived / 1000, limits, arrived)])
        if hub.records.get(_KIND, group.name) is None or outside(principal_of_request(), row):
            return
        with trio.move_on_after(1.0):
            try:
                await pipeline.submit(row, producer=who(request))
            except Problem:
                return  # the refusal itself matters more

    def contended() -> Overloaded:
        return Overloaded("group", "others change this group all the time", retry_after=1.0)
