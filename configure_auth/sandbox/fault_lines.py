"""Faults as one line each: `POST /oauth/token status=503 times=2`."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, get_args, get_type_hints

from .errors import FaultError
from .faults import WORDS, Fault, body_bytes
from .routes import TABLES, Served, served_at
from .values import Origin

_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def read_fault(line: str, agents: Collection[str]) -> Fault:
    """Reads a line: a method (any without one), a path, and words that are arguments of `Sandbox.fault`.

    A word is `name=value`, quoted as in a shell where it has spaces; a flag is its name alone; `headers` may be
    repeated, each `Name: value`. Arguments: the line, and the handles of the agents there are, which some paths begin
    with. Raises FaultError.
    """
    try:
        method, path, words = _taken_apart(line)
        values = _values(words)
        _check_endpoint(method, path, values.get("origin", "api"), agents)
        return Fault(path, method, **values)
    except ValueError as error:
        raise FaultError(line, str(error)) from None


def _taken_apart(line: str) -> tuple[str | None, str, list[str]]:
    try:
        words = shlex.split(line)
    except ValueError:
        raise ValueError("a quotation mark is not closed") from None
    method = words.pop(0).upper() if words and not words[0].startswith("/") else None
    if not words or not words[0].startswith("/"):
        raise ValueError('begin with a method and a path, as in "POST /oauth/token status=503"')
    return method, words[0], words[1:]


def _values(words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if name not in WORDS:
            raise ValueError(f"there is no word {name!r}; the words are {', '.join(WORDS)}")
        value = _READERS[_HINTS[name]](name, text if sign else None)
        if isinstance(value, Mapping):
            value = {**values.get(name, {}), **value}
        elif name in values:
            raise ValueError(f"{name} is there twice; say it once")
        values[name] = value
    return values


def _check_endpoint(method: str | None, path: str, origin: Origin, agents: Collection[str]) -> None:
    def here(where: Origin) -> Iterator[Served]:
        return (one for one in served_at(where, path) if one.params.get("agent") in {None, *agents})

    methods = {one.method: None for one in here(origin)}
    if not methods:
        elsewhere = next((other for other in TABLES if any(here(other))), None)
        if elsewhere is not None:
            raise ValueError(
                f"the origin {origin} does not serve {path!r}, but {elsewhere} does: add origin={elsewhere}"
            )
        served = {template: None for _, template, _ in TABLES[origin]}
        nearest = difflib.get_close_matches(path, served, n=3, cutoff=0.0)
        raise ValueError(f"{origin} does not serve {path!r}; its nearest paths are {', '.join(nearest)}")
    if method is not None and method not in methods:
        raise ValueError(f"{path} has no method {method!r}; it has {', '.join(methods)}")


def _text(name: str, text: str | None) -> str:
    if not text:
        raise ValueError(f"{name} needs a value: {name}=...")
    return text


def _bytes(name: str, text: str | None) -> bytes | None:
    if text is None:
        raise ValueError(f"{name} needs a value: {name}=...")
    try:
        return body_bytes(text)
    except UnicodeEncodeError:
        raise ValueError(f"{name} has bytes that are not text in UTF-8") from None


def _whole(name: str, text: str | None) -> int:
    if not _WHOLE.fullmatch(text or ""):
        raise ValueError(f"{name} must be a whole number, as in {name}=503")
    return int(text or "")


def _seconds(name: str, text: str | None) -> float:
    if not _DECIMAL.fullmatch(text or ""):
        raise ValueError(f"{name} must be seconds, as in {name}=0.5")
    return float(text or "")


def _flag(name: str, text: str | None) -> bool:
    if text is not None:
        raise ValueError(f"{name} stands alone, without a value")
    return True


def _header(name: str, text: str | None) -> Mapping[str, str]:
    header, sign, value = (text or "").partition(":")
    if not sign:
        raise ValueError(f'{name} must be a header, as in {name}="Retry-After: 3"')
    return {header.strip(): value.strip()}


def _origin(name: str, text: str | None) -> str:
    if text is None or text not in get_args(Origin):
        raise ValueError(f"{name} must be one of {', '.join(get_args(Origin))}")
    return text


_HINTS: Final = get_type_hints(Fault)
_READERS: Final[Mapping[object, Callable[[str, str | None], object]]] = {
    str | None: _text,
    bytes | None: _bytes,
    int | None: _whole,
    float | None: _seconds,
    bool: _flag,
    Mapping[str, str]: _header,
    Origin: _origin,
}
