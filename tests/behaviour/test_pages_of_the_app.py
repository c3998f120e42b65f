"""Where users go on to: endpoints by name, after a cancel, the app's sign-in page, and the form to disconnect."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import flask
import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from configure_auth import SettingsError
from configure_auth.ui import buttons

from ..support.reading import ending
from ..support.web import Adapter, MakeWeb


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


@pytest.fixture
def settings_page(adapter: Adapter) -> str:
    """The name of the app's settings page: of a function, or of its route."""
    return {"flask": "page", "starlette": "page", "fastapi": "page"}[adapter]


def add_pages(app: Any, configure_auth: Any) -> None:
    """A page with a name, and one with the form, whose field the app checks."""
    form = configure_auth.disconnect_form

    def html() -> str:
        return str(form({"nonce": 'a"b'}, label="Leave"))

    if hasattr(app, "add_url_rule"):
        app.add_url_rule("/welcome", "welcome", lambda: "welcome")
        app.add_url_rule("/form", "form", html)
    else:
        app.router.routes += [
            Route("/welcome", lambda request: HTMLResponse("welcome"), name="welcome"),
            Route("/form", lambda request: HTMLResponse(html()), name="form"),
        ]


@pytest.mark.parametrize("mount", ["", "/shop"])
def test_endpoints_by_name(make_web: MakeWeb, mount: str) -> None:
    web = make_web(
        mount=mount,
        settings={"CONFIGURE_APP_URL": "{url}" + mount},
        link={"after_link": "welcome", "after_cancel": "form"},
        login={"after_login": "welcome"},
        customise=add_pages,
    )
    web.sandbox.register_return_to(f"{web.url}{mount}/configure/callback")
    web.sandbox.register_redirect_uri(f"{web.url}{mount}/auth/configure/callback")
    with web.browser() as browser:
        hosted = browser.get(f"{mount}/auth/configure/sign-in").headers["location"]
        assert browser.come_back(browser.at_configure(hosted)).headers["location"] == f"{mount}/welcome"
        hosted = browser.get(f"{mount}/configure/sign-in").headers["location"]
        assert browser.come_back(browser.at_configure(hosted)).headers["location"] == f"{mount}/welcome"
        cancelled = browser.end(browser.get(f"{mount}/configure/sign-in").headers["location"], error="access_denied")
        response = browser.come_back(cancelled)
        assert response.headers["location"] == f"{mount}/form?configure=cancelled"


def test_an_endpoint_that_the_app_lacks(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    with make_web(login={"after_login": "no_such_page"}).browser() as browser:
        assert ending(browser.get("/auth/configure/sign-in")) == (500, "misconfigured")

    assert "after_login='no_such_page' is no endpoint of this app" in caplog.text


def test_after_cancel_wins_over_next(make_web: MakeWeb) -> None:
    with make_web(login={"after_cancel": "/who"}).browser() as browser:
        start = browser.start("login", "?next=/settings")
        response = browser.come_back(browser.end(start, error="access_denied"))

    assert response.headers["location"] == "/who?configure=cancelled"


def guard_pages(app: Any, configure_auth: Any) -> None:
    """A login guard, which sends signed-out users to the app's own sign-in page; that shows a notice."""

    def page(outcome: str | None) -> str:
        return "You cancelled." if outcome == "cancelled" else "Sign in."

    def place(path: str, user_id: object) -> str | None:
        is_open = user_id is not None or path.startswith(("/log-in", "/auth/configure/"))
        return None if is_open else f"/log-in?{urlencode({'next': path})}"

    if hasattr(app, "add_url_rule"):
        app.add_url_rule("/log-in", "log_in", lambda: page(flask.request.args.get("configure")))

        def turn_away() -> Any:
            location = place(flask.request.path, flask.session.get("user_id"))
            return None if location is None else flask.redirect(location)

        app.before_request(turn_away)
        return

    async def dispatch(request: Request, call_next: Any) -> Any:
        location = place(request.url.path, request.session.get("user_id"))
        return await call_next(request) if location is None else RedirectResponse(location)

    app.router.routes.append(
        Route("/log-in", lambda request: HTMLResponse(page(request.query_params.get("configure"))), name="log_in")
    )
    app.user_middleware.append(Middleware(BaseHTTPMiddleware, dispatch=dispatch))  # inside of the session's


def test_a_cancelled_login_is_told_behind_a_login_guard(make_web: MakeWeb) -> None:
    """The guard's redirect would drop the outcome from the query of any other page."""
    with make_web(login={"after_cancel": "log_in"}, customise=guard_pages).browser() as browser:
        assert browser.get("/settings").headers["location"].endswith("/log-in?next=%2Fsettings")
        cancelled = browser.end(browser.start("login", "?next=/settings"), error="access_denied")
        location = browser.come_back(cancelled).headers["location"]
        notice = browser.get(location)

    assert location == "/log-in?configure=cancelled"
    assert (notice.status_code, notice.text) == (200, "You cancelled.")


@pytest.mark.parametrize("page", ["/settings", "/shopping"])
def test_a_page_outside_of_the_prefix_is_refused(make_web: MakeWeb, page: str) -> None:
    with pytest.raises(
        SettingsError, match=r"after_link='/\w+' is outside of the path of CONFIGURE_APP_URL; write '/shop"
    ):
        make_web(mount="/shop", settings={"CONFIGURE_APP_URL": "{url}/shop"}, link={"after_link": page})


def test_button_without_a_login(make_web: MakeWeb) -> None:
    """A signed-out user would get a 401 at the link's start."""
    with make_web(login=None).browser() as browser:
        assert "configure-button" not in browser.get("/settings").text
        browser.sign_in_locally("u1")
        assert 'href="/configure/sign-in"' in browser.get("/settings").text


def test_button_leads_to_the_apps_sign_in(make_web: MakeWeb) -> None:
    with make_web(login=None, constructor={"login_url": "/log-in?via=configure"}).browser() as browser:
        page = browser.get("/settings").text

    assert 'href="/log-in?via=configure&amp;next=%2Fconfigure%2Fsign-in"' in page


def test_button_brings_its_stylesheet(make_web: MakeWeb) -> None:
    """From the app's own origin, so that a policy with `'self'` allows it; a browser keeps it for a day."""
    web = make_web(mount="/shop", settings={"CONFIGURE_APP_URL": "{url}/shop"}, login={"after_login": "/shop/"})
    with web.browser() as browser:
        links = re.findall(r'<link rel="stylesheet" href="([^"]+)">', browser.get("/shop/settings").text)
        (address,) = dict.fromkeys(links)
        assert address.startswith("/shop/auth/configure/button.css?v=")
        response = browser.get(address)
    assert (response.status_code, response.text) == (200, buttons.BUTTON_STYLE)
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=86400"
    assert not response.headers.keys() & {"set-cookie", "vary"}


def test_disconnect_form(make_web: MakeWeb) -> None:
    web = make_web(customise=add_pages, link={"can_disconnect": lambda user_id: True})
    with web.browser() as browser:
        browser.login()
        form = browser.get("/form").text
        assert '<input type="hidden" name="nonce" value="a&#34;b">' in form
        assert '<button type="submit">Leave</button>' in form
        action = re.search(r'action="([^"]+)"', form)
        assert action is not None
        assert 'method="post"' in form
        assert (
            browser.http.post(action[1], data={"nonce": 'a"b'}, headers={"sec-fetch-site": "same-origin"}).headers[
                "location"
            ]
            == "/settings"
        )
        assert browser.account() is None


def test_on_login_with_a_response_of_its_own_knows_the_page_of_the_start(make_web: MakeWeb) -> None:
    with make_web(on_login=lambda identity, grant: ("u1", f"on to {grant.next}")).browser() as browser:
        response = browser.come_back(browser.at_configure(browser.start("login", "?next=/settings")))

    assert response.text == "on to /settings"


def test_on_login_and_user_id_disagree(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    """Flask-Security's `current_user.get_id()` is not the primary key."""
    signed_in: list[str] = []

    def on_login(identity: Any, grant: Any) -> str:
        signed_in.append("f5e1-uniquifier")
        return "7"

    web = make_web(on_login=on_login, constructor={"user_id": lambda *_: signed_in[-1] if signed_in else None})
    with web.browser() as browser:
        response = browser.login()

    assert ending(response) == (500, "misconfigured")
    assert "on_login returned another id than user_id returns after it" in caplog.text
    assert "f5e1" not in caplog.text


@pytest.mark.parametrize("before", [None, "6"])
def test_on_login_may_take_effect_at_the_next_request(make_web: MakeWeb, before: str | None) -> None:
    """As where an app loads its user before each request."""
    web = make_web(on_login=lambda identity, grant: "7", constructor={"user_id": lambda *_: None})
    with web.browser() as browser:
        assert browser.login().headers["location"] == "/"


@pytest.mark.catalogue("D1")
@pytest.mark.parametrize("part", ["link", "login"])
def test_unknown_options_are_named(make_web: MakeWeb, part: str) -> None:
    options: dict[str, Any] = {part: {"after_sign_in": "/"}}
    with pytest.raises(TypeError, match="got an unknown option 'after_sign_in'; its options: after_"):
        make_web(**options)
