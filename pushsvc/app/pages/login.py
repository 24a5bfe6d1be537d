"""Logging in and out, and tickets: other ways to present a token."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta
from quart import Response, request
from quart_trio import QuartTrio

from pushsvc.app.http.base_path import root_seen_from
from pushsvc.app.http.connection import JSON_TYPES, read_body
from pushsvc.app.http.context import Context
from pushsvc.app.http.described import TOO_SLOW, Content, described, json
from pushsvc.app.http.guard import access_request_of, principal_of_request
from pushsvc.app.http.login_page import FORM, login_page
from pushsvc.auth.access import Need
from pushsvc.auth.credentials import Way, find
from pushsvc.auth.tickets import LIFETIME
from pushsvc.core.query.scope import NOTHING
from pushsvc.errors import Forbidden, Malformed, Unauthorized, UnsupportedMedia

_MOST_BYTES: Final = 16 * 1024
_ATTRIBUTES: Final = "Secure; HttpOnly; SameSite=Strict"


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """A token to log in with."""

    token: str


class LoginForm(msgspec.Struct):
    """The same, sent by a form."""

    token: str


class TicketRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a ticket is for."""

    query: Annotated[
        str | None,
        Meta(description="As in the URL, without the ticket: select=up&window=15m."),
    ] = None


class Ticket(msgspec.Struct, frozen=True):
    """A ticket to open one stream with."""

    ticket: str
    expires_in: Annotated[float, Meta(description="Seconds until it must have been used.")]
    stream_expires_in: Annotated[
        float, Meta(description="Seconds for which its stream may come back.")
    ]


def _wanted(body: bytes) -> str | None:
    """The query of the stream that a ticket is for, if it names one. Raises Malformed."""
    if not body:
        return None
    try:
        return msgspec.json.decode(body, type=TicketRequest).query
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Malformed("ticket", 'the body is {"query": "select=…"}, or empty') from None


def install(app: QuartTrio, context: Context) -> None:
    access = context.access

    @app.post("/v1/login")
    @described(
        "Exchange a token for a session cookie",
        "For pages: the cookie is Secure, HttpOnly and SameSite=Strict, lasts as long as the token "
        "and at most auth.session_seconds, and lets nothing be written. The token comes in the "
        "body or as Authorization. A form is answered with 303 to the page, or with the form "
        "again.",
        body=Content(types={"application/json": Login, FORM: LoginForm}, required=False),
        answers={
            204: "Logged in, by Set-Cookie.",
            303: "Logged in, to a form.",
            400: "The body can't be read.",
            401: "The token isn't good.",
            403: "The request comes from a page of another origin.",
            404: "Access isn't controlled here (auth.mode none).",
            408: TOO_SLOW,
            413: "Larger than 16 KiB.",
            415: "Neither JSON nor a form.",
            422: "The token grants more than a cookie has room for.",
        },
    )
    async def login() -> Response:
        """Exchange a token, from the header, JSON or the form, for a session cookie."""
        form = request.mimetype == FORM
        try:
            session, seconds = await access.log_in(await read_token(form=form))
        except Unauthorized as problem:
            if not form:
                raise
            return login_page(access.origins, root_seen_from(request.path), problem)
        response = Response(b"", status=303 if form else 204)
        if form:
            response.headers["Location"] = root_seen_from(request.path)
        response.headers["Set-Cookie"] = (
            f"{access.cookie.name}={session}; Max-Age={max(0, int(seconds))}; "
            f"Path={access.cookie.path}; {_ATTRIBUTES}"
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    async def read_token(*, form: bool) -> str:
        body = await read_body(request, most=_MOST_BYTES, timeout=context.pacing.body_timeout)
        found = find(access_request_of(request).headers, ())
        if found is not None and found.way is Way.HEADER:
            return found.token
        if form:
            tokens = parse_qs(body.decode("utf-8", "replace")).get("token", [])
            if len(tokens) != 1:
                raise Malformed("login", "the form has one field, token")
            return tokens[0].strip()
        # Text is accepted too: other sites' requests, which may send it without asking, are refused
        # by their Origin.
        if request.mimetype not in JSON_TYPES:
            raise UnsupportedMedia("media_type", "a login comes as JSON or as a form")
        try:
            return msgspec.json.decode(body, type=Login).token
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Malformed("login", 'the body is {"token": "…"}') from None

    @app.post("/v1/logout")
    @described(
        "Delete the session cookie",
        answers={
            204: "Done, also where there was none.",
            403: "The request comes from a page of another origin.",
        },
    )
    async def logout() -> Response:
        """Delete the cookie. Without a cookie it succeeds too, since the result is the same."""
        response = Response(b"", status=204)
        response.headers["Set-Cookie"] = (
            f"{access.cookie.name}=; Max-Age=0; Path={access.cookie.path}; {_ATTRIBUTES}"
        )
        # The browser's cached answers are deleted too.
        response.headers["Clear-Site-Data"] = '"cache"'
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.post("/v1/tickets")
    @described(
        "A ticket to open one stream with, as ?ticket=",
        "For EventSource, which can send no header. With the query of the stream that it is for it "
        "opens that one alone, also after a restart or on another pod (auth.session_secret). "
        "Without, it is good once, where it was made, for any request that reads. A stream of "
        "events that it opened may come back with it, by the very same query, one at a time.",
        body=Content(types={"application/json": TicketRequest}, required=False),
        answers={
            200: json(Ticket, "It reads what the token reads, and no more."),
            429: "This token has a hundred tickets that are unused.",
            503: "Too many tickets are out; come back later.",
        },
    )
    async def tickets() -> Response:
        """A ticket for one request that reads, or for one stream, which may come back with it."""
        if "ticket" in request.args:
            raise Forbidden("ticket", "a ticket isn't exchanged for another: present the token")
        query = _wanted(
            await read_body(request, most=_MOST_BYTES, timeout=context.pacing.body_timeout)
        )
        reader = msgspec.structs.replace(principal_of_request(), write=NOTHING, operator=False)
        ticket, seconds = access.issue_ticket(reader, query)
        body = msgspec.json.encode(Ticket(ticket, LIFETIME, round(seconds)))
        response = Response(body, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response


async def logged_in(context: Context) -> bool:
    """Whether the client that asks for the page may see any series."""
    try:
        await context.access.admit(access_request_of(request), Need.TOKEN)
    except Unauthorized:
        return False
    return True
