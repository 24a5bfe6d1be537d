"""`POST /v1/metrics`: OpenTelemetry's SDKs and Collector, by OTLP/HTTP.

Answers use the encoding of the request: an ExportMetricsServiceResponse, which reports points that
were refused while the others were applied, or a google.rpc.Status if nothing was applied. All
exporters retry after 503; older SDKs don't after 429 and 408, so these become 503. Exporters give
up on a 400.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_inflated
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import BINARY, CODING, TOO_SLOW, Content, described
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.producers.producer import answer_producers, note_refusals, sender_of
from pushsvc.auth.access import withhold
from pushsvc.auth.principal import Principal
from pushsvc.core.storage.holdings import Refused
from pushsvc.errors import Problem, UnsupportedMedia
from pushsvc.ingest.otlp.reading import Decoded
from pushsvc.ingest.producers import Sender
from pushsvc.pipeline import now_ms

_Decode: TypeAlias = Callable[[bytes, int], Decoded]
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"

_RPC_CODES = {408: 4, 413: 8, 429: 8, 503: 14}
"""google.rpc.Code by HTTP status: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE."""
_INVALID_ARGUMENT = 3


def _message(text: str, more: dict[str, Any] | None = None) -> Content:
    """A message in the encoding of the request: binary, or the JSON of its protobuf."""
    return Content(text, {**(more or {}), _PROTOBUF: BINARY, _JSON: dict[str, Any]})


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, decoder = context.limits, context.pacing, context.otlp

    @app.post("/v1/metrics")
    @described(
        "Publish OpenTelemetry metrics (OTLP/HTTP)",
        "Errors are a google.rpc.Status in the encoding of the request.",
        parameters=(CODING,),
        body=_message("ExportMetricsServiceRequest"),
        answers={
            200: _message("ExportMetricsServiceResponse; partialSuccess tells what was refused."),
            400: _message("The body can't be read."),
            408: _message(TOO_SLOW),
            413: _message("Larger than limits.body_bytes or batch_samples."),
            415: _message(
                "Another media type (a problem document), or another Content-Encoding (a Status).",
                {problems.MEDIA_TYPE: problems.ProblemDocument},
            ),
            429: _message("More than limits.samples_per_second; Retry-After says when."),
            503: _message("The hub is behind; come back after Retry-After seconds."),
        },
    )
    async def otlp_metrics() -> Response:
        if request.mimetype not in (_PROTOBUF, _JSON):
            raise UnsupportedMedia(
                "media_type",
                f"OTLP comes as {_PROTOBUF} or {_JSON}, not {request.mimetype[:100]!r}",
            )
        body = await read_inflated(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        decode = decoder.protobuf if request.mimetype == _PROTOBUF else decoder.json
        sender = sender_of(request)
        return _encode(await take_in(context, decode, body, principal_of_request(), sender))

    answer_producers(app, context, "otlp", "/v1/metrics", _status, later=(408, 429))


async def take_in(
    context: Context, decode: _Decode, body: bytes, principal: Principal, sender: Sender
) -> ExportMetricsServiceResponse:
    """Apply a request's body, and return the answer. Raises Problem."""
    decoded = await context.decoding.run(lambda: decode(body, now_ms()))
    batch, refused = withhold(principal, decoded.batch)
    applied = await context.pipeline.submit(batch, producer=sender.account, refused=refused)
    context.producers.sent("otlp", sender, applied.samples, now_ms())
    context.otlp.remember(decoded)
    _judge(decoded, refused)
    refusals = decoded.refusals
    note_refusals(context, "otlp", sender, refusals)
    context.hub.counts["otlp_points_refused"] += refusals.count
    context.hub.counts["otlp_points_without_value"] += decoded.silent
    context.hub.counts["integers_rounded"] += decoded.rounded
    answer = ExportMetricsServiceResponse()
    if refusals.count:
        answer.partial_success.rejected_data_points = refusals.count
        answer.partial_success.error_message = refusals.message("points")
    return answer


def _judge(decoded: Decoded, refused: list[Refused]) -> None:
    """Count the points of the series that the hub refused, each once."""
    counted: set[int] = set()
    points = decoded.points if refused else {}
    for one in refused:
        of_series = set(points.get(one.rows.identity.text, ())) - counted
        counted |= of_series
        decoded.refusals.add(one.problem.code, one.problem.detail, len(of_series))


def _status(problem: Problem) -> Response:
    plain = problems.respond(problem)
    if request.mimetype not in (_PROTOBUF, _JSON):
        return plain
    code = _RPC_CODES.get(problem.status, _INVALID_ARGUMENT)
    response = _encode(Status(code=code, message=problem.detail), problem.status)
    for header in ("Retry-After", "Connection", "Accept-Encoding"):
        if header in plain.headers:
            response.headers[header] = plain.headers[header]
    return response


def _encode(message: Message, status: int = 200) -> Response:
    if request.mimetype == _PROTOBUF:
        body = message.SerializeToString()
    else:
        body = msgspec.json.encode(json_format.MessageToDict(message))
    return Response(body, status=status, content_type=request.mimetype)
