"""Attempts: one state from its creation to its outcome, the same for link, login and Authlib's provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

from ...errors import Code, ConfigureAuthError, LoginRefused, SettingsError, SignInError
from ...events import SignInStarted
from ...runtime.frozen import dataclass
from ...stores import REPLAY, Ended, Saved, StoredAccount, Stores
from ...values import STATE_LIFETIME, Intent, PendingSignIn, Secret
from ..effects import Emit, Observe, Pause, UseStore
from ..keyed_ids import FORGOTTEN, forgotten_lease
from ..request import Request
from ..response import BrowserCookie, Response
from ..site import Site, digest

log: logging.Logger = logging.getLogger(__name__)

OPEN_LIMIT = 10
"""Attempts that one browser may have open at once; the oldest is deleted. Scripts may have as many beside them."""

INTERRUPTED_AFTER = 30.0
"""Seconds after which a claim without an outcome is interrupted; the deadline of calls to Configure is shorter."""

MARK = 22
"""Characters at the end of a state, after its 256 random bits, that tell for which browser and intent it was made."""

DATA_LIMIT = 2048
"""Bytes of the app's data that an attempt carries."""

POLLS, POLL_INTERVAL = 20, 0.1
"""How often, and at which interval in seconds, the loser of a race looks for the winner's outcome: 2 s in all."""


_NOT_A_NAVIGATION = (
    "A sign-in starts with a navigation. A script sends Accept: application/json and navigates to the url that it gets."
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended: a location to redirect to, or an error code. `user_id` is the user of a login.

    With `LOGIN_REFUSED` the location is the app's own sign-in page.

    `is_stored`: the account was saved in the same transaction.
    """

    location: str | None = field(default=None, repr=False)
    code: Code | None = None
    sentence: str | None = None
    user_id: str | None = None
    replay: str | None = field(default=None, repr=False)
    is_stored: bool = False
    reference: str | None = None

    def sealed(self, site: Site, state_hash: str) -> tuple[str, str | None]:
        plain = {"location": self.location, "code": self.code, "sentence": self.sentence, "user_id": self.user_id}
        plain["reference"] = self.reference
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
class Carried:
    """What the app gave to a start, to have it back at the end.

    `data` is the app's own, as JSON has it. `untrusted` is from the query of the start, which a third party can write.
    """

    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    untrusted: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Carried:
        """
        Raises:
            SettingsError: it is more than `DATA_LIMIT` as JSON, or can't be written as JSON.
        """
        try:
            if data is None or len(json.dumps(data).encode()) <= DATA_LIMIT:
                return cls(data=data or {})
        except (TypeError, ValueError) as error:
            raise SettingsError("data= of a start must be a mapping that can be written as JSON") from error
        raise SettingsError(f"data= of a start is more than {DATA_LIMIT} bytes as JSON; keep it, and give its key")

    def given(self) -> dict[str, Any]:
        return {"data": dict(self.data), "untrusted": dict(self.untrusted)}


@dataclass(frozen=True, kw_only=True)
class SignInKind(ABC):
    """What attempts are made for. Link, login and Authlib's provider define here how they differ.

    `after` is the page to go on to where a start had no `next`.
    """

    intent: ClassVar[Intent]
    aborted: ClassVar[Code]
    """Outcome recorded when an app hook aborts with its own response."""

    site: Site
    after: str = ""

    @property
    def connections(self) -> int:
        """How many connections to Configure its callback uses at once."""
        return 1

    @abstractmethod
    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        """Return the URL at Configure that the user is redirected to."""

    async def admit(self, user_id: str | None) -> bool:
        """Whether this user may start; False redirects to `next` instead. Raises what the error page should say."""
        return True

    def needs_session(self, by_bearer: bool) -> bool:
        """Whether a callback without a session user should be reloaded to get a SameSite=Strict session cookie."""
        return False

    def defers_exchange(self, by_bearer: bool) -> bool:
        """Whether a callback without a user leaves the exchange to a page that sends a bearer token."""
        return False

    def state_hash(self, parameter: str, state: Secret, browser_hash: str) -> str:
        """Return the hash that an attempt is stored by."""
        return digest(parameter, state.reveal())

    @abstractmethod
    def check_user(self, record: PendingSignIn, user_id: str | None) -> None:
        """Check that the signed-in user is the one who started.

        Raises:
            SignInError: it is another one.
        """

    @abstractmethod
    async def exchange(
        self, record: PendingSignIn, code: Secret, verifier: Secret, carried: Carried
    ) -> tuple[Outcome, Response]:
        """Exchange the code and store the result."""

    async def repeat(self, record: PendingSignIn, outcome: Outcome, user_id: str | None) -> Response:
        """Respond to the same browser after a success, without a second exchange."""
        return Response.redirect(outcome.location or self.after)


def decline_start(request: Request) -> Response | None:
    """Return the response to a start that must not create an attempt, or None.

    A prefetch isn't a start. A fetch by a library of the page can't follow the redirect to Configure: the library is
    told to navigate to the same URL, where it has a header for that, and else gets a response that is no HTML, upon
    which Turbo and others leave the link to the browser.
    """
    if request.is_prefetch_or_head:
        return Response.to_prefetch(request)
    if request.page_script is not None:
        return Response.navigate(request.own_url, request.page_script)
    if not request.navigates_or_asks_for_json:
        return Response(status=406, text=_NOT_A_NAVIGATION)
    return None


async def create_state(
    kind: SignInKind,
    *,
    cookie: BrowserCookie,
    redirect_uri: str,
    user_id: str | None,
    next: str | None,
    replace: bool,
    navigated: bool,
    by_bearer: bool = False,
    in_popup: bool = False,
    carried: Carried | None = None,
) -> str:
    """Create and store a state for this browser; return the URL at Configure that contains it.

    Args:
        navigated: the browser goes to that URL. A script that gets it may not, so its attempt is deleted first.
        by_bearer: the start had a bearer token, which the callback won't have.
        in_popup: the state shows it, so that pages before its end leave the window its opener.
    """
    site, now = kind.site, kind.site.clock()
    # A verifier of RFC 7636, section 4.1; the hosted sign-in of a link has no PKCE and leaves it unused.
    state, verifier = random_state(kind, cookie, by_bearer, in_popup), Secret(secrets.token_urlsafe(32))
    agent, state_hash = site.agent, digest("state", state.reveal())
    version = None
    if user_id is not None:
        version = await UseStore(lambda stores: stores.accounts.version(agent, user_id))
    await save_attempt(
        site,
        PendingSignIn(
            state_hash=state_hash,
            browser_hash=digest("browser", cookie.binding),
            intent=kind.intent,
            agent=agent,
            user_id=user_id,
            next=next,
            verifier=seal_verifier(site, verifier, carried or Carried(), state_hash),
            redirect_uri=redirect_uri,
            version=version,
            replace=replace,
            # Stores delete the lowest first: a script's is lower than every navigation's that is still open.
            created_at=now if navigated else now - STATE_LIFETIME,
            expires_at=now + STATE_LIFETIME,
        ),
        limit=OPEN_LIMIT if navigated else 2 * OPEN_LIMIT,
    )
    await Emit(SignInStarted(intent=kind.intent, user_id=user_id))
    # Built last: no frame of a save that fails has a live state in plain text.
    return kind.hosted_url(redirect_uri=redirect_uri, state=state.reveal(), verifier=verifier)


def seal_verifier(site: Site, verifier: Secret, carried: Carried, state_hash: str) -> str:
    """Seal a verifier, and behind it what the attempt carries, if anything."""
    more = carried.given() if carried.data or carried.untrusted else None
    plain = verifier.reveal() + ("" if more is None else f"\n{json.dumps(more)}")
    return site.sealer.seal(plain, "verifier", state_hash)


def open_verifier(site: Site, record: PendingSignIn) -> tuple[Secret, Carried]:
    """Return what `seal_verifier` sealed."""
    assert record.verifier is not None
    verifier, _, more = site.sealer.open(record.verifier, "verifier", record.state_hash).partition("\n")
    return Secret(verifier), Carried(**json.loads(more or "{}"))


async def save_attempt(site: Site, record: PendingSignIn, *, limit: int = OPEN_LIMIT) -> None:
    """Save a new attempt, and delete the oldest of a browser that has `limit` open."""
    await UseStore(lambda stores: stores.states.put(record, limit=limit, now=site.clock()))


def random_state(kind: SignInKind, cookie: BrowserCookie, by_bearer: bool = False, in_popup: bool = False) -> Secret:
    """Return 256 random bits and a mark; in front of them a letter for a popup.

    The mark distinguishes an expired attempt of this browser from one of another, and one that a bearer token started;
    it proves nothing else.
    """
    random = ("p" if in_popup else "") + secrets.token_urlsafe(32)
    return Secret(random + _mark(random, kind, cookie, by_bearer))


def _mark(random: str, kind: SignInKind, cookie: BrowserCookie, by_bearer: bool) -> str:
    made_for = f"{kind.intent}{'+bearer' if by_bearer else ''}:{kind.site.agent}:{random}"
    mark = hmac.new(cookie.binding.encode(), made_for.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mark)[:MARK].decode()


def is_marked(state: Secret, kind: SignInKind, cookie: BrowserCookie, *, by_bearer: bool) -> bool:
    """Whether a state was made for this browser, by a start with a bearer token or by one without."""
    plain = state.reveal()
    # As bytes: an app's own state may have any letter.
    return hmac.compare_digest(plain[-MARK:].encode(), _mark(plain[:-MARK], kind, cookie, by_bearer).encode())


async def take_attempt(site: Site, intent: Intent, state_hash: str, browser_hash: str) -> PendingSignIn | None:
    """Claim an attempt in one statement that matches state, browser, intent and time; None if another request has."""
    return await UseStore(
        lambda stores: stores.states.claim(
            state_hash, browser_hash=browser_hash, intent=intent, agent=site.agent, now=site.clock()
        )
    )


async def read_attempt(site: Site, intent: Intent, state_hash: str, browser_hash: str) -> PendingSignIn | None:
    """Return an attempt as it is stored, if browser and intent match."""
    return await UseStore(
        lambda stores: stores.states.read(
            state_hash, browser_hash=browser_hash, intent=intent, agent=site.agent, now=site.clock()
        )
    )


async def claim_attempt(kind: SignInKind, parameter: str, state: Secret, cookie: BrowserCookie) -> PendingSignIn | None:
    """Claim an attempt atomically: state, browser, intent and time must match in one statement.

    An unknown state and another browser's state raise the same error, so that a third party can't find out which states
    exist. Only one that was created for this browser is called expired: it was purged, or the store lost it.

    Args:
        parameter: the query parameter that the state came in.

    Returns:
        The claimed attempt, one with an outcome if it had ended before, or None while another request is ending it.
    """
    site, browser_hash = kind.site, digest("browser", cookie.binding)
    state_hash = kind.state_hash(parameter, state, browser_hash)
    record = await take_attempt(site, kind.intent, state_hash, browser_hash)
    if record is not None:
        return record
    for _ in range(POLLS):
        seen = await read_attempt(site, kind.intent, state_hash, browser_hash)
        if seen is None:
            known = any(is_marked(state, kind, cookie, by_bearer=by_bearer) for by_bearer in (False, True))
            code = Code.EXPIRED if known else Code.WRONG_BROWSER
            raise SignInError(code, "no attempt of this browser has this state")
        if seen.claimed_at is None:
            raise SignInError(
                Code.EXPIRED, f"the attempt is older than {STATE_LIFETIME / 60:g} minutes", next=seen.next
            )
        if seen.outcome is not None:
            return seen
        # Or as long before it: the clock was set back.
        if abs(site.clock() - seen.claimed_at) >= INTERRUPTED_AFTER:
            raise SignInError(Code.INTERRUPTED, "a previous callback did not complete", next=seen.next)
        await Pause(POLL_INTERVAL)
    return None


def recall_outcome(site: Site, record: PendingSignIn) -> Outcome:
    """Return the stored outcome of a success; raise that of a failure again."""
    outcome = Outcome.of(site, record)
    if outcome.code is Code.LOGIN_REFUSED and outcome.sentence is not None:
        error: SignInError = LoginRefused(outcome.sentence, sign_in=outcome.location)
    elif outcome.code is not None:
        error = SignInError(outcome.code, "the attempt ended with this code before", next=record.next)
    else:
        return outcome
    error.reference = outcome.reference or random_reference()
    raise error


def _ended(site: Site, record: PendingSignIn, outcome: Outcome) -> Ended:
    sealed, replay = outcome.sealed(site, record.state_hash)
    return Ended(state_hash=record.state_hash, outcome=sealed, replay=replay, user_id=outcome.user_id, now=site.clock())


async def save_account(
    site: Site,
    ending: tuple[PendingSignIn, Outcome] | None,
    account: StoredAccount,
    *,
    since: float | None = None,
    **conditions: Any,
) -> Saved:
    """Save the connection that an attempt led to, and in the same transaction how it ended, where one store has both.

    Args:
        ending: the attempt and its outcome if the connection is saved; None where there is no attempt.
        since: not if the user was forgotten after this time, where one store has both.
        conditions: the arguments of `AccountStore.save`.
    """
    ended = None if ending is None else _ended(site, *ending)
    forgotten = None if since is None else (await forgotten_lease(site, account.user_id), since + FORGOTTEN)

    def save(stores: Stores) -> Saved:
        finishing: dict[str, Any] = {"ended": ended, "forgotten": forgotten} if stores.finishes else {}
        return stores.accounts.save(account, **conditions, **finishing)

    return await UseStore(save)


def random_reference() -> str:
    """Return seven characters that a user can read out: for the page, the log and support, and nothing else."""
    letters = "".join(secrets.choice("23456789ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(6))
    return f"{letters[:4]}-{letters[4:]}"


async def report_end(intent: Intent, code: Code | None, reference: str, user_id: str | None) -> None:
    """Log the end of an attempt, one line for each. `code` is None after a success."""
    spent = await Observe()
    log.info(
        "%s %s, reference %s, user %s, %.0f ms at Configure, %.0f ms in the store",
        intent,
        "succeeded" if code is None else f"ended: {code}",
        reference,
        "unknown" if user_id is None else user_id,
        spent.configure * 1000,
        spent.store * 1000,
    )


async def save_outcome(site: Site, record: PendingSignIn, outcome: Outcome) -> None:
    """Store how an attempt ended. A failure to do so is logged, and does not change how it ended."""
    if outcome.is_stored:
        return
    ended = _ended(site, record, outcome)
    try:
        await UseStore(
            lambda stores: stores.states.finish(
                ended.state_hash, outcome=ended.outcome, replay=ended.replay, user_id=ended.user_id, now=ended.now
            )
        )
    except ConfigureAuthError as error:
        # Only a reload of the callback will then say `interrupted` instead of repeating the outcome.
        log.warning("the outcome of a sign-in could not be stored: %s", error)
