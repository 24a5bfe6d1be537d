"""Where a request carries its token.

| way | for |
|---|---|
| `Authorization: Bearer TOKEN` (`Token TOKEN` too, as InfluxDB's clients write it) | programs |
| `Authorization: Basic`, with any user and the token as password | programs that know no other |
| subprotocol `pushsvc.token.` and the token in base64url, beside `pushsvc.v1` | other pages |
| `?ticket=` from `POST /v1/tickets` | EventSource |
| the cookie of `POST /v1/login` | the page |

A browser sends the cookie by itself, so whatever else is there counts before it. Of the others a
request carries one (RFC 6750 section 2). A token itself is never taken from a URL.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from pushsvc.errors import Malformed

COOKIE: Final = "__Host-pushsvc"
"""With this prefix a browser sends the cookie only to this very host and only over TLS, and
neighbouring hosts can't set it (RFC 6265bis section 4.1.3.2)."""
SUBPROTOCOL_PREFIX: Final = "pushsvc.token."
_MOST_BYTES: Final = 12 * 1024
_AUTHORIZATION = re.compile(r"(?:bearer|token) +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class Way(StrEnum):
    """How a token was presented."""

    HEADER = "header"
    SUBPROTOCOL = "subprotocol"
    TICKET = "ticket"
    COOKIE = "cookie"


class Credential(msgspec.Struct, frozen=True):
    """A token and how it was presented; its representation doesn't contain the token."""

    way: Way
    token: str

    def __repr__(self) -> str:
        return f"<Presented by {self.way}>"

    __str__ = __repr__


class Cookie(msgspec.Struct, frozen=True):
    """The name of the session cookie, and the paths to which a browser sends it."""

    name: str = COOKIE
    path: str = "/"

    @classmethod
    def under(cls, base_path: str) -> Cookie:
        """The cookie of a service under a path, which isn't sent to other services on the same
        host.

        The prefix of `COOKIE` allows no path; this one allows any (RFC 6265bis section 4.1.3.1).
        """
        return cls("__Secure-pushsvc", f"{base_path}/") if base_path else cls()


def find(
    headers: Mapping[str, str], tickets: Sequence[str], cookie: str = COOKIE
) -> Credential | None:
    """The token of a request, if it has one.

    `headers` have lower-case names, those that are repeated joined with commas (of cookies: with
    semicolons); `tickets` are the values of the query parameter, `cookie` is the name of one.
    Raises Malformed for one that can't be read, and for several.
    """
    found: list[Credential] = []
    authorization = headers.get("authorization")
    if authorization is not None:
        found.append(Credential(Way.HEADER, _read(authorization.strip())))
    for name in headers.get("sec-websocket-protocol", "").split(","):
        encoded = name.strip()
        if encoded.startswith(SUBPROTOCOL_PREFIX):
            found.append(Credential(Way.SUBPROTOCOL, _decode(encoded)))
    found.extend(Credential(Way.TICKET, ticket) for ticket in tickets)
    if len(found) > 1:
        raise Malformed("authorization", "a request carries one token, in one way")
    if not found and (session := _cookie(headers.get("cookie", ""), cookie)) is not None:
        found.append(Credential(Way.COOKIE, session))
    if not found:
        return None
    if len(found[0].token) > _MOST_BYTES:
        raise Malformed("authorization", f"a token has at most {_MOST_BYTES} bytes")
    return found[0]


def _read(authorization: str) -> str:
    matched = _AUTHORIZATION.fullmatch(authorization)
    if matched is not None:
        return matched[1]
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
        except (ValueError, binascii.Error):
            pair = ""
        token = pair.partition(":")[2]
        if _TOKEN.fullmatch(token):
            return token
    raise Malformed(
        "authorization", "Authorization must be Bearer and one token, or Basic with it as password"
    )


def _decode(name: str) -> str:
    text = name.removeprefix(SUBPROTOCOL_PREFIX)
    try:
        # Strict about the alphabet; the standard library's decoder isn't.
        if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
            raise ValueError
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        raise Malformed(
            "authorization", f"after {SUBPROTOCOL_PREFIX} comes a token in base64url"
        ) from None


def subprotocol_of(token: str) -> str:
    """The subprotocol entry that presents a token."""
    return SUBPROTOCOL_PREFIX + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def _cookie(header: str, wanted: str) -> str | None:
    # Split at semicolons only: a cookie that a neighbouring host has set may contain commas.
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and name == wanted:
            return value.strip('"')
    return None
