"""Logins that wait for a form of the app, or for a script that gets its token: sealed, for one browser, once.

One waits as an attempt of its own, with the identity where a deferred attempt has its code. It has a made-up user, so
that a newer login of the same browser takes its place.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from ...errors import Code, ConfigureAuthError, SignInError
from ...values import STATE_LIFETIME, PendingSignIn
from ..effects import UseStore
from ..request import Request
from ..response import BrowserCookie
from ..site import Site, digest
from .attempts import read_attempt, save_attempt, take_attempt

log: logging.Logger = logging.getLogger(__name__)

FORM, TOKEN = "pending_login", "token"
"""What a login waits for: a form of the app, or a script that gets the app's token."""


async def save_pending_login(
    site: Site, record: PendingSignIn, plain: str, *, purpose: str = FORM, lifetime: float = STATE_LIFETIME
) -> None:
    """Save a login of an attempt's browser, in the place of an older one."""
    state_hash, now = digest(purpose, record.browser_hash), site.clock()
    await _forget(site, record.browser_hash, purpose)
    waiting = replace(
        record,
        state_hash=state_hash,
        user_id=_user(record.browser_hash, purpose),
        verifier=None,
        code=site.sealer.seal(plain, purpose, state_hash),
        created_at=now,
        expires_at=now + lifetime,
        claimed_at=None,
        finished_at=None,
        outcome=None,
        replay=None,
    )
    await save_attempt(site, waiting)


async def read_pending_login(site: Site, request: Request) -> str | None:
    """Return the login that waits for this browser's form."""
    browser_hash, state_hash = _of(site, request, FORM)
    record = await read_attempt(site, "login", state_hash, browser_hash)
    if record is None or record.claimed_at is not None or record.expires_at <= site.clock():
        return None
    return _open(site, record, FORM)


async def claim_pending_login(site: Site, request: Request, *, purpose: str = FORM) -> str:
    """Return the login of this browser that waits, to one caller, and delete it.

    Raises:
        SignInError: `expired`.
    """
    browser_hash, state_hash = _of(site, request, purpose)
    record = await take_attempt(site, "login", state_hash, browser_hash)
    if record is None:
        raise SignInError(Code.EXPIRED, "no login of this browser waits for a form, or it is completed already")
    plain = _open(site, record, purpose)
    await _forget(site, browser_hash, purpose)
    return plain


async def forget_browser(site: Site, request: Request, other: BrowserCookie | None = None) -> None:
    """Delete what this browser could sign in with: recent callbacks, a waiting form and token. A failure is logged.

    A sign-out must not fail for it.

    Args:
        other: another binding of attempts to this browser.
    """
    if site.settings.agent is None:
        return
    for cookie in (site.cookie_of_either_name(request), other):
        if cookie is None:
            continue
        try:
            await _forget_all(site, digest("browser", cookie.binding))
        except ConfigureAuthError as error:
            log.warning("a browser's recent sign-ins could not be forgotten at its sign-out: %s", error)


async def _forget_all(site: Site, browser_hash: str) -> None:
    await UseStore(lambda stores: stores.states.forget_replays(site.agent, browser_hash))
    for purpose in (FORM, TOKEN):
        await _forget(site, browser_hash, purpose)


def _of(site: Site, request: Request, purpose: str) -> tuple[str, str]:
    cookie = site.cookie_of_either_name(request)
    browser_hash = "" if cookie is None else digest("browser", cookie.binding)
    return browser_hash, digest(purpose, browser_hash)


def _open(site: Site, record: PendingSignIn, purpose: str) -> str:
    assert record.code is not None
    return site.sealer.open(record.code, purpose, record.state_hash)


def _user(browser_hash: str, purpose: str) -> str:
    return f"{'browser' if purpose == FORM else purpose}:{browser_hash}"


async def _forget(site: Site, browser_hash: str, purpose: str) -> None:
    await UseStore(lambda stores: stores.states.forget(site.agent, _user(browser_hash, purpose)))
