"""Sessions: what the page's cookie holds.

A session is a signed statement and not an entry in a table: it is good on every pod that knows the
secret, outlives a restart, and costs no memory. What a table would add is taking one back: for
that, a session lasts no longer than the token it was made from, one from an API key ends with the
key, and a new secret ends them all. Logging out deletes the cookie; a copy of it that was stolen
before stays good until it expires.

A session may read what its token may, and never write: whatever page tricks a browser into sending
the cookie, no sample comes of it.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from pushsvc.auth.jwt import Registry
from pushsvc.auth.keys import KeyRing
from pushsvc.auth.principal import Grants, Principal, principal_of
from pushsvc.core.query.scope import NOTHING
from pushsvc.core.query.selector import SelectorError
from pushsvc.errors import Rejected, Unauthorized

_TYPE: Final = "pushsvc-session"
_ALGORITHM: Final = "HS256"
_MOST_BYTES: Final = 3800
"""Browsers keep cookies of 4,096 bytes with name and attributes (RFC 6265 section 6.1)."""


class Claims(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Whose a session is, and when it ends (Unix seconds)."""

    sub: str
    exp: float
    read: tuple[str, ...] | None = None
    operator: bool = False


class Sessions:
    """Makes and reads sessions. Times are Unix seconds."""

    def __init__(self, secret: str, seconds: float, ring: KeyRing | None) -> None:
        """Without a secret one is made up, and sessions end with the process. `ring` has the keys
        that sessions may be of."""
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._key = OctKey.import_key(self._secret)
        self._seconds = seconds
        self._ring = ring
        self._registry = Registry([_ALGORITHM])

    def key_for(self, purpose: bytes) -> bytes:
        """A key of 256 bits for something else, made from the same secret."""
        return hmac.digest(self._secret, purpose, "sha256")

    def issue(self, principal: Principal, now: float) -> tuple[str, float]:
        """A session for the owner of this token, and when it ends. Raises Rejected if it grants
        more selectors than a cookie has room for."""
        claims = self.claims(principal, now)
        header = {"alg": _ALGORITHM, "typ": _TYPE}
        plain: dict[str, Any] = msgspec.to_builtins(claims)
        session = jwt.encode(header, plain, self._key, registry=self._registry)
        if len(session) > _MOST_BYTES:
            raise Rejected("session", "the token grants more than a cookie has room for")
        return session, claims.exp

    def claims(self, principal: Principal, now: float) -> Claims:
        """What a session of this principal says."""
        expires = min(now + self._seconds, principal.expires or float("inf"))
        if self._ring is not None:
            return Claims(principal.id, expires)
        return Claims(principal.id, expires, principal.readable, principal.operator)

    def verify(self, session: str, now: float) -> Principal:
        """Whose session this is. Raises Unauthorized."""
        try:
            token = jwt.decode(session, self._key, registry=self._registry)
            if token.header.get("typ") != _TYPE:
                raise Unauthorized("session", "this is not a session")
            claims = msgspec.convert(token.claims, Claims)
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthorized("session", "this session isn't known here: log in") from None
        if now >= claims.exp:
            raise Unauthorized("session_expired", "the session has expired: log in again")
        return self.restore(claims, now)

    def restore(self, claims: Claims, now: float) -> Principal:
        """Whose claims these are: what of it may be read by now. Raises Unauthorized."""
        if self._ring is not None:
            owner = self._ring.owner(claims.sub, now)
            return msgspec.structs.replace(owner, write=NOTHING, expires=claims.exp)
        try:
            grants = Grants(read=claims.read or (), operator=claims.operator)
            return principal_of(claims.sub, grants, claims.exp)
        except (SelectorError, ValueError):
            raise Unauthorized("session", "this session can't be read: log in again") from None
