"""Errors as RFC 9457 problem documents, whoever raised them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import structlog
from quart import Response, has_request_context, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from pushsvc.errors import Problem
from pushsvc.ingest.inflate import ACCEPTED

_log = structlog.get_logger("pushsvc.app")

MEDIA_TYPE = "application/problem+json"


Answer: TypeAlias = Callable[[Problem], Response]

_ANSWERS = "pushsvc.answers"


def answer_by(app: QuartTrio, path: str, answer: Answer) -> None:
    """Have whatever is refused at a path answered in the words of its own API, whoever refuses it:
    the route, or what was asked before it ran."""
    app.extensions.setdefault(_ANSWERS, {})[path] = answer


def respond(problem: Problem) -> Response:
    """The answer to a request that failed in an expected way."""
    document = problem.document()
    retry_after = document.get("retry_after")
    if retry_after is not None:
        document["retry_after"] = retry_after = spread(retry_after)
    response = _document(document, problem.status)
    if (
        problem.status in (401, 403, 408, 413)
        and has_request_context()
        and request.http_version < "2"
    ):
        # The rest of the body is still to come, and nobody will read it.
        response.headers["Connection"] = "close"
    if problem.status == 401:
        # RFC 6750 section 3: no error is named to who presented nothing.
        error = "" if problem.code == "no_token" else ', error="invalid_token"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="pushsvc"{error}'
    if problem.code == "content_encoding" and problem.status == 415:
        response.headers["Accept-Encoding"] = ACCEPTED
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def spread(retry_after: float) -> int:
    """Whole seconds around this many, so that those who are sent away don't all come back at
    once."""
    return math.ceil(retry_after * random.uniform(0.5, 1.5))


def _document(document: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(document), status=status, content_type=MEDIA_TYPE)


def install(app: QuartTrio) -> None:
    @app.errorhandler(Problem)
    async def expected(problem: Problem) -> Response:
        if not has_request_context():
            return respond(problem)  # a WebSocket is refused
        answer: Answer = app.extensions.get(_ANSWERS, {}).get(request.path, respond)
        return answer(problem)

    @app.errorhandler(HTTPException)
    async def of_the_framework(error: HTTPException) -> Response:
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

    @app.errorhandler(Exception)
    async def unexpected(error: Exception) -> Response:
        # One request's crash is logged with its traceback, and is nobody else's.
        _log.exception("request failed", exc_info=error)
        return _document(
            {
                "type": "about:blank",
                "title": "Internal error",
                "status": 500,
                "detail": "something went wrong here; it has been logged",
                "code": "internal",
            },
            500,
        )
