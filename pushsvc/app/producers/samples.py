"""`POST /v1/samples`: publishing in the native format.

A batch with an `Idempotency-Key` is applied once, even if it is sent several times within five
minutes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import takewhile
from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http.connection import JSON_TYPES, read_inflated, read_inflated_parts
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import CODING, TEXT, TOO_SLOW, Content, Parameter, described, json
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.producers import answers
from pushsvc.app.producers.answers import RefusedLine, UploadReport
from pushsvc.app.producers.producer import NDJSON, answer_producers, note, took, who
from pushsvc.auth.access import outside, refuse_outside
from pushsvc.auth.principal import Principal
from pushsvc.core.model.series import Batch
from pushsvc.core.resources.account import Account
from pushsvc.core.storage.holdings import Applied
from pushsvc.errors import Forbidden, Malformed, Problem, Rejected, TooLarge, UnsupportedMedia
from pushsvc.ingest.idempotency import Answers, fingerprint, read_key
from pushsvc.ingest.native import JSON, MSGPACK, Sample, Samples
from pushsvc.ingest.refusals import Refusals
from pushsvc.pipeline import Outcome, now_ms

_MSGPACK = ("application/msgpack", "application/vnd.msgpack", "application/x-msgpack")
_BIG = 128 * 1024
"""Bytes beyond which bodies are decoded in a worker thread, so that no stream waits for one."""
_REPORTED = 100
"""Refused lines that a report lists one by one."""


async def publish(
    context: Context, body: bytes, principal: Principal, producer: Account
) -> answers.Applied:
    """Apply a JSON body, and return what became of it. Raises Problem."""
    arrived = now_ms()
    if len(body) > _BIG:
        batch = await context.decoding.run(lambda: context.native.batch(body, arrived))
    else:
        batch = context.native.batch(body, arrived)
    refuse_outside(principal, batch)
    return answers.Applied.of(await context.pipeline.submit(batch, producer=producer))


def install(app: QuartTrio, context: Context) -> None:
    limits, pacing = context.limits, context.pacing
    given: Answers[Applied] = Answers(limits.idempotency_keys)

    @app.post("/v1/samples")
    @described(
        "Publish samples",
        "A JSON batch is all or nothing. NDJSON, also as a long chunked upload, is applied as it "
        "arrives, line by line, and reported on at the end.",
        parameters=(
            CODING,
            Parameter(
                "Idempotency-Key",
                str,
                "The same key with the same body is applied once within five minutes, and gets the "
                "first answer. For batches, not for lines.",
                "header",
            ),
        ),
        body=Content(
            types={
                "application/json": (Samples, Sample),
                "application/msgpack": (Samples, Sample),
                "application/x-ndjson": TEXT,
            }
        ),
        answers={
            200: json((answers.Applied, UploadReport), "Applied; not merely queued."),
            400: "The body can't be read.",
            408: TOO_SLOW,
            409: "A request with this Idempotency-Key is under way.",
            413: "Larger than limits.body_bytes, batch_samples or line_bytes.",
            415: "Another media type or Content-Encoding than those.",
            422: "Against the data model or a limit: see index, line or errors.",
            429: "More than limits.samples_per_second, or than this producer's share of "
            "limits.idempotency_keys; Retry-After says when, account whose it was.",
            503: "The hub is behind, or limits.idempotency_keys are remembered; come back after "
            "Retry-After seconds.",
        },
    )
    async def samples() -> Response:
        media_type = request.mimetype
        header = request.headers.get("Idempotency-Key")
        if media_type in NDJSON:
            if header is not None:
                raise Malformed(
                    "idempotency_key", "an Idempotency-Key goes with a batch, not with lines"
                )
            return await upload()
        if media_type not in (*JSON_TYPES, *_MSGPACK):
            raise UnsupportedMedia(
                "media_type",
                "samples come as application/json, application/msgpack or application/x-ndjson, "
                f"not {media_type[:100]!r}",
            )
        key = None if header is None else read_key(header)
        body = await read_inflated(request, most=limits.body_bytes, timeout=pacing.body_timeout)
        if key is None:
            batch = await decode(body)
            applied = await context.pipeline.submit(batch, producer=who(request))
            took(context, "samples", applied.samples)
            return _json(answers.Applied.of(applied))
        return _json(answers.Applied.of(await once(key, body)))

    async def decode(body: bytes) -> Batch:
        codec = MSGPACK if request.mimetype in _MSGPACK else JSON
        if len(body) > _BIG:
            batch = await context.decoding.run(lambda: context.native.batch(body, now_ms(), codec))
        else:
            batch = context.native.batch(body, now_ms(), codec)
        refuse_outside(principal_of_request(), batch)
        return batch

    async def once(key: str, body: bytes) -> Applied:
        """The answer to a batch that may have come before."""
        # Keys are kept by producer: the same key of another producer is another key.
        key = f"{principal_of_request().id} {key}"
        mark = fingerprint(body, request.mimetype)
        before = given.begin(key, mark, who(request), trio.current_time())
        if before is not None:
            took(context, "samples", 0)
            return before

        def settle(outcome: Outcome) -> None:
            # The answer is kept even if the producer is gone: it will come back with the same key.
            if isinstance(outcome, Applied):
                given.give(key, outcome, trio.current_time())
            else:
                given.forget(key)

        try:
            batch = await decode(body)
        except BaseException:
            given.forget(key)
            raise
        once = fingerprint(key.encode(), "") + mark
        applied = await context.pipeline.submit(
            batch, producer=who(request), once=once, tell=settle
        )
        took(context, "samples", applied.samples)
        return applied

    async def upload() -> Response:
        """Apply NDJSON line by line as it arrives, and report at the end."""
        report = _Report()
        parts = _lines(
            read_inflated_parts(request, pacing.body_timeout, most=limits.body_bytes, endless=True),
            limits.line_bytes,
        )
        async with aclosing(parts):
            try:
                async for lines in parts:
                    try:
                        await apply(lines, report)
                    except Rejected:
                        # The hub refused a line among them, so nothing of them was applied: try
                        # each line by itself.
                        for line in lines:
                            try:
                                await apply([line], report)
                            except Rejected as problem:
                                report.refuse([(line[0], problem)])
            except Problem as problem:
                # What was applied before stays applied: report how much that is.
                problem.extra.update(report.members())
                raise
            finally:
                took(context, "samples", 0)
                note(context, "samples", report.refusals)
        return report.answer()

    answer_producers(app, context, "samples", "/v1/samples")

    async def apply(lines: list[tuple[int, bytes]], report: _Report) -> None:
        batch, errors = context.native.lines(lines, now_ms())
        # An upload may last longer than its token is valid.
        if outside(context.access.still(principal_of_request()), batch):
            lines, forbidden = _divide(lines)
            batch, errors = context.native.lines(lines, now_ms())
            report.refuse(forbidden)
        if batch.series:
            applied = await context.pipeline.submit(batch, producer=who(request))
            took(context, "samples", applied.samples, requests=0)
            report.add(applied)
        report.refuse(errors)

    def _divide(
        lines: list[tuple[int, bytes]],
    ) -> tuple[list[tuple[int, bytes]], list[tuple[int, Problem]]]:
        """The lines whose series may be written, and for each other line why it may not."""
        kept, forbidden = [], list[tuple[int, Problem]]()
        for line in lines:
            batch, _ = context.native.lines([line], now_ms())
            try:
                refuse_outside(principal_of_request(), batch)
                kept.append(line)
            except Forbidden as problem:
                forbidden.append((line[0], problem))
        return kept, forbidden


class _Report:
    """What became of an upload so far."""

    def __init__(self) -> None:
        self._applied = 0
        self._rejected = 0
        self._watchers = 0
        self._last: Applied | None = None
        self._errors: list[RefusedLine] = []
        self.refusals = Refusals()

    def add(self, applied: Applied) -> None:
        self._applied += applied.samples
        self._last = applied
        self._watchers = max(self._watchers, applied.watchers)

    def refuse(self, errors: list[tuple[int, Any]]) -> None:
        self._rejected += len(errors)
        for line, problem in errors:
            self.refusals.add(problem.code, f"line {line}: {problem.detail}")
        for line, problem in errors[: _REPORTED - len(self._errors)]:
            self._errors.append(RefusedLine(line, problem.code, problem.detail))

    def members(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self._told())

    def _told(self) -> UploadReport:
        last = self._last
        return UploadReport(
            self._applied,
            self._rejected,
            None if last is None else str(last.cursor),
            self._watchers,
            self._errors,
        )

    def answer(self) -> Response:
        if not self._rejected:
            return _json(self._told())
        detail = f"{self._rejected} of {self._applied + self._rejected} lines were refused"
        members = {
            "type": "about:blank",
            "title": "Unprocessable content",
            "status": 422,
            "detail": detail,
            "code": "lines",
            **self.members(),
        }
        return _json(members, 422, "application/problem+json")


async def _lines(
    parts: AsyncGenerator[bytes], most: int
) -> AsyncGenerator[list[tuple[int, bytes]]]:
    """Numbered lines, as many at a time as have arrived. Raises TooLarge for a line that is too
    long."""
    rest = b""
    number = 0
    async with aclosing(parts) as source:
        async for part in source:
            *whole, rest = (rest + part).split(b"\n")
            good = list(takewhile(lambda line: len(line) <= most, whole))
            if good:
                yield list(enumerate(good, number + 1))
                number += len(good)
            if len(good) < len(whole) or len(rest) > most:
                raise TooLarge(
                    "line",
                    f"line {number + 1} is longer than {most} bytes (limits.line_bytes)",
                    limit="line_bytes",
                    line=number + 1,
                )
    if rest:
        yield [(number + 1, rest)]


def _json(
    members: answers.Applied | UploadReport | dict[str, Any],
    status: int = 200,
    content_type: str = "application/json",
) -> Response:
    return Response(msgspec.json.encode(members), status=status, content_type=content_type)
