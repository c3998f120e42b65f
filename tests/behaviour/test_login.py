"""Who signed in, and which local user the app made of it."""

from __future__ import annotations

from typing import Any

import pytest

from configure_auth.errors import LoginRefused
from configure_auth.events import LinkFailed, LoggedIn, SignInStarted

from ..support.reading import ending, meanwhile, no_calls
from ..support.web import Browser, MakeWeb, Web

pytestmark = pytest.mark.all_stores

ADA = "+15550100001"


@pytest.mark.conformance("happy-path", "scope-userinfo-claims")
def test_a_new_person_becomes_a_user_and_is_signed_in(web: Web, browser: Browser) -> None:
    web.sandbox.add_person(ADA, name="Ada")

    answer = browser.login(ADA)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    user_id = browser.who()
    assert user_id is not None
    assert web.people.names == {user_id: "Ada"}
    started, logged_in = web.people.events
    assert isinstance(started, SignInStarted)
    assert isinstance(logged_in, LoggedIn)
    assert (logged_in.account.user_id, logged_in.account.kind) == (user_id, "oauth")


def test_a_person_who_comes_again_is_the_same_user(web: Web, browser: Browser) -> None:
    browser.login(ADA)
    first = browser.who()
    with web.browser() as elsewhere:
        elsewhere.login(ADA)

        assert elsewhere.who() == first
    assert [identity.local_user_id for identity, _ in web.people.logins] == [None, first]


def test_the_callback_costs_the_token_request_and_then_two_at_once(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.start("login"))
    before = len(web.sandbox.calls)
    with (
        web.sandbox.hold("/oauth/introspect") as introspected,
        web.sandbox.hold("/v1/profile") as read,
        meanwhile(lambda: browser.come_back(callback)) as came_back,
    ):
        # Neither is answered before the other is there.
        introspected.arrived.wait()
        read.arrived.wait()
        introspected.release()
        read.release()
        came_back()

    first, *rest = web.sandbox.calls[before:]
    assert first.path == "/oauth/token"
    assert sorted(call.path for call in rest) == ["/oauth/introspect", "/v1/profile"]


def test_a_sign_in_leaves_no_commit_in_the_way_of_the_next_read(web: Web, browser: Browser) -> None:
    web.sandbox.add_person(ADA, name="Ada")
    browser.login(ADA)

    assert [browser.get("/profile").json() for _ in range(3)] == [{"name": "Ada"}] * 3


@pytest.mark.catalogue("H10")
@pytest.mark.parametrize(("said", "believed"), [(True, True), (False, False), (None, False)])
def test_an_email_is_verified_only_where_configure_says_so(
    web: Web, browser: Browser, said: bool | None, believed: bool
) -> None:
    web.sandbox.add_person(ADA, name="Ada", email="ada@example.com", email_verified=said)
    browser.login(ADA)

    identity, _ = web.people.logins[0]
    assert (identity.email, identity.email_verified, identity.phone_last4) == ("ada@example.com", believed, "0001")


def test_a_person_with_nothing_but_a_phone_signs_in(web: Web, browser: Browser) -> None:
    web.sandbox.add_person(ADA, hidden=("name", "email", "phone_last4"))
    browser.login(ADA)

    identity, _ = web.people.logins[0]
    assert (identity.name, identity.email, identity.email_verified) == (None, None, False)
    assert browser.who() is not None


def test_the_grant_says_what_was_granted_and_where_the_person_goes(web: Web, browser: Browser) -> None:
    browser.login(ADA, "?next=/settings")

    _, grant = web.people.logins[0]
    assert grant.scopes == ("profile.read", "profile.search")
    assert grant.next == "/settings"
    assert grant.expires_at is not None
    assert grant.expires_at.tzinfo is not None
    assert web.sandbox.is_live(grant.access_token.reveal())


@pytest.mark.catalogue("G15")
def test_narrower_scopes_are_kept_as_granted_and_the_profile_is_left_alone(web: Web, browser: Browser) -> None:
    web.sandbox.variants.granted_scopes = ("profile.search",)
    web.sandbox.add_person(ADA, name="Ada")
    browser.login(ADA)

    identity, grant = web.people.logins[0]
    assert (identity.name, grant.scopes) == (None, ("profile.search",))
    assert (browser.account() or {})["scopes"] == ["profile.search"]
    assert web.sandbox.calls_to("GET", "/v1/profile") == []


def test_an_answer_without_scopes_grants_those_asked_for(web: Web, browser: Browser) -> None:
    web.sandbox.variants.token_scope = False
    browser.login(ADA)

    assert (browser.account() or {})["scopes"] == ["profile.read", "profile.search"]


@pytest.mark.conformance("token-endpoint-response-without-expires_in")
@pytest.mark.catalogue("G6")
def test_without_a_refresh_token_and_a_lifetime_a_person_signs_in_all_the_same(web: Web, browser: Browser) -> None:
    web.sandbox.variants.token_refresh_token = False
    web.sandbox.variants.token_expires_in = None
    browser.login(ADA)

    _, grant = web.people.logins[0]
    assert (grant.refresh_token, grant.expires_at) == (None, None)
    assert browser.get("/token").json()["token"] == grant.access_token.reveal()


@pytest.mark.conformance("token-type-case-insensitivity")
@pytest.mark.parametrize("token_type", ["bearer", "BEARER"])
def test_token_type_in_any_case(web: Web, browser: Browser, token_type: str) -> None:
    web.sandbox.variants.token_type = token_type

    assert browser.login().status_code == 303
    assert browser.who() is not None


def test_the_app_may_answer_by_itself(make_web: MakeWeb) -> None:
    web = make_web(on_login=lambda identity, grant: ("u1", "Welcome!"))
    with web.browser() as browser:
        answer = browser.login()

        assert (answer.status_code, answer.text) == (200, "Welcome!")
        assert (browser.who(), (browser.account() or {})["user_id"]) == ("u1", "u1")


@pytest.mark.catalogue("A14")
def test_the_app_turns_people_away_in_its_own_words(make_web: MakeWeb) -> None:
    def refuse(identity: Any, grant: Any) -> str:
        raise LoginRefused("<b>Members</b> only.")

    web = make_web(on_login=refuse)
    with web.browser() as browser:
        answer = browser.login()

        assert ending(answer) == (403, "login_refused")
        assert "&lt;b&gt;Members&lt;/b&gt; only." in answer.text
        assert (browser.who(), browser.account()) == (None, None)
        assert [type(event) for event in web.people.events] == [SignInStarted, LinkFailed]
        assert browser.get("/auth/configure/sign-in").status_code == 303


@pytest.mark.catalogue("I15")
@pytest.mark.parametrize("result", [None, "", True, 1.5, b"u1", "x" * 256, "a\0b"])
def test_a_hook_that_names_no_user_signs_nobody_in(make_web: MakeWeb, result: object) -> None:
    web = make_web(login={"on_login": lambda identity, grant: result})
    with web.browser() as browser:
        assert ending(browser.login()) == (500, "misconfigured")
        assert browser.get("/configure/status").status_code == 401


def test_a_hook_that_fails_ends_on_a_page(make_web: MakeWeb) -> None:
    def fail(identity: Any, grant: Any) -> str:
        raise RuntimeError("the database says: secret-dsn")

    web = make_web(on_login=fail)
    with web.browser() as browser:
        answer = browser.login()

        assert ending(answer) == (500, "misconfigured")
        assert "secret-dsn" not in answer.text
        assert browser.who() is None


def test_a_hook_that_signs_in_another_user_than_the_known_one_is_undone(make_web: MakeWeb) -> None:
    users = iter(["u1", "u2"])
    web = make_web(on_login=lambda identity, grant: next(users))
    with web.browser() as browser:
        browser.login()
        browser.sign_out()

        refused = browser.login()
        assert ending(refused) == (409, "account_taken")
        assert "call forget_user(id)" in refused.text  # shown in development only
        assert browser.who() is None


def test_a_hook_that_gives_a_user_two_configure_users_is_undone(make_web: MakeWeb) -> None:
    web = make_web(on_login=lambda identity, grant: "u1")
    with web.browser() as browser:
        browser.login("+15550100001")
        browser.sign_out()

        assert ending(browser.login("+15550100002")) == (409, "already_connected")
        assert browser.who() is None


@pytest.mark.catalogue("B7")
def test_whoever_is_signed_in_goes_on_without_a_sign_in(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    with no_calls(web.sandbox):
        answer = browser.get("/auth/configure/sign-in?next=/settings")
        as_json = browser.get("/auth/configure/sign-in", accept="application/json")

    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
    assert as_json.json() == {"url": "/"}
    assert web.people.events == []


@pytest.mark.catalogue("B7")
def test_a_second_tab_that_signed_in_first_stays(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.start("login", "?next=/settings"))
    browser.sign_in_locally("u1")
    with no_calls(web.sandbox):
        answer = browser.come_back(callback)

    assert ending(answer) == (409, "already_signed_in")
    assert browser.who() == "u1"
    assert web.people.logins == []


@pytest.mark.catalogue("C6")
def test_cancelling_a_login_goes_back_to_the_page(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.start("login", "?next=/settings"), cancel=True)
    with no_calls(web.sandbox):
        answer = browser.come_back(callback)

    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?configure=cancelled")
    assert browser.who() is None
