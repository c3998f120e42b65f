"""The stored tokens: refreshed before they expire, once per user, and marked when Configure rejects them."""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ..client.call import HttpCall
from ..client.oauth import TokenResponse, introspect, refresh_tokens
from ..client.sign_in import SignInCalls
from ..errors import ApiCode, ConfigureError, StoreError
from ..events import AccountUnlinked, ReconnectNeeded, TokenRefreshed
from ..runtime.frozen import dataclass
from ..stores import StoredAccount
from ..values import Kind, LinkedAccount, Secret, TokenValidation
from .effects import Emit, Flow, Pause, Shielded, UseStore
from .keyed_ids import FORGOTTEN, forget_id, forgotten_lease, keyed_id
from .site import Site

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class OpenToken:
    """A token that was valid a moment ago, with its account."""

    account: StoredAccount
    token: Secret


EARLY = 60.0
"""Seconds before its expiry that a token is refreshed, so that it doesn't expire during a call."""

PAUSE, LONGEST_PAUSE, LONGEST_COOL_DOWN = 1.0, 60.0, 300.0
"""Seconds after a refresh without a definite response until the next one: the first pause, which doubles each time, the
longest, and the longest that a `Retry-After` can ask for."""

SAVES = 4
"""How often saving a new pair is tried."""

LEASE = 15.0
"""Seconds that a worker may take over a refresh: one call to Configure, and a save. Where a slow store makes it last
longer, a second worker sends the same token once more, which Configure accepts for 60 s, and one of the two saves."""

_POLLS, _POLL = 200, 0.1
"""How often, and at which interval in seconds, another worker's refresh is looked for: longer than its lease."""


async def account(site: Site, user_id: str | None) -> LinkedAccount | None:
    """Return the user's connection, the link's before the login's."""
    found = await _find(site, user_id, None)
    return None if found is None else found.public


async def access_token(site: Site, user_id: str | None, resource: str, kind: Kind | None = None) -> Secret:
    """Return a valid token.

    Raises:
        ConfigureError: AUTH_REQUIRED if the user is not connected or must reconnect; else why a refresh failed.
    """
    opened = await open_token(site, user_id, resource, kind)
    return opened.token


async def open_token(site: Site, user_id: str | None, resource: str, kind: Kind | None = None) -> OpenToken:
    """`access_token` with the account that it belongs to, for `call_with_token`."""
    found = await _find(site, user_id, kind)
    fresh = await _fresh(site, found, resource)
    return OpenToken(account=fresh, token=_tokens(site, fresh)[0])


async def call_with_token(site: Site, user_id: str | None, resource: str, kind: Kind | None, call: HttpCall[T]) -> T:
    """Send a call with the user's token. A token that Configure rejects is validated once more, then refreshed.

    A token that can't be refreshed is marked, and the error raised.
    """
    opened = await open_token(site, user_id, resource, kind)
    try:
        return await call.bearing(opened.token)
    except ConfigureError as error:
        # A lack of scope is a permission, not a dead token.
        if error.code is not ApiCode.AUTH_REQUIRED or await _still_good(site, opened.account, opened.token):
            raise
        if _tokens(site, opened.account)[1] is None:
            await _mark(opened.account)
            raise
    renewed = await _renewed(site, opened.account, resource)
    return await call.bearing(_tokens(site, renewed)[0])


async def forget_user(site: Site, user_id: str) -> bool:
    """Delete everything stored of a user, so that a reused id inherits nothing. Return whether it was connected."""
    agent, name, owner = site.agent, await _lease_name(site, user_id), secrets.token_hex(16)
    # The attempts first, because they may be in Redis, and the accounts last: where one of these steps fails, the next
    # call still finds the accounts, and its answer is true.
    await UseStore(lambda stores: stores.states.forget(agent, user_id))
    await UseStore(lambda stores: stores.agents.forget(agent, user_id))
    await forget_id(site, "user", user_id)
    # Taken from whichever worker has it: what that one saves is conditional on an account which is about to go.
    await UseStore(lambda stores: stores.leases.acquire(name, owner=owner, until=0.0, now=math.inf))
    await UseStore(lambda stores: stores.leases.release(name, owner=owner))
    mark, until = await forgotten_lease(site, user_id), site.clock() + FORGOTTEN
    await UseStore(lambda stores: stores.leases.acquire(mark, owner=owner, until=until, now=math.inf))
    gone = await UseStore(lambda stores: stores.accounts.forget(agent, user_id))
    for one in gone:
        kinds: tuple[Kind, ...] = (one.kind,)
        await Emit(
            AccountUnlinked(user_id=user_id, configure_user_id=one.configure_user_id, kinds=kinds, why="forgotten")
        )
    return bool(gone)


async def _lease_name(site: Site, user_id: str) -> str:
    """The name of a user's lease; keyed, because a worker that is killed leaves it behind."""
    return await keyed_id(site, "lease", user_id)


async def validate_token(
    site: Site, token: Secret, limited: Callable[[HttpCall[TokenValidation]], HttpCall[TokenValidation]] | None = None
) -> TokenValidation | None:
    """Validate a token that came from outside; None if Configure does not know it as a token.

    It is unknown whether that is an error or `valid: false`, so both are handled. A 404 without a code of Configure
    comes from a gateway.
    """
    try:
        call = SignInCalls(site.settings).validate_sign_in_token(token)
        return await (call if limited is None else limited(call))
    except ConfigureError as error:
        # Any other error, such as 402 or 408, is not about the token.
        said = error.backend_code is not None and error.status_code in (400, 404, 410, 422)
        if said and error.code in (ApiCode.INVALID_INPUT, ApiCode.NOT_FOUND):
            return None
        raise


async def _find(site: Site, user_id: str | None, kind: Kind | None) -> StoredAccount | None:
    if user_id is None:
        return None
    found = await UseStore(lambda stores: stores.accounts.find(site.agent, user_id))
    return next((one for one in found if kind in (None, one.kind)), None)


def _tokens(site: Site, account: StoredAccount) -> tuple[Secret, Secret | None]:
    plain = json.loads(site.sealer.open(account.token, *seal_context(account)))
    refresh = plain.get("refresh_token")
    return Secret(plain["access_token"]), Secret(refresh) if refresh else None


def seal_context(account: StoredAccount) -> tuple[str, str, str, str]:
    """The context that a connection's token is sealed to."""
    return account.kind, account.agent, account.user_id, account.configure_user_id


def with_tokens(
    site: Site, account: StoredAccount, access_token: Secret, refresh_token: Secret | None = None
) -> StoredAccount:
    """Return a connection with these tokens, sealed here: no frame of a save that fails has them plain."""
    return replace(account, token=site.sealer.seal(token_pair(access_token, refresh_token), *seal_context(account)))


def token_pair(access_token: Secret, refresh_token: Secret | None) -> str:
    """Return tokens as JSON."""
    refresh = None if refresh_token is None else refresh_token.reveal()
    return json.dumps({"access_token": access_token.reveal(), "refresh_token": refresh})


def _reconnect(sentence: str = "the user must connect Configure again") -> ConfigureError:
    return ConfigureError(ApiCode.AUTH_REQUIRED, sentence, suggested_action="reconnect")


async def _fresh(site: Site, account: StoredAccount | None, resource: str) -> StoredAccount:
    if account is None:
        raise _reconnect("the user has not connected Configure")
    if account.needs_reconnect:
        raise _reconnect()
    if _is_fresh(site, account):
        return account
    if _tokens(site, account)[1] is None:
        await _mark(account)
        raise _reconnect()
    try:
        return await _renewed(site, account, resource)
    except ConfigureError as error:
        # Before its end the present token does as well.
        if error.retryable and account.expires_at is not None and site.clock() < account.expires_at:
            return account
        raise


def _is_fresh(site: Site, account: StoredAccount) -> bool:
    # Without a refresh token there is nothing to be early for.
    early = EARLY if _tokens(site, account)[1] is not None else 0.0
    return account.expires_at is None or account.expires_at > site.clock() + early


async def _renewed(site: Site, stale: StoredAccount, resource: str) -> StoredAccount:
    """Return the account with a new token, refreshed by this worker or another one; after a failure once more."""
    is_retry = False
    for _ in range(_POLLS):
        try:
            # Shielded: a response that is no longer awaited would be the only copy of the new tokens.
            renewed = await Shielded(with_lease(site, stale, lambda: _refresh_alone(site, stale, resource)))
            if renewed is None:
                await Pause(_POLL)
                # Before another try for the lease, which would queue all waiting workers.
                present, is_renewed = await _present(site, stale)
                renewed = present if is_renewed else None
            if renewed is not None:
                return renewed
        except ConfigureError as error:
            if is_retry or error.retry_after is None or error.retry_after > PAUSE:
                raise
            is_retry = True
            await Pause(error.retry_after + _POLL)
    raise _unavailable("another worker's refresh of this token didn't end", _POLL)


async def _present(site: Site, stale: StoredAccount) -> tuple[StoredAccount, bool]:
    """Return the account as it is stored now, and whether it has a new token already; if not, one may be requested."""
    present = await _find(site, stale.user_id, stale.kind)
    if present is None or present.needs_reconnect or present.configure_user_id != stale.configure_user_id:
        raise _reconnect()
    # The token itself: sealed anew, it is still the same one.
    if _tokens(site, present)[0] != _tokens(site, stale)[0] and _is_fresh(site, present):
        return present, True
    cool_down = _next_refresh(present) - site.clock()
    if 0 < cool_down <= LONGEST_COOL_DOWN:  # a longer one is none: the clock was set back
        raise _unavailable("Configure failed to refresh this token a moment ago", cool_down)
    return present, False


async def with_lease(site: Site, account: StoredAccount, change: Callable[[], Flow[T]]) -> T | None:
    """Change a user's tokens while no other worker does; None, and no change, if another worker has the lease."""
    name, owner = await _lease_name(site, account.user_id), secrets.token_hex(16)
    held = await UseStore(
        lambda stores: stores.leases.acquire(name, owner=owner, until=site.clock() + LEASE, now=site.clock())
    )
    if not held:
        return None
    try:
        changed = await change()
    except Exception:
        await _release(name, owner)
        raise
    await _release(name, owner)
    return changed


async def _release(name: str, owner: str) -> None:
    try:
        await UseStore(lambda stores: stores.leases.release(name, owner=owner))
    except StoreError as error:
        # It ends by itself, and what was done under it is done.
        log.warning("a lease could not be given back: %s", error)


async def _refresh_alone(site: Site, stale: StoredAccount, resource: str) -> StoredAccount:
    """Record that a refresh is sent, send it, save the new pair, only then use it."""
    present, is_renewed = await _present(site, stale)
    if is_renewed:
        return present
    token = _tokens(site, present)[1]
    if token is None:
        raise _reconnect()
    # A store that takes no changes now would lose the new pair.
    sends = min(present.refresh_sends + 1, 99)
    present = await _change(site, present, replace(present, refresh_sent_at=None, refresh_sends=sends))
    call = refresh_tokens(site.settings, refresh_token=token, resource=resource, scopes=present.scopes)
    try:
        response = await call
    except ConfigureError as error:
        # Nothing else is definite: a lost, broken or 5xx response leaves open whether the token is still good, and who
        # asks again with it learns that. A status outside of these two may be a gateway's.
        if error.backend_code == "invalid_grant" and error.status_code in (400, 401):
            await _mark(present)
            raise _reconnect() from error
        if error.retryable or error.status_code in range(200, 300):
            await _postpone(site, present, error)
        else:
            await _change(site, present, replace(present, refresh_sends=0))
        raise
    return await _kept(site, present, response, token)


def _next_refresh(account: StoredAccount) -> float:
    """The Unix seconds before which no worker sends a refresh: a cool-down that all of them see."""
    if account.refresh_sent_at is None:
        return 0.0
    return account.refresh_sent_at + min(PAUSE * 2.0 ** (account.refresh_sends - 1), LONGEST_PAUSE)


async def _postpone(site: Site, present: StoredAccount, error: ConfigureError) -> None:
    """Save a failed refresh, and tell in its error when the next may be sent."""
    now = site.clock()
    failed = replace(present, refresh_sent_at=now)
    pause = _next_refresh(failed) - now
    longer = min(error.retry_after or 0.0, LONGEST_COOL_DOWN) - pause
    if longer > 0:
        failed = replace(failed, refresh_sent_at=now + longer)
    error.retryable, error.retry_after = True, pause + max(longer, 0.0)
    try:
        await _change(site, present, failed)
    except StoreError as lost:
        log.warning("a failed refresh could not be saved, so that the next is sent without a pause: %s", lost)


def _unavailable(sentence: str, wait: float) -> ConfigureError:
    return ConfigureError(ApiCode.NETWORK_ERROR, sentence, retryable=True, retry_after=wait, sent=False)


async def _kept(site: Site, present: StoredAccount, response: TokenResponse, old: Secret) -> StoredAccount:
    fresh = replace(
        present,
        expires_at=None if response.expires_in is None else site.clock() + response.expires_in,
        scopes=response.scopes,
        refresh_sent_at=None,
        refresh_sends=0,
        serial=secrets.token_hex(8),
    )
    # RFC 6749 section 6: without a new refresh token the old one stays.
    fresh = with_tokens(site, fresh, response.access_token, response.refresh_token or old)
    for _ in range(SAVES - 1):
        try:
            fresh = await _change(site, present, fresh)
            break
        except StoreError as error:
            # The old token is used up: this pair is the only valid one.
            log.warning("refreshed tokens could not be saved at the first try: %s", error)
            await Pause(_POLL)
    else:
        fresh = await _change(site, present, fresh)
    await Emit(TokenRefreshed(account=fresh.public))
    return fresh


async def _change(site: Site, old: StoredAccount, new: StoredAccount) -> StoredAccount:
    """Save a change, unless the account was unlinked or changed meanwhile."""
    if new.serial == old.serial:
        new = replace(new, serial=secrets.token_hex(8))
    kept = await UseStore(lambda stores: stores.accounts.update(new, serial=old.serial))
    if not kept:
        # It may be this very change, saved by a try whose response was lost.
        present = await _find(site, new.user_id, new.kind)
        if present is None:
            raise _reconnect()
        if present.serial != new.serial:
            # By another worker, or a new connection of the same user: look again.
            raise _unavailable("the connection was changed during its refresh", _POLL)
    return new


async def _mark(account: StoredAccount) -> None:
    marked = replace(account, needs_reconnect=True, serial=secrets.token_hex(8))
    kept = await UseStore(lambda stores: stores.accounts.update(marked, serial=account.serial))
    if kept:
        await Emit(ReconnectNeeded(account=marked.public))


async def _still_good(site: Site, account: StoredAccount, token: Secret) -> bool:
    """Validate a token once more before it counts as invalid. A failure to validate leaves it valid."""
    try:
        if account.kind == "agent":
            validation = await SignInCalls(site.settings).validate_sign_in_token(token)
            return validation.valid and validation.user_id in (None, account.configure_user_id)
        introspection = await introspect(site.settings, token)
        return introspection.active and introspection.sub == account.configure_user_id
    except ConfigureError:
        return True
