"""What every response near a sign-in carries."""

from __future__ import annotations

import httpx2
import pytest

from ..support.web import Browser, Flow, MakeWeb, Web, callback_path, start_path

FLOWS: tuple[Flow, Flow] = ("link", "login")


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before a store is asked."""
    return "memory"


def answers(browser: Browser) -> dict[str, httpx2.Response]:
    """One of every kind that our routes give."""
    login = browser.at_configure(browser.start("login"))
    found = {
        "login's start": browser.get(start_path("login")),
        "a confirm page": browser.get(start_path("login"), site="cross-site"),
        "a prefetch": browser.get(start_path("login"), sec_purpose="prefetch"),
        "HEAD": browser.request("HEAD", start_path("login"), site="same-origin"),
        "login's end": browser.come_back(login),
        "link's start": browser.get(start_path("link")),
        "a start as JSON": browser.get(start_path("link"), accept="application/json"),
        "an error page": browser.come_back(f"{callback_path('link')}?code=x&state={'a' * 65}"),
        "an error as JSON": browser.get(callback_path("link"), accept="application/json"),
        "a wrong method": browser.request("PUT", start_path("link"), site="same-origin"),
        "a refused post": browser.post(start_path("link"), site="cross-site"),
        "a cancelled sign-in": browser.come_back(browser.end(browser.start("link"), error="access_denied")),
        "status": browser.get("/configure/status"),
        "a refused disconnect": browser.post("/configure/disconnect"),
    }
    browser.sign_out()
    return found | {"signed out": browser.get("/configure/status")}


def test_every_response_of_ours_is_private_silent_and_unframed(browser: Browser) -> None:
    for name, answer in answers(browser).items():
        headers = answer.headers
        assert headers["cache-control"] == "no-store", name
        assert headers["referrer-policy"] == "no-referrer", name
        assert headers["x-content-type-options"] == "nosniff", name
        assert headers["x-frame-options"] == "DENY", name
        assert "frame-ancestors 'none'" in headers["content-security-policy"], name
        assert "default-src 'none'" in headers["content-security-policy"], name
        opener = "same-origin" if headers["content-type"].startswith("text/html") else None
        assert headers.get("cross-origin-opener-policy") == opener, name


def test_the_kinds_of_answer_are_what_they_are_called(browser: Browser) -> None:
    statuses = {name: answer.status_code for name, answer in answers(browser).items()}

    assert statuses == {
        "login's start": 303,
        "a confirm page": 200,
        "a prefetch": 503,
        "HEAD": 204,
        "login's end": 303,
        "link's start": 303,
        "a start as JSON": 200,
        "an error page": 400,
        "an error as JSON": 400,
        "a wrong method": 405,
        "a refused post": 403,
        "a cancelled sign-in": 303,
        "status": 200,
        "a refused disconnect": 409,
        "signed out": 401,
    }


@pytest.mark.catalogue("N4")
@pytest.mark.parametrize("flow", FLOWS)
def test_an_end_is_a_redirect_to_a_clean_address_without_a_page(browser: Browser, flow: Flow) -> None:
    answer = browser.come_back(browser.at_configure(browser.begin(flow)))

    assert answer.text == ""
    assert answer.headers["location"] == {"link": "/settings", "login": "/"}[flow]


def test_the_apps_own_response_is_private_too(make_web: MakeWeb) -> None:
    web = make_web(on_login=lambda identity, grant: ("u1", "welcome"), link={"on_error": lambda error: "sorry"})
    with web.browser() as browser:
        welcome = browser.login()
        sorry = browser.get(callback_path("link"))

    assert [welcome.text, sorry.text] == ["welcome", "sorry"]
    for answer in (welcome, sorry):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("flow", FLOWS)
def test_a_busy_configure_says_when_to_come_back(web: Web, browser: Browser, flow: Flow) -> None:
    path = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}[flow]
    web.sandbox.fault(path, status=429, headers={"Retry-After": "7"})

    answer = browser.come_back(browser.at_configure(browser.begin(flow)))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
