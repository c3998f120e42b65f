"""The routes of link and login, and what a request must fulfil before it may start an attempt.

start     host -> path -> origin -> user -> `next` -> cookie -> record -> redirect to Configure
callback  parameters -> prefetch -> cookie -> claim -> same user -> Configure's `error` -> exchange
finish    ends a callback that could not know its user: for an app whose pages send a bearer token
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field, replace
from typing import Any, ClassVar, Self
from urllib.parse import urlencode, urlsplit

from ...errors import Code, LoginRefused, SettingsError, SignInError
from ...events import LinkFailed
from ...runtime.frozen import dataclass
from ...ui import buttons, pages, wording
from ..app import AppResponse, Hook
from ..destination import with_query
from ..effects import AskApp, Emit, OpenAhead
from ..localization import words_for
from ..request import Request
from ..response import BrowserCookie, Response
from ..routing import Feature, Route, current_user
from ..site import Site
from .attempts import Carried, SignInKind, create_state, decline_start, is_marked, random_reference, report_end
from .callback import FINISH, complete_sign_in, read_callback, read_finish

log: logging.Logger = logging.getLogger(__name__)

_FINAL = frozenset(
    {
        Code.MISCONFIGURED,
        Code.NOT_CONFIGURED,
        Code.ALREADY_SIGNED_IN,
        Code.SIGNED_OUT,
        Code.WRONG_USER,
        Code.LAST_SIGN_IN,
        Code.NOT_FRESH,
        Code.LOGIN_REFUSED,
        Code.ACCOUNT_TAKEN,
        Code.ALREADY_CONNECTED,
    }
)
"""Codes that trying again doesn't fix, so that their page doesn't offer it."""


_ADVISED = frozenset({Code.COOKIE_MISSING, Code.CROSS_SITE, Code.SIGNED_OUT})
_CAUSES = _ADVISED | {
    Code.ACCOUNT_TAKEN,
    Code.ALREADY_CONNECTED,
    Code.INVALID_REQUEST,
    Code.MISCONFIGURED,
    Code.NOT_CONFIGURED,
    Code.UPSTREAM_REJECTED,
}
"""Codes whose page shows the cause in development; those of `_ADVISED` with what to do, which the cause doesn't say."""

_OURS = frozenset({"next", "replace", "confirm", "moved"})
"""Parameters of a start."""

_UNTRUSTED_LIMIT = 256
"""Characters of a start's query that are kept for the app: anybody can make rows of them."""

_LOST = frozenset({Code.EXPIRED, Code.COOKIE_MISSING, Code.WRONG_BROWSER, Code.INTERRUPTED})
_ENDS = {"callback": _LOST | {Code.INVALID_REQUEST}, "finish": _LOST}
"""Codes by route with which an attempt ends that this request could not claim."""


# A name of Flask's or Starlette's; a path begins with a slash, and an absolute URL has one.
_ENDPOINT = re.compile(r"\w[\w.:-]*")


@dataclass(frozen=True, kw_only=True)
class SignInFeature(Feature):
    """The routes at which users start and end attempts of one kind.

    `after` is the page to go on to where a start had no `next`, `after_cancel` the one after the user cancelled. Each
    is a path, or the name of an endpoint, which is in `endpoints` until `located` finds its path.
    """

    after_option: ClassVar[str]
    """The option that `after` is given by."""

    after: str | None = None
    after_cancel: str | None = None
    query: tuple[str, ...] = ()
    on_error: Hook | None = None
    endpoints: dict[str, str] = field(init=False, default_factory=dict)
    sign_in: SignInKind = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.query, str) or not all(map(str.isidentifier, self.query)) or _OURS.intersection(self.query):
            raise SettingsError('query is a tuple of names of the start\'s query, such as ("invite",), none of ours')
        for name, option in (("after", self.after_option), ("after_cancel", "after_cancel")):
            page = getattr(self, name)
            if page and _ENDPOINT.fullmatch(page):
                self.endpoints[name] = page
                object.__setattr__(self, name, None)
            elif page:
                self._check_page(option, page)
        if not self.after:
            object.__setattr__(self, "after", f"{self.site.mount}/")

    def _check_page(self, option: str, page: str) -> None:
        self.site.destinations.require(option, page)
        mount = self.site.mount
        if mount and page.startswith("/") and not f"{page}/".startswith((f"{mount}/", f"{mount}?", f"{mount}#")):
            raise SettingsError(
                f"{option}={page!a} is outside of the path of CONFIGURE_APP_URL; write {mount + page!a}, or the name "
                "of an endpoint"
            )

    @property
    def home(self) -> str:
        """The page to go on to where a start had no `next`."""
        assert self.after is not None
        return self.after

    async def located(self) -> Self:
        """Return the feature with the paths of its endpoints, which only a request knows.

        Raises:
            SettingsError: the app has no such endpoint.
        """
        found: dict[str, Any] = {}
        for name, endpoint in self.endpoints.items():
            found[name] = await self._path_of(self.after_option if name == "after" else name, endpoint)
        return replace(self, **found) if found else self

    async def _path_of(self, option: str, endpoint: str) -> str:
        try:
            path: str = await AskApp(lambda app: app.path_of(endpoint))
        except LookupError as error:
            raise SettingsError(f"{option}={endpoint!a} is no endpoint of this app; a path begins with /") from error
        mount = self.site.mount
        return path if f"{path}/".startswith(f"{mount}/") else f"{mount}{path}"

    def start_href(self, next: str | None = None, **more: str) -> str:
        """Return the path of the start, for a link on a page of the app."""
        query = urlencode(({"next": next} if next else {}) | more)
        return f"{self.site.mount}{self.path}/sign-in{'?' if query else ''}{query}"

    @property
    def button_style(self) -> str:
        """The path of the button's stylesheet, with a version so that browsers keep it."""
        return f"{self.site.mount}{self.path}/button.css?v={buttons.BUTTON_STYLE_VERSION}"

    async def reauthenticate(self, request: Request, back: str) -> Response | None:
        """Return what leads to the app's own re-authentication and back; None where there is no need.

        Raises:
            SignInError: a script asks.
        """
        return None

    async def respond_to_error(self, route: Route, request: Request, error: SignInError) -> Response:
        """Return the response of the app's `on_error`, JSON for a script, or an error page."""
        if error.code == Code.BUSY and not request.wants_json:
            # Not the end of an attempt: the same request is to come again.
            page, wait = pages.WaitPage(round(error.retry_after or 1), Code.BUSY), error.retry_after
            return Response(status=error.status, page=page, retry_after=wait, keeps_opener=request.is_popup_callback)
        if error.code != Code.BUSY and error.reference is None and route.endpoint != "status":
            error.reference, code = random_reference(), Code(error.code)
            await report_end(self.sign_in.intent, code, error.reference, None)
            if code in _ENDS.get(route.endpoint, ()):
                await Emit(LinkFailed(intent=self.sign_in.intent, code=code, user_id=None))
        if self.on_error is not None:
            hook = self.on_error
            try:
                response = await AskApp(lambda app: app.call_for_response(hook, error))
            except AppResponse as made:
                response = made.response
            except Exception:  # a broken hook must not hide the page
                log.exception("on_error failed")
                response = None
            if response is not None:
                return Response(app_response=response)
        return await _error_response(self, route, request, error)


async def start(feature: SignInFeature, request: Request) -> Response:
    """Handle `GET|POST /sign-in`: redirect to Configure. `replace=1` allows to replace the connected Configure user."""
    site = feature.site
    if (declined := decline_start(request)) is not None:
        return declined
    more = dict.fromkeys(feature.query, _UNTRUSTED_LIMIT)
    asked = request.parameters(next=2048, replace=1, popup=256, confirm=96, moved=1, **more)
    untrusted = {name: value for name, value in asked.items() if name in more}
    if sum(map(len, untrusted.values())) > _UNTRUSTED_LIMIT:
        raise SignInError(Code.INVALID_REQUEST, f"{', '.join(untrusted)}: more than {_UNTRUSTED_LIMIT} characters")
    app_url = site.app_url(request)
    opener = _opener(feature, request, asked["popup"]) if "popup" in asked else None
    again = {name: value for name, value in asked.items() if name in ("next", "replace", "popup", *more)}
    if site.settings.app_url is not None and site.listed_url(request) is None and "moved" not in asked:
        # Cookies of this host would be missing at the callback. Redirected once only: behind a proxy that rewrites the
        # Host header the second request looks the same, and is served.
        log.warning(
            "wrong_host: a sign-in began at host %.100r and goes on at CONFIGURE_APP_URL (%s); correct the setting if "
            "that isn't the app, or behind a proxy make it pass the Host header on",
            request.host,
            app_url,
        )
        return Response.redirect(f"{feature.url(app_url, '/sign-in')}?{urlencode({**again, 'moved': '1'})}")
    cookie = site.browser_cookie(request, app_url)
    if (framed := _check_window(feature, request, app_url, feature.start_href(**again))) is not None:
        return framed
    confirmed = site.is_confirmed(asked.get("confirm", ""), cookie, feature.path, again)
    if not confirmed and not site.is_from_app(request, app_url):
        if request.method != "GET" or request.wants_json:
            raise SignInError(Code.CROSS_SITE, f"a start that was made elsewhere than on {app_url}")
        proof = site.confirmation(cookie, feature.path, again)
        moved = {"moved": "1"} if "moved" in asked else {}
        page = pages.ConfirmPage(feature.sign_in.intent, feature.start_href(confirm=proof, **moved, **again))
        return Response(status=200, page=page, cookie=cookie, keeps_opener=opener is not None)
    carried = Carried(untrusted=untrusted)
    replaces = asked.get("replace") == "1"
    given: dict[str, Any] = {"next": asked.get("next"), "back": feature.start_href(**again)}
    if opener is not None:
        given |= {"next": f"{site.mount}{feature.path}/popup?{urlencode({'origin': opener})}", "in_popup": True}
    return await _begin(feature, request, cookie, **given, replace=replaces, carried=carried)


async def start_in_view(
    feature: SignInFeature, request: Request, *, next: str | None, replace: bool, data: Mapping[str, Any] | None
) -> Response:
    """Start in a view of the app. Its data goes into the attempt, and into no URL.

    A request that another site caused gets the page that asks first: it links to Configure, with a state that this
    browser has already, so that the app's data need not travel to the view again.
    """
    site = feature.site
    if (declined := decline_start(request)) is not None:
        return declined
    app_url = site.app_url(request)
    cookie = site.browser_cookie(request, app_url)
    if (framed := _check_window(feature, request, app_url, request.own_url)) is not None:
        return framed
    own = site.is_from_app(request, app_url)
    if not own and (request.method != "GET" or request.wants_json):
        raise SignInError(Code.CROSS_SITE, f"a start that was made elsewhere than on {app_url}")
    given: dict[str, Any] = {"carried": Carried.of(data), "back": request.own_url}
    return await _begin(feature, request, cookie, next=next, replace=replace, **given, ask_first=not own)


async def _begin(
    feature: SignInFeature,
    request: Request,
    cookie: BrowserCookie,
    *,
    next: str | None,
    replace: bool,
    carried: Carried,
    back: str,
    ask_first: bool = False,
    in_popup: bool = False,
) -> Response:
    """Create an attempt for a request that may start one; redirect to Configure."""
    site = feature.site
    user_id = await current_user(site)
    destination = site.destinations.accepted_or_none(next)
    if not await feature.sign_in.admit(user_id):
        return _onward(request, destination or feature.home)
    if (first := await feature.reauthenticate(request, back)) is not None:
        return first
    url = await create_state(
        feature.sign_in,
        cookie=cookie,
        redirect_uri=feature.url(site.app_url(request), "/callback"),
        user_id=user_id,
        next=destination,
        replace=replace,
        # An attempt that the user hasn't confirmed must not push out those that they have.
        navigated=request.is_navigation and not ask_first,
        by_bearer="authorization" in request.headers,
        in_popup=in_popup,
        carried=carried,
    )
    if ask_first:
        return Response(status=200, page=pages.ConfirmPage(feature.sign_in.intent, url), cookie=cookie)
    if request.is_own_click:
        await OpenAhead(feature.sign_in.connections)
    if request.wants_json:
        return Response(status=200, json={"url": url}, cookie=cookie)
    return Response.redirect(url, cookie=cookie)


def _check_window(feature: SignInFeature, request: Request, app_url: str, href: str) -> Response | None:
    """Refuse a start that the user can't see, and return the page that leads out of a frame, if it is in one.

    Args:
        href: the same start.
    """
    if request.is_embedded:
        raise SignInError(
            Code.INVALID_REQUEST, "a start that a page embeds, as an image or a script, was not requested by the user"
        )
    if request.frame is not None:
        return _leave_frame(feature, request, app_url, href)
    if feature.sign_in.defers_exchange("authorization" in request.headers) and request.is_cross_site:
        raise SignInError(
            Code.CROSS_SITE, "the page and this API must be of one site, or the browser drops the cookie of the start"
        )
    return None


def _leave_frame(feature: SignInFeature, request: Request, app_url: str, href: str) -> Response:
    """Return a page whose link starts in the whole window: Configure's pages, and ours, can't be shown in a frame.

    For a link in the app's own page alone, so that no other site can put the page below a click (clickjacking).
    """
    own = feature.site.is_from_app(request, app_url, own_only=True)
    log.warning(
        "a sign-in was started in a frame (Sec-Fetch-Dest: %s) by %s; give the link target=_top, as the button has",
        request.frame,
        "a page of the app" if own else "another site, and refused",
    )
    if not own:
        raise SignInError(Code.INVALID_REQUEST, "another site started a sign-in in a frame")
    return Response(status=200, page=pages.FramePage(feature.sign_in.intent, href))


async def button_style(feature: SignInFeature, request: Request) -> Response:
    """Handle `GET /button.css`: the stylesheet of the button."""
    return _BUTTON_STYLE


_BUTTON_STYLE = Response(status=200, stylesheet=buttons.BUTTON_STYLE)


def reload_first(route: Route, request: Request, site: Site | None) -> Response | None:
    """Respond before anything of the app, such as a login guard, sees the request; None for most requests.

    With the button's stylesheet, or the reload for a strict session cookie. The reload is of the same origin, so the
    cookie comes along with it, and it can't go in a circle.
    """
    if route.flow is button_style and request.method == "GET":
        return _BUTTON_STYLE
    if route.endpoint != "callback" or request.is_prefetch_or_head or not request.lacks_strict_session:
        return None
    words = wording.ENGLISH_WORDS if site is None else site.words(request.languages)
    return replace(_reload(request), words=words) if request.may_lack_strict_cookies else None


def _reload(request: Request) -> Response:
    return Response(status=200, page=pages.ReloadPage(), keeps_opener=request.is_popup_callback)


async def callback(feature: SignInFeature, request: Request) -> Response:
    """Handle `GET /callback`, where Configure redirects to."""
    site, kind = feature.site, feature.sign_in
    returned = read_callback(request, site.settings, redirect_uri=feature.url(site.app_url(request), "/callback"))
    if request.is_prefetch_or_head:
        return Response.to_prefetch(request)
    cookie = _require_cookie(feature, request)
    user_id = await current_user(site)
    by_bearer = is_marked(returned.state, kind, cookie, by_bearer=True)
    lacks_user = user_id is None and kind.needs_session(by_bearer)
    if request.may_lack_strict_cookies and (request.lacks_strict_session or lacks_user):
        return _reload(request)
    completed = await complete_sign_in(kind, returned, cookie, user_id)
    if completed is None:
        return Response(status=202, page=pages.WaitPage(), retry_after=1, keeps_opener=request.is_popup_callback)
    if completed.response is None:
        return await kind.repeat(completed.record, completed.outcome, user_id)
    return completed.response


async def finish(feature: SignInFeature, request: Request) -> Response:
    """Handle `POST /finish?configure_finish=...` of the page that a callback without a user redirected to.

    The request has the user's bearer token. The response is JSON: where the page may go on to.
    """
    site = feature.site
    if not site.is_from_app(request, site.app_url(request)):
        raise SignInError(Code.CROSS_SITE, "a finish that was posted from another origin")
    returned = read_finish(request)
    cookie = _require_cookie(feature, request)
    user_id = await current_user(site)
    if user_id is None:
        raise SignInError(Code.SIGNED_OUT, "a finish needs the bearer token of the user who started")
    completed = await complete_sign_in(feature.sign_in, returned, cookie, user_id)
    if completed is None:
        return Response(status=202, json={"next": None}, retry_after=1)
    return Response(status=200, json={"next": completed.outcome.location})


def _require_cookie(feature: SignInFeature, request: Request) -> BrowserCookie:
    cookie = feature.site.known_cookie(request, feature.site.app_url(request))
    if cookie is None:
        raise SignInError(Code.COOKIE_MISSING, "the request lacks the cookie that the start set")
    return cookie


async def _error_response(feature: SignInFeature, route: Route, request: Request, error: SignInError) -> Response:
    code = Code(error.code)
    onward = error.next or feature.home
    # RFC 9110, section 15.5.6: a 405 says what is allowed.
    allow = route.methods if error.status == 405 else ()
    cause = str(error) if code in _CAUSES and feature.site.shows_causes(request) else None
    if cause is not None and code in _ADVISED:
        cause = f"{cause}; {code.advice}"
    if request.wants_json:
        words = await words_for(feature.site, request)
        body = {"error": code.value, "message": words.of(code).sentence} | ({"cause": cause} if cause else {})
        return Response(status=error.status, json=body, retry_after=error.retry_after, allow=allow)
    if route is not POPUP and onward.startswith(f"{feature.site.mount}{feature.path}/popup?"):
        return Response.redirect(with_query(onward, "configure", code.value))
    if code is Code.CANCELLED:
        return Response.redirect(with_query(feature.after_cancel or onward, "configure", "cancelled"))
    # Connecting doesn't fix a failed disconnect, and a link to a start has no bearer token.
    may_retry = code not in _FINAL and route in SIGN_IN_ROUTES and not _needs_bearer(feature, request)
    retry = feature.start_href(error.next) if may_retry else None
    if replaces := code is Code.ALREADY_CONNECTED and feature.sign_in.intent == "link" and route in SIGN_IN_ROUTES:
        retry = None if _needs_bearer(feature, request) else feature.start_href(error.next, replace="1")
    refused = error if isinstance(error, LoginRefused) else None
    page = pages.ErrorPage(code, retry, onward, reference=error.reference, cause=cause, replaces=replaces)
    if refused is not None:
        page = replace(page, sentence=refused.sentence, sign_in_href=refused.sign_in)
    elif code is Code.SIGNED_OUT and feature.site.login_url is not None:
        back = feature.start_href(error.next) if route in SIGN_IN_ROUTES else onward
        page = replace(page, sign_in_href=with_query(feature.site.login_url, "next", back))
    return Response(status=error.status, page=page, retry_after=error.retry_after, allow=allow)


def _needs_bearer(feature: SignInFeature, request: Request) -> bool:
    """Whether the attempt of a failed request was started with a bearer token, as far as the request shows."""
    by_bearer = "authorization" in request.headers
    with suppress(SettingsError, SignInError):
        cookie = _require_cookie(feature, request)
        by_bearer = by_bearer or is_marked(read_callback(request, None).state, feature.sign_in, cookie, by_bearer=True)
    return feature.sign_in.defers_exchange(by_bearer)


def _onward(request: Request, location: str) -> Response:
    return Response(status=200, json={"url": location}) if request.wants_json else Response.redirect(location)


def _opener(feature: SignInFeature, request: Request, origin: str) -> str:
    """Return the origin of the page that opened a popup: the app's own, or a trusted one."""
    parts = urlsplit(feature.site.app_url(request))
    if origin not in (f"{parts.scheme}://{parts.netloc}", *feature.site.trusted_origins):
        raise SignInError(Code.INVALID_REQUEST, "popup= is neither the app's origin nor one of trusted_origins")
    return origin


async def popup(feature: SignInFeature, request: Request) -> Response:
    """Handle `GET /popup`: tell the opener of the window how its sign-in ended. For display: anybody can type it.

    A link that a bearer token started comes with what the page's finish needs.
    """
    asked = request.parameters(origin=256, configure=64, **{FINISH: 128})
    outcome = asked.get("configure", "connected")
    message = {"source": "configure", "outcome": "done" if outcome in ("connected", "signed-in") else outcome}
    message |= {FINISH: asked[FINISH]} if FINISH in asked else {}
    page = pages.PopupPage(_opener(feature, request, asked.get("origin", "")), message, secrets.token_urlsafe(16))
    return Response(status=200, page=page, keeps_opener=True)


POPUP = Route("popup", "/popup", ("GET",), popup)

SIGN_IN_ROUTES = (
    Route("sign_in", "/sign-in", ("GET", "POST"), start),
    Route("callback", "/callback", ("GET",), callback),
    POPUP,
    Route("button_style", "/button.css", ("GET",), button_style),
)
