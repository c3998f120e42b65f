"""The documentation's Python runs: each block in an app that has what it takes for granted, against the sandbox."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import Depends, FastAPI
from flask import Flask, redirect, render_template_string, request
from flask.testing import FlaskClient
from flask_login import LoginManager, current_user, login_user
from jinja2 import DictLoader, Environment
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.testclient import TestClient

from configure_auth import BearerUser, MessageAgent, Settings
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth as StarletteConfigureAuth
from configure_auth.ui.pages import CONTENT_SECURITY_POLICY
from example_apps.flask_app.models import User, db

from ..api.conftest import Server
from ..bearer.issuer import Issuer
from ..public.running import environment
from .conftest import APP_URL
from .document import DOCUMENTATION, PAGES, README, ROOT, block, blocks, rows

Namespace = dict[str, Any]

PHONE = "+15550100001"
OURS = {"Sec-Fetch-Site": "same-origin"}
FROM_CONFIGURE = {"Sec-Fetch-Site": "cross-site"}
RUN = (
    "def add_link",
    "def greeting",
    "def add_login",
    "configure_auth.install",
    "def answer(",
    "MessageAgent(display_name",
    "MessageAgent(message_body",
    "def profile_of",
    "BearerUser.supabase(",
    "configure_auth.agent_claims()",
    "register_oauth",
    "from configure_ai import",
    "# once the blueprints are registered",
    "await ensure_callback(",
    "def members_only",
    "account_linked",
    "def everybody_signs_in",
    "def delete_account",
    "configure_sandbox",
)
"""The blocks that a test of this module runs, by words of theirs; the one of `configure_ai` in tests/interop."""


def run(marker: str, namespace: Namespace) -> Namespace:
    exec(compile(block(marker).text, f"documentation: {marker}", "exec", dont_inherit=True), namespace)
    return namespace


def test_every_python_block_of_the_readme_runs_in_a_test() -> None:
    python = [one.text for one in blocks(README) if one.language == "python"]

    elsewhere = {one.text for one in blocks(PAGES["docs/fastapi.md"])}  # run by `test_fastapi_page`
    assert {*python} - elsewhere <= {block(marker).text for marker in RUN}


# ── Flask ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def own(settings: dict[str, str], tmp_path: Path) -> Flask:
    """A Flask app as it was before: its own users, and Flask-Login."""
    own = Flask("own", instance_path=str(tmp_path))
    own.config.update(SECRET_KEY="a key of the app to sign with", SQLALCHEMY_DATABASE_URI="sqlite:///app.db")
    db.init_app(own)
    LoginManager(own).user_loader(User.by_id)

    @own.post("/in/<int:user_id>")
    def sign_in(user_id: int) -> str:
        login_user(db.session.get(User, user_id))
        return "in"

    @own.get("/who")
    def who() -> str:
        return str(current_user.get_id())

    @own.get("/")
    @own.get("/settings")
    def page() -> str:
        (installed,) = own.extensions["configure_auth"].values()
        return render_template_string(block("configure_button(").text, account=installed.owner.account())

    with own.app_context():
        db.create_all()
        ada = User(username="ada")
        ada.set_password("analytical")
        db.session.add(ada)
        db.session.commit()
    return own


@pytest.fixture
def namespace(own: Flask) -> Namespace:
    """What the documentation's blocks take for granted, and nothing of ours."""
    return {"app": own, "current_user": current_user, "login_user": login_user, "User": User, "db": db}


@pytest.fixture
def flask_app(own: Flask, namespace: Namespace) -> Flask:
    """The same with the link's block and the login's."""
    run("def add_link", namespace)
    run("def add_login", namespace)
    namespace["add_link"](own)
    namespace["add_login"](own)
    return own


def sign_in_locally(browser: FlaskClient) -> None:
    assert browser.post("/in/1").text == "in"


def there_and_back(browser: FlaskClient, sandbox: Sandbox, start: str, **choices: Any) -> str | None:
    """Press the button, do what Configure asks; where the callback leads."""
    started = browser.get(start, headers=OURS)
    assert started.status_code == 303, started.text
    answer = browser.get(sandbox.sign_in(started.location, PHONE, **choices), headers=FROM_CONFIGURE)
    return answer.location or answer.text


@contextmanager
def configure_sandbox_down(sandbox: Sandbox) -> Iterator[None]:
    """Every read of a profile answers 503 within the block."""
    sandbox.fault("/v1/profile", status=503)
    yield
    sandbox.clear_faults()


def test_the_link_s_lines_connect_an_account(
    flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox
) -> None:
    run("def greeting", namespace)
    flask_app.add_url_rule("/greeting", view_func=namespace["greeting"])
    browser = flask_app.test_client()
    sign_in_locally(browser)
    assert browser.get("/greeting").text == "Hello"
    assert 'href="/configure/sign-in"' in browser.get("/settings").text
    assert "Disconnect" not in browser.get("/settings").text

    assert (
        there_and_back(browser, configure_sandbox, "/configure/sign-in", name="Ada") == "/settings?configure=connected"
    )

    with configure_sandbox_down(configure_sandbox):
        assert browser.get("/greeting").text == "Hello"
    assert browser.get("/greeting").text == "Hello Ada"
    with configure_sandbox_down(configure_sandbox):
        assert browser.get("/greeting").text == "Hello Ada"
    page = browser.get("/settings").text
    assert ("Disconnect" in page, "/configure/sign-in" in page) == (True, False)
    assert browser.post("/configure/disconnect", headers=OURS).location == "/settings?configure=disconnected"
    assert browser.get("/greeting").text == "Hello"


def test_the_greeting_does_without_a_name(flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox) -> None:
    run("def greeting", namespace)
    flask_app.add_url_rule("/greeting", view_func=namespace["greeting"])
    browser = flask_app.test_client()
    sign_in_locally(browser)
    there_and_back(browser, configure_sandbox, "/configure/sign-in")

    assert browser.get("/greeting").text == "Hello"


def test_the_link_s_lines_work_without_the_login_s(
    own: Flask, namespace: Namespace, configure_sandbox: Sandbox
) -> None:
    text = block("def add_link").text.replace(", can_disconnect=can_disconnect", "")
    exec(text, namespace)
    namespace["add_link"](own)
    browser = own.test_client()
    sign_in_locally(browser)

    assert there_and_back(browser, configure_sandbox, "/configure/sign-in") == "/settings?configure=connected"
    assert browser.post("/configure/disconnect", headers=OURS).location == "/settings?configure=disconnected"


def test_the_login_s_lines_sign_in_a_person_who_never_had_a_password(
    flask_app: Flask, configure_sandbox: Sandbox
) -> None:
    browser = flask_app.test_client()
    assert 'href="/auth/configure/sign-in"' in browser.get("/").text

    assert there_and_back(browser, configure_sandbox, "/auth/configure/sign-in") == "/?configure=signed-in"

    assert browser.get("/who").text == "2"
    refused = browser.post("/configure/disconnect", headers=OURS)
    assert (refused.status_code, "only way to sign in" in refused.text) == (409, True)


def test_who_linked_first_signs_in_to_the_same_account(flask_app: Flask, configure_sandbox: Sandbox) -> None:
    browser = flask_app.test_client()
    sign_in_locally(browser)
    there_and_back(browser, configure_sandbox, "/configure/sign-in")

    stranger = flask_app.test_client()
    there_and_back(stranger, configure_sandbox, "/auth/configure/sign-in")

    assert stranger.get("/who").text == "1"


def test_after_a_disconnect_the_profile_is_nobody_s(flask_app: Flask, configure_sandbox: Sandbox) -> None:
    browser = flask_app.test_client()
    sign_in_locally(browser)
    there_and_back(browser, configure_sandbox, "/configure/sign-in")
    browser.post("/configure/disconnect", headers=OURS)

    stranger = flask_app.test_client()
    there_and_back(stranger, configure_sandbox, "/auth/configure/sign-in")

    assert stranger.get("/who").text == "2"


def test_a_cancelled_sign_in_comes_back_as_the_readme_says(flask_app: Flask, configure_sandbox: Sandbox) -> None:
    browser = flask_app.test_client()

    assert there_and_back(browser, configure_sandbox, "/auth/configure/sign-in", cancel=True) == (
        "/?configure=cancelled"
    )


def test_the_button_needs_no_exception_in_a_policy(flask_app: Flask) -> None:
    browser = flask_app.test_client()

    page = browser.get("/").text
    assert all(word not in page for word in ("<script", "<style", " style=", "onclick"))
    assert re.findall(r'<link rel="stylesheet" href="(/[^/].*?)[?]', page) == ["/auth/configure/button.css"]
    ours = browser.get("/auth/configure/sign-in", headers={"Sec-Fetch-Site": "none"})
    assert ours.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_the_hooks_turn_strangers_away_and_show_the_app_s_own_page(
    own: Flask, namespace: Namespace, configure_sandbox: Sandbox
) -> None:
    own.jinja_loader = DictLoader({"sign_in_failed.html": "sorry: {{ code }}"})
    run("def add_link", namespace)
    namespace |= {"can_disconnect": lambda user_id: True, "render_template": render_template_string}
    namespace["add_link"](own)
    namespace["render_template"] = lambda name, **values: own.jinja_env.get_template(name).render(**values)
    run("def members_only", namespace)
    browser = own.test_client()

    assert there_and_back(browser, configure_sandbox, "/auth/configure/sign-in") == "sorry: login_refused"
    assert there_and_back(browser, configure_sandbox, "/auth/configure/sign-in", cancel=True) == "/?configure=cancelled"
    sign_in_locally(browser)
    there_and_back(browser, configure_sandbox, "/configure/sign-in")
    member = own.test_client()
    assert there_and_back(member, configure_sandbox, "/auth/configure/sign-in") == "/?configure=signed-in"
    assert member.get("/who").text == "1"


def test_the_events_arrive(
    flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    run("account_linked", namespace)
    flask_app.logger.setLevel("INFO")
    browser = flask_app.test_client()
    sign_in_locally(browser)

    there_and_back(browser, configure_sandbox, "/configure/sign-in")

    assert "user 1 connected Configure" in caplog.messages


def test_a_guard_lets_the_login_through(flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox) -> None:
    run("def everybody_signs_in", namespace | {"request": request, "redirect": redirect})
    assert {
        rule.endpoint for rule in flask_app.url_map.iter_rules() if rule.endpoint.startswith("configure_login")
    } == {
        "configure_login.sign_in",
        "configure_login.callback",
        "configure_login.button_style",
        "configure_login.popup",
        "configure_login.token",
    }
    browser = flask_app.test_client()
    assert browser.get("/who").location == "/sign-in"

    assert there_and_back(browser, configure_sandbox, "/auth/configure/sign-in") == "/?configure=signed-in"

    assert browser.get("/who").text == "2"


def test_a_deleted_person_leaves_nothing_behind(
    flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox
) -> None:
    browser = flask_app.test_client()
    sign_in_locally(browser)
    there_and_back(browser, configure_sandbox, "/configure/sign-in")
    run("def delete_account", namespace)
    configure_auth = namespace["configure_auth"]

    with flask_app.app_context():
        assert configure_auth.export_user(1).accounts
        namespace["delete_account"](db.session.get(User, 1))
        assert not any(asdict(configure_auth.export_user(1)).values())
        assert db.session.get(User, 1) is None


@pytest.fixture
def sent(namespace: Namespace) -> list[tuple[str, str]]:
    """What was written into threads."""
    messages: list[tuple[str, str]] = []
    namespace["send"] = lambda sender, text: messages.append((sender, text))
    return messages


def report(app: Flask, sandbox: Sandbox) -> int:
    """Bring the app, which listens nowhere, what Configure had for it."""
    completion = sandbox.completions[-1]
    return app.test_client().post(urlsplit(completion.url).path, json=dict(completion.body)).status_code


def test_a_message_agent_s_lines_connect_a_sender(
    flask_app: Flask, namespace: Namespace, sent: list[tuple[str, str]], configure_sandbox: Sandbox
) -> None:
    asked = run("def answer(", namespace)["answer"]
    numbers = itertools.count()

    def answer(sender: str, phone: str, text: str) -> str:
        said: str = asked(sender, phone, f"message-{next(numbers)}", text)
        return said

    with flask_app.app_context():
        assert answer("ada", PHONE, "hello") == "Hello there"
        assert asked("ada", PHONE, "message-0", "hello") is None
        link = answer("ada", PHONE, "connect").removeprefix("This link is for you alone: ")

    configure_sandbox.sign_in(link, PHONE, name="Ada")
    assert report(flask_app, configure_sandbox) == 200

    assert sent == [("ada", "You're connected.")]
    with flask_app.app_context():
        assert answer("ada", PHONE, "hello") == "Hello Ada"
        assert answer("bob", "+15550100002", "hello") == "Hello there"
        with configure_sandbox_down(configure_sandbox):
            assert answer("ada", PHONE, "hello") == "Hello there"
        assert answer("ada", PHONE, "disconnect").startswith("Done. I keep what you told me")
        assert answer("ada", PHONE, "hello") == "Hello there"
        assert answer("ada", PHONE, "forget me") == "Done. I have forgotten everything."
        link = answer("bob", "+15550100002", "connect").removeprefix("This link is for you alone: ")

    configure_sandbox.sign_in(link, PHONE)
    assert report(flask_app, configure_sandbox) == 200

    with flask_app.app_context():
        why = "Your link was followed with another phone, so I dropped it. "
        assert answer("bob", "+15550100002", "hello") == f"{why}Hello there"
        assert answer("bob", "+15550100002", "hello") == "Hello there"


def test_a_bot_s_process_shares_them(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("CONFIGURE_STORE", f"sqlite:///{tmp_path / 'shared.db'}")
    flask_app: Flask = request.getfixturevalue("flask_app")
    namespace: Namespace = request.getfixturevalue("namespace")
    sandbox: Sandbox = request.getfixturevalue("configure_sandbox")
    sent: list[tuple[str, str]] = request.getfixturevalue("sent")
    run("def answer(", namespace)
    namespace["inbox"] = lambda: [("ada", PHONE, "hello")]

    run("MessageAgent(display_name", namespace)
    sandbox.sign_in(sent[0][1], PHONE)
    assert report(flask_app, sandbox) == 200
    run("MessageAgent(display_name", namespace)

    assert sent[1:] == [("ada", "You're connected."), ("ada", "I know you.")]


def test_the_simplest_agent_needs_no_app(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configure_sandbox: Sandbox
) -> None:
    monkeypatch.setenv("CONFIGURE_STORE", f"sqlite:///{tmp_path / 'agent.db'}")
    monkeypatch.delenv("CONFIGURE_APP_URL", raising=False)
    sent: list[tuple[str, str]] = []
    inbox = [("ada", PHONE, "hello")]
    namespace = {"inbox": lambda: inbox, "send": lambda *message: sent.append(message), "MessageAgent": MessageAgent}

    run("MessageAgent(message_body", namespace)
    configure_sandbox.sign_in(sent[0][1], PHONE)
    run("MessageAgent(message_body", namespace)

    assert sent[1] == ("ada", "I know you.")


def test_a_guard_lets_configure_s_report_through(flask_app: Flask, namespace: Namespace) -> None:
    flask_app.register_blueprint(namespace["configure_auth"].messages())
    run("def everybody_signs_in", namespace | {"request": request, "redirect": redirect})
    browser = flask_app.test_client()

    assert browser.post("/configure/messages/complete", json={}).status_code == 400
    assert browser.get("/who").location == "/sign-in"


def test_the_bot_s_lines_are_those_of_the_example() -> None:
    example = (ROOT / "example_apps/cli_bot/bot.py").read_text(encoding="utf-8")

    # The example imports more than the page does, in one line.
    _, begin, rest = block("def profile_of").text.partition("def profile_of")
    assert f"\n\n{(begin + rest).rstrip()}\n\n" in example


@pytest.mark.parametrize("reading", ["agent", "user"])
def test_a_user_without_a_browser_takes_the_profile_along(
    flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox, reading: str
) -> None:
    element = block("configure_auth_element(").text
    flask_app.add_url_rule("/upgrade", view_func=lambda: render_template_string(element))
    profile_of = run("def profile_of", namespace)["profile_of"]
    with flask_app.app_context():
        profile_of(1).remember("Prefers window seats")
    browser = flask_app.test_client()
    assert "configure-auth" not in browser.get("/upgrade").text
    sign_in_locally(browser)
    shown = dict(re.findall(r'([\w-]+)="([^"]*)"', browser.get("/upgrade").text))
    assert (shown["data-configure-session"], shown["data-configure-next"]) == ("/configure/session", "/settings")

    user_token = verify_phone(configure_sandbox, shown["api-key"], shown["external-id"])
    given = configure_sandbox.issue_agent_token(configure_sandbox.people[0]) if reading == "agent" else user_token
    answer = browser.post(shown["data-configure-session"], json={"token": given}, headers=OURS)
    if reading == "agent":
        assert answer.json == {"connected": True, "next": "/settings?configure=connected"}
    else:
        assert (answer.status_code, "not_an_agent_token" in answer.text) == (400, True)
        assert there_and_back(browser, configure_sandbox, shown["href"]) == "/settings?configure=connected"

    with flask_app.app_context():
        assert [hit.text for hit in profile_of(1).search("*").results] == ["Prefers window seats"]


def verify_phone(sandbox: Sandbox, key: str, external_id: str) -> str:
    """What the element does; the raw token that it gets."""
    body = {"phone": PHONE, "code": "000000", "external_id": external_id}
    url = f"{sandbox.api_url}/v1/auth/otp/verify"
    answer = httpx2.post(url, json=body, headers={"X-API-Key": key}, trust_env=False).raise_for_status()
    token: str = answer.json()["token"]
    return token


def test_the_policy_s_lines_are_those_of_the_settings() -> None:
    plain = Settings()

    lines = re.findall(r"^- `([a-z]+-src) 'self' (\S+)`", DOCUMENTATION, re.MULTILINE)
    assert lines == [("script-src", plain.script_url), ("connect-src", plain.base_url)]


def test_configure_stands_in_an_authlib_registry(own: Flask, namespace: Namespace, configure_sandbox: Sandbox) -> None:
    configure_sandbox.register_redirect_uri("http://localhost:3000/auth/configure/callback")
    run("register_oauth", namespace)
    browser = own.test_client()

    start = browser.get("/sign-in/configure", base_url="http://localhost:3000")
    callback = configure_sandbox.sign_in(start.location, PHONE, name="Ada")

    assert browser.get(callback).text == "Hello Ada"

    start = browser.get("/sign-in/configure", base_url="http://localhost:3000")
    cancelled = browser.get(configure_sandbox.sign_in(start.location, PHONE, cancel=True))
    assert (cancelled.status_code, cancelled.text) == (200, "You cancelled.")
    start = browser.get("/sign-in/configure", base_url="http://localhost:3000")
    configure_sandbox.fault("/oauth/token", status=503, times=3)
    assert browser.get(configure_sandbox.sign_in(start.location, PHONE)).status_code == 502


def test_an_app_registers_its_callbacks_as_it_boots(
    flask_app: Flask, namespace: Namespace, configure_sandbox: Sandbox
) -> None:
    configure_sandbox.reset()
    run("# once the blueprints are registered", namespace)

    assert configure_sandbox.return_destinations == (f"{APP_URL}/configure/callback",)
    assert configure_sandbox.redirect_uris == (f"{APP_URL}/auth/configure/callback",)


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
def test_and_on_an_event_loop(
    settings: dict[str, str], tmp_path: Path, framework: type[Starlette], configure_sandbox: Sandbox
) -> None:
    configure_sandbox.reset()
    configure_auth = StarletteConfigureAuth(
        store=f"sqlite:///{tmp_path}/configure.db", session=False, user_id=lambda request: None
    )
    lifespan = run("await ensure_callback(", {"FastAPI": FastAPI, "configure_auth": configure_auth})["lifespan"]
    with TestClient(framework(routes=[configure_auth.account_link()], lifespan=lifespan)):
        assert configure_sandbox.return_destinations == (f"{APP_URL}/configure/callback",)


@pytest.mark.parametrize("number", [0, 1])
def test_a_deployment_registers_the_callbacks_from_its_settings(
    settings: dict[str, str], tmp_path: Path, configure_sandbox: Sandbox, number: int
) -> None:
    configure_sandbox.reset()
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    (tmp_path / "yourapp.py").write_text(
        "from flask import Flask\nfrom configure_auth.flask import ConfigureAuth\n"
        "app = Flask(__name__)\nconfigure_auth = ConfigureAuth(user_id=lambda: None)\nconfigure_auth.init_app(app)\n"
        "app.register_blueprint(configure_auth.account_link())\n"
    )
    command = block("--app yourapp:app\nflask --app yourapp configure register").code_lines[number].split()
    assert command[0] == "python"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONFIGURE_")}
    ended = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"registered: return_to {APP_URL}/configure/callback" in ended.stdout
    assert len(configure_sandbox.redirect_uris) == 1 - number  # the app has no login


def test_the_command_registers_the_callbacks_and_can_run_again(flask_app: Flask, configure_sandbox: Sandbox) -> None:
    configure_sandbox.reset()
    (command,) = entry_points(group="flask.commands", name="configure")  # by which `flask` finds it
    runner = flask_app.test_cli_runner()
    said = [runner.invoke(command.load(), ["register-callback"]).output for _ in range(2)]

    link, login = f"{APP_URL}/configure/callback", f"{APP_URL}/auth/configure/callback"
    assert said == [
        f"registered: return_to {link}\nregistered: redirect_uri {login}\n",
        f"already registered: return_to {link}\nalready registered: redirect_uri {login}\n",
    ]
    assert configure_sandbox.return_destinations == (link,)
    assert configure_sandbox.redirect_uris == (login,)


def test_the_test_of_your_own_app_passes_as_it_stands(tmp_path: Path) -> None:
    shown = block("configure_sandbox")
    lines = shown.code_lines
    assert len(lines) - 1 <= 10  # the import is the app's own
    (tmp_path / "test_own.py").write_text(shown.text, encoding="utf-8")

    done = subprocess.run(
        # The last one is of the app's SQLAlchemy, on Python 3.13 and newer.
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py", "-W", "error"),
            *("-W", "ignore:unclosed database in <sqlite3.Connection:ResourceWarning"),
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# ── Starlette and FastAPI ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=[Starlette, FastAPI])
def framework(request: pytest.FixtureRequest) -> type[Starlette]:
    chosen: type[Starlette] = request.param
    return chosen


@pytest.fixture
def visitor(
    framework: type[Starlette], settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """An app that has the Starlette block, and for FastAPI the one on dependencies."""
    monkeypatch.chdir(tmp_path)
    people: dict[str, str | None] = {}

    async def make_user(*, name: str | None) -> str:
        people["user-1"] = name
        return "user-1"

    templates = Jinja2Templates(
        env=Environment(loader=DictLoader({"page.html": "{{ configure_button() }}"}), autoescape=True)
    )

    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html")

    async def who(request: Request) -> Response:
        return HTMLResponse(f"{people.get(request.session.get('user_id', ''))}")

    app = framework(middleware=[Middleware(SessionMiddleware, secret_key="a key of the app to sign with")])
    app.router.routes.extend([Route("/", page), Route("/settings", page), Route("/who", who)])
    run("configure_auth.install", {"app": app, "templates": templates, "make_user": make_user})
    with TestClient(app, APP_URL, follow_redirects=False) as visitor:
        yield visitor


def test_the_same_on_starlette_and_fastapi(visitor: TestClient, configure_sandbox: Sandbox) -> None:
    assert 'href="/auth/configure/sign-in"' in visitor.get("/").text
    start = visitor.get("/auth/configure/sign-in", headers=OURS)
    back = visitor.get(configure_sandbox.sign_in(start.headers["location"], PHONE, name="Ada"), headers=FROM_CONFIGURE)
    assert (back.status_code, back.headers["location"]) == (303, "/?configure=signed-in")
    assert visitor.get("/who").text == "Ada"
    assert 'href="/configure/sign-in"' in visitor.get("/settings").text

    linked = visitor.get("/configure/sign-in", headers=OURS)
    back = visitor.get(configure_sandbox.sign_in(linked.headers["location"], PHONE), headers=FROM_CONFIGURE)
    assert urlsplit(back.headers["location"]).path == "/settings"


@pytest.mark.parametrize(("named", "status"), [(True, 200), (False, 400)])
def test_cors_around_a_whole_app_needs_configure_s_origin(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: bool, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"name `{Settings().sign_in_url}` among its" in DOCUMENTATION.replace("\n", " ")
    origin = settings["CONFIGURE_SIGN_IN_URL"]
    allowed = ["https://spa.example", *([origin] if named else [])]
    app = Starlette(
        middleware=[Middleware(CORSMiddleware, allow_origins=allowed, allow_methods=["POST"])],
        routes=[StarletteConfigureAuth(user_id=lambda request: None, session=False).messages()],
    )
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    with TestClient(app, APP_URL) as client:
        asked = client.options("/configure/messages/complete", headers={"Origin": origin, **asking})
        posted = client.post("/configure/messages/complete", headers={"Origin": origin}, json={})

    assert asked.status_code == status
    assert (asked.headers.get("Access-Control-Allow-Origin") == origin) == named
    assert (posted.status_code, posted.headers.get_list("Access-Control-Allow-Origin")) == (400, [origin])


# ── users of another identity system ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Server()
    yield Issuer(server)
    server.close()


def test_users_of_an_issuer_claim_agents(
    settings: dict[str, str], issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    people = {"grace": {"display_name": "Grace", "avatar_url": None, "email": "grace@example.com"}}
    namespace: Namespace = {
        "app": FastAPI(),
        "Annotated": Annotated,
        "Depends": Depends,
        "find_person": lambda request, user_id: people.get(user_id),
    }
    project = f'"{issuer.server.url}"'
    exec(block("BearerUser.supabase(").text.replace('"abcdefghijklmnopqrst"', project), namespace)
    run("configure_auth.agent_claims()", namespace)
    app = namespace["app"]
    app.add_api_route("/register", namespace["register"], methods=["POST"])
    app.add_api_route("/open", namespace["open_session"])

    def bearer(user_id: str) -> dict[str, str]:
        now = int(time.time())
        said = {"iss": f"{issuer.server.url}/auth/v1", "aud": "authenticated", "role": "authenticated", "sub": user_id}
        return {"Authorization": f"Bearer {issuer.ec.token(**said, iat=now, exp=now + 60)}"}

    def claim(user_id: str | None, token: str) -> int:
        headers = {} if user_id is None else bearer(user_id)
        return client.post("/api/v1/agents/claim", json={"claimToken": token}, headers=headers).status_code

    with TestClient(app, APP_URL) as client:
        assert client.get("/me", headers=bearer("ada")).json() == "ada"
        token = client.post("/register?agent_id=scout").json()
        assert client.get("/open?agent_id=scout").json() == "somebody must claim this agent first"

        assert [claim(user, token) for user in (None, "ada", "ada", "grace")] == [401, 200, 200, 409]
        assert (claim("ada", "unknown"), claim("ada", "A" * 43)) == (400, 404)
        assert client.get("/open?agent_id=scout").json() == "ada"
        seen = client.get("/api/v1/users/grace", headers=bearer("ada")).json()
        assert seen == {"display_name": "Grace", "avatar_url": None}


def test_the_ready_settings_are_there(issuer: Issuer) -> None:
    namespace = {"BearerUser": BearerUser, "secret": "s" * 32, "tenant_id": str(uuid.UUID(int=0))}
    shown = [cell.strip("`") for _, cell, *_ in rows("the issuer")]

    for call in shown:
        assert isinstance(eval(call, namespace), BearerUser), call
    ready = {name for name, _ in inspect.getmembers(BearerUser, inspect.ismethod) if not name.startswith("_")}
    assert {found[1] for call in shown if (found := re.match(r"BearerUser\.(\w+)\(", call))} == ready
