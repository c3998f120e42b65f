"""The page after the end of a flow learns by its query how it ended."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.reading import ending, links_of
from ..support.web import MakeWeb, Web


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    can = {"can_disconnect": lambda user_id: True}
    return make_web(constructor={"show_outcome": True}, link=can)


def where(answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    location: str = answer.headers["location"]
    return location


def test_link_and_disconnect(web: Web) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        callback = browser.at_configure(browser.start("link"))

        assert where(browser.come_back(callback)) == "/settings?configure=connected"
        assert where(browser.come_back(callback)) == "/settings?configure=connected"
        assert where(browser.post("/configure/disconnect")) == "/settings?configure=disconnected"


def test_login(web: Web) -> None:
    with web.browser() as browser:
        callback = browser.at_configure(browser.start("login", "?next=/a%3Fconfigure%3Dcancelled%26b%3Dc%23part"))

        assert where(browser.come_back(callback)) == "/a?b=c&configure=signed-in#part"
        assert where(browser.come_back(callback)) == "/a?b=c&configure=signed-in#part"
        assert web.people.logins[0][1].next == "/a?configure=cancelled&b=c#part"


def test_a_second_tab_is_told_that_somebody_is_signed_in(web: Web) -> None:
    with web.browser() as browser:
        first, second = (
            browser.at_configure(browser.start("login"), phone) for phone in ("+15550100001", "+15550100002")
        )
        browser.come_back(first)
        ada = browser.who()
        exchanges = [call for call in web.sandbox.calls if call.path == "/oauth/token"]

        page = browser.come_back(second)

        assert ending(page) == (409, "already_signed_in")
        assert "signed in already" in page.text
        assert links_of(page) == ["/"]
        assert browser.who() == ada
        assert [call for call in web.sandbox.calls if call.path == "/oauth/token"] == exchanges
