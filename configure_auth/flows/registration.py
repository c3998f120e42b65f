"""Telling Configure where people come back: the login's redirect_uri and the link's return_to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..api.developer import add_redirect_uris
from ..api.sign_in import allow_sign_in_return_to, list_sign_in_return_destinations
from ..errors import ConfigureError, SettingsError
from .effects import Flow, send
from .login import Login
from .routes import Feature, SignInFeature
from .site import Site

__all__ = ["Registration", "register_callbacks"]

Kind = Literal["redirect_uri", "return_to"]
End = Literal["registered", "already registered", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What became of one callback. `why` says what to do about a failed one."""

    callback: str
    kind: Kind
    end: End
    why: str | None = None

    def __str__(self) -> str:
        return f"{self.end}: {self.kind} {self.callback}" + (f" ({self.why})" if self.why else "")


def register_callbacks(site: Site, features: Iterable[Feature]) -> Flow[tuple[Registration, ...]]:
    """Add the callbacks of these features at Configure. Nothing is taken away, and no client is made.

    Raises:
        SettingsError: CONFIGURE_APP_URL is not set; the address is never taken from a request.
    """
    app_url = site.settings.app_url
    if app_url is None:
        raise SettingsError(
            "set CONFIGURE_APP_URL to the URL at which people reach this app; the callbacks lie below it"
        )
    done = []
    for feature in features:
        if not isinstance(feature, SignInFeature):
            continue
        callback = feature.url(app_url, "/callback")
        is_login = isinstance(feature, Login)
        end: End
        why = None
        try:
            changed = yield from (_redirect_uri if is_login else _return_to)(site, callback)
            end = "registered" if changed else "already registered"
        except ConfigureError as error:
            end, why = "failed", str(error)
        kind: Kind = "redirect_uri" if is_login else "return_to"
        done.append(Registration(callback=callback, kind=kind, end=end, why=why))
    return tuple(done)


def _redirect_uri(site: Site, callback: str) -> Flow[bool]:
    settings = site.settings
    answer = yield from send(add_redirect_uris(settings, settings.required_oauth_client_id, [callback]))
    return answer.changed


def _return_to(site: Site, callback: str) -> Flow[bool]:
    known = yield from send(list_sign_in_return_destinations(site.settings))
    if any(one.destination == callback for one in known):
        return False
    yield from send(allow_sign_in_return_to(site.settings, callback))
    return True
