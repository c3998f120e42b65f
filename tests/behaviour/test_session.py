"""The app's session across a sign-in: nothing that was there before survives but what the app names."""

from __future__ import annotations

import pytest

from ..support.web import Browser, Flow, MakeWeb, Web

FLOWS: tuple[Flow, Flow] = ("link", "login")


def kept(browser: Browser) -> dict[str, str]:
    session: dict[str, str] = browser.get("/session").json()
    return session


@pytest.mark.catalogue("J1")
@pytest.mark.parametrize("server_session", [False, True], ids=["cookie", "server"])
def test_a_login_clears_the_session_but_for_what_the_app_keeps(make_web: MakeWeb, server_session: bool) -> None:
    web = make_web(constructor={"keep_session": ("cart",)}, server_session=server_session)
    with web.browser() as browser:
        browser.post("/keep/cart/book")
        browser.post("/keep/planted/value")
        browser.get(browser.at_configure(browser.start("login")))

        assert kept(browser) == {"cart": "book"}
        assert browser.who() is not None


@pytest.mark.catalogue("J1")
def test_a_session_known_before_the_login_is_worth_nothing_after_it(make_web: MakeWeb) -> None:
    web = make_web(server_session=True)
    with web.browser() as browser:
        browser.post("/keep/planted/value")
        before = browser.http.cookies["session"]
        with browser.copy() as attacker:
            browser.login()

            assert browser.http.cookies["session"] != before
            assert browser.who() is not None
            assert attacker.who() is None


def test_a_link_leaves_the_session_alone(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.post("/keep/cart/book")
    browser.link()

    assert (kept(browser), browser.who()) == ({"cart": "book"}, "u1")


def test_an_app_without_a_session_is_left_without_one(make_web: MakeWeb) -> None:
    web = make_web(constructor={"session": False})
    with web.browser() as browser:
        browser.post("/keep/cart/book")
        browser.login()

        assert kept(browser) == {"cart": "book"}


@pytest.mark.parametrize("flow", FLOWS)
def test_a_failed_callback_signs_nobody_in_or_out(web: Web, browser: Browser, flow: Flow) -> None:
    start = browser.begin(flow)
    before = browser.who()
    browser.come_back(browser.end(start, error="server_error"))

    assert browser.who() == before


@pytest.mark.catalogue("B6")
def test_our_cookie_is_no_session(web: Web, browser: Browser) -> None:
    browser.login()
    with browser.copy(without=("session",)) as bare:
        assert bare.who() is None
        assert bare.get("/configure/status").status_code == 401
