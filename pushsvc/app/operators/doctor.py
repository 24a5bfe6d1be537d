"""`/v1/doctor/`: the server's part of the path doctor, which examines what a path does to a long
answer.

`echo` reports how a request arrived, `drip` answers a line at a time with known pauses, and the
WebSocket at `echo` sends back what it receives; `upload` reports when its body arrived. `report`
judges what a browser measured. None of them touches the hub. All are bounded in length and in
number, so that an examination can't use up what dashboards need.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Annotated, Final, Literal

import msgspec
import trio
from msgspec import Meta
from quart import Response, request, websocket
from quart_trio import QuartTrio

from pushsvc.app.http import parameters
from pushsvc.app.http.connection import read_body, read_parts
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import (
    BINARY,
    TEXT,
    Content,
    Parameter,
    described,
    described_socket,
    json,
)
from pushsvc.app.http.guard import access_request_of
from pushsvc.auth.proxies import Client
from pushsvc.core.delivery.documents import Milliseconds
from pushsvc.core.delivery.negotiate import choose_subprotocol
from pushsvc.core.delivery.wire import Close
from pushsvc.core.resources.rate_limiter import RateLimiter
from pushsvc.doctor.diagnosis import diagnose
from pushsvc.doctor.findings import Report
from pushsvc.doctor.measured import Measured
from pushsvc.errors import Forbidden, Malformed, Overloaded, TooLarge
from pushsvc.pipeline import now_ms

_MOST_LINES: Final = 1_000
_LONGEST: Final = 660.0
"""Seconds of one answer: long enough to find a path that cuts after ten minutes."""
_AT_ONCE: Final = 64
"""Long answers and WebSockets at the same time; one examination has up to eight."""
_PER_SECOND: Final = 10.0
_BURST: Final = 60.0
_MOST_MESSAGE: Final = 1024
_MOST_UPLOAD: Final = 4 * 1024 * 1024
_SECRET: Final = frozenset(
    # The last of them may contain a token.
    {"authorization", "cookie", "proxy-authorization", "x-api-key", "sec-websocket-protocol"}
)
_MOST_FIELDS: Final = 64
_MOST_VALUE: Final = 512


_BUSY: Final = "Too many examinations; come back after Retry-After seconds."


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """How a request arrived."""

    time_ms: Milliseconds
    http_version: str
    peer: Annotated[str, Meta(description="Who connected to us.")]
    trusted: Annotated[bool, Meta(description="Whether the peer is a trusted proxy.")]
    address: Annotated[str, Meta(description="Who it is taken for.")]
    scheme: Annotated[str, Meta(extra_json_schema={"enum": ["http", "https"]})]
    host: str
    reads: Annotated[
        str,
        Meta(
            description="What trusted proxies are to write.",
            extra_json_schema={"enum": ["x-forwarded-for", "forwarded"]},
        ),
    ]
    origin_refused: Annotated[
        str, Meta(description="Empty if a page of `origin` may write and log in.")
    ]
    epoch: Annotated[str, Meta(description="Of the journal.")]
    heartbeat: Annotated[float, Meta(description="Seconds.")]
    poll_wait: Annotated[float, Meta(description="Seconds.")]
    headers: dict[str, str]


class Line(msgspec.Struct, frozen=True):
    """A line of an answer that is sent a line at a time."""

    n: int
    time_ms: Milliseconds


class Received(msgspec.Struct, frozen=True):
    """When a body arrived."""

    bytes: int
    first_ms: Annotated[int, Meta(description="Unix milliseconds when its first piece came.")]
    last_ms: Annotated[int, Meta(description="And its last.")]


class _Capacity:
    """Limits the rate of examinations, and their long answers at one time, over all clients."""

    def __init__(self, now: float) -> None:
        self._limiter = RateLimiter(_PER_SECOND, _BURST, now)
        self._open = 0

    def check_admission(self) -> None:
        """Count a request. Raises Overloaded above the rate."""
        if not self._limiter.take(trio.current_time()):
            raise Overloaded("doctor_busy", "too many examinations at once", retry_after=2.0)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Take one of the places for long answers. Raises Overloaded when all are taken."""
        if self._open >= _AT_ONCE:
            raise Overloaded("doctor_busy", "too many examinations at once", retry_after=10.0)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def full(self) -> bool:
        return self._open >= _AT_ONCE


def install(app: QuartTrio, context: Context) -> None:
    capacity: list[_Capacity] = []

    def entered() -> _Capacity:
        """The capacity, made on first use since it needs a running clock. Raises Overloaded above
        the rate, and while the service drains."""
        if not capacity:
            capacity.append(_Capacity(trio.current_time()))
        if context.draining.is_set():
            raise Overloaded("draining", "the service is about to end", retry_after=2.0)
        capacity[0].check_admission()
        return capacity[0]

    @app.get("/v1/doctor/echo")
    @described(
        "How a request arrived, for the path doctor",
        "A WebSocket handshake opens one that gives back each message, of 1024 bytes at most, for "
        "660 s. Secrets among the headers are hidden.",
        parameters=(
            Parameter(
                "origin", str, "Of a page, to hear in `origin_refused` why it may do nothing here."
            ),
        ),
        answers={
            200: json(Arrival, "As it arrived."),
            101: "A WebSocket that echoes.",
            400: "A parameter is unknown.",
            503: _BUSY,
        },
    )
    async def doctor_echo() -> Response:
        parameters.refuse_unknown(request.args, ("origin", "ticket"))
        entered()
        access_request = access_request_of(request)
        client = context.access.proxies.client(
            access_request.peer, access_request.scheme, access_request.headers
        )
        body = Arrival(
            time_ms=now_ms(),
            http_version=request.scope["http_version"],
            peer=access_request.peer,
            trusted=context.access.proxies.trusts(access_request.peer),
            address=client.address,
            scheme=client.scheme,
            host=client.host,
            reads=context.access.proxies.header,
            origin_refused=refused_origin(
                request.args.get("origin"), client, access_request.headers
            ),
            epoch=context.hub.epoch,
            heartbeat=context.pacing.heartbeat,
            poll_wait=context.pacing.poll_wait,
            headers=_shown(access_request.headers),
        )
        response = Response(msgspec.json.encode(body), content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def refused_origin(origin: str | None, client: Client, headers: Mapping[str, str]) -> str:
        """Why pages of this origin are refused; empty if they aren't."""
        if origin is None:
            return ""
        asked = {**headers, "origin": origin}
        try:
            context.access.origins.refuse_strangers(client, asked, by_cookie=False)
        except Forbidden as problem:
            return problem.detail
        return ""

    @app.post("/v1/doctor/upload")
    @described(
        "When a body arrived, for the path doctor",
        body=Content(
            "Anything, of 4 MiB at most. It is kept nowhere.", {"application/octet-stream": BINARY}
        ),
        answers={
            200: json(Received, "All of it came."),
            400: "A parameter is unknown.",
            408: "It came to a halt.",
            413: "More than 4 MiB.",
            503: _BUSY,
        },
    )
    async def doctor_upload() -> Response:
        """Report when the first and the last piece of a body came. Nothing of it is kept."""
        parameters.refuse_unknown(request.args, ("ticket",))
        size, first = 0, 0
        with entered().hold():
            parts = read_parts(request, context.pacing.body_timeout)
            async with aclosing(parts):
                async for part in parts:
                    first = first or now_ms()
                    size += len(part)
                    if size > _MOST_UPLOAD:
                        raise TooLarge(
                            "body", f"an upload to try has {_MOST_UPLOAD} bytes at the most"
                        )
        body = msgspec.json.encode(Received(size, first, now_ms()))
        return Response(body, content_type="application/json")

    @app.get("/v1/doctor/drip")
    @described(
        "An answer that comes a line at a time, for the path doctor",
        parameters=(
            Parameter(
                "lines", Annotated[int, Meta(ge=1, le=_MOST_LINES)], "How many; 8 if not said."
            ),
            Parameter(
                "interval",
                str,
                "The pause between two: 250ms, 20s; 250ms if not said. 660 s in all at most.",
            ),
            Parameter("as", Literal["ndjson", "sse"], "How they are framed."),
        ),
        answers={
            200: Content(
                "Objects with `n`, from 0, and `time_ms`, when it was sent.",
                {"application/jsonl": TEXT, "text/event-stream": TEXT},
            ),
            400: "A parameter can't be read, or the answer would be too long.",
            503: _BUSY,
        },
    )
    async def doctor_drip() -> Response:
        parameters.refuse_unknown(request.args, ("lines", "interval", "as", "ticket"))
        lines = parameters.number(request.args, "lines") or 8
        interval = parameters.seconds(request.args, "interval") or 0.25
        sort = request.args.get("as", "ndjson")
        if lines != int(lines) or lines > _MOST_LINES:
            raise Malformed("lines", f"lines must be a whole number from 1 to {_MOST_LINES}")
        if interval * (lines - 1) > _LONGEST:
            raise Malformed("interval", f"a drip lasts {_LONGEST:g} s at the most")
        if sort not in ("ndjson", "sse"):
            raise Malformed("as", "as must be ndjson or sse")
        entrance = entered()
        if entrance.full():
            raise Overloaded("doctor_busy", "too many examinations at once", retry_after=10.0)
        prefix, suffix = (b"data: ", b"\n\n") if sort == "sse" else (b"", b"\n")

        async def body() -> AsyncGenerator[bytes]:
            with entrance.hold():
                for number in range(int(lines)):
                    if number:
                        with trio.move_on_after(interval):
                            await context.draining.wait()
                            return
                    line = msgspec.json.encode(Line(number, now_ms()))
                    yield prefix + line + suffix

        response = Response(
            body(),
            content_type="text/event-stream" if sort == "sse" else "application/jsonl",
        )
        response.timeout = None
        # The headers of a stream, since proxies' treatment of streams is what is examined.
        response.headers["Cache-Control"] = "no-store, no-transform"
        response.headers["X-Accel-Buffering"] = "no"
        return response

    @app.post("/v1/doctor/report")
    @described(
        "Judge what an examination measured, for the path doctor in a browser",
        body=json(Measured, ""),
        answers={
            200: json(Report, "What was found, and which settings may help."),
            400: "These are no measurements; `detail` says where.",
            413: "More than limits.message_bytes.",
            503: _BUSY,
        },
    )
    async def doctor_report() -> Response:
        parameters.refuse_unknown(request.args, ())
        entered()
        body = await read_body(
            request, most=context.limits.message_bytes, timeout=context.pacing.body_timeout
        )
        try:
            measured = msgspec.json.decode(body, type=Measured)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed("measured", f"these are no measurements: {error}") from None
        report = msgspec.json.encode(diagnose(measured))
        return Response(report, content_type="application/json")

    @app.websocket("/v1/doctor/echo")
    @described_socket(
        "Hear each message again, for the path doctor",
        "Messages of 1024 bytes at most, for 660 s.",
        sends={"echo": TEXT},
        takes={"message": TEXT},
        media_types=("text/plain",),
    )
    async def doctor_socket() -> None:
        with entered().hold():
            await websocket.accept(subprotocol=choose_subprotocol(websocket.requested_subprotocols))
            async with trio.open_nursery() as nursery:
                nursery.cancel_scope.deadline = trio.current_time() + _LONGEST

                async def drained() -> None:
                    await context.draining.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(drained)
                while True:
                    message = await websocket.receive()
                    if len(message) > _MOST_MESSAGE:
                        await websocket.close(
                            Close.TOO_BIG, f"an echo has {_MOST_MESSAGE} bytes at most"
                        )
                        return
                    await websocket.send(message)
            await websocket.close(Close.RESTARTING, "its time is over, or the service's")


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields as they arrived, shortened to a bounded size, and without secret values."""
    shown = {}
    for name, value in list(headers.items())[:_MOST_FIELDS]:
        shown[name] = "(hidden)" if name in _SECRET else value[:_MOST_VALUE]
    return shown
