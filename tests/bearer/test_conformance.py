"""Modules of the OpenID Foundation's conformance suite for clients, on a `BearerUser`, under their names.

They are about ID tokens; here the same is done to a bearer token. `missing-iat` differs: a bearer token may lack `iat`
(RFC 7519, section 4.1.6).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from configure_auth.bearer.key_sets import COOLDOWN

from .conftest import Ask, MakeBearerUser
from .corpus import THEIRS
from .issuer import AUDIENCE, NOW, Clock, Issuer, Signer, b64, compact, ec_key, good
from .tokens import NEW

Make = Callable[[Issuer], str]


def with_hs256(issuer: Issuer) -> str:
    return compact({"alg": "HS256", "typ": "JWT", "kid": "key-1"}, good(), lambda _: b"x" * 32)


def with_claim(**change: object) -> Make:
    return lambda issuer: issuer.rsa.token(**change)


def with_another_algorithm(issuer: Issuer) -> str:
    """Signed by the issuer, with an algorithm that the app doesn't expect."""
    return compact(
        {"alg": "RS384", "typ": "JWT", "kid": "key-1"}, good(), lambda signed: issuer.rsa.sign(signed, "RS384")
    )


MODULES: dict[str, tuple[Make, str | None]] = {
    "invalid-null-alg": (lambda _: compact({"alg": "none", "typ": "JWT", "kid": "key-1"}, good()), None),
    "invalid-alternate-alg": (with_another_algorithm, None),
    "invalid-signature": (lambda issuer: issuer.rsa.token()[:-8] + "AAAAAAAA", None),
    "invalid-expired-exp": (with_claim(exp=int(NOW) - 301), None),
    "invalid-missing-exp": (with_claim(exp=...), None),
    "invalid-missing-aud": (with_claim(aud=...), None),
    "invalid-missing-iss": (with_claim(iss=...), None),
    "invalid-secondary-aud": (with_claim(aud=[AUDIENCE, "https://another.example"]), None),
    "valid-aud-as-array": (with_claim(aud=[AUDIENCE]), "u1"),
    "idtoken-sig-none": (lambda _: compact({"alg": "none", "typ": "JWT"}, good()), None),
    "idtoken-sig-rs256": (lambda issuer: issuer.rsa.token(), "u1"),
    "invalid-sig-rs256": (lambda _: THEIRS.token(), None),
    "invalid-sig-es256": (lambda _: Signer("key-2", "ES256", ec_key("another")).token(), None),
    "invalid-sig-hs256": (with_hs256, None),
    "invalid-iss": (with_claim(iss="https://another.example/"), None),
    "missing-iss": (with_claim(iss=...), None),
    "invalid-aud": (with_claim(aud="another"), None),
    "missing-aud": (with_claim(aud=...), None),
    "invalid-sub": (with_claim(sub=""), None),
    "missing-sub": (with_claim(sub=...), None),
    "invalid-iat": (with_claim(iat="yesterday"), None),
    "missing-iat": (with_claim(iat=...), "u1"),
    "unsigned-claims": (lambda issuer: f"{b64('{}')}.{issuer.rsa.token().split('.', 1)[1]}", None),
}


@pytest.mark.parametrize("module", MODULES)
def test_token(make_bearer_user: MakeBearerUser, issuer: Issuer, ask: Ask, module: str) -> None:
    make, user_id = MODULES[module]

    assert ask(make_bearer_user(), make(issuer)) == user_id


@pytest.mark.conformance("kid-absent-single-jwks")
def test_kid_absent_single_jwks(make_bearer_user: MakeBearerUser, issuer: Issuer, ask: Ask) -> None:
    issuer.publish(issuer.rsa.jwk())

    assert ask(make_bearer_user(), issuer.rsa.token(header={"kid": ...})) == "u1"


@pytest.mark.conformance("kid-absent-multiple-jwks")
def test_kid_absent_multiple_jwks(make_bearer_user: MakeBearerUser, issuer: Issuer, ask: Ask) -> None:
    """One that fits is taken; among several none is tried."""
    token = issuer.rsa.token(header={"kid": ...})
    assert ask(make_bearer_user(), token) == "u1"

    issuer.publish(issuer.rsa.jwk(), issuer.rsa.jwk(kid="key-3"))
    assert ask(make_bearer_user(), token) is None


@pytest.mark.conformance("ignores-unparseable-key-in-jwks")
def test_ignores_unparseable_key_in_jwks(make_bearer_user: MakeBearerUser, issuer: Issuer, ask: Ask) -> None:
    unknown = [{"kty": "AKP", "kid": "key-3", "alg": "ML-DSA-0", "pub": "AQAB"}, {"kty": "new", "kid": "key-4"}]
    issuer.publish(*unknown, issuer.rsa.jwk())

    assert ask(make_bearer_user(), issuer.rsa.token()) == "u1"


@pytest.mark.conformance("signing-key-rotation", "signing-key-rotation-just-before-signing")
def test_signing_key_rotation(make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock, ask: Ask) -> None:
    bearer_user = make_bearer_user()
    assert ask(bearer_user, issuer.rsa.token()) == "u1"

    issuer.publish(NEW.jwk())
    clock.advance(COOLDOWN)

    assert ask(bearer_user, NEW.token()) == "u1"
    assert ask(bearer_user, issuer.rsa.token()) is None
