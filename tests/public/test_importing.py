"""What importing costs, what a missing extra says, and what is in the package as it's shipped."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import configure_auth

from ..support.stores import first
from .running import ROOT, environment, python, says

HEAVY = ["flask", "starlette", "fastapi", "sqlalchemy", "requests", "redis", "werkzeug", "uvicorn", "jinja2"]

HIDDEN = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_importing_the_package_loads_no_framework_and_no_database() -> None:
    loaded = says(f"import sys, configure_auth; print(*[name for name in {HEAVY!r} if name in sys.modules])")

    assert loaded == ""


def test_using_all_of_its_names_loads_no_framework_and_no_database() -> None:
    loaded = says(
        f"import sys; from configure_auth import *; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )

    # The message agent's flows have the pages' templates with them.
    assert loaded == "jinja2"


@pytest.mark.parametrize(
    "module",
    first(["configure_auth.flask", "configure_auth.starlette", "configure_auth.flows", "configure_auth"], count=2),
)
def test_importing_touches_no_network_and_writes_nothing(module: str) -> None:
    program = f"""
import sys
seen = []

def watch(event, arguments):
    if event.startswith("socket."):
        seen.append(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append((event, str(arguments[0])))

sys.dont_write_bytecode = True
sys.addaudithook(watch)
import {module}
from configure_auth import *
print(*seen)
"""
    assert says(program) == ""


@pytest.mark.parametrize(
    ("hidden", "statement", "pip_line"),
    [
        ("flask", "import configure_auth.flask", "pip install 'configure_auth[flask]'"),
        ("starlette", "import configure_auth.starlette", "pip install 'configure_auth[starlette]'"),
    ],
)
def test_a_missing_framework_says_what_to_install(hidden: str, statement: str, pip_line: str) -> None:
    ended = python("-c", HIDDEN.format(hidden=[hidden]) + statement)

    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].endswith(pip_line)
    assert ended.stderr.strip().splitlines()[-1].startswith("ImportError: ")


def test_a_missing_sandbox_says_what_to_install() -> None:
    ended = python(
        "-c", HIDDEN.format(hidden=["uvicorn"]) + "from configure_auth.commands.main import main; main(['sandbox'])"
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Error: the sandbox needs more: pip install 'configure_auth[sandbox]'\n"


def test_an_environment_file_without_its_reader_says_what_to_install(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.touch()
    program = f"from configure_auth.commands.main import main; main(['verify', '--env-file', {str(file)!r}])"

    ended = python("-c", HIDDEN.format(hidden=["dotenv"]) + program)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Error: an environment file needs python-dotenv: pip install python-dotenv\n"


STORE = """
from configure_auth import SettingsError
from configure_auth.stores.opening import open_stores
from pathlib import Path

def opened(url):
    options = {"agent": "a", "fingerprints": (), "folder": Path("."), "awaited": False, "local": True}
    return open_stores(url, **options)

opened("memory://")
opened("sqlite:///never.db")
try:
    opened("postgresql://h/d")
except SettingsError as error:
    print(error)
"""


def test_a_store_needs_no_sqlalchemy_and_postgresql_says_what_to_install() -> None:
    hidden = ["sqlalchemy", "aiosqlite", "greenlet", "psycopg"]
    said = says(HIDDEN.format(hidden=hidden) + STORE)

    assert said == "the store needs psycopg: pip install 'configure_auth[postgresql]'"
    assert not Path("never.db").exists()


@pytest.mark.parametrize("framework", ["flask", "starlette"])
def test_one_framework_is_enough(framework: str) -> None:
    other = {"flask": "starlette", "starlette": "flask"}[framework]
    loaded = says(HIDDEN.format(hidden=[other, "fastapi"]) + f"import configure_auth.{framework}; print('good')")

    assert loaded == "good"


def test_public_names_are_sorted_and_there() -> None:
    names = configure_auth.__all__

    assert names == sorted(names)
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(configure_auth, name).__name__ == name
    assert set(names) <= set(dir(configure_auth))


def test_a_star_import_brings_the_public_names_and_no_others() -> None:
    program = (
        "before = set(globals()); from configure_auth import *; print(*sorted(set(globals()) - before - {'before'}))"
    )

    assert says(program).split() == configure_auth.__all__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Configured'"):
        configure_auth.Configured  # type: ignore[attr-defined]  # noqa: B018  # that is what is tested


@pytest.mark.parametrize("module", ["errors", "values", "flask", "starlette", "flows", "stores", "sandbox", "testing"])
def test_every_name_in_a_modules_all_is_there(module: str) -> None:
    __import__(f"configure_auth.{module}")
    found = sys.modules[f"configure_auth.{module}"]

    assert [name for name in found.__all__ if not hasattr(found, name)] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    here = importlib.util.find_spec("hatchling") is not None
    options = ["--no-deps", *(["--no-build-isolation"] * here), "--wheel-dir", str(folder)]
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(ROOT)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if not here and "hatchling" in built.stderr:
        pytest.skip("hatchling isn't here and can't be fetched")
    assert built.returncode == 0, built.stderr
    (made,) = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    tracked = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "configure_auth").rglob("*")
        if path.is_file() and path.suffix in {".py", ".html", ".css", ".js", ".typed"}
    }
    shipped = {name for name in wheel.namelist() if name.startswith("configure_auth/")}

    assert shipped == tracked | ({"configure_auth/py.typed"})
    assert {"configure_auth/ui/style.css", "configure_auth/ui/templates/button.html"} <= shipped


def test_the_wheel_announces_the_plugin_the_command_and_no_tests(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    announced = wheel.read(entry_points).decode()

    assert "[pytest11]\nconfigure_auth = configure_auth.testing" in announced
    assert "[flask.commands]\nconfigure = configure_auth.commands.flask:configure" in announced
    assert {name.split("/")[0].split("-")[0] for name in wheel.namelist()} == {"configure_auth"}


@pytest.mark.parametrize("framework", ["flask", "starlette"])
def test_authlibs_openid_connect_is_imported_for_register_oauth_alone(framework: str) -> None:
    names = "{'joserfc', 'authlib.oidc'} & set(sys.modules)"
    program = f"import sys, configure_auth.{framework} as ours; print(*{names}); "
    ended = python("-c", program + "ours.register_oauth; print('authlib.oidc' in sys.modules)")

    assert ended.stdout.split("\n")[:2] == ["", "True"]


READY = {
    "flask": """
import sys, flask, authlib.integrations.flask_client
before = set(sys.modules)
from configure_auth.flask import ConfigureAuth
app = flask.Flask("app")
app.secret_key = "secret"
ours = ConfigureAuth(user_id=lambda: None, store="memory://")
ours.init_app(app)
app.register_blueprint(ours.login(on_login=lambda identity, grant: "1"))
app.register_blueprint(ours.account_link())
""",
    "starlette": """
import asyncio  # every server has it
import sys, authlib.integrations.starlette_client
import starlette.applications, starlette.middleware.sessions, starlette.templating
before = set(sys.modules)
from configure_auth.starlette import ConfigureAuth
ours = ConfigureAuth(user_id=lambda request: None, store="memory://")
app = starlette.applications.Starlette(routes=[ours.login(on_login=lambda *given: "1"), ours.account_link()])
""",
}
"""Apps that are ready to serve."""

LIBRARIES = {"configure_auth", "cryptography", "h11"}
"""What an app that is ready to serve may have imported beside its framework and Authlib."""

MODULES = 85
"""How many of ours that may be. One more is a decision."""


@pytest.mark.parametrize("framework", READY)
def test_an_app_that_is_ready_has_imported_few_modules(framework: str) -> None:
    names = "[name for name in sys.modules if name not in before and not name.startswith('_')]"
    added = says(f"{READY[framework]}\nprint(*{names})").split()

    # How many of the standard library come along differs with Python's version.
    others = [name for name in added if name.partition(".")[0] not in sys.stdlib_module_names]
    assert {name.partition(".")[0] for name in others} <= LIBRARIES
    ours = [name for name in others if name.startswith("configure_auth")]
    assert len(ours) <= MODULES, sorted(ours)
    assert not {"asyncio", "dataclasses", "inspect", "ssl"} & set(added)  # of the framework's own, or not at all
