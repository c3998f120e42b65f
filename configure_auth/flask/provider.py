"""Configure as a provider in the app's own Authlib registry, beside Google and GitHub."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, Unpack
from weakref import WeakKeyDictionary

from flask import Flask, Response, current_app, session

from ..client.client import Configure
from ..client.oauth_registry import ClientFactory, ConfigureToken
from ..flows import Flow, Performer, run
from ..flows.sign_in import provider
from ..options import RegistryOptions, require_known
from ..runtime.circuit import Circuit
from ..runtime.verbs import Blocking
from ..settings import Settings
from ..stores import Stores
from ..stores.opening import open_attempts
from ..stores.session import session_stores
from .request import FlaskApp, read_request, write_response

T = TypeVar("T")


class OAuthProvider(provider.RegistryClient, Blocking):
    """The object behind `oauth.configure`: Authlib's methods, over one pool of connections."""

    def __init__(self, kind: provider.ProviderKind, circuit: Circuit, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(kind, circuit, name, options)
        self._store = options.get("store")
        self._client = Configure(kind.client.settings)
        self._opened: WeakKeyDictionary[Flask, Stores] = WeakKeyDictionary()

    def authorize_redirect(self, redirect_uri: object, **parameters: Any) -> Response:
        flow = provider.authorize_redirect(self._kind, read_request(has_session=True), str(redirect_uri), parameters)
        return write_response(self._run(flow))

    def save_authorize_data(self, *, redirect_uri: object, **made: Any) -> None:
        self._run(self._saved(read_request(has_session=True), session, redirect_uri, made))

    def authorize_access_token(self, **options: Any) -> ConfigureToken:
        return self._run(self._token(read_request(has_session=True), session, options))

    def request(self, method: str, url: str, token: Mapping[str, Any] | None = None, **options: Any) -> Any:
        import requests  # takes its time, and most apps don't need it

        with provider.in_authlib_terms(), requests.Session() as client:
            target, given = self._addressed(url, token, options)
            client.trust_env = False
            return client.request(method, target, **{"allow_redirects": False, **given})

    def forget_browser(self) -> None:
        if self._kind.client.settings.has_credentials:
            self._run(self._forgotten(read_request(has_session=True), session))

    def close(self) -> None:
        """Close the connections to Configure and to the store, in every app. A later request opens new ones."""
        try:
            self._client.close()
        finally:
            for stores in list(self._opened.values()):
                stores.close()

    def _run(self, flow: Flow[T]) -> T:
        with provider.in_authlib_terms(), closing(flow):  # closed, for the store may fail to open before it runs
            return run(flow, self._performer())

    def _performer(self) -> Performer:
        with provider.in_authlib_terms():
            self._kind.require_settings()
            return Performer(self._client, self._stores(), FlaskApp(True), lambda event: None, self._circuit)

    def _stores(self) -> Stores:
        site = self._kind.site
        if self._store is None:
            return session_stores(session, self.name, site.sealer)
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
    oauth: Any, settings: Settings, *, name: str = "configure", **options: Unpack[RegistryOptions]
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
        options: `configure_auth.options.RegistryOptions`.

    Raises:
        SettingsError: an option can't work. A missing setting is reported at its first use.
    """
    return oauth_client(settings, **options).register(oauth, name)


def oauth_client(settings: Settings, **options: Unpack[RegistryOptions]) -> ClientFactory[OAuthProvider]:
    """Return what `OAuth.register("configure", client_cls=...)` takes, for registries that a configuration makes.

    Arguments and errors are those of `register_oauth`.
    """
    require_known("oauth_client", RegistryOptions, options)
    # A sign-in takes a thread here.
    return OAuthProvider.factory(settings, options, max_calls=4)
