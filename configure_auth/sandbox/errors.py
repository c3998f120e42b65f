"""Errors of the program that runs a sandbox (those sent over HTTP are in `http_messages`).

Those of msgspec become sentences for the people who write seeds and faults.
"""

from __future__ import annotations

import re
from typing import Final, get_args

import msgspec

from .values import SCOPES, IdentityField, Origin

HANDLE: Final = r"\A[a-z0-9][a-z0-9-]{0,61}[a-z0-9]\Z"
_PLACE: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_WORDS: Final = {
    r"Expected `str` matching regex '\\S'": "it must not be blank",
    f"Expected `str` matching regex {HANDLE!r}": "it must be 2 to 63 of a-z, 0-9 and hyphens, with no hyphen at an end",
    "Object contains unknown": "unknown",
    "Object missing required": "missing",
    "Expected ": "expected ",
    "Invalid enum value": "invalid value",
    " | null": "",
    "`": "",
}
_CHOICES: Final = {"hidden": get_args(IdentityField), "scopes": SCOPES, "origin": get_args(Origin)}


class SandboxError(Exception):
    """Base class of the sandbox's own errors."""


class PortInUse(SandboxError):
    """One of the three ports is in use, on the given address or on ::1."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} on this machine is already in use; choose another one with --port")
        self.port = port


class OptionError(SandboxError):
    """An option of the sandbox can't be used. Arguments: its name, and what to change."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")


class NotRunning(SandboxError):
    """The sandbox was asked for an address before `start()`."""


class SeedError(SandboxError):
    """A seed can't be used.

    Arguments: what the seed is called, the place in it (empty for the whole), and what to change there.
    """

    def __init__(self, source: str, place: str, reason: str) -> None:
        super().__init__(": ".join(filter(None, [source, place, reason])))
        self.place = place


class FaultError(SandboxError):
    """The line of a fault can't be used. Arguments: the line, and what to change in it."""

    def __init__(self, line: str, reason: str) -> None:
        super().__init__(f"the fault {line!r}: {reason}")


class SignInFailed(SandboxError):
    """The sandbox showed an error page, or a page that could not be submitted.

    Arguments: the page's text, and its HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.text = text
        self.status = status


def place_of(error: msgspec.ValidationError) -> str:
    """Return where in the input an error is: "people 2, name", counted from 1; "" for the whole."""
    found = _PLACE.search(str(error))
    steps = _STEP.findall(found[1]) if found else []
    return "".join(f", {name}" if name else f" {int(number) + 1}" for name, number in steps).removeprefix(", ")


def message_of(error: msgspec.ValidationError) -> str:
    """Return what is wrong, without the place."""
    # Escaped, because an unknown key may have anything in it.
    message = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in _PLACE.sub("", str(error)))
    for words, replacement in _WORDS.items():
        message = message.replace(words, replacement)
    field = re.sub(r" \d+$", "", place_of(error)).rpartition(", ")[2]
    return f"{message}; choose from {', '.join(_CHOICES[field])}" if "invalid value" in message else message
