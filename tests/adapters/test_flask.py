"""How real Flask apps register blueprints, import macros and change requests."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Blueprint, Flask, Request, render_template_string

from configure_auth import Settings, SettingsError
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox

from ..support.web import query_of
from .conftest import Serve

SAME_ORIGIN = {"host": "localhost:3000", "sec-fetch-site": "same-origin"}
MACRO = "{% macro sign_in() %}{{ configure_button() }}{% endmacro %}"


@pytest.fixture
def configure_auth(configure_sandbox: Sandbox) -> ConfigureAuth:
    settings = Settings.from_mapping(configure_sandbox.environment())
    return ConfigureAuth(settings, store="memory://", user_id=lambda: None)


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    return app


def on_login(identity: Any, grant: Any) -> str:
    return "u1"


def test_url_prefix_given_at_registration(app: Flask, configure_auth: ConfigureAuth) -> None:
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.login(on_login=on_login), url_prefix="/members")

    response = app.test_client().get("/members/sign-in", headers=SAME_ORIGIN)

    assert response.status_code == 303
    assert query_of(response.headers["location"])["redirect_uri"] == "http://localhost:3000/members/callback"
    with app.test_request_context():
        assert 'href="/members/sign-in"' in configure_auth.button()


def test_login_without_secret_key(configure_auth: ConfigureAuth) -> None:
    """Refused at its start, and not after the user was at Configure."""
    app = Flask(__name__)
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.login(on_login=on_login))

    response = app.test_client().get("/auth/configure/sign-in", headers=SAME_ORIGIN)

    assert response.status_code == 500
    assert "set SECRET_KEY" in response.text


@pytest.mark.parametrize("before", [True, False])
def test_nested_blueprint(app: Flask, configure_auth: ConfigureAuth, before: bool) -> None:
    if before:
        configure_auth.init_app(app)
    api = Blueprint("api", __name__, url_prefix="/api")
    api.register_blueprint(configure_auth.login(on_login=on_login))
    app.register_blueprint(api)
    if not before:
        configure_auth.init_app(app)

    response = app.test_client().get("/api/auth/configure/sign-in", headers=SAME_ORIGIN)

    assert response.status_code == 303
    assert query_of(response.headers["location"])["redirect_uri"] == "http://localhost:3000/api/auth/configure/callback"


@pytest.mark.parametrize("prefix", ["/<language>", "/"])
def test_url_prefix_that_is_refused(app: Flask, configure_auth: ConfigureAuth, prefix: str) -> None:
    with pytest.raises(SettingsError, match="path must begin with a slash"):
        app.register_blueprint(configure_auth.login(on_login=on_login), url_prefix=prefix)


def test_name_taken_by_a_blueprint_of_the_app(app: Flask, configure_auth: ConfigureAuth) -> None:
    app.register_blueprint(Blueprint("configure", __name__))

    with pytest.raises(SettingsError, match=r"ConfigureAuth\(name=\.\.\.\)"):
        app.register_blueprint(configure_auth.account_link())


def test_button_in_an_imported_macro(app: Flask, configure_auth: ConfigureAuth) -> None:
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.login(on_login=on_login))
    app.jinja_env.globals["macros"] = app.jinja_env.from_string(MACRO).module

    with app.test_request_context():
        assert "/auth/configure/sign-in" in render_template_string("{{ macros.sign_in() }}")


def test_request_class_with_a_path_of_its_own(serve: Serve) -> None:
    class WithPrefix(Request):
        """With the prefix in it, as CTFd has it."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.path = self.root_path + self.path

    def customise(app: Flask, configure_auth: Any) -> None:
        app.config["APPLICATION_ROOT"] = "/ctf"
        app.request_class = WithPrefix

    settings = {"CONFIGURE_APP_URL": "{url}/ctf"}
    web = serve(customise=customise, mount="/ctf", settings=settings, link={"after_link": "/ctf/settings"})

    with web.browser() as browser:
        response = browser.get("/ctf/auth/configure/sign-in")

    assert response.status_code == 303, response.text
