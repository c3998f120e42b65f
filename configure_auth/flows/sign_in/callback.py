"""The callback: claim the attempt, check the user, exchange the code, store the outcome.

Shared by the callback of link and login, by `POST /finish` and by Authlib's provider.
"""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import replace
from typing import TypeVar

from ...errors import Code, LoginRefused, SignInError, StoreError
from ...events import LinkFailed
from ...runtime.circuit import Busy
from ...runtime.frozen import dataclass
from ...settings import Settings
from ...values import STATE_LIFETIME, PendingSignIn, Secret
from ..app import AppResponse
from ..destination import with_query
from ..effects import Emit, Flow, Limited, Shielded
from ..failures import as_sign_in_error
from ..request import Request
from ..response import BrowserCookie, Response
from ..site import Site, digest
from .attempts import (
    Carried,
    Outcome,
    SignInKind,
    claim_attempt,
    is_marked,
    open_verifier,
    random_reference,
    random_state,
    read_attempt,
    recall_outcome,
    report_end,
    save_attempt,
    save_outcome,
    seal_verifier,
)

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

STATE, FINISH = "state", "configure_finish"
"""The query parameters of a callback and of the page that finishes a deferred one."""

_OAUTH_ERRORS = frozenset(
    "invalid_request unauthorized_client unsupported_response_type invalid_scope server_error temporarily_unavailable "
    "invalid_target interaction_required login_required consent_required account_selection_required".split()
)
"""RFC 6749 section 4.1.2.1, RFC 8707 section 2, OpenID Connect Core section 3.1.2.6."""

CLOCK_SKEW = 300.0
"""Seconds by which the clocks of an app's machines may differ."""

_CODE = re.compile(r"[\x21-\x7e]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Returned:
    """What the browser brought back. Code and state are secret, also in a traceback that shows local variables.

    `parameter` is where the state came from: `STATE`, or `FINISH` for an attempt that has its code stored already.
    `redirect_uri` is the callback that the request came to, None where the app itself checks it.
    """

    state: Secret
    code: Secret | None = None
    error: str | None = None
    parameter: str = STATE
    redirect_uri: str | None = None


@dataclass(frozen=True, kw_only=True)
class CompletedSignIn:
    """An attempt that has ended. `response` is None if it had ended in an earlier request."""

    record: PendingSignIn
    outcome: Outcome
    response: Response | None = None


def read_callback(
    request: Request, settings: Settings | None, redirect_uri: str | None = None, *, any_state: int = 0
) -> Returned:
    """Parse the query of a callback.

    Args:
        settings: what `iss` is compared with; None leaves it unchecked.
        any_state: how long a state may be that the app has made; 0 if all are ours.

    Raises:
        SignInError: a parameter is repeated or too long, the state doesn't look like one of ours, or `iss` names
            another authorization server (mix-up; RFC 9207, section 2.4).
    """
    given = request.parameters(state=any_state or 256, code=2048, error=256, error_description=4096, iss=512)
    state, code = Secret(given.pop("state", "")), Secret(given.pop("code", ""))
    if not (state if any_state else request.is_state(state.reveal())):
        raise SignInError(Code.INVALID_REQUEST, "the callback has no state of ours")
    if settings is not None and not settings.is_issuer(issuer := given.get("iss")):
        expected = settings.issuer or "one of Configure's origins; if this is Configure's, set CONFIGURE_ISSUER to it"
        log.warning("a callback was refused: iss=%s, expected %s (RFC 9207)", ascii(issuer)[:100], expected)
        raise SignInError(Code.INVALID_REQUEST, "the callback names another authorization server in iss")
    return Returned(state=state, code=code or None, error=given.get("error"), redirect_uri=redirect_uri)


def read_finish(request: Request) -> Returned:
    """Parse the query of `POST /finish`.

    Raises:
        SignInError: its parameter is missing, repeated or malformed.
    """
    handle = Secret(request.parameters(**{FINISH: 128}).get(FINISH, ""))
    if not request.is_state(handle.reveal()):
        raise SignInError(Code.INVALID_REQUEST, f"a finish needs the {FINISH} of the page's own address")
    return Returned(state=handle, parameter=FINISH)


async def complete_sign_in(
    kind: SignInKind, returned: Returned, cookie: BrowserCookie, user_id: str | None
) -> CompletedSignIn | None:
    """Complete a sign-in: nothing is sent to Configure before the attempt is claimed and its user checked.

    Args:
        user_id: the signed-in user of this request.

    Returns:
        How the attempt ended, in this request or an earlier one; None while another request is ending it.

    Raises:
        SignInError: it failed, in this request or an earlier one; BUSY if it could not begin, and may be tried again.
    """
    return await limited(_complete_sign_in(kind, returned, cookie, user_id))


async def limited(flow: Flow[T]) -> T:
    """Run a flow that calls Configure.

    Raises:
        SignInError: BUSY; the flow has not begun.
    """
    try:
        return await Limited(flow)
    except Busy as error:
        # Some seconds more, so that the pages of many people don't reload all at once.
        wait = error.retry_after + secrets.randbelow(4) + 1
        raise SignInError(
            Code.BUSY, "too many sign-ins are under way, or Configure is down", retry_after=wait
        ) from error


async def _complete_sign_in(
    kind: SignInKind, returned: Returned, cookie: BrowserCookie, user_id: str | None
) -> CompletedSignIn | None:
    record = await claim_attempt(kind, returned.parameter, returned.state, cookie)
    if record is None:
        return None
    if record.outcome is not None:
        if returned.parameter == FINISH and record.user_id != user_id:
            raise SignInError(Code.WRONG_USER, "another user finished this")
        return CompletedSignIn(record=record, outcome=recall_outcome(kind.site, record))
    # From here to the end even if the browser disconnects: the code can be exchanged only once.
    return await Shielded(_finish_attempt(kind, record, returned, cookie, user_id))


async def _finish_attempt(
    kind: SignInKind, record: PendingSignIn, returned: Returned, cookie: BrowserCookie, user_id: str | None
) -> CompletedSignIn:
    """Check, exchange and store the outcome, whatever it is."""
    reference, is_deferred, carried = random_reference(), False, Carried()
    log.debug("%s %s: claimed", kind.intent, reference)
    try:
        if record.expires_at > kind.site.clock() + STATE_LIFETIME + CLOCK_SKEW:
            raise SignInError(Code.EXPIRED, "the clock was set back, so the age of the attempt is unknown")
        verifier, carried = open_verifier(kind.site, record)
        if returned.redirect_uri not in (None, record.redirect_uri):
            raise SignInError(Code.INVALID_REQUEST, "the attempt was made for another callback of this app")
        if user_id is None and kind.defers_exchange(is_marked(returned.state, kind, cookie, by_bearer=True)):
            log.debug("%s %s: left to the page that has the user's token", kind.intent, reference)
            is_deferred, code = True, _read_code(kind.site, returned, record)
            outcome, response = await _defer_exchange(kind, record, code, verifier, carried, cookie)
        else:
            kind.check_user(record, user_id)
            log.debug("%s %s: the user is the one who started", kind.intent, reference)
            code = _read_code(kind.site, returned, record)
            outcome, response = await kind.exchange(record, code, verifier, carried)
    except AppResponse:
        await _fail(kind, record, Outcome(code=kind.aborted, reference=reference), carried)
        raise
    except Exception as error:  # whatever it was, the user gets a page and the attempt an outcome
        if isinstance(error, StoreError) and (completed := await _read_again(kind, record)) is not None:
            return completed
        failure = as_sign_in_error(error)
        failure.next = failure.next or record.next
        failure.reference = reference
        refused = failure if isinstance(failure, LoginRefused) else None
        outcome = Outcome(
            code=Code(failure.code),
            sentence=refused.sentence if refused else None,
            location=refused.sign_in if refused else None,
            reference=reference,
        )
        await _fail(kind, record, outcome, carried)
        if failure is error:
            raise
        raise failure from error
    await save_outcome(kind.site, record, outcome)
    if not is_deferred:
        await report_end(kind.intent, None, reference, outcome.user_id or record.user_id)
    return CompletedSignIn(record=record, outcome=outcome, response=response)


async def _read_again(kind: SignInKind, record: PendingSignIn) -> CompletedSignIn | None:
    """Return the outcome that is stored, if any, after the store failed: a commit whose response was lost is done."""
    try:
        seen = await read_attempt(kind.site, record.intent, record.state_hash, record.browser_hash)
    except StoreError:
        return None
    if seen is None or seen.outcome is None:
        return None
    return CompletedSignIn(record=seen, outcome=recall_outcome(kind.site, seen))


async def _fail(kind: SignInKind, record: PendingSignIn, outcome: Outcome, carried: Carried) -> None:
    assert outcome.code is not None
    assert outcome.reference is not None
    await save_outcome(kind.site, record, outcome)
    await report_end(kind.intent, outcome.code, outcome.reference, record.user_id)
    await Emit(LinkFailed(intent=kind.intent, code=outcome.code, user_id=record.user_id, **carried.given()))


async def _defer_exchange(
    kind: SignInKind, record: PendingSignIn, code: Secret, verifier: Secret, carried: Carried, cookie: BrowserCookie
) -> tuple[Outcome, Response]:
    """Store the code, sealed, under a new state for `POST /finish`, and redirect to the page that sends it."""
    site, handle = kind.site, random_state(kind, cookie)
    state_hash = digest(FINISH, handle.reveal())
    deferred = replace(
        record,
        state_hash=state_hash,
        verifier=seal_verifier(site, verifier, carried, state_hash),
        code=site.sealer.seal(code.reveal(), "code", state_hash),
        claimed_at=None,
    )
    await save_attempt(site, deferred)
    location = with_query(record.next or kind.after, FINISH, handle.reveal())
    return Outcome(location=location), Response.redirect(location)


def _read_code(site: Site, returned: Returned, record: PendingSignIn) -> Secret:
    """Return the code, from the query or the deferred attempt, or raise the error that came instead of it."""
    if record.code is not None:
        return Secret(site.sealer.open(record.code, "code", record.state_hash))
    # An error takes precedence over a code in the same response (RFC 6749, section 4.1.2.1).
    if returned.error is not None:
        if returned.error == "access_denied":
            raise SignInError(Code.CANCELLED, "the user cancelled at Configure")
        busy = returned.error in ("server_error", "temporarily_unavailable")
        # In development the sentence is on the page, where no text of a third party belongs.
        said = returned.error if returned.error in _OAUTH_ERRORS else "an unknown code"
        raise SignInError(
            Code.UPSTREAM_UNAVAILABLE if busy else Code.UPSTREAM_REJECTED, f"Configure redirected with error={said}"
        )
    if returned.code is None or not _CODE.fullmatch(returned.code.reveal()):
        raise SignInError(Code.INVALID_REQUEST, "the callback has no well-formed code")
    return returned.code
