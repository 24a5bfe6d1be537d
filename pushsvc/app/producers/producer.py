"""Who brings samples: whose share they are taken off, and what of them may be written."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import trio
from quart import Response, g, request
from quart.wrappers import Request, Websocket
from quart_trio import QuartTrio

from pushsvc.app.http import problems
from pushsvc.app.http.context import Context
from pushsvc.app.http.guard import principal_of_request
from pushsvc.app.http.problems import Answer
from pushsvc.auth.principal import NO_ONE, Principal, account
from pushsvc.core.resources.account import Account
from pushsvc.errors import Overloaded, Problem
from pushsvc.ingest.refusals import Refusals

_PATHS: Final = "pushsvc.producers"


def who(asked: Request | Websocket) -> Account:
    """The producer behind a request: whoever has its token, else the address it comes from."""
    return account(principal_of_request(), asked.remote_addr or "")


def name_of_request() -> str:
    """The producer behind this request, also where it was not let in."""
    principal = g.get("principal")
    known = principal if isinstance(principal, Principal) else NO_ONE
    return account(known, request.remote_addr or "").name


def note(context: Context, format_: str, refusals: Refusals) -> None:
    """Part of this request's body was refused."""
    if refusals.count:
        context.refused.note(format_, name_of_request(), refusals, trio.current_time())


def answer_producers(
    app: QuartTrio,
    context: Context,
    format_: str,
    path: str,
    words: Answer = problems.respond,
    *,
    later: Collection[int] = (),
) -> None:
    """Have refusals at a path answered in `words`, and noted.

    `later` are statuses that the producers of a format take for "never": these become 503, with
    which all of them come back.
    """

    def answer(problem: Problem) -> Response:
        if problem.status not in (401, 403):  # the guard counts and logs those
            context.refused.note_request(
                format_, name_of_request(), problem.code, problem.detail, trio.current_time()
            )
        if problem.status not in later:
            return words(problem)
        extra = dict(problem.extra)
        after = extra.pop("retry_after", 1.0)
        response = words(Overloaded(problem.code, problem.detail, retry_after=after, **extra))
        if problem.status == 408 and request.http_version < "2":
            response.headers["Connection"] = "close"  # what is still to come is read by nobody
        return response

    problems.answer_by(app, path, answer)
    app.extensions.setdefault(_PATHS, set()).add(path)


def install(app: QuartTrio, context: Context) -> None:
    @app.before_request
    async def refuse_who_owes() -> None:
        """A producer beyond its share is told before its next batch is read.

        What else takes a POST has no part in it: dashboards behind the same address change what
        they watch all the same.
        """
        brings = request.method == "POST" and request.path in app.extensions.get(_PATHS, ())
        if brings and isinstance(g.get("principal"), Principal):
            context.pipeline.quotas.refuse(who(request), trio.current_time())
