"""Registration of the callbacks at Configure: the login's redirect_uri and the link's return_to."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal, Protocol, overload

from ..client.oauth_clients import add_redirect_uris
from ..client.sign_in import ReturnDestination, SignInCalls
from ..errors import ConfigureAuthError, ConfigureError, SettingsError
from ..runtime.frozen import dataclass
from ..settings import Settings
from .effects import Flow
from .features import Features
from .sign_in.link import AccountLink
from .sign_in.login import Login, check_sso_redirect_uri

dry_run: ContextVar[bool] = ContextVar("configure_auth_dry_run", default=False)
"""Set while `verify` imports the app, so that `ensure_callback` has no side effects."""

LINK_PATH = AccountLink.path
LOGIN_PATH = Login.path
"""Default paths of the routes; the latter is Configure's own default."""

log: logging.Logger = logging.getLogger(__name__)

CallbackKind = Literal["return_to", "redirect_uri"]
RegistrationEnd = Literal["registered", "already registered", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Registration:
    """The result for one callback: the link's ("return_to") or the login's ("redirect_uri").

    `end` is "skipped" if a setting is missing, and `callback` None if it can't be known then. `why` says what was
    missing, or how to fix a failure. `needs_setting`: it was skipped for a setting, and not for want of such routes.
    """

    kind: CallbackKind
    end: RegistrationEnd
    callback: str | None = None
    why: str | None = None
    needs_setting: bool = False

    def __str__(self) -> str:
        where = f" {self.callback}" if self.callback else ""
        return f"{self.end}: {self.kind}{where}" + (f" ({self.why})" if self.why else "")


class _OnFlask(Protocol):
    def _ensure_callback(self) -> tuple[Registration, ...]: ...


class _OnStarlette(Protocol):
    def _ensure_callback(self) -> Coroutine[Any, Any, tuple[Registration, ...]]: ...


class _ForEither(tuple[Registration, ...]):
    """The result for an object of neither framework, which may be awaited or not."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, tuple[Registration, ...]]:
        yield from ()
        return self


@overload
def ensure_callback(configure_auth: _OnFlask) -> tuple[Registration, ...]: ...
@overload
def ensure_callback(configure_auth: _OnStarlette) -> Coroutine[Any, Any, tuple[Registration, ...]]: ...


def ensure_callback(configure_auth: Any) -> Any:
    """Register the app's callbacks at Configure as the app starts. Never raises, so that the app starts in any case.

    The link's `return_to` and the login's `redirect_uri` are added where they are missing. Their URLs come from
    CONFIGURE_APP_URL, never from a request. Existing ones are kept, no OAuth client is created, and any number of
    workers may call this at once. Call it after the routes are registered; on Starlette await it, for example in the
    app's lifespan. If Configure does not response, it ends after at most three calls of 10 s each.

    Args:
        configure_auth: the app's `ConfigureAuth`. On Flask the callbacks of every app that it was installed into are
            registered; inside an application context those of that app alone.

    Returns:
        One `Registration` for each callback. Each is also logged in one line: at level INFO, or at WARNING for a
        failure, with how to fix it.
    """
    if inspect.isclass(configure_auth) or not hasattr(configure_auth, "_ensure_callback"):
        return _ForEither(_given_up(SettingsError("ensure_callback takes the app's ConfigureAuth")))
    try:
        done = configure_auth._ensure_callback()
    except Exception as error:  # noqa: BLE001  # the app must start whatever happens here
        return _ForEither(_given_up(error))
    return _guarded(done) if inspect.isawaitable(done) else done


async def _guarded(done: Awaitable[tuple[Registration, ...]]) -> tuple[Registration, ...]:
    try:
        return await done
    except Exception as error:  # noqa: BLE001  # the app must start whatever happens here
        return _given_up(error)


async def register_at_boot(features: Features) -> tuple[Registration, ...]:
    """Register the callbacks of one app, and log each result in one line."""
    if dry_run.get():
        return tuple(Registration(kind=kind, end="skipped", why="a command only looks at the app") for kind in _ADD)
    done = await register_callbacks(features)
    return _logged(done)


def _given_up(error: Exception) -> tuple[Registration, ...]:
    """Log and return a failure for both callbacks."""
    return _logged(tuple(Registration(kind=kind, end="failed", why=_with_advice(kind, error)) for kind in _ADD))


def register_callbacks(features: Features) -> Flow[tuple[Registration, ...]]:
    """Add the callbacks of an app's link and login at Configure. None is removed, and no client is created."""
    paths = {type(feature): feature.path for feature in features.registered.values()}
    return register_paths(features.site.settings, link=paths.get(AccountLink), login=paths.get(Login))


async def register_paths(settings: Settings, *, link: str | None, login: str | None) -> tuple[Registration, ...]:
    """`register_callbacks` for the paths of the two; None if the app has no such routes."""
    done = []
    given: tuple[tuple[CallbackKind, str | None], ...] = (("return_to", link), ("redirect_uri", login))
    for kind, path in given:
        if path is not None:
            done += [await _end(settings, kind, path, url) for url in settings.app_urls or (None,)]
            continue
        if link is None and login is None:
            end = Registration(kind=kind, end="skipped", why=_NO_ROUTES)
        else:
            end = Registration(kind=kind, end="skipped", why=f"this app has no {_ROUTES[kind]}")
        done.append(end)
    return tuple(done)


async def _end(settings: Settings, kind: CallbackKind, path: str, url: str | None) -> Registration:
    callback = None if url is None else f"{url}{path}/callback"
    missing = _missing(settings, kind)
    if callback is None or missing is not None:
        return Registration(kind=kind, end="skipped", callback=callback, why=missing, needs_setting=True)
    end: RegistrationEnd = "failed"
    why: str | None = None
    try:
        end = await _ADD[kind](settings, callback)
        if end == "failed":
            why = "Configure accepted it, but doesn't list it; register it in Configure's dashboard"
    except Exception as error:  # noqa: BLE001  # an app boots whatever happens here
        why = _with_advice(kind, error)
    return Registration(kind=kind, end=end, callback=callback, why=why)


def _missing(settings: Settings, kind: CallbackKind) -> str | None:
    if settings.app_url is None:
        return "set CONFIGURE_APP_URL to the URL at which people reach this app; the callbacks lie below it"
    try:
        settings.required_api_key  # noqa: B018  # read, so that the error names the setting
        settings.required_agent if kind == "return_to" else settings.required_oauth_client_id  # noqa: B018
    except SettingsError as error:
        return str(error)
    return None


async def _redirect_uri(settings: Settings, callback: str) -> RegistrationEnd:
    if callback.startswith(f"{settings.app_url}/"):  # of the first host
        check_sso_redirect_uri(settings, callback)
    if not settings.required_api_key.reveal().startswith("sk_"):
        raise SettingsError("an OAuth client is changed with a key of today: set CONFIGURE_API_KEY to one with sk_")
    response = await add_redirect_uris(settings, settings.required_oauth_client_id, [callback])
    # What Configure lists afterwards counts, not the status: users would be stopped at Configure.
    if callback not in response.redirect_uris:
        return "failed"
    return "registered" if response.changed else "already registered"


async def _return_to(settings: Settings, callback: str) -> RegistrationEnd:
    if callback in await return_destinations(settings):
        return "already registered"
    response = await SignInCalls(settings).allow_sign_in_return_to(callback)
    return "registered" if callback in _standing([response]) else "failed"


async def return_destinations(settings: Settings) -> tuple[str, ...]:
    """Return where sign-ins of our agent may return to, without those that Configure lists as deleted."""
    return _standing(await SignInCalls(settings).list_sign_in_return_destinations())


def _standing(destinations: Iterable[ReturnDestination]) -> tuple[str, ...]:
    return tuple(one.destination for one in destinations if not one.deleted)


_NO_ROUTES = "this app has no Configure routes: register account_link(...) or login(...) first"
_ROUTES: dict[CallbackKind, str] = {"return_to": "account_link(...)", "redirect_uri": "login(...)"}
_ADD: dict[CallbackKind, Callable[[Settings, str], Flow[RegistrationEnd]]] = {
    "return_to": _return_to,
    "redirect_uri": _redirect_uri,
}


def _with_advice(kind: CallbackKind, error: Exception) -> str:
    """Return the error's message, with how to fix it if it does not say so."""
    if not isinstance(error, ConfigureAuthError):
        # Its message could contain a secret.
        return f"{type(error).__name__}, which is unexpected; register it in Configure's dashboard"
    if not isinstance(error, ConfigureError):
        return str(error)
    setting = "CONFIGURE_AGENT" if kind == "return_to" else "CONFIGURE_OAUTH_CLIENT_ID"
    status = error.status_code
    if status is None and not error.retryable:
        return str(error)
    if status is None or status >= 500 or status == 429:
        advice = "run this again when Configure can be reached"
    elif status < 400:
        advice = "see that CONFIGURE_BASE_URL is Configure's API"
    elif status == 401:
        advice = "copy the secret key of the agent into CONFIGURE_API_KEY again"
    elif status == 404:
        advice = f"{setting} must belong to the account of CONFIGURE_API_KEY"
    else:
        advice = f"see that CONFIGURE_API_KEY and {setting} belong together, or register it in Configure's dashboard"
    return f"{error}; {advice}"


def _logged(done: tuple[Registration, ...]) -> tuple[Registration, ...]:
    for one in done:
        # A logging filter of the app may need a request, and there is none; the app has the results as a value too.
        with suppress(Exception):
            log.log(logging.WARNING if one.end == "failed" else logging.INFO, "%s", one)
    return done
