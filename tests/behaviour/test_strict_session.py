"""An app whose session cookie is SameSite=Strict: it isn't there when a person comes back from Configure."""

from __future__ import annotations

import pytest

from ..support.reading import ending, no_calls
from ..support.web import Adapter, Browser, Flow, MakeWeb, Web

FLOWS: tuple[Flow, Flow] = ("link", "login")


@pytest.fixture
def web(adapter: Adapter, make_web: MakeWeb) -> Web:
    """On Flask behind a login guard of the app. Starlette's are in front of every mount, where nothing of ours runs."""
    return make_web(samesite="Strict", guard=adapter == "flask")


def come_back_without_session(browser: Browser, callback: str, site: str = "cross-site") -> tuple[int, str]:
    """As a browser does: a strict cookie is left out of what another site made it send."""
    with browser.copy(without=("session",)) as crossing:
        answer = crossing.get(callback, site=site)
        return answer.status_code, answer.text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_the_first_callback_is_a_page_that_reloads_itself(web: Web, browser: Browser, site: str) -> None:
    """Firefox sends `Sec-Fetch-Site: none` after a page with `Referrer-Policy: no-referrer`."""
    callback = browser.at_configure(browser.begin("link"))
    with no_calls(web.sandbox):
        status, text = come_back_without_session(browser, callback, site)

    assert status == 200
    assert '<meta http-equiv="refresh" content="0">' in text
    assert "src=" not in text
    answer = browser.get(callback)
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings")
    assert browser.account() is not None


def test_the_page_says_nothing_of_the_attempt_and_is_kept_by_nobody(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("link"))
    with browser.copy(without=("session",)) as crossing:
        answer = crossing.come_back(callback)

    assert callback.partition("?")[2] not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"


def test_the_reload_cannot_loop(make_web: MakeWeb) -> None:
    web = make_web(samesite="Strict")
    with web.browser() as browser:
        callback = browser.at_configure(browser.begin("link"))
        browser.sign_out()
        with no_calls(web.sandbox):
            assert ending(browser.get(callback)) == (401, "signed_out")


def test_a_login_that_keeps_something_of_the_session_waits_for_it(make_web: MakeWeb) -> None:
    web = make_web(samesite="Strict", constructor={"keep_session": ("cart",)})
    with web.browser() as browser:
        browser.post("/keep/cart/book")
        callback = browser.at_configure(browser.start("login"))
        with no_calls(web.sandbox):
            status, _ = come_back_without_session(browser, callback)
        assert status == 200
        assert browser.get(callback).status_code == 303
        assert browser.who() is not None
        assert browser.get("/session").json() == {"cart": "book"}


@pytest.mark.parametrize("site", ["cross-site", "none"])
def test_a_login_waits_for_the_reload_too(make_web: MakeWeb, site: str) -> None:
    web = make_web(samesite="Strict")
    with web.browser() as browser:
        callback = browser.at_configure(browser.start("login"))
        with no_calls(web.sandbox):
            status, _ = come_back_without_session(browser, callback, site)
        assert status == 200
        assert browser.get(callback).status_code == 303
        assert browser.who() is not None


@pytest.mark.parametrize("flow", FLOWS)
def test_head_and_prefetch_get_no_page(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(samesite="Strict")
    with web.browser() as browser:
        callback = browser.at_configure(browser.begin(flow))
        with browser.copy(without=("session",)) as crossing:
            assert crossing.request("HEAD", callback, site="cross-site").status_code == 204
            assert crossing.come_back(callback, sec_purpose="prefetch").status_code == 503
        assert browser.get(callback).status_code == 303


def test_a_login_guard_and_form_tokens_of_the_app_are_no_obstacle(make_web: MakeWeb) -> None:
    web = make_web(guard=True)
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        assert browser.link().status_code == 303
        assert browser.post("/configure/sign-in").status_code == 303
        assert browser.post("/configure/disconnect").status_code == 303
        assert browser.account() is None
        assert browser.post("/configure/disconnect", site="cross-site").status_code == 403
