"""What a flow may ask of the web app around it; each adapter has one small object a request that answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import SettingsError

__all__ = ["App", "AppResponse", "Hook", "is_keepable", "known_id", "local_id"]

Hook = Callable[..., Any]
"""A function of the app. Starlette's take the request first and may be coroutines."""


class App(Protocol):
    """The duties of an adapter towards a flow, for one request."""

    def call(self, hook: Hook, *args: object) -> Any:
        """Call a function of the app; a response that it raises (`abort(403)`) comes as `AppResponse`."""

    def body(self, limit: int) -> Any:
        """What came in the request's body, as bytes: all of it, or one byte more than `limit`.

        Nothing of one that broke off, or is not as it was declared.
        """

    def answer(self, hook: Hook, *args: object) -> Any:
        """`call` a hook that may return a response: that response in the framework's own type, or None."""

    def response(self, value: object) -> Any:
        """What a hook gave beside a user id, as a response in the framework's own type."""

    def renew_session(self, keep: tuple[str, ...]) -> None:
        """Clear the session but for these keys and give it a new id where the session interface can.

        Whoever knew the session before the sign-in must not know it afterwards (session fixation).
        """


class AppResponse(Exception):
    """A response that the app made by raising it; the flow hands it on untouched."""

    def __init__(self, response: object) -> None:
        super().__init__("the app answered by an exception of its framework")
        self.response = response


# A NUL and a lone surrogate, which no database keeps.
_UNKEPT = re.compile("[\0\ud800-\udfff]")


def local_id(value: object, source: str = "user_id") -> str | None:
    """A user id as the app gave it, as a string; None where nobody is signed in.

    Raises:
        SettingsError: it is neither a non-empty string of at most 255 characters nor a whole number.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not is_keepable(value):
        raise SettingsError(f"{source} must give the user's id (a string or a whole number), or None for nobody")
    return value


def is_keepable(value: str) -> bool:
    """Whether every store can keep a string as an id."""
    return 0 < len(value) <= 255 and _UNKEPT.search(value) is None


def known_id(value: object) -> str:
    """`local_id` where there must be one."""
    user_id = local_id(value, "this verb's user_id")
    if user_id is None:
        raise SettingsError("this verb needs a user's id")
    return user_id
