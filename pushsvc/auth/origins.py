"""The web's own rules: which pages may send requests, and which may embed ours.

A browser sends cookies along, and can reach addresses that only its own machine can. So a request
that changes something, and every WebSocket, must come from a page of this service or of a
configured origin. A client that is no browser sends no `Origin` and is accepted (RFC 6454 section
7.3, RFC 6455 section 10.2).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from pushsvc.auth.proxies import UNIX, Client, is_loopback
from pushsvc.core.model.series import shorten
from pushsvc.errors import Forbidden, Misdirected

SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_LONGEST_NAME: Final = 253
"""The longest name of a host (RFC 1035 section 2.3.4)."""
_MAX_AGE: Final = "7200"
_EXPOSED: Final = "Retry-After, WWW-Authenticate"
_METHODS: Final = "GET, HEAD, POST"
_HEADERS: Final = (
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key, Last-Event-ID, Accept"
)


class Origins:
    """The rules, for the origins that are configured."""

    def __init__(self, allowed: Iterable[str], embedders: Iterable[str]) -> None:
        """`embedders` are origins that may frame the page, or `self`; empty if none may. Raises
        ValueError for a text that isn't an origin."""
        self._allowed = frozenset(_check(origin) for origin in allowed)
        self._hosts = {urlsplit(origin).hostname or "" for origin in self._allowed}
        self._embedders = tuple(
            "'self'" if one == "self" else _check(one) for one in embedders if one != "none"
        )

    def refuse_strangers(
        self, client: Client, headers: Mapping[str, str], *, by_cookie: bool
    ) -> None:
        """Raise Forbidden for a request from a page of another site, and for one that is authorised
        by a cookie and has no Origin."""
        origin = headers.get("origin")
        if origin is None:
            site = headers.get("sec-fetch-site", "none")
            if by_cookie or site not in ("none", "same-origin"):
                raise Forbidden("origin", "what changes something by cookie has an Origin")
        elif origin.lower() != client.origin and origin.lower() not in self._allowed:
            raise Forbidden("origin", explain(origin.lower(), client, headers))

    def refuse_other_names(self, client: Client, headers: Mapping[str, str]) -> None:
        """Raise Misdirected for another site's host name that points to this service.

        A service without access control is for this machine only, but a page of any site can have
        its own name resolve to this address (DNS rebinding) and then counts as of the same origin.
        Such a name has a dot and isn't an address. Such a page can also write the headers of a
        proxy, so both the name in `Host` and the one that a proxy reports are checked.
        """
        written = headers.get("host", "")
        for told in (written,) if client.host == written else (client.host, written):
            host = _host_of(f"//{told}")
            ours = is_loopback(host) or _is_address(host) or host in self._hosts
            if "." in host.rstrip(".") and not ours:
                origin = f"{client.scheme}://{told.lower()}"
                # Somebody will paste it into a configuration, so only a plain name is quoted.
                plain = _ORIGIN.fullmatch(origin) and len(host) <= _LONGEST_NAME
                setting = f'say web.origins = "{origin}"' if plain else "name it in web.origins"
                raise Misdirected(
                    "host", f"{shorten(host)} is no name of this service: {setting} if it is"
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
        """The headers of a page, which may run, show and connect to nothing but this service."""
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


def style_hash(style: str) -> str:
    """How a policy names a style sheet that is part of the page (CSP 3 section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def explain(origin: str, client: Client, headers: Mapping[str, str]) -> str:
    """Why pages of this origin are refused, and what to set if the origin is the operator's own."""
    page, peer = shorten(origin), client.peer or UNIX
    what = f"a page of {page} may not do this to {shorten(client.origin)}"
    host = client.host.lower()
    theirs = urlsplit(origin).netloc if _ORIGIN.fullmatch(origin) else ""
    trusting = f"name the proxy in web.trusted_proxies ({peer})"
    told = _last(headers, "x-forwarded-host").lower() == theirs or (
        f"host={theirs}" in headers.get("forwarded", "").lower().replace('"', "")
    )
    if theirs and not client.believed and told:
        return f"{what}: if a proxy says so (X-Forwarded-Host), {trusting}"
    if theirs == host and not client.believed:
        return f"{what}: if a proxy ends TLS, have it send X-Forwarded-Proto, and {trusting}"
    if theirs == host:
        return f"{what}: have the proxy send X-Forwarded-Proto"
    return (
        f"{what}: if it is the service's own, have the proxy pass Host on (nginx: proxy_set_header "
        "Host $http_host; Apache: ProxyPreserveHost On), or send X-Forwarded-Host and "
        f"{trusting}; if it is another site's, name it in web.origins"
    )


ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that a browser sends `Origin: null` for our own form too.
    "Referrer-Policy": "same-origin",
}
"""The headers of every answer."""


def _check(text: str) -> str:
    """An origin in its serialised form. Raises ValueError."""
    origin = text.lower().rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(f"{text!r} is not an origin such as https://dash.example")
    return re.sub(r"^(https://.*):443$|^(http://.*):80$", r"\1\2", origin)


@functools.lru_cache(256)
def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets without an address
        return url.removeprefix("//")


def _last(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").rpartition(",")[2].strip()


def _is_address(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+", host) is not None or ":" in host
