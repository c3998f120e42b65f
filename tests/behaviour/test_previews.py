"""Link previews and scanners, which load what a user was sent, without cookies: nothing of the user's is used up."""

from __future__ import annotations

from typing import Any

import pytest

from configure_auth.events import LinkFailed

from ..support.reading import refused
from ..support.web import Flow, MakeWeb, start_path

FLOWS: tuple[Flow, Flow] = ("link", "login")
VISITORS: dict[str, dict[str, Any]] = {
    "WhatsApp": {"user_agent": "WhatsApp/2.23.20.0", "accept": "*/*"},
    "iMessage": {"user_agent": "Mozilla/5.0 (Macintosh) facebookexternalhit/1.1 Twitterbot/1.0", "accept": "*/*"},
    "Safe Links": {"user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "accept": "text/html,*/*"},
    "Safe Links with script": {
        "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0",
        "site": "none",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    },
}


@pytest.fixture
def store() -> str:
    return "memory"


@pytest.mark.catalogue("A26")
@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("flow", FLOWS)
def test_preview_of_start_and_callback_uses_nothing_up(make_web: MakeWeb, flow: Flow, visitor: str) -> None:
    web, headers = make_web(), {"site": None, **VISITORS[visitor]}
    with web.browser() as browser, web.browser() as preview:
        callback = browser.at_configure(browser.begin(flow))
        before = list(web.people.events)
        with refused(web):
            for method in ("GET", "HEAD"):
                for url in (start_path(flow), callback):
                    answer = preview.request(method, url, **headers)
                    assert "location" not in answer.headers, (method, url)
                    preview.http.cookies.clear()

        # A callback without a cookie is told as a failure, of nobody's attempt.
        assert [event for event in web.people.events if not isinstance(event, LinkFailed)] == before
        assert browser.come_back(callback).status_code == 303


@pytest.mark.parametrize("visitor", VISITORS)
def test_preview_of_message_link_uses_nothing_up(make_web: MakeWeb, visitor: str) -> None:
    """The link leads to Configure's page; what it reports to is no page either."""
    web, headers = make_web(messages={"display_name": "The agent"}), {"site": None, **VISITORS[visitor]}
    with web.browser() as browser, web.browser() as preview:
        link = browser.http.post("/journey", json={"sender": "chat:ada"}).json()["link"]
        for method in ("GET", "HEAD"):
            for url in (link, f"{web.url}/configure/messages/complete?{link.partition('?')[2]}"):
                preview.request(method, url, **headers)
        assert web.people.linked == []

        web.sandbox.sign_in(link, "+14155550101")

    assert [key for key, _ in web.people.linked] == ["chat:ada"]
