"""Configure as a provider in the app's own Authlib registry, beside Google and GitHub."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, Unpack

from starlette.requests import Request
from starlette.responses import Response

from ..client.client import AsyncConfigure
from ..client.oauth_registry import ClientFactory, ConfigureToken, token_of, userinfo_of
from ..flows import AsyncPerformer, Flow, arun
from ..flows.sign_in import provider
from ..flows.site import circuit_of
from ..options import RegistryOptions, require_known
from ..runtime.circuit import Circuit
from ..settings import Settings
from ..stores import Stores
from ..stores.opening import open_attempts
from ..stores.session import session_stores
from .request import StarletteApp, read_request, session_of, write_response

T = TypeVar("T")


class OAuthProvider(provider.RegistryClient):
    """The object behind `oauth.configure`: Authlib's methods, awaited, over one pool of connections."""

    def __init__(
        self,
        flow: provider.ProviderKind,
        circuit: Circuit,
        name: str,
        options: RegistryOptions,
    ) -> None:
        super().__init__(flow, name, options.get("map_profile"))
        self._client = AsyncConfigure(flow.client.settings)
        self._circuit = circuit
        self._stores: Stores | None = None
        if (store := options.get("store")) is not None:
            self._stores = open_attempts(
                store,
                agent=flow.site.settings.agent or "",
                fingerprints=(),
                folder=Path.cwd(),
                awaited=True,
                local=flow.site.settings.is_local,
            )

    async def authorize_redirect(self, request: Request, redirect_uri: object, **parameters: Any) -> Response:
        """Redirect to Configure; arguments and errors as on Flask."""
        flow = provider.authorize_redirect(
            self._flow, read_request(request, has_session=True), str(redirect_uri), parameters
        )
        return write_response(await self._run(request, flow))

    async def create_authorization_url(self, redirect_uri: object, **parameters: Any) -> dict[str, Any]:
        """Return `url`, `state` and `code_verifier` of an authorization request, for `save_authorize_data`."""
        return self._authorization(redirect_uri, parameters)

    async def save_authorize_data(self, request: Request, *, redirect_uri: object, **made: Any) -> None:
        """Save what `create_authorization_url` returned, before the app redirects to its `url`.

        The attempt is bound to the app's session, because no response of ours can set a cookie.
        """
        own = session_of(request)
        binding = own.setdefault(self._binding, secrets.token_urlsafe(32))
        own[self._binding] = binding  # noticed as a change by every session
        cookie = provider.session_cookie(binding)
        await self._run(
            request,
            provider.save_authorization(
                self._flow, read_request(request, has_session=True), cookie, redirect_uri=str(redirect_uri), **made
            ),
        )

    async def load_server_metadata(self) -> dict[str, Any]:
        """Return `server_metadata`."""
        return self.server_metadata

    async def authorize_access_token(self, request: Request, **options: Any) -> ConfigureToken:
        """In the callback: check it, exchange its code once, and identify the user; all as on Flask."""
        binding = request.scope.get("session", {}).get(self._binding)
        identity, grant = await self._run(
            request,
            provider.authorize_access_token(self._flow, read_request(request, has_session=True), binding, options),
        )
        return token_of(identity, grant, self._map_profile, self._flow.site.clock())

    async def userinfo(self, token: dict[str, Any]) -> Any:
        """Return the user of a token, in the form of `token["userinfo"]`."""
        identity = await self._run(None, provider.userinfo(self._flow, token))
        return userinfo_of(identity, self._map_profile)

    async def refresh_token(self, token: dict[str, Any]) -> ConfigureToken:
        """A new token for one with a refresh token, which is used up by it; keep the new one before anything else."""
        grant = await self._run(None, provider.refresh_token(self._flow, token))
        return token_of(None, grant, None, self._flow.site.clock())

    async def request(self, method: str, url: str, token: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Call Configure's API with a token, and return the response of httpx2; `options` are of httpx2, all else as on
        Flask.
        """
        import httpx2  # takes its time, and most apps don't need it

        with provider.in_authlib_terms():
            target, given = self._addressed(url, token, options)
            async with httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client:
                return await client.request(method, target, **given)

    async def forget_browser(self, request: Request) -> None:
        """Call this at the app's sign-out, before its session is cleared: a callback that is loaded again in this
        browser then signs nobody in.
        """
        if self._flow.client.settings.has_credentials:
            asked, binding = (
                read_request(request, has_session=True),
                request.scope.get("session", {}).get(self._binding),
            )
            await self._run(request, provider.forget_browser(self._flow, asked, binding))

    async def aclose(self) -> None:
        """Close the running loop's connections to Configure and to the store. A later request opens new ones."""
        try:
            await self._client.aclose()
        finally:
            if self._stores is not None:
                await self._stores.aclose()

    async def _run(self, request: Request | None, flow: Flow[T]) -> T:
        with provider.in_authlib_terms(), closing(flow):  # closed, for there may be no session to run it with
            self._flow.require_settings()
            stores = self._stores
            if stores is None:
                session = {} if request is None else session_of(request)
                stores = session_stores(session, self.name, self._flow.site.sealer)
            app = None if request is None else StarletteApp(request, has_session=True)
            return await arun(flow, AsyncPerformer(self._client, stores, app, lambda event: None, self._circuit))


def register_oauth(
    oauth: Any, settings: Settings, *, name: str = "configure", **options: Unpack[RegistryOptions]
) -> OAuthProvider:
    """Register Configure into `authlib.integrations.starlette_client.OAuth`.

    Arguments and errors are those of `configure_auth.flask.register_oauth`.
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
    circuit = circuit_of(options.get("max_calls", 100), clock)
    return ClientFactory(lambda name: OAuthProvider(flow, circuit, name, options))
