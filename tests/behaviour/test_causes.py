"""In development, and nowhere else, an error page says what the developer has to change."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from configure_auth import Settings, SettingsError
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox

from ..support.reading import ending
from ..support.web import Flow, MakeWeb

HOST = "app.example.com"
PRODUCTION = {"CONFIGURE_APP_URL": f"https://{HOST}", "CONFIGURE_TOKEN_KEYS": secrets.token_urlsafe(32)}


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


def lost_id(identity: Any, grant: Any) -> str:
    raise KeyError(identity.user_id)


def set_debug(app: Any, configure_auth: Any) -> None:
    app.debug = True


def test_a_hook_s_exception(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    with make_web(on_login=lost_id).browser() as browser:
        callback = browser.at_configure(browser.start("login"))
        page = browser.come_back(callback)

    assert ending(page) == (500, "misconfigured")
    assert "an unexpected KeyError, raised by the hook tests." in page.text
    (line,) = (record for record in caplog.records if record.exc_info)
    assert line.getMessage().startswith("a sign-in failed by an unexpected KeyError, raised by the hook tests.")


def test_a_setting_s_sentence_on_the_page_and_in_json(make_web: MakeWeb) -> None:
    web = make_web(constructor={"user_id": lambda: "x" * 256})
    with web.browser() as browser:
        page = browser.get("/configure/sign-in")
        script = browser.get("/configure/status", accept="application/json")

    sentence = "user_id: got an id of 256 characters; at most 255 can be stored"
    assert sentence in page.text
    assert script.json()["cause"] == sentence


def test_a_missing_setting(make_web: MakeWeb) -> None:
    with make_web(settings={"CONFIGURE_OAUTH_CLIENT_ID": None}).browser() as browser:
        page = browser.get("/auth/configure/sign-in")

    assert ending(page) == (503, "not_configured")
    assert "CONFIGURE_OAUTH_CLIENT_ID" in page.text


@pytest.mark.parametrize(
    ("flow", "name", "value", "check"),
    [
        ("login", "CONFIGURE_OAUTH_CLIENT_SECRET", f"ocs_local_{'0' * 32}", "CONFIGURE_OAUTH_CLIENT_SECRET"),
        ("link", "CONFIGURE_API_KEY", f"sk_local_{'0' * 32}", "CONFIGURE_API_KEY"),
    ],
)
def test_a_wrong_credential_is_named(
    make_web: MakeWeb, flow: Flow, name: str, value: str, check: str, caplog: pytest.LogCaptureFixture
) -> None:
    with make_web(settings={name: value}).browser() as browser:
        page = browser.come_back(browser.at_configure(browser.begin(flow)))

    assert ending(page) == (502, "upstream_rejected")
    assert f"; check {check}" in page.text or f" and {check}" in page.text
    assert check in caplog.text


def test_what_a_developer_changes_for_a_request_of_the_browser(make_web: MakeWeb) -> None:
    """A wrong method, a fetch() of another origin, a cookie that it didn't keep, and a user that isn't read."""
    with make_web().browser() as browser:
        wrong_method = browser.get("/configure/disconnect")
        elsewhere = browser.http.post(
            "/auth/configure/sign-in",
            headers={"Origin": "http://localhost:5173", "Sec-Fetch-Site": "cross-site", "Accept": "application/json"},
        )
        callback = browser.at_configure(browser.begin("login"))
        browser.http.cookies.clear()
        lost = browser.come_back(callback)
        signed_out = browser.get("/configure/sign-in")

    assert ending(wrong_method) == (405, "invalid_request")
    assert "this route does not allow GET" in wrong_method.text
    assert elsewhere.json()["cause"].endswith("name its origin in trusted_origins=")
    assert (ending(lost), "credentials: &#39;include&#39;" in lost.text) == ((400, "cookie_missing"), True)
    assert ending(signed_out) == (401, "signed_out")
    assert "user_id gave None; let the user sign in to the app first; login_url= leads" in signed_out.text


@pytest.mark.parametrize("host", [HOST, "localhost:3000"])
def test_in_production_a_page_shows_no_cause(make_web: MakeWeb, host: str) -> None:
    web = make_web(settings=PRODUCTION, constructor={"user_id": lambda: "x" * 256})
    with web.browser() as browser:
        page = browser.get("/configure/sign-in?moved=1", host=host)
        script = browser.get("/configure/status", host=host, accept="application/json")
        wrong_method = browser.get("/configure/disconnect", host=host)

    assert (ending(page), "256 characters" in page.text) == ((500, "misconfigured"), False)
    assert set(script.json()) == {"error", "message"}
    assert "does not allow" not in wrong_method.text


def test_without_the_setting_a_page_shows_no_cause(make_web: MakeWeb) -> None:
    web = make_web(settings={"CONFIGURE_APP_URL": None}, constructor={"user_id": lambda: "x" * 256})
    with web.browser() as browser:
        assert "256 characters" not in browser.get("/configure/sign-in").text


def test_debug_mode_shows_it_under_any_address(make_web: MakeWeb) -> None:
    web = make_web(settings=PRODUCTION, constructor={"user_id": lambda: "x" * 256}, customise=set_debug)
    with web.browser() as browser:
        assert "256 characters" in browser.get("/configure/sign-in?moved=1", host=HOST).text


@pytest.mark.parametrize("config", [{"TESTING": True}, {"PROPAGATE_EXCEPTIONS": True}])
def test_flask_s_test_client_sees_the_exception(
    config: dict[str, Any], configure_sandbox: Sandbox, tmp_path: Path
) -> None:
    app = flask_app(config, configure_sandbox, tmp_path, lost_id)
    browser = app.test_client()
    started = browser.get("/auth/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"}).location

    with pytest.raises(KeyError):
        browser.get(configure_sandbox.sign_in(started, "+15550100001"))


def test_flask_s_test_client_gets_a_page_of_any_other_code(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    app = flask_app({"TESTING": True}, configure_sandbox, tmp_path, lost_id, CONFIGURE_OAUTH_CLIENT_ID="")

    assert app.test_client().get("/auth/configure/sign-in").status_code == 503


def test_flask_s_test_client_sees_what_a_setting_contradicts(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    app = flask_app({"TESTING": True}, configure_sandbox, tmp_path, lambda identity, grant: None)
    browser = app.test_client()
    started = browser.get("/auth/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"}).location

    with pytest.raises(SettingsError, match="on_login must return the id"):
        browser.get(configure_sandbox.sign_in(started, "+15550100001"))


def flask_app(config: dict[str, Any], sandbox: Sandbox, folder: Path, on_login: Any, **settings: str) -> Flask:
    url = "http://localhost"
    sandbox.register_redirect_uri(f"{url}/auth/configure/callback")
    app = Flask(__name__, instance_path=str(folder))
    app.config.update(config, SECRET_KEY="a key to sign with")
    chosen = Settings.from_mapping({**sandbox.environment(app_url=url), **settings})
    configure_auth = ConfigureAuth(chosen, store="memory://", user_id=lambda: None)
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.login(on_login=on_login))
    return app


def test_a_forgotten_commit_is_named(make_web: MakeWeb, caplog: pytest.LogCaptureFixture) -> None:
    """The database gives the id of the first person, whom nobody committed, to the second one too."""
    web = make_web(on_login=lambda identity, grant: identity.local_user_id or "1")
    with web.browser() as ada, web.browser() as bob:
        assert ada.login("+15550100001").status_code == 303
        page = bob.login("+15550100002")
        assert bob.who() is None

    assert ending(page) == (409, "already_connected")
    assert "it did not commit before" in page.text
    assert any(
        "on_login returned the user &#39;1&#39;" in text or "on_login returned the user '1'" in text
        for text in caplog.messages
    )
