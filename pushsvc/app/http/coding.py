"""Content codings of answers: choosing the one that a client accepts, and encoding whole bodies.

A page's files are compressed when it is built, and streams are compressed frame by frame, once for
all clients (`core/delivery/wire.py`). All other answers are compressed here, large ones in a
thread.

An answer that contains a secret, or repeats fields of its request, isn't compressed: an attacker
who can make a browser send guesses, and see the sizes of the answers, could find the secret letter
by letter (BREACH). The session cookie isn't sent with other sites' requests at all
(SameSite=Strict), and a stream's own session differs each time, so that all other answers may be
compressed.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import cramjam
import msgspec
import trio
from quart import Response, request
from quart.wrappers.response import DataBody
from quart_trio import QuartTrio
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from pushsvc import zstd
from pushsvc.app.http.context import Context
from pushsvc.app.http.problems import MEDIA_TYPE
from pushsvc.errors import NotAcceptable

Coding: TypeAlias = Literal["identity", "gzip", "zstd", "br"]

WHOLE: Final[tuple[Coding, ...]] = ("zstd", "gzip", "br")
"""For bodies that are compressed as they are answered, best first. At these levels zstd takes a
third of gzip's time and makes the body a fifth smaller; br takes half as long again as gzip and
makes it a twentieth smaller."""
FILES: Final[tuple[Coding, ...]] = ("br", "gzip")
"""For files that were compressed when they were built."""
STREAMS: Final[tuple[Coding, ...]] = ("gzip", "zstd")
"""For streams of frames that are compressed one by one. gzip comes first: every client reads it,
and WebSockets get the same blocks; some readers of zstd stop after the first frame."""

_ZSTD_LEVEL = 3
_GZIP_LEVEL = 4
_BROTLI_LEVEL = 4
_LEAST: Final = 1024
"""Bytes below which an answer fits into one packet without compression too."""
_BIG: Final = 32 * 1024
"""Bytes from which on compressing takes longer than handing it to a thread: a third of a
millisecond."""
_THREADS: Final = 2
_MEDIA: Final = ("application/json", "application/problem+json", "application/schema+json")
_PLAIN: Final = frozenset(
    # Tickets are secrets, the form repeats what was wrong with a token, and the doctor's answers
    # must arrive as they were sent.
    ("tickets", "login", "logout", "doctor_echo", "doctor_drip", "doctor_upload")
)
"""Routes whose answers are never compressed."""


@functools.lru_cache(256)
def choose(accepted: str | None, offered: Sequence[Coding]) -> Coding:
    """The coding of an answer, for an `Accept-Encoding` (RFC 9110 section 12.5.3): the one with the
    highest weight, and among equals the first that is offered.

    Raises NotAcceptable where the client doesn't accept even the plain answer.
    """
    if accepted is None:
        return "identity"
    # If one is named twice, its higher weight counts: they come sorted.
    qualities = dict(reversed(list(parse_accept_header(accepted.lower(), Accept))))
    others = qualities.get("*", 0.0)
    qualities.setdefault("gzip", qualities.get("x-gzip", others))
    # `*` alone gets gzip only: a client that accepts anything may not know the other codings.
    wanted = {coding: qualities.get(coding, 0.0) for coding in offered}
    best = max(wanted, key=wanted.__getitem__, default=None)
    # The plain answer is accepted unless it is excluded, by its name or by `*`.
    plain = qualities.get("identity", qualities.get("*"))
    if best is not None and wanted[best] > 0.0 and wanted[best] >= (plain or 0.0):
        return best
    if plain == 0.0:
        raise NotAcceptable(
            "content_coding",
            f"this is to be had as {', '.join([*offered, 'identity'])}, and Accept-Encoding takes "
            "none of these",
            available=[*offered, "identity"],
        )
    return "identity"


def coding_of_stream(accepted: str | None, *, compress: bool) -> Coding:
    """The coding of a stream. Raises NotAcceptable where the client accepts none."""
    return choose(accepted, STREAMS if compress else ())


def compress(content: bytes, coding: Coding) -> bytes:
    """Compress a whole body. Blocks; the libraries release the GIL."""
    if coding == "zstd":
        return zstd.compress(content, _ZSTD_LEVEL)
    if coding == "br":
        return bytes(cramjam.brotli.compress(content, _BROTLI_LEVEL))
    if coding == "gzip":
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
        return packer.compress(content) + packer.flush()
    return content


def is_compressible(response: Response) -> bool:
    """Whether bodies of this media type get smaller when they are compressed."""
    media_type = response.mimetype or ""
    return media_type in _MEDIA or media_type.startswith("text/")


def install(app: QuartTrio, context: Context) -> None:
    """Compress answers. Install it before everything that looks at answers: handlers that are
    installed first run last."""
    threads = trio.CapacityLimiter(_THREADS)

    @app.after_request
    async def compress_answer(response: Response) -> Response:
        body = response.response
        if (
            not context.compress
            or not isinstance(body, DataBody)
            or response.status_code in (204, 206, 304)
            or "Content-Encoding" in response.headers
            # a strong tag stands for exactly these bytes
            or response.headers.get("ETag", "W/")[:2] != "W/"
            or request.endpoint in _PLAIN
            or not is_compressible(response)
        ):
            return response
        coding = coding_of(response, WHOLE)
        if coding == "identity" or (len(body.data) < _LEAST and _takes_plain()):
            return response
        if len(body.data) < _BIG:
            packed = compress(body.data, coding)
        else:
            packed = await trio.to_thread.run_sync(compress, body.data, coding, limiter=threads)
        response.set_data(packed)
        response.headers["Content-Encoding"] = coding
        return response


def accepted() -> str | None:
    """The `Accept-Encoding` of this request; None where it has none."""
    values = request.headers.getlist("Accept-Encoding")
    return ", ".join(values) if values else None


def coding_of(response: Response, offered: Sequence[Coding]) -> Coding:
    """The coding for this answer. If the client accepts none, the answer becomes a refusal, unless
    the request has already changed something."""
    response.vary.add("Accept-Encoding")
    try:
        return choose(accepted(), offered)
    except NotAcceptable as problem:
        if request.method in ("GET", "HEAD") and response.status_code < 400:
            response.status_code = problem.status
            response.content_type = MEDIA_TYPE
            response.set_data(msgspec.json.encode(problem.document()))
        return "identity"


def _takes_plain() -> bool:
    try:
        return choose(accepted(), ()) == "identity"
    except NotAcceptable:
        return False
