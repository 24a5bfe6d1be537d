"""`POST /api/v1/import/prometheus`: what exporters show, pushed: Prometheus' text format and
OpenMetrics.

The path, `timestamp` and `extra_label` are those of VictoriaMetrics, so that what pushes to it can
push here. Valid lines are applied even where others are not valid: then the answer is 400 and names
the invalid ones.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_inflated
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import CODING, TEXT, TOO_SLOW, Content, Parameter, described
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.producers.producer import answer_producers, note, took, who
from pushsvc.auth.access import withhold
from pushsvc.errors import Malformed, UnsupportedMedia
from pushsvc.pipeline import now_ms

_PATH = "/api/v1/import/prometheus"
_OPENMETRICS = "application/openmetrics-text"
# By scripts that name it, by `curl --data-binary`, and by clients that say nothing.
_TEXT = ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "")


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, decoder = context.limits, context.pacing, context.prometheus_text

    @app.post(_PATH)
    @described(
        "Publish Prometheus' text format or OpenMetrics",
        "What an exporter shows, in the format that the Content-Type says; Prometheus' own unless "
        "it is OpenMetrics. Good lines are applied also where others are refused.",
        parameters=(
            Parameter(
                "timestamp",
                Annotated[int, Meta(ge=0)],
                "The time of samples without one (Unix ms); when they arrive if not said.",
            ),
            Parameter(
                "extra_label",
                Annotated[list[str], Meta(max_length=100)],
                "NAME=VALUE: a label that all series get, over one of theirs; may be repeated.",
            ),
            CODING,
        ),
        body=Content(types={"text/plain": TEXT, _OPENMETRICS: TEXT}),
        answers={
            204: "Applied.",
            400: "The body or a parameter can't be read; or code is partial, and applied and "
            "refused say of how many samples and lines.",
            408: TOO_SLOW,
            413: "Larger than limits.body_bytes or batch_samples.",
            415: "Another media type or Content-Encoding than those.",
            429: "More than limits.samples_per_second; Retry-After says when.",
            503: "The hub is behind; come back after Retry-After seconds.",
        },
    )
    async def import_prometheus() -> Response:
        openmetrics = request.mimetype == _OPENMETRICS
        if not openmetrics and request.mimetype not in _TEXT:
            raise UnsupportedMedia(
                "media_type",
                f"the text format comes as text/plain, OpenMetrics as {_OPENMETRICS}, "
                f"not {request.mimetype[:100]!r}",
            )
        time, labels = _time(), _labels()
        body = await read_inflated(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        decoded = await context.decoding.run(
            lambda: decoder.decode(
                body, now_ms(), openmetrics=openmetrics, time=time, labels=labels
            )
        )
        batch, refused = withhold(principal_of_request(), decoded.batch)
        applied = await context.pipeline.submit(batch, producer=who(request), refused=refused)
        took(context, "prometheus_text", applied.samples)
        refusals = decoded.refusals
        for one in refused:
            refusals.add(one.problem.code, one.problem.detail, len(one.rows.times))
        note(context, "prometheus_text", refusals)
        context.hub.counts["text_lines_refused"] += refusals.count
        context.hub.counts["text_passed_over"] += decoded.passed_over
        if refusals.count:
            return problems.respond(
                Malformed(
                    "partial",
                    f"{applied.samples} samples were applied; refused: {refusals.message()}",
                    applied=applied.samples,
                    refused=refusals.count,
                )
            )
        return Response(b"", status=204)

    answer_producers(app, context, "prometheus_text", _PATH)


def _time() -> int | None:
    """The time that the query gives samples without one."""
    given = request.args.get("timestamp")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 20):
        raise Malformed("timestamp", f"timestamp must be Unix ms, not {given[:60]!r}")
    return int(given)


def _labels() -> dict[str, str]:
    """The labels that the query gives all series."""
    labels = {}
    for pair in request.args.getlist("extra_label"):
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise Malformed("extra_label", f"extra_label must be NAME=VALUE, not {pair[:60]!r}")
        labels[name] = value
    return labels
