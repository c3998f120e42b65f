"""Keys that an app chooses itself: how they are read, and what makes one guessable."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from .errors import SettingsError
from .values import Secret, is_one_line

LEAST_KEY_LENGTH: Final = 32
"""Characters of the shortest key that tokens are encrypted with."""

MAKE_KEY: Final = 'make a key of 32 random bytes with: python -c "import secrets; print(secrets.token_urlsafe(32))"'

# How Python writes a list, a tuple, a str or bytes.
_LITERAL = re.compile(r"[\[(]|b?['\"]")
_PLACEHOLDERS = (
    "changeme changethis changeit replaceme replacethis replacewith placeholder example insecure password passphrase "
    "mysecret supersecret topsecret verysecret notsecret secretkey keyboardcat guess correcthorse loremipsum donotuse "
    "dontuse tobeset tobechanged"
).split()
_JOINED = str.maketrans("", "", "-_ ")


def read_key(variable: str, value: object) -> Secret:
    """Return a key as a `Secret`, the same one whether it was given as str, as bytes in UTF-8 or as a `Secret`.

    White space around it is removed: it comes from files and shells, never from the key's generator.

    Raises:
        SettingsError: the value is of another type, isn't UTF-8, has a control character in it, or is the text of a
            Python list. The message names the variable and shows nothing of the value.
    """
    key = _text(value)
    # Nothing plain is alive in this frame when it raises.
    del value
    if key is None:
        raise SettingsError(f"{variable} must be text in UTF-8 (str, bytes or Secret); {MAKE_KEY}")
    if _is_list_or_broken(key):
        raise SettingsError(
            f"{variable} has a control character, a quotation mark or a bracket around it: give the key alone, several "
            "as a list or separated by commas"
        )
    return key


def key_weakness(key: Secret, least: int = LEAST_KEY_LENGTH) -> str | None:
    """Say why a key can be guessed, as the end of a sentence that begins with its name; None where it can't.

    Args:
        least: characters that it must have.
    """
    return _weakness(key.reveal(), least)


def _text(value: object) -> Secret | None:
    try:
        if isinstance(value, Secret):
            value = value.reveal()
        text = value.decode() if isinstance(value, bytes) else value
        if not isinstance(text, str):
            return None
        text.encode()
    except UnicodeError:
        return None
    return Secret(text.strip())


def _is_list_or_broken(key: Secret) -> bool:
    return _LITERAL.match(key.reveal()) is not None or not is_one_line(key.reveal())


def _weakness(plain: str, least: int) -> str | None:
    if len(plain) < least:
        return f"is shorter than {least} characters"
    if _is_repetition(plain):
        return "repeats a few characters"
    joined = plain.lower().translate(_JOINED)
    if any(word in joined for word in _PLACEHOLDERS) or any(f"your{one}" in plain.lower() for one in "-_ "):
        return "is a placeholder out of an example"
    return None


def _is_repetition(plain: str) -> bool:
    """Whether a text has few characters, repeats a part of it, or counts up or down."""
    if len(set(plain)) < 8:
        return True
    if any(plain == (plain[:period] * len(plain))[: len(plain)] for period in range(1, len(plain) // 2 + 1)):
        return True
    steps = [abs(ord(second) - ord(first)) for first, second in pairwise(plain)]
    return sum(step <= 1 for step in steps) > len(steps) // 2
