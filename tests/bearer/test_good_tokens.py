"""What is taken for a user, so that nothing is refused for nothing."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from configure_auth import BearerError, BearerUser, Secret

from ..api.conftest import http
from ..support.ids import plain_id
from .conftest import MakeBearerUser, package_locals
from .issuer import AUDIENCE, ISSUER, NOW, Clock, Issuer, Signer, compact, ec_key, ed25519_key, good, rsa_key

SHARED = "a secret that the app shares with its issuer, and long enough for HS512"
SIGNERS = {
    **{name: Signer("key", name, rsa_key("issuer")) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": Signer("key", "ES256", ec_key("issuer")),
    "ES384": Signer("key", "ES384", ec_key("issuer-384", ec.SECP384R1)),
    "ES512": Signer("key", "ES512", ec_key("issuer-521", ec.SECP521R1)),
    "EdDSA": Signer("key", "EdDSA", ed25519_key("issuer")),
}


def user_of(bearer_user: BearerUser, token: str) -> str | None:
    return bearer_user.user_id([f"Bearer {token}"])


def is_refused(bearer_user: BearerUser, token: str) -> bool:
    with pytest.raises(BearerError) as caught:
        user_of(bearer_user, token)
    return caught.value.status == 401


def pem(signer: Signer) -> bytes:
    found: bytes = signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


def hmac_token(algorithm: str, key: str | bytes = SHARED, **header: Any) -> str:
    signer = Signer("key", algorithm, key.encode() if isinstance(key, str) else key)
    return compact({"alg": algorithm, **header}, good(), signer.sign)


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_a_published_key_of_every_kind(make_bearer_user: MakeBearerUser, issuer: Issuer, algorithm: str) -> None:
    issuer.publish(SIGNERS[algorithm].jwk())

    assert user_of(make_bearer_user(algorithms=(algorithm,)), SIGNERS[algorithm].token()) == "u1"


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_a_public_key_in_pem_of_every_kind(make_bearer_user: MakeBearerUser, issuer: Issuer, algorithm: str) -> None:
    signer = SIGNERS[algorithm]
    bearer_user = make_bearer_user(algorithms=(algorithm,), key=pem(signer))

    assert user_of(bearer_user, signer.token()) == "u1"
    assert user_of(bearer_user, signer.token(header={"kid": ...})) == "u1"
    assert is_refused(bearer_user, signer.token(header={"kid": 7}))
    assert is_refused(bearer_user, signer.token(header={"kid": None}))
    assert issuer.fetches == 0


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_shared_secret(make_bearer_user: MakeBearerUser, algorithm: str) -> None:
    bearer_user = make_bearer_user(algorithms=(algorithm,), key=Secret(SHARED))

    assert user_of(bearer_user, hmac_token(algorithm)) == "u1"
    assert user_of(bearer_user, hmac_token(algorithm, kid="whatever")) == "u1"
    assert is_refused(bearer_user, hmac_token(algorithm, SHARED + "x"))
    assert is_refused(bearer_user, hmac_token("HS256" if algorithm != "HS256" else "HS512"))


@pytest.mark.parametrize(
    "key", [SHARED, SHARED.encode(), Secret(SHARED), "ключ, который знает и приложение", bytes(range(128, 192))]
)
def test_a_secret_may_come_in_any_way(make_bearer_user: MakeBearerUser, key: str | bytes | Secret) -> None:
    plain = key.reveal() if isinstance(key, Secret) else key

    assert user_of(make_bearer_user(algorithms=("HS256",), key=key), hmac_token("HS256", plain)) == "u1"


def test_a_key_that_names_no_algorithm_is_good_for_all_of_its_kind(
    make_bearer_user: MakeBearerUser, issuer: Issuer
) -> None:
    issuer.publish(issuer.rsa.jwk(alg=..., use=..., key_ops=...))
    bearer_user = make_bearer_user(algorithms=("RS256", "PS256", "ES256"))

    assert user_of(bearer_user, issuer.rsa.token()) == "u1"
    assert user_of(bearer_user, Signer("key-1", "PS256", issuer.rsa.key).token()) == "u1"
    assert is_refused(bearer_user, Signer("key-1", "ES256", ec_key("issuer")).token())


def test_a_key_that_names_one_is_good_for_that_alone(make_bearer_user: MakeBearerUser, issuer: Issuer) -> None:
    bearer_user = make_bearer_user(algorithms=("RS256", "PS256"))

    assert user_of(bearer_user, issuer.rsa.token()) == "u1"
    assert is_refused(bearer_user, Signer("key-1", "PS256", issuer.rsa.key).token())


@pytest.mark.parametrize(
    "kid",
    ["k", "k" * 255, "2026-11-21T10:00:00", "a+b/c==", "https://a.example/keys/1?x=y#z", "did:web:a", "A_b-c.d~e|f"],
)
def test_a_kid_may_be_whatever_issuers_use(bearer_user: BearerUser, issuer: Issuer, kid: str) -> None:
    signer = Signer(kid, "RS256", issuer.rsa.key)
    issuer.publish(signer.jwk())

    assert user_of(bearer_user, signer.token()) == "u1"


@pytest.mark.parametrize(
    "kind", [..., "JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"]
)
def test_the_type_of_a_token(bearer_user: BearerUser, issuer: Issuer, kind: object) -> None:
    assert user_of(bearer_user, issuer.rsa.token(header={"typ": kind})) == "u1"


def test_where_a_token_says_that_its_key_is_doesnt_matter(bearer_user: BearerUser, issuer: Issuer) -> None:
    trap = f"{issuer.server.url}/trap"
    header = {
        "jku": trap,
        "x5u": trap,
        "jwk": SIGNERS["ES256"].jwk(),
        "x5c": ["x"],
        "x5t": "x",
        "b64": True,
        "cty": "x",
    }

    assert user_of(bearer_user, issuer.rsa.token(header=header)) == "u1"
    assert [received.target for received in issuer.server.received] == ["/.well-known/jwks.json"]


@pytest.mark.catalogue("R5")
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [AUDIENCE]},
        {"aud": [AUDIENCE, AUDIENCE]},
        {"exp": NOW + 0.5},
        {"exp": int(NOW) - 29},
        {"nbf": int(NOW) + 30, "iat": int(NOW) + 30, "auth_time": int(NOW) + 30},
        {"nbf": 0, "iat": -1, "auth_time": 1.5},
        {"iat": ...},
        {"sub": "u" * 255},
        {"sub": "auth0|6553"},
        {"sub": "é😀 '%_"},
        {"x": "x" * 4000},
    ],
    ids=lambda claims: plain_id(json.dumps(claims, default=str)[:40]),
)
def test_claims_at_the_edge_of_what_is_good(bearer_user: BearerUser, issuer: Issuer, claims: dict[str, Any]) -> None:
    assert user_of(bearer_user, issuer.rsa.token(**claims)) == claims.get("sub", "u1")


def test_leeway_is_what_the_app_says(make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock) -> None:
    none, some = make_bearer_user(leeway=0), make_bearer_user(leeway=300)
    token = issuer.rsa.token(exp=int(NOW) + 10)

    assert user_of(none, token) == "u1"
    clock.advance(10)
    assert is_refused(none, token)
    clock.advance(299)
    assert user_of(some, token) == "u1"
    clock.advance(1)
    assert is_refused(some, token)


def test_one_of_several_audiences_is_enough(make_bearer_user: MakeBearerUser, issuer: Issuer) -> None:
    bearer_user = make_bearer_user(audience=("web", "mobile"))

    for audience in ("web", "mobile", ["web"], ["mobile", "web"]):
        assert user_of(bearer_user, issuer.rsa.token(aud=audience)) == "u1"
    for audience in ("webmobile", "other", ["web", "other"], [], "we"):
        assert is_refused(bearer_user, issuer.rsa.token(aud=audience))


def test_extra_audiences_are_good_beside_the_apps_own(make_bearer_user: MakeBearerUser, issuer: Issuer) -> None:
    bearer_user = make_bearer_user(extra_audiences=("https://issuer.example/userinfo",))

    assert user_of(bearer_user, issuer.rsa.token()) == "u1"
    assert user_of(bearer_user, issuer.rsa.token(aud=["https://issuer.example/userinfo", AUDIENCE])) == "u1"
    assert is_refused(bearer_user, issuer.rsa.token(aud="https://issuer.example/userinfo"))
    assert is_refused(bearer_user, issuer.rsa.token(aud=[AUDIENCE, "https://issuer.example/other"]))


def test_an_app_may_refuse_more(
    make_bearer_user: MakeBearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    def refuse(claims: Any) -> str | None:
        seen.append(claims)
        return None if claims.get("scope") == "connect" else "it hasn't the scope"

    bearer_user = make_bearer_user(refuse=refuse)
    with caplog.at_level("INFO"):
        assert is_refused(bearer_user, issuer.rsa.token())

    assert caplog.messages == ["a bearer token was refused: it hasn't the scope"]
    assert user_of(bearer_user, issuer.rsa.token(scope="connect")) == "u1"
    assert is_refused(bearer_user, issuer.rsa.token(scope="connect", exp=1))
    assert [claims["iss"] for claims in seen] == [ISSUER] * 2  # never asked about a token that isn't good


def test_a_refusal_of_the_apps_that_fails_lets_nobody_in_and_tells_no_token(
    make_bearer_user: MakeBearerUser, issuer: Issuer
) -> None:
    def refuse(claims: Any) -> str | None:
        raise LookupError("no such user")

    token = issuer.rsa.token()
    with pytest.raises(LookupError) as caught:
        user_of(make_bearer_user(refuse=refuse), token)

    assert not [part for part in token.split(".") if part in package_locals(caught)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_awaited_it_says_the_same(bearer_user: BearerUser, issuer: Issuer, backend: str) -> None:
    async def main() -> None:
        assert await bearer_user.auser_id([]) is None
        assert await bearer_user.auser_id([f"Bearer {issuer.rsa.token()}"]) == "u1"
        with pytest.raises(BearerError) as caught:
            await bearer_user.auser_id([f"Bearer {issuer.rsa.token(aud='other')}"])
        assert caught.value.status == 401

    anyio.run(main, backend=backend)


def test_a_key_of_a_set_that_answers_as_a_jwk_set(bearer_user: BearerUser, issuer: Issuer) -> None:
    issuer.answer(http({"keys": [issuer.rsa.jwk()]}, content_type="application/jwk-set+json; charset=utf-8"))

    assert user_of(bearer_user, issuer.rsa.token()) == "u1"
