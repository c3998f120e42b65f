"""One attempt to sign in, from its state to its outcome, the same for link, login and Authlib's provider.

Nothing is sent to Configure before an attempt was claimed: state, browser, intent and time matched in one statement.
Then comes the user, then Configure's `error`, and only then the code is exchanged. The outcome is remembered.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from ...errors import (
    BearerError,
    Code,
    ConfigureAuthError,
    ConfigureError,
    LoginRefused,
    SettingsError,
    SignInError,
    StoreError,
)
from ...events import LinkFailed, SignInStarted
from ...stores import REPLAY
from ...values import Intent, PendingSignIn, Secret
from ..answer import Answer, BrowserCookie
from ..app import AppResponse
from ..effects import Emit, Flow, Pause, UseStore
from ..site import Site, digest
from ..visit import Visit

__all__ = [
    "Ending",
    "Outcome",
    "Purpose",
    "Returned",
    "as_refusal",
    "claim",
    "code_of",
    "keep",
    "mint",
    "new_state",
    "read_callback",
    "redeemed",
    "remembered",
    "settle",
]

log = logging.getLogger("configure_auth")

LIFETIME = 15 * 60.0
"""Seconds that a state is good for: long enough for a code by SMS that comes late."""

OPEN_LIMIT = 10
"""Attempts that one browser may have open at once; the oldest goes."""

ABANDONED = 30.0
"""Seconds after which a claim without an outcome counts as interrupted. The deadline of our own calls is shorter."""

MARK = 22
"""Letters at the end of a state that say for which browser, and what, it was made; after its 256 random bits."""

_CODE = re.compile(r"[\x21-\x7e]+", re.ASCII)

_POLLS, _POLL = 20, 0.1
"""How often, and after how many seconds each, the loser of a race looks for the winner's outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended, as it is remembered: a place to go, or a code. `user_id` is whom a login signed in."""

    location: str | None = field(default=None, repr=False)
    code: Code | None = None
    sentence: str | None = None
    user_id: str | None = None
    replay: str | None = field(default=None, repr=False)

    def sealed(self, site: Site, state_hash: str) -> tuple[str, str | None]:
        plain = {"location": self.location, "code": self.code, "sentence": self.sentence, "user_id": self.user_id}
        replay = None if self.replay is None else site.sealer.seal(self.replay, "replay", state_hash)
        return site.sealer.seal(json.dumps(plain), "outcome", state_hash), replay

    @classmethod
    def of(cls, site: Site, record: PendingSignIn) -> Outcome:
        assert record.outcome is not None
        plain = json.loads(site.sealer.open(record.outcome, "outcome", record.state_hash))
        fresh = record.finished_at is not None and site.clock() < record.finished_at + REPLAY
        replay = site.sealer.open(record.replay, "replay", record.state_hash) if record.replay and fresh else None
        code = None if plain["code"] is None else Code(plain["code"])
        return cls(**{**plain, "code": code, "replay": replay})


@dataclass(frozen=True, kw_only=True)
class Purpose(ABC):
    """What attempts are made for; link, login and the bare OAuth provider say here how they differ."""

    intent: ClassVar[Intent]
    turned_away: ClassVar[Code]
    """How an attempt ended in which a hook of the app raised a response of its own."""

    site: Site
    after: str = ""

    @abstractmethod
    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        """Where at Configure the person goes."""

    @abstractmethod
    def same_user(self, record: PendingSignIn, user_id: str | None) -> bool:
        """Whether the session still is the starter's; False ends it at `next` without an exchange."""

    @abstractmethod
    async def redeem(self, record: PendingSignIn, code: Secret, verifier: Secret) -> tuple[Outcome, Answer]:
        """Exchange the code and store what came of it."""


async def mint(
    purpose: Purpose, *, cookie: BrowserCookie, redirect_uri: str, user_id: str | None, next: str | None, replace: bool
) -> str:
    """Make and keep a state for this browser; the URL at Configure that carries it."""
    site = purpose.site
    # A verifier of RFC 7636, section 4.1; the hosted sign-in of a link has no PKCE and leaves it unused.
    state, verifier = new_state(purpose, cookie), Secret(secrets.token_urlsafe(32))
    url = purpose.hosted_url(redirect_uri=redirect_uri, state=state.reveal(), verifier=verifier)
    agent, state_hash = site.agent, digest("state", state.reveal())
    version = None
    if user_id is not None:
        version = await UseStore(lambda stores: stores.accounts.version(agent, user_id))
    await keep(
        site,
        PendingSignIn(
            state_hash=state_hash,
            browser_hash=digest("browser", cookie.binding),
            intent=purpose.intent,
            agent=agent,
            user_id=user_id,
            next=next,
            verifier=site.sealer.seal(verifier.reveal(), "verifier", state_hash),
            redirect_uri=redirect_uri,
            version=version,
            replace=replace,
            created_at=site.clock(),
            expires_at=site.clock() + LIFETIME,
        ),
    )
    await Emit(SignInStarted(intent=purpose.intent, user_id=user_id))
    return url


async def keep(site: Site, record: PendingSignIn) -> None:
    """Keep a new attempt, and no more of this browser than may be open at once."""
    await UseStore(lambda stores: stores.states.put(record, limit=OPEN_LIMIT, now=site.clock()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What Configure sent back with the person. Code and state hide themselves, also from a traceback with locals."""

    state: Secret
    code: Secret | None
    error: str | None


def read_callback(visit: Visit) -> Returned:
    """The parameters that Configure sends back, of a shape that a state of ours could have."""
    # `iss` (RFC 9207) is not judged: this redirect_uri is registered with one issuer only, which guards against
    # mix-up as well, and no document says what Configure would put there.
    given = visit.parameters(state=256, code=2048, error=256, error_description=4096, iss=512)
    state, code = Secret(given.pop("state", "")), Secret(given.pop("code", ""))
    if not visit.is_state(state.reveal()):
        raise SignInError(Code.INVALID_REQUEST, "the callback has no state of ours")
    return Returned(state=state, code=code or None, error=given.get("error"))


def new_state(purpose: Purpose, cookie: BrowserCookie) -> Secret:
    """256 random bits, and a mark that tells "your sign-in is over" from "not your sign-in"; it proves nothing else."""
    random = secrets.token_urlsafe(32)
    return Secret(random + _mark(random, purpose, cookie))


def _mark(random: str, purpose: Purpose, cookie: BrowserCookie) -> str:
    made_for = f"{purpose.intent}:{purpose.site.agent}:{random}"
    mark = hmac.new(cookie.binding.encode(), made_for.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mark)[:MARK].decode()


def _is_of(state: Secret, purpose: Purpose, cookie: BrowserCookie) -> bool:
    plain = state.reveal()
    return hmac.compare_digest(plain[-MARK:], _mark(plain[:-MARK], purpose, cookie))


async def claim(purpose: Purpose, name: str, state: Secret, cookie: BrowserCookie) -> PendingSignIn | None:
    """Take the attempt, or find how it ended; None while another request is still ending it.

    An unknown state and another browser's state get the same answer, so that nobody learns which states exist. Only
    one that was made for this browser is called expired: it was purged, or the store lost it.

    Args:
        name: of the parameter that brought the state.
    """
    site, state_hash = purpose.site, digest(name, state.reveal())
    browser_hash, agent, intent = digest("browser", cookie.binding), site.agent, purpose.intent
    record = await UseStore(
        lambda stores: stores.states.claim(
            state_hash, browser_hash=browser_hash, intent=intent, agent=agent, now=site.clock()
        )
    )
    if record is not None:
        return record
    for _ in range(_POLLS):
        seen = await UseStore(
            lambda stores: stores.states.read(
                state_hash, browser_hash=browser_hash, intent=intent, agent=agent, now=site.clock()
            )
        )
        if seen is None:
            code = Code.EXPIRED if _is_of(state, purpose, cookie) else Code.WRONG_BROWSER
            raise SignInError(code, "no attempt of this browser has this state")
        if seen.claimed_at is None:
            raise SignInError(Code.EXPIRED, "the attempt is older than 15 minutes", next=seen.next)
        if seen.outcome is not None:
            return seen
        if site.clock() >= seen.claimed_at + ABANDONED:
            raise SignInError(Code.INTERRUPTED, "an earlier callback was cut off before its end", next=seen.next)
        await Pause(_POLL)
    return None


Ending: TypeAlias = Flow[tuple[Outcome, Answer]]
"""What ends a claimed attempt: how, and the answer to this request."""


async def settle(purpose: Purpose, record: PendingSignIn, ending: Ending) -> tuple[Outcome, Answer]:
    """End an attempt that was claimed, and remember how, whatever happens."""
    site = purpose.site
    try:
        outcome, answer = await ending
    except AppResponse:
        await _remember(site, record, Outcome(code=purpose.turned_away))
        await Emit(LinkFailed(intent=purpose.intent, code=purpose.turned_away, user_id=record.user_id))
        raise
    except Exception as error:  # whatever it was, the person gets a page and the attempt an end
        refusal = as_refusal(error)
        refusal.next = refusal.next or record.next
        sentence = refusal.sentence if isinstance(refusal, LoginRefused) else None
        await _remember(site, record, Outcome(code=Code(refusal.code), sentence=sentence))
        await Emit(LinkFailed(intent=purpose.intent, code=Code(refusal.code), user_id=record.user_id))
        if refusal is error:
            raise
        raise refusal from error
    await _remember(site, record, outcome)
    return outcome, answer


async def redeemed(
    purpose: Purpose, record: PendingSignIn, code: Callable[[], Secret], user_id: str | None
) -> tuple[Outcome, Answer]:
    """The usual ending: the same user, then what Configure sent, then the exchange."""
    assert record.verifier is not None
    if not purpose.same_user(record, user_id):
        location = record.next or purpose.after
        return Outcome(location=location), Answer.redirect(location)
    verifier = Secret(purpose.site.sealer.open(record.verifier, "verifier", record.state_hash))
    return await purpose.redeem(record, code(), verifier)


def code_of(given: Returned) -> Secret:
    """The code that came back, or why there is none."""
    # An error wins over a code that comes along with it (RFC 6749, section 4.1.2.1).
    if given.error is not None:
        if given.error == "access_denied":
            raise SignInError(Code.CANCELLED, "the person cancelled at Configure")
        busy = given.error in ("server_error", "temporarily_unavailable")
        raise SignInError(
            Code.UPSTREAM_UNAVAILABLE if busy else Code.UPSTREAM_REJECTED,
            f"Configure came back with error={given.error[:64]!a}",
        )
    if given.code is None or not _CODE.fullmatch(given.code.reveal()):
        raise SignInError(Code.INVALID_REQUEST, "the callback has no well-formed code")
    return given.code


def remembered(site: Site, record: PendingSignIn) -> Outcome:
    """The outcome of a success; how a failure ended is raised again."""
    outcome = Outcome.of(site, record)
    if outcome.code is Code.LOGIN_REFUSED and outcome.sentence is not None:
        raise LoginRefused(outcome.sentence)
    if outcome.code is not None:
        raise SignInError(outcome.code, "the attempt had ended so before", next=record.next)
    return outcome


async def _remember(site: Site, record: PendingSignIn, outcome: Outcome) -> None:
    sealed, replay = outcome.sealed(site, record.state_hash)
    try:
        await UseStore(
            lambda stores: stores.states.finish(
                record.state_hash, outcome=sealed, replay=replay, user_id=outcome.user_id, now=site.clock()
            )
        )
    except ConfigureAuthError as error:
        # The end itself stands; only a reload of the callback will say `interrupted` instead of repeating it.
        log.warning("the outcome of a sign-in could not be kept: %s", error)


def as_refusal(error: Exception) -> SignInError:
    """Any failure in a flow, in the words of a sign-in; what is the app's or our own fault is logged with its trace."""
    if isinstance(error, SignInError):
        return error
    if isinstance(error, ConfigureError):
        log.warning("Configure failed a sign-in: %s", error)
        return SignInError(error.sign_in_code, str(error), retry_after=error.retry_after)
    if isinstance(error, SettingsError):
        log.error("misconfigured: %s", error)
        return SignInError(Code.MISCONFIGURED, str(error))
    if isinstance(error, StoreError):
        log.error("%s: %s", error.code, error)
        return SignInError(Code.STORE_BUSY, str(error), retry_after=2)
    if isinstance(error, BearerError):
        # Of an app's own `user_id`, which asks a `BearerUser`.
        code = Code.SIGNED_OUT if error.retry_after is None else Code.UPSTREAM_UNAVAILABLE
        return SignInError(code, str(error), retry_after=error.retry_after)
    log.error("a hook of the app, or configure_auth itself, failed in a sign-in", exc_info=error)
    return SignInError(Code.MISCONFIGURED, f"an unexpected {type(error).__name__}")
