"""Our routes: what a request must be like before it may start or end an attempt, and what every failure looks like.

start     host -> path -> who sent it -> user -> `next` -> cookie -> record -> off to Configure
callback  shape -> prefetch -> cookie -> claim -> same user -> Configure's `error` -> exchange
finish    the end of a callback that could not know its user: an app whose pages carry a bearer token
"""

from __future__ import annotations

import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from ... import ui
from ...errors import Code, LoginRefused, SettingsError, SignInError
from ...values import PendingSignIn, Secret
from ..answer import Answer, BrowserCookie
from ..app import AppResponse, Hook, local_id
from ..destination import require_path
from ..effects import AskApp, Flow, Shielded
from ..site import Site, digest
from ..visit import Visit
from .attempts import (
    Outcome,
    Purpose,
    Returned,
    as_refusal,
    claim,
    code_of,
    keep,
    mint,
    new_state,
    read_callback,
    redeemed,
    remembered,
    settle,
)

__all__ = [
    "METHODS",
    "SIGN_IN_ROUTES",
    "Feature",
    "Route",
    "SignInFeature",
    "current_user",
    "finish",
    "reload_first",
    "serve",
]

log = logging.getLogger("configure_auth")

_FINAL = frozenset(
    {
        Code.MISCONFIGURED,
        Code.SIGNED_OUT,
        Code.WRONG_USER,
        Code.LAST_SIGN_IN,
        Code.LOGIN_REFUSED,
        Code.ACCOUNT_TAKEN,
        Code.ALREADY_CONNECTED,
    }
)
"""Ends that trying again doesn't mend, so that their page doesn't offer it."""

FINISH = "configure_finish"
"""The query parameter by which a callback without a user hands over to the app's page."""


@dataclass(frozen=True, kw_only=True)
class Feature(ABC):
    """Something with routes of ours, under `path` of the app."""

    site: Site
    path: str

    def __post_init__(self) -> None:
        require_path(self.path)

    def url(self, app_url: str, route: str) -> str:
        return f"{app_url}{self.path}{route}"

    @abstractmethod
    async def refuse(self, route: Route, visit: Visit, error: SignInError) -> Answer:
        """What a failure looks like."""


@dataclass(frozen=True, kw_only=True)
class SignInFeature(Feature, Purpose):
    """A purpose with routes of ours: people start and end attempts there."""

    on_error: Hook | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.after:
            object.__setattr__(self, "after", f"{self.site.mount}/")

    def start_href(self, next: str | None = None, **more: str) -> str:
        """The path of the start, as a page of the app links to it."""
        query = urlencode(({"next": next} if next else {}) | more)
        return f"{self.site.mount}{self.path}/sign-in{'?' if query else ''}{query}"

    @abstractmethod
    def admit(self, user_id: str | None) -> bool:
        """Whether a start makes sense for this user; False goes on to the app, an error says why not."""

    def parks(self) -> bool:
        """Whether a callback that can't know its user leaves the exchange to the app's page."""
        return False

    @abstractmethod
    def needs_session(self) -> bool:
        """Whether a callback without a session user is worth a reload that brings a strict session cookie."""

    @abstractmethod
    async def repeat(self, record: PendingSignIn, outcome: Outcome, user_id: str | None) -> Answer:
        """Answer the same browser again after a success, without a second exchange."""

    async def refuse(self, route: Route, visit: Visit, error: SignInError) -> Answer:
        """At the app's hook, as JSON, or on a page."""
        if self.on_error is not None:
            hook = self.on_error
            try:
                response = await AskApp(lambda app: app.answer(hook, error))
            except AppResponse as made:
                response = made.response
            except Exception:  # a broken hook must not hide the page
                log.exception("on_error failed")
                response = None
            if response is not None:
                return Answer(response=response)
        return _refused(self, route, visit, error)


@dataclass(frozen=True, slots=True)
class Route:
    """One of our routes: adapters register it under `endpoint` and hand each request to `serve`.

    The last part of `rule` may be a parameter, such as "/{user_id}".
    """

    endpoint: str
    rule: str
    methods: tuple[str, ...]
    flow: Callable[[Any, Visit], Flow[Answer]]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Adapters register every route for all of these, so that a wrong one gets an answer with a code as well."""


async def serve(feature: Feature, route: Route, visit: Visit) -> Answer:
    """Answer a request to one of the feature's routes; no failure gets past this."""
    return await _guarded(feature, route, visit, _serve(feature, route, visit))


async def _serve(feature: Feature, route: Route, visit: Visit) -> Answer:
    if visit.method not in route.methods and not (visit.method == "HEAD" and "GET" in route.methods):
        raise SignInError(Code.INVALID_REQUEST, f"{visit.method} is not for this route", status=405)
    check_path(feature, visit, feature.site.app_url(visit), route.rule)
    return await route.flow(feature, visit)


async def start(feature: SignInFeature, visit: Visit) -> Answer:
    """`GET|POST /sign-in`. Query: `next`; `replace=1` lets another Configure user take the present one's place."""
    site = feature.site
    if visit.touches_nothing:
        return Answer.untouched(visit)
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
    if feature.parks() and visit.is_cross_site:
        raise SignInError(
            Code.CROSS_SITE, "the page and this API must be of one site, or the browser drops the cookie of the start"
        )
    if not confirmed and not site.sent(visit, app_url):
        if visit.method != "GET" or visit.wants_json:
            raise SignInError(Code.CROSS_SITE, f"a start that was made elsewhere than on {app_url}")
        moved = {"moved": "1"} if "moved" in asked else {}
        page = ui.ConfirmPage(feature.intent, feature.start_href(confirm=proof, **moved, **again))
        return Answer(status=200, page=page, cookie=cookie)
    user_id = await current_user(site)
    destination = site.destinations.judge(asked.get("next"))
    if not feature.admit(user_id):
        return _onward(visit, destination or feature.after)
    url = await mint(
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


def reload_first(route: Route, visit: Visit) -> Answer | None:
    """The reload for a strict session cookie, before anything of the app, such as a login guard, sees the request.

    The reload is of the same origin, so the cookie comes along with it, and it can't go in a circle.
    """
    if route.endpoint != "callback" or visit.touches_nothing or not visit.lacks_strict_session:
        return None
    return Answer(status=200, page=ui.ReloadPage()) if visit.is_cross_site else None


async def callback(feature: SignInFeature, visit: Visit) -> Answer:
    """`GET /callback`, where Configure sends the person back."""
    site = feature.site
    app_url = site.app_url(visit)
    given = read_callback(visit)
    if visit.touches_nothing:
        return Answer.untouched(visit)
    cookie = _binding(feature, visit)
    user_id = await current_user(site)
    if visit.is_cross_site and (visit.lacks_strict_session or (user_id is None and feature.needs_session())):
        return Answer(status=200, page=ui.ReloadPage())
    attempt = await claim(feature, "state", given.state, cookie)
    if attempt is None:
        return Answer(status=202, page=ui.WaitPage(), retry_after=1)
    if attempt.outcome is not None:
        return await feature.repeat(attempt, remembered(site, attempt), user_id)
    if attempt.redirect_uri != feature.url(app_url, "/callback"):
        ending = _elsewhere()
    elif user_id is None and feature.parks():
        ending = _parked(feature, attempt, given, cookie)
    else:
        ending = redeemed(feature, attempt, partial(code_of, given), user_id)
    _outcome, answer = await Shielded(settle(feature, attempt, ending))
    return answer


async def finish(feature: SignInFeature, visit: Visit) -> Answer:
    """`POST /finish?configure_finish=...`, by the page that a callback without a user went to; with its bearer token.

    Answers JSON: where the page may go on to.
    """
    site = feature.site
    if not site.sent(visit, site.app_url(visit)):
        raise SignInError(Code.CROSS_SITE, "a finish that was posted from elsewhere")
    handle = Secret(visit.parameters(**{FINISH: 128}).get(FINISH, ""))
    if not visit.is_state(handle.reveal()):
        raise SignInError(Code.INVALID_REQUEST, f"a finish needs the {FINISH} of the page's own address")
    cookie = _binding(feature, visit)
    user_id = await current_user(site)
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "a finish needs the bearer token of the user who started")
    attempt = await claim(feature, FINISH, handle, cookie)
    if attempt is None:
        return Answer(status=202, json={"next": None}, retry_after=1)
    if attempt.outcome is not None:
        if attempt.user_id != user_id:
            raise SignInError(Code.WRONG_USER, "another user finished this")
        outcome = remembered(site, attempt)
    else:
        ending = redeemed(feature, attempt, partial(_unparked, site, attempt), user_id)
        outcome, _answer = await Shielded(settle(feature, attempt, ending))
    return Answer(status=200, json={"next": outcome.location})


def _binding(feature: SignInFeature, visit: Visit) -> BrowserCookie:
    cookie = feature.site.known_cookie(visit, feature.site.app_url(visit))
    if cookie is None:
        raise SignInError(Code.COOKIE_MISSING, "this came without the cookie of the start")
    return cookie


async def _elsewhere() -> tuple[Outcome, Answer]:
    raise SignInError(Code.INVALID_REQUEST, "the attempt was made for another callback of this app")


async def _parked(
    feature: SignInFeature, record: PendingSignIn, given: Returned, cookie: BrowserCookie
) -> tuple[Outcome, Answer]:
    """Keep the code, sealed, under a handle of its own, for the page that knows who the user is."""
    site, handle = feature.site, new_state(feature, cookie)
    state_hash = digest(FINISH, handle.reveal())
    assert record.verifier is not None
    verifier = site.sealer.open(record.verifier, "verifier", record.state_hash)
    parked = replace(
        record,
        state_hash=state_hash,
        verifier=site.sealer.seal(verifier, "verifier", state_hash),
        code=site.sealer.seal(code_of(given).reveal(), "code", state_hash),
        claimed_at=None,
    )
    await keep(site, parked)
    location = with_query(record.next or feature.after, FINISH, handle.reveal())
    return Outcome(location=location), Answer.redirect(location)


def _unparked(site: Site, record: PendingSignIn) -> Secret:
    if record.code is None:
        raise SignInError(Code.INVALID_REQUEST, "this attempt has no code yet; it ends at the callback")
    return Secret(site.sealer.open(record.code, "code", record.state_hash))


def with_query(location: str, name: str, value: str) -> str:
    """A location with one more parameter, in front of its fragment."""
    page, mark, fragment = location.partition("#")
    return f"{page}{'&' if '?' in page else '?'}{urlencode({name: value})}{mark}{fragment}"


def check_path(feature: Feature, visit: Visit, app_url: str, route: str) -> None:
    """Refuse a request that came to another path than the one that Configure is told of."""
    expected = urlsplit(feature.url(app_url, route)).path
    parent, _, last = expected.rpartition("/")
    if visit.path != expected and not (last.startswith("{") and visit.path.rpartition("/")[0] == parent):
        raise SettingsError(
            f"this request came to {visit.path[:200]!a}, but CONFIGURE_APP_URL and path= say {expected!a}; put the "
            "prefix that the app is mounted under into CONFIGURE_APP_URL, or mend path="
        )


async def current_user(site: Site) -> str | None:
    value = await AskApp(lambda app: app.call(site.user_id))
    return local_id(value, "user_id")


async def _guarded(feature: Feature, route: Route, visit: Visit, flow: Flow[Answer]) -> Answer:
    """Every failure of a flow ends here, never as a bare 500."""
    try:
        return await flow
    except AppResponse as made:
        return Answer(response=made.response)
    except Exception as error:  # noqa: BLE001  # the last place where an error can get a page
        refusal = as_refusal(error)
    return await feature.refuse(route, visit, refusal)


def _refused(feature: SignInFeature, route: Route, visit: Visit, error: SignInError) -> Answer:
    code = Code(error.code)
    onward = error.next or feature.after
    # RFC 9110, section 15.5.6: a 405 says what is allowed.
    allow = route.methods if error.status == 405 else ()
    if visit.wants_json:
        body = {"error": code.value, "message": ui.texts[code].sentence}
        return Answer(status=error.status, json=body, retry_after=error.retry_after, allow=allow)
    if code is Code.CANCELLED:
        return Answer.redirect(with_query(onward, "configure", "cancelled"))
    # A failed disconnect isn't mended by connecting, and a link to a start carries no bearer token.
    may_retry = code not in _FINAL and route in SIGN_IN_ROUTES and not feature.parks()
    retry = feature.start_href(error.next) if may_retry else None
    sentence = error.sentence if isinstance(error, LoginRefused) else None
    page = ui.ErrorPage(code, retry, onward, sentence)
    return Answer(status=error.status, page=page, retry_after=error.retry_after, allow=allow)


def _onward(visit: Visit, location: str) -> Answer:
    return Answer(status=200, json={"url": location}) if visit.wants_json else Answer.redirect(location)


SIGN_IN_ROUTES = (
    Route("sign_in", "/sign-in", ("GET", "POST"), start),
    Route("callback", "/callback", ("GET",), callback),
)
