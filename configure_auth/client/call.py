"""A request to Configure with the parser of its response, as a value: whatever holds a client can send it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import TypeVar

from ..runtime.effects import Effect
from ..runtime.frozen import dataclass
from ..values import Secret

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """A response as it came: at most 256 KiB, not validated. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class HttpCall(Effect[T_co]):
    """A request with its parser, as an effect: a flow awaits it for its value.

    `headers` and `content` contain keys and tokens and stay out of the repr.

    `parse` returns the value of a good body, or raises `ConfigureError`. `timeout` is in seconds, where it is shorter
    than the client's. `beside`: how many more connections the calls right after it will need at once.
    """

    method: str
    url: str = field(repr=False)
    parse: Callable[[HttpResponse], T_co] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    timeout: float | None = None
    beside: int = 0

    def bearing(self, token: Secret) -> HttpCall[T_co]:
        """The same request with another bearer token."""
        return replace(self, headers={**self.headers, "Authorization": f"Bearer {token.reveal()}"})


_HEADER_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")


def is_header_value(value: str) -> bool:
    """Whether a header can carry a string as it is: Latin-1, no control character, no space at either end.

    RFC 9110 section 5.5.
    """
    return _HEADER_VALUE.fullmatch(value) is not None
