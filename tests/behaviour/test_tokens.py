"""Stored tokens in use: fresh when asked for, renewed once, and called dead only when Configure says so twice."""

from __future__ import annotations

from typing import Any

import pytest

from configure_auth.events import ReconnectNeeded, TokenRefreshed

from ..support.reading import meanwhile, no_calls, together
from ..support.web import Browser, MakeWeb, Web, start_path

pytestmark = pytest.mark.all_stores

HOUR = 3600.0
RECONNECT = {"code": "AUTH_REQUIRED", "suggested_action": "reconnect"}


def token_of(browser: Browser) -> Any:
    return browser.get("/token").json()


def refreshes(web: Web) -> list[str]:
    """The refresh tokens that were sent, in their order."""
    sent = (call.form for call in web.sandbox.calls_to("POST", "/oauth/token"))
    return [form["refresh_token"] for form in sent if form["grant_type"] == "refresh_token"]


def told(web: Web, kind: type) -> int:
    return sum(isinstance(event, kind) for event in web.people.events)


@pytest.fixture
def browser(web: Web) -> Any:
    """Somebody who signed in."""
    with web.browser() as browser:
        browser.login()
        yield browser


def test_a_token_that_is_good_is_not_renewed(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR - 120)
    with no_calls(web.sandbox):
        first = token_of(browser)

    assert web.sandbox.is_live(first["token"])


@pytest.mark.catalogue("D7")
def test_a_token_about_to_end_is_renewed_once_with_its_resource(web: Web, browser: Browser) -> None:
    old = token_of(browser)["token"]
    web.sandbox.advance(HOUR - 30)

    new = token_of(browser)["token"]

    assert new != old
    assert web.sandbox.is_live(new)
    assert token_of(browser)["token"] == new
    (call,) = [c for c in web.sandbox.calls_to("POST", "/oauth/token") if c.form["grant_type"] == "refresh_token"]
    assert call.form["resource"] == web.sandbox.api_url
    assert told(web, TokenRefreshed) == 1


def test_many_requests_at_once_renew_once(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR)
    tabs = [browser.copy() for _ in range(8)]

    tokens = together([lambda tab=tab: token_of(tab)["token"] for tab in tabs])  # type: ignore[misc]  # bound now

    assert len(set(tokens)) == 1
    assert len(refreshes(web)) == 1
    for tab in tabs:
        tab.close()


def test_the_rotated_pair_is_kept_for_the_next_time(web: Web, browser: Browser) -> None:
    for _ in range(3):
        web.sandbox.advance(HOUR)
        assert web.sandbox.is_live(token_of(browser)["token"])

    assert len(set(refreshes(web))) == 3


def test_a_refresh_token_that_does_not_rotate_is_kept(web: Web, browser: Browser) -> None:
    web.sandbox.variants.refresh_rotates = False
    for _ in range(2):
        web.sandbox.advance(HOUR)
        assert web.sandbox.is_live(token_of(browser)["token"])

    assert len(set(refreshes(web))) == 1


def test_a_lost_answer_is_asked_for_once_more(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR)
    web.sandbox.fault("/oauth/token", drop=True, handled=True, times=1)

    assert web.sandbox.is_live(token_of(browser)["token"])
    first, second = refreshes(web)
    assert first == second
    web.sandbox.advance(HOUR)
    assert web.sandbox.is_live(token_of(browser)["token"])


def test_a_lost_answer_is_asked_for_until_configure_refuses(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR)
    web.sandbox.fault("/oauth/token", drop=True, handled=True, times=1)
    web.sandbox.fault("/oauth/token", status=503, headers={"Retry-After": "61"}, times=1)
    assert token_of(browser)["code"] == "SERVER_ERROR"
    assert (browser.account() or {})["needs_reconnect"] is False

    web.sandbox.advance(62)
    assert token_of(browser) == RECONNECT
    with no_calls(web.sandbox):
        assert token_of(browser) == RECONNECT

    assert len(refreshes(web)) == 3
    assert (browser.account() or {})["needs_reconnect"] is True
    assert told(web, ReconnectNeeded) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_marks_nothing_and_is_left_alone_as_long_as_configure_asks(
    web: Web, browser: Browser, status: int
) -> None:
    web.sandbox.advance(HOUR)
    web.sandbox.fault("/oauth/token", status=status, headers={"Retry-After": "30"}, times=1)
    tabs = [browser.copy() for _ in range(8)]

    answers = together([lambda tab=tab: token_of(tab) for tab in tabs])  # type: ignore[misc]  # bound now

    assert {answer["code"] for answer in answers} <= {"RATE_LIMITED", "SERVER_ERROR", "NETWORK_ERROR"}
    assert len(refreshes(web)) == 1
    assert (browser.account() or {})["needs_reconnect"] is False
    web.sandbox.advance(31)
    assert web.sandbox.is_live(token_of(browser)["token"])
    assert told(web, ReconnectNeeded) == 0
    for tab in tabs:
        tab.close()


def test_a_refresh_of_a_worker_that_died_is_sent_again_once_its_lease_is_over(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR)
    with (
        browser.copy() as tab,
        web.sandbox.hold("/oauth/token") as held,
        meanwhile(lambda: token_of(tab)) as dead,
        meanwhile(lambda: token_of(browser)) as waiting,
    ):
        held.arrived.wait(1)
        web.sandbox.advance(16)
        held.arrived.wait(2)
        held.release()
        tokens = waiting()["token"], dead()["token"]

    assert web.sandbox.is_live(tokens[0])
    assert (browser.account() or {})["needs_reconnect"] is False
    assert told(web, ReconnectNeeded) == 0


def test_a_token_that_is_good_for_a_while_outlasts_an_outage(web: Web, browser: Browser) -> None:
    good = token_of(browser)["token"]
    web.sandbox.advance(HOUR - 30)
    web.sandbox.fault("/oauth/token", status=503, headers={"Retry-After": "20"}, times=1)

    assert token_of(browser)["token"] == good
    web.sandbox.advance(21)
    assert token_of(browser)["token"] != good
    assert len(refreshes(web)) == 2


def test_a_dead_grant_asks_to_reconnect(web: Web, browser: Browser) -> None:
    for token in web.sandbox.tokens:
        web.sandbox.revoke_token(token.token)
    web.sandbox.advance(HOUR)

    assert token_of(browser) == RECONNECT
    assert (browser.account() or {})["needs_reconnect"] is True
    assert told(web, ReconnectNeeded) == 1
    assert len(refreshes(web)) == 1
    with no_calls(web.sandbox):
        assert token_of(browser) == RECONNECT


def test_the_button_says_that_it_reconnects_and_does(web: Web) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        assert "Continue with Configure" in browser.get("/").text
        web.sandbox.revoke_token(token_of(browser)["token"])
        assert browser.get("/profile").status_code == 502
        assert "Reconnect Configure" in browser.get("/").text

        assert browser.link().status_code == 303
        assert "Continue with Configure" in browser.get("/").text
        assert (browser.account() or {})["needs_reconnect"] is False


def test_wrong_credentials_of_the_app_mark_nobody(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR)
    web.sandbox.fault("/oauth/token", status=401, body={"error": "invalid_client"}, times=1)

    assert "code" in token_of(browser)
    assert (browser.account() or {})["needs_reconnect"] is False
    assert web.sandbox.is_live(token_of(browser)["token"])


def test_without_a_refresh_token_the_end_is_the_end(web: Web) -> None:
    web.sandbox.variants.token_refresh_token = False
    with web.browser() as browser:
        browser.login()
        web.sandbox.advance(HOUR)
        with no_calls(web.sandbox):
            assert token_of(browser) == RECONNECT
        assert (browser.account() or {})["needs_reconnect"] is True


def test_a_disconnect_during_a_refresh_stands(web: Web, browser: Browser) -> None:
    web.sandbox.advance(HOUR)
    with (
        browser.copy() as tab,
        web.sandbox.hold("/oauth/token") as held,
        meanwhile(lambda: token_of(tab)) as refreshed,
    ):
        held.arrived.wait()
        assert browser.post("/unlink").json() == {"unlinked": 1}
        held.release()
        assert refreshed() == RECONNECT

    assert browser.account() is None
    assert told(web, TokenRefreshed) == 0


def test_a_revoked_agent_token_is_called_dead_after_one_more_question(web: Web) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        web.sandbox.revoke_token(token_of(browser)["token"])
        before = len(web.sandbox.calls)

        assert browser.get("/profile").json()["code"] == "AUTH_REQUIRED"
        asked = [call.path for call in web.sandbox.calls[before:]]
        assert asked == ["/v1/profile", "/v1/auth/sign-in/validate"]
        assert (browser.account() or {})["needs_reconnect"] is True
        assert told(web, ReconnectNeeded) == 1
        with no_calls(web.sandbox):
            assert browser.get("/profile").json() == RECONNECT


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"drop": True},
        {"body": "<html>", "content_type": "text/html"},
        {"status": 401, "body": {"error": {"type": "authentication_error", "code": "invalid_api_key"}}},
    ],
)
def test_what_can_not_be_confirmed_marks_nothing(web: Web, fault: dict[str, Any]) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        web.sandbox.revoke_token(token_of(browser)["token"])
        web.sandbox.fault("/v1/auth/sign-in/validate", **fault)

        assert browser.get("/profile").json()["code"] == "AUTH_REQUIRED"
        assert (browser.account() or {})["needs_reconnect"] is False


def test_a_refused_read_of_a_good_token_marks_nothing(web: Web) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        for kind in ("authentication_error", "permission_error"):
            body = {"error": {"type": kind, "code": "insufficient_scope"}}
            web.sandbox.fault("/v1/profile", status=403, body=body, times=1)
            assert "code" in browser.get("/profile").json()
            assert (browser.account() or {})["needs_reconnect"] is False
        assert browser.get("/profile").status_code == 200


@pytest.mark.parametrize("trouble", [{"status": 500}, {"drop": True}, {"status": 429}])
def test_configure_being_down_says_nothing_against_a_token(web: Web, trouble: dict[str, Any]) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        web.sandbox.fault("/v1/profile", **trouble)
        browser.get("/profile")

        assert (browser.account() or {})["needs_reconnect"] is False
        assert web.sandbox.calls_to("POST", "/v1/auth/sign-in/validate") == []


def test_who_has_not_connected_is_asked_to(web: Web) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        with no_calls(web.sandbox):
            assert token_of(browser) == RECONNECT
            assert browser.get("/profile").json() == RECONNECT


def test_a_reconnect_cures(web: Web, browser: Browser) -> None:
    for token in web.sandbox.tokens:
        web.sandbox.revoke_token(token.token)
    web.sandbox.advance(HOUR)
    token_of(browser)
    browser.sign_out()
    browser.login()

    assert (browser.account() or {})["needs_reconnect"] is False
    assert web.sandbox.is_live(token_of(browser)["token"])


def test_a_signed_in_user_renews_a_dead_grant_and_stays_signed_in(make_web: MakeWeb) -> None:
    web = make_web(link=None)
    with web.browser() as browser:
        browser.login()
        user_id, logins = browser.who(), len(web.people.logins)
        assert browser.get(start_path("login")).headers["location"] == "/"
        for token in web.sandbox.tokens:
            web.sandbox.revoke_token(token.token)
        web.sandbox.advance(HOUR)
        token_of(browser)
        assert "Reconnect Configure" in browser.get("/").text

        other = browser.login("+15550100002")
        assert (other.status_code, "already_connected" in other.text) == (409, True)
        assert (browser.account() or {})["needs_reconnect"] is True
        with browser.copy() as another:
            callback = another.at_configure(another.start("login"))
            another.sign_out()
            another.sign_in_locally("u2")
            assert another.come_back(callback).status_code == 403

        assert browser.login().status_code == 303
        assert (browser.account() or {})["needs_reconnect"] is False
        assert web.sandbox.is_live(token_of(browser)["token"])
        assert (browser.who(), len(web.people.logins)) == (user_id, logins)
        assert "Reconnect" not in browser.get("/").text


def test_the_button_leads_to_what_has_to_be_renewed(web: Web, browser: Browser) -> None:
    browser.link()
    for token in web.sandbox.tokens:
        web.sandbox.revoke_token(token.token)
    web.sandbox.advance(HOUR)
    assert browser.get("/token?kind=oauth").json() == RECONNECT

    page = browser.get("/").text
    assert "Reconnect Configure" in page
    assert start_path("login") in page
    assert browser.login().status_code == 303
    assert web.sandbox.is_live(browser.get("/token?kind=oauth").json()["token"])
    assert browser.get("/profile").json()["code"] == "AUTH_REQUIRED"
    assert start_path("link") in browser.get("/").text
    browser.link()
    assert "Reconnect Configure" not in browser.get("/").text
