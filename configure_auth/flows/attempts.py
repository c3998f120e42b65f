"""A sign-in from its start to its end, the same for link and login: what is checked, and in which order.

    start     host -> path -> who sent it -> user -> `next` -> cookie -> record -> off to Configure
    callback  shape -> prefetch -> cookie -> claim (state, browser, intent and time, in one statement) -> same user
              -> Configure's `error` -> only now the code is exchanged -> outcome remembered

Nothing is sent to Configure before the claim succeeded and the user is the one who started.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from .. import ui
from ..errors import Code, ConfigureAuthError, ConfigureError, LoginRefused, SettingsError, SignInError
from ..events import LinkFailed, SignInStarted
from ..stores import REPLAY
from ..values import Intent, PendingSignIn, Secret
from .answer import Answer, BrowserCookie
from .app import AppResponse, Hook, local_id
from .effects import Flow, ask, pause, tell, use, whole
from .site import Site, digest
from .visit import Visit

__all__ = [
    "METHODS",
    "SIGN_IN_ROUTES",
    "Feature",
    "Outcome",
    "Route",
    "callback",
    "current_user",
    "reload_first",
    "serve",
    "start",
]

log = logging.getLogger("configure_auth")

LIFETIME = 15 * 60.0
"""Seconds that a state is good for: long enough for a code by SMS that comes late."""

OPEN_LIMIT = 10
"""Attempts that one browser may have open at once; the oldest goes."""

ABANDONED = 30.0
"""Seconds after which a claim without an outcome counts as interrupted. The deadline of our own calls is shorter."""

_FINAL = frozenset(
    {
        Code.MISCONFIGURED,
        Code.SIGNED_OUT,
        Code.LAST_SIGN_IN,
        Code.LOGIN_REFUSED,
        Code.ACCOUNT_TAKEN,
        Code.ALREADY_CONNECTED,
    }
)
"""Ends that trying again doesn't mend, so that their page doesn't offer it."""

_CODE = re.compile(r"[\x21-\x7e]+", re.ASCII)

_POLLS, _POLL = 20, 0.1
"""How often, and after how many seconds each, the loser of a race looks for the winner's outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended, as it is remembered: a place to go, or a code. `user_id` is whom a login signed in."""

    location: str | None = None
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

    site: Site
    after: str = "/"

    @abstractmethod
    def hosted_url(self, *, redirect_uri: str, state: str, verifier: Secret) -> str:
        """Where at Configure the person goes."""

    @abstractmethod
    def same_user(self, record: PendingSignIn, user_id: str | None) -> bool:
        """Whether the session still is the starter's; False ends it at `next` without an exchange."""

    @abstractmethod
    def redeem(self, record: PendingSignIn, code: Secret, verifier: Secret) -> Flow[tuple[Outcome, Answer]]:
        """Exchange the code and store what came of it."""


@dataclass(frozen=True, kw_only=True)
class Feature(Purpose):
    """A purpose with routes of ours, under `path` of the app."""

    path: str
    on_error: Hook | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path.endswith("/") or not self.site.destinations.accepts(self.path):
            raise SettingsError('path must begin with a slash and not end with one, such as "/configure"')

    def url(self, app_url: str, route: str) -> str:
        return f"{app_url}{self.path}{route}"

    def start_href(self, next: str | None = None, **more: str) -> str:
        """The path of the start, as a page of the app links to it."""
        mount = urlsplit(self.site.settings.app_url or "").path
        query = urlencode(({"next": next} if next else {}) | more)
        return f"{mount}{self.path}/sign-in{'?' if query else ''}{query}"

    @abstractmethod
    def admit(self, user_id: str | None) -> bool:
        """Whether a start makes sense for this user; False goes on to the app, an error says why not."""

    @abstractmethod
    def needs_session(self) -> bool:
        """Whether a callback without a session user is worth a reload that brings a strict session cookie."""

    @abstractmethod
    def repeat(self, record: PendingSignIn, outcome: Outcome, user_id: str | None) -> Flow[Answer]:
        """Answer the same browser again after a success, without a second exchange."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of our routes: adapters register it under `endpoint` and hand each request to `serve`."""

    endpoint: str
    rule: str
    methods: tuple[str, ...]
    flow: Callable[[Any, Visit], Flow[Answer]]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Adapters register every route for all of these, so that a wrong one gets an answer with a code as well."""


def serve(feature: Feature, route: Route, visit: Visit) -> Flow[Answer]:
    """Answer a request to one of the feature's routes; no failure gets past this."""
    answer = yield from _guarded(feature, visit, _serve(feature, route, visit))
    return answer


def _serve(feature: Feature, route: Route, visit: Visit) -> Flow[Answer]:
    if visit.method not in route.methods and not (visit.method == "HEAD" and "GET" in route.methods):
        raise SignInError(Code.INVALID_REQUEST, f"{visit.method} is not for this route", status=405)
    check_path(feature, visit, feature.site.app_url(visit), route.rule)
    return (yield from route.flow(feature, visit))


def start(feature: Feature, visit: Visit) -> Flow[Answer]:
    """`GET|POST /sign-in`. Query: `next`; `replace=1` lets another Configure user take the present one's place."""
    site = feature.site
    if visit.touches_nothing:
        return Answer()
    asked = visit.parameters(next=2048, replace=1, confirm=64, moved=1)
    app_url = site.app_url(visit)
    again = {name: value for name, value in asked.items() if name in ("next", "replace")}
    if visit.host.lower() != urlsplit(app_url).netloc.lower() and "moved" not in asked:
        # Cookies of this host would not be there at the callback. Sent on once only: behind a proxy that rewrites
        # the Host header the second request looks the same, and is served.
        log.warning(
            "wrong_host: a sign-in began at host %.100r, not at CONFIGURE_APP_URL (%s); behind a proxy, make it pass "
            "the Host header on",
            visit.host,
            app_url,
        )
        return Answer.redirect(f"{feature.url(app_url, '/sign-in')}?{urlencode({**again, 'moved': '1'})}")
    cookie = site.browser_cookie(visit, app_url)
    if visit.is_embedded:
        raise SignInError(Code.INVALID_REQUEST, "a start that a page embeds, as an image or a frame, is nobody's wish")
    proof = site.confirmation(cookie, feature.path, again)
    confirmed = secrets.compare_digest(asked.get("confirm", "").encode(), proof.encode())
    if not confirmed and not site.sent(visit, app_url):
        if visit.method != "GET" or visit.wants_json:
            raise SignInError(Code.CROSS_SITE, f"a start that was made elsewhere than on {app_url}")
        moved = {"moved": "1"} if "moved" in asked else {}
        page = ui.ConfirmPage(feature.intent, feature.start_href(confirm=proof, **moved, **again))
        return Answer(status=200, page=page, cookie=cookie)
    user_id = yield from current_user(site)
    destination = site.destinations.judge(asked.get("next"))
    if not feature.admit(user_id):
        return _onward(visit, destination or feature.after)
    url = yield from mint(
        feature,
        cookie=cookie,
        redirect_uri=feature.url(app_url, "/callback"),
        user_id=user_id,
        next=destination,
        replace=asked.get("replace") == "1",
    )
    if visit.wants_json:
        return Answer(status=200, json={"url": url}, cookie=cookie)
    return Answer.redirect(url, cookie=cookie)


def reload_first(feature: Feature, route: Route, visit: Visit, session_cookie: str) -> Answer | None:
    """The reload for a strict session cookie, before anything of the app, such as a login guard, sees the request."""
    sent = any(part.strip().startswith(f"{session_cookie}=") for part in visit.headers.get("cookie", "").split(";"))
    if route.endpoint != "callback" or not feature.site.strict_session or sent or not visit.is_cross_site:
        return None
    return None if visit.touches_nothing else Answer(status=200, page=ui.ReloadPage())


def mint(
    purpose: Purpose, *, cookie: BrowserCookie, redirect_uri: str, user_id: str | None, next: str | None, replace: bool
) -> Flow[str]:
    """Make and keep a state for this browser; the URL at Configure that carries it."""
    site = purpose.site
    # A verifier of RFC 7636, section 4.1; the hosted sign-in of a link has no PKCE and leaves it unused.
    state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
    url = purpose.hosted_url(redirect_uri=redirect_uri, state=state.reveal(), verifier=verifier)
    agent, now, state_hash = site.agent, site.clock(), digest("state", state.reveal())
    version = None
    if user_id is not None:
        version = yield from use(lambda stores: stores.accounts.version(agent, user_id))
    record = PendingSignIn(
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
        created_at=now,
        expires_at=now + LIFETIME,
    )
    yield from use(lambda stores: stores.states.put(record, limit=OPEN_LIMIT, now=now))
    yield from tell(SignInStarted(intent=purpose.intent, user_id=user_id))
    return url


def callback(feature: Feature, visit: Visit) -> Flow[Answer]:
    """`GET /callback`, where Configure sends the person back."""
    site = feature.site
    app_url = site.app_url(visit)
    given = read_callback(visit)
    if visit.touches_nothing:
        return Answer()
    cookie = site.known_cookie(visit, app_url)
    if cookie is None:
        raise SignInError(Code.COOKIE_MISSING, "the callback came without the cookie of the start")
    user_id = yield from current_user(site)
    if user_id is None and visit.is_cross_site and feature.needs_session():
        return Answer(status=200, page=ui.ReloadPage())
    attempt = yield from claim(feature, given.state, cookie)
    if attempt is None:
        return Answer(status=202, page=ui.WaitPage(), retry_after=1)
    if attempt.outcome is not None:
        return (yield from feature.repeat(attempt, remembered(site, attempt), user_id))
    settling = settle(feature, attempt, given, user_id, feature.url(app_url, "/callback"))
    _outcome, answer = yield from whole(settling)
    return answer


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
    if not visit.is_token(state.reveal()):
        raise SignInError(Code.INVALID_REQUEST, "the callback has no state of ours")
    return Returned(state=state, code=code or None, error=given.get("error"))


def claim(purpose: Purpose, state: Secret, cookie: BrowserCookie) -> Flow[PendingSignIn | None]:
    """Take the attempt, or find how it ended; None while another request is still ending it.

    An unknown state and another browser's state get the same answer, so that nobody learns which states exist.
    """
    site = purpose.site
    state_hash, browser_hash = digest("state", state.reveal()), digest("browser", cookie.binding)
    agent, intent = site.agent, purpose.intent
    record = yield from use(
        lambda stores: stores.states.claim(
            state_hash, browser_hash=browser_hash, intent=intent, agent=agent, now=site.clock()
        )
    )
    if record is not None:
        return record
    for _ in range(_POLLS):
        seen = yield from use(
            lambda stores: stores.states.read(state_hash, browser_hash=browser_hash, intent=intent, agent=agent)
        )
        if seen is None:
            raise SignInError(Code.WRONG_BROWSER, "no attempt of this browser has this state")
        if seen.claimed_at is None:
            raise SignInError(Code.EXPIRED, "the attempt is older than 15 minutes", next=seen.next)
        if seen.outcome is not None:
            return seen
        if site.clock() >= seen.claimed_at + ABANDONED:
            raise SignInError(Code.INTERRUPTED, "an earlier callback was cut off before its end", next=seen.next)
        yield from pause(_POLL)
    return None


def settle(
    purpose: Purpose,
    record: PendingSignIn,
    given: Returned,
    user_id: str | None,
    redirect_uri: str | None,
) -> Flow[tuple[Outcome, Answer]]:
    """End an attempt that was claimed, and remember how. `redirect_uri` is where it came back, if that's known."""
    site = purpose.site
    assert record.verifier is not None
    try:
        if redirect_uri not in (None, record.redirect_uri):
            raise SignInError(Code.INVALID_REQUEST, "the attempt was made for another callback of this app")
        if not purpose.same_user(record, user_id):
            outcome = Outcome(location=record.next or purpose.after)
            answer = Answer.redirect(record.next or purpose.after)
        else:
            code = _code(given)
            verifier = Secret(site.sealer.open(record.verifier, "verifier", record.state_hash))
            outcome, answer = yield from purpose.redeem(record, code, verifier)
    except AppResponse:
        yield from _remember(site, record, Outcome(code=Code.LOGIN_REFUSED))
        yield from tell(LinkFailed(intent=purpose.intent, code=Code.LOGIN_REFUSED, user_id=record.user_id))
        raise
    except Exception as error:  # whatever it was, the person gets a page and the attempt an end
        refusal = as_refusal(error)
        refusal.next = refusal.next or record.next
        sentence = refusal.sentence if isinstance(refusal, LoginRefused) else None
        yield from _remember(site, record, Outcome(code=Code(refusal.code), sentence=sentence))
        yield from tell(LinkFailed(intent=purpose.intent, code=Code(refusal.code), user_id=record.user_id))
        if refusal is error:
            raise
        raise refusal from error
    yield from _remember(site, record, outcome)
    return outcome, answer


def _code(given: Returned) -> Secret:
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


def _remember(site: Site, record: PendingSignIn, outcome: Outcome) -> Flow[None]:
    sealed, replay = outcome.sealed(site, record.state_hash)
    try:
        yield from use(
            lambda stores: stores.states.finish(
                record.state_hash, outcome=sealed, replay=replay, user_id=outcome.user_id, now=site.clock()
            )
        )
    except ConfigureAuthError as error:
        # The end itself stands; only a reload of the callback will say `interrupted` instead of repeating it.
        log.warning("the outcome of a sign-in could not be kept: %s", error)


def check_path(feature: Feature, visit: Visit, app_url: str, route: str) -> None:
    """Refuse a request that came to another path than the one that Configure is told of."""
    expected = urlsplit(feature.url(app_url, route)).path
    if visit.path != expected:
        raise SettingsError(
            f"this request came to {visit.path[:200]!a}, but CONFIGURE_APP_URL and path= say {expected!a}; put the "
            "prefix that the app is mounted under into CONFIGURE_APP_URL, or mend path="
        )


def current_user(site: Site) -> Flow[str | None]:
    value = yield from ask(lambda app: app.call(site.user_id))
    return local_id(value, "user_id")


def _guarded(feature: Feature, visit: Visit, flow: Flow[Answer]) -> Flow[Answer]:
    """Every failure of a flow ends here: at the app's hook, as JSON, or on a page, never as a bare 500."""
    try:
        return (yield from flow)
    except AppResponse as made:
        return Answer(response=made.response)
    except Exception as error:  # noqa: BLE001  # the last place where an error can get a page
        refusal = as_refusal(error)
    if feature.on_error is not None:
        hook = feature.on_error
        try:
            response = yield from ask(lambda app: app.answer(hook, refusal))
        except AppResponse as made:
            response = made.response
        except Exception:  # a broken hook must not hide the page
            log.exception("on_error failed")
            response = None
        if response is not None:
            return Answer(response=response)
    return _refused(feature, visit, refusal)


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
    if isinstance(error, ConfigureAuthError):
        log.error("%s: %s", error.code, error)
        return SignInError(Code(error.code), str(error), retry_after=2)
    log.error("a hook of the app, or configure_auth itself, failed in a sign-in", exc_info=error)
    return SignInError(Code.MISCONFIGURED, f"an unexpected {type(error).__name__}")


def _refused(feature: Feature, visit: Visit, error: SignInError) -> Answer:
    code = Code(error.code)
    onward = error.next or feature.after
    if visit.wants_json:
        body = {"error": code.value, "message": ui.texts[code].sentence}
        return Answer(status=error.status, json=body, retry_after=error.retry_after)
    if code is Code.CANCELLED:
        page, _, fragment = onward.partition("#")
        mark = f"{'&' if '?' in page else '?'}configure=cancelled"
        return Answer.redirect(f"{page}{mark}{'#' if fragment else ''}{fragment}")
    retry = None
    if code not in _FINAL:
        retry = feature.start_href(error.next)
    sentence = error.sentence if isinstance(error, LoginRefused) else None
    return Answer(status=error.status, page=ui.ErrorPage(code, retry, onward, sentence), retry_after=error.retry_after)


def _onward(visit: Visit, location: str) -> Answer:
    return Answer(status=200, json={"url": location}) if visit.wants_json else Answer.redirect(location)


SIGN_IN_ROUTES = (
    Route("sign_in", "/sign-in", ("GET", "POST"), start),
    Route("callback", "/callback", ("GET",), callback),
)
