"""A signed-in person connects Configure, uses it, and disconnects it."""

from __future__ import annotations

import pytest

from configure_auth.events import AccountLinked, AccountUnlinked, SignInStarted

from ..support.web import Browser, Web

pytestmark = pytest.mark.all_stores(always=True)


def test_a_signed_in_person_connects_and_the_server_reads_the_profile(web: Web, browser: Browser) -> None:
    web.sandbox.add_person("+15550100001", name="Ada")
    browser.sign_in_locally("u1")

    answer = browser.link()

    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
    account = browser.account()
    assert account is not None
    assert (account["user_id"], account["kind"], account["needs_reconnect"]) == ("u1", "agent", False)
    assert [browser.get("/profile").json()["name"] for _ in range(3)] == ["Ada"] * 3
    started, linked = web.people.events
    assert isinstance(started, SignInStarted)
    assert isinstance(linked, AccountLinked)
    assert linked.account.user_id == "u1"


def test_the_callback_costs_one_request_to_configure(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    callback = browser.at_configure(browser.start("link"))
    before = len(web.sandbox.calls)

    browser.come_back(callback)

    assert [call.path for call in web.sandbox.calls[before:]] == ["/v1/auth/sign-in/exchange"]


def test_disconnect_deletes_once_and_says_what_it_deleted(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()

    answers = [browser.post("/configure/disconnect", accept="application/json").json() for _ in range(2)]

    assert answers == [{"disconnected": True}, {"disconnected": False}]
    assert browser.account() is None
    assert [type(event) for event in web.people.events[2:]] == [AccountUnlinked]


def test_disconnect_from_a_form_goes_back_to_the_page(browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()

    answer = browser.post("/configure/disconnect")

    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
