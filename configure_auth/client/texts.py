"""Text fields of a response, sanitized for display: truncated, cleaned or dropped, and never an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..values import CONTROLS
from .wire import is_text

# Letters that turn the text around them; names in right-to-left scripts need none of them.
_OVERRIDES = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_LONGEST_LINE = 256
_LONGEST_PARAGRAPH = 4096
_LONGEST_READ = 64 * 1024


def line(value: Any) -> str | None:
    """The first 256 characters of a text without line breaks; one with control characters is dropped."""
    text = _string(value)
    return _shown(text, _LONGEST_LINE) if is_text(text, _LONGEST_READ) else None


def paragraph(value: Any) -> str | None:
    """`line`, with line breaks and tabs, of up to 4096 characters."""
    text = _string(value)
    return None if text is None or CONTROLS.search(text) else _shown(text, _LONGEST_PARAGRAPH)


def whole(value: Any) -> str | None:
    """A text of any length, with line breaks and tabs; other control characters are taken out of it."""
    text = value.get("value") if isinstance(value, dict) else value
    if not isinstance(text, str):
        return None
    return _shown(CONTROLS.sub("", text.replace("\r\n", "\n")), None)


def names(value: Any, most: int = 100, read: Callable[[Any], str | None] = line) -> tuple[str, ...]:
    """The texts of a list, up to so many of them."""
    items = value[:most] if isinstance(value, list) else []
    return tuple(text for item in items if (text := read(item)))


def objects(value: Any, most: int = 1000) -> tuple[Mapping[str, Any], ...]:
    """The objects of a list, up to so many of them."""
    items = value[:most] if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, dict))


def found(fields: Mapping[str, Any], *spellings: str) -> Any:
    """The first field that is there, in whichever spelling."""
    return next((value for name in spellings if (value := fields.get(name)) is not None), None)


def first(fields: Mapping[str, Any], *spellings: str, read: Callable[[Any], str | None] = line) -> str | None:
    """The first field with something in it."""
    return next((text for name in spellings if (text := read(fields.get(name)))), None)


def _string(value: Any) -> str | None:
    """A scalar is a string, or an object with one as its `value`."""
    if isinstance(value, dict):
        value = value.get("value")
    return value if isinstance(value, str) and len(value) <= _LONGEST_READ else None


def _shown(text: str, longest: int | None) -> str | None:
    return _OVERRIDES.sub("", text).strip()[:longest] or None
