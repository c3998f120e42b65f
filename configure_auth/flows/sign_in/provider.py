"""The login without pages of ours: for an app that has its own start and callback and calls us from them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from ...client.oauth import refresh_tokens
from ...client.oauth_messages import ConfigureOAuthError
from ...errors import Code, SignInError
from ...settings import Settings, require_origin
from ...stores.sealing import Sealer
from ...values import Identity, Intent, PendingSignIn, Secret, TokenGrant
from ..answer import Answer
from ..effects import Shielded
from ..site import Clock, Site
from ..visit import Visit
from .attempts import Outcome, Purpose, as_refusal, claim, code_of, mint, read_callback, redeemed, remembered, settle
from .login import OAuthClient, grant_of, identify, play, replay_of, whose

__all__ = ["Provider", "authorize_access_token", "authorize_redirect", "in_authlib_terms", "refresh_token", "userinfo"]


@dataclass(frozen=True, kw_only=True)
class Provider(Purpose):
    """Configure as one OAuth provider among others. Who is signed in is the app's affair alone."""

    intent: ClassVar[Intent] = "provider"
    turned_away: ClassVar[Code] = Code.LOGIN_REFUSED

    client: OAuthClient

    @classmethod
    def of(
        cls, settings: Settings, scopes: tuple[str, ...] | None, resource: str | None, clock: Clock | None
    ) -> Provider:
        # What is sealed here lives 15 minutes, so the client's own secret will do where no other key is set.
        keys = settings.token_keys or (settings.required_oauth_client_secret,)
        site = Site(settings=settings, sealer=Sealer(keys), user_id=lambda: None, clock=clock or time.time)
        return cls(site=site, client=OAuthClient.of(settings, scopes, resource))

    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        return self.client.authorize(redirect_uri=redirect_uri, state=state, verifier=verifier)

    def same_user(self, record: PendingSignIn, user_id: str | None) -> bool:
        return True

    async def redeem(self, record: PendingSignIn, code: Secret, verifier: Secret) -> tuple[Outcome, Answer]:
        identity, grant, _version = await identify(
            self.client, code=code, redirect_uri=record.redirect_uri, verifier=verifier, site=self.site
        )
        return Outcome(location=self.after, replay=replay_of(identity, grant)), Answer()


async def authorize_redirect(provider: Provider, visit: Visit, redirect_uri: str) -> Answer:
    """Keep a new attempt and send the person to Configure.

    Args:
        redirect_uri: the app's own callback, exactly as it is registered at Configure.
    """
    require_origin("redirect_uri", redirect_uri, path=True)
    if visit.touches_nothing:
        return Answer.untouched(visit)
    cookie = provider.site.browser_cookie(visit, redirect_uri)
    url = await mint(provider, cookie=cookie, redirect_uri=redirect_uri, user_id=None, next=None, replace=False)
    return Answer.redirect(url, cookie=cookie)


async def authorize_access_token(provider: Provider, visit: Visit) -> tuple[Identity, TokenGrant]:
    """Judge the callback as the login's own routes do, and exchange its code once.

    For 30 s the same browser gets the same answer again (a reload, the loser of a race); later it's `already_used`.
    """
    site = provider.site
    given = read_callback(visit)
    if visit.touches_nothing:
        raise SignInError(Code.INVALID_REQUEST, "a prefetch of the callback, or its HEAD, is not a sign-in")
    # The attempt is bound to the cookie's name as well, so that of the two only the one of its start will do.
    cookie = site.known_cookie(visit, "https:") or site.known_cookie(visit, "http:")
    if cookie is None:
        raise SignInError(Code.COOKIE_MISSING, "the callback came without the cookie of the start")
    attempt = await claim(provider, "state", given.state, cookie)
    if attempt is None:
        raise SignInError(Code.INTERRUPTED, "another request is still ending this sign-in; load the page again")
    if attempt.outcome is None:
        outcome, _answer = await Shielded(
            settle(provider, attempt, redeemed(provider, attempt, partial(code_of, given), None))
        )
    else:
        outcome = remembered(site, attempt)
    if outcome.replay is None:
        raise SignInError(Code.ALREADY_USED, "this sign-in has ended before; start again")
    return play(outcome.replay)


async def userinfo(provider: Provider, token: Mapping[str, Any]) -> Identity:
    """Who a token belongs to: introspection and the profile's identity, at the same time."""
    access_token, scopes = _entry(token, "access_token")
    identity, _version = await whose(provider.client, access_token, scopes, provider.site)
    return identity


async def refresh_token(provider: Provider, token: Mapping[str, Any]) -> TokenGrant:
    """A new pair for a token with a refresh token, which is used up by it. Keep the new one before anything else."""
    client = provider.client
    old, scopes = _entry(token, "refresh_token")
    answer = await refresh_tokens(client.settings, refresh_token=old, resource=client.resource, scopes=scopes)
    grant = grant_of(answer, provider.site.clock())
    # RFC 6749 section 6: without a new refresh token the old one stays.
    return grant if grant.refresh_token is not None else replace(grant, refresh_token=old)


def _entry(token: Mapping[str, Any], name: str) -> tuple[Secret, tuple[str, ...]]:
    if not token.get(name):
        raise SignInError(Code.INVALID_REQUEST, f"this token has no {name}")
    return Secret(token[name]), tuple(str(token.get("scope", "")).split())


@contextmanager
def in_authlib_terms() -> Iterator[None]:
    """Raise every failure, of opening the store too, as what code written for Authlib catches."""
    try:
        yield
    except Exception as error:  # whatever it was, it has a code
        raise ConfigureOAuthError(as_refusal(error)) from error
