"""Which producer a request is from: whose limits apply, and what it may write."""

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
from pushsvc.ingest.producers import Sender
from pushsvc.ingest.refusals import Refusals
from pushsvc.pipeline import now_ms

_PATHS: Final = "pushsvc.producers"
"""Formats by the path that takes them, among the extensions of an app."""
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")


def who(asked: Request | Websocket) -> Account:
    """The producer behind a request: the identity of its token, else its address."""
    return account(principal_of_request(), asked.remote_addr or "")


def sender_of(asked: Request | Websocket) -> Sender:
    """The one that sends a request, even if the request was refused."""
    principal = g.get("principal")
    known = principal if isinstance(principal, Principal) else NO_ONE
    address = asked.remote_addr or ""
    return Sender(account(known, address), asked.headers.get("User-Agent", ""), address)


def took(context: Context, format_: str, samples: int, requests: int = 1) -> None:
    """Note that so many samples of this request's body were applied; of a body that is applied in
    parts, `requests` is 0 for all but one."""
    context.producers.sent(format_, sender_of(request), samples, now_ms(), requests)


def note(context: Context, format_: str, refusals: Refusals) -> None:
    """Note that a part of this request's body was refused."""
    note_refusals(context, format_, sender_of(request), refusals)


def note_refusals(context: Context, format_: str, sender: Sender, refusals: Refusals) -> None:
    """Note that a part of what somebody sent was refused."""
    if refusals.count:
        context.refused.note(format_, sender.account.name, refusals, trio.current_time())
        context.producers.refused(format_, sender, refusals, now_ms())


def note_request(context: Context, format_: str, sender: Sender, problem: Problem) -> None:
    """Note that a whole request, or a message, was refused."""
    told = problem.code, problem.detail
    if problem.status not in (401, 403):  # the guard counts and logs those
        context.refused.note_request(format_, sender.account.name, *told, trio.current_time())
    context.producers.refused_request(format_, sender, *told, now_ms())


def answer_producers(
    app: QuartTrio,
    context: Context,
    format_: str,
    path: str,
    words: Answer = problems.respond,
    *,
    later: Collection[int] = (),
) -> None:
    """Answer refusals at a path in the form `words` gives them, and note them.

    `later` are statuses after which the producers of a format don't retry: these become 503, after
    which all of them do.
    """

    def answer(problem: Problem) -> Response:
        note_request(context, format_, sender_of(request), problem)
        if problem.status not in later:
            return words(problem)
        extra = dict(problem.extra)
        after = extra.pop("retry_after", 1.0)
        response = words(Overloaded(problem.code, problem.detail, retry_after=after, **extra))
        if problem.status == 408 and request.http_version < "2":
            response.headers["Connection"] = "close"  # nobody will read the rest of the body
        return response

    problems.answer_by(app, path, answer)
    app.extensions.setdefault(_PATHS, {})[path] = format_


def install(app: QuartTrio, context: Context) -> None:
    @app.before_request
    async def refuse_who_owes() -> None:
        """Refuse a producer that has used up its share before its next batch is read.

        Other routes that take a POST aren't affected: dashboards behind the same address can still
        change what they watch.
        """
        brings = request.method == "POST" and request.path in app.extensions.get(_PATHS, {})
        if brings and isinstance(g.get("principal"), Principal):
            g.brought_at = trio.current_time()
            context.pipeline.quotas.refuse(who(request), trio.current_time())

    @app.after_request
    async def observe(response: Response) -> Response:
        began: float | None = g.get("brought_at")
        # An upload of lines takes as long as its producer wants it to.
        if began is not None and response.status_code < 300 and request.mimetype not in NDJSON:
            format_ = app.extensions[_PATHS][request.path]
            context.pipeline.observed.ingest.of(format_).add(trio.current_time() - began)
        return response
