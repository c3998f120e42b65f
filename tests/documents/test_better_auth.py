"""Configure's page "Message-Agent SSO", sections "Better Auth" and "OAuth Provider", for an app on Flask."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from configure_auth import Configure, LoginRefused
from configure_auth.sandbox import Sandbox

from ..support.web import Browser, MakeWeb, Web, query_of

ADA = "+15550100001"

# Better Auth: the account link


def test_the_app_stays_the_owner_of_its_session(web: Web, browser: Browser) -> None:
    """Better Auth: "... keep Better Auth as the app session owner and link Configure to that session." """
    browser.sign_in_locally("u1")
    assert browser.link().status_code == 303
    assert browser.who() == "u1"
    account = browser.account()
    assert account is not None
    assert (account["user_id"], account["kind"]) == ("u1", "agent")


def test_a_start_without_a_session_is_unauthorized(browser: Browser) -> None:
    """Better Auth, GET /api/configure/sign-in: "if (!session) return new Response("unauthorized", { status: 401 })"."""
    assert browser.get("/configure/sign-in").status_code == 401


def test_a_start_redirects_to_the_hosted_sign_in(web: Web, browser: Browser) -> None:
    """Better Auth, GET /api/configure/sign-in: signInUrl with returnTo and a random state, then a redirect."""
    browser.sign_in_locally("u1")
    first, second = (query_of(browser.start("link")) for _ in range(2))
    assert first["return_to"] == second["return_to"] == f"{web.url}/configure/callback"
    assert first["state"] != second["state"]
    assert len(first["state"]) >= 43


def test_the_callback_is_registered_once(configure: Configure, configure_sandbox: Sandbox) -> None:
    """Better Auth: "Register the callback once from your server". A second time is no error."""
    for _ in range(2):
        configure.auth.allow_sign_in_return_to("https://app.example.com/api/configure/callback")
    assert configure_sandbox.return_destinations == ("https://app.example.com/api/configure/callback",)


def test_the_code_is_exchanged_with_the_secret_key(web: Web, browser: Browser) -> None:
    """Better Auth: "Then exchange the short-lived code with your sk_ key and store the Configure token against the
    Better Auth user"; the sample ends with a redirect to the settings.
    """
    browser.sign_in_locally("u1")
    answer = browser.link()
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/settings")
    (call,) = web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")
    assert call.headers["x-api-key"] == web.sandbox.credentials.api_key
    account = browser.account()
    assert account is not None
    assert account["configure_user_id"] == web.sandbox.people[0].user_id


@pytest.mark.parametrize("query", ["", "?code=cfgsic_x", "?state=s", "?code=&state="])
def test_a_callback_without_code_or_state_is_a_bad_request(browser: Browser, query: str) -> None:
    """Better Auth, GET /api/configure/callback: "if (!code || !state) return new Response("bad request", ...400)"."""
    browser.sign_in_locally("u1")
    assert browser.come_back(f"/configure/callback{query}").status_code == 400


def test_an_invalid_state_is_a_bad_request(web: Web, browser: Browser) -> None:
    """Better Auth, GET /api/configure/callback: "if (!userId) return new Response("invalid state", ...400)"; the state
    is consumed, and the code isn't sent anywhere.
    """
    browser.sign_in_locally("u1")
    assert browser.come_back(f"/configure/callback?code=cfgsic_x&state={'x' * 43}").status_code == 400
    assert web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange") == []
    callback = browser.at_configure(browser.start("link"))
    assert browser.come_back(callback).status_code == 303
    browser.come_back(callback)
    assert len(web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")) == 1


# OAuth Provider: the login


def test_the_login_has_the_pieces_of_the_provider(web: Web, browser: Browser) -> None:
    """OAuth Provider: "... PKCE, client_secret_basic, the Configure API resource, and a server-side identity lookup
    through the Configure SDK."
    """
    start = browser.start("login")
    sent = query_of(start)
    assert browser.come_back(browser.at_configure(start)).status_code == 303

    (token,) = web.sandbox.calls_to("POST", "/oauth/token")
    verifier = token.form["code_verifier"]
    digest = hashlib.sha256(verifier.encode()).digest()
    assert sent["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert sent["code_challenge_method"] == "S256"
    ours = web.sandbox.credentials
    basic = base64.b64encode(f"{ours.client_id}:{ours.client_secret}".encode()).decode()
    assert token.headers["authorization"] == f"Basic {basic}"
    assert sent["resource"] == token.form["resource"] == web.sandbox.api_url
    assert len(web.sandbox.calls_to("POST", "/oauth/introspect")) == 1
    (read,) = web.sandbox.calls_to("GET", "/v1/profile")
    assert (read.query["sections"], read.headers["x-api-key"]) == ("identity", ours.api_key)


def test_a_person_with_a_phone_only_can_sign_in(web: Web, browser: Browser) -> None:
    """OAuth Provider: "... decide how your app handles Configure profiles that only have phone identity." """
    assert browser.login(ADA).status_code == 303
    [(identity, _grant)] = web.people.logins
    assert (identity.email, identity.email_verified, identity.phone_last4) == (None, False, ADA[-4:])


def test_login_and_link_are_for_different_moments(web: Web, browser: Browser) -> None:
    """OAuth Provider: "Use Better Auth OAuth when Configure is a login choice. Use the account-link flow when the user
    is already signed into your app and is connecting Configure for personalization."
    """
    assert browser.login().status_code == 303
    user_id = browser.who()
    assert user_id is not None
    assert browser.link().status_code == 303
    assert browser.who() == user_id
    assert len(web.people.logins) == 1


def test_an_email_is_never_made_up(make_web: MakeWeb) -> None:
    """OAuth Provider: "If your Better Auth schema requires an email for every user, add your own mapProfileToUser
    wrapper": on_login has the identity, and refuses whom it can't use.
    """

    def on_login(identity: Any, grant: Any) -> str:
        if identity.email is None:
            raise LoginRefused("Please add an email at Configure first.")
        return "u1"

    web = make_web(on_login=on_login)
    with web.browser() as browser:
        refused = browser.login(ADA)
        assert refused.status_code == 403
        assert "Please add an email" in refused.text
        assert (
            browser.come_back(web.sandbox.sign_in(browser.start("login"), ADA, email="ada@example.org")).status_code
            == 303
        )
        assert browser.who() == "u1"
