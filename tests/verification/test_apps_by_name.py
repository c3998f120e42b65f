"""`verify --app module:name` and `flask configure verify`: how an app is found, and what is said where it can't be."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configure_auth.sandbox import Sandbox
from tests.public.running import environment, here, python

APP_URL = "http://localhost:3000"
LINK, LOGIN = "/configure/callback", "/auth/configure/callback"
KEY = "a key of this shop that seals its tokens"

ON_FLASK = """
from flask import Flask
from configure_auth.flask import ConfigureAuth

configure_auth = ConfigureAuth(user_id=lambda: None)


def create_app():
    app = Flask(__name__)
    app.secret_key = "a session key of the shop, long enough"
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link())
    app.register_blueprint(configure_auth.login(on_login=lambda identity, grant: "1"))
    return app
"""
ON_STARLETTE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from configure_auth.starlette import ConfigureAuth

configure_auth = ConfigureAuth(user_id=lambda request: None)


def create_app():
    return Starlette(
        routes=[configure_auth.account_link(), configure_auth.login(on_login=lambda request, identity, grant: "1")],
        middleware=[Middleware(SessionMiddleware, secret_key="a session key of the shop, long enough")],
    )
"""
APPS = {"flask": ON_FLASK, "starlette": ON_STARLETTE}
LOGINS = {
    "flask": '    app.register_blueprint(configure_auth.login(on_login=lambda identity, grant: "1"))\n',
    "starlette": ', configure_auth.login(on_login=lambda request, identity, grant: "1")',
}


@dataclass
class Shop:
    """A folder with an app in it, and the environment that it is started in."""

    folder: Path
    variables: dict[str, str]
    is_program: bool = False
    """Whether commands start in a process of their own."""

    def write(self, text: str, name: str = "shop.py") -> None:
        (self.folder / name).write_text(text)

    def verify(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the checks by their names."""
        return self._told("configure_auth", "verify", *arguments)

    def flask(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        return self._told("flask", "--app", "shop", "configure", "verify", *arguments)

    def ended(self, *command: str) -> subprocess.CompletedProcess[str]:
        variables = environment(**self.variables)
        if self.is_program:
            return python("-m", *command, cwd=self.folder, env=variables)
        return here(*command, cwd=self.folder, env=variables)

    def _told(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        ended = self.ended(*arguments, "--offline", "--json")
        assert "Traceback" not in ended.stderr, ended.stderr
        assert KEY not in ended.stdout + ended.stderr
        told = json.loads(ended.stdout)
        assert len({check["name"] for check in told["checks"]}) == len(told["checks"])
        return ended.returncode, {check["name"]: check for check in told["checks"]}


@pytest.fixture
def shop(configure_sandbox: Sandbox, tmp_path: Path) -> Shop:
    configure_sandbox.register_redirect_uri(APP_URL + LOGIN)
    configure_sandbox.register_return_to(APP_URL + LINK)
    return Shop(tmp_path, {**configure_sandbox.environment(APP_URL), "CONFIGURE_TOKEN_KEYS": KEY})


def ends(checks: dict[str, Any]) -> dict[str, str]:
    good = ("passed", "skipped")
    return {
        name: one["end"] for name, one in checks.items() if one["end"] not in good and not name.endswith("versions")
    }


@pytest.mark.parametrize("framework", APPS)
@pytest.mark.parametrize("name", ["shop:app", "shop:create_app", "shop:configure_auth"])
def test_an_app_is_found_by_its_name(shop: Shop, framework: str, name: str) -> None:
    shop.write(f"{APPS[framework]}\n\napp = create_app()\n")
    shop.is_program = name == "shop:app"

    code, checks = shop.verify("--app", name)

    assert (code, ends(checks)) == (0, {})
    assert checks["app"]["found"] == "has configure, configure_login"
    assert checks["callback"]["found"] == APP_URL + LOGIN
    assert checks["return_to"]["found"] == APP_URL + LINK
    assert checks["store"]["end"] == (
        "skipped" if name == "shop:configure_auth" and framework == "starlette" else "passed"
    )


@pytest.mark.parametrize("framework", APPS)
def test_the_app_says_where_its_routes_lie(shop: Shop, framework: str) -> None:
    shop.write(APPS[framework].replace("account_link()", 'account_link(path="/settings/configure")'))

    code, checks = shop.verify("--app", "shop:create_app")

    assert (code, ends(checks)) == (1, {"return_to": "failed"})
    assert f"{APP_URL}/settings/configure/callback isn't registered" in checks["return_to"]["found"]


@pytest.mark.parametrize("framework", APPS)
def test_what_an_app_has_not_is_skipped(shop: Shop, framework: str) -> None:
    text = APPS[framework].replace(LOGINS[framework], "")
    assert text != APPS[framework]
    shop.write(text)

    code, checks = shop.verify("--app", "shop:create_app")

    assert (code, ends(checks)) == (0, {})
    assert checks["callback"]["found"] == "there is no login(...)"
    assert checks["return_to"]["end"] == "passed"


def test_flask_knows_the_app_itself(shop: Shop) -> None:
    shop.write(ON_FLASK)

    code, checks = shop.flask()

    assert (code, ends(checks)) == (0, {})
    assert checks["session_cookie"]["end"] == "passed"


def test_flask_says_which_setting_keeps_the_app_from_being_made(shop: Shop) -> None:
    shop.write(ON_FLASK)
    shop.variables["CONFIGURE_API_KEY"] = "pk_of_the_wrong_kind"

    code, checks = shop.flask()

    assert (code, ends(checks)) == (1, {"CONFIGURE_API_KEY": "failed"})
    assert checks["app"]["found"] == "it can't be loaded until that is fixed"


@pytest.mark.parametrize("framework", APPS)
def test_a_setting_that_keeps_an_app_from_being_made_is_named_once(shop: Shop, framework: str) -> None:
    shop.write(APPS[framework])
    shop.variables["CONFIGURE_OAUTH_CLIENT_SECRET"] = "oc_the_id_instead"

    code, checks = shop.verify("--app", "shop:create_app")

    assert (code, ends(checks)) == (1, {"CONFIGURE_OAUTH_CLIENT_SECRET": "failed"})
    assert "CONFIGURE_OAUTH_CLIENT_ID" in checks["CONFIGURE_OAUTH_CLIENT_SECRET"]["found"]


@pytest.mark.parametrize(
    ("text", "name", "remedy"),
    [
        (ON_FLASK, "stop:app", "there is no module stop"),
        (ON_FLASK, "shop:application", "module shop has no attribute application"),
        (ON_FLASK, "shop", "module:attribute"),
        ("import nowhere\n", "shop:app", "nowhere"),
        (
            "raise RuntimeError('the database is asleep')\n",
            "shop:app",
            "shop.py:1: RuntimeError (python -c 'import shop'",
        ),
        (
            "def create_app():\n    raise RuntimeError('no database')\n",
            "shop:create_app",
            "shop.py:2: RuntimeError (python -c 'import shop; shop.create_app()' shows the whole error)",
        ),
        ("def create_app(name):\n    return name\n", "shop:create_app", "is a function that needs arguments"),
        ("app = 7\n", "shop:app", "shop:app has no ConfigureAuth"),
    ],
)
def test_an_app_that_cant_be_had_is_one_finding_and_configure_is_asked_all_the_same(
    shop: Shop, text: str, name: str, remedy: str
) -> None:
    shop.write(text)

    code, checks = shop.verify("--app", name)

    assert (code, ends(checks)) == (1, {"app": "failed"})
    assert remedy in checks["app"]["remedy"]
    assert checks["api_key"]["end"] == "passed"


ANOTHER = "hunter2\x1b[2J\u202e"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("RuntimeError({0!r})", "RuntimeError"),
        ("OSError(5, {0!r}, {0!r})", "OSError"),
        ("ImportError({0!r})", "ImportError"),
        ("ImportError({0!r}, name={0!r})", "ImportError"),
        ("SyntaxError({0!r})", "SyntaxError"),
        ("KeyError({0!r})", "KeyError"),
        ("type({0!r}, (Exception,), {{}})()", "hunter2 [2J "),
        ("SystemExit({0!r})", "SystemExit"),
    ],
)
@pytest.mark.parametrize("by", ["name", "flask"])
def test_of_an_apps_own_error_only_kind_and_place_are_told(shop: Shop, error: str, told: str, by: str) -> None:
    shop.write(f"{ON_FLASK}\n\ndef create_app():\n    raise {error.format(ANOTHER)}\n")

    code, checks = shop.verify("--app", "shop:create_app") if by == "name" else shop.flask()

    assert (code, ends(checks)) == (1, {"app": "failed"})
    place = f"{shop.folder}/shop.py:{len(ON_FLASK.splitlines()) + 4}"
    assert f" failed at {place}: {told} (" in checks["app"]["remedy"]
    assert ("hunter2" in str(checks)) == ("hunter2" in told)
    assert all(char.isprintable() for char in checks["app"]["remedy"])


def test_an_error_of_ours_is_told_in_its_words(shop: Shop) -> None:
    shop.write(ON_FLASK.replace("account_link()", "account_link(path='connect')"))

    for code, checks in (shop.verify("--app", "shop:create_app"), shop.flask()):
        assert (code, ends(checks)) == (1, {"app": "failed"})
        assert "path must begin with a slash" in checks["app"]["remedy"]
        assert "shows the whole error" not in checks["app"]["remedy"]


NOISY = """
import atexit, os, subprocess, sys

def noise(where):
    print(f"{where} prints")
    print(f"{where} prints", file=sys.__stdout__)
    os.write(1, f"{where} writes\\n".encode())
    subprocess.run([sys.executable, "-c", f"print('a child of {where} prints')"], check=True)

noise("the import")
atexit.register(noise, "the end")
"""


@pytest.mark.parametrize("framework", APPS)
def test_what_an_app_prints_gets_into_no_json(shop: Shop, framework: str) -> None:
    noisy = {
        "flask": '    app.add_url_rule("/", view_func=lambda: noise("a page") or "")\n    return app',
        "starlette": "    return _Noisy(Starlette(",
    }
    text = APPS[framework].replace("    return " + ("app" if framework == "flask" else "Starlette("), noisy[framework])
    if framework == "starlette":
        text = text.removesuffix("    )\n") + "    ))\n"
        text += """

class _Noisy:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        noise("a page")
        await self.app(scope, receive, send)
"""
    shop.write(NOISY + text)
    shop.is_program = True

    code, checks = shop.verify("--app", "shop:create_app")
    assert (code, ends(checks)) == (0, {})
    if framework == "flask":
        code, checks = shop.flask()
        assert (code, ends(checks)) == (0, {})


def test_what_an_app_prints_goes_to_standard_error(shop: Shop) -> None:
    shop.write(f"{NOISY}{ON_FLASK}")

    arguments = ("verify", "--offline", "--app", "shop:create_app")
    ended = python("-m", "configure_auth", *arguments, cwd=shop.folder, env=environment(**shop.variables))

    assert ended.returncode == 0
    for word in ("the import prints", "the import writes", "a child of the import prints", "the end prints"):
        assert word in ended.stderr
        assert word not in ended.stdout
    assert ended.stdout.splitlines()[-1].endswith("skipped")


def test_an_app_that_cannot_be_described_is_a_finding(shop: Shop) -> None:
    text = ON_FLASK.replace("    return app", "    app.extensions['sqlalchemy'] = Broken()\n    return app")
    shop.write(
        f"{text}\n\nclass Broken:\n    metadatas = {{None: 1}}\n\n    @property\n    def engines(self):\n"
        "        raise RuntimeError('hunter2')\n"
    )

    for code, checks in (shop.verify("--app", "shop:create_app"), shop.flask()):
        assert (code, ends(checks)) == (1, {"app": "failed"})
        assert f"RuntimeError at {shop.folder}/shop.py:" in checks["app"]["found"]
        assert "hunter2" not in str(checks)
        assert checks["store"]["found"] == "needs: the app"
        assert checks["api_key"]["end"] == "passed"


def test_what_is_missing_for_an_import_is_told(shop: Shop) -> None:
    shop.write(f"{ON_FLASK}\nimport nowhere_at_all\n")

    for code, checks in (shop.verify("--app", "shop:create_app"), shop.flask()):
        assert (code, ends(checks)) == (1, {"app": "failed"})
        assert "ModuleNotFoundError: nowhere_at_all (" in checks["app"]["remedy"]


@pytest.mark.parametrize("installed", ["", "configure_auth = ConfigureAuth(user_id=lambda: None)"])
def test_flask_finds_no_configure_in_an_app(shop: Shop, installed: str) -> None:
    shop.write(
        f"from flask import Flask\nfrom configure_auth.flask import ConfigureAuth\napp = Flask('shop')\n{installed}"
    )

    code, checks = shop.flask()

    assert (code, ends(checks)) == (1, {"app": "failed"})
    assert checks["app"]["remedy"].startswith("this app has no ConfigureAuth: install one and register its routes")
    assert checks["api_key"]["end"] == "passed"


def test_two_in_one_app_are_told_apart(shop: Shop) -> None:
    second = ON_FLASK.replace(
        "    return app",
        '    other.init_app(app)\n    app.register_blueprint(other.account_link(path="/other"))\n    return app',
    )
    shop.write(f'{second}\n\nother = ConfigureAuth(user_id=lambda: None, name="other", store="memory://")\n')

    code, checks = shop.verify("--app", "shop:create_app")

    assert code == 1
    assert checks["1.return_to"]["end"] == "passed"
    assert ends(checks) == {"2.return_to": "failed"}


def test_the_users_table_is_named_by_an_option(shop: Shop) -> None:
    shop.write(f"{ON_STARLETTE}\napp = create_app()\n")
    shop.write(
        "from sqlalchemy import Column, Integer, MetaData, Table\n"
        'people = Table("folk", MetaData(), Column("id", Integer, primary_key=True))\n',
        "models.py",
    )

    code, checks = shop.verify("--app", "shop:app", "--users", "models:people")

    assert (code, ends(checks)) == (0, {"user_ids": "warned"})
    assert "folk" in checks["user_ids"]["found"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--users", "models:people"), "--users needs --app"),
        (("--app", "shop:app", "--link-path", "/connect"), "remove --link-path and --login-path"),
    ],
)
def test_options_that_contradict_each_other_are_refused(shop: Shop, arguments: tuple[str, ...], sentence: str) -> None:
    ended = shop.ended("configure_auth", "verify", *arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr


@pytest.mark.parametrize("command", ["by its name", "by flask"])
def test_an_app_that_registers_at_its_boot_registers_nothing_while_it_is_looked_at(
    shop: Shop, configure_sandbox: Sandbox, command: str
) -> None:
    boot = (
        "\n\nfrom configure_auth import ensure_callback\n\napp = create_app()\nprint(ensure_callback(configure_auth))\n"
    )
    shop.write(ON_FLASK + boot)
    shop.variables["CONFIGURE_APP_URL"] = "http://localhost:3999"
    before = configure_sandbox.redirect_uris, configure_sandbox.return_destinations

    code, checks = shop.flask() if command == "by flask" else shop.verify("--app", "shop:app")

    assert (code, ends(checks)) == (1, {"callback": "failed", "return_to": "failed"})
    assert (configure_sandbox.redirect_uris, configure_sandbox.return_destinations) == before


@pytest.mark.parametrize(
    ("users", "sentence"),
    [
        ("shop:Nobody", "--users: module shop has no attribute Nobody"),
        ("Nobody", "--users: 'Nobody' "),
    ],
)
def test_users_that_are_nowhere_are_a_wrong_option(shop: Shop, users: str, sentence: str) -> None:
    shop.write(ON_STARLETTE)

    ended = shop.ended("configure_auth", "verify", "--offline", "--app", "shop:create_app", "--users", users)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Error: {sentence}")


def test_an_app_that_lacks_its_keys_is_a_failure(shop: Shop) -> None:
    shop.write(ON_STARLETTE)
    del shop.variables["CONFIGURE_TOKEN_KEYS"]

    code, checks = shop.verify("--app", "shop:create_app")

    assert (code, ends(checks)) == (1, {"CONFIGURE_TOKEN_KEYS": "warned", "app": "failed"})
    assert "CONFIGURE_TOKEN_KEYS" in checks["app"]["remedy"]


@pytest.mark.parametrize("framework", APPS)
def test_a_missing_setting_that_keeps_an_app_from_being_made_is_named_once(shop: Shop, framework: str) -> None:
    shop.write(APPS[framework])
    del shop.variables["CONFIGURE_AGENT"]

    code, checks = shop.verify("--app", "shop:create_app")

    assert (code, ends(checks)) == (1, {"CONFIGURE_AGENT": "failed"})
    assert checks["app"]["found"] == "its routes respond 503 not_configured until that is fixed"
    assert {checks[name]["found"] for name in ("store", "login_guard")} == {"needs: the app"}


@pytest.mark.parametrize("framework", APPS)
def test_a_login_without_an_oauth_client_is_a_failure(shop: Shop, framework: str) -> None:
    shop.write(APPS[framework])
    del shop.variables["CONFIGURE_OAUTH_CLIENT_ID"]
    del shop.variables["CONFIGURE_OAUTH_CLIENT_SECRET"]

    code, checks = shop.verify("--app", "shop:create_app")

    assert (code, ends(checks)["app"]) == (1, "failed")
    assert "CONFIGURE_OAUTH_CLIENT_ID" in checks["app"]["remedy"]
    assert checks["login_guard"]["found"] == "needs: the app"


def test_a_prefix_that_the_url_lacks_is_said(shop: Shop) -> None:
    mounted = """
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = create_app()
app.wsgi_app = DispatcherMiddleware(NotFound(), {"/shop": app.wsgi_app})
"""
    shop.write(ON_FLASK + mounted)

    code, checks = shop.verify("--app", "shop:app")

    assert (code, ends(checks)) == (1, {"login_guard": "failed"})
    assert "the app has no route /auth/configure/sign-in" in checks["login_guard"]["found"]
    assert "CONFIGURE_APP_URL" in checks["login_guard"]["remedy"]
