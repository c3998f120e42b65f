"""The pytest plugin, in a test suite of a user's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .running import python

SUITE = """
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, session

def ours():
    return {name for name in sys.modules if name.startswith("configure_auth")}

def test_before_a_fixture_is_used_nothing_is_imported():
    assert ours() <= {"configure_auth", "configure_auth.testing"}
    assert not {"httpx2", "starlette", "uvicorn", "authlib"} & set(sys.modules)

@pytest.fixture
def client(configure_sandbox, tmp_path):
    from configure_auth.flask import ConfigureAuth

    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(configure_sandbox.environment(app_url="http://localhost"), SECRET_KEY="x" * 32)
    configure_auth = ConfigureAuth(user_id=lambda: session.get("user_id"), clock=configure_sandbox.clock)
    configure_auth.init_app(app)

    def on_login(identity, grant):
        session["user_id"] = identity.local_user_id or "new"
        session["name"] = identity.name
        return session["user_id"]

    app.register_blueprint(configure_auth.login(on_login=on_login))
    app.add_url_rule("/who", view_func=lambda: session.get("name", "nobody"))
    configure_sandbox.register_redirect_uri("http://localhost/auth/configure/callback")
    return app.test_client()

def start(client):
    return client.get("/auth/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"})

def test_somebody_signs_in(client, configure_sandbox):
    callback = configure_sandbox.sign_in(start(client).location, "+15550100001", name="Ada")
    assert client.get(callback).status_code == 303
    assert client.get("/who").text == "Ada"

def test_time_passes(client, configure_sandbox):
    callback = configure_sandbox.sign_in(start(client).location, "+15550100001")
    configure_sandbox.advance(16 * 60)
    assert "expired" in client.get(callback).text
    assert client.get("/who").text == "nobody"

def test_everybody_is_forgotten_between_tests(configure_sandbox):
    assert configure_sandbox.people == ()
    assert configure_sandbox.calls == []
    assert configure_sandbox.redirect_uris == ()
"""


def suite(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_app.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return python("-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *arguments, cwd=folder)


@pytest.mark.extended
def test_a_users_suite_passes_with_the_fixture_alone(tmp_path: Path) -> None:
    ended = suite(tmp_path, SUITE)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 passed" in ended.stdout


@pytest.mark.extended
def test_the_fixture_is_listed_with_what_it_is_for(tmp_path: Path) -> None:
    ended = suite(tmp_path, SUITE, "--fixtures")

    assert "configure_sandbox --" in ended.stdout
    assert "A strict local Configure" in ended.stdout


def test_a_run_that_never_uses_it_never_loads_an_http_client(tmp_path: Path) -> None:
    text = "import sys\n\ndef test_nothing():\n    assert 'configure_auth.client' not in sys.modules\n"
    ended = suite(tmp_path, text)

    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.extended
def test_the_sandbox_ends_with_the_run_that_is_interrupted(tmp_path: Path) -> None:
    text = """
import os, signal

def test_interrupted(configure_sandbox):
    # A background job of a shell begins with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("at", configure_sandbox.api_url, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        signal.pause()
"""
    ended = suite(tmp_path, text, "-s")

    assert ended.returncode == pytest.ExitCode.INTERRUPTED, ended.stdout + ended.stderr
    assert "at http://127.0.0.1:" in ended.stdout
