"""What an app does once, as it starts."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Protocol, overload

from .errors import SettingsError
from .flows.registration import Registration, given_up
from .flows.verbs import Awaited, BlockingInEach, UserVerbs

__all__ = ["ensure_callback"]


class _Blocking(Protocol):
    """The `ConfigureAuth` of a Flask app."""

    def ensure_callback(self) -> tuple[Registration, ...]: ...


class _Awaited(Protocol):
    """The `ConfigureAuth` of a Starlette app."""

    def ensure_callback(self) -> Coroutine[Any, Any, tuple[Registration, ...]]: ...


class _ForEither(tuple[Registration, ...]):
    """What came of something that is of neither framework, whether it is awaited or not."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, tuple[Registration, ...]]:
        yield from ()
        return self


@overload
def ensure_callback(configure_auth: _Blocking) -> tuple[Registration, ...]: ...
@overload
def ensure_callback(configure_auth: _Awaited) -> Coroutine[Any, Any, tuple[Registration, ...]]: ...


def ensure_callback(configure_auth: Any) -> Any:
    """Tell Configure where people come back to, as the app starts; never raises.

    The link's return_to and the login's redirect_uri are added where they aren't registered yet: below
    CONFIGURE_APP_URL, never below an address of a request. What is registered stays, no client is made, and any number
    of workers may do this at once. Call it when the routes are there, on Flask once they are registered; await it on
    Starlette. Where nothing answers, it ends after 10 s for each of at most three calls to Configure.

    Args:
        configure_auth: the app's `ConfigureAuth`. On Flask that of every app that it was installed into; in an
            application context of that app alone.

    Returns:
        what became of each callback, which is also logged: a line of level INFO, or WARNING for a failure, which says
        how to mend it.
    """
    if isinstance(configure_auth, BlockingInEach | Awaited) and isinstance(configure_auth, UserVerbs):
        return configure_auth.ensure_callback()
    return _ForEither(given_up(SettingsError("ensure_callback takes the app's ConfigureAuth")))
