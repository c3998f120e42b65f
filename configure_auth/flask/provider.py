"""Configure as a provider in the app's own Authlib registry, beside Google and GitHub."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from flask import Flask, Response, current_app, session

from ..client.client import Configure
from ..client.oauth_registry import ConfigureToken, MapProfile, register, token_of, userinfo_of
from ..flows import Clock, Flow, Performer, run
from ..flows.sign_in import provider
from ..runtime.circuit import Circuit
from ..settings import Settings
from ..stores import Stores
from ..stores.opening import AttemptSource, open_attempts
from ..stores.session import session_stores
from .request import FlaskApp, read_request, write_response

T = TypeVar("T")


class OAuthProvider:
    """The object behind `oauth.configure`: Authlib's methods, over one pool of connections."""

    def __init__(
        self, flow: provider.Provider, *, name: str, store: AttemptSource | None, map_profile: MapProfile | None
    ) -> None:
        self._flow = flow
        self._name = name
        self._store = store
        self._map_profile = map_profile
        self._client = Configure(flow.client.settings)
        self._circuit = Circuit(4, flow.site.clock)
        self._opened: WeakKeyDictionary[Flask, Stores] = WeakKeyDictionary()

    def authorize_redirect(self, redirect_uri: str) -> Response:
        """Send the person to Configure.

        Args:
            redirect_uri: the app's callback, an absolute URL exactly as it is registered at Configure.

        Raises:
            OAuthError: Authlib's; `error` is a stable code such as `misconfigured` or `store_busy`.
        """
        return write_response(
            self._run(provider.authorize_redirect(self._flow, read_request(has_session=True), redirect_uri))
        )

    def authorize_access_token(self) -> ConfigureToken:
        """In the callback: check it, exchange its code once, and see who it is.

        Returns:
            a dict as Authlib's, with `token["userinfo"]`: `sub`, and where there are any `name`, `email`,
            `email_verified` and `configure_phone_last4`.

        Raises:
            OAuthError: Authlib's; `error` is a stable code: `cancelled`, `expired`, `wrong_browser`, ...
        """
        identity, grant = self._run(provider.authorize_access_token(self._flow, read_request(has_session=True)))
        return token_of(identity, grant, self._map_profile)

    def userinfo(self, token: dict[str, Any]) -> Any:
        """Return the user of a token, in the form of `token["userinfo"]`."""
        identity = self._run(provider.userinfo(self._flow, token))
        return userinfo_of(identity, self._map_profile)

    def refresh_token(self, token: dict[str, Any]) -> ConfigureToken:
        """A new token for one with a refresh token, which is used up by it; keep the new one before anything else."""
        return token_of(None, self._run(provider.refresh_token(self._flow, token)), None)

    def close(self) -> None:
        """Close the connections to Configure and to the store, in every app. A later request opens new ones."""
        try:
            self._client.close()
        finally:
            for stores in list(self._opened.values()):
                stores.close()

    def _run(self, flow: Flow[T]) -> T:
        with provider.in_authlib_terms(), closing(flow):  # closed, for the store may fail to open before it runs
            self._flow.require_settings()
            return run(
                flow,
                Performer(self._client, self._stores(), FlaskApp(has_session=True), lambda event: None, self._circuit),
            )

    def _stores(self) -> Stores:
        site = self._flow.site
        if self._store is None:
            return session_stores(session, self._name, site.sealer)
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        if app not in self._opened:
            made = open_attempts(
                self._store,
                agent=site.settings.agent or "",
                fingerprints=(),
                folder=Path(app.instance_path),
                awaited=False,
                local=site.settings.is_local,
            )
            # Of two first requests at once both get the same one, or an attempt would be lost in the other.
            self._opened.setdefault(app, made)
        return self._opened[app]


def register_oauth(
    oauth: Any,
    settings: Settings,
    *,
    name: str = "configure",
    store: AttemptSource | None = None,
    scopes: tuple[str, ...] | None = None,
    resource: str | None = None,
    map_profile: MapProfile | None = None,
    clock: Clock | None = None,
) -> OAuthProvider:
    """Register Configure into `authlib.integrations.flask_client.OAuth`.

    Example::

        oauth = OAuth(app)  # of authlib.integrations.flask_client
        register_oauth(oauth, Settings.from_env(), store="sqlite:///configure.db")
        # in a view: oauth.configure.authorize_redirect(url), then oauth.configure.authorize_access_token()

    Args:
        oauth: the app's registry; other providers in it are left as they are.
        settings: with the OAuth client, the API key and the agent.
        name: under which it is found: `oauth.configure`.
        store: "sqlite:///configure.db", "redis://..." or another store keeps each attempt single-use. Without one the
            attempts lie in the app's session, as Authlib's do, and a copy of the session cookie can use a
            state twice.
        scopes: ("profile.read", "profile.search") unless told otherwise.
        resource: what the tokens are for (RFC 8707); Configure's API unless told otherwise.
        map_profile: makes `token["userinfo"]` from an `Identity`.
        clock: Unix seconds, for tests.

    Raises:
        SettingsError: an option can't work. A missing setting is reported at its first use.
    """
    flow = provider.Provider.of(settings, scopes, resource, clock)
    client = OAuthProvider(flow, name=name, store=store, map_profile=map_profile)
    register(oauth, name, client)
    return client
