"""`POST /api/v1/write`: Prometheus, and other senders of remote write.

Prometheus repeats a request that was answered 5xx until it is accepted, and drops one that was
answered 4xx, 429 too unless `retry_on_http_429` is set (storage/remote/client.go, `Store`). So what
can't be taken only for now gets 503, even where one producer's own share is used up. What it should
not send again gets 400, after the rest of its request was applied, since its operators read nothing
else. In both versions the headers of version 2.0 say how much was applied.
"""

from __future__ import annotations

from typing import Literal

from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.connection import read_body
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import BINARY, TOO_SLOW, Content, Parameter, described
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.producers.producer import answer_producers, note, took, who
from pushsvc.auth.access import withhold
from pushsvc.core.storage.holdings import Refused
from pushsvc.errors import Malformed, UnsupportedMedia
from pushsvc.ingest.remote_write.taking import Decoded
from pushsvc.pipeline import now_ms

_MEDIA_TYPE = "application/x-protobuf"
_VERSIONS = {"prometheus.WriteRequest": 1, "io.prometheus.write.v2.Request": 2}


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing, decoder = context.limits, context.pacing, context.remote_write

    @app.post("/api/v1/write")
    @described(
        "Publish by Prometheus remote write, 1.0 or 2.0",
        "A snappy block of protobuf; proto= of the Content-Type says which version. Good series "
        "are applied also where others are refused, which 400 tells: Prometheus goes on then, and "
        "tries again on 5xx.",
        parameters=(
            Parameter(
                "Content-Encoding", Literal["snappy"], "The block format of snappy.", "header"
            ),
        ),
        body=Content(types={_MEDIA_TYPE: BINARY}),
        answers={
            204: "Applied. Version 2.0 is told how much in the headers "
            "X-Prometheus-Remote-Write-*-Written.",
            400: "The body can't be read; or code is partial, and applied and refused say of how "
            "many samples.",
            408: TOO_SLOW,
            413: "Larger than limits.body_bytes or batch_samples, inflated.",
            415: "Not application/x-protobuf in snappy.",
            503: "The hub is behind, or this is more than limits.samples_per_second; come back "
            "after Retry-After seconds.",
        },
    )
    async def remote_write() -> Response:
        version = _version()
        coding = request.headers.get("Content-Encoding", "")
        if coding.strip().lower() != "snappy":
            raise UnsupportedMedia(
                "content_encoding", f"remote write comes as a snappy block, not {coding[:100]!r}"
            )
        body = await read_body(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        decoded = await context.decoding.run(
            lambda: decoder.decode(body, now_ms(), version=version)
        )
        batch, refused = withhold(principal_of_request(), decoded.batch)
        applied = await context.pipeline.submit(batch, producer=who(request), refused=refused)
        took(context, "remote_write", applied.samples)
        decoder.remember(decoded)
        return _answer(context, version, decoded, refused)

    answer_producers(app, context, "remote_write", "/api/v1/write", later=(408, 429))


def _version() -> int:
    """The version of the message in the body, by its media type."""
    proto = request.mimetype_params.get("proto", "prometheus.WriteRequest")
    if request.mimetype != _MEDIA_TYPE or proto not in _VERSIONS:
        raise UnsupportedMedia(
            "media_type",
            f"remote write comes as {_MEDIA_TYPE}, with proto={' or '.join(_VERSIONS)}, not "
            f"{request.headers.get('Content-Type', '')[:100]!r}",
        )
    return _VERSIONS[proto]


def _answer(context: Context, version: int, decoded: Decoded, refused: list[Refused]) -> Response:
    refusals = decoded.refusals
    for one in refused:
        # Those of native histograms, too: they are no samples of the producer's.
        decoded.samples = max(0, decoded.samples - len(one.rows.times))
        refusals.add(one.problem.code, one.problem.detail, len(one.rows.times))
    note(context, "remote_write", refusals)
    counts = context.hub.counts
    counts["remote_write_refused"] += refusals.count
    counts["remote_write_passed_over"] += decoded.passed_over
    if refusals.count:
        response = problems.respond(
            Malformed(
                "partial",
                f"{decoded.samples} samples and {decoded.histograms} histograms were applied; "
                f"refused: {refusals.message()}",
                applied=decoded.samples,
                refused=refusals.count,
                histograms=decoded.histograms,
            )
        )
    else:
        response = Response(b"", status=204)
    if version == 2 or refusals.count:
        # Values that can't be drawn, and exemplars, count as written, as they do for a Prometheus
        # that keeps no exemplars. Prometheus reads these headers in answers to version 1.0 too:
        # without them it counts a request of which a part was refused as lost. After a request that
        # was accepted whole it needs none.
        response.headers["X-Prometheus-Remote-Write-Samples-Written"] = str(
            decoded.samples + decoded.passed_over
        )
        response.headers["X-Prometheus-Remote-Write-Histograms-Written"] = str(decoded.histograms)
        response.headers["X-Prometheus-Remote-Write-Exemplars-Written"] = str(decoded.exemplars)
    return response
