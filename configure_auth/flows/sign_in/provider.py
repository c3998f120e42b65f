"""The login without routes of ours: for an app that calls Authlib's methods from its own start and callback."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...client.oauth import refresh_tokens
from ...client.oauth_registry import ConfigureOAuthError
from ...errors import Code, SignInError
from ...settings import Settings, require_origin
from ...values import Identity, Intent, PendingSignIn, Secret, TokenGrant
from ..failures import as_sign_in_error
from ..request import Request
from ..response import Response
from ..site import Clock, Site
from .attempts import Carried, Outcome, SignInKind, create_state, decline_start
from .callback import complete_sign_in, read_callback
from .login import OAuthOptions, deserialize_login, exchange_code, make_grant, resolve_identity, serialize_login


@dataclass(frozen=True, kw_only=True)
class Provider(SignInKind):
    """Configure as one OAuth provider among others: only the app knows who is signed in."""

    intent: ClassVar[Intent] = "provider"
    aborted: ClassVar[Code] = Code.LOGIN_REFUSED

    client: OAuthOptions

    @classmethod
    def of(
        cls, settings: Settings, scopes: tuple[str, ...] | None, resource: str | None, clock: Clock | None
    ) -> Provider:
        # What is sealed here is valid for `STATE_LIFETIME` only, so the client's secret is enough without other keys.
        secret = settings.oauth_client_secret
        keys = settings.token_keys or (() if secret is None else (secret,))
        site = Site(settings=settings, keys=keys, user_id=lambda: None, clock=clock or time.time)
        return cls(site=site, client=OAuthOptions.of(settings, scopes, resource))

    def require_settings(self) -> None:
        """
        Raises:
            NotConfigured: a credential is missing; the message names all that are.
        """
        self.site.require(OAuthOptions.needs)

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return self.client.authorize(redirect_uri=redirect_uri, state=state, verifier=verifier)

    def check_user(self, record: PendingSignIn, user_id: str | None) -> bool:
        return True

    async def exchange(
        self, record: PendingSignIn, code: Secret, verifier: Secret, carried: Carried
    ) -> tuple[Outcome, Response]:
        identity, grant = await exchange_code(
            self.client, code=code, redirect_uri=record.redirect_uri, verifier=verifier, site=self.site
        )
        return Outcome(location=self.after, replay=serialize_login(identity, grant)), Response()


async def authorize_redirect(provider: Provider, request: Request, redirect_uri: str) -> Response:
    """Create an attempt and redirect to Configure.

    Args:
        redirect_uri: the app's own callback, exactly as it is registered at Configure.
    """
    require_origin("redirect_uri", redirect_uri, path=True)
    if (declined := decline_start(request)) is not None:
        return declined
    cookie = provider.site.browser_cookie(request, redirect_uri)
    url = await create_state(
        provider,
        cookie=cookie,
        redirect_uri=redirect_uri,
        user_id=None,
        next=None,
        replace=False,
        navigated=request.is_navigation,
    )
    return Response.redirect(url, cookie=cookie)


async def authorize_access_token(provider: Provider, request: Request) -> tuple[Identity, TokenGrant]:
    """Check the callback as the login's own routes do, and exchange its code once.

    For 30 s the same browser gets the same result again (a reload, the loser of a race); later it's `already_used`.
    """
    site = provider.site
    returned = read_callback(request)
    if request.is_prefetch_or_head:
        raise SignInError(Code.INVALID_REQUEST, "a prefetch or a HEAD of the callback is not a sign-in")
    # The attempt is bound to the cookie's name as well, so only the cookie of its start matches.
    cookie = site.known_cookie(request, "https:") or site.known_cookie(request, "http:")
    if cookie is None:
        raise SignInError(Code.COOKIE_MISSING, "the request lacks the cookie that the start set")
    completed = await complete_sign_in(provider, returned, cookie, None)
    if completed is None:
        raise SignInError(Code.INTERRUPTED, "another request is still completing this sign-in; load the page again")
    if completed.outcome.replay is None:
        raise SignInError(Code.ALREADY_USED, "this sign-in has ended before; start again")
    return deserialize_login(completed.outcome.replay)


async def userinfo(provider: Provider, token: Mapping[str, Any]) -> Identity:
    """Return the identity of a token: introspection and profile, requested at the same time."""
    access_token, scopes = _entry(token, "access_token")
    return await resolve_identity(provider.client, access_token, scopes, provider.site)


async def refresh_token(provider: Provider, token: Mapping[str, Any]) -> TokenGrant:
    """Refresh a token. Its refresh token is used up, so save the new one before anything else."""
    client = provider.client
    old, scopes = _entry(token, "refresh_token")
    response = await refresh_tokens(client.settings, refresh_token=old, resource=client.resource, scopes=scopes)
    grant = make_grant(response, provider.site.clock())
    # RFC 6749 section 6: without a new refresh token the old one stays.
    return grant if grant.refresh_token is not None else replace(grant, refresh_token=old)


def _entry(token: Mapping[str, Any], name: str) -> tuple[Secret, tuple[str, ...]]:
    if not token.get(name):
        raise SignInError(Code.INVALID_REQUEST, f"this token has no {name}")
    return Secret(token[name]), tuple(str(token.get("scope", "")).split())


@contextmanager
def in_authlib_terms() -> Iterator[None]:
    """Raise every failure, also of opening the store, as an error that code written for Authlib catches."""
    try:
        yield
    except Exception as error:  # whatever it was, it gets a code
        raise ConfigureOAuthError(as_sign_in_error(error)) from error
