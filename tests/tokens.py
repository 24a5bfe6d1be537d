"""An issuer of tokens, and tokens that are wrong in every way there is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from pushsvc.auth.jwt import sign

ISSUER = "https://id.test"
AUDIENCE = "pushsvc.test"
SECRET = "a secret of more than thirty-two bytes"

RSA = RSAKey.generate_key(2048)
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519")
OCT = OctKey.import_key(SECRET)
BY_ALGORITHM: dict[str, Key] = {"RS256": RSA, "ES256": EC, "EdDSA": ED, "HS256": OCT}

FULL = {"read": ['{__name__=~".+"}'], "write": ['{__name__=~".+"}'], "operator": True}


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a good token, with these changed; those that are None are left out."""
    now = int(time.time())
    all_ = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "tester",
        "exp": now + 600,
        "pushsvc": FULL,
        **changed,
    }
    return {name: value for name, value in all_.items() if value is not None}


def token(algorithm: str = "RS256", key: Key | None = None, **changed: Any) -> str:
    """A signed token."""
    return sign(claims(**changed), key or BY_ALGORITHM[algorithm], algorithm)


def part(document: Any) -> str:
    """A part of a token, encoded."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(algorithm: str = "none") -> str:
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}."


def forged_with_public_key(key: Key = RSA) -> str:
    """HS256 with the text of the public key as its secret (RFC 8725 section 2.1)."""
    public = key.as_pem(private=False)  # type: ignore[union-attr]
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    mac = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{part(mac)}"


def with_header(key: Key, **header: Any) -> str:
    """A token of this RSA key with more in its header than there should be."""
    signed = f"{part({'alg': 'RS256', 'typ': 'JWT', **header})}.{part(claims())}"
    private: Any = key.get_op_key("sign")
    mac = private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{part(mac)}"


def unsigned_jwk(key: Key) -> str:
    """A token that brings the key it is to be verified with."""
    return with_header(key, jwk=key.as_dict(private=False))


def tampered() -> str:
    """A good token's header and signature around other claims."""
    header, _, signature = token(pushsvc={"read": ["nothing"]}).split(".")
    return f"{header}.{part(claims())}.{signature}"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def write_public_key(folder: Path, key: Key = RSA) -> str:
    """The path of a PEM file."""
    file = folder / "public.pem"
    file.write_bytes(key.as_pem(private=False))  # type: ignore[union-attr]
    return str(file)
