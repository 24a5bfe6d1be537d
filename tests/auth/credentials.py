"""Every way to send a token, and tokens that are wrong in every way: what the matrix is made of.

A way gives what a request carries: header fields, and what belongs into the query. The ways that
take a request of their own first (a ticket, a cookie) fall back on sending the bare token where
that is refused: somebody who has no good token can do no better.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum

import httpx
import msgspec
from joserfc.jwk import ECKey, OctKey, RSAKey

from pushsvc.auth.credentials import COOKIE, subprotocol_of
from pushsvc.auth.jwt import sign
from tests import tokens
from tests.tokens import FULL, part, token


class Sort(Enum):
    """What is right or wrong with a token."""

    FULL = "full"
    READER = "reader"
    WRITER = "writer"
    OPERATOR = "operator"
    NOBODY = "nobody"
    EXPIRED = "expired"
    NOT_YET = "not yet"
    WRONG_ISSUER = "wrong issuer"
    NO_ISSUER = "no issuer"
    WRONG_AUDIENCE = "wrong audience"
    WRONG_KEY = "wrong key"
    OTHER_ALGORITHM = "other algorithm"
    UNSIGNED = "unsigned"
    PUBLIC_KEY_AS_SECRET = "public key as secret"
    TAMPERED = "tampered"
    NO_SIGNATURE = "no signature"
    UNKNOWN_KID = "unknown kid"
    PATH_AS_KID = "path as kid"
    EMBEDDED_KEY = "embedded key"
    KEY_URL = "key url"
    CRITICAL = "critical"
    OTHER_TYPE = "other type"
    ENCRYPTED = "encrypted"
    NONSENSE = "nonsense"


GOOD: Mapping[Sort, frozenset[str]] = {
    Sort.FULL: frozenset(("read", "write", "operator", "token")),
    Sort.READER: frozenset(("read", "token")),
    Sort.WRITER: frozenset(("write", "token")),
    Sort.OPERATOR: frozenset(("operator", "token")),
    Sort.NOBODY: frozenset(("token",)),
}
"""What the tokens that are taken may do; the others may do nothing."""


def _with_header(key: RSAKey = tokens.RSA, **header: object) -> str:
    """A token whose signature is right for a header that says more."""
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    signed = f"{part({'alg': 'RS256', 'typ': 'JWT', **header})}.{part(tokens.claims())}"
    signature = key.private_key.sign(  # type: ignore[union-attr]
        signed.encode(), padding.PKCS1v15(), SHA256()
    )
    return f"{signed}.{part(signature)}"


_STRANGER = RSAKey.generate_key(2048)


def make(sort: Sort) -> str:
    """A token of this sort, for a service that takes RS256 by `tokens.RSA`."""
    now = int(time.time())
    everything = FULL["read"]
    match sort:
        case Sort.FULL:
            return token()
        case Sort.READER:
            return token(sub="reader", pushsvc={"read": everything})
        case Sort.WRITER:
            return token(sub="writer", pushsvc={"write": everything})
        case Sort.OPERATOR:
            return token(sub="operator", pushsvc={"operator": True})
        case Sort.NOBODY:
            return token(sub="nobody", pushsvc=None)
        case Sort.EXPIRED:
            return token(exp=now - 120)
        case Sort.NOT_YET:
            return token(nbf=now + 600)
        case Sort.WRONG_ISSUER:
            return token(iss="https://other.test")
        case Sort.NO_ISSUER:
            return token(iss=None)
        case Sort.WRONG_AUDIENCE:
            return token(aud="someone.else")
        case Sort.WRONG_KEY:
            return token(key=_STRANGER)
        case Sort.OTHER_ALGORITHM:
            return token("ES256", ECKey.generate_key("P-256"))
        case Sort.UNSIGNED:
            return tokens.unsigned()
        case Sort.PUBLIC_KEY_AS_SECRET:
            return tokens.forged_with_public_key()
        case Sort.TAMPERED:
            return tokens.tampered()
        case Sort.NO_SIGNATURE:
            return token().rpartition(".")[0] + "."
        case Sort.UNKNOWN_KID:
            return _with_header(_STRANGER, kid="nobody-knows")
        case Sort.PATH_AS_KID:
            # The secret is empty, as a program that reads the key from that path would find it.
            null = OctKey.import_key(b"\x00" * 32)
            _, payload, signature = sign(tokens.claims(), null, "HS256").split(".")
            return f"{part({'alg': 'HS256', 'kid': '../../../dev/null'})}.{payload}.{signature}"
        case Sort.EMBEDDED_KEY:
            return _with_header(_STRANGER, jwk=_STRANGER.as_dict(private=False))
        case Sort.KEY_URL:
            return _with_header(_STRANGER, jku="http://127.0.0.1:9/keys", x5u="http://127.0.0.1:9/")
        case Sort.CRITICAL:
            return _with_header(crit=["unheard"], unheard=True)
        case Sort.OTHER_TYPE:
            return _with_header(typ="logout+jwt")
        case Sort.ENCRYPTED:
            return f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..AAAAAAAAAAAAAAAA.AAAA.AAAA"
        case Sort.NONSENSE:
            return "not.a.token"


class Carried(msgspec.Struct, frozen=True):
    """What a request carries to present a token."""

    headers: Mapping[str, str] = {}
    query: str = ""


Way = Callable[[httpx.AsyncClient, str], Awaitable[Carried]]


async def bearer(http: httpx.AsyncClient, text: str) -> Carried:
    return Carried({"Authorization": f"Bearer {text}"})


async def influx(http: httpx.AsyncClient, text: str) -> Carried:
    return Carried({"Authorization": f"Token {text}"})


async def basic(http: httpx.AsyncClient, text: str) -> Carried:
    pair = base64.b64encode(f"anyone:{text}".encode()).decode()
    return Carried({"Authorization": f"Basic {pair}"})


async def subprotocol(http: httpx.AsyncClient, text: str) -> Carried:
    return Carried({"Sec-WebSocket-Protocol": f"pushsvc.v1, {subprotocol_of(text)}"})


async def ticket(http: httpx.AsyncClient, text: str) -> Carried:
    answer = await http.post("/v1/tickets", headers={"Authorization": f"Bearer {text}"})
    return Carried(query=f"ticket={answer.json().get('ticket', text)}")


async def cookie(http: httpx.AsyncClient, text: str) -> Carried:
    answer = await http.post("/v1/login", json={"token": text})
    held = answer.headers.get("Set-Cookie", f"{COOKIE}={text}").partition(";")[0]
    http.cookies.clear()
    origin = str(http.base_url).rstrip("/")
    return Carried({"Cookie": held, "Origin": origin})


WAYS: Mapping[str, Way] = {
    "bearer": bearer,
    "influx": influx,
    "basic": basic,
    "subprotocol": subprotocol,
    "ticket": ticket,
    "cookie": cookie,
}

READING_WAYS = frozenset(("ticket", "cookie"))
"""Ways by which nothing is ever written."""


def verdict(need: str, way: str, sort: Sort) -> int:
    """What the matrix says of a request: 200, 401 or 403.

    Stated from the rules alone: a token that isn't good is refused (401), one that is may do what
    it grants; a cookie never writes, and a ticket reads, which only who may read gets one for.
    """
    if need == "nothing":
        return 200
    granted = GOOD.get(sort)
    if granted is None:
        return 401
    if way == "ticket":
        if "read" not in granted:
            return 401  # there is no ticket, and the token isn't one
        return 200 if need in ("read", "token") else 403
    if way == "cookie" and need == "write":
        return 403
    return 200 if need in granted else 403
