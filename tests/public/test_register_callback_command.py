"""`python -m configure_auth register-callback`: from an environment file, and from an app of any framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount

from configure_auth.sandbox import Sandbox

from .running import environment, here, python

URL = "https://app.example.com"
LINK, LOGIN = f"{URL}/configure/callback", f"{URL}/auth/configure/callback"
REGISTERED = [f"registered: return_to {LINK}", f"registered: redirect_uri {LOGIN}"]

FLASK = """
from flask import Flask
from configure_auth.flask import ConfigureAuth

configure_auth = ConfigureAuth(user_id=lambda: None)
app = Flask(__name__, instance_path={folder!r})
configure_auth.init_app(app)
app.register_blueprint(configure_auth.account_link())
app.register_blueprint(configure_auth.login(on_login=lambda identity, grant: "u1"))
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.routing import Host, Mount
from configure_auth.starlette import ConfigureAuth

configure_auth = ConfigureAuth(user_id=lambda request: None)
routes = [configure_auth.account_link(), configure_auth.login(on_login=lambda request, identity, grant: "u1")]
"""
FASTAPI = STARLETTE + "from fastapi import APIRouter, FastAPI\napp = FastAPI()\n"
APPS = {
    "flask": FLASK,
    "starlette": STARLETTE + "app = Starlette(routes=routes)",
    "starlette-mounted": STARLETTE + "app = Starlette(routes=[Mount('/shop', app=Starlette(routes=routes))])",
    "starlette-host": STARLETTE + "app = Starlette(routes=[Host('app.example.com', app=Starlette(routes=routes))])",
    "starlette-wrapped": STARLETTE
    + "from starlette.middleware.gzip import GZipMiddleware\napp = GZipMiddleware(Starlette(routes=routes))",
    "fastapi": FASTAPI + "app.router.routes.extend(routes)",
    "fastapi-mounted": FASTAPI + "app.mount('/shop', Starlette(routes=routes))",
}


def _includes_mounts() -> bool:
    """Whether `include_router` takes a router's mounts too, which older versions of FastAPI leave out."""
    app, bare = FastAPI(), FastAPI()
    app.include_router(APIRouter(routes=[Mount("/shop", app=bare)]))
    return len(app.routes) > len(bare.routes)


if _includes_mounts():
    APPS["fastapi-included"] = FASTAPI + "router = APIRouter(routes=routes)\napp.include_router(router)"


class Shop:
    """A folder with an app, and the command in it. The process itself has no variable of ours."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.settings: dict[str, str] = {
            **sandbox.environment(app_url=URL),
            "CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with",
            "CONFIGURE_STORE": f"sqlite:///{folder}/configure.db",
        }

    def write(self, source: str, name: str = "shop.py") -> None:
        (self.folder / name).write_text(source.replace("{folder!r}", repr(str(self.folder))))

    def env_file(self, **changes: str | None) -> str:
        """An environment file with the settings but for those given."""
        chosen = {name: value for name, value in {**self.settings, **changes}.items() if value is not None}
        lines = "".join(f"{name}={value}\n" for name, value in chosen.items())
        (self.folder / "shop.env").write_text(lines)
        return "--env-file=shop.env"

    def env_file_after(self, beginning: bytes) -> str:
        """The same with something in front."""
        option, file = self.env_file(), self.folder / "shop.env"
        file.write_bytes(beginning + file.read_bytes())
        return option

    def here(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The command in this process, which is as it was afterwards: for what needs none of its own."""
        return here("configure_auth", "register-callback", *arguments, cwd=self.folder, env=environment(**env))

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The command in a process of its own."""
        return python("-m", "configure_auth", "register-callback", *arguments, cwd=self.folder, env=environment(**env))


@pytest.fixture
def shop(tmp_path: Path, configure_sandbox: Sandbox) -> Shop:
    return Shop(tmp_path, configure_sandbox)


def said(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command says that ends well."""
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def refused(ended: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a command that can't do its work."""
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


# Without an app


def test_the_usual_callbacks_are_registered_from_an_environment_file(shop: Shop, configure_sandbox: Sandbox) -> None:
    assert said(shop.run(shop.env_file())) == REGISTERED
    assert configure_sandbox.return_destinations == (LINK,)
    assert configure_sandbox.redirect_uris == (LOGIN,)
    assert said(shop.run(shop.env_file())) == [f"already {line}" for line in REGISTERED]


def test_and_from_the_environment(shop: Shop) -> None:
    assert said(shop.here(**shop.settings)) == REGISTERED


def test_the_file_goes_before_the_environment_and_leaves_the_rest_of_it(shop: Shop) -> None:
    environ = {**shop.settings, "CONFIGURE_API_KEY": "sk_local_wrong", "CONFIGURE_APP_URL": "https://wrong.example"}
    (shop.folder / "shop.env").write_text(
        f"export CONFIGURE_API_KEY='{shop.settings['CONFIGURE_API_KEY']}'\nCONFIGURE_APP_URL=\"{URL}\"  # here\n"
        "CONFIGURE_AGENT\n"
    )

    assert said(shop.here("--env-file=shop.env", **environ)) == REGISTERED


def test_a_blank_value_in_the_file_takes_one_of_the_environment_away(shop: Shop) -> None:
    (shop.folder / "shop.env").write_text("CONFIGURE_OAUTH_CLIENT_ID=\n")

    assert said(shop.here("--env-file=shop.env", **shop.settings)) == [
        REGISTERED[0],
        "skipped: redirect_uri (this app has no login(...))",
    ]


def test_a_file_with_a_byte_order_mark_is_read(shop: Shop) -> None:
    assert said(shop.here(shop.env_file_after(b"\xef\xbb\xbf"))) == REGISTERED


def test_a_file_that_comes_through_a_pipe_is_read(shop: Shop) -> None:
    shop.env_file()
    command = [sys.executable, "-W", "error", "-m", "configure_auth", "register-callback", "--env-file=/dev/stdin"]
    with subprocess.Popen(["cat", "shop.env"], cwd=shop.folder, stdout=subprocess.PIPE) as cat:
        ended = subprocess.run(
            command, stdin=cat.stdout, env=environment(), capture_output=True, text=True, timeout=120, check=False
        )

    assert said(ended) == REGISTERED


def test_other_paths_can_be_named(shop: Shop, configure_sandbox: Sandbox) -> None:
    said(shop.here(shop.env_file(), "--link-path=/profile", "--login-path=/enter"))

    assert configure_sandbox.return_destinations == (f"{URL}/profile/callback",)
    assert configure_sandbox.redirect_uris == (f"{URL}/enter/callback",)


@pytest.mark.parametrize("option", ["--link-path", "--login-path"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("configure", "must begin with a slash"),
        ("/configure/", "not end with one"),
        ("//elsewhere.example", "must begin with a slash"),
        ("https://elsewhere.example/x", "must begin with a slash"),
        ("/configure/callback", "without /callback"),
    ],
)
def test_a_path_that_is_none_is_a_wrong_option(
    shop: Shop, configure_sandbox: Sandbox, option: str, path: str, why: str
) -> None:
    ended = shop.here(shop.env_file(), f"{option}={path}")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert why in " ".join(ended.stderr.split())
    assert configure_sandbox.calls == []


@pytest.mark.parametrize("missing", ["CONFIGURE_APP_URL", "CONFIGURE_API_KEY"])
def test_where_all_is_skipped_one_sentence_says_why(shop: Shop, configure_sandbox: Sandbox, missing: str) -> None:
    sentence = refused(shop.here(shop.env_file(**{missing: None})))

    assert sentence.startswith((f"set {missing} to", f"{missing} is not set"))
    assert configure_sandbox.calls == []


def test_a_missing_agent_leaves_the_login_and_is_no_success(shop: Shop) -> None:
    ended = shop.here(shop.env_file(CONFIGURE_AGENT=None))

    assert (ended.returncode, ended.stdout.splitlines()) == (1, REGISTERED[1:])
    assert ended.stderr.startswith(f"skipped: return_to {LINK} (CONFIGURE_AGENT is not set")


def test_a_missing_client_is_no_success_where_a_login_is_named(shop: Shop) -> None:
    ended = shop.here(shop.env_file(CONFIGURE_OAUTH_CLIENT_ID=None), "--login-path", "/auth/configure")

    assert (ended.returncode, ended.stdout.splitlines()) == (1, REGISTERED[:1])
    assert ended.stderr.startswith(f"skipped: redirect_uri {LOGIN} (CONFIGURE_OAUTH_CLIENT_ID is not set")


def test_a_failure_is_a_sentence_and_exit_code_one(shop: Shop, configure_sandbox: Sandbox) -> None:
    ended = shop.here(shop.env_file(CONFIGURE_OAUTH_CLIENT_ID="oc_of_somebody_else"))

    assert (ended.returncode, ended.stdout.splitlines()) == (1, REGISTERED[:1])
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"failed: redirect_uri {LOGIN} (")
    assert "CONFIGURE_OAUTH_CLIENT_ID must belong to the account of CONFIGURE_API_KEY" in line


def test_another_redirect_uri_in_the_settings_is_not_passed_over(shop: Shop, configure_sandbox: Sandbox) -> None:
    ended = shop.here(shop.env_file(CONFIGURE_SSO_REDIRECT_URI=f"{URL}/sso/callback"))

    assert ended.returncode == 1
    assert f"CONFIGURE_SSO_REDIRECT_URI is not '{LOGIN}'" in ended.stderr
    assert configure_sandbox.redirect_uris == ()


@pytest.mark.parametrize(
    "changes", [{"CONFIGURE_API_KEY": "pk_a_key_for_pages"}, {"CONFIGURE_APP_URL": "http://app.example.com"}]
)
def test_a_malformed_setting_is_named_without_its_value(
    shop: Shop, configure_sandbox: Sandbox, changes: dict[str, str]
) -> None:
    sentence = refused(shop.here(shop.env_file(**changes)))

    ((name, value),) = changes.items()
    assert sentence.startswith(name)
    assert value not in sentence
    assert configure_sandbox.calls == []


def test_a_file_that_is_not_there_is_a_wrong_option(shop: Shop) -> None:
    ended = shop.here("--env-file=none.env", **shop.settings)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "none.env" in ended.stderr


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"CONFIGURE_AGENT=caf\xe9\n", "UnicodeDecodeError"),
        (b'A="a\0b"\n', "a NUL character"),
        (b"'A=B'=1\n", "variable name"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(shop: Shop, content: bytes, why: str) -> None:
    (shop.folder / "shop.env").write_bytes(content)

    sentence = refused(shop.here("--env-file=shop.env"))
    assert sentence.startswith("shop.env ")
    assert why in sentence


def test_processes_that_do_it_together_register_once_and_without_an_error(
    shop: Shop, configure_sandbox: Sandbox
) -> None:
    shop.env_file()
    command = [sys.executable, "-W", "error", "-m", "configure_auth", "register-callback", "--env-file=shop.env"]
    with configure_sandbox.hold("/v1/auth/sign-in/return-destinations", method="POST") as held:
        begun = [
            subprocess.Popen(
                command, cwd=shop.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        # All of them have seen that it isn't there.
        held.arrived.wait(3, timeout=60)
        held.release()
        ends = [process.communicate(timeout=60) for process in begun]

    assert [(process.returncode, errors) for process, (_, errors) in zip(begun, ends, strict=True)] == [(0, "")] * 3
    assert sorted(output.splitlines()[1] for output, _ in ends) == sorted(
        [REGISTERED[1], f"already {REGISTERED[1]}", f"already {REGISTERED[1]}"]
    )
    assert configure_sandbox.redirect_uris == (LOGIN,)


# With an app


@pytest.mark.parametrize("kind", APPS)
def test_the_routes_of_an_app_are_registered(shop: Shop, configure_sandbox: Sandbox, kind: str) -> None:
    shop.write(APPS[kind])
    run = shop.run if kind == "flask" else shop.here

    assert said(run(shop.env_file(), "--app=shop:app")) == REGISTERED
    assert configure_sandbox.return_destinations == (LINK,)
    assert configure_sandbox.redirect_uris == (LOGIN,)


@pytest.mark.parametrize("kind", ["flask", "starlette"])
def test_a_configure_auth_can_be_named_itself(shop: Shop, kind: str) -> None:
    shop.write(APPS[kind])

    assert said(shop.here(shop.env_file(), "--app=shop:configure_auth")) == REGISTERED


def test_a_function_that_makes_the_app_is_called(shop: Shop) -> None:
    shop.write(FLASK + "made = app\ndel app\ndef make(config=None):\n    return made\n")

    assert said(shop.here(shop.env_file(), "--app=shop:make")) == REGISTERED


def test_the_apps_own_paths_count(shop: Shop, configure_sandbox: Sandbox) -> None:
    shop.write(FLASK.replace("account_link()", "account_link(path='/profile')"))
    said(shop.here(shop.env_file(), "--app=shop:app"))

    assert configure_sandbox.return_destinations == (f"{URL}/profile/callback",)


def test_each_configure_auth_of_an_app_counts(shop: Shop, configure_sandbox: Sandbox) -> None:
    second = "ConfigureAuth(user_id=lambda request: None, name='second')"
    shop.write(STARLETTE + f"app = Starlette(routes=[routes[0], {second}.account_link(path='/second')])")
    lines = said(shop.here(shop.env_file(), "--app=shop:app"))

    assert [line for line in lines if "return_to" in line] == [
        f"registered: return_to {LINK}",
        f"registered: return_to {URL}/second/callback",
    ]


@pytest.mark.parametrize("name", ["shops.web:app", "shops.web:Site.app"])
def test_an_app_may_lie_in_a_package_or_a_class(shop: Shop, name: str) -> None:
    (shop.folder / "shops").mkdir()
    shop.write("", "shops/__init__.py")
    shop.write(FLASK + "class Site:\n    app = app\n", "shops/web.py")

    assert said(shop.here(shop.env_file(), f"--app={name}")) == REGISTERED


def test_the_environment_is_there_when_the_app_is_imported_and_as_it_stands_in_the_file(shop: Shop) -> None:
    shop.write("import os\nprint(os.environ['SHOP'], os.environ['HERE'], 'BARE' in os.environ)\n" + FLASK)
    file = shop.env_file_after(b"SHOP=a${HOME}b$HOME\nBARE\n")

    lines = said(shop.run(file, "--app=shop:app", SHOP="wrong", HERE="here"))
    assert lines == ["a${HOME}b$HOME here False", *REGISTERED]


def test_the_installed_script_finds_the_app_in_the_working_directory(shop: Shop) -> None:
    shop.write(FLASK)
    script = Path(sys.executable).parent / "configure_auth"
    if not script.exists():
        pytest.skip("the package isn't installed here")
    ended = subprocess.run(
        [script, "register-callback", shop.env_file(), "--app=shop:app"],
        cwd=shop.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert said(ended) == REGISTERED


def test_an_app_that_has_only_one_of_them_skips_the_other(shop: Shop) -> None:
    shop.write(STARLETTE + "app = Starlette(routes=[ConfigureAuth(user_id=print).account_link()])")

    assert said(shop.here(shop.env_file(), "--app=shop:app")) == [
        REGISTERED[0],
        "skipped: redirect_uri (this app has no login(...))",
    ]


# Each fails in its own way


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("shop", FLASK, "'shop' doesn't name an app: write module:attribute, such as shop:app"),
        ("shop.py:app", FLASK, "there is no module shop.py in "),
        (":app", FLASK, "':app' doesn't name an app"),
        ("shop:", FLASK, "'shop:' doesn't name an app"),
        ("shop:app()", FLASK, "'shop:app()' doesn't name an app"),
        ("shops:app", FLASK, "there is no module shops in "),
        ("shops.web:app", FLASK, "there is no module shops in "),
        ("shop.web:app", FLASK, "there is no module shop.web in "),
        ("shop:wrong", FLASK, "module shop has no attribute wrong"),
        ("shop:app.wrong", FLASK, "module shop has no attribute app.wrong"),
        ("shop:make", "def make(config):\n    return 1\n", "shop:make is a function that needs arguments; name an app"),
        (
            "shop:make",
            "def make():\n    1 / 0\n",
            "shop:make() failed at {folder}/shop.py:2: ZeroDivisionError (python -c 'import shop; shop.make()' shows",
        ),
        ("shop:make", "def make():\n    return 7\n", "shop:make has no ConfigureAuth: install one"),
        ("shop:app", "app = 7", "shop:app has no ConfigureAuth: install one"),
        ("shop:app", "from flask import Flask\napp = Flask('shop')", "shop:app has no ConfigureAuth"),
        (
            "shop:app",
            "from starlette.applications import Starlette\napp = Starlette()",
            "shop:app has no ConfigureAuth",
        ),
        ("shop:app", STARLETTE + "app = Starlette()", "shop:app has no ConfigureAuth"),
        (
            "shop:configure_auth",
            "from configure_auth.flask import ConfigureAuth\nconfigure_auth = ConfigureAuth(user_id=lambda: None)",
            "shop:configure_auth is not installed in an app: call init_app(app)",
        ),
        (
            "shop:app",
            FLASK.split("app.register_blueprint")[0],
            "this app has no Configure routes: register account_link(...) or login(...) first",
        ),
        (
            "shop:app",
            "import missing",
            "the import of shop failed at {folder}/shop.py:1: ModuleNotFoundError: missing (",
        ),
        (
            "shop:app",
            "\n1 / 0",
            "the import of shop failed at {folder}/shop.py:2: ZeroDivisionError "
            "(python -c 'import shop' shows the whole error)",
        ),
        ("shop:app", "def", "the import of shop failed at {folder}/shop.py:1: SyntaxError: invalid syntax"),
        ("shop:app", "raise ValueError", "the import of shop failed at {folder}/shop.py:1: ValueError"),
        ("shop:app", "raise ValueError('a\\n  b')", "the import of shop failed at {folder}/shop.py:1: ValueError ("),
        ("shop:app", "import sys\nsys.exit(3)", "the import of shop failed at {folder}/shop.py:2: SystemExit ("),
        (
            "shop:app",
            "import json\njson.loads('[')",
            "the import of shop failed at {folder}/shop.py:2: JSONDecodeError",
        ),
        (
            "shop:app",
            FLASK.replace("account_link()", "account_link(path='x')"),
            "the import of shop failed at {folder}/shop.py:8: path must begin with a slash",
        ),
    ],
)
def test_an_app_that_is_not_there_is_one_sentence(
    shop: Shop, configure_sandbox: Sandbox, name: str, source: str, sentence: str
) -> None:
    shop.write(source)

    told = refused(shop.here(shop.env_file(), f"--app={name}"))
    assert told.startswith(sentence.replace("{folder}", str(shop.folder)))
    assert configure_sandbox.calls == []


def test_paths_beside_an_app_are_a_wrong_option(shop: Shop) -> None:
    ended = shop.here(shop.env_file(), "--app=shop:app", "--login-path=/enter")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "the routes are read from --app" in ended.stderr


@pytest.mark.parametrize("kind", ["flask", "starlette"])
def test_a_failure_in_an_app_is_a_sentence_and_exit_code_one(shop: Shop, kind: str) -> None:
    shop.write(APPS[kind])
    ended = shop.run(shop.env_file(CONFIGURE_API_KEY="sk_local_wrong"), "--app=shop:app")

    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [f"failed: return_to {LINK}", f"failed: redirect_uri {LOGIN}"]
    assert all("copy the secret key" in line and "sk_local_wrong" not in line for line in lines)
