"""Configure as a provider in the app's own Authlib registry, beside Google and GitHub."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, Unpack

from starlette.requests import Request
from starlette.responses import Response

from ..client.client import AsyncConfigure
from ..client.oauth_registry import ClientFactory, ConfigureToken
from ..flows import AsyncPerformer, Flow, arun
from ..flows.sign_in import provider
from ..options import RegistryOptions, require_known
from ..runtime.circuit import Circuit
from ..runtime.verbs import Awaited
from ..settings import Settings
from ..stores import Stores
from ..stores.opening import open_attempts
from ..stores.session import session_stores
from .request import StarletteApp, read_request, session_of, write_response

T = TypeVar("T")


class OAuthProvider(provider.RegistryClient, Awaited):
    """The object behind `oauth.configure`: Authlib's methods, awaited, over one pool of connections."""

    def __init__(self, kind: provider.ProviderKind, circuit: Circuit, name: str, options: Mapping[str, Any]) -> None:
        super().__init__(kind, circuit, name, options)
        self._client = AsyncConfigure(kind.client.settings)
        self._stores: Stores | None = None
        if (store := options.get("store")) is not None:
            self._stores = open_attempts(
                store,
                agent=kind.site.settings.agent or "",
                fingerprints=(),
                folder=Path.cwd(),
                awaited=True,
                local=kind.site.settings.is_local,
            )

    async def authorize_redirect(self, request: Request, redirect_uri: object, **parameters: Any) -> Response:
        seen = read_request(request, has_session=True)
        flow = provider.authorize_redirect(self._kind, seen, str(redirect_uri), parameters)
        return write_response(await self._run(request, flow))

    async def create_authorization_url(self, redirect_uri: object, **parameters: Any) -> dict[str, Any]:
        made: dict[str, Any] = super().create_authorization_url(redirect_uri, **parameters)
        return made

    async def save_authorize_data(self, request: Request, *, redirect_uri: object, **made: Any) -> None:
        seen = read_request(request, has_session=True)
        await self._run(request, self._saved(seen, session_of(request), redirect_uri, made))

    async def load_server_metadata(self) -> dict[str, Any]:
        return self.server_metadata

    async def authorize_access_token(self, request: Request, **options: Any) -> ConfigureToken:
        seen, session = read_request(request, has_session=True), request.scope.get("session", {})
        return await self._run(request, self._token(seen, session, options))

    async def request(self, method: str, url: str, token: Mapping[str, Any] | None = None, **options: Any) -> Any:
        import httpx2  # takes its time, and most apps don't need it

        with provider.in_authlib_terms():
            target, given = self._addressed(url, token, options)
            async with httpx2.AsyncClient(trust_env=False, follow_redirects=False) as client:
                return await client.request(method, target, **given)

    async def forget_browser(self, request: Request) -> None:
        if self._kind.client.settings.has_credentials:
            seen, session = read_request(request, has_session=True), request.scope.get("session", {})
            await self._run(request, self._forgotten(seen, session))

    async def aclose(self) -> None:
        """Close the running loop's connections to Configure and to the store. A later request opens new ones."""
        try:
            await self._client.aclose()
        finally:
            if self._stores is not None:
                await self._stores.aclose()

    async def _run(self, request: Request, flow: Flow[T]) -> T:
        with provider.in_authlib_terms(), closing(flow):  # closed, for there may be no session to run it with
            return await arun(flow, self._performer(request))

    def _performer(self, request: Request | None = None) -> AsyncPerformer:
        with provider.in_authlib_terms():
            self._kind.require_settings()
            stores = self._stores
            if stores is None:
                session = {} if request is None else session_of(request)
                stores = session_stores(session, self.name, self._kind.site.sealer)
            app = None if request is None else StarletteApp(request, has_session=True)
            return AsyncPerformer(self._client, stores, app, lambda event: None, self._circuit)


def register_oauth(
    oauth: Any, settings: Settings, *, name: str = "configure", **options: Unpack[RegistryOptions]
) -> OAuthProvider:
    """Register Configure into `authlib.integrations.starlette_client.OAuth`.

    Arguments and errors are those of `configure_auth.flask.register_oauth`.
    """
    return oauth_client(settings, **options).register(oauth, name)


def oauth_client(settings: Settings, **options: Unpack[RegistryOptions]) -> ClientFactory[OAuthProvider]:
    """Return what `OAuth.register("configure", client_cls=...)` takes, for registries that a configuration makes.

    Arguments and errors are those of `register_oauth`.
    """
    require_known("oauth_client", RegistryOptions, options)
    return OAuthProvider.factory(settings, options, max_calls=100)
