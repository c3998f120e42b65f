"""The bot example: what it knows of a user stays with the user, in the terminal and after the page."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx2
import pytest
from click.testing import Result
from flask import Flask

from configure_auth.sandbox import Sandbox
from example_apps.cli_bot import create_app

from ..support.flask_web import listening
from .test_demo import demo, examples, get, ports

__all__ = ["examples", "ports"]

PHONE = "+15550100001"
FACT = "I prefer window seats"
OWN = {"sec-fetch-site": "same-origin", "accept": "application/json"}


class Bot:
    """The bot's page, running, and its commands, each of which makes an app of its own, as a terminal does."""

    def __init__(self, sandbox: Sandbox, url: str, folder: Path) -> None:
        self.sandbox, self.url, self.folder = sandbox, url, folder

    def app(self) -> Flask:
        return create_app(self.sandbox.environment(self.url), instance_path=self.folder)

    def run(self, *words: str) -> Result:
        return self.app().test_cli_runner().invoke(args=words)

    def ask(self, name: str, text: str) -> str:
        result = self.run("ask", name, text)
        assert result.exit_code == 0, result.output
        return result.output.strip()

    def invite(self, name: str) -> str:
        """A new password."""
        said = self.run("invite", name).output
        found = re.fullmatch(rf"{name} signs in at {self.url} with the password (\S+)\n", said)
        assert found
        return found[1]


@pytest.fixture
def bot(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Bot]:
    with listening() as (port, serve):
        bot = Bot(configure_sandbox, f"http://localhost:{port}", tmp_path)
        with serve(bot.app()):
            yield bot


class Visitor:
    """A browser on the page."""

    def __init__(self, bot: Bot, http: httpx2.Client) -> None:
        self.bot, self.http = bot, http

    def page(self) -> str:
        return unescape(self.http.get("/").raise_for_status().text)

    def sign_in(self, name: str, password: str) -> int:
        fields = {"name": name, "password": password, "csrf_token": self.attribute("value")}
        return self.http.post("/sign-in", data=fields).status_code

    def attribute(self, name: str) -> str:
        """The first one of this name in the page."""
        found = re.search(rf'(?<=[ -]){name}="([^"]+)"', self.page())
        assert found
        return found[1]

    def prove_phone(self, phone: str = PHONE) -> None:
        """What the element does at Configure, with what it has in its attributes."""
        self.http.post(
            f"{self.bot.sandbox.api_url}/v1/auth/otp/verify",
            json={"phone": phone, "code": "000000", "external_id": self.attribute("external-id")},
            headers={"x-api-key": self.attribute("api-key")},
        ).raise_for_status()

    def hand_over(self) -> httpx2.Response:
        """What the page's script does with an agent token of the person's."""
        sandbox = self.bot.sandbox
        token = sandbox.issue_agent_token(sandbox.add_person(PHONE))
        return self.http.post(self.attribute("session"), json={"token": token}, headers=OWN)


@pytest.fixture
def visitor(bot: Bot) -> Iterator[Visitor]:
    with httpx2.Client(base_url=bot.url, trust_env=False) as http:
        yield Visitor(bot, http)


def test_the_bot_remembers_and_is_asked(bot: Bot) -> None:
    assert bot.ask("ada", FACT) == "I'll remember that."

    assert bot.ask("ada", "Which seats?") == f"You told me: {FACT}"
    assert bot.ask("ada", "Which hotel?") == bot.ask("bob", "Which seats?") == "I don't know that of you."
    sent = {call.headers["x-user-id"] for call in bot.sandbox.calls}
    assert len(sent) == 2
    assert all(re.fullmatch("user_[0-9a-f]{64}", external_id) for external_id in sent)


def test_what_it_knows_goes_with_whoever_connects_and_with_nobody_else(bot: Bot, visitor: Visitor) -> None:
    bot.ask("ada", FACT)
    bot.ask("bob", "I prefer the aisle seats")
    assert visitor.sign_in("ada", bot.invite("ada")) == 302

    visitor.prove_phone()
    assert visitor.hand_over().json() == {"connected": True, "next": "/?configure=connected"}

    page = visitor.page()
    assert f"<li>{FACT}</li>" in page
    assert "<configure-auth" not in page
    assert bot.sandbox.memories(bot.sandbox.people[0]) == (FACT,)
    assert bot.ask("ada", "Which seats?") == f"You told me: {FACT}"
    assert bot.ask("ada", "I prefer late breakfasts") == "I'll remember that."
    assert bot.sandbox.memories(bot.sandbox.people[0]) == (FACT, "I prefer late breakfasts")
    assert bot.ask("bob", "Which seats?") == "You told me: I prefer the aisle seats"
    assert bot.sandbox.commits_owed == 0


def test_after_a_disconnect_the_bot_knows_nothing_any_more(bot: Bot, visitor: Visitor) -> None:
    bot.ask("ada", FACT)
    visitor.sign_in("ada", bot.invite("ada"))
    visitor.prove_phone()
    visitor.hand_over()

    visitor.http.post("/configure/disconnect", headers={"sec-fetch-site": "same-origin"})

    assert bot.ask("ada", "Which seats?") == "I don't know that of you."
    assert "<configure-auth" in visitor.page()


def test_access_that_was_taken_back_is_said_in_the_terminal_and_mended_on_the_page(bot: Bot, visitor: Visitor) -> None:
    visitor.sign_in("ada", bot.invite("ada"))
    visitor.prove_phone()
    visitor.hand_over()
    bot.sandbox.revoke_approval(bot.sandbox.people[0])

    result = bot.run("ask", "ada", "Which seats?")

    why = f"Configure no longer accepts the connection of ada, who can connect again at {bot.url}"
    assert (result.exit_code, result.output) == (1, f"Error: {why}\n")
    page = visitor.page()
    assert "Configure no longer accepts this connection." in page
    assert "for Memo alone so far" not in page
    assert "<configure-auth" in page
    assert visitor.hand_over().status_code == 200
    assert bot.ask("ada", "Which seats?") == "I don't know that of you."


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_how_a_sign_in_ended_is_shown_once(bot: Bot, visitor: Visitor, is_signed_in: bool) -> None:
    if is_signed_in:
        visitor.sign_in("ada", bot.invite("ada"))

    for outcome, notice in (
        ("connected", "is connected."),
        ("cancelled", "You cancelled."),
        ("typed", 'class="notice"'),
    ):
        shown = visitor.http.get("/", params={"configure": outcome}, follow_redirects=True)
        assert shown.url.query == b""
        assert (notice in shown.text) == (outcome != "typed")
        assert notice not in visitor.page()


def test_access_that_was_taken_back_is_noticed_by_the_page_too(bot: Bot, visitor: Visitor) -> None:
    visitor.sign_in("ada", bot.invite("ada"))
    visitor.prove_phone()
    visitor.hand_over()
    bot.sandbox.revoke_approval(bot.sandbox.people[0])

    assert "<configure-auth" in visitor.page()


def test_an_outage_is_one_line(bot: Bot, visitor: Visitor) -> None:
    visitor.sign_in("ada", bot.invite("ada"))
    visitor.prove_phone()
    visitor.hand_over()
    bot.sandbox.fault("/v1/profile/search", status=503)
    bot.sandbox.fault("/v1/profile/remember", status=503)

    for text in (FACT, "Which seats?"):
        result = bot.run("ask", "ada", text)
        assert (result.exit_code, result.output) == (1, "Error: Configure doesn't answer just now (SERVER_ERROR).\n")
    assert "Configure doesn't answer just now." in visitor.page()


def test_only_who_was_invited_signs_in(bot: Bot, visitor: Visitor) -> None:
    bot.ask("bob", FACT)
    password = bot.invite("ada")

    for name, given in (("ada", "guessed"), ("ada", ""), ("bob", ""), ("bob", password), ("eve", password), ("", "")):
        assert visitor.sign_in(name, given) == 401, name
        assert "external-id" not in visitor.page()
    assert visitor.sign_in("ada", bot.invite("ada")) == 302
    assert visitor.sign_in("ada", password) == 401, "a new password ends the old one"


def test_a_form_of_another_site_signs_nobody_in_or_out(bot: Bot, visitor: Visitor) -> None:
    password = bot.invite("ada")
    assert visitor.http.post("/sign-in", data={"name": "ada", "password": password}).status_code == 400

    visitor.sign_in("ada", password)
    assert visitor.http.post("/sign-out").status_code == 400
    assert "Hello, ada." in visitor.page()
    assert visitor.http.post("/sign-out", data={"csrf_token": visitor.attribute("value")}).status_code == 302
    assert "Hello" not in visitor.page()


def test_the_policy_has_the_two_lines_of_the_readme(bot: Bot, visitor: Visitor) -> None:
    policy = visitor.http.get("/").headers["Content-Security-Policy"].split("; ")

    assert f"script-src 'self' {bot.sandbox.script_url}" in policy
    assert f"connect-src 'self' {bot.sandbox.api_url}" in policy
    assert "unsafe" not in " ".join(policy)


@pytest.mark.extended
def test_the_demo_s_own_lines_work_in_another_terminal(examples: Path, ports: tuple[int, int]) -> None:
    name = f"somebody-{os.getpid()}"  # the demo's database stays
    with demo(examples, *ports, "bot") as run:
        said = run.await_line("Ctrl-C")
        lines = [line.strip() for line in said.splitlines() if line.startswith("    bot")]
        shell = subprocess.run(
            ["sh", "-euc", "\n".join(lines).replace("ada", name)],
            cwd=examples,
            env={key: value for key, value in os.environ.items() if not key.startswith("CONFIGURE_")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        status, page = get("127.0.0.1", ports[0], "/")

    remembered, told, invited = shell.stdout.splitlines()
    assert (shell.returncode, shell.stderr) == (0, "")
    assert (remembered, told) == ("I'll remember that.", "You told me: I prefer window seats")
    assert invited.startswith(f"{name} signs in at http://localhost:{ports[0]} with the password ")
    assert (status, "Sign in" in page) == (200, True)
