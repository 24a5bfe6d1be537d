"""Errors as RFC 9457 problem documents, whatever code raised them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from html import escape
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType
from quart import Response, has_request_context, has_websocket_context, request, websocket
from quart_trio import QuartTrio
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header

from pushsvc.app.http.base_path import root_seen_from
from pushsvc.auth.origins import style_hash
from pushsvc.errors import Problem, Unknown
from pushsvc.ingest.inflate import ACCEPTED
from pushsvc.log import get_logger

_log = get_logger("pushsvc.app")

MEDIA_TYPE = "application/problem+json"
HTML = "text/html"
_STYLE = (
    ":root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif;"
    "background:light-dark(#fff,#0d1217)}a{color:light-dark(#0b5cad,#6cb2f2)}"
    "main{max-width:40rem;margin:15vh auto 0;padding:0 1.5rem;overflow-wrap:anywhere}"
    "ul{display:flex;gap:1.5rem;padding:0;list-style:none}a{display:block;padding:.5rem 0}"
)
PAGE_POLICY = (
    f"default-src 'none'; style-src '{style_hash(_STYLE)}'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of an error page."""
CROWDED = "connections_per_identity"
"""The code of a refusal that closes the connection as well."""


class ProblemDocument(msgspec.Struct, frozen=True):
    """What went wrong (RFC 9457). More members say where, or which limit."""

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(description="A stable slug.")]
    account: (
        Annotated[str, Meta(description="Of a limit that is one client's: whose it was.")]
        | UnsetType
    ) = UNSET
    account_kind: Literal["identity", "address"] | UnsetType = UNSET


Answer: TypeAlias = Callable[[Problem], Response]

_ANSWERS = "pushsvc.answers"


def answer_by(app: QuartTrio, path: str, answer: Answer) -> None:
    """Answer all refusals at a path in the format of its own API, whether the route refuses, or
    what runs before it. A path may have variables, written as for the router."""
    app.extensions.setdefault(_ANSWERS, {})[path] = answer


def respond(problem: Problem) -> Response:
    """The answer to a request that failed in an expected way."""
    document = problem.document()
    retry_after = document.get("retry_after")
    if retry_after is not None:
        document["retry_after"] = retry_after = jittered(retry_after)
    response = _document(document, problem.status)
    if (
        (problem.status in (401, 403, 408, 413) or problem.code == CROWDED)
        and has_request_context()
        and request.http_version < "2"
    ):
        # The rest of the body would be read by nobody, or the connection is one too many.
        response.headers["Connection"] = "close"
    if problem.status == 401:
        # RFC 6750 section 3: a request without a token gets no error code.
        error = "" if problem.code == "no_token" else ', error="invalid_token"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="pushsvc"{error}'
    if problem.code == "content_encoding" and problem.status == 415:
        response.headers["Accept-Encoding"] = ACCEPTED
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def jittered(retry_after: float) -> int:
    """About so many seconds, in whole seconds with jitter, so that refused clients don't all come
    back at once."""
    return math.ceil(retry_after * random.uniform(0.5, 1.5))


def _document(document: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(document), status=status, content_type=MEDIA_TYPE)


def respond_as_framework(error: HTTPException) -> Response:
    """The answer to what the framework refuses: an unknown path, or a method that the path doesn't
    have."""
    if has_websocket_context():
        # Whether the path is unknown or has other methods only: no WebSocket is served there.
        return respond(Unknown("path", f"there is no WebSocket at {websocket.path}"))
    status = error.code or 500
    response = _document(
        {
            "type": "about:blank",
            "title": error.name,
            "status": status,
            "detail": error.description or error.name,
            "code": error.name.lower().replace(" ", "_"),
        },
        status,
    )
    for name, value in error.get_headers():
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def page_wanted(accept: str) -> bool:
    """Whether a person will read the answer: a browser that opens a URL asks for HTML by name.

    A program that accepts anything (`*/*`) gets JSON.
    """
    if "text/html" not in accept.lower():
        return False
    return parse_accept_header(accept, MIMEAccept).best_match([MEDIA_TYPE, HTML]) == HTML


def page_of(document: Mapping[str, Any], root: str | None = None) -> str:
    """An error page for a person, with a link onwards; `root` is the way to the service's root, if
    known."""
    title, detail = escape(str(document["title"])), escape(str(document["detail"]))
    status = document.get("status", 0)
    again = '<li><a href="">Try again</a></li>' if status == 429 or status >= 500 else ""
    home = "" if root is None else f'<li><a href="{escape(root)}">All metrics</a></li>'
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>pushsvc: {title}</title><style>{_STYLE}</style>"
        f"<main><h1>{title}</h1><p>{detail}</p><ul>{again}{home}</ul></main></html>\n"
    )


async def _as_page(response: Response) -> None:
    document = msgspec.json.decode(await response.get_data(as_text=False), type=dict[str, Any])
    response.set_data(page_of(document, root_seen_from(request.path)))
    response.content_type = f"{HTML}; charset=utf-8"
    response.headers["Content-Security-Policy"] = PAGE_POLICY


def install(app: QuartTrio) -> None:
    @app.after_request
    async def word(response: Response) -> Response:
        if response.status_code == 204:
            response.headers.pop("Content-Length", None)  # RFC 9110 section 8.6
            response.headers.pop("Content-Type", None)
        if response.mimetype == MEDIA_TYPE and request.method in ("GET", "HEAD"):
            response.vary.add("Accept")
            if page_wanted(request.headers.get("Accept", "")):
                await _as_page(response)
        return response

    def answer_to(problem: Problem) -> Response:
        if not has_request_context():
            return respond(problem)  # a WebSocket is refused in the handshake
        answers: dict[str, Answer] = app.extensions.get(_ANSWERS, {})
        rule = request.path if request.url_rule is None else request.url_rule.rule
        return answers.get(request.path, answers.get(rule, respond))(problem)

    @app.errorhandler(Problem)
    async def expected(problem: Problem) -> Response:
        return answer_to(problem)

    @app.errorhandler(HTTPException)
    async def of_the_framework(error: HTTPException) -> Response:
        return respond_as_framework(error)

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        # A crash is logged with its traceback, and ends only this request.
        _log.exception("request failed", exc_info=error)
        return answer_to(Problem("internal", "something went wrong here; it has been logged"))
