"""Errors of msgspec, as sentences for the people who write seeds and faults."""

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
