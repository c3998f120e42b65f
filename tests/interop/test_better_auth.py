"""A person signs in to an app on Better Auth, by Configure's own provider for it, in a browser; the sandbox answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import APIResponse, Browser, Page, expect

from configure_auth.sandbox import Person, Sandbox

from .node import Node

pytestmark = pytest.mark.extended

ADA, GRACE = "+15550100001", "+15550100002"
CALLBACKS = ("/api/auth/oauth2/callback/configure", "/api/auth/callback/configure")
"""Until 1.7.4, and since."""
SCOPES = ("profile.read", "profile.search", "profile.remember", "profile.commit")
DEFAULT_SCOPES = SCOPES[:2]


@dataclass(frozen=True)
class App:
    """A running app, whose callback the sandbox knows."""

    url: str

    def stored(self, table: str) -> list[dict[str, Any]]:
        with httpx2.Client(trust_env=False) as http:
            rows: list[dict[str, Any]] = http.get(f"{self.url}/database").raise_for_status().json()[table]
            return rows


MakeApp = Callable[..., App]


@pytest.fixture
def make_app(node: Node, configure_sandbox: Sandbox) -> Iterator[MakeApp]:
    with ExitStack() as stack:

        def make(**changes: str) -> App:
            environment = configure_sandbox.environment() | changes
            process = stack.enter_context(node.start("better_auth_app.mjs", environment=environment))
            assert process.stdout is not None
            assert process.stderr is not None
            url = process.stdout.readline().strip()
            assert url, process.stderr.read()
            for callback in CALLBACKS:
                configure_sandbox.register_redirect_uri(url + callback)
            return App(url)

        yield make


@pytest.fixture
def better_auth(make_app: MakeApp) -> App:
    return make_app()


@pytest.fixture
def ada(configure_sandbox: Sandbox) -> Person:
    return configure_sandbox.add_person(ADA, name="Ada Lovelace", email="ada@example.com")


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """A page of a browser profile of its own, as often as it's called."""
    with ExitStack() as stack:

        def make() -> Page:
            context = browser.new_context()
            stack.callback(context.close)
            context.set_default_timeout(15_000)
            return context.new_page()

        yield make


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    return new_page()


def start(page: Page, app: App) -> None:
    page.goto(app.url)
    page.get_by_role("button", name="Continue with Configure").click()


def prove_phone(page: Page, phone: str = ADA) -> None:
    page.get_by_label("Phone number").fill(phone)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six-digit code").fill("000000")
    page.get_by_role("button", name="Verify").click()


def allow(page: Page) -> None:
    page.get_by_role("button", name="Allow", exact=True).click()


def sign_in(page: Page, app: App, phone: str = ADA) -> None:
    start(page, app)
    prove_phone(page, phone)
    allow(page)


@pytest.mark.parametrize("package", ["better-auth", "better-auth-newest"])
def test_a_person_signs_in(
    page: Page, make_app: MakeApp, ada: Person, configure_sandbox: Sandbox, package: str
) -> None:
    """The newest one with one line around the provider: Better Auth requires an `id` since 1.7.5."""
    better_auth = make_app(BETTER_AUTH=package)
    start(page, better_auth)
    expect(page.get_by_label("Phone number")).to_be_visible()
    asked = urlsplit(page.url)
    assert f"{asked.scheme}://{asked.netloc}" == configure_sandbox.accounts_url
    prove_phone(page)
    allow(page)

    expect(page.get_by_text("Hello Ada Lovelace")).to_be_visible()
    assert page.url == f"{better_auth.url}/"
    (user,), (account,) = better_auth.stored("user"), better_auth.stored("account")
    assert (user["name"], user["email"]) == ("Ada Lovelace", "ada@example.com")
    assert (account["accountId"], account["userId"]) == (ada.user_id, user["id"])
    token = configure_sandbox.token(account["accessToken"])
    assert token is not None
    assert (token.kind, token.user_id, token.scopes) == ("access", ada.user_id, DEFAULT_SCOPES)


@pytest.mark.parametrize("scopes", [DEFAULT_SCOPES, SCOPES], ids=["default scopes", "all scopes"])
def test_a_person_who_comes_back_is_the_same(
    new_page: Callable[[], Page], make_app: MakeApp, ada: Person, scopes: tuple[str, ...]
) -> None:
    app = make_app(SCOPES=" ".join(scopes))
    for page in (new_page(), new_page()):
        sign_in(page, app)
        expect(page.get_by_text("Hello Ada Lovelace")).to_be_visible()

    (user,), (account,) = app.stored("user"), app.stored("account")
    assert (account["accountId"], account["userId"]) == (ada.user_id, user["id"])
    assert [session["userId"] for session in app.stored("session")] == [user["id"]] * 2
    assert account["scope"].replace(",", " ").split() == list(scopes)


def test_two_people_are_two(
    new_page: Callable[[], Page], better_auth: App, ada: Person, configure_sandbox: Sandbox
) -> None:
    grace = configure_sandbox.add_person(GRACE, name="Grace Hopper", email="grace@example.com")
    for phone, name in ((ADA, "Ada Lovelace"), (GRACE, "Grace Hopper")):
        page = new_page()
        sign_in(page, better_auth, phone)
        expect(page.get_by_text(f"Hello {name}")).to_be_visible()

    assert [account["accountId"] for account in better_auth.stored("account")] == [ada.user_id, grace.user_id]


def renew(page: Page, app: App) -> APIResponse:
    """Ask for a new token, as a page of the app would."""
    asked = f"{app.url}/api/auth/refresh-token"
    return page.request.post(asked, data={"providerId": "configure"}, headers={"origin": app.url})


def test_its_token_is_renewed(page: Page, better_auth: App, ada: Person, configure_sandbox: Sandbox) -> None:
    sign_in(page, better_auth)
    expect(page.get_by_text("Hello Ada Lovelace")).to_be_visible()
    (before,) = better_auth.stored("account")
    configure_sandbox.advance(3600)
    assert not configure_sandbox.is_live(before["accessToken"])

    answer = renew(page, better_auth)

    assert answer.ok, answer.text()
    (after,) = better_auth.stored("account")
    assert answer.json()["accessToken"] == after["accessToken"] != before["accessToken"]
    assert configure_sandbox.is_live(after["accessToken"])
    # It was rotated: the next renewal must have the new one.
    assert after["refreshToken"] != before["refreshToken"]
    assert renew(page, better_auth).ok


def test_a_person_who_cancels_is_nobody(page: Page, better_auth: App) -> None:
    start(page, better_auth)
    prove_phone(page)
    page.get_by_role("button", name="Cancel").click()

    expect(page).to_have_url(re.compile(r"/error\?error=access_denied"))
    assert better_auth.stored("user") == better_auth.stored("account") == []


def test_who_has_a_phone_alone_is_turned_away_by_better_auth(
    page: Page, better_auth: App, configure_sandbox: Sandbox
) -> None:
    configure_sandbox.add_person(ADA, name="Ada Lovelace")
    sign_in(page, better_auth)

    expect(page).to_have_url(re.compile(r"/failed\?error=email_is_missing"))
    assert [call.status for call in configure_sandbox.calls_to("GET", "/v1/profile")] == [200]
    assert better_auth.stored("user") == []


def test_a_stale_secret_signs_nobody_in(page: Page, make_app: MakeApp, ada: Person, configure_sandbox: Sandbox) -> None:
    app = make_app(CONFIGURE_OAUTH_CLIENT_SECRET="ocs_of_last_year")
    sign_in(page, app)

    expect(page).to_have_url(re.compile(r"/failed\?error=oauth_code_verification_failed"))
    assert [call.status for call in configure_sandbox.calls_to("POST", "/oauth/token")] == [401]
    assert app.stored("user") == []
