"""`POST /api/v2/write` and `POST /write`: InfluxDB's clients, Telegraf among them.

Lines that are good are applied also where others aren't: then the answer is 400 and names the
others, as InfluxDB's own partial write does. What a database, a bucket or an organisation is
called is not looked at: there is one place for all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

import pushsvc
from pushsvc.app import problems
from pushsvc.app.connection import read_inflated
from pushsvc.app.context import Context
from pushsvc.app.producer import who
from pushsvc.core.hub import Refused
from pushsvc.errors import Malformed, Problem
from pushsvc.ingest.influx import PRECISIONS
from pushsvc.pipeline import now_ms

_V2_CODES = {400: "invalid", 413: "request too large", 429: "too many requests", 503: "unavailable"}


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, decoder = context.limits, context.pacing, context.influx
    decoding = trio.Lock()

    async def write() -> Response:
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
        refused: list[Refused] = []
        await context.pipeline.submit(decoded.batch, producer=who(request), refused=refused)
        for one in refused:
            decoded.refused += 1
            if len(decoded.complaints) < 20:
                decoded.complaints.append(one.problem.detail)
        context.hub.counts["influx_lines_refused"] += decoded.refused
        context.hub.counts["influx_strings"] += decoded.strings
        if decoded.refused:
            raise Malformed(
                "partial",
                f"partial write: {decoded.refused} refused: {'; '.join(decoded.complaints)}",
            )
        return Response(b"", status=204)

    async def told(
        answer: Callable[[], Awaitable[Response]], tell: Callable[[Problem], dict[str, Any]]
    ) -> Response:
        """An answer, or what is wrong in the words of that version's API."""
        try:
            return await answer()
        except Problem as problem:
            plain = problems.respond(problem)
            plain.set_data(msgspec.json.encode(tell(problem)))
            plain.content_type = "application/json"
            return plain

    @app.post("/api/v2/write")
    async def influx_v2() -> Response:
        return await told(
            write,
            lambda problem: {
                "code": _V2_CODES.get(problem.status, "invalid"),
                "message": problem.detail,
            },
        )

    @app.post("/write")
    async def influx_v1() -> Response:
        return await told(write, lambda problem: {"error": problem.detail})

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
