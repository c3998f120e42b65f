"""`python -m configure_auth sandbox` with people, failures and a page."""

from __future__ import annotations

import base64
import re
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from dotenv import dotenv_values

from configure_auth import Configure, Settings
from configure_auth.commands.main import main
from configure_auth.commands.sandbox import sandbox as command
from configure_auth.sandbox import Person, Sandbox, server
from configure_auth.sandbox.faults import FIELDS
from tests.public.running import environment, python
from tests.readme.document import ROOT, rows
from tests.support.ports import three_free_ports

from ..support.cli import cli_runner
from ..support.stores import first

SEED = """
[[people]]
phone = "+1 555 010 0001"
name = "Ada Lovelace"

[[agents]]
handle = "billing-agent"
return_destinations = ["https://billing.example.com/back"]
"""
DESTINATIONS = "/v1/auth/sign-in/return-destinations"


@contextmanager
def program(port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "configure_auth", "sandbox", "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    watchdog = threading.Timer(60, running.kill)
    watchdog.start()
    try:
        yield running
    finally:
        watchdog.cancel()
        running.kill()
        running.communicate()


def announced(running: subprocess.Popen[str]) -> list[str]:
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line.rstrip())
        if "Ctrl-C" in line:
            return lines
    raise AssertionError(running.communicate()[1])


def test_documented_seed_faults_and_options_work() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    sandbox = Sandbox()
    (seed,) = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    sandbox.seed(tomllib.loads(seed))
    for line in re.findall(r'(?:--fault |script\()"([^".]+)"', page):
        sandbox.script(line)
    faults = {cells[0].strip("`") for cells in rows("field", page)}
    for word in faults:
        sandbox.script(f"GET /oauth/authorize {word}{'' if re.match('status|drop|cut|drip', word) else ' status=503'}")

    assert {word.partition("=")[0] for word in faults} == set(FIELDS)
    (person,) = sandbox.people
    assert (person.name, len(sandbox.memories(person))) == ("Ada Lovelace", 1)
    named = set(re.findall(r"`(\w+)`", page[page.index("A person also has") : page.index("Without a seed")]))
    assert named == set(Person.__struct_fields__) - {"phone", "name", "email", "preferences"}
    options = {option.opts[0] for option in command.params}
    assert {cells[0].strip("`").partition(" ")[0] for cells in rows("option", page)} == options
    assert set(re.findall(r"--[a-z-]+(?<!-)", page)) - {"--env-file"} == options


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(SEED)
    return path


def test_it_knows_the_people_and_says_where_to_look(seed: Path) -> None:
    port = three_free_ports()
    with program(port, "--seed", str(seed)) as running:
        lines = announced(running)
        page = next(line.removeprefix("Sandbox activity: ") for line in lines if line.startswith("Sandbox activity"))
        shown = httpx2.get(page, trust_env=False)
        settings = dict(line.split("=", 1) for line in lines if line.startswith("CONFIGURE_"))
        others = dict(line[2:].split("=", 1) for line in lines if line.startswith("# CONFIGURE_"))
        key = {"X-API-Key": others["CONFIGURE_API_KEY"], "X-Agent": others["CONFIGURE_AGENT"]}
        listed = httpx2.get(f"http://127.0.0.1:{port}{DESTINATIONS}", headers=key, trust_env=False).json()

    assert page == f"http://127.0.0.1:{port}/"
    assert (shown.status_code, "Ada Lovelace" in shown.text) == (200, True)
    assert [one["destination"] for one in listed["destinations"]] == ["https://billing.example.com/back"]
    assert settings["CONFIGURE_AGENT"] == "demo-agent"
    assert {name for name in settings if name not in others} == {
        "CONFIGURE_BASE_URL",
        "CONFIGURE_ACCOUNTS_URL",
        "CONFIGURE_SIGN_IN_URL",
        "CONFIGURE_SCRIPT_URL",
        "CONFIGURE_APP_URL",
        "CONFIGURE_TOKEN_KEYS",
    }
    assert settings["CONFIGURE_API_KEY"] != others["CONFIGURE_API_KEY"]


def test_every_fault_that_is_given_is_played() -> None:
    port = three_free_ports()
    faults = ["--fault", "POST /oauth/token status=503 times=2", "--fault", "GET /oauth/authorize drop origin=accounts"]
    with program(port, *faults) as running:
        announced(running)
        statuses = [httpx2.post(f"http://127.0.0.1:{port}/oauth/token", trust_env=False).status_code for _ in range(3)]
        with pytest.raises(httpx2.RemoteProtocolError):
            httpx2.get(f"http://127.0.0.1:{port + 1}/oauth/authorize", trust_env=False)

    assert statuses == [503, 503, 400]


@pytest.mark.parametrize("trouble", first(["delay=3600", "drip=3600"]))
@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM]))
def test_a_signal_ends_it_while_a_page_is_open_and_an_answer_is_late(
    seed: Path, number: signal.Signals, trouble: str
) -> None:
    port = three_free_ports()
    with program(port, "--seed", str(seed), "--fault", f"/v1/profile {trouble}") as running:
        announced(running)
        with (
            httpx2.Client(trust_env=False) as browser,
            socket.create_connection(("127.0.0.1", port), timeout=30) as waiting,
        ):
            waiting.sendall(b"GET /v1/profile HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while "/v1/profile</td>" not in browser.get(f"http://127.0.0.1:{port}/").text:
                pass
            running.send_signal(number)
            output, errors = running.communicate()

    assert (running.returncode, errors, output) == (0, "", "")
    for sock in server.bind(port):
        sock.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "POST /oauth/tokens status=503"], "the fault 'POST /oauth/tokens status=503': api does not serve"),
        (
            ["--fault", "/v1/profile status=503", "--fault", "/v1/profile"],
            "the fault '/v1/profile': nothing fails",
        ),
        (["--seed", "nothing.toml"], "nothing.toml: it can't be read: No such file or directory"),
        (["--seed", "wrong.json"], "wrong.json: people 1: missing field phone"),
        (["--app-url", "localhost:3000"], "--app-url: its callbacks can't be registered: redirect_uri must be"),
        (["--app-url", "http://app.example.com"], "--app-url: its callbacks can't be registered: redirect_uri must"),
        (["--public-url", "http://sandbox"], "--public-url: 'http://sandbox' must be an origin with a port"),
        (["--public-url", "http://sandbox:4010/x"], "--public-url: 'http://sandbox:4010/x' must be an origin"),
        (["--public-url", "http://sandbox:65534"], "--public-url: 'http://sandbox:65534' must be an origin"),
        (["--browser-url", "ftp://x-{port}.example"], "--browser-url: 'ftp://x-{port}.example' must be an origin"),
        (["--write-env", "live.env"], "--write-env: live.env has a CONFIGURE_API_KEY that is not a sandbox's"),
        (["--write-env", "no/folder/.env"], "--write-env: no/folder/.env can't be read and written: "),
    ],
)
def test_a_wrong_option_is_one_sentence_before_anything_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "live.env").write_text("CONFIGURE_API_KEY=sk_live_1\n")
    (tmp_path / "wrong.json").write_text('{"people": [{"name": "Ada"}]}')
    port = three_free_ports()
    # The port is taken: that nobody speaks of it shows that nothing was opened yet.
    with socket.create_server(("127.0.0.1", port)):
        ended = cli_runner().invoke(main, ["sandbox", "--port", str(port), *options])

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Error: {words}")
    assert len(ended.stderr.splitlines()) == 1


def test_a_busy_port_is_one_sentence_beside_a_good_seed(seed: Path) -> None:
    port = three_free_ports()
    with socket.create_server(("127.0.0.1", port + 2)):
        ended = python("-m", "configure_auth", "sandbox", "--port", str(port), "--seed", str(seed))

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1)
    assert str(port + 2) in ended.stderr


def test_app_port_and_app_url_exclude_each_other() -> None:
    ended = python("-m", "configure_auth", "sandbox", "--app-port", "5000", "--app-url", "http://localhost:5000")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--app-port is short for --app-url" in ended.stderr


def test_a_host_that_this_machine_does_not_have() -> None:
    for host, words in (("192.0.2.1", "doesn't have the address"), ("sandbox", "must be an IP address")):
        ended = python("-m", "configure_auth", "sandbox", "--port", str(three_free_ports()), "--host", host)

        assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
        assert words in ended.stderr


# The settings in a file


def test_write_env_gives_an_app_all_its_settings(tmp_path: Path) -> None:
    """The file is enough for an app of its own port; localhost and 127.0.0.1 are registered both."""
    port, file = three_free_ports(), tmp_path / ".env"
    with program(port, "--write-env", str(file), "--app-port", "5000") as running:
        lines = announced(running)
        settings = Settings.from_mapping(dotenv_values(file))
        with Configure(settings) as configure:
            destinations = {one.destination for one in configure.auth.list_sign_in_return_destinations()}

    assert f"The settings for your app are in {file}." in "\n".join(lines)
    assert not any(line.startswith("CONFIGURE_") for line in lines)
    assert settings.app_url == "http://localhost:5000"
    assert settings.required_oauth_client_id
    assert settings.required_oauth_client_secret
    assert len(settings.required_token_keys) == 1
    assert len(base64.urlsafe_b64decode(settings.token_keys[0].reveal() + "=")) == 32
    assert destinations == {f"http://{host}:5000/configure/callback" for host in ("localhost", "127.0.0.1")}
    assert file.stat().st_mode & 0o077 == 0


def test_write_env_keeps_the_other_lines_and_the_token_keys(tmp_path: Path) -> None:
    port, file = three_free_ports(), tmp_path / ".env"
    others = "# mine\nSECRET_KEY='a b # c'\n\nexport DEBUG=1\nCONFIGURE_STORE=sqlite:///mine.db\n"
    file.write_text(f"{others}CONFIGURE_AGENT=old\nCONFIGURE_TOKEN_KEYS={'k' * 43}\nLAST=no newline")
    with program(port, "--write-env", str(file)) as running:
        announced(running)
    written = file.read_text()

    assert written.startswith(others)
    assert "LAST=no newline\n" in written
    values = dotenv_values(file)
    assert values["CONFIGURE_TOKEN_KEYS"] == "k" * 43
    assert (values["CONFIGURE_AGENT"], values["CONFIGURE_BASE_URL"]) == ("demo-agent", f"http://127.0.0.1:{port}")
    assert sum(line.startswith("CONFIGURE_AGENT=") for line in written.splitlines()) == 1


def test_a_sandbox_without_a_seed_has_a_person_with_a_name() -> None:
    port = three_free_ports()
    with program(port) as running:
        lines = announced(running)
        shown = httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).text

    assert lines[-1].startswith(
        "Ada Lovelace signs in with +15550100001. Any phone number signs in; the code is 000000"
    )
    assert "ada@example.com" in shown


# Containers


def test_a_sandbox_for_other_containers() -> None:
    """It listens on all addresses, and its settings name the public URLs and allow http for them."""
    port = three_free_ports()
    with program(port, "--host", "0.0.0.0", "--public-url", "http://sandbox:4010") as running:
        lines = announced(running)
        settings = dict(line.split("=", 1) for line in lines if line.startswith("CONFIGURE_"))
        page = [
            httpx2.get(f"http://127.0.0.2:{port}/", headers={"Host": host}, trust_env=False).status_code
            for host in ("sandbox:4010", "sandbox:4011", "evil.example")
        ]

    read = Settings.from_mapping(settings)
    assert (read.base_url, read.accounts_url) == ("http://sandbox:4010", "http://sandbox:4011")
    assert (read.sign_in_url, read.script_url, read.allow_http) == ("http://sandbox:4012",) * 2 + (("sandbox",),)
    assert page == [200, 403, 403]
    assert any("Other machines may reach it" in line for line in lines)


def test_browsers_may_need_another_url_than_the_app() -> None:
    """As in Codespaces, where each port has a host of its own."""
    with Sandbox(browser_url="https://name-{port}.app.github.dev/") as sandbox, httpx2.Client(trust_env=False) as http:
        settings = sandbox.environment()
        port = int(sandbox.api_url.rpartition(":")[2])
        local = settings["CONFIGURE_SIGN_IN_URL"].rpartition("-")[2].partition(".")[0]
        script = http.get(f"http://127.0.0.1:{local}/js/configure.js").text

    assert settings["CONFIGURE_BASE_URL"] == f"http://127.0.0.1:{port}"
    assert re.fullmatch(r"https://name-[0-9]+\.app\.github\.dev", settings["CONFIGURE_ACCOUNTS_URL"])
    assert "CONFIGURE_ALLOW_HTTP" not in settings
    assert f'API = "https://name-{port}.app.github.dev"' in script


def test_callbacks_on_a_subdomain_of_localhost_can_be_registered(tmp_path: Path) -> None:
    """Browsers take every subdomain of localhost as loopback, so CONFIGURE_APP_URL may be one."""
    port, file = three_free_ports(), tmp_path / ".env"
    with program(port, "--write-env", str(file), "--app-url", "http://app.localhost:3000") as running:
        announced(running)
        moved = ("--login-path", "/shop/sign-in", "--link-path", "/shop/link")
        ended = python("-m", "configure_auth", "register-callback", "--env-file", str(file), *moved, env=environment())
        shown = httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).text

    assert (ended.returncode, ended.stderr) == (0, "")
    for path in ("auth/configure", "configure", "shop/sign-in", "shop/link"):
        assert f"http://app.localhost:3000/{path}/callback" in shown
