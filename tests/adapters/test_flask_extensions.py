"""Other Flask extensions that wrap, name or look into every view work in an app with ours."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask_debugtoolbar import DebugToolbarExtension
from flask_limiter import Limiter
from flask_seasurf import SeaSurf
from flask_talisman import Talisman

from configure_auth.ui.pages import CONTENT_SECURITY_POLICY

from .conftest import Serve, sign_in_everywhere


def test_views_have_names_of_their_own(serve: Serve) -> None:
    app: Flask = serve(messages={}, claims={}).app

    views = [view for endpoint, view in app.view_functions.items() if endpoint.startswith("configure")]

    assert len({(view.__module__, view.__name__) for view in views}) == len(views) >= 11
    assert {view.__module__.partition(".")[0] for view in views} == {"configure_auth"}
    assert all(view.__doc__ for view in views)


def test_limiter_counts_each_view_apart(serve: Serve) -> None:
    def customise(app: Any, configure_auth: Any) -> None:
        limiter = Limiter(lambda: "everybody", app=app, storage_uri="memory://")
        for endpoint in ("configure.sign_in", "configure.status"):
            app.view_functions[endpoint] = limiter.limit("2 per hour")(app.view_functions[endpoint])

    web = serve(customise=customise)

    sign_in_everywhere(web)
    with web.browser() as browser:
        answers = [browser.get("/configure/status").status_code for _ in range(3)]
    assert answers == [401, 401, 429]


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # its own, from Python 3.12 on
def test_sea_surf_exempts_our_paths(serve: Serve) -> None:
    def customise(app: Flask, configure_auth: Any) -> None:
        app.config["CSRF_CHECK_REFERER"] = False
        SeaSurf(app).exempt_urls(("/configure", "/auth/configure", "/in/"))

    sign_in_everywhere(serve(customise=customise))


def test_debug_toolbar(serve: Serve) -> None:
    def customise(app: Flask, configure_auth: Any) -> None:
        app.debug = True
        app.config["DEBUG_TB_INTERCEPT_REDIRECTS"] = False
        DebugToolbarExtension(app)

    sign_in_everywhere(serve(customise=customise))


def test_our_pages_keep_their_policy(serve: Serve) -> None:
    def customise(app: Flask, configure_auth: Any) -> None:
        Talisman(app, force_https=False, session_cookie_secure=False)

    web = serve(customise=customise)

    sign_in_everywhere(web)
    with web.browser() as browser:
        page = browser.get("/configure/sign-in", site="cross-site")
        assert re.search("<style>", page.text)
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        # A page of the app's keeps the app's policy.
        assert browser.get("/settings").headers["content-security-policy"] != CONTENT_SECURITY_POLICY


def test_jwt_extended_responds_to_its_own_errors(serve: Serve) -> None:
    from flask_jwt_extended import JWTManager, create_access_token, get_jwt_identity, verify_jwt_in_request

    def user_id() -> str | None:
        verify_jwt_in_request(optional=True)
        identity: str | None = get_jwt_identity()
        return identity

    def customise(app: Flask, configure_auth: Any) -> None:
        app.config["JWT_SECRET_KEY"] = "a secret key of the tokens, long enough"
        JWTManager(app)

    web = serve(customise=customise, constructor={"user_id": user_id, "session": False}, login=None)
    with web.app.app_context():
        valid = create_access_token("u1")
        expired = create_access_token("u1", expires_delta=timedelta(seconds=-1))
    with web.browser() as browser:

        def status(token: str) -> tuple[int, Any]:
            response = browser.get("/configure/status", authorization=f"Bearer {token}")
            return response.status_code, response.json().get("msg")

        assert status(expired) == (401, "Token has expired")
        assert status("garbage") == (422, "Not enough segments")
        assert status(valid) == (200, None)
        assert browser.get("/configure/status").status_code == 401
