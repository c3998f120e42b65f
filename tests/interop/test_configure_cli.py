"""`configure verify`, the check that Configure gives to developers, unchanged, against the sandbox."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from configure_auth.sandbox import Sandbox

from ..support.ports import free_port
from ..support.processes import is_readable
from .node import Ended, Node
from .people import answer

pytestmark = pytest.mark.extended

KEYS, KEY, CALLBACK = (
    ".env has the five credentials",
    "secret key is accepted",
    "OAuth client and callback are registered",
)
SECRET, PROFILE = "client secret exchanges the code for tokens", "configure_profile_read returns a profile"

_COLOURS: Final = {"31": "fail", "32": "pass", "33": "skip"}
_CHECK: Final = re.compile(r"^  \x1b\[(3\d)m.\x1b\[0m (.+?) \x1b\[2m(.*)\x1b\[0m$", re.MULTILINE)
_STYLE: Final = re.compile(r"\x1b\[\d+m")


def checks(ended: Ended) -> dict[str, str]:
    """What it says of each check: pass, fail or skip."""
    return {label: _COLOURS[colour] for colour, label, _ in _CHECK.findall(ended.stdout)}


def fault(ended: Ended) -> str:
    """What it says about the one check that failed, and that it failed by it."""
    assert ended.code == 1, ended.stdout
    [detail] = [detail for colour, _, detail in _CHECK.findall(ended.stdout) if colour == "31"]
    return str(detail)


@dataclass
class Project:
    """A developer's folder, with a `.env`."""

    node: Node
    sandbox: Sandbox
    folder: Path
    callback: str = "http://localhost:3000/auth/configure/callback"
    changes: dict[str, str] = field(default_factory=dict)

    def verify(self, *arguments: str) -> Ended:
        return self.node.run(*self._command(*arguments), environment=self._environment(), cwd=self.folder)

    @contextmanager
    def verifying(self) -> Iterator[Verifying]:
        """The whole check while it runs. It opens a browser by a program of the desktop, and this is ours."""
        opened = self.folder / "opened"
        os.mkfifo(opened)
        opener = self.folder / "bin" / "xdg-open"
        opener.parent.mkdir()
        opener.write_text(f"#!/bin/sh\nprintf %s \"$1\" >'{opened}'\n")
        opener.chmod(0o755)
        environment = self._environment() | {"PATH": f"{opener.parent}:{os.environ['PATH']}"}
        with (
            open(os.open(opened, os.O_RDONLY | os.O_NONBLOCK), "rb") as urls,
            self.node.start(*self._command(), environment=environment, cwd=self.folder) as process,
        ):
            yield Verifying(process, urls.fileno())

    def _command(self, *arguments: str) -> tuple[str, ...]:
        lines = (self.sandbox.environment() | self.changes).items()
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines))
        cli = str(self.node.cli("configure", "configure"))
        return (cli, "verify", "--redirect-uri", self.callback, *arguments)

    def _environment(self) -> dict[str, str]:
        return {"CONFIGURE_BASE_URL": self.sandbox.api_url}


@dataclass
class Verifying:
    process: subprocess.Popen[str]
    opened: int

    def url(self) -> str:
        """The address that it opens."""
        if not is_readable(self.opened, 30):
            self.process.kill()
            pytest.fail(f"it opened no browser: {self.process.communicate()}")
        return os.read(self.opened, 65536).decode()

    def end(self) -> Ended:
        stdout, stderr = self.process.communicate(timeout=30)
        return Ended(self.process.returncode, stdout, stderr)


@pytest.fixture
def project(node: Node, configure_sandbox: Sandbox, tmp_path: Path) -> Project:
    project = Project(node, configure_sandbox, tmp_path)
    configure_sandbox.register_redirect_uri(project.callback)
    return project


@pytest.fixture
def free(project: Project) -> Project:
    """With a callback that nobody listens at, for `configure verify` to do it."""
    project.callback = f"http://localhost:{free_port()}/auth/configure/callback"
    project.sandbox.register_redirect_uri(project.callback)
    return project


def asked(sandbox: Sandbox) -> list[tuple[str, str, str]]:
    return [(call.origin, call.method, call.path) for call in sandbox.calls]


def test_every_offline_check_passes(project: Project) -> None:
    ended = project.verify("--offline")

    assert (ended.code, ended.stderr) == (0, "")
    assert checks(ended) == {KEYS: "pass", KEY: "pass", CALLBACK: "pass", SECRET: "skip", PROFILE: "skip"}
    assert asked(project.sandbox) == [("api", "GET", "/v1/profile"), ("api", "GET", "/oauth/authorize")]


@pytest.mark.parametrize(
    ("changes", "label", "words"),
    [
        ({"CONFIGURE_API_KEY": "sk_local_other"}, KEY, "API key is not valid"),
        ({"CONFIGURE_OAUTH_CLIENT_ID": "oc_local_other"}, CALLBACK, "does not know this CONFIGURE_OAUTH_CLIENT_ID"),
        ({"CONFIGURE_OAUTH_CLIENT_ID": ""}, KEYS, "missing OAuth client id"),
        ({"CONFIGURE_PUBLISHABLE_KEY": "sk_local_other"}, KEYS, "CONFIGURE_PUBLISHABLE_KEY should start with pk_"),
    ],
    ids=["key", "client", "missing", "prefix"],
)
def test_a_wrong_credential_is_named(project: Project, changes: dict[str, str], label: str, words: str) -> None:
    project.changes = changes

    ended = project.verify("--offline")

    assert words in fault(ended)
    assert checks(ended)[label] == "fail"


def test_a_callback_that_is_not_registered_is_named(project: Project) -> None:
    project.callback += "/"

    ended = project.verify("--offline")

    assert fault(ended) == f"{project.callback} is not registered for this client"
    assert checks(ended)[CALLBACK] == "fail"


def test_a_scope_that_is_not_registered_is_named(project: Project) -> None:
    project.sandbox.register_scopes("profile.read", "profile.search")

    ended = project.verify("--offline")

    assert "client is not registered" in fault(ended)
    assert "Register a client with profile.read" in ended.stdout


def test_the_whole_check_passes_with_somebody_in_a_browser(free: Project, browser: Browser) -> None:
    sandbox = free.sandbox
    ada = sandbox.add_person(name="Ada Lovelace")
    page = browser.new_page()
    with free.verifying() as verifying:
        url = verifying.url()
        answer(page, url)
        expect(page.get_by_text("Sign-in received")).to_be_visible()
        ended = verifying.end()
    page.close()

    assert (ended.code, ended.stderr) == (0, "")
    assert checks(ended) == dict.fromkeys((KEYS, KEY, CALLBACK, SECRET, PROFILE), "pass")
    assert url in _STYLE.sub("", ended.stdout)
    asked_by_page = [("api", "GET", "/oauth/authorize"), *[("api", "POST", "/oauth/authorize")] * 3]
    assert asked(sandbox) == [
        ("api", "GET", "/v1/profile"),
        ("api", "GET", "/oauth/authorize"),
        *asked_by_page,
        ("api", "POST", "/oauth/token"),
        ("api", "GET", "/v1/profile"),
    ]
    [exchange], profile = sandbox.calls_to("POST", "/oauth/token"), sandbox.calls[-1]
    assert exchange.form["redirect_uri"] == free.callback
    [token] = [token for token in sandbox.tokens if token.kind == "access"]
    assert (token.user_id, profile.headers["authorization"]) == (ada.user_id, f"Bearer {token.token}")


def test_somebody_who_cancels_ends_the_check(free: Project, browser: Browser) -> None:
    page = browser.new_page()
    with free.verifying() as verifying:
        answer(page, verifying.url(), button="Cancel")
        expect(page.get_by_text("Sign-in did not complete")).to_be_visible()
        ended = verifying.end()
    page.close()

    assert ended.code == 1
    assert checks(ended) == {KEYS: "pass", KEY: "pass", CALLBACK: "pass", SECRET: "skip", PROFILE: "skip"}
    assert free.sandbox.calls_to("POST", "/oauth/token") == []


@pytest.mark.parametrize(
    ("name", "label", "words"),
    [
        ("CONFIGURE_OAUTH_CLIENT_SECRET", SECRET, "CONFIGURE_OAUTH_CLIENT_SECRET does not authenticate this client"),
        ("CONFIGURE_API_KEY", PROFILE, "CONFIGURE_API_KEY and CONFIGURE_OAUTH_CLIENT_ID belong to the same agent"),
    ],
    ids=["secret", "key"],
)
def test_a_credential_of_another_agent_is_named(
    free: Project, browser: Browser, name: str, label: str, words: str
) -> None:
    other = free.sandbox.add_agent("other-agent")
    free.changes = {name: other.client_secret if label == SECRET else other.api_key}
    page = browser.new_page()
    with free.verifying() as verifying:
        answer(page, verifying.url())
        expect(page.get_by_text("Sign-in received")).to_be_visible()
        ended = verifying.end()
    page.close()

    assert ended.code == 1
    assert checks(ended)[label] == "fail"
    assert words in ended.stdout
