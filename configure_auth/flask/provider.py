"""Configure as a provider in the app's own Authlib registry, beside Google and GitHub."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, Unpack
from weakref import WeakKeyDictionary

from flask import Flask, Response, current_app, session

from ..client.client import Configure
from ..client.oauth_registry import ClientFactory, ConfigureToken, token_of, userinfo_of
from ..flows import Flow, Performer, run
from ..flows.sign_in import provider
from ..flows.site import circuit_of
from ..options import RegistryOptions, require_known
from ..runtime.circuit import Circuit
from ..settings import Settings
from ..stores import Stores
from ..stores.opening import open_attempts
from ..stores.session import session_stores
from .request import FlaskApp, read_request, write_response

T = TypeVar("T")


class OAuthProvider(provider.RegistryClient):
    """The object behind `oauth.configure`: Authlib's methods, over one pool of connections."""

    def __init__(
        self,
        flow: provider.ProviderKind,
        circuit: Circuit,
        name: str,
        options: RegistryOptions,
    ) -> None:
        super().__init__(flow, name, options.get("map_profile"))
        self._store = options.get("store")
        self._client = Configure(flow.client.settings)
        self._circuit = circuit
        self._opened: WeakKeyDictionary[Flask, Stores] = WeakKeyDictionary()

    def authorize_redirect(self, redirect_uri: object, **parameters: Any) -> Response:
        """Redirect to Configure.

        Args:
            redirect_uri: the app's callback, an absolute URL exactly as it is registered at Configure.
            parameters: of the authorization request. `scope` replaces the client's for this sign-in; `state`, of at
                most 2048 characters, travels as it is and is good once in this browser; others, such as `prompt` and
                `login_hint`, are sent as they are.

        Raises:
            OAuthError: Authlib's; `error` is a stable code such as `misconfigured` or `store_busy`.
        """
        flow = provider.authorize_redirect(self._flow, read_request(has_session=True), str(redirect_uri), parameters)
        return write_response(self._run(flow))

    def create_authorization_url(self, redirect_uri: object, **parameters: Any) -> dict[str, Any]:
        """Return `url`, `state` and `code_verifier` of an authorization request, for `save_authorize_data`."""
        return self._authorization(redirect_uri, parameters)

    def save_authorize_data(self, *, redirect_uri: object, **made: Any) -> None:
        """Save what `create_authorization_url` returned, before the app redirects to its `url`.

        The attempt is bound to the app's session, because no response of ours can set a cookie.
        """
        own = session
        binding = own.setdefault(self._binding, secrets.token_urlsafe(32))
        own[self._binding] = binding  # noticed as a change by every session
        cookie = provider.session_cookie(binding)
        self._run(
            provider.save_authorization(
                self._flow, read_request(has_session=True), cookie, redirect_uri=str(redirect_uri), **made
            )
        )

    def load_server_metadata(self) -> dict[str, Any]:
        """Return `server_metadata`."""
        return self.server_metadata

    def authorize_access_token(self, **options: Any) -> ConfigureToken:
        """In the callback: check it, exchange its code once, and identify the user.

        Args:
            options: those of Authlib for ID tokens (`claims_options`, `leeway`), which have no effect: there is none.

        Returns:
            a dict as Authlib's, with `token["userinfo"]`: `sub`, and where there are any `name`, `email`,
            `email_verified` and `configure_phone_last4`.

        Raises:
            OAuthError: Authlib's; `error` is a stable code: `cancelled`, `expired`, `wrong_browser`, ...
        """
        binding = session.get(self._binding)
        identity, grant = self._run(
            provider.authorize_access_token(self._flow, read_request(has_session=True), binding, options)
        )
        return token_of(identity, grant, self._map_profile, self._flow.site.clock())

    def userinfo(self, token: dict[str, Any]) -> Any:
        """Return the user of a token, in the form of `token["userinfo"]`."""
        identity = self._run(provider.userinfo(self._flow, token))
        return userinfo_of(identity, self._map_profile)

    def refresh_token(self, token: dict[str, Any]) -> ConfigureToken:
        """A new token for one with a refresh token, which is used up by it; keep the new one before anything else."""
        grant = self._run(provider.refresh_token(self._flow, token))
        return token_of(None, grant, None, self._flow.site.clock())

    def request(self, method: str, url: str, token: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Call Configure's API with a token, and return the response of requests.

        Args:
            url: a path of the API, such as "v1/profile", or its URL; the token is sent nowhere else.
            token: of `authorize_access_token`.
            options: of requests: `params`, `json`, `headers`, `timeout` (10 s), ...

        Raises:
            OAuthError: the token is missing, the URL isn't one of the API, or the call failed.
        """
        import requests  # takes its time, and most apps don't need it

        with provider.in_authlib_terms(), requests.Session() as client:
            target, given = self._addressed(url, token, options)
            client.trust_env = False
            return client.request(method, target, **{"allow_redirects": False, **given})

    def forget_browser(self) -> None:
        """Call this at the app's sign-out, before its session is cleared: a callback that is loaded again in this
        browser then signs nobody in.
        """
        if self._flow.client.settings.has_credentials:
            self._run(provider.forget_browser(self._flow, read_request(has_session=True), session.get(self._binding)))

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
    client: OAuthProvider = oauth_client(settings, **options).make(name)
    oauth.register(name, client_cls=ClientFactory(lambda _name: client))
    return client


def oauth_client(settings: Settings, **options: Unpack[RegistryOptions]) -> ClientFactory:
    """Return what `OAuth.register("configure", client_cls=...)` takes, for registries that a configuration makes.

    Arguments and errors are those of `register_oauth`.
    """
    require_known("oauth_client", RegistryOptions, options)
    clock = options.get("clock")
    flow = provider.ProviderKind.of(settings, options.get("scopes"), options.get("resource"), clock)
    circuit = circuit_of(options.get("max_calls", 4), clock)
    return ClientFactory(lambda name: OAuthProvider(flow, circuit, name, options))
