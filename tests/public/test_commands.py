"""`flask configure register-callback`, and `python -m configure_auth sandbox`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from configure_auth import Configure, Settings
from configure_auth.sandbox import Sandbox, server

from ..support.ports import three_free_ports
from ..support.stores import first
from .running import environment, here, python

APP = """
from flask import Flask
from configure_auth.flask import ConfigureAuth

configure_auth = ConfigureAuth(user_id=lambda: None, store="sqlite:///configure.db")
app = Flask(__name__)
app.secret_key = "a secret key of the app, long enough"
configure_auth.init_app(app)
"""
ROUTES = """
app.register_blueprint(configure_auth.account_link())
app.register_blueprint(configure_auth.login(on_login=lambda identity, grant: "u1"))
"""
URL = "https://app.example.com"
LINK, LOGIN = f"{URL}/configure/callback", f"{URL}/auth/configure/callback"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path, configure_sandbox: Sandbox) -> Command:
    """Runs the command of an app with both routes, and the sandbox's settings but for those given."""

    def run(
        source: str = APP + ROUTES, *, program: bool = False, **changes: str | None
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "shop.py").write_text(source)
        keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
        chosen = configure_sandbox.environment(app_url=URL) | keys | changes
        given = {name: value for name, value in chosen.items() if value is not None}
        command, variables = ("flask", "--app", "shop", "configure", "register-callback"), environment(**given)
        if program:
            return python("-m", *command, cwd=tmp_path, env=variables)
        return here(*command, cwd=tmp_path, env=variables)

    return run


def test_both_callbacks_are_registered_at_configure(command: Command, configure_sandbox: Sandbox) -> None:
    ended = command(program=True)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.stdout.splitlines()) == [
        f"registered: redirect_uri {LOGIN}",
        f"registered: return_to {LINK}",
    ]
    assert configure_sandbox.redirect_uris == (LOGIN,)
    assert configure_sandbox.return_destinations == (LINK,)


def test_the_second_time_there_is_nothing_to_do(command: Command, configure_sandbox: Sandbox) -> None:
    command()
    ended = command()

    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(ended.stdout.splitlines()) == [
        f"already registered: redirect_uri {LOGIN}",
        f"already registered: return_to {LINK}",
    ]
    assert configure_sandbox.redirect_uris == (LOGIN,)


def test_what_was_registered_before_stays(command: Command, configure_sandbox: Sandbox) -> None:
    configure_sandbox.register_redirect_uri("https://old.example.com/callback")
    configure_sandbox.register_return_to("https://old.example.com/back")
    command()

    assert "https://old.example.com/callback" in configure_sandbox.redirect_uris
    assert "https://old.example.com/back" in configure_sandbox.return_destinations


def test_only_the_routes_that_there_are_get_registered(command: Command, configure_sandbox: Sandbox) -> None:
    assert command(APP + "app.register_blueprint(configure_auth.account_link())").returncode == 0

    assert configure_sandbox.return_destinations == (LINK,)
    assert configure_sandbox.redirect_uris == ()


def test_a_wrong_key_is_a_sentence_and_exit_code_one(command: Command, configure_sandbox: Sandbox) -> None:
    ended = command(CONFIGURE_API_KEY="sk_local_wrong")

    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert {line.partition(" (")[0] for line in lines} == {f"failed: redirect_uri {LOGIN}", f"failed: return_to {LINK}"}
    assert all(line.endswith(")") and "sk_local_wrong" not in line for line in lines)
    assert configure_sandbox.redirect_uris == configure_sandbox.return_destinations == ()


def test_configure_out_of_reach_is_a_sentence_and_exit_code_one(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ended = command(CONFIGURE_BASE_URL=f"http://127.0.0.1:{port}")

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("failed: ") == 2


def test_without_the_apps_own_url_nothing_is_sent(command: Command, configure_sandbox: Sandbox) -> None:
    ended = command(CONFIGURE_APP_URL=None)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Error: set CONFIGURE_APP_URL")
    assert len(ended.stderr.splitlines()) == 1
    assert configure_sandbox.calls == []


def test_an_app_without_our_routes_is_told_so(command: Command) -> None:
    ended = command(APP)

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "Error: this app has no Configure routes: register account_link(...) or login(...) first"
    ]


def test_an_app_without_configure_is_told_so(command: Command) -> None:
    ended = command("from flask import Flask\napp = Flask(__name__)\n")

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


# python -m configure_auth sandbox


@contextmanager
def sandbox_program(port: int, *, background: bool = False) -> Iterator[subprocess.Popen[str]]:
    def ignore_interrupts() -> None:
        # As a shell without job control starts what is followed by "&".
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "configure_auth", "sandbox", "--port", str(port), "--app-url", URL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
        preexec_fn=ignore_interrupts if background else None,
    )
    watchdog = threading.Timer(60, program.kill)
    watchdog.start()
    try:
        yield program
    finally:
        watchdog.cancel()
        program.kill()
        program.communicate()


def announced(program: subprocess.Popen[str]) -> dict[str, str]:
    assert program.stdout is not None
    settings = {}
    for line in program.stdout:
        if line.startswith("CONFIGURE_"):
            name, _, value = line.strip().partition("=")
            settings[name] = value
        if "000000" in line:
            return settings
    raise AssertionError(program.communicate()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("background", first([False, True]))
def test_the_settings_it_prints_work_and_a_signal_ends_it(number: signal.Signals, background: bool) -> None:
    port = three_free_ports()
    with sandbox_program(port, background=background) as program:
        settings = Settings.from_mapping(announced(program))
        configure = Configure(settings)
        destinations = configure.auth.list_sign_in_return_destinations()
        configure.close()
        start = httpx2.get(f"{settings.sign_in_url}/{settings.agent}", trust_env=False)
        program.send_signal(number)
        output, errors = program.communicate()

    assert [one.destination for one in destinations] == [LINK]
    assert start.status_code < 500
    assert (program.returncode, errors) == (0, "")
    assert "Traceback" not in output
    for sock in server.bind(port):
        sock.close()


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_busy_port_is_one_line(tmp_path: Path, offset: int) -> None:
    port = three_free_ports()
    with socket.create_server(("127.0.0.1", port + offset)):
        ended = here("configure_auth", "sandbox", "--port", str(port), cwd=tmp_path)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("Error: ")
    assert str(port + offset) in ended.stderr


@pytest.mark.parametrize("port", ["0", "65534", "x"])
def test_a_port_that_leaves_no_room_for_three_is_refused(tmp_path: Path, port: str) -> None:
    ended = here("configure_auth", "sandbox", "--port", port, cwd=tmp_path)

    assert ended.returncode == 2
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_says_its_version_and_its_commands() -> None:
    assert "sandbox" in python("-m", "configure_auth", "--help").stdout
    assert python("-m", "configure_auth", "--version").stdout.startswith("python -m configure_auth, version ")
