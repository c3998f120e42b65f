"""A developer's set-up, and `python -m configure_auth verify` run on it as a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2
import pytest

from configure_auth.commands.main import main
from configure_auth.sandbox import Sandbox
from tests.public.running import environment
from tests.support.ports import free_port
from tests.support.processes import is_readable

from ..support.cli import cli_runner

__all__ = [
    "APP_URL",
    "KEYS",
    "LINK",
    "LOGIN",
    "STORE_PASSWORD",
    "SetUp",
    "Somebody",
    "Told",
    "Verifying",
    "skipped_for",
]

APP_URL = "http://localhost:3000"
LOGIN, LINK = "/auth/configure/callback", "/configure/callback"
KEYS = "a-key-of-this-app-to-seal-its-tokens, another-key-of-it-from-before-the-rotation"
STORE_PASSWORD = "the-password-of-the-shop"


@dataclass(frozen=True)
class Told:
    """What the command said before it ended."""

    code: int
    stdout: str
    stderr: str

    @cached_property
    def checks(self) -> dict[str, dict[str, Any]]:
        """The findings of `--json` by the names of their checks."""
        told = json.loads(self.stdout)
        assert told["exit_code"] == self.code
        named = {check["name"]: check for check in told["checks"]}
        assert len(named) == len(told["checks"]), "a name is told twice"
        return named

    @property
    def troubles(self) -> dict[str, str]:
        """The checks that neither passed nor were skipped, with their ends; of the app, not of its libraries."""
        ends = {name: check["end"] for name, check in self.checks.items() if not name.endswith("versions")}
        return {name: end for name, end in ends.items() if end not in ("passed", "skipped")}

    @property
    def reasons(self) -> dict[str, str]:
        """Why checks were skipped."""
        return {name: check["found"] for name, check in self.checks.items() if check["end"] == "skipped"}


@dataclass
class SetUp:
    """The environment of an app that is all right, until a test changes it."""

    sandbox: Sandbox
    folder: Path
    app_url: str = APP_URL
    variables: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    secrets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.move_to(self.app_url)

    def move_to(self, app_url: str) -> None:
        """Run the app at another address, which is registered as the first one was."""
        self.app_url = app_url
        self.variables = self.sandbox.environment(app_url) | {
            "CONFIGURE_TOKEN_KEYS": KEYS,
            "CONFIGURE_STORE": f"postgresql://shop:{STORE_PASSWORD}@db.internal/shop",
        }
        self.sandbox.register_redirect_uri(app_url + LOGIN)
        self.sandbox.register_return_to(app_url + LINK)
        self._remember()

    def move_to_a_free_port(self) -> None:
        """Have a callback that nobody listens at, for the command to do it."""
        self.move_to(f"http://localhost:{free_port()}")

    def change(self, **variables: str | None) -> None:
        """Set variables, or take them away."""
        for name, value in variables.items():
            self.variables.pop(name, None)
            if value is not None:
                self.variables[name] = value
        self._remember()

    def verify(self, *arguments: str) -> Told:
        """Run it for scripts and without a sign-in; within this process, whose start takes longer than all the rest."""
        return self.sign_in("--offline", *arguments)

    def sign_in(self, *arguments: str) -> Told:
        """Run all of it for scripts, with `Somebody`; within this process too."""
        foreign: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CONFIGURE_")}
        command = ["verify", *self.arguments, "--json", "--patience", "60", *arguments]
        ended = cli_runner().invoke(main, command, env={**foreign, **self.variables}, catch_exceptions=False)
        return self.told(ended.exit_code, ended.stdout, ended.stderr)

    def run(self, *arguments: str, **more: str) -> Told:
        """Run it as a program."""
        ended = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return self.told(ended.returncode, ended.stdout, ended.stderr)

    @contextmanager
    def verifying(self, *arguments: str, says: str = "", stays: bool = False) -> Iterator[Verifying]:
        """Run it with a sign-in while somebody is there. It opens a browser by a program, which is ours here.

        Args:
            says: what that program prints, as browsers do.
            stays: whether it ends after this, as a browser in the same terminal does when it is quit.
        """
        opened, quit_ = self.folder / "opened", self.folder / "quit"
        os.mkfifo(opened)
        os.mkfifo(quit_)
        end = f"exec >/dev/null 2>&1\nread key <'{quit_}'\n" if stays else ""
        opener = self.folder / "browser"
        opener.write_text(
            f"#!/bin/sh\nenv >'{self.folder / 'environment'}'\nprintf %s '{says}'\nprintf %s \"$1\" >'{opened}'\n{end}"
        )
        opener.chmod(0o755)
        with (
            open(os.open(opened, os.O_RDONLY | os.O_NONBLOCK), "rb") as urls,
            open(os.open(quit_, os.O_RDWR | os.O_NONBLOCK), "wb") as key,
            subprocess.Popen(
                self.command("--json", *arguments),
                cwd=self.folder,
                env=self.environment(BROWSER=f"{opener} %s"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                preexec_fn=_heed_interrupts,
            ) as process,
        ):
            try:
                yield Verifying(self, process, urls.fileno())
            finally:
                key.write(b"q\n")
                key.flush()
                if process.poll() is None:
                    process.kill()
                    process.communicate()

    def environment(self, **more: str) -> dict[str, str]:
        usual = {"PYTHONUTF8": "1", "TERM": "xterm-256color", "NO_COLOR": ""}
        return environment(**{**usual, **self.variables, **more})

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "configure_auth", "verify", *self.arguments, *arguments]

    def told(self, code: int, stdout: str, stderr: str) -> Told:
        """What it said, which has nothing secret in it, whatever went wrong."""
        self._remember()
        for said in (stdout, stderr):
            assert "Traceback" not in said, said
            assert [secret for secret in self.secrets if secret in said] == []
        return Told(code, stdout, stderr)

    def _remember(self) -> None:
        """Whatever must never be told, of what has been set or was sent so far."""
        for name in ("CONFIGURE_API_KEY", "CONFIGURE_OAUTH_CLIENT_SECRET", "CONFIGURE_TOKEN_KEYS"):
            self.secrets |= _parts(self.variables.get(name, ""))
        own = self.sandbox.credentials
        self.secrets |= {own.api_key, own.client_secret, STORE_PASSWORD}
        self.secrets |= {token.token for token in self.sandbox.tokens}
        for call in self.sandbox.calls:
            if call.path == "/oauth/token":
                self.secrets |= {call.form[name] for name in ("code", "code_verifier")}
            elif call.path == "/v1/auth/sign-in/exchange":
                self.secrets.add(call.json["code"])


def _parts(value: str) -> set[str]:
    # What somebody sets by mistake may be a public key, or a letter.
    parts = {part.strip(" \"'") for part in value.split(",")}
    return {part for part in parts if len(part) > 8 and not part.startswith(("pk_", "oc_"))}


@dataclass
class Verifying:
    """The command while it runs."""

    setup: SetUp
    process: subprocess.Popen[str]
    opened: int

    def url(self) -> str:
        """The address that it opens."""
        if not is_readable(self.opened, 60):
            self.process.kill()
            pytest.fail(f"it opened no browser: {self.process.communicate()}")
        return os.read(self.opened, 65536).decode()

    def end(self) -> Told:
        stdout, stderr = self.process.communicate(timeout=60)
        return self.setup.told(self.process.returncode, stdout, stderr)


def _heed_interrupts() -> None:
    # A shell starts background jobs, this test run perhaps, with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def nothing(setup: SetUp) -> None:
    """What most people do on their way back."""


@dataclass
class Somebody:
    """Signs in as soon as a browser is to be opened, without one.

    `meanwhile` happens when they are back from Configure and not yet at the callback. `thread` is where they were.
    """

    setup: SetUp
    cancels: bool = False
    meanwhile: Callable[[SetUp], None] = nothing
    opened: list[str] = field(default_factory=list)
    thread: str = ""

    def open(self, url: str) -> bool:
        """In the place of `webbrowser.open`."""
        self.opened.append(url)
        self.thread = threading.current_thread().name
        back = self.setup.sandbox.sign_in(url, cancel=self.cancels)
        self.meanwhile(self.setup)
        return httpx2.get(back, trust_env=False, timeout=30).is_success


def skipped_for(told: Told, reasons: Mapping[str, str]) -> bool:
    """Whether each skipped check needs one that is no good, or is skipped for a reason that was expected."""
    bad = (check for check in told.checks.values() if check["end"] not in ("passed", "warned"))
    needs = {f"needs: {check['title']}" for check in bad}
    return all(found in needs or found == reasons.get(name) for name, found in told.reasons.items())
