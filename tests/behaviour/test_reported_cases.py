"""Cases from public bug reports of others who do this job: each an input and its right end."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, current_user, login_user

from configure_auth import Settings, ensure_callback
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox

from ..support.reading import ending
from ..support.web import Flow, MakeWeb, Web, callback_path, start_path

FLOWS: tuple[Flow, Flow] = ("link", "login")
OWN, FROM_CONFIGURE = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}
PHONE = "+15550100001"


@pytest.fixture
def store() -> str:
    """No store matters here."""
    return "memory"


@pytest.mark.parametrize("flow", FLOWS)
def test_head_requests_of_a_machine_before_the_browser(web: Web, flow: Flow) -> None:
    with web.browser() as browser, web.browser() as machine:
        callback = browser.at_configure(browser.begin(flow))
        for one in (machine, browser):
            for _ in range(3):
                assert one.request("HEAD", callback, site=None).status_code < 500
        ended = browser.come_back(callback)

    assert (ended.status_code, ended.headers["location"]) == (303, {"link": "/settings", "login": "/"}[flow])
    assert len(web.sandbox.calls_to("POST", "/oauth/token")) == (flow == "login")


@pytest.mark.parametrize("flow", FLOWS)
def test_fetches_of_others_before_the_browser(web: Web, flow: Flow) -> None:
    with web.browser() as browser, web.browser() as machine, web.browser() as other:
        other.begin(flow)
        callback = browser.at_configure(browser.begin(flow))
        for _ in range(3):
            assert ending(machine.come_back(callback)) == (400, "cookie_missing")
        assert ending(other.come_back(callback)) == (400, "wrong_browser")

        assert browser.come_back(callback).status_code == 303


@pytest.mark.parametrize("flow", FLOWS)
def test_the_cookie_survives_http_cookies(web: Web, flow: Flow) -> None:
    """Read and written again, as a proxy or a framework does it."""
    with web.browser() as browser:
        browser.sign_in_locally("u1") if flow == "link" else None
        started = browser.get(start_path(flow))
        (header,) = [one for one in started.headers.get_list("set-cookie") if one.startswith("configure_dev")]
        (morsel,) = SimpleCookie(header).values()
        assert set(morsel.value) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        session = "; ".join(f"{one.name}={one.value}" for one in browser.http.cookies.jar if one.name != morsel.key)
        callback = browser.at_configure(started.headers["location"])
        browser.http.cookies.clear()

        written = "; ".join(filter(None, (morsel.OutputString([]), session)))
        assert browser.come_back(callback, cookie=written).status_code == 303


@pytest.mark.parametrize("flow", FLOWS)
def test_a_home_screen_app_and_a_browser_with_other_cookies(web: Web, flow: Flow) -> None:
    with web.browser() as app, web.browser() as safari:
        callback = app.at_configure(app.begin(flow))
        refused = safari.come_back(callback)
        assert ending(refused) == (400, "cookie_missing")
        assert "in another app or browser" in refused.text

        again = safari.at_configure(safari.begin(flow), "+15550100002" if flow == "login" else PHONE)
        assert safari.come_back(again).status_code == 303
        assert app.come_back(callback).status_code == 303


@pytest.mark.parametrize(
    "query",
    [
        "%00",
        "state=%00",
        "state=%ed%a0%80",
        "code=%ff%fe",
        "code[]=",
        "",
        f"state={'s' * 9000}",
        "next=%ed%a0%80",
        "next=%00",
    ],
)
@pytest.mark.parametrize("flow", FLOWS)
def test_hostile_queries(web: Web, flow: Flow, query: str) -> None:
    with web.browser() as browser:
        browser.sign_in_locally("u1") if flow == "link" else None
        for path in (start_path(flow), callback_path(flow)):
            assert browser.get(f"{path}?{query}").status_code < 500


@pytest.mark.parametrize(
    "body",
    [
        b'{"token": "\x00"}',
        b'{"token": "\\ud800"}',
        b"[" * 100_000,
        b'{"token": 1e400}',
        b"null",
        b'{"token": "a", "token": "b"}',
        b'{"externalId": "\\ud800", "token": "a"}',
    ],
)
def test_hostile_bodies(make_web: MakeWeb, body: bytes) -> None:
    web = make_web(messages={"display_name": "The agent"})
    headers = {"content-type": "application/json", **OWN}
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        for path in ("/configure/session", "/configure/messages/complete"):
            assert browser.http.post(path, content=body, headers=headers).status_code < 500, path


@pytest.mark.parametrize("store", ["sqlite"])
def test_a_new_process_renews_a_token_once(web: Web, make_web: MakeWeb, store: str) -> None:
    """The second app has its own memory, and the store and the keys of the first one."""
    web.sandbox.add_person(PHONE, name="Ada")
    with web.browser() as browser:
        browser.login()
        user_id = browser.who()
    web.sandbox.advance(4000)

    fresh = make_web(folder=web.folder)
    with fresh.browser() as browser:
        browser.sign_in_locally(user_id or "")
        reads = [browser.get("/profile") for _ in range(2)]

    assert [read.json()["name"] for read in reads] == ["Ada", "Ada"]
    grants = [call.form["grant_type"] for call in web.sandbox.calls_to("POST", "/oauth/token")]
    assert grants == ["authorization_code", "refresh_token"]


def test_configure_is_away_as_the_app_boots_and_at_a_callback(
    make_web: MakeWeb, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The app boots with a warning, its own pages respond, and it signs people in afterwards without a restart."""
    done: list[Any] = []

    def boot(app: Any, configure_auth: Any) -> None:
        made: Any = ensure_callback(configure_auth)
        done.extend(asyncio.run(made) if asyncio.iscoroutine(made) else made)

    client = configure_sandbox.environment()["CONFIGURE_OAUTH_CLIENT_ID"]
    for path in ("/v1/auth/sign-in/return-destinations", f"/v1/developer/oauth/clients/{client}"):
        configure_sandbox.fault(path, drop=True)
    web = make_web(customise=boot)
    assert [one.end for one in done] == ["failed", "failed"]
    assert len([one for one in caplog.records if one.levelname == "WARNING" and "run this again" in one.message]) == 2

    with web.browser() as browser:
        callback = browser.at_configure(browser.start("login"))
        web.sandbox.fault("/oauth/token", drop=True)
        assert ending(browser.come_back(callback)) == (503, "upstream_unavailable")
        assert browser.who() is None

        web.sandbox.clear_faults()
        callback = browser.at_configure(browser.start("login"))
        waits = browser.come_back(callback)
        assert (ending(waits), 'http-equiv="refresh"' in waits.text) == ((503, "busy"), True)
        web.sandbox.advance(30)
        assert browser.get(callback).status_code == 303
        assert browser.who() is not None


# ── Flask with its own ways ──────────────────────────────────────────────────────────────────────────────────────────


def flask_app(sandbox: Sandbox, folder: Path, url: str, **config: Any) -> Flask:
    sandbox.register_redirect_uri(f"{url}/auth/configure/callback")
    sandbox.register_return_to(f"{url}/configure/callback")
    app = Flask(__name__, instance_path=str(folder))
    app.config.update(SECRET_KEY="a key of the app that signs its sessions", **config)
    manager = LoginManager(app)
    manager.session_protection = config.get("SESSION_PROTECTION", "basic")

    @manager.user_loader  # type: ignore[untyped-decorator]  # Flask-Login has no types
    def load(user_id: str) -> UserMixin:
        user = UserMixin()
        user.id = user_id
        return user

    def on_login(identity: Any, grant: Any) -> str:
        login_user(load(identity.local_user_id or "u1"), remember=True)
        return "u1"

    settings = Settings.from_mapping(sandbox.environment(app_url=url))
    configure_auth = ConfigureAuth(settings, store="memory://", user_id=lambda: current_user.get_id())
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.login(on_login=on_login))
    app.register_blueprint(configure_auth.account_link(after_link="/settings"))

    @app.get("/who")
    def who() -> str:
        return str(current_user.get_id())

    @app.get("/forget-the-session")
    def forget_the_session() -> str:
        session.clear()
        return ""

    return app


def run(browser: FlaskClient, sandbox: Sandbox, url: str, start: str) -> tuple[Any, str]:
    started = browser.get(start, base_url=url, headers=OWN)
    assert started.status_code == 303, started.text
    callback = sandbox.sign_in(started.location, PHONE)
    return browser.get(callback, base_url=url, headers=FROM_CONFIGURE), callback


# Flask before 2.3 makes a Domain of SERVER_NAME, and warns where there is no dot in it.
@pytest.mark.filterwarnings("ignore:'localhost' is not a valid cookie domain:UserWarning")
@pytest.mark.parametrize("name", ["localhost:5000", "app.localhost:5000"])
def test_server_name_of_flask(configure_sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """It is the app's own host, or its parent domain; our cookie has no Domain."""
    url = "http://app.localhost:5000" if name.startswith("app") else "http://localhost:5000"
    app = flask_app(configure_sandbox, tmp_path, url, SERVER_NAME=name)
    browser = app.test_client()

    started = browser.get("/auth/configure/sign-in", base_url=url, headers=OWN)
    (cookie,) = [one for one in started.headers.getlist("set-cookie") if one.startswith("configure_dev")]
    assert "domain" not in cookie.lower()
    ended, _ = run(browser, configure_sandbox, url, "/auth/configure/sign-in")

    assert (ended.status_code, ended.location) == (303, "/?configure=signed-in")
    assert browser.get("/who", base_url=url).text == "u1"


@pytest.mark.parametrize("protection", ["basic", "strong"])
def test_session_protection_of_flask_login(configure_sandbox: Sandbox, tmp_path: Path, protection: str) -> None:
    url = "http://localhost:5000"
    app = flask_app(configure_sandbox, tmp_path, url, SESSION_PROTECTION=protection)
    browser = app.test_client()

    ended, callback = run(browser, configure_sandbox, url, "/auth/configure/sign-in")
    assert ended.status_code == 303
    assert browser.get(callback, base_url=url, headers=OWN).status_code == 303
    assert browser.get("/who", base_url=url).text == "u1"

    browser.get("/forget-the-session", base_url=url)
    assert browser.get("/who", base_url=url).text == "u1"  # by the remember cookie
    if protection == "strong":
        # Flask-Login drops a session that a remember cookie made, also in an app without us.
        assert browser.get("/configure/sign-in", base_url=url, headers=OWN).status_code == 401
        return
    linked, _ = run(browser, configure_sandbox, url, "/configure/sign-in")
    assert (linked.status_code, linked.location) == (303, "/settings?configure=connected")
