"""Supabase, Firebase and Auth0: their users are let in, and whoever else they sign for isn't."""

from __future__ import annotations

from typing import Any

import pytest

from configure_auth import BearerError, BearerUser, Secret, SettingsError
from configure_auth.flask import BearerUser as OnFlask
from configure_auth.starlette import BearerUser as OnStarlette

from .issuer import NOW, Clock, Issuer, Signer, compact

PROJECT = "abcdefghijklmnopqrst"
SUPABASE = {
    "iss": f"https://{PROJECT}.supabase.co/auth/v1",
    "aud": "authenticated",
    "sub": "123e4567-e89b-12d3-a456-426614174000",
    "exp": int(NOW) + 3600,
    "iat": int(NOW),
    "role": "authenticated",
    "aal": "aal1",
    "session_id": "s",
    "email": "ada@example.com",
    "phone": "",
    "is_anonymous": False,
}
FIREBASE = {
    "iss": "https://securetoken.google.com/my-project",
    "aud": "my-project",
    "auth_time": int(NOW) - 60,
    "user_id": "uid",
    "sub": "uid",
    "exp": int(NOW) + 3600,
    "iat": int(NOW),
    "firebase": {"identities": {}, "sign_in_provider": "password"},
}
API, DOMAIN = "https://api.example", "example.eu.auth0.com"
AUTH0 = {
    "iss": f"https://{DOMAIN}/",
    "aud": [API, f"https://{DOMAIN}/userinfo"],
    "sub": "auth0|6553",
    "azp": "client",
    "scope": "openid profile",
    "exp": int(NOW) + 3600,
    "iat": int(NOW),
}
SECRET = "a legacy JWT secret of a project, long enough"


def user_of(bearer_user: BearerUser, signer: Signer, claims: dict[str, Any], **change: object) -> str | None:
    """Whose a token with these claims is; None for one that is refused."""
    payload = {name: value for name, value in {**claims, **change}.items() if value is not ...}
    try:
        return bearer_user.user_id([f"Bearer {signer.token(payload=payload)}"])
    except BearerError as error:
        refused = error
    assert refused.status == 401
    return None


class TestSupabase:
    @pytest.fixture(params=["ES256", "RS256"])
    def signer(self, request: pytest.FixtureRequest, issuer: Issuer) -> Signer:
        return {"ES256": issuer.ec, "RS256": issuer.rsa}[request.param]

    @pytest.fixture
    def bearer_user(self, issuer: Issuer, clock: Clock) -> BearerUser:
        return BearerUser.supabase(PROJECT, jwks_url=issuer.url, clock=clock)

    def test_a_user(self, bearer_user: BearerUser, signer: Signer) -> None:
        assert user_of(bearer_user, signer, SUPABASE) == SUPABASE["sub"]
        assert user_of(bearer_user, signer, SUPABASE, is_anonymous=..., role="editor") == SUPABASE["sub"]

    @pytest.mark.catalogue("L12")
    @pytest.mark.parametrize(
        "change",
        [
            {"role": "anon"},
            {"role": "service_role"},
            {"role": "supabase_admin"},
            {"role": ""},
            {"role": None},
            {"role": ["authenticated"]},
            {"role": ...},
            {"is_anonymous": True},
            {"is_anonymous": None},
            {"is_anonymous": "false"},
            {"is_anonymous": 0},
            {"aud": "anon"},
            {"aud": ["authenticated", "anon"]},
            {"iss": "supabase"},
            {"iss": f"https://{PROJECT}.supabase.co"},
            {"iss": f"https://{PROJECT}.supabase.co/auth/v1/"},
            {"iss": "https://another.supabase.co/auth/v1"},
            {"sub": ...},
        ],
        ids=str,
    )
    def test_nobody_else(self, bearer_user: BearerUser, signer: Signer, change: dict[str, object]) -> None:
        assert user_of(bearer_user, signer, SUPABASE, **change) is None

    def test_the_projects_api_keys(self, clock: Clock) -> None:
        bearer_user = BearerUser.supabase_shared_secret(PROJECT, SECRET, clock=clock)
        signer = Signer("k", "HS256", SECRET.encode())

        for role in ("anon", "service_role"):
            claims = {"iss": "supabase", "ref": PROJECT, "role": role, "iat": int(NOW), "exp": int(NOW) + 10**8}
            assert user_of(bearer_user, signer, claims) is None
            assert user_of(bearer_user, signer, {**SUPABASE, **claims, "iss": SUPABASE["iss"]}) is None

    @pytest.mark.parametrize("secret", [SECRET, Secret(SECRET)])
    def test_a_shared_secret(self, clock: Clock, secret: str | Secret) -> None:
        bearer_user = BearerUser.supabase_shared_secret(PROJECT, secret, clock=clock)

        assert user_of(bearer_user, Signer("k", "HS256", SECRET.encode()), SUPABASE) == SUPABASE["sub"]
        assert user_of(bearer_user, Signer("k", "HS256", SECRET.encode()), SUPABASE, is_anonymous=True) is None
        assert user_of(bearer_user, Signer("k", "HS256", b"another secret, as long as that is"), SUPABASE) is None

    def test_a_shared_secret_is_none_for_the_keys_of_now(self, bearer_user: BearerUser) -> None:
        assert user_of(bearer_user, Signer("key-1", "HS256", SECRET.encode()), SUPABASE) is None

    def test_one_of_the_apps_own(self, issuer: Issuer, clock: Clock) -> None:
        bearer_user = BearerUser.supabase(f"{issuer.server.url}/", clock=clock)

        assert user_of(bearer_user, issuer.ec, SUPABASE) is None
        assert user_of(bearer_user, issuer.ec, SUPABASE, iss=f"{issuer.server.url}/auth/v1") == SUPABASE["sub"]
        assert [one.target for one in issuer.server.received] == ["/auth/v1/.well-known/jwks.json"]

    @pytest.mark.parametrize(
        "project", ["", "a.supabase.co", "http://a.example", "https://a.example?x", "a/b", "A", "a b"]
    )
    def test_what_is_no_project(self, project: str) -> None:
        with pytest.raises(SettingsError):
            BearerUser.supabase(project)


class TestFirebase:
    @pytest.fixture
    def bearer_user(self, issuer: Issuer, clock: Clock) -> BearerUser:
        return BearerUser.firebase("my-project", jwks_url=issuer.url, clock=clock)

    def test_a_user(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        assert user_of(bearer_user, issuer.rsa, FIREBASE) == "uid"

    @pytest.mark.catalogue("L12")
    @pytest.mark.parametrize(
        "change",
        [
            {"iss": "https://securetoken.google.com/other-project", "aud": "other-project"},
            {"aud": "other-project"},
            {"iss": "https://securetoken.google.com/other-project"},
            {"iss": "https://session.firebase.google.com/my-project"},
            {"iss": "https://accounts.google.com"},
            {"auth_time": int(NOW) + 31},
            {"auth_time": "1"},
            {"auth_time": ...},
            {"firebase": {"identities": {}, "sign_in_provider": "anonymous"}},
            {"sub": ""},
        ],
        ids=str,
    )
    def test_nobody_else(self, bearer_user: BearerUser, issuer: Issuer, change: dict[str, object]) -> None:
        assert user_of(bearer_user, issuer.rsa, FIREBASE, **change) is None

    def test_not_by_another_algorithm(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        assert user_of(bearer_user, issuer.ec, FIREBASE) is None

    def test_nobody_of_the_emulators(self, bearer_user: BearerUser) -> None:
        with pytest.raises(BearerError):
            bearer_user.user_id([f"Bearer {compact({'alg': 'none', 'typ': 'JWT'}, FIREBASE)}"])

    @pytest.mark.parametrize("project", ["", "a", "My-Project", "my_project", "my-project/", "x" * 31, "my-project\n"])
    def test_what_is_no_project(self, project: str) -> None:
        with pytest.raises(SettingsError, match="project id"):
            BearerUser.firebase(project)


class TestAuth0:
    @pytest.fixture
    def bearer_user(self, issuer: Issuer, clock: Clock) -> BearerUser:
        return BearerUser.auth0(DOMAIN, API, jwks_url=issuer.url, clock=clock)

    def test_a_user(self, bearer_user: BearerUser, issuer: Issuer) -> None:
        assert user_of(bearer_user, issuer.rsa, AUTH0) == "auth0|6553"
        assert user_of(bearer_user, issuer.rsa, AUTH0, aud=API) == "auth0|6553"
        assert user_of(bearer_user, issuer.rsa, AUTH0, aud=[API], gty="refresh_token") == "auth0|6553"

    @pytest.mark.catalogue("L12")
    @pytest.mark.parametrize(
        "change",
        [
            {"aud": "client"},
            {"aud": f"https://{DOMAIN}/userinfo"},
            {"aud": [API, "https://other.eu.auth0.com/userinfo"]},
            {"aud": [API, "https://other.example"]},
            {"aud": [API, f"https://{DOMAIN}/userinfo", "https://other.example"]},
            {"nonce": "n"},
            {"at_hash": "h"},
            {"c_hash": "h"},
            {"gty": "client-credentials"},
            {"sub": "client@clients"},
            {"sub": "client@clients", "gty": "client-credentials"},
            {"iss": f"https://{DOMAIN}"},
            {"iss": "https://other.eu.auth0.com/"},
        ],
        ids=str,
    )
    def test_nobody_else(self, bearer_user: BearerUser, issuer: Issuer, change: dict[str, object]) -> None:
        assert user_of(bearer_user, issuer.rsa, AUTH0, **change) is None

    def test_userinfo_of_another_domain_where_the_app_says_so(self, issuer: Issuer, clock: Clock) -> None:
        tenants = f"https://{DOMAIN}/userinfo"
        bearer_user = BearerUser.auth0(
            "login.example", API, jwks_url=issuer.url, clock=clock, extra_audiences=(tenants,)
        )

        assert user_of(bearer_user, issuer.rsa, AUTH0, iss="https://login.example/") == "auth0|6553"

    @pytest.mark.parametrize(
        "domain", ["", "tenant", "https://a.auth0.com", "a.auth0.com/", "A.auth0.com", "a.auth0.com:1"]
    )
    def test_what_is_no_domain(self, domain: str) -> None:
        with pytest.raises(SettingsError, match="domain"):
            BearerUser.auth0(domain, API)

    @pytest.mark.parametrize("audience", [f"https://{DOMAIN}/userinfo", f"https://{DOMAIN}/api/v2/"])
    def test_what_is_no_api_of_the_apps(self, audience: str) -> None:
        with pytest.raises(SettingsError, match="your own API"):
            BearerUser.auth0(DOMAIN, audience)


@pytest.mark.parametrize(
    ("bearer_user", "url"),
    [
        (BearerUser.supabase(PROJECT), f"https://{PROJECT}.supabase.co/auth/v1/.well-known/jwks.json"),
        (
            BearerUser.firebase("my-project"),
            "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        ),
        (BearerUser.auth0(DOMAIN, API), f"https://{DOMAIN}/.well-known/jwks.json"),
    ],
    ids=["supabase", "firebase", "auth0"],
)
def test_where_the_keys_are(bearer_user: Any, url: str) -> None:
    assert bearer_user._keys._url == url


def test_the_apps_own_refusal_comes_after_the_settings(issuer: Issuer, clock: Clock) -> None:
    asked: list[str] = []

    def refuse(claims: Any) -> str | None:
        asked.append(claims["email"])
        return "her address isn't verified" if claims["email"] == "ada@example.com" else None

    bearer_user = BearerUser.supabase(PROJECT, jwks_url=issuer.url, clock=clock, refuse=refuse)

    assert user_of(bearer_user, issuer.ec, SUPABASE) is None
    assert user_of(bearer_user, issuer.ec, SUPABASE, email="b@example.com") == SUPABASE["sub"]
    assert user_of(bearer_user, issuer.ec, SUPABASE, email="c@example.com", role="anon") is None
    assert asked == ["ada@example.com", "b@example.com"]


@pytest.mark.parametrize("kind", [OnFlask, OnStarlette])
def test_each_framework_has_them_all(kind: type[BearerUser]) -> None:
    made = (
        kind.supabase(PROJECT),
        kind.supabase_shared_secret(PROJECT, SECRET),
        kind.firebase("my-project"),
        kind.auth0(DOMAIN, API),
    )

    assert {type(one) for one in made} == {kind}


def test_options_are_for_all_of_them(clock: Clock) -> None:
    bearer_user = BearerUser.supabase_shared_secret(PROJECT, SECRET, clock=clock, leeway=0)
    signer = Signer("k", "HS256", SECRET.encode())

    assert user_of(bearer_user, signer, SUPABASE, exp=int(NOW) + 1) == SUPABASE["sub"]
    assert user_of(bearer_user, signer, SUPABASE, exp=int(NOW)) is None
    with pytest.raises(SettingsError, match="either jwks_url"):
        BearerUser.supabase_shared_secret(PROJECT, SECRET, jwks_url="https://a.example/k")
