"""How `verify` tells its findings: in lines, as JSON, on a terminal; and that it tells nobody a secret."""

from __future__ import annotations

import json
import logging
import os
import socket

import pytest

from configure_auth.commands.checks.process import reserved_stdout

from ..support.stores import first
from .screens import show, shown
from .setups import KEYS, STORE_PASSWORD, SetUp, Somebody

ENDS = ("passed", "warned", "failed", "unknown", "skipped")
MARKS = {"✓", "!", "✗", "?", "-"}
NAMES = [
    "CONFIGURE_API_KEY",
    "CONFIGURE_PUBLISHABLE_KEY",
    "CONFIGURE_AGENT",
    "CONFIGURE_OAUTH_CLIENT_ID",
    "CONFIGURE_OAUTH_CLIENT_SECRET",
    "CONFIGURE_APP_URL",
    "CONFIGURE_TOKEN_KEYS",
    "CONFIGURE_STORE",
    "CONFIGURE_BASE_URL",
    "CONFIGURE_ACCOUNTS_URL",
    "CONFIGURE_SIGN_IN_URL",
    "CONFIGURE_SCRIPT_URL",
    "api_key",
    "agent",
    "callback",
    "authorize",
    "accounts",
    "return_to",
    "sign_in_page",
    "script",
]
"""Scripts read these: none of them may change."""


def spoil(setup: SetUp) -> None:
    """One finding of each kind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
    setup.sandbox.register_scopes("profile.search")
    setup.change(CONFIGURE_TOKEN_KEYS=None, CONFIGURE_SIGN_IN_URL=dead)


# In lines


def test_what_is_piped_has_a_line_for_each_check_and_no_escape_code(setup: SetUp) -> None:
    spoil(setup)
    told = setup.run("--offline")

    assert (told.code, told.stderr) == (1, "")
    assert told.stdout.isascii()
    assert "\x1b" not in told.stdout
    assert "\r" not in told.stdout
    *lines, summary = told.stdout.splitlines()
    firsts = [line.split(" ")[0] for line in lines if not line.startswith("        do: ")]
    assert set(firsts) == set(ENDS)
    assert summary == ", ".join(f"{firsts.count(end)} {end}" for end in ENDS)
    for line, after in zip(lines, [*lines[1:], summary], strict=True):
        needs_a_way_out = line.startswith(("warned", "failed", "unknown"))
        assert after.startswith("        do: ") == needs_a_way_out or line.startswith("        do: ")


# As JSON


def test_json_is_one_object_with_stable_names(setup: SetUp) -> None:
    told = setup.run("--offline", "--json")

    assert (told.code, told.stderr) == (0, "")
    assert told.stdout.isascii()
    said = json.loads(told.stdout)
    assert set(said) == {"exit_code", "checks"}
    assert said["exit_code"] == 0
    assert [check["name"] for check in said["checks"]] == NAMES
    for check in said["checks"]:
        assert set(check) == {"name", "title", "end", "found", "remedy"}
        assert check["end"] == "passed"
        assert check["remedy"] is None


def test_json_has_a_remedy_for_whatever_is_not_right(setup: SetUp) -> None:
    spoil(setup)
    told = setup.verify()

    assert {check["end"] for check in told.checks.values()} == set(ENDS)
    for check in told.checks.values():
        assert bool(check["remedy"]) == (check["end"] in ("warned", "failed", "unknown"))
        assert check["found"]


def test_the_names_of_a_sign_in_are_stable_too(setup: SetUp, somebody: Somebody) -> None:
    setup.change(CONFIGURE_API_KEY=None)
    told = setup.sign_in()

    assert list(told.checks)[-3:] == ["sign_in", "exchange", "profile_read"]
    assert somebody.opened == []


# On a terminal


def test_a_terminal_gets_marks_in_colour_and_sees_what_goes_on(setup: SetUp) -> None:
    spoil(setup)
    screen = shown(setup)

    assert (screen.told.code, screen.told.stderr) == (1, "")
    assert "… the key at Configure" in screen.written
    for number in (31, 32, 33):
        assert f"\x1b[{number}m" in screen.written
    lines = screen.text.splitlines()
    assert {line[0] for line in lines if line[1:2] == " " and line[0] != " "} == MARKS
    # What went on has gone.
    assert [line for line in lines if "…" in line] == []
    assert lines[-1].endswith("skipped")


def test_a_terminal_says_what_lines_say(setup: SetUp) -> None:
    spoil(setup)
    screen, told = shown(setup), setup.verify()

    lines = screen.text.splitlines()
    for check in told.checks.values():
        assert any(line[2:] == f"{check['title']}: {check['found']}" for line in lines)
        assert check["remedy"] is None or f"  → {check['remedy']}" in lines


@pytest.mark.parametrize("columns", first([10, 24, 39, 80]))
def test_a_narrow_terminal_shows_the_same(setup: SetUp, columns: int) -> None:
    spoil(setup)
    narrow = shown(setup, columns=columns)

    assert all(len(row) <= columns for row in narrow.rows)
    assert "…" not in narrow.text
    assert narrow.text == show(narrow.written, 10_000)[1]


@pytest.mark.extended
def test_no_color_leaves_the_colours_out(setup: SetUp) -> None:
    screen = shown(setup, NO_COLOR="1")

    assert "m" not in {piece[-1:] for piece in _escapes(screen.written)}
    assert "… the key at Configure" in screen.written
    assert "✓ the key at Configure: Configure accepts it" in screen.rows


@pytest.mark.extended
def test_an_empty_no_color_is_none(setup: SetUp) -> None:
    assert "\x1b[32m" in shown(setup, NO_COLOR="").written


@pytest.mark.parametrize(("name", "value"), first([("TERM", "dumb"), ("PYTHONIOENCODING", "ascii")], rows=True))
def test_a_terminal_that_can_do_little_gets_lines(setup: SetUp, name: str, value: str) -> None:
    spoil(setup)
    setup.change(**{name: value})
    screen = shown(setup)

    assert screen.told.code == 1
    assert "\x1b" not in screen.written
    assert screen.written.isascii()
    assert "passed  the key at Configure: Configure accepts it" in screen.text.splitlines()


@pytest.mark.extended
def test_json_is_json_on_a_terminal_too(setup: SetUp) -> None:
    screen = shown(setup, "--json", columns=10_000)

    assert "\x1b" not in screen.written
    assert json.loads(screen.written)["exit_code"] == 0


@pytest.mark.parametrize("kind", first(["lines", "terminal", "json"]))
def test_what_others_say_gives_a_terminal_no_orders(setup: SetUp, kind: str) -> None:
    # The name of a variable is told, if it is like one of ours; so is the agent that Configure names.
    setup.change(**{"CONFIGURE_AGENT\x1b[2J\x07\u202e": "x"})

    if kind == "terminal":
        screen = shown(setup, columns=10_000)
        said = screen.text
        assert "\x07" not in screen.written
        assert "\u202e" not in screen.written
    else:
        said = setup.run("--offline", *(["--json"] if kind == "json" else [])).stdout
        assert said.replace("\n", "").isprintable()
    wanted = "\\u001b[2J\\u0007\\u202e" if kind == "json" else "\\x1b[2J\\x07\\u202e"
    assert f"CONFIGURE_AGENT{wanted}" in said


def test_a_name_that_cannot_be_written_here_is_escaped(setup: SetUp) -> None:
    setup.change(CONFIGURE_AGENTÉ="x", PYTHONIOENCODING="ascii")

    assert "CONFIGURE_AGENT\\xc9" in setup.run("--offline").stdout


def test_within_another_program_standard_output_is_only_borrowed(capfd: pytest.CaptureFixture[str]) -> None:
    with reserved_stdout() as out:
        print("noise")
        os.write(1, b"more noise\n")
        print("report", file=out)
    print("after")
    os.write(1, b"after all\n")

    said = capfd.readouterr()
    assert sorted(said.out.split("\n")) == ["", "after", "after all", "report"]
    assert sorted(said.err.split("\n")) == ["", "more noise", "noise"]


def _escapes(written: str) -> list[str]:
    pieces = written.split("\x1b[")[1:]
    return [piece[: next(n for n, letter in enumerate(piece) if letter.isalpha()) + 1] for piece in pieces]


# Secrets


@pytest.mark.parametrize("is_link", [False, True])
def test_nothing_secret_is_logged_or_told(
    somebody: Somebody,
    free: SetUp,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    is_link: bool,
) -> None:
    if is_link:
        free.change(CONFIGURE_OAUTH_CLIENT_ID=None, CONFIGURE_OAUTH_CLIENT_SECRET=None)
    with caplog.at_level(logging.DEBUG):
        told = free.sign_in()

    assert (told.code, told.troubles, told.checks["profile_read"]["end"]) == (0, {}, "passed")
    # The keys, the store's password, tokens, the code and, for the login, its verifier.
    assert len(free.secrets) >= 7
    assert {STORE_PASSWORD, *KEYS.split(", ")} < free.secrets
    # What the person's own client logs is no matter of ours.
    assert somebody.thread not in ("", "MainThread")
    records = [record for record in caplog.records if record.threadName != somebody.thread]
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in records)
    [state] = {call.query["state"] for call in free.sandbox.calls if "state" in call.query} - {"configure_auth_verify"}
    said = logged + "".join(capfd.readouterr())
    assert [secret for secret in {state, *free.secrets} if secret in said] == []


@pytest.mark.parametrize("name", ["CONFIGURE_STORE", "CONFIGURE_STATES"])
def test_the_url_of_a_store_is_not_shown(setup: SetUp, name: str) -> None:
    setup.change(**{name: f"redis://:{STORE_PASSWORD}@cache.internal/0"})
    told = setup.verify()

    assert told.checks[name]["found"] == "is set"
    assert "cache.internal" not in told.stdout


@pytest.mark.parametrize(
    "name",
    [
        "CONFIGURE_AGENT",
        "CONFIGURE_OAUTH_CLIENT_ID",
        "CONFIGURE_APP_URL",
        "CONFIGURE_BASE_URL",
        "CONFIGURE_SSO_REDIRECT_URI",
        "CONFIGURE_TOKEN_KEY",
    ],
)
@pytest.mark.parametrize("shape", ["{}", '"{}"', "https://user:{}@shop.example.com", "https://shop.example.com?key={}"])
def test_a_secret_in_the_wrong_place_is_not_told(setup: SetUp, name: str, shape: str) -> None:
    setup.change(**{name: shape.format(setup.sandbox.credentials.client_secret)})
    told = setup.verify()

    assert told.checks[name]["end"] in ("failed", "warned")
