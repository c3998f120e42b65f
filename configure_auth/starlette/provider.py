"""Configure as a provider in the app's own Authlib registry, beside Google and GitHub."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from ..client.client import AsyncConfigure
from ..client.oauth_registry import ConfigureToken, MapProfile, register, token_of, userinfo_of
from ..flows import AsyncPerformer, Clock, Flow, arun
from ..flows.sign_in import provider
from ..runtime.circuit import Circuit
from ..settings import Settings
from ..stores import Stores
from ..stores.opening import AttemptSource, open_attempts
from ..stores.session import session_stores
from .request import StarletteApp, read_request, session_of, write_response

T = TypeVar("T")


class OAuthProvider:
    """The object behind `oauth.configure`: Authlib's methods, awaited, over one pool of connections."""

    def __init__(
        self, flow: provider.Provider, *, name: str, store: AttemptSource | None, map_profile: MapProfile | None
    ) -> None:
        self._flow = flow
        self._name = name
        self._map_profile = map_profile
        self._client = AsyncConfigure(flow.client.settings)
        self._circuit = Circuit(100, flow.site.clock)
        self._stores: Stores | None = None
        if store is not None:
            self._stores = open_attempts(
                store,
                agent=flow.site.settings.agent or "",
                fingerprints=(),
                folder=Path.cwd(),
                awaited=True,
                local=flow.site.settings.is_local,
            )

    async def authorize_redirect(self, request: Request, redirect_uri: object) -> Response:
        """Send the person to Configure.

        Args:
            redirect_uri: the app's callback, an absolute URL (a string, or Starlette's `URL`) exactly as it is
                registered at Configure.

        Raises:
            OAuthError: Authlib's; `error` is a stable code such as `misconfigured` or `store_busy`.
        """
        flow = provider.authorize_redirect(self._flow, read_request(request, has_session=True), str(redirect_uri))
        return write_response(await self._run(request, flow))

    async def authorize_access_token(self, request: Request) -> ConfigureToken:
        """In the callback: check it, exchange its code once, and see who it is.

        Returns:
            a dict as Authlib's, with `token["userinfo"]`: `sub`, and where there are any `name`, `email`,
            `email_verified` and `configure_phone_last4`.

        Raises:
            OAuthError: Authlib's; `error` is a stable code: `cancelled`, `expired`, `wrong_browser`, ...
        """
        identity, grant = await self._run(
            request, provider.authorize_access_token(self._flow, read_request(request, has_session=True))
        )
        return token_of(identity, grant, self._map_profile)

    async def userinfo(self, token: dict[str, Any]) -> Any:
        """Return the user of a token, in the form of `token["userinfo"]`."""
        identity = await self._run(None, provider.userinfo(self._flow, token))
        return userinfo_of(identity, self._map_profile)

    async def refresh_token(self, token: dict[str, Any]) -> ConfigureToken:
        """A new token for one with a refresh token, which is used up by it; keep the new one before anything else."""
        return token_of(None, await self._run(None, provider.refresh_token(self._flow, token)), None)

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
                stores = session_stores(session, self._name, self._flow.site.sealer)
            app = None if request is None else StarletteApp(request, has_session=True)
            return await arun(flow, AsyncPerformer(self._client, stores, app, lambda event: None, self._circuit))


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
    """Register Configure into `authlib.integrations.starlette_client.OAuth`.

    Arguments and errors are those of `configure_auth.flask.register_oauth`; a SQLite file lies in the working
    directory.
    """
    flow = provider.Provider.of(settings, scopes, resource, clock)
    client = OAuthProvider(flow, name=name, store=store, map_profile=map_profile)
    register(oauth, name, client)
    return client
