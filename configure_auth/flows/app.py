"""What a flow may ask of the web app around it. Each adapter implements it with one small object a request."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar, NoReturn, Protocol

from ..errors import ConfigureAuthError, SettingsError
from ..values import Secret

log: logging.Logger = logging.getLogger(__name__)

Hook = Callable[..., Any]
"""A function of the app. Starlette's take the request first and may be coroutines."""


def is_async(hook: Hook) -> bool:
    while isinstance(hook, partial):
        hook = hook.func
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)


def require_hook(option: str, hook: object, *arguments: str, with_request: bool) -> None:
    """Check an option that is a function of the app. What can't be known of it, as of a proxy, is not refused.

    Args:
        arguments: what it is called with; "context" may be left out.
        with_request: it gets the request first, and may be async, as on Starlette.

    Raises:
        SettingsError: it is no function, or can't be called so.
    """
    given = ("request", *arguments) if with_request else arguments
    called = f"({', '.join(given)})"
    if not callable(hook):
        raise SettingsError(f"{option} must be a function {called}; got a {type(hook).__name__}")
    if not with_request and is_async(hook) and find_spec("asgiref") is None:
        raise SettingsError(f"{option} is async: write a plain function, or install 'flask[async]'")
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError, RuntimeError):
        return
    fewer = tuple(name for name in given if name != "context")
    if not any(_takes(signature, names) for names in (given, fewer)):
        name = getattr(hook, "__qualname__", type(hook).__qualname__)
        raise SettingsError(f"{option} is called with {called}, but {name} takes {signature}")


def _takes(signature: inspect.Signature, names: Sequence[str]) -> bool:
    try:
        signature.bind(*names)
    except TypeError:
        return False
    return True


class App(Protocol):
    """What an adapter provides to a flow, for one request."""

    def call(self, hook: Hook, *args: object) -> Any:
        """Call a function of the app.

        Raises:
            AppResponse: it raised what the app responds to by itself: an HTTP error of the framework (`abort(403)`), or
                an exception that the app registered a handler for, by its own class or a base other than `Exception`.
        """

    def body(self, limit: int) -> Any:
        """Return the request's body: all of it, or its first `limit` + 1 bytes.

        Nothing of one that broke off, or is not as it was declared.
        """

    def call_for_response(self, hook: Hook, *args: object) -> Any:
        """`call` a hook that may return a response. Return it in the framework's own type, or None."""

    def to_response(self, value: object) -> Any:
        """Convert what a hook returned beside a user id to a response in the framework's own type."""

    def path_of(self, endpoint: str) -> str:
        """Return the path of one of the app's pages, with the prefix that the app is mounted under.

        Raises:
            LookupError: the app has no such endpoint.
        """

    def fill_layout(self, base_template: str, values: Mapping[str, object]) -> Any:
        """Return `ui.LAYOUT` filled in by the app's own templates."""

    def memory(self) -> dict[Any, Any]:
        """Return a mapping that is the same one during this request, and no other request's."""

    def renew_session(self, keep: tuple[str, ...], hook: Hook | None) -> Any:
        """Clear the session except these keys, and change its id: by `id_renewal`, then by the app's hook.

        Prevents session fixation: a session id known before the sign-in is worthless afterwards.
        """


def id_renewal(*holders: object) -> Callable[..., Any] | None:
    """Return the method by which a server-side session gets a new id; None if none of these objects has one we know.

    Flask-Session's interface has `regenerate`, as do sessions made after its example; starsessions' handler has
    `regenerate_id`.
    """
    names = ("regenerate", "regenerate_id", "regenerate_session_id")
    found = (getattr(holder, name, None) for holder in holders for name in names)
    return next((method for method in found if callable(method)), None)


def warn_of_fixation(session: type) -> None:
    """Log that the session's id survives a sign-in."""
    log.warning(
        "session fixation: %s.%s keeps its id at a sign-in, and nothing here knows how to change it; give "
        "ConfigureAuth(renew_session=...) a function that does, or session=False if no session is used",
        session.__module__,
        session.__qualname__,
    )


class OfOneFramework:
    """Routes that an app of another framework refuses with a message that says so."""

    what: ClassVar[str]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: this is {self.what}")


class AppResponse(Exception):
    """An exception that the app itself responds to; flows pass it on, and the adapter makes the response.

    Args:
        response: the exception.
    """

    def __init__(self, response: Exception) -> None:
        super().__init__(f"the app responds to {type(response).__name__} by itself")
        self.response = response


def reaches_app(error: Exception, handled: Iterable[object]) -> bool:
    """Whether an exception of a hook goes to the app's own handler.

    Errors of this package don't: they have a page and a code. Nor does what only a handler for every `Exception` takes,
    since that is a mistake in the hook: `misconfigured`, with its traceback in the log.

    Args:
        handled: exception classes that the app registered a handler for.
    """
    kinds = set(type(error).__mro__) - {Exception, BaseException, object}
    return not isinstance(error, ConfigureAuthError) and not kinds.isdisjoint(handled)


_RAISED_BY = "raised by the hook "


def note_hook(error: Exception, hook: Hook) -> None:
    """Name the hook in the traceback of what it raised."""
    name = getattr(hook, "__qualname__", None) or repr(hook)
    error.add_note(f"{_RAISED_BY}{getattr(hook, '__module__', None)}.{name} of the app")


def raised_by(error: Exception) -> list[str]:
    """Return what `note_hook` noted on an exception."""
    return [note for note in getattr(error, "__notes__", ()) if note.startswith(_RAISED_BY)]


_NO_IDS = (bool, float, complex, bytes, bytearray, list, tuple, dict, set, frozenset, Secret)


def normalize_id(value: object, source: str = "user_id") -> str | None:
    """Return a user id of the app as a string; None where no user is signed in.

    Args:
        value: a string, a whole number, a UUID, or another object whose class says how it is written (`__str__`).
        source: the function or argument that it is from, for the message.

    Raises:
        SettingsError: it can't be an id; the message says why.
    """
    if value is None:
        return None
    or_none = ", or None where no user is signed in" if source == "user_id" else ""
    if not isinstance(value, str | int) or isinstance(value, bool):
        kind = value.__class__  # not `type`, since a proxy such as Flask-Login's `current_user` has a `__str__` itself
        if kind.__str__ is object.__str__ or isinstance(value, _NO_IDS) or callable(value):
            raise SettingsError(
                f"{source}: got a {kind.__name__}; expected a user's id (a string, a whole number or a UUID){or_none}"
            )
    text = str(value)
    if not text:
        raise SettingsError(f"{source}: got an empty string; expected {or_none[5:] or 'an id'}")
    if len(text) > 255:
        raise SettingsError(f"{source}: got an id of {len(text)} characters; at most 255 can be stored")
    if not is_storable(text):
        raise SettingsError(f"{source}: got an id with a NUL or a lone surrogate in it, which no database stores")
    return text


def is_storable(value: str) -> bool:
    """Whether every store can keep a string as an id."""
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return 0 < len(value) <= 255 and "\0" not in value


def require_id(value: object) -> str:
    """`normalize_id` for an id that is required."""
    user_id = normalize_id(value)
    if user_id is None:
        raise SettingsError("user_id: got None; expected a user's id")
    return user_id
