"""JSON Web Tokens (RFC 7519): who signed one, for whom, until when, and what it grants.

    {"iss": "https://id.example", "aud": "pushsvc", "sub": "dashboards-of-acme", "exp": 1767225600,
     "pushsvc": {"read": ["{tenant=\"acme\"}"], "write": [], "operator": false}}

`sub` and `exp` are required, `iss` and `aud` where they are configured, `nbf` and `iat` hold where
they are there. The advice of RFC 8725 is followed: the algorithms are those of the configuration
and never the token's choice, a key is used with algorithms of its own kind only, and a token that
says that it is of another type isn't taken.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc import jws, jwt
from joserfc.errors import (
    ExpiredTokenError,
    InvalidClaimError,
    JoseError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from pushsvc.auth.principal import Grants, Principal, principal_of
from pushsvc.core.model.series import shorten
from pushsvc.core.query.selector import SelectorError
from pushsvc.errors import Unauthorized

ALGORITHMS: Final = {
    "HS256": ("oct", None),
    "RS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""The supported algorithms, each with the type of key and the curve that it needs."""

_TYPES: Final = ("jwt", "at+jwt", "application/at+jwt")
"""Accepted values of `typ`: a token that was made for another purpose isn't an access token (RFC
8725 section 3.11, RFC 9068 section 2.1)."""
_LEAST_RSA_BITS: Final = 2048
_KNOWN: Final = 10_000
"""Verified tokens that are remembered, by their hash."""
_LEAST_SECRET_BYTES: Final = 32
"""As long as the hash (RFC 7518 section 3.2)."""


class UnusableKey(Exception):
    """A configured key can't be used; the message says why."""


class UnknownKey(Exception):
    """A token names an unknown key; fetching the keys again may find it."""

    def __init__(self, name: object) -> None:
        super().__init__(name)
        self.name = name
        """The `kid` of the token, whatever that is; None if it has none."""


class KeySource(Protocol):
    """Where the keys come from that tokens are verified with."""

    def current(self) -> Sequence[Key]:
        """The valid keys. Raises Overloaded while there are none yet."""

    @property
    def grows(self) -> bool:
        """Whether an unknown key may be known after `wait_refresh`."""

    async def wait_refresh(self, name: object) -> None:
        """Look for a new key of this name, unless that was done a moment ago in vain."""


class StaticKeys:
    """Keys from the configuration, which don't change."""

    grows = False

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)

    def current(self) -> Sequence[Key]:
        return self._keys

    async def wait_refresh(self, name: object) -> None:
        """Nothing to fetch."""


class Registry(jws.JWSRegistry):
    """The accepted algorithms, and no others.

    Unknown header parameters are ignored (RFC 7515 section 4), critical ones never. The library
    warns at each use of the name `EdDSA`, which RFC 9864 deprecates and issuers still write.
    """

    def __init__(self, algorithms: Sequence[str]) -> None:
        super().__init__(algorithms=list(algorithms), strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


class Verifier:
    """Finds out whose token it is. Synchronous: keys are fetched elsewhere."""

    def __init__(
        self,
        source: KeySource,
        *,
        algorithms: Sequence[str],
        issuer: str,
        audience: str,
        leeway: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self._algorithms = frozenset(algorithms)
        self._leeway = leeway
        self._clock = clock
        options: dict[str, Any] = {"sub": {"essential": True}, "exp": {"essential": True}}
        if issuer:
            options["iss"] = {"essential": True, "value": issuer}
        if audience:
            options["aud"] = {"essential": True, "value": audience}
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()), leeway=round(leeway), **options
        )
        self._registry = Registry(algorithms)
        # The principals of verified tokens, by the tokens' hash, until the keys change: a producer
        # sends its token with every batch, and verifying a signature costs more than the rest of a
        # small batch.
        self._known: dict[bytes, Principal] = {}
        self._keys: Sequence[Key] = ()

    def verify(self, token: str) -> Principal:
        """Whose token this is.

        Raises Unauthorized, whose code says why; UnknownKey where new keys may help; Overloaded
        while there are no keys.
        """
        digest = hashlib.sha256(token.encode()).digest()
        keys = self.source.current()
        if keys is not self._keys:
            self._keys = keys
            self._known.clear()
        principal = self._known.get(digest)
        if principal is not None and self._clock() < (principal.expires or 0.0):
            return principal
        try:
            principal = self._verify(token)
        except ExpiredTokenError:
            raise Unauthorized("token_expired", "this token has expired") from None
        except MissingClaimError as error:
            raise Unauthorized("token", f"the token lacks the claim {error.claim}") from None
        except InvalidClaimError as error:
            raise Unauthorized("token", f"the token's {error.claim} isn't right here") from None
        except JoseError:
            raise Unauthorized("token", "the token's signature can't be verified") from None
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[digest] = principal
        return principal

    def _verify(self, token: str) -> Principal:
        try:
            header = jws.extract_compact(token.encode()).protected
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            raise Unauthorized("token", "this is not a JSON Web Token") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            allowed = ", ".join(sorted(self._algorithms))
            raise Unauthorized("token", f"tokens here are signed with {allowed}")
        typ = header.get("typ", "JWT")
        if not isinstance(typ, str) or typ.lower() not in _TYPES:
            raise Unauthorized("token", "this token is of a type that is not for access")
        key = self._choose(algorithm, kid)
        try:
            claims = jwt.decode(token, key, registry=self._registry).claims
        except (ValueError, TypeError, RecursionError):
            raise Unauthorized("token", "the token can't be read") from None
        if not isinstance(claims, dict):
            raise Unauthorized("token", "the token has no claims")
        self._claims.validate(claims)
        return _grant(claims, self._leeway)

    def _choose(self, algorithm: str, kid: object) -> Key:
        fitting = [key for key in self.source.current() if fits(key, algorithm)]
        if kid is not None:
            named = [key for key in fitting if key.kid == kid]
            # A configured key without a name fits any `kid` of a token.
            fitting = named or [key for key in fitting if key.kid is None]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting and self.source.grows:
            raise UnknownKey(kid)
        if not fitting:
            raise Unauthorized("token", f"there is no {algorithm} key for this token")
        raise Unauthorized("token", "the token doesn't name its key (kid), and there are several")


def fits(key: Key, algorithm: str) -> bool:
    """Whether a key is for signatures of this algorithm, by its kind, curve, `use` and `alg`."""
    kind, curve = ALGORITHMS[algorithm]
    return (
        key.key_type == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("use") in (None, "sig")
        and key.get("alg") in (None, algorithm)
        and "verify" in (key.get("key_ops") or ("verify",))
    )


def _grant(claims: dict[str, Any], leeway: float) -> Principal:
    subject = claims["sub"]
    if not subject or len(subject) > 256:
        raise Unauthorized("token", "the token's sub has 1 to 256 characters")
    expires = float(min(claims["exp"], 2**53)) + leeway
    try:
        grants = msgspec.convert(claims.get("pushsvc", {}), Grants)
        return principal_of(f"jwt:{claims.get('iss', '')}|{subject}", grants, expires)
    except msgspec.ValidationError as error:
        raise Unauthorized("token", f"the token's pushsvc claim: {error}") from None
    except SelectorError as error:
        raise Unauthorized("token", f"the token grants {error.detail}") from None
    except ValueError as error:
        raise Unauthorized("token", str(error)) from None


def read_secret(secret: str) -> OctKey:
    """The key of HS256. Raises UnusableKey for one that can be guessed."""
    if len(secret.encode()) < _LEAST_SECRET_BYTES:
        raise UnusableKey(f"a secret for HS256 has {_LEAST_SECRET_BYTES} bytes or more")
    try:
        return OctKey.import_key(secret.encode())
    except ValueError as error:
        raise UnusableKey(str(error)) from None


def read_keys(file: Path) -> list[Key]:
    """Public keys out of a file: a PEM, a JWK or a JWK set. Raises UnusableKey, OSError."""
    data = file.read_bytes()
    if data.lstrip().startswith(b"-----BEGIN"):
        return [_read_pem(data)]
    try:
        document = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UnusableKey(f"neither PEM nor a JSON Web Key: {error}") from None
    keys = read_set(document if "keys" in document else {"keys": [document]})
    if not keys:
        raise UnusableKey("there is no public key for RS256, ES256 or EdDSA in it")
    return keys


def _read_pem(data: bytes) -> Key:
    try:
        public = load_pem_public_key(data)
    except ValueError as error:
        raise UnusableKey(f"not a public key: {error}") from None
    key: Key
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < _LEAST_RSA_BITS:
            raise UnusableKey(f"an RSA key has {_LEAST_RSA_BITS} bits or more")
        key = RSAKey.import_key(data)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        key = ECKey.import_key(data)
    elif isinstance(public, ed25519.Ed25519PublicKey):
        key = OKPKey.import_key(data)
    else:
        raise UnusableKey("a key for RS256, ES256 or EdDSA is wanted")
    return key


def read_private_key(file: Path) -> tuple[Key, str]:
    """A key to sign with, out of a PEM or JWK, and its algorithm. Raises UnusableKey."""
    data = file.read_bytes()
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = kind.import_key(
                data if data.lstrip().startswith(b"-----BEGIN") else msgspec.json.decode(data)
            )
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        fitting = [name for name in ALGORITHMS if fits(key, name)]
        if fitting and key.is_private:
            return key, fitting[0]
    raise UnusableKey("no private key for RS256, ES256 or EdDSA is in it")


def read_set(document: dict[str, Any]) -> list[Key]:
    """The keys of a JWK set that tokens may be signed with; others are ignored, as RFC 7517 section
    5 says. Shared secrets are ignored too: what is public can't be a secret."""
    members = document.get("keys")
    return [key for key in map(_read_jwk, members if isinstance(members, list) else ()) if key]


def _read_jwk(member: Any) -> Key | None:
    kinds: dict[Any, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    if not isinstance(member, dict) or member.get("kty") not in kinds:
        return None
    if not isinstance(member.get("kid", ""), str):
        return None
    public = {name: value for name, value in member.items() if name not in _PRIVATE}
    try:
        if member["kty"] == "RSA" and _bits(member) < _LEAST_RSA_BITS:
            return None
        key = kinds[member["kty"]].import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return key if any(fits(key, algorithm) for algorithm in ALGORITHMS) else None


_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth"))


def _bits(member: dict[str, Any]) -> int:
    return len(str(member.get("n", "")).rstrip("=")) * 6


def sign(claims: dict[str, Any], key: Key, algorithm: str) -> str:
    """A signed token; for development and sessions. The key must be a private or secret one."""
    header = {"alg": algorithm, **({} if key.kid is None else {"kid": key.kid})}
    return jwt.encode(header, claims, key, registry=Registry([algorithm]))


def check_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """Raises UnusableKey for a name that isn't among ALGORITHMS."""
    for name in names:
        if name not in ALGORITHMS:
            raise UnusableKey(f"{shorten(name)} is none of {', '.join(ALGORITHMS)}")
    return tuple(names)
