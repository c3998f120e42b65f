"""An app whose CONFIGURE_ variables are not set, or only some of them, starts and says what is missing where needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from configure_auth import NotConfigured, flask, starlette
from configure_auth.settings import Settings

from ..support.web import MakeWeb

NONE = dict.fromkeys(
    (
        "CONFIGURE_API_KEY",
        "CONFIGURE_PUBLISHABLE_KEY",
        "CONFIGURE_AGENT",
        "CONFIGURE_OAUTH_CLIENT_ID",
        "CONFIGURE_OAUTH_CLIENT_SECRET",
        "CONFIGURE_TOKEN_KEYS",
    )
)


@pytest.fixture
def store() -> str:
    """No store is reached."""
    return "memory"


def test_without_any_variable_pages_have_no_button_and_routes_answer_503(
    make_web: MakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    web = make_web(settings=NONE)

    assert caplog.text.count("no credential of Configure is set") == 1
    assert "CONFIGURE_TOKEN_KEYS is not set" not in caplog.text
    with web.browser() as browser:
        page = browser.get("/settings")
        assert page.status_code == 200
        assert "configure-button" not in page.text
        browser.sign_in_locally("u1")
        assert "configure-button" not in browser.get("/settings").text
        assert browser.account() is None
        for path in ("/configure/sign-in", "/configure/callback", "/configure/status", "/auth/configure/sign-in"):
            response = browser.get(path, accept="application/json")
            assert (response.status_code, response.json()["error"]) == (503, "not_configured")
        response = browser.get("/auth/configure/sign-in")
        assert response.status_code == 503
        assert "Try again" not in response.text
    assert web.sandbox.calls == []


@pytest.mark.parametrize("missing", ["CONFIGURE_OAUTH_CLIENT_SECRET", "CONFIGURE_OAUTH_CLIENT_ID"])
def test_with_some_variables_only_the_feature_that_needs_them_is_closed(
    make_web: MakeWeb, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    web = make_web(settings={missing: None})

    with web.browser() as browser:
        assert "configure-button" in browser.get("/settings").text
        assert browser.get("/auth/configure/sign-in").status_code == 503
        assert f"not_configured: not set: {missing}" in caplog.text
        browser.sign_in_locally("u1")
        assert browser.link().headers["location"] == "/settings"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_the_first_use_names_all_that_is_missing_for_what_is_mounted(
    make_web: MakeWeb, value: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    missing = ("CONFIGURE_AGENT", "CONFIGURE_OAUTH_CLIENT_ID", "CONFIGURE_OAUTH_CLIENT_SECRET")
    web = make_web(settings=dict.fromkeys(missing, value))

    with web.browser() as browser:
        browser.sign_in_locally("u1")
        assert browser.get("/configure/sign-in").status_code == 503

    said = next(record.getMessage() for record in caplog.records if record.getMessage().startswith("not_configured: "))
    assert all(name in said for name in missing)
    assert "python -m configure_auth sandbox" in said


def test_on_error_sees_that_nothing_is_configured(make_web: MakeWeb) -> None:
    codes: list[str] = []

    def on_error(error: Any) -> None:
        codes.append(error.code)

    web = make_web(settings=NONE, login={"on_error": on_error})

    with web.browser() as browser:
        assert browser.get("/auth/configure/sign-in").status_code == 503
    assert codes == ["not_configured"]


def test_flask_commands_and_verbs_without_variables(tmp_path: Path) -> None:
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))
    configure_auth = flask.ConfigureAuth(Settings(), user_id=lambda: "u1")
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link())
    app.register_blueprint(configure_auth.messages())

    routes = CliRunner().invoke(FlaskGroup(create_app=lambda: app), ["routes"])

    assert routes.exit_code == 0
    assert "configure.sign_in" in routes.output
    with app.app_context():
        assert configure_auth.account() is None
        with pytest.raises(NotConfigured, match="CONFIGURE_AGENT"):
            configure_auth.forget_user("u1")
        assert not (tmp_path / "instance").exists()
        with pytest.raises(NotConfigured, match="CONFIGURE_TOKEN_KEYS"):
            configure_auth.start_journey("sender-1")
    configure_auth.close()


def test_starlette_lifespan_and_templates_without_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("<p>{{ configure_button() }}</p>")
    templates = Jinja2Templates(tmp_path)
    configure_auth = starlette.ConfigureAuth(Settings(), user_id=lambda request: "u1")
    configure_auth.install(templates)

    def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html")

    async def element(request: Request) -> Response:
        return HTMLResponse(f"[{await configure_auth.element(request)}]")

    app = Starlette(
        routes=[configure_auth.account_link(), Route("/", page), Route("/element", element)],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")],
        lifespan=configure_auth.lifespan,
    )

    with TestClient(app) as client:
        assert client.get("/").text == "<p></p>"
        assert client.get("/element").text == "[]"
        assert client.get("/configure/status").status_code == 503
    assert not (tmp_path / "configure.db").exists()
