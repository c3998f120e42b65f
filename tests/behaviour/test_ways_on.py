"""An error page leads to what helps: a sign-in, another profile; and its sentence fits."""

from __future__ import annotations

import pytest

from ..support.reading import code_of, ending, links_of
from ..support.web import MakeWeb, Web


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


def test_signed_out_leads_to_the_sign_in_and_back(make_web: MakeWeb) -> None:
    with make_web(constructor={"login_url": "/log-in?via=page"}).browser() as browser:
        start = browser.get("/configure/sign-in?next=/a")
        callback = browser.end(browser.begin("link", "?next=/b"), code="c")
        browser.sign_out()
        ended = browser.get(callback)

    assert links_of(start)[0] == "/log-in?via=page&next=%2Fconfigure%2Fsign-in"
    assert code_of(ended) == "signed_out"
    assert links_of(ended) == ["/log-in?via=page&next=%2Fconfigure%2Fsign-in%3Fnext%3D%252Fb", "/b"]


def test_another_profile_can_replace_the_connected_one(web: Web) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link("+15550100001")
        first = (browser.account() or {})["configure_user_id"]
        page = browser.link("+15550100002", "?next=/a")

        assert ending(page) == (409, "already_connected")
        replace, back = links_of(page)
        assert back == "/a"
        assert "Connect the new profile instead" in page.text
        started = browser.get(replace)
        browser.come_back(browser.at_configure(started.headers["location"], "+15550100002"))
        assert (browser.account() or {})["configure_user_id"] != first


def test_a_wrong_method_is_no_copied_address(web: Web) -> None:
    with web.browser() as browser:
        page = browser.get("/configure/disconnect")

    assert ending(page) == (405, "invalid_request")
    assert "a button of this site" in page.text
    assert "copied" not in page.text


def test_a_lost_cookie_names_another_app(web: Web) -> None:
    with web.browser() as browser, web.browser() as safari:
        page = safari.come_back(browser.end(browser.begin("login"), code="c"))

    assert code_of(page) == "cookie_missing"
    assert "in another app or browser, such as one on the home screen" in page.text
