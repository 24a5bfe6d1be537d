"""Which tokens are taken, for which algorithms, and what is said of those that are not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from pushsvc.auth.jwt import (
    ALGORITHMS,
    StaticKeys,
    UnusableKey,
    Verifier,
    read_keys,
    read_secret,
    read_set,
)
from pushsvc.errors import Unauthorized
from tests import tokens
from tests.tokens import AUDIENCE, BY_ALGORITHM, ISSUER, part, token


def public(key: Key) -> Key:
    if key.key_type == "oct":
        return key
    [only] = read_set({"keys": [key.as_dict(private=False)]})
    return only


def verifier(
    algorithms: list[str], keys: list[Key] | None = None, *, leeway: float = 0.0
) -> Verifier:
    known = [public(BY_ALGORITHM[name]) for name in algorithms] if keys is None else keys
    return Verifier(
        StaticKeys(known), algorithms=algorithms, issuer=ISSUER, audience=AUDIENCE, leeway=leeway
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_says_who_it_is(algorithm: str) -> None:
    grants = {"read": ["up", 'up{b="c"}'], "write": ["down"], "operator": True}
    principal = verifier([algorithm]).verify(token(algorithm, pushsvc=grants))
    assert principal.id == f"jwt:{ISSUER}|tester"
    assert principal.read.key == ("up", 'up{b="c"}')
    assert principal.write.key == ("down",)
    assert principal.operator
    assert principal.expires is not None
    assert principal.expires == pytest.approx(time.time() + 600, abs=5)


@pytest.mark.parametrize("taken", ALGORITHMS)
@pytest.mark.parametrize("signed", ALGORITHMS)
def test_only_configured_algorithms_are_taken(taken: str, signed: str) -> None:
    one = verifier([taken])
    if taken == signed:
        one.verify(token(signed))
    else:
        with pytest.raises(Unauthorized, match=f"signed with {taken}"):
            one.verify(token(signed))


@pytest.mark.parametrize("key", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret(key: str) -> None:
    # Even where HS256 is taken too, with a secret of its own.
    for algorithms in ([key], [key, "HS256"]):
        with pytest.raises(Unauthorized):
            verifier(algorithms).verify(tokens.forged_with_public_key(BY_ALGORITHM[key]))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_unsigned_tokens_are_refused(name: str) -> None:
    with pytest.raises(Unauthorized):
        verifier(list(ALGORITHMS)).verify(tokens.unsigned(name))


WRONG_CLAIMS: list[tuple[dict[str, Any], str, str]] = [
    ({"exp": int(time.time()) - 60}, "token_expired", "expired"),
    ({"exp": None}, "token", "exp"),
    ({"exp": "soon"}, "token", "exp"),
    ({"exp": float("nan")}, "token", "exp"),
    ({"exp": float("inf")}, "token", "exp"),
    ({"nbf": int(time.time()) + 86_400}, "token", "nbf"),
    ({"iat": int(time.time()) + 86_400}, "token", "iat"),
    ({"iss": "https://other.test"}, "token", "iss"),
    ({"iss": None}, "token", "iss"),
    ({"iss": [ISSUER]}, "token", "iss"),
    ({"aud": "someone.else"}, "token", "aud"),
    ({"aud": ["one", "two"]}, "token", "aud"),
    ({"aud": None}, "token", "aud"),
    ({"sub": None}, "token", "sub"),
    ({"sub": ""}, "token", "sub"),
    ({"sub": "x" * 300}, "token", "sub"),
    ({"pushsvc": {"reads": ["up"]}}, "token", "reads"),
    ({"pushsvc": {"read": "up"}}, "token", "array"),
    ({"pushsvc": {"read": ["up{"]}}, "token", "up{"),
    ({"pushsvc": {"read": ["up"] * 33}}, "token", "33"),
    ({"pushsvc": ["up"]}, "token", "pushsvc"),
]


@pytest.mark.parametrize(("changed", "code", "says"), WRONG_CLAIMS)
def test_wrong_claims_are_refused_with_the_reason(
    changed: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(Unauthorized) as caught:
        verifier(["RS256"]).verify(token(**changed))
    assert caught.value.code == code
    assert says in caught.value.detail


@pytest.mark.parametrize("claim", ["sub", "exp", "iss", "aud"])
def test_a_claim_that_is_missing_is_named_in_a_sentence(claim: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        left_out: dict[str, Any] = {claim: None}
        verifier(["RS256"]).verify(token(**left_out))
    assert caught.value.detail == f"the token lacks the claim {claim}"


def test_what_is_not_granted_is_denied() -> None:
    principal = verifier(["RS256"]).verify(token(pushsvc=None))
    assert principal.read.empty
    assert principal.write.empty
    assert not principal.operator


def test_clocks_may_differ_by_the_leeway() -> None:
    late, early = int(time.time()) - 20, int(time.time()) + 20
    strict, lenient = verifier(["RS256"]), verifier(["RS256"], leeway=30)
    for made in (token(exp=late), token(nbf=early)):
        with pytest.raises(Unauthorized):
            strict.verify(made)
        lenient.verify(made)
    principal = lenient.verify(token(exp=late))
    assert principal.expires == late + 30  # a stream ends when its token isn't taken any more


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        "é.é.é",
        "eyJhbGciOiJSUzI1NiJ9",
        f"{part([])}.{part({})}.x",
        f"{part('x')}.{part({})}.x",
        f"{part({'alg': ['RS256']})}.{part({})}.x",
        f"{part({'alg': {}})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'typ': 5})}.{part({})}.x",
        f"{part({'alg': 'RS256', 'kid': {}})}.{part({})}.x",
        f"{part(b'[' * 300)}.{part({})}.x",
        f"{part({'alg': 'RS256'})}.{part(b'[' * 3000)}.x",
        "x" * 200_000,
    ],
)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        verifier(["RS256"]).verify(text)


def test_a_token_for_something_else_is_refused() -> None:
    body = part(tokens.claims())
    from joserfc import jwt

    for typ, good in (("JWT", True), ("at+jwt", True), ("AT+JWT", True), ("dpop+jwt", False)):
        text = jwt.encode({"alg": "RS256", "typ": typ}, tokens.claims(), tokens.RSA, ["RS256"])
        assert text.split(".")[1] == body or True
        if good:
            verifier(["RS256"]).verify(text)
        else:
            with pytest.raises(Unauthorized, match="type"):
                verifier(["RS256"]).verify(text)


def test_an_extension_that_is_critical_and_unknown_is_refused() -> None:
    header = {"alg": "RS256", "crit": ["shout"], "shout": True}
    signed = tokens.token()
    with pytest.raises(Unauthorized):
        verifier(["RS256"]).verify(".".join([part(header), *signed.split(".")[1:]]))


def test_keys_are_chosen_by_kid_and_kind() -> None:
    one = RSAKey.generate_key(2048, {"kid": "one"})
    two = RSAKey.generate_key(2048, {"kid": "two"})
    both = verifier(["RS256", "ES256"], [public(one), public(two), public(tokens.EC)])
    both.verify(token(key=one))
    both.verify(token(key=two))
    both.verify(token("ES256"))
    with pytest.raises(Unauthorized, match="kid"):
        both.verify(token())  # signed with a third, unnamed
    named_wrongly = RSAKey.import_key({**one.as_dict(private=True), "kid": "two"})
    with pytest.raises(Unauthorized, match="signature"):
        both.verify(token(key=named_wrongly))
    other = RSAKey.generate_key(2048, {"kid": "three"})
    with pytest.raises(Unauthorized, match="no RS256 key"):
        both.verify(token(key=other))


def test_a_set_gives_only_keys_that_may_sign() -> None:
    good = tokens.RSA.as_dict(private=False)
    members: list[Any] = [
        {**good, "kid": "good"},
        {**good, "kid": "encrypts", "use": "enc"},
        {**good, "kid": "other", "alg": "RS512"},
        {**good, "kid": "ops", "key_ops": ["sign"]},
        {**good, "kid": 5},
        OctKey.generate_key(256).as_dict(private=True),
        ECKey.generate_key("P-384").as_dict(private=False),
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "future"},
        {},
        "nonsense",
        None,
    ]
    assert [key.kid for key in read_set({"keys": members})] == ["good"]
    assert read_set({"keys": 5}) == []
    assert read_set({}) == []
    private = tokens.RSA.as_dict(private=True)
    assert not read_set({"keys": [private]})[0].is_private


def test_files_of_keys(tmp_path: Path) -> None:
    for algorithm in ("RS256", "ES256", "EdDSA"):
        file = tmp_path / algorithm
        file.write_bytes(BY_ALGORITHM[algorithm].as_pem(private=False))  # type: ignore[union-attr]
        verifier([algorithm], read_keys(file)).verify(token(algorithm))
    jwk = tmp_path / "jwk"
    jwk.write_bytes(tokens.part(tokens.EC.as_dict(private=False)).encode())
    with pytest.raises(UnusableKey, match="neither PEM nor"):
        read_keys(jwk)
    import json

    jwk.write_text(json.dumps(tokens.EC.as_dict(private=False)))
    verifier(["ES256"], read_keys(jwk)).verify(token("ES256"))
    jwk.write_text(json.dumps({"keys": [OctKey.generate_key(256).as_dict(private=True)]}))
    with pytest.raises(UnusableKey, match="no public key"):
        read_keys(jwk)
    with pytest.raises(UnusableKey, match="32 bytes"):
        read_secret("short")


def test_what_was_verified_is_good_as_long_as_the_token_and_its_keys() -> None:
    now = time.time()
    clock = [now]

    class Changing(StaticKeys):
        keys = (public(BY_ALGORITHM["RS256"]),)

        def current(self) -> tuple[Key, ...]:
            return self.keys

    source = Changing(())
    one = Verifier(
        source,
        algorithms=["RS256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=0,
        clock=lambda: clock[0],
    )
    text = token(exp=int(now) + 60)
    assert one.verify(text) is one.verify(text)
    clock[0] = now + 61
    with pytest.raises(Unauthorized, match="expired"):
        one.verify(text)
    clock[0] = now
    source.keys = (public(RSAKey.generate_key(2048)),)
    with pytest.raises(Unauthorized, match="signature"):
        one.verify(text)
