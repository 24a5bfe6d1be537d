"""`POST /api/v2/write` and `POST /write`: InfluxDB's clients, Telegraf among them.

Valid lines are applied even where others are not valid: then the answer is 400 and names the
invalid ones, like InfluxDB's own partial write. Names of databases, buckets and organisations are
ignored: all samples go to one place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_inflated
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import CODING, TEXT, TOO_SLOW, Content, Parameter, described, json
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.http.problems import Answer
from pushsvc.app.producers.producer import answer_producers, note, took, who
from pushsvc.auth.access import withhold
from pushsvc.errors import Malformed, Problem
from pushsvc.ingest.influx import PRECISIONS
from pushsvc.pipeline import now_ms
from pushsvc.version import __version__


class ErrorV2(msgspec.Struct, frozen=True):
    """An error in the form of version 2 of InfluxDB's API."""

    code: str
    message: str


class ErrorV1(msgspec.Struct, frozen=True):
    """An error in the form of version 1 of InfluxDB's API."""

    error: str


class Health(msgspec.Struct, frozen=True):
    """The answer to InfluxDB's health check."""

    name: Literal["pushsvc"]
    status: Literal["pass"]
    version: str


_V2_CODES = {400: "invalid", 413: "request too large", 429: "too many requests", 503: "unavailable"}


def words_of_v2(problem: Problem) -> Response:
    """The problem in the form of version 2 of the API."""
    code = _V2_CODES.get(problem.status, "invalid")
    return _told(problem, ErrorV2(code, problem.detail))


def words_of_v1(problem: Problem) -> Response:
    """The problem in the form of version 1 of the API."""
    return _told(problem, ErrorV1(problem.detail))


def _told(problem: Problem, said: ErrorV1 | ErrorV2) -> Response:
    plain = problems.respond(problem)
    plain.set_data(msgspec.json.encode(said))
    plain.content_type = "application/json"
    return plain


def _described_write(version: str, error: type) -> Callable[..., Any]:
    """Declare a route for InfluxDB's clients, with errors of this form."""
    return described(
        f"Publish InfluxDB line protocol, as to InfluxDB {version}",
        "Database, bucket and organisation are not looked at.",
        parameters=(
            Parameter(
                "precision",
                Annotated[str, Meta(extra_json_schema={"enum": list(PRECISIONS)})],
                "What times are in; ns if not said.",
            ),
            CODING,
        ),
        body=Content(types={"text/plain": TEXT}),
        answers={
            204: "Applied.",
            400: json(error, "Lines were refused, as the message tells; the others are applied."),
            408: json(error, TOO_SLOW),
            413: json(error, "Larger than limits.body_bytes or batch_samples."),
            415: json(error, "Another Content-Encoding than those."),
            429: json(error, "More than limits.samples_per_second; Retry-After says when."),
            503: json(error, "The hub is behind; come back after Retry-After seconds."),
        },
    )


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, decoder = context.limits, context.pacing, context.influx

    async def write(words: Answer) -> Response:
        precision = request.args.get("precision", "ns")
        if precision not in PRECISIONS:
            raise Malformed(
                "precision", f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}"
            )
        body = await read_inflated(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        decoded = await context.decoding.run(
            lambda: decoder.decode(body, now_ms(), unit=PRECISIONS[precision])
        )
        batch, refused = withhold(principal_of_request(), decoded.batch)
        applied = await context.pipeline.submit(batch, producer=who(request), refused=refused)
        took(context, "influx", applied.samples)
        refusals = decoded.refusals
        for one in refused:
            refusals.add(one.problem.code, one.problem.detail)
        note(context, "influx", refusals)
        context.hub.counts["influx_lines_refused"] += refusals.count
        context.hub.counts["influx_strings"] += decoded.strings
        context.hub.counts["integers_rounded"] += decoded.rounded
        if refusals.count:
            said = f"partial write: {refusals.count} refused: {refusals.message()}"
            return words(Malformed("partial", said))
        return Response(b"", status=204)

    @app.post("/api/v2/write")
    @_described_write("v2", ErrorV2)
    async def influx_v2() -> Response:
        return await write(words_of_v2)

    @app.post("/write")
    @_described_write("v1", ErrorV1)
    async def influx_v1() -> Response:
        return await write(words_of_v1)

    for path, words in (("/api/v2/write", words_of_v2), ("/write", words_of_v1)):
        answer_producers(app, context, "influx", path, words, later=(408,))

    @app.get("/ping")
    @described(
        "What InfluxDB clients ask whether someone is there",
        answers={204: "Someone is; X-Influxdb-Version says who."},
    )
    async def influx_ping() -> Response:
        response = Response(b"", status=204)
        response.headers["X-Influxdb-Build"] = "pushsvc"
        response.headers["X-Influxdb-Version"] = __version__
        return response

    @app.get("/health")
    @described(
        "What InfluxDB clients ask whether all is well", answers={200: json(Health, "It is.")}
    )
    async def influx_health() -> Response:
        body = Health("pushsvc", "pass", __version__)
        return Response(msgspec.json.encode(body), content_type="application/json")
