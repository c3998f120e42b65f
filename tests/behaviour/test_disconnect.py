"""Disconnecting: what goes, who may, and what can't bring it back."""

from __future__ import annotations

import pytest

from ..support.reading import ending, meanwhile, no_calls
from ..support.web import Browser, Flow, MakeWeb, Web

pytestmark = pytest.mark.all_stores

EXCHANGE = "/v1/auth/sign-in/exchange"


def disconnect(browser: Browser) -> object:
    return browser.post("/configure/disconnect", accept="application/json").json()


@pytest.mark.catalogue("I13")
def test_disconnecting_asks_nothing_of_configure(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()
    with no_calls(web.sandbox):
        assert disconnect(browser) == {"disconnected": True}
        assert disconnect(browser) == {"disconnected": False}


def test_nobody_signed_in_has_nothing_to_disconnect(web: Web, browser: Browser) -> None:
    assert ending(browser.post("/configure/disconnect")) == (401, "signed_out")
    assert ending(browser.get("/configure/status")) == (401, "signed_out")


def test_one_users_disconnect_leaves_the_others_alone(web: Web, browser: Browser) -> None:
    with web.browser() as other:
        other.sign_in_locally("u2")
        other.link("+15550100002")
        browser.sign_in_locally("u1")
        browser.link()
        disconnect(browser)

        assert other.account() is not None


@pytest.mark.catalogue("I12")
def test_a_callback_in_flight_brings_nothing_back(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()
    callback = browser.at_configure(browser.start("link"))
    with (
        browser.copy() as tab,
        web.sandbox.hold(EXCHANGE) as held,
        meanwhile(lambda: tab.come_back(callback)) as came_back,
    ):
        held.arrived.wait()
        assert disconnect(browser) == {"disconnected": True}
        held.release()
        assert ending(came_back()) == (409, "interrupted")

    assert browser.account() is None


@pytest.mark.catalogue("I12")
def test_an_attempt_from_before_a_disconnect_brings_nothing_back(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()
    callback = browser.at_configure(browser.start("link"))
    disconnect(browser)

    assert ending(browser.come_back(callback)) == (409, "interrupted")
    assert browser.account() is None
    assert browser.link().status_code == 303


def test_a_login_in_flight_brings_nothing_back(web: Web, browser: Browser) -> None:
    browser.login()
    user_id = browser.who()
    with web.browser() as second:
        callback = second.at_configure(second.start("login"))
        with (
            web.sandbox.hold("/v1/profile") as held,
            meanwhile(lambda: second.come_back(callback)) as came_back,
        ):
            held.arrived.wait()
            browser.post(f"/forget/{user_id}")
            held.release()
            answer = came_back()
        assert answer.status_code == 303
        assert web.people.logins[-1][0].local_user_id is None
        assert second.who() != user_id

    assert browser.account() is None


@pytest.mark.catalogue("I11")
def test_the_only_way_in_is_not_taken_away(web: Web, browser: Browser) -> None:
    browser.login()

    assert ending(browser.post("/configure/disconnect")) == (409, "last_sign_in")
    assert browser.account() is not None


@pytest.mark.parametrize("may", [True, False])
def test_the_app_says_whether_there_is_another_way_in(make_web: MakeWeb, may: bool) -> None:
    asked: list[str] = []

    def can_disconnect(user_id: str) -> bool:
        asked.append(user_id)
        return may

    web = make_web(link={"can_disconnect": can_disconnect})
    with web.browser() as browser:
        browser.login()
        answer = browser.post("/configure/disconnect", accept="application/json")

        assert asked == [browser.who()]
        assert answer.json() == ({"disconnected": True} if may else answer.json() | {"error": "last_sign_in"})
        assert (browser.account() is None) == may


@pytest.mark.parametrize("flow", ["link", "login"])
def test_status_tells_what_is_connected_and_no_token(web: Web, browser: Browser, flow: Flow) -> None:
    browser.sign_in_locally("u1")
    assert browser.get("/configure/status").json() == {"connected": False, "accounts": []}
    if flow == "login":
        browser.sign_out()
    browser.come_back(browser.at_configure(browser.begin(flow)))

    status = browser.get("/configure/status")

    (account,) = status.json()["accounts"]
    assert status.json()["connected"] is True
    assert set(account) == {"kind", "configure_user_id", "scopes", "linked_at", "needs_reconnect"}
    assert account["kind"] == {"link": "agent", "login": "oauth"}[flow]
    assert browser.get("/token").json()["token"] not in status.text
