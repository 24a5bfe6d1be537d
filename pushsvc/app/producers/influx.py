"""`POST /api/v2/write` and `POST /write`: InfluxDB's clients, Telegraf among them.

Lines that are good are applied also where others aren't: then the answer is 400 and names the
others, as InfluxDB's own partial write does. What a database, a bucket or an organisation is
called is not looked at: there is one place for all.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

import pushsvc
from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_inflated
from pushsvc.app.http.context import Context
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.http.problems import Answer
from pushsvc.app.producers.producer import answer_producers, note, who
from pushsvc.auth.access import withhold
from pushsvc.errors import Malformed, Problem
from pushsvc.ingest.influx import PRECISIONS
from pushsvc.pipeline import now_ms

_V2_CODES = {400: "invalid", 413: "request too large", 429: "too many requests", 503: "unavailable"}


def words_of_v2(problem: Problem) -> Response:
    """What is wrong, as version 2 of the API says it."""
    code = _V2_CODES.get(problem.status, "invalid")
    return _told(problem, {"code": code, "message": problem.detail})


def words_of_v1(problem: Problem) -> Response:
    """The same in version 1."""
    return _told(problem, {"error": problem.detail})


def _told(problem: Problem, said: dict[str, Any]) -> Response:
    plain = problems.respond(problem)
    plain.set_data(msgspec.json.encode(said))
    plain.content_type = "application/json"
    return plain


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, decoder = context.limits, context.pacing, context.influx
    decoding = trio.Lock()

    async def write(words: Answer) -> Response:
        precision = request.args.get("precision", "ns")
        if precision not in PRECISIONS:
            raise Malformed(
                "precision", f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}"
            )
        body = await read_inflated(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        async with decoding:
            decoded = await trio.to_thread.run_sync(
                lambda: decoder.decode(body, now_ms(), unit=PRECISIONS[precision])
            )
        batch, refused = withhold(principal_of_request(), decoded.batch)
        await context.pipeline.submit(batch, producer=who(request), refused=refused)
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
    async def influx_v2() -> Response:
        return await write(words_of_v2)

    @app.post("/write")
    async def influx_v1() -> Response:
        return await write(words_of_v1)

    for path, words in (("/api/v2/write", words_of_v2), ("/write", words_of_v1)):
        answer_producers(app, context, "influx", path, words, later=(408,))

    @app.get("/ping")
    async def influx_ping() -> Response:
        response = Response(b"", status=204)
        response.headers["X-Influxdb-Build"] = "pushsvc"
        response.headers["X-Influxdb-Version"] = pushsvc.__version__
        return response

    @app.get("/health")
    async def influx_health() -> Response:
        body = {"name": "pushsvc", "status": "pass", "version": pushsvc.__version__}
        return Response(msgspec.json.encode(body), content_type="application/json")
