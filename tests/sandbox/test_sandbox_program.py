"""`python -m configure_auth sandbox` with people, failures and a page."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import httpx2
import pytest

from configure_auth.sandbox import Person, Sandbox, server
from configure_auth.sandbox.faults import WORDS
from tests.public.running import environment, python
from tests.readme.document import README, block, rows
from tests.support.ports import three_free_ports

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


def test_the_readme_s_seed_and_faults_can_be_used() -> None:
    sandbox = Sandbox()
    sandbox.seed(tomllib.loads(block("[[people]]").text))
    for line in re.findall(r'(?:--fault |script\()"([^"]+)"', README):
        sandbox.script(line)
    words = {words.strip("`") for words, _ in rows("word")}
    for word in words:
        sandbox.script(f"GET /oauth/authorize {word}{'' if re.match('status|drop|cut|drip', word) else ' status=503'}")

    assert {word.partition("=")[0] for word in words} == set(WORDS)
    (person,) = sandbox.people
    assert (person.name, len(sandbox.memories(person))) == ("Ada Lovelace", 1)
    named = set(re.findall(r"`(\w+)`", README[README.index("A person also has") : README.index("Endpoints fail as")]))
    assert named == {one.name for one in fields(Person)} - {"phone", "name", "email", "preferences"}


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(SEED)
    return path


def test_it_knows_the_people_and_says_where_to_look(seed: Path) -> None:
    port = three_free_ports()
    with program(port, "--seed", str(seed)) as running:
        lines = announced(running)
        page = next(line.removeprefix("What happens in it: ") for line in lines if line.startswith("What happens"))
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


@pytest.mark.parametrize("trouble", ["delay=3600", "drip=3600"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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
            "the fault '/v1/profile': nothing goes wrong",
        ),
        (["--seed", "nothing.toml"], "nothing.toml: it can't be read (No such file or directory)"),
        (["--seed", "wrong.json"], "wrong.json: people 1: there is no phone"),
        (["--app-url", "localhost:3000"], "--app-url: its callbacks can't be registered: redirect_uri must be"),
        (["--app-url", "http://app.example.com"], "--app-url: its callbacks can't be registered: redirect_uri must"),
    ],
)
def test_a_wrong_option_is_one_sentence_before_anything_is_served(
    tmp_path: Path, options: list[str], words: str
) -> None:
    (tmp_path / "wrong.json").write_text('{"people": [{"name": "Ada"}]}')
    port = three_free_ports()
    # The port is taken: that nobody speaks of it shows that nothing was opened yet.
    with socket.create_server(("127.0.0.1", port)):
        ended = python(
            "-m", "configure_auth", "sandbox", "--port", str(port), *options, cwd=tmp_path, env=environment()
        )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"Error: {words}")
    assert len(ended.stderr.splitlines()) == 1


def test_a_busy_port_is_one_sentence_beside_a_good_seed(seed: Path) -> None:
    port = three_free_ports()
    with socket.create_server(("127.0.0.1", port + 2)):
        ended = python("-m", "configure_auth", "sandbox", "--port", str(port), "--seed", str(seed))

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1)
    assert str(port + 2) in ended.stderr
