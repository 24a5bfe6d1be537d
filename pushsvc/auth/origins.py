"""The web's own rules: which pages may ask, and which may embed ours.

A browser sends cookies along, and reaches what only its own machine can. So a request that changes
something, and every WebSocket, must come from a page of this service or of a configured origin;
what is no browser sends no `Origin` and passes (RFC 6454 section 7.3, RFC 6455 section 10.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from pushsvc.auth.proxies import Client, is_loopback
from pushsvc.core.series import shorten
from pushsvc.errors import Forbidden, Misdirected

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_MAX_AGE: Final = "7200"
_EXPOSED: Final = "Retry-After, WWW-Authenticate"
_METHODS: Final = "GET, HEAD, POST"
_HEADERS: Final = (
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key, Last-Event-ID, Accept"
)


class Origins:
    """The rules, for the origins that are configured."""

    def __init__(self, allowed: Iterable[str], embedders: Iterable[str]) -> None:
        """`embedders` are origins that may frame the page, or `self`; none if there are none.
        Raises ValueError for what is no origin."""
        self._allowed = frozenset(_check(origin) for origin in allowed)
        self._hosts = {urlsplit(origin).hostname or "" for origin in self._allowed}
        self._embedders = tuple(
            "'self'" if one == "self" else _check(one) for one in embedders if one != "none"
        )

    def refuse_strangers(
        self, client: Client, headers: Mapping[str, str], *, by_cookie: bool
    ) -> None:
        """Raise Forbidden for a request that another site's page makes."""
        origin = headers.get("origin")
        if origin is None:
            site = headers.get("sec-fetch-site", "none")
            if by_cookie or site not in ("none", "same-origin"):
                raise Forbidden("origin", "what changes something by cookie has an Origin")
        elif origin.lower() != client.origin and origin.lower() not in self._allowed:
            raise Forbidden(
                "origin", f"{shorten(origin)} may not do this here: it isn't among web.origins"
            )

    def refuse_other_names(self, client: Client) -> None:
        """Raise Misdirected for a name of someone else's that points here.

        A service without access control is kept to this machine, but a page of any site can have
        its own name lead to it (DNS rebinding) and then counts as of the same origin. Such a name
        has a dot and isn't an address.
        """
        host = urlsplit(f"//{client.host}").hostname or ""
        ours = is_loopback(host) or _is_address(host) or host in self._hosts
        if "." in host.rstrip(".") and not ours:
            raise Misdirected(
                "host", f"{shorten(host)} is no name of this service: name it in web.origins"
            )

    def needs_headers(self, headers: Mapping[str, str]) -> bool:
        """Whether the answer to this request gets CORS headers."""
        return headers.get("origin", "").lower() in self._allowed

    def cors(self, headers: Mapping[str, str], *, preflight: bool) -> dict[str, str]:
        """The CORS headers of an answer (Fetch standard, section 3.2)."""
        answer = {"Vary": "Origin"} if self._allowed else {}
        if self.needs_headers(headers):
            answer["Access-Control-Allow-Origin"] = headers["origin"]
            answer["Access-Control-Allow-Credentials"] = "true"
            if preflight:
                answer["Access-Control-Allow-Methods"] = _METHODS
                answer["Access-Control-Allow-Headers"] = _HEADERS
                answer["Access-Control-Max-Age"] = _MAX_AGE
            else:
                answer["Access-Control-Expose-Headers"] = _EXPOSED
        return answer

    def page_headers(self, *, style: str = "'self'", form: str = "'none'") -> dict[str, str]:
        """The headers of a page: it runs, shows and reaches what is of this service only."""
        ancestors = " ".join(self._embedders) or "'none'"
        headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; script-src 'self'; style-src {style}; "
                "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
                f"base-uri 'self'; form-action {form}; frame-ancestors {ancestors}"
            ),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }
        if not self._embedders:
            headers["X-Frame-Options"] = "DENY"
        elif self._embedders == ("'self'",):
            headers["X-Frame-Options"] = "SAMEORIGIN"
        return headers


ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that a browser says `Origin: null` of our own form, too.
    "Referrer-Policy": "same-origin",
}
"""The headers of every answer."""


def _check(text: str) -> str:
    """An origin in its serialised form. Raises ValueError."""
    origin = text.lower().rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(f"{text!r} is not an origin such as https://dash.example")
    return re.sub(r"^(https://.*):443$|^(http://.*):80$", r"\1\2", origin)


def _is_address(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+", host) is not None or ":" in host
