"""Each identity provider's tokens, of the shape that its documentation shows: whom they stand for, and which don't."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from configure_auth import BearerError, BearerUser, SettingsError

from ..api.conftest import http
from .conftest import MakeBearerUser
from .issuer import NOW, Clock, Issuer, Signer

Claims = dict[str, Any]

TIMES = {"iat": int(NOW), "exp": int(NOW) + 3600}
TENANT = "11111111-2222-3333-4444-555555555555"


class Shape(NamedTuple):
    """A ready setting, a user's token, and what changes it into others."""

    make: Callable[..., BearerUser]
    user: str
    token: Claims
    anothers: Claims
    id_token: Claims
    machine: Claims


SHAPES = {
    "supabase": Shape(
        lambda **options: BearerUser.supabase("abcdefghijklmnopqrst", **options),
        "123e4567",
        {
            "iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
            "aud": "authenticated",
            "sub": "123e4567",
            "role": "authenticated",
            "is_anonymous": False,
        },
        {"iss": "https://zyxwvutsrqponmlkjihg.supabase.co/auth/v1"},
        {"aud": "client"},
        {"role": "service_role"},
    ),
    # Firebase has no access token: its ID token is what APIs are called with.
    "firebase": Shape(
        lambda **options: BearerUser.firebase("my-project", **options),
        "uid",
        {
            "iss": "https://securetoken.google.com/my-project",
            "aud": "my-project",
            "auth_time": int(NOW) - 60,
            "sub": "uid",
            "firebase": {"sign_in_provider": "password"},
        },
        {"iss": "https://securetoken.google.com/other-project", "aud": "other-project"},
        {"iss": "https://accounts.google.com", "aud": "client"},
        {"auth_time": ..., "firebase": ...},
    ),
    "auth0": Shape(
        lambda **options: BearerUser.auth0("example.eu.auth0.com", "https://api.example", **options),
        "auth0|6553",
        {
            "iss": "https://example.eu.auth0.com/",
            "aud": ["https://api.example", "https://example.eu.auth0.com/userinfo"],
            "sub": "auth0|6553",
            "azp": "client",
        },
        {"aud": "https://other-api.example"},
        {"aud": "client", "nonce": "n"},
        {"sub": "client@clients", "gty": "client-credentials"},
    ),
    "clerk": Shape(
        lambda **options: BearerUser.clerk("https://clerk.example.com", "https://app.example.com", **options),
        "user_2abc",
        {
            "azp": "https://app.example.com",
            "fva": [0, -1],
            "iss": "https://clerk.example.com",
            "nbf": int(NOW) - 10,
            "sid": "sess_2abc",
            "sts": "active",
            "sub": "user_2abc",
            "v": 2,
        },
        {"azp": "https://other.example.com"},
        {"aud": "client", "azp": ..., "sid": ..., "at_hash": "h"},
        {"sub": "mch_2abc", "azp": ..., "sid": ...},
    ),
    "cognito": Shape(
        lambda **options: BearerUser.cognito("eu-west-1_AbCdEfGhI", "1example23456789", **options),
        "aaaa-bbbb",
        {
            "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI",
            "sub": "aaaa-bbbb",
            "client_id": "1example23456789",
            "token_use": "access",
            "scope": "openid",
            "auth_time": int(NOW),
            "username": "ada",
        },
        {"client_id": "another-client"},
        {"token_use": "id", "aud": "1example23456789", "client_id": ..., "username": ..., "cognito:username": "ada"},
        {"sub": "1example23456789", "username": ..., "scope": "api/read"},
    ),
    "keycloak": Shape(
        lambda **options: BearerUser.keycloak("https://sso.example.com/realms/main", "web", **options),
        "4e6d",
        {
            "iss": "https://sso.example.com/realms/main",
            "aud": "account",
            "sub": "4e6d",
            "typ": "Bearer",
            "azp": "web",
            "preferred_username": "ada",
            "scope": "openid email profile",
        },
        {"azp": "another-client"},
        {"typ": "ID", "aud": "web"},
        {"preferred_username": "service-account-web", "client_id": "web"},
    ),
    "entra": Shape(
        lambda **options: BearerUser.entra(TENANT, "api-client-id", **options),
        "oid-1",
        {
            "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "aud": "api-client-id",
            "sub": "pairwise",
            "oid": "oid-1",
            "tid": TENANT,
            "azp": "client",
            "scp": "access_as_user",
            "ver": "2.0",
        },
        {"aud": "00000003-0000-0000-c000-000000000000"},
        {"scp": ..., "nonce": "n"},
        {"scp": ..., "idtyp": "app", "roles": ["r"]},
    ),
    "okta": Shape(
        lambda **options: BearerUser.okta("example.okta.com", **options),
        "00uid",
        {
            "iss": "https://example.okta.com/oauth2/default",
            "aud": "api://default",
            "sub": "ada@example.com",
            "uid": "00uid",
            "cid": "client",
            "scp": ["openid"],
            "ver": 1,
        },
        {"aud": "api://other"},
        {"aud": "client", "cid": ..., "uid": ..., "nonce": "n"},
        {"sub": "client", "uid": ...},
    ),
}


def user_of(bearer_user: BearerUser, signer: Signer, claims: Claims, **change: object) -> str | None:
    """The user of a token with these claims; None where it is refused."""
    payload = {name: value for name, value in {**TIMES, **claims, **change}.items() if value is not ...}
    try:
        return bearer_user.user_id([f"Bearer {signer.token(payload=payload)}"])
    except BearerError as error:
        refused = error
    assert refused.status == 401
    return None


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


def test_a_provider_names_its_users_and_nobody_else(shape: Shape, issuer: Issuer, clock: Clock) -> None:
    bearer_user = shape.make(jwks_url=issuer.url, clock=clock)

    assert user_of(bearer_user, issuer.rsa, shape.token) == shape.user
    for change in (shape.anothers, shape.id_token, shape.machine):
        assert user_of(bearer_user, issuer.rsa, shape.token, **change) is None, change
    assert user_of(bearer_user, issuer.rsa, shape.token, exp=int(NOW) - 31) is None
    assert user_of(bearer_user, issuer.rsa, shape.token, iss="https://evil.example/") is None
    assert user_of(bearer_user, issuer.rsa, shape.token, sub=...) is None


def test_each_refusal_holds_by_itself(shape: Shape, issuer: Issuer, clock: Clock) -> None:
    """Also where the audience would be this app's: an ID token's may be."""
    ours: Claims = {name: shape.token[name] for name in ("iss", "aud", "azp", "client_id") if name in shape.token}
    bearer_user = shape.make(jwks_url=issuer.url, clock=clock)
    kinds = [shape.machine] if "firebase" in shape.token or "role" in shape.token else [shape.machine, shape.id_token]

    for kind in kinds:
        assert user_of(bearer_user, issuer.rsa, {**shape.token, **kind, **ours}) is None, kind


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("supabase", "https://abcdefghijklmnopqrst.supabase.co/auth/v1/.well-known/jwks.json"),
        ("firebase", "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"),
        ("auth0", "https://example.eu.auth0.com/.well-known/jwks.json"),
        ("clerk", "https://clerk.example.com/.well-known/jwks.json"),
        ("cognito", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI/.well-known/jwks.json"),
        ("keycloak", "https://sso.example.com/realms/main/protocol/openid-connect/certs"),
        ("entra", f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"),
        ("okta", "https://example.okta.com/oauth2/default/v1/keys"),
    ],
)
def test_keys_are_where_the_provider_publishes_them(name: str, url: str) -> None:
    made: Any = SHAPES[name].make()

    assert made._keys._url == url


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("supabase", {"is_anonymous": True}),
        ("firebase", {"firebase": {"sign_in_provider": "anonymous"}}),
        ("auth0", {"gty": "client-credentials"}),
        ("auth0", {"sub": "client@clients"}),
        ("clerk", {"at_hash": "h"}),
        ("clerk", {"sub": "mch_2abc"}),
        ("clerk", {"sid": ...}),
        ("cognito", {"token_use": "id"}),
        ("keycloak", {"client_id": "web"}),
        ("keycloak", {"preferred_username": "service-account-web"}),
        ("entra", {"idtyp": "app"}),
        ("okta", {"cid": ...}),
    ],
)
def test_one_claim_of_another_kind_of_token_is_enough(name: str, change: Claims, issuer: Issuer, clock: Clock) -> None:
    bearer_user = SHAPES[name].make(jwks_url=issuer.url, clock=clock)

    assert user_of(bearer_user, issuer.rsa, SHAPES[name].token, **change) is None


def test_a_pending_session_of_clerk_is_refused(issuer: Issuer, clock: Clock) -> None:
    shape = SHAPES["clerk"]

    assert user_of(shape.make(jwks_url=issuer.url, clock=clock), issuer.rsa, shape.token, sts="pending") is None


def test_an_audience_that_a_realm_gives_to_every_client_is_warned_of(
    make_bearer_user: MakeBearerUser, caplog: pytest.LogCaptureFixture
) -> None:
    make_bearer_user(audience="account")

    assert 'audience="account" is in every token of a Keycloak realm' in caplog.text


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: BearerUser.clerk("clerk.example.com", "https://a.example"), "frontend_api"),
        (lambda: BearerUser.clerk("https://clerk.example.com", ()), "authorized_parties"),
        (lambda: BearerUser.cognito("AbCdEf", "c"), "user pool id"),
        (lambda: BearerUser.cognito("eu-west-1_AbCdEfGhI", ""), "client_id"),
        (lambda: BearerUser.keycloak("http://sso.example.com/realms/main", "web"), "realm_url is http"),
        (lambda: BearerUser.entra("common", "c"), "tenant_id"),
        (lambda: BearerUser.okta("https://example.okta.com"), "Okta domain"),
    ],
)
def test_what_names_no_project_is_refused(make: Callable[[], BearerUser], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        make()


# An issuer without a ready setting


def test_an_issuer_without_an_audience_names_the_app_in_another_claim(
    make_bearer_user: MakeBearerUser, issuer: Issuer
) -> None:
    """Kinde's `aud` is an empty list, unless the token is for an API of the app's."""
    kinde = make_bearer_user(audience=None, authorized_parties=("web", "mobile"))
    by_client = make_bearer_user(audience=None, client_id="c1", user_claim="uid")

    audiences: tuple[object, ...] = ([], ...)
    for audience in audiences:
        assert kinde.user_id([f"Bearer {issuer.rsa.token(aud=audience, azp='web')}"]) == "u1"
    assert by_client.user_id([f"Bearer {issuer.rsa.token(aud=..., client_id='c1', uid='u2')}"]) == "u2"
    for bearer_user, claims in (
        (kinde, {"aud": [], "azp": "other"}),
        (kinde, {"aud": []}),
        (kinde, {"aud": [], "azp": ["web"]}),
        (kinde, {"aud": None, "azp": "web"}),
        (kinde, {"aud": "https://other-api.example", "azp": "web"}),
        (by_client, {"aud": ..., "client_id": "c2", "uid": "u2"}),
        (by_client, {"aud": ..., "client_id": "c1"}),
    ):
        with pytest.raises(BearerError):
            bearer_user.user_id([f"Bearer {issuer.rsa.token(**claims)}"])


def test_every_claim_that_is_set_is_checked(make_bearer_user: MakeBearerUser, issuer: Issuer) -> None:
    bearer_user = make_bearer_user(authorized_parties="web")

    assert bearer_user.user_id([f"Bearer {issuer.rsa.token(azp='web')}"]) == "u1"
    for claims in ({"azp": "other"}, {"azp": "web", "aud": "other"}):
        with pytest.raises(BearerError):
            bearer_user.user_id([f"Bearer {issuer.rsa.token(**claims)}"])


def test_without_any_of_them_it_cannot_be_made(make_bearer_user: MakeBearerUser) -> None:
    with pytest.raises(SettingsError, match="audience=, authorized_parties= or client_id="):
        make_bearer_user(audience=None)


def test_firebases_certificates_are_refused_with_the_address_of_the_keys(make_bearer_user: MakeBearerUser) -> None:
    url = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"

    with pytest.raises(SettingsError, match="/service_accounts/v1/jwk/securetoken@"):
        make_bearer_user(jwks_url=url)


def test_http_is_for_named_hosts_only(make_bearer_user: MakeBearerUser) -> None:
    make_bearer_user(jwks_url="http://keycloak:8080/keys", allow_http=("keycloak",))
    made = BearerUser.keycloak("http://keycloak:8080/realms/main", "web", allow_http=("keycloak",))
    assert made.issuer == "http://keycloak:8080/realms/main"

    for options in ({}, {"allow_http": ("sandbox",)}, {"allow_http": "keycloak"}):
        with pytest.raises(SettingsError, match="http"):
            make_bearer_user(jwks_url="http://keycloak:8080/keys", **options)


# A token without a `kid`


def test_without_a_kid_the_only_key_that_fits_is_taken(
    make_bearer_user: MakeBearerUser, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.rsa.token(header={"kid": ...})
    issuer.publish(issuer.rsa.jwk(kid=...), issuer.ec.jwk())
    assert make_bearer_user().user_id([f"Bearer {token}"]) == "u1"
    issuer.publish(issuer.rsa.jwk(), issuer.ec.jwk())
    bearer_user = make_bearer_user()
    assert bearer_user.user_id([f"Bearer {token}"]) == "u1"

    issuer.publish(issuer.rsa.jwk(), issuer.rsa.jwk(kid="key-3"))
    clock.advance(600)
    with pytest.raises(BearerError) as caught:
        bearer_user.user_id([f"Bearer {token}"])
    assert caught.value.status == 401


# Why a token was refused


def test_a_refusal_is_one_warning_and_a_challenge_with_its_cause(
    make_bearer_user: MakeBearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(BearerError) as caught:
        make_bearer_user().user_id([f"Bearer {issuer.rsa.token(exp=1)}"])

    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "a bearer token was refused: it has expired")
    assert caught.value.headers["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="the token was refused: it has expired"'
    )


def test_an_apps_own_reason_is_for_its_log(
    make_bearer_user: MakeBearerUser, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BearerError) as caught:
        make_bearer_user(refuse=lambda claims: "user u1 owes us money").user_id([f"Bearer {issuer.rsa.token()}"])

    assert "owes us money" in caplog.text
    assert "owes" not in caught.value.headers["WWW-Authenticate"]


def test_verified_claims_stand_beside_the_user(make_bearer_user: MakeBearerUser, issuer: Issuer) -> None:
    bearer_user = make_bearer_user()

    claims = bearer_user.verified_claims([f"Bearer {issuer.rsa.token(email='ada@example.com')}"])

    assert (claims["sub"], claims["email"]) == ("u1", "ada@example.com")
    assert bearer_user.verified_claims([]) is None
    with pytest.raises(TypeError):
        claims["sub"] = "u2"


def test_keys_that_come_as_certificates_are_no_keys(make_bearer_user: MakeBearerUser, issuer: Issuer) -> None:
    issuer.answer(http({"key-1": "-----BEGIN CERTIFICATE-----"}))

    with pytest.raises(BearerError) as caught:
        make_bearer_user().user_id([f"Bearer {issuer.rsa.token()}"])
    assert caught.value.status == 503
