"""The message agent example over HTTP and in a terminal: who is answered by name, and who isn't."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from configure_auth.flows import site
from configure_auth.sandbox import Sandbox
from example_apps.message_agent.agent import CONNECTED, answer, answer_in_web_app
from example_apps.message_agent.threads import PHONES

from ..browser.apps import MESSAGE_AGENT, Served, Variation, serving

ROOT = Path(__file__).parents[2]
ADA, BOB = PHONES["ada"], PHONES["bob"]
SAY_CONNECT = 'Say "connect", and I\'ll know who you are.'
HINT = f" ({SAY_CONNECT})"
DROPPED = f" (Your link was followed with another phone, so I dropped it. {SAY_CONNECT})"
AWAY = " (Configure doesn't answer just now, so I can't tell who you are.)"


class Phones:
    """Two people's phones: what each of them writes, and what they read."""

    def __init__(self, served: Served, http: httpx2.Client) -> None:
        self.served, self.http = served, http

    @property
    def sandbox(self) -> Sandbox:
        return self.served.sandbox

    def post(self, sender: str, text: str, site: str = "same-origin") -> int:
        headers = {"sec-fetch-site": site}
        return self.http.post(f"{self.served.url}/threads/{sender}", content=text, headers=headers).status_code

    def say(self, sender: str, text: str) -> str:
        """Send a message; what the agent says to it."""
        assert self.post(sender, text) == 204
        return self.read(sender)[-1]

    def connect(self, sender: str) -> str:
        """Ask for the link."""
        return link_in(self.say(sender, "connect"))

    def follow(self, link: str, phone: str) -> None:
        """Sign in behind a link; Configure reports it to the app before this returns."""
        before = len(self.sandbox.completions)
        self.sandbox.sign_in(link, phone)
        assert {(one.status, one.error) for one in self.sandbox.completions[before:]} == {(200, None)}

    def read(self, sender: str) -> list[str]:
        messages = self.http.get(f"{self.served.url}/threads?after=0").json()
        return [message["text"] for message in messages if message["sender"] == sender]

    def calls(self, path: str) -> int:
        return len([call for call in self.sandbox.calls if call.path == path])


def link_in(text: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\S+", text)
    assert found, text
    return found[0]


@pytest.fixture
def served(configure_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(site, "time", SimpleNamespace(time=configure_sandbox.clock))
    configure_sandbox.add_person(ADA, name="Ada Lovelace")
    with serving(MESSAGE_AGENT, configure_sandbox, tmp_path, Variation()) as running:
        yield running


@pytest.fixture
def phones(served: Served) -> Iterator[Phones]:
    with httpx2.Client(trust_env=False) as http:
        yield Phones(served, http)


# ── the web app ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sender", ["server", "page", "both"])
def test_a_conversation(phones: Phones, sender: Any) -> None:
    phones.sandbox.variants.completion_sender = sender
    assert phones.say("ada", "hello") == f"I hear you: hello{HINT}"

    phones.follow(phones.connect("ada"), ADA)
    assert phones.read("ada")[-1] == CONNECTED
    assert phones.read("ada").count(CONNECTED) == 1
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"
    assert phones.say("ada", "Connect ") == CONNECTED
    assert phones.say("bob", "hello") == f"I hear you: hello{HINT}"

    assert phones.say("ada", "disconnect") == "Done. I no longer know who you are."
    asked = phones.calls("/v1/auth/sign-in/recognize-phone")
    assert phones.say("ada", "hello") == f"I hear you: hello{HINT}"
    assert phones.calls("/v1/auth/sign-in/recognize-phone") == asked
    phones.follow(phones.connect("ada"), ADA)
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"


def test_who_has_let_the_agent_in_elsewhere_needs_no_link(phones: Phones) -> None:
    phones.sandbox.issue_agent_token(phones.sandbox.add_person(BOB, name="Bob"))

    assert phones.say("bob", "connect") == CONNECTED
    assert phones.say("bob", "hello") == "Bob, I hear you: hello"


def test_each_is_answered_by_their_own_name(phones: Phones) -> None:
    phones.sandbox.add_person(BOB, name="Bob")
    links = {sender: phones.connect(sender) for sender in PHONES}
    for sender in ("bob", "ada"):
        phones.follow(links[sender], PHONES[sender])

    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"
    assert phones.say("bob", "hello") == "Bob, I hear you: hello"


@pytest.mark.parametrize("bob", ["unknown", "known", "connected"])
def test_somebody_else_followed_the_link(phones: Phones, bob: str) -> None:
    """By his phone Bob is nobody that Configure knows, or somebody, or somebody who has let the agent in elsewhere."""
    link = phones.connect("bob")
    if bob != "unknown":
        person = phones.sandbox.add_person(BOB, name="Bob")
    if bob == "connected":
        phones.sandbox.issue_agent_token(person)
    phones.follow(link, ADA)
    assert phones.read("bob")[-1] == CONNECTED

    said = phones.say("bob", "hello")

    assert said == ("Bob, I hear you: hello" if bob == "connected" else f"I hear you: hello{DROPPED}")
    if bob != "connected":
        assert phones.say("bob", "hello") == f"I hear you: hello{HINT}", "told once"
    assert not any("Ada" in text for text in phones.read("bob"))
    assert phones.calls("/v1/profile") == (bob == "connected")
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"


def test_a_link_is_for_one_sign_in_and_15_minutes(phones: Phones) -> None:
    used, late = phones.connect("ada"), phones.connect("bob")
    phones.follow(used, ADA)
    phones.sandbox.sign_in(used, BOB)
    phones.sandbox.advance(901)
    phones.sandbox.sign_in(late, BOB)

    assert [one.status for one in phones.sandbox.completions] == [200, 404, 404]
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"
    assert CONNECTED not in phones.read("bob")


def test_a_cancelled_sign_in_changes_nothing(phones: Phones) -> None:
    link = phones.connect("ada")

    phones.sandbox.sign_in(link, ADA, cancel=True)

    assert phones.read("ada")[-1] == f"This link is for you alone, and good for 15 minutes: {link}"
    assert phones.say("ada", "hello") == f"I hear you: hello{HINT}"


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}, {"body": b"<html>"}], ids=["503", "drop", "html"])
def test_the_agent_goes_on_without_configure(phones: Phones, fault: dict[str, Any]) -> None:
    phones.follow(phones.connect("ada"), ADA)
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"
    for path in ("/v1/profile", "/v1/auth/sign-in/validate", "/v1/auth/sign-in/recognize-phone"):
        phones.sandbox.fault(path, **fault)

    assert phones.say("ada", "hello") == "I hear you: hello"
    assert phones.say("ada", "connect") == CONNECTED
    assert phones.say("bob", "hello") == f"I hear you: hello{AWAY}"
    link = phones.connect("bob")
    assert phones.say("bob", "disconnect") == "Done. I no longer know who you are."
    phones.sandbox.add_person(BOB, name="Bob")

    phones.sandbox.clear_faults()
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"
    phones.sandbox.sign_in(link, BOB)
    assert phones.sandbox.completions[-1].status == 404  # who disconnects ends the links on their way, too
    assert phones.say("bob", "hello") == f"I hear you: hello{HINT}"


def test_access_that_was_taken_back_is_told_once_and_why(phones: Phones) -> None:
    phones.follow(phones.connect("ada"), ADA)
    assert phones.say("ada", "hello") == "Ada Lovelace, I hear you: hello"
    phones.sandbox.revoke_approval(phones.sandbox.people[0])
    phones.sandbox.advance(601)

    why = "Configure no longer accepts our connection, so I dropped it."
    assert phones.say("ada", "connect").startswith(f"{why} This link is for you alone")
    assert phones.say("ada", "hello") == f"I hear you: hello{HINT}"


def test_somebody_without_a_name_is_heard_all_the_same(phones: Phones) -> None:
    phones.follow(phones.connect("bob"), BOB)

    assert phones.say("bob", "hello") == "I hear you: hello"


def test_no_phone_is_in_a_log(phones: Phones, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    phones.follow(phones.connect("bob"), ADA)
    phones.say("bob", "hello")
    phones.sandbox.fault("/v1/auth/sign-in/recognize-phone", status=503)
    phones.sandbox.advance(30)
    phones.say("bob", "hello")

    told = [record for record in caplog.records if record.levelname != "DEBUG"]
    ours = [record.getMessage() for record in told if record.name.startswith("configure_auth")]
    assert [message.partition(":")[0] for message in ours] == [
        "the link of a sender is deleted",
        "failed to look up the sender of a message at Configure",
    ]
    assert "0100001" not in caplog.text
    assert "0100002" not in caplog.text


@pytest.mark.parametrize(
    ("sender", "site"), [("eve", "same-origin"), ("ada", "cross-site"), ("ada", "same-site"), ("ada", "none")]
)
def test_only_the_page_s_own_messages_are_taken(phones: Phones, sender: str, site: str) -> None:
    assert phones.post(sender, "hello", site) == 403
    assert phones.read(sender) == []


def test_the_page_forbids_what_it_does_not_need(phones: Phones) -> None:
    page = phones.http.get(f"{phones.served.url}/")

    assert page.headers["content-security-policy"] == "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
    assert all(phone in page.text for phone in PHONES.values())


def test_both_turns_are_the_same() -> None:
    def plain(turn: Callable[..., Any]) -> str:
        return re.sub(r"\b(async|await) ", "", inspect.getsource(turn)).partition("\n")[2]

    assert plain(answer_in_web_app).replace("configure_auth", "agent") == plain(answer)


# ── the terminal ──────────────────────────────────────────────────────────────────────────────────────────────────────

PROGRAM = (
    "import sys; from pathlib import Path; from example_apps.message_agent.terminal import main; "
    "main(sys.argv[1], Path(sys.argv[2]))"
)


class Terminal:
    """The program, with a sender at its keyboard."""

    def __init__(self, sender: str, folder: Path, settings: dict[str, str]) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("CONFIGURE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, sender, str(folder)],
            cwd=ROOT,
            env=own | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def read(self) -> str:
        """The next line; waits for it."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def say(self, text: str) -> str:
        self.write(text)
        return self.read()

    def end(self) -> tuple[str, str, int]:
        """Press Ctrl-D: what was shown until the end, what was complained of, and the exit code."""
        with self.process as process:  # not `communicate`, which knows nothing of what `read` has taken in already
            assert process.stdin
            assert process.stdout
            assert process.stderr
            process.stdin.close()
            return process.stdout.read(), process.stderr.read(), process.wait()


@pytest.fixture
def sit_down(served: Served) -> Iterator[Callable[[str], Terminal]]:
    """Open a terminal for a sender, and read its first line."""
    with ExitStack() as stack:

        def open_terminal(sender: str) -> Terminal:
            terminal = Terminal(sender, served.folder, served.sandbox.environment(served.url))
            stack.enter_context(terminal.process)
            stack.callback(terminal.process.kill)
            assert terminal.read() == 'Say "connect", "disconnect" or anything else; Ctrl-D ends.'
            return terminal

        yield open_terminal


def test_the_same_threads_in_a_terminal(phones: Phones, sit_down: Callable[[str], Terminal]) -> None:
    ada, bob = sit_down("ada"), sit_down("bob")
    assert ada.say("hello") == f"Echo: I hear you: hello{HINT}"

    phones.follow(link_in(ada.say("connect")), ADA)
    assert ada.read() == f"Echo: {CONNECTED}"  # by itself
    assert ada.say("hello") == "Echo: Ada Lovelace, I hear you: hello"
    assert phones.say("ada", "from the page") == "Ada Lovelace, I hear you: from the page"
    assert ada.read() == "Echo: Ada Lovelace, I hear you: from the page"
    assert bob.say("hello") == f"Echo: I hear you: hello{HINT}"
    assert phones.read("bob") == ["hello", f"I hear you: hello{HINT}"]

    assert ada.say("disconnect") == "Echo: Done. I no longer know who you are."
    assert phones.say("ada", "hello") == f"I hear you: hello{HINT}"
    assert [ada.end(), bob.end()] == [(f"Echo: I hear you: hello{HINT}\n", "", 0), ("", "", 0)]


def test_a_terminal_shows_the_thread_so_far_and_ends_once_it_has_answered(
    phones: Phones, sit_down: Callable[[str], Terminal]
) -> None:
    phones.say("ada", "hello")
    phones.say("bob", "hi")

    terminal = sit_down("ada")
    terminal.write("one")
    terminal.write("two")

    assert terminal.end() == (
        f"You: hello\nEcho: I hear you: hello{HINT}\nEcho: I hear you: one{HINT}\nEcho: I hear you: two{HINT}\n",
        "",
        0,
    )


def test_a_terminal_notices_that_somebody_else_followed_the_link(
    phones: Phones, sit_down: Callable[[str], Terminal]
) -> None:
    bob = sit_down("bob")

    phones.follow(link_in(bob.say("connect")), ADA)

    assert bob.read() == f"Echo: {CONNECTED}"
    assert bob.say("hello") == f"Echo: I hear you: hello{DROPPED}"
    assert bob.end() == ("", "the link of a sender is deleted: contradicted\n", 0)


@pytest.mark.extended
def test_a_terminal_without_configure_goes_on(served: Served, sit_down: Callable[[str], Terminal]) -> None:
    served.sandbox.fault("/v1/auth/sign-in/recognize-phone", status=503)
    ada = sit_down("ada")

    assert ada.say("hello") == f"Echo: I hear you: hello{AWAY}"

    shown, errors, status = ada.end()
    assert (shown, status) == ("", 0)
    assert errors.startswith("failed to look up the sender of a message at Configure: ")
    assert "0100001" not in errors


def test_ctrl_c_ends_a_terminal_quietly(sit_down: Callable[[str], Terminal]) -> None:
    ada = sit_down("ada")
    ada.say("hello")

    ada.process.send_signal(signal.SIGINT)

    assert ada.end() == ("", "", 0)


@pytest.mark.parametrize(
    ("sender", "sentence"),
    [
        ("eve", r"Whose thread\? Say one of: ada, bob\n"),
        ("ada", r"not set: CONFIGURE_API_KEY .*\n\(`make demo APP=message` sets all of them\.\)\n"),
    ],
)
def test_a_terminal_that_cannot_begin_says_why(tmp_path: Path, sender: str, sentence: str) -> None:
    shown, errors, status = Terminal(sender, tmp_path, {}).end()

    assert (shown, status) == ("", 1)
    assert re.fullmatch(sentence, errors)


@pytest.mark.extended
def test_a_terminal_finds_the_settings_that_the_demo_left(served: Served) -> None:
    settings = served.sandbox.environment(served.url)
    (served.folder / "demo.env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    terminal = Terminal("ada", served.folder, {})

    terminal.read()
    assert link_in(terminal.say("connect")).startswith(served.sandbox.sign_in_url)
    assert terminal.end() == ("", "", 0)
