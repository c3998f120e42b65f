"""The names that are used most have an example in their docstring, which runs."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, session
from starlette.applications import Starlette

import configure_auth
import configure_auth.flask
import configure_auth.starlette
from configure_auth import ConfigureError, Settings
from configure_auth.sandbox import Sandbox

FLASK = configure_auth.flask.ConfigureAuth
OF_FLASK = [FLASK, FLASK.account, FLASK.profile, configure_auth.flask.register_oauth]
OF_STARLETTE = [configure_auth.starlette.ConfigureAuth]
OTHERS = [configure_auth.Configure, configure_auth.MessageAgent, configure_auth.BearerUser]


def example_of(documented: Any) -> str:
    _, _, rest = (inspect.getdoc(documented) or "").partition("Example::\n\n")
    lines = []
    for line in rest.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line)
    assert lines, "the docstring has no example"
    return textwrap.dedent("\n".join(lines))


def name_of(documented: Any) -> str:
    return f"{documented.__module__}.{documented.__qualname__}"


@pytest.fixture
def app(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Flask]:
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(configure_sandbox.environment("http://localhost"), SECRET_KEY="a key for the tests of examples")
    with app.test_request_context("/"):
        yield app


@pytest.mark.parametrize("documented", OF_FLASK, ids=name_of)
def test_flask_example_runs(documented: Any, app: Flask, configure_sandbox: Sandbox, monkeypatch: Any) -> None:
    for name, value in configure_sandbox.environment("http://localhost").items():
        monkeypatch.setenv(name, value)
    extension = FLASK(user_id=lambda: session.get("user_id"), store="memory://")
    if documented is not FLASK:
        extension.init_app(app)
    names = {
        "ConfigureAuth": FLASK,
        "register_oauth": configure_auth.flask.register_oauth,
        "app": app,
        "session": session,
        "OAuth": OAuth,
        "Settings": Settings,
        "configure_auth": extension,
        "ConfigureError": ConfigureError,
        "new_user": str,
    }
    monkeypatch.chdir(app.instance_path)

    exec(example_of(documented), names)
    extension.close()


@pytest.mark.parametrize("documented", OF_STARLETTE, ids=name_of)
def test_starlette_example_runs(documented: Any) -> None:
    names = {"app": Starlette(), **vars(configure_auth.starlette)}

    exec(example_of(documented), names)
    assert names["app"].routes


@pytest.mark.parametrize("documented", OTHERS, ids=name_of)
def test_example_without_a_framework_runs(
    documented: Any, configure_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in configure_sandbox.environment("http://localhost").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONFIGURE_TOKEN_KEYS", "a-key-of-43-characters-for-an-app-on-the-web")

    exec(
        example_of(documented).replace("/srv/bot", str(tmp_path)),
        {name: getattr(configure_auth, name) for name in configure_auth.__all__},
    )
