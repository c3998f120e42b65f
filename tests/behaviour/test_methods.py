"""Which methods the routes take, and what looks without touching."""

from __future__ import annotations

import httpx2
import pytest

from ..support.reading import ending, refused
from ..support.web import Browser, Flow, Web, planted, query_of, start_path

# Each adapter reads and writes these by itself.
pytestmark = pytest.mark.every_case

FLOWS: tuple[Flow, Flow] = ("link", "login")
ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROUTES = {
    "/configure/sign-in": ("GET", "HEAD", "POST"),
    "/configure/callback": ("GET", "HEAD"),
    "/configure/status": ("GET", "HEAD"),
    "/configure/disconnect": ("POST",),
    "/configure/finish": ("POST",),
    "/auth/configure/sign-in": ("GET", "HEAD", "POST"),
    "/auth/configure/callback": ("GET", "HEAD"),
}


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before a store is asked."""
    return "memory"


@pytest.mark.catalogue("C12")
@pytest.mark.parametrize("route", ROUTES)
def test_a_wrong_method_is_refused_with_a_code(web: Web, browser: Browser, route: str) -> None:
    start = browser.begin("link")
    state = query_of(start)["state"]
    for method in set(ALL) - set(ROUTES[route]):
        with refused(web):
            answer = browser.request(method, f"{route}?state={state}&code=x", site="same-origin")
        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].split(", ")) == set(ROUTES[route]) - {"HEAD"}, method
        assert method == "HEAD" or ending(answer) == (405, "invalid_request"), method
        told = browser.request(method, route, site="same-origin", accept="application/json")
        assert method == "HEAD" or told.json()["error"] == "invalid_request", method

    assert browser.come_back(browser.at_configure(start)).status_code == 303


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize("path", ["/configure//callback", "/configure/callback/"])
def test_slash_too_many_leads_nowhere(web: Web, browser: Browser, path: str) -> None:
    """A redirect to the right spelling would repeat code and state, without our headers."""
    answer = browser.http.get(httpx2.URL(f"{web.url}{path}?code=c&state={'a' * 65}"), follow_redirects=False)

    assert answer.status_code == 404
    assert "location" not in answer.headers


@pytest.mark.catalogue("A26")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    "headers",
    [
        {"sec_purpose": "prefetch"},
        {"sec_purpose": "prefetch;prerender"},
        {"sec_purpose": "prefetch;anonymous-client-ip"},
        {"purpose": "prefetch"},
        {"x_moz": "prefetch"},
        {"x_purpose": "preview"},
    ],
)
def test_a_prefetch_touches_nothing(web: Web, browser: Browser, flow: Flow, headers: dict[str, str]) -> None:
    callback = browser.at_configure(browser.begin(flow))
    with refused(web):
        looked = browser.come_back(callback, **headers)
        started = browser.get(start_path(flow), **headers)

    for answer in (looked, started):
        # No good answer: the browser would show it for the click that comes later, and go nowhere.
        assert (answer.status_code, answer.text) == (503, "")
        assert planted(answer) == []
    assert len(web.people.events) == 1
    assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("A26")
@pytest.mark.parametrize("flow", FLOWS)
def test_head_touches_nothing(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))
    with refused(web):
        for url in (callback, start_path(flow)):
            answer = browser.request("HEAD", url, site="cross-site")
            assert (answer.status_code, answer.text) == (204, "")
            assert planted(answer) == []

    assert len(web.people.events) == 1
    assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("N2")
def test_a_get_never_disconnects(browser: Browser) -> None:
    browser.sign_in_locally("u1")
    browser.link()

    for method in ("GET", "HEAD"):
        assert browser.request(method, "/configure/disconnect", site="same-origin").status_code == 405
    assert browser.account() is not None
