"""The app's own URL comes from its settings; no header of a request moves it."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.reading import ending, links_of, no_calls
from ..support.web import Browser, Flow, MakeWeb, Web, planted, query_of, start_path

# Each adapter reads and writes these by itself.
pytestmark = pytest.mark.every_case

FLOWS: tuple[Flow, Flow] = ("link", "login")
LIVE = {
    "CONFIGURE_APP_URL": "https://app.example.com",
    "CONFIGURE_TOKEN_KEYS": "a-key-of-43-characters-for-an-app-on-the-web",
}
CALLBACK = {"link": "return_to", "login": "redirect_uri"}


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before a store is asked."""
    return "memory"


def callback_in(browser: Browser, flow: Flow, **headers: str) -> str:
    browser.sign_in_locally("u1") if flow == "link" else browser.sign_out()
    return query_of(browser.get(start_path(flow), **headers).headers["location"])[CALLBACK[flow]]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_start_at_another_host_is_sent_to_the_right_one_once(web: Web, browser: Browser, flow: Flow) -> None:
    browser.sign_in_locally("u1") if flow == "link" else None
    port = web.url.rpartition(":")[2]
    with no_calls(web.sandbox):
        moved = browser.get(f"{start_path(flow)}?next=/settings&replace=1", host=f"127.0.0.1:{port}")

    assert moved.status_code == 303
    assert moved.headers["location"] == f"{web.url}{start_path(flow)}?next=%2Fsettings&replace=1&moved=1"
    assert planted(moved) == []
    assert web.people.events == []

    asked = browser.get(moved.headers["location"], site="cross-site")
    assert asked.status_code == 200
    (onward,) = links_of(asked)
    assert browser.get(onward).headers["location"].startswith("http://127.0.0.1:")


def test_behind_a_proxy_that_rewrites_the_host_a_start_does_not_circle(make_web: MakeWeb) -> None:
    web = make_web(settings=LIVE)
    with web.browser() as browser:
        moved = browser.get(start_path("login"), host="10.0.0.1:8000")
        assert moved.headers["location"] == "https://app.example.com/auth/configure/sign-in?moved=1"
        again = browser.get("/auth/configure/sign-in?moved=1", host="10.0.0.1:8000")

    assert query_of(again.headers["location"])["redirect_uri"] == "https://app.example.com/auth/configure/callback"


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("app_url", ["https://App.Example.com", "https://app.example.com:443"])
def test_an_app_url_in_another_spelling_is_no_detour(make_web: MakeWeb, flow: Flow, app_url: str) -> None:
    web = make_web(settings={**LIVE, "CONFIGURE_APP_URL": app_url})
    with web.browser() as browser:
        assert callback_in(browser, flow, host="app.example.com").startswith("https://app.example.com/")


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("host", ["www.example.com", "app.example.com.evil.example", "app.example.com:8443", "evil"])
def test_another_host_never_gets_into_the_callback(make_web: MakeWeb, flow: Flow, host: str) -> None:
    web = make_web(settings=LIVE)
    with web.browser() as browser:
        answer = browser.get(start_path(flow), host=host)

        assert answer.headers["location"] == f"https://app.example.com{start_path(flow)}?moved=1"
        assert callback_in(browser, flow, host="APP.example.com").startswith("https://app.example.com/")


@pytest.mark.catalogue("F2")
@pytest.mark.parametrize("flow", FLOWS)
def test_forwarded_headers_have_no_effect(web: Web, browser: Browser, flow: Flow) -> None:
    forwarded = {
        "x_forwarded_host": "evil.example",
        "x_forwarded_proto": "https",
        "x_forwarded_prefix": "/evil",
        "x_forwarded_port": "1",
        "x_original_url": "/evil",
        "x_rewrite_url": "/evil",
        "forwarded": "host=evil.example;proto=https",
        "x_script_name": "/evil",
    }

    assert callback_in(browser, flow, **forwarded).startswith(f"{web.url}/")


@pytest.mark.catalogue("F3")
@pytest.mark.parametrize("host", ["evil.example/x?", "a@evil.example", "evil.example#", "a b", "localhost:0", "[::1"])
@pytest.mark.parametrize("app_url", ["{url}", None])
def test_a_malformed_host_mints_nothing(make_web: MakeWeb, host: str, app_url: str | None) -> None:
    web = make_web(settings={"CONFIGURE_APP_URL": app_url})
    with web.browser() as browser, no_calls(web.sandbox):
        answer = browser.get(start_path("login"), host=host)

    assert web.people.events == []
    if answer.status_code == 303:
        assert answer.headers["location"] == f"{web.url}{start_path('login')}?moved=1"
    else:
        assert answer.status_code in (400, 500)
        assert "evil" not in answer.text


@pytest.mark.parametrize("flow", FLOWS)
def test_without_the_setting_loopback_works(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(settings={"CONFIGURE_APP_URL": None})
    with web.browser() as browser:
        callback = browser.at_configure(browser.begin(flow))
        assert callback.startswith(f"{web.url}/")
        assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("F4")
@pytest.mark.parametrize(
    "host", ["app.example.com", "localhost.evil.example", "evil.example:80", "127.0.0.1.evil.example"]
)
def test_without_the_setting_nothing_but_loopback_works(make_web: MakeWeb, host: str) -> None:
    errors: list[Any] = []
    web = make_web(settings={"CONFIGURE_APP_URL": None}, login={"on_error": errors.append})
    with web.browser() as browser, no_calls(web.sandbox):
        assert ending(browser.get(start_path("login"), host=host)) == (500, "misconfigured")

    (error,) = errors
    assert "CONFIGURE_APP_URL" in str(error)


@pytest.mark.catalogue("F5")
def test_one_requests_host_is_not_remembered_for_the_next(make_web: MakeWeb) -> None:
    web = make_web(settings={"CONFIGURE_APP_URL": None})
    port = web.url.rpartition(":")[2]
    with web.browser() as browser:
        first = callback_in(browser, "login", host=f"127.0.0.1:{port}")
        second = callback_in(browser, "login", host=f"localhost:{port}")

    assert (first[: len("http://127.0.0.1:")], second.startswith(web.url)) == ("http://127.0.0.1:", True)


@pytest.mark.parametrize("route", ["/configure/sign-in", "/configure/callback", "/configure/status"])
def test_a_request_under_another_path_says_what_mends_it(make_web: MakeWeb, route: str) -> None:
    errors: list[Any] = []
    link = {"on_error": errors.append, "after_link": "/shop/settings"}
    web = make_web(settings={"CONFIGURE_APP_URL": "{url}/shop"}, link=link, login=None)
    with web.browser() as browser, no_calls(web.sandbox):
        browser.sign_in_locally("u1")
        assert ending(browser.get(route)) == (500, "misconfigured")

    (error,) = errors
    assert f"'{route}'" in str(error)
    assert f"'/shop{route}'" in str(error)
    assert "CONFIGURE_APP_URL" in str(error)


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize("flow", FLOWS)
def test_an_app_under_a_path_has_it_in_the_callback_once(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(settings={"CONFIGURE_APP_URL": "{url}/shop"}, mount="/shop")
    for path in (f"{web.url}/shop/configure/callback", f"{web.url}/shop/auth/configure/callback"):
        web.sandbox.register_redirect_uri(path)
        web.sandbox.register_return_to(path)
    with web.browser() as browser:
        browser.post("/shop/in/u1") if flow == "link" else None
        (button,) = links_of(browser.get("/shop/settings"))
        assert button == f"/shop{start_path(flow)}"
        start = browser.get(button).headers["location"]
        assert query_of(start)[CALLBACK[flow]] == f"{web.url}/shop{start_path(flow).replace('sign-in', 'callback')}"
        assert browser.come_back(browser.at_configure(start)).status_code == 303
