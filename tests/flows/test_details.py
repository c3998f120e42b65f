"""What a route says to the last detail: statuses, limits, the log's lines, and what is remembered of an attempt."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from configure_auth.errors import ApiCode, Code, ConfigureError, LoginRefused, SettingsError, SignInError, StoreError
from configure_auth.events import LinkFailed
from configure_auth.flows import Request, Response, run, serve
from configure_auth.flows.effects import Flow, Limited
from configure_auth.flows.sign_in.attempts import INTERRUPTED_AFTER, OPEN_LIMIT
from configure_auth.flows.sign_in.callback import limited, read_callback
from configure_auth.flows.sign_in.routes import SIGN_IN_ROUTES, reload_first, start_in_view
from configure_auth.runtime.circuit import Busy
from configure_auth.runtime.effects import Effect
from configure_auth.stores import REPLAY
from configure_auth.ui.buttons import BUTTON_STYLE
from configure_auth.ui.pages import ConfirmPage, ErrorPage, ReloadPage, WaitPage
from configure_auth.values import STATE_LIFETIME

from .world import APP, SETTINGS, Browser, World, signed_in

FLOWS = ("link", "login")
REFERENCE = re.compile(r"[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{2}")
JSON = {"accept": "application/json"}
BEARER = {"authorization": "Bearer u1"}
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


def error_page(response: Response) -> ErrorPage:
    assert isinstance(response.page, ErrorPage)
    return response.page


def ending(response: Response) -> tuple[int, Code]:
    return response.status, error_page(response).code


def asked(location: str | None) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location or "").query, keep_blank_values=True))


def without_session() -> World:
    return World(options={"session": False})


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "configure_auth"):
        yield caplog


# References and the log


@pytest.mark.parametrize("intent", FLOWS)
def test_success_is_logged_with_a_reference_and_the_user(intent: str, logged: pytest.LogCaptureFixture) -> None:
    world, browser = World(), signed_in(intent)
    world.request(intent, "callback", world.came_back(intent, browser), browser)
    (line,) = [line for line in logged.messages if "succeeded" in line]
    found = re.fullmatch(
        rf"{intent} succeeded, reference (.*), user (.*), \d+ ms at Configure, \d+ ms in the store", line
    )

    assert found is not None
    assert REFERENCE.fullmatch(found[1])
    assert found[2] == browser.user


@pytest.mark.parametrize("error", [None, ConfigureError(ApiCode.NETWORK_ERROR, "lost")])
def test_failure_has_one_reference_on_its_page_in_the_log_and_later(
    error: Exception | None, logged: pytest.LogCaptureFixture
) -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    if error is None:
        browser.user = "u2"
    else:
        world.fails["POST /v1/auth/sign-in/exchange"] = error
    first = world.request("link", "callback", query, browser)
    page, again = error_page(first), error_page(world.request("link", "callback", query, browser))

    assert REFERENCE.fullmatch(page.reference or "")
    assert (again.code, again.reference) == (page.code, page.reference)
    ends = [line for line in logged.messages if "ended" in line]
    assert len(ends) == 1
    assert ends[0].startswith(f"link ended: {page.code}, reference {page.reference}, user u1, ")


@pytest.mark.parametrize(("route", "told"), [("sign_in", False), ("callback", True), ("status", False)])
def test_failure_without_an_attempt_gets_a_reference_and_an_event_of_a_callback(
    route: str, told: bool, logged: pytest.LogCaptureFixture
) -> None:
    world = World()
    response = world.request("link", route, "", Browser())

    assert bool(error_page(response).reference) == (route != "status") == bool(logged.messages)
    if route != "status":
        assert f"reference {error_page(response).reference}, user unknown, " in logged.messages[-1]
    code = error_page(response).code
    assert world.events == ([LinkFailed(intent="link", code=code, user_id=None)] if told else [])


def test_failure_of_a_start_is_told_to_nobody() -> None:
    """No attempt ended: a request that another site caused must not look like a user's."""
    world = World()
    assert ending(world.request("link", "sign_in", f"next={'x' * 2049}", signed_in("link")))[0] == 400
    assert world.events == []


def test_failure_carries_what_the_start_was_given() -> None:
    world, browser = World(), signed_in("link")
    world.link = replace(world.link, query=("invite",))
    start = world.request("link", "sign_in", "invite=abc", browser)
    query = world.wire.approve(start.location or "", "usr_1")
    world.request("link", "callback", f"{query}&error=access_denied", browser)
    event = world.events[-1]

    assert isinstance(event, LinkFailed)
    assert (event.code, event.user_id, event.intent) == (Code.CANCELLED, "u1", "link")
    assert (event.data, event.untrusted) == ({}, {"invite": "abc"})


def test_data_and_query_are_carried_apart() -> None:
    world, browser = World(), signed_in("link")
    request = world.build_request("link", "sign_in", "", browser)
    world.current = browser
    start = run(start_in_view(world.link, request, next=None, replace=False, data={"plan": 3}), world.perform)
    assert start.cookie is not None
    browser.cookie = f"{start.cookie.name}={start.cookie.value}"
    world.request("link", "callback", world.wire.approve(start.location or "", "usr_1"), browser)
    done: Any = world.events[-1]

    assert (dict(done.data), dict(done.untrusted)) == ({"plan": 3}, {})


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        (None, "one of Configure's origins; if this is Configure's, set CONFIGURE_ISSUER to it"),
        ("https://id.example", "https://id.example"),
    ],
)
def test_callback_of_another_issuer_is_logged_with_what_was_expected(
    issuer: str | None, expected: str, logged: pytest.LogCaptureFixture
) -> None:
    world, browser = World(settings=replace(SETTINGS, issuer=issuer)), signed_in("link")
    query = world.came_back("link", browser)
    response = world.request("link", "callback", f"{query}&iss=https%3A%2F%2Fevil.example", browser)

    assert ending(response) == (400, Code.INVALID_REQUEST)
    assert f"iss='https://evil.example', expected {expected}" in logged.text


# Attempts


def test_verifier_and_state_are_of_256_bits() -> None:
    world, browser = World(), signed_in("login")
    sent: list[str] = []

    location = world.start("login", browser)
    query = world.wire.approve(location, "usr_1")
    exchange = world.wire._token

    def token(call: Any) -> Any:
        sent.append(parse_qs(call.content.decode())["code_verifier"][0])
        return exchange(call)

    world.wire._token = token  # type: ignore[method-assign]
    assert world.request("login", "callback", query, browser).status == 303
    assert re.fullmatch(r"[\w-]{43}", sent[0], re.ASCII)
    assert re.fullmatch(r"[\w-]{65}", asked(location)["state"], re.ASCII)
    popup = world.request("link", "sign_in", urlencode({"popup": APP}), signed_in("link")).location
    assert re.fullmatch(r"p[\w-]{65}", asked(popup)["state"], re.ASCII)


@pytest.mark.parametrize(("later", "logins"), [(REPLAY - 0.5, 2), (REPLAY, 1)])
def test_login_is_repeated_for_thirty_seconds(later: float, logins: int) -> None:
    seen: list[str | None] = []

    def on_login(identity: Any, grant: Any) -> str:
        seen.append(identity.local_user_id)
        return "u1"

    world, browser = World(on_login=on_login), Browser()
    query = world.came_back("login", browser)
    assert world.request("login", "callback", query, browser).status == 303
    browser.user = None
    world.now += later

    assert world.request("login", "callback", query, browser, **SAME_ORIGIN).status == 303
    assert seen == [None, "u1"][:logins]
    assert len(world.wire.used) == 1


def test_claim_without_an_outcome_is_interrupted_after_thirty_seconds_and_no_sooner() -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    world.fails["states.finish"] = StoreError("locked")
    world.request("link", "callback", query, browser)
    world.fails.clear()

    world.now += INTERRUPTED_AFTER - 2.5
    assert world.request("link", "callback", query, browser).status == 202
    world.now += INTERRUPTED_AFTER - (world.now - 1_800_000_000.0)
    world.log.clear()
    assert ending(world.request("link", "callback", query, browser)) == (409, Code.INTERRUPTED)
    assert "pause" not in world.log


@pytest.mark.parametrize("sign_in", [None, "/members"])
def test_refused_login_says_the_same_again(sign_in: str | None) -> None:
    def refuse(identity: Any, grant: Any) -> str:
        raise LoginRefused("Members only.", sign_in=sign_in)

    world, browser = World(on_login=refuse), Browser()
    query = world.came_back("login", browser)
    for response in [world.request("login", "callback", query, browser) for _ in range(2)]:
        page = error_page(response)
        assert (response.status, page.code, page.retry_href) == (403, Code.LOGIN_REFUSED, None)
        assert (page.sentence, page.sign_in_href) == ("Members only.", sign_in)


@pytest.mark.parametrize("again", [False, True])
def test_failure_leads_on_to_where_the_start_wanted_to_go(again: bool) -> None:
    world, browser = World(), signed_in("link")
    start = world.request("link", "sign_in", "next=%2Fpage", browser)
    query = world.wire.approve(start.location or "", "usr_1") + "&error=server_error"
    response = world.request("link", "callback", query, browser)
    if again:
        response = world.request("link", "callback", query, browser)
    page = error_page(response)

    assert (response.status, page.code) == (503, Code.UPSTREAM_UNAVAILABLE)
    assert (page.home_href, page.retry_href) == ("/page", "/configure/sign-in?next=%2Fpage")


# Parameters


@pytest.mark.parametrize(("name", "limit", "status"), [("error", 256, 502), ("error_description", 4096, 303)])
def test_parameters_of_a_callback_have_limits(name: str, limit: int, status: int) -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    refused = world.request("link", "callback", f"{query}&{name}={'x' * (limit + 1)}", browser)
    assert ending(refused) == (400, Code.INVALID_REQUEST)
    assert "states.claim" not in world.log

    assert world.request("link", "callback", f"{query}&{name}={'x' * limit}", browser).status == status


def test_callback_without_a_code_or_a_state_sends_nothing() -> None:
    world, browser = World(), signed_in("link")
    query = dict(parse_qsl(world.came_back("link", browser)))
    stateless = world.request("link", "callback", urlencode({"code": query["code"]}), browser)
    codeless = world.request("link", "callback", urlencode({"state": query["state"]}), browser)

    assert ending(stateless) == ending(codeless) == (400, Code.INVALID_REQUEST)
    assert world.sent == []


def test_callback_names_the_code_of_oauth_alone() -> None:
    for error, cause in (("invalid_scope", "error=invalid_scope"), ("made_up", "error=an unknown code")):
        world, browser = World(), signed_in("link")
        query = world.came_back("link", browser)
        page = error_page(world.request("link", "callback", f"{query}&error={error}", browser))
        assert page.cause == f"Configure redirected with {cause}"


@pytest.mark.parametrize(
    ("name", "limit", "status"), [("next", 2048, 303), ("replace", 1, 303), ("confirm", 96, 303), ("moved", 1, 303)]
)
def test_parameters_of_a_start_have_limits(name: str, limit: int, status: int) -> None:
    for length, found in ((limit, status), (limit + 1, 400)):
        world = World()
        assert world.request("link", "sign_in", f"{name}={'x' * length}", signed_in("link")).status == found


def test_opener_of_a_popup_is_named_within_a_limit() -> None:
    """Both lengths are refused; only the second one as a parameter that is too long."""
    causes = []
    for length in (256, 257):
        response = World().request("link", "sign_in", f"popup={'x' * length}", signed_in("link"))
        causes.append(error_page(response).cause or "")
    assert [("too long" in cause) for cause in causes] == [False, True]


# Busy


class BusyWorld(World):
    def perform(self, effect: Effect[Any]) -> Any:
        if isinstance(effect, Limited):
            effect.flow.close()
            raise Busy(7)
        return super().perform(effect)


async def nothing() -> None:
    return None


def test_busy_waits_are_spread() -> None:
    waits = set()
    for _ in range(200):
        with pytest.raises(SignInError) as caught:
            run(limited(nothing()), BusyWorld().perform)
        waits.add(caught.value.retry_after)

    assert waits == {8, 9, 10, 11}


@pytest.mark.parametrize("popup", [False, True])
def test_busy_callback_waits_and_uses_nothing_up(popup: bool) -> None:
    world, browser = BusyWorld(), signed_in("link")
    start = world.request("link", "sign_in", urlencode({"popup": APP}) if popup else "", browser)
    query = world.wire.approve(start.location or "", "usr_1")
    world.events.clear()
    response = world.request("link", "callback", query, browser)

    assert isinstance(response.page, WaitPage)
    assert response.page.code is Code.BUSY
    assert (response.status, response.page.seconds) == (503, response.retry_after)
    assert response.keeps_opener == popup
    script = world.request("link", "callback", query, browser, **JSON)
    assert (script.status, script.json and script.json["error"], script.page) == (503, "busy", None)
    assert world.events == []
    assert "states.claim" not in world.log


def test_busy_page_without_a_time_looks_again_in_a_second() -> None:
    error = SignInError(Code.BUSY, "too many")
    request = Request(method="GET", host="", path="/", query="", headers={})
    response = run(World().link.respond_to_error(SIGN_IN_ROUTES[1], request, error), World().perform)

    assert response.page == WaitPage(1, Code.BUSY)


# Pages of errors


def test_script_gets_the_error_as_json() -> None:
    response = World().request("link", "sign_in", "", Browser(), **JSON)

    assert response.status == 401
    assert response.json is not None
    assert sorted(response.json) == ["cause", "error", "message"]
    assert response.json["error"] == "signed_out"
    assert response.json["message"].startswith("You need to be signed in")
    assert response.json["cause"].endswith(f"; {Code.SIGNED_OUT.advice}")


def test_causes_are_for_development() -> None:
    world = World(settings=replace(SETTINGS, app_url="https://www.example.com"))
    for headers in ({}, JSON):
        response = world.request("link", "sign_in", "", Browser(), **headers)
        assert response.json is None or sorted(response.json) == ["error", "message"]
        assert response.page is None or error_page(response).cause is None


@pytest.mark.parametrize("headers", [{}, JSON])
def test_wrong_method_is_told_which_are_right(headers: dict[str, str]) -> None:
    world = World()
    request = replace(world.build_request("link", "callback", "", signed_in("link"), **headers), method="POST")
    response = run(serve(world.link, SIGN_IN_ROUTES[1], request), world.perform)

    assert (response.status, response.allow) == (405, ("GET",))
    assert World().request("link", "sign_in", "", Browser(), **headers).allow == ()


@pytest.mark.parametrize(("after_cancel", "location"), [(None, "/page"), ("/cancelled", "/cancelled")])
def test_cancelled_sign_in_is_no_error_page(after_cancel: str | None, location: str) -> None:
    world, browser = World(), signed_in("link")
    world.link = replace(world.link, after_cancel=after_cancel)
    start = world.request("link", "sign_in", "next=%2Fpage", browser)
    query = world.wire.approve(start.location or "", "usr_1")
    response = world.request("link", "callback", f"{query}&error=access_denied", browser)

    assert (response.status, response.location) == (303, f"{location}?configure=cancelled")


def already_connected(world: World, browser: Browser, query: str = "", **headers: str) -> Response:
    for user in ("usr_1", "usr_2"):
        start = world.request("link", "sign_in", query, browser, **headers)
        response = world.request("link", "callback", world.wire.approve(start.location or "", user), browser)
    return response


def test_connected_user_may_replace_the_connection() -> None:
    response = already_connected(World(), signed_in("link"), "next=%2Fpage")
    page = error_page(response)

    assert ending(response) == (409, Code.ALREADY_CONNECTED)
    assert (page.replaces, page.retry_href) == (True, "/configure/sign-in?next=%2Fpage&replace=1")
    assert already_connected(World(), signed_in("link"), "replace=1").status == 303


def test_failed_route_beside_the_sign_in_offers_no_start() -> None:
    world = World()
    world.link = replace(world.link, site=replace(world.link.site, login_url="/login"))
    start, disconnect = (error_page(world.request("link", route, "", Browser())) for route in ("sign_in", "disconnect"))

    assert (start.retry_href, start.sign_in_href) == (None, "/login?next=%2Fconfigure%2Fsign-in")
    assert (disconnect.retry_href, disconnect.sign_in_href) == (None, "/login?next=%2Fsettings")
    world.fails["accounts.find"] = StoreError("locked")
    failed = error_page(world.request("link", "disconnect", "", signed_in("link")))
    assert (failed.code, failed.retry_href, failed.sign_in_href) == (Code.STORE_BUSY, None, None)


def test_error_that_may_pass_offers_a_start() -> None:
    world, browser = World(), signed_in("link")
    world.fails["states.put"] = StoreError("locked")
    response = world.request("link", "sign_in", "", browser)

    assert ending(response) == (503, Code.STORE_BUSY)
    assert (error_page(response).retry_href, response.retry_after) == ("/configure/sign-in", 2)
    assert error_page(response).cause is None


# Apps without a session


def test_link_of_an_app_without_a_session_ends_at_its_page() -> None:
    world, browser = without_session(), signed_in("link")
    started = world.request("link", "sign_in", "next=%2Fpage%3Fa%3D1", browser, **BEARER, **JSON)
    assert (started.status, list(started.json or {})) == (200, ["url"])
    query = world.wire.approve((started.json or {})["url"], "usr_1")
    browser.user = None
    came_back = world.request("link", "callback", query, browser)

    assert came_back.status == 303
    assert (came_back.location or "").startswith("/page?a=1&configure_finish=")
    assert world.sent == []
    finish = urlencode({"configure_finish": asked(came_back.location)["configure_finish"]})
    signed_out = world.request("link", "finish", finish, browser, **JSON)
    assert (signed_out.status, (signed_out.json or {})["error"]) == (401, "signed_out")
    browser.user = "u1"
    done = world.request("link", "finish", finish, browser, **BEARER, **JSON)
    assert (done.status, done.json) == (200, {"next": "/page?a=1"})
    assert world.request("link", "finish", finish, browser, **BEARER, **JSON).json == done.json
    assert len(world.wire.used) == 1


@pytest.mark.parametrize(("headers", "status"), [(BEARER, 303), ({}, 401)])
def test_where_it_is_unknown_the_start_says_whether_there_is_a_session(headers: dict[str, str], status: int) -> None:
    world, browser = World(options={"session": None}), signed_in("link")
    started = world.request("link", "sign_in", "", browser, **headers)
    query = world.wire.approve(started.location or "", "usr_1")
    browser.user = None
    response = world.request("link", "callback", query, browser, **SAME_ORIGIN)

    assert response.status == status
    assert ("configure_finish=" in (response.location or "")) == (status == 303)


@pytest.mark.parametrize(("headers", "retries"), [({}, True), (BEARER, False)])
def test_error_after_a_start_with_a_bearer_token_offers_no_link(headers: dict[str, str], retries: bool) -> None:
    """A link has no bearer token, so that the start behind it would fail."""
    world, browser = World(options={"session": None}), signed_in("link")
    started = world.request("link", "sign_in", "", browser, **headers)
    query = world.wire.approve(started.location or "", "usr_1")
    response = world.request("link", "callback", f"{query}&error=server_error", browser)

    assert ending(response) == (503, Code.UPSTREAM_UNAVAILABLE)
    assert error_page(response).retry_href == ("/configure/sign-in" if retries else None)
    connected = World(options={"session": None})
    page = error_page(already_connected(connected, signed_in("link"), **headers))
    assert page.retry_href == ("/configure/sign-in?replace=1" if retries else None)


def test_callback_after_a_bearer_token_needs_no_reload() -> None:
    world, browser = World(options={"session": None}), signed_in("link")
    started = world.request("link", "sign_in", "", browser, **BEARER)
    browser.user = None
    response = world.request("link", "callback", world.wire.approve(started.location or "", "usr_1"), browser)

    assert "configure_finish=" in (response.location or "")


@pytest.mark.parametrize(("headers", "status"), [(BEARER, 403), ({}, 200)])
def test_start_with_a_bearer_token_from_another_site_says_that_it_cannot_end(
    headers: dict[str, str], status: int
) -> None:
    world = World(options={"session": None})
    response = world.request("link", "sign_in", "", signed_in("link"), **{"sec-fetch-site": "cross-site", **headers})

    assert response.status == status
    assert (response.page is not None and isinstance(response.page, ConfirmPage)) == (status == 200)
    if status == 403:
        assert (error_page(response).cause or "").startswith("the page and this API must be of one site")


# Starts


def start_flow(world: World, request: Request, in_view: bool) -> Flow[Response]:
    """The route's own start, or one in a view of the app."""
    if in_view:
        return start_in_view(world.link, request, next="/page", replace=True, data={"plan": 3})
    return SIGN_IN_ROUTES[0].flow(world.link, request)


@pytest.mark.parametrize(
    ("headers", "status", "navigation"),
    [
        ({"purpose": "prefetch"}, 503, ()),
        ({"hx-request": "true"}, 200, (("HX-Redirect", "/configure/sign-in?next=%2Fa"),)),
        ({"x-inertia": "true"}, 409, (("X-Inertia-Location", "/configure/sign-in?next=%2Fa"),)),
        ({"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 406, ()),
    ],
)
@pytest.mark.parametrize("in_view", [False, True])
def test_start_by_a_script_makes_no_attempt(
    headers: dict[str, str], status: int, navigation: tuple[tuple[str, str], ...], in_view: bool
) -> None:
    world, browser = World(), signed_in("link")
    world.current = browser
    request = world.build_request("link", "sign_in", "next=%2Fa", browser, **headers)
    response = run(start_flow(world, request, in_view), world.perform)

    assert (response.status, response.navigation, response.cookie) == (status, navigation, None)
    assert bool(response.text) == (status == 406)
    assert world.log == []


def test_start_from_elsewhere_asks_first_and_keeps_what_it_was_asked() -> None:
    world, browser = World(), signed_in("link")
    world.link = replace(world.link, query=("invite",))
    wanted = {"next": "/page", "replace": "1", "moved": "1", "invite": "abc"}
    response = world.request("link", "sign_in", urlencode(wanted), browser, **{"sec-fetch-site": "cross-site"})

    assert response.status == 200
    assert isinstance(response.page, ConfirmPage)
    assert not response.keeps_opener
    assert response.page.intent == "link"
    path, _, query = response.page.href.partition("?")
    assert path == "/configure/sign-in"
    assert asked(response.page.href) == {**wanted, "confirm": asked(response.page.href)["confirm"]}
    assert world.events == []
    typed = world.request("link", "sign_in", query, browser, **{"sec-fetch-site": "none"})
    assert (typed.status, len(world.events)) == (303, 1)
    changed = world.request("link", "sign_in", f"{query}x", browser, **{"sec-fetch-site": "none"})
    assert isinstance(changed.page, ConfirmPage)
    assert "moved" not in asked(world.request("link", "sign_in", "", browser, **{"sec-fetch-site": "none"}).page.href)  # type: ignore[union-attr]


def test_popup_from_elsewhere_asks_first_and_keeps_its_opener() -> None:
    query = urlencode({"popup": APP})
    response = World().request("link", "sign_in", query, signed_in("link"), **{"sec-fetch-site": "cross-site"})

    assert isinstance(response.page, ConfirmPage)
    assert response.keeps_opener
    assert asked(response.page.href)["popup"] == APP


@pytest.mark.parametrize(("method", "headers", "status"), [("GET", JSON, 403), ("POST", {}, 403), ("GET", {}, 200)])
@pytest.mark.parametrize("in_view", [False, True])
def test_start_from_elsewhere_is_refused_to_a_script(
    method: str, headers: dict[str, str], status: int, in_view: bool
) -> None:
    world, browser = World(), signed_in("link")
    world.current = browser
    sent = {"sec-fetch-site": "cross-site", **headers}
    request = replace(world.build_request("link", "sign_in", "", browser, **sent), method=method)
    flow = start_flow(world, request, in_view)
    if status == 403:
        with pytest.raises(SignInError, match="elsewhere than on http://localhost:3000") as caught:
            run(flow, world.perform)
        assert caught.value.code == Code.CROSS_SITE
        assert world.log == []
    else:
        response = run(flow, world.perform)
        assert response.status == 200
        assert isinstance(response.page, ConfirmPage)
        assert response.cookie is not None
        assert (urlsplit(response.page.href).netloc != "") == in_view  # of a view at Configure: its data is in no URL


def test_view_that_asks_first_makes_an_attempt_below_those_of_navigations() -> None:
    world, browser = World(), signed_in("link")
    world.current = browser
    request = world.build_request("link", "sign_in", "", browser, **{"sec-fetch-site": "cross-site"})
    response = run(start_in_view(world.link, request, next="/page", replace=False, data=None), world.perform)
    (row,) = world.rows["configure_states"]

    assert isinstance(response.page, ConfirmPage)
    assert world.now - STATE_LIFETIME in row
    own = run(start_flow(world, world.build_request("link", "sign_in", "", browser), True), world.perform)
    assert (own.status, own.cookie is None) == (303, False)
    assert any(world.now in row for row in world.rows["configure_states"])


def test_login_of_a_signed_in_user_goes_on() -> None:
    for query, location in (("", "/"), ("next=%2Fpage", "/page"), ("next=%2F%2Fevil.example", "/")):
        page = World().request("login", "sign_in", query, Browser(user="u1"))
        script = World().request("login", "sign_in", query, Browser(user="u1"), **JSON)
        assert (page.status, page.location) == (303, location)
        assert (script.status, script.json) == (200, {"url": location})


def test_start_at_another_host_is_moved_once() -> None:
    world, browser = World(), signed_in("link")
    request = replace(world.build_request("link", "sign_in", "next=%2Fpage&replace=1", browser), host="127.0.0.1:3000")
    world.current = browser
    moved = run(SIGN_IN_ROUTES[0].flow(world.link, request), world.perform)
    path, _, query = (moved.location or "").partition("?")

    assert (moved.status, path) == (303, f"{APP}/configure/sign-in")
    assert asked(moved.location) == {"next": "/page", "replace": "1", "moved": "1"}
    assert moved.cookie is None
    assert run(SIGN_IN_ROUTES[0].flow(world.link, replace(request, query=query)), world.perform).cookie is not None


@pytest.mark.parametrize("script", [False, True])
def test_scripts_start_beside_navigations_and_delete_none_of_them(script: bool) -> None:
    world, browser = World(), signed_in("link")
    for _ in range(OPEN_LIMIT):
        world.start("link", browser)
    world.request("link", "sign_in", "", browser, **({**JSON, "sec-fetch-dest": "empty"} if script else {}))

    assert len(world.rows["configure_states"]) == OPEN_LIMIT + script


def test_options_of_a_site_may_be_one_origin_and_any_path() -> None:
    site = World(options={"trusted_origins": "https://www.example.com"}).link.site

    assert site.trusted_origins == ("https://www.example.com",)
    assert replace(World().link, path="/X").path == "/X"
    with pytest.raises(SettingsError, match="trusted_origins"):
        World(options={"trusted_origins": ("ftp://www.example.com",)})


def test_button_has_its_stylesheet_below_the_feature() -> None:
    world = World()
    path, _, query = world.link.button_style.partition("?v=")
    request = Request(method="GET", host="localhost:3000", path=path, query=f"v={query}", headers={})
    response = run(serve(world.link, SIGN_IN_ROUTES[3], request), world.perform)

    assert path == "/configure/button.css"
    assert query
    assert (response.status, response.stylesheet) == (200, BUTTON_STYLE)


# Reloads and waits


def request_of_callback(**headers: str) -> Request:
    query = urlencode({"state": "x" * 66})
    path = "/configure/callback"
    request = Request(method="GET", host="localhost:3000", path=path, query=query, headers=headers)
    return replace(request, lacks_strict_session=True)


def test_reload_comes_before_the_app() -> None:
    start, callback = SIGN_IN_ROUTES[:2]
    request = request_of_callback(**{"sec-fetch-site": "cross-site", "accept-language": "de"})
    site = World().link.site
    response = reload_first(callback, request, site)

    assert response is not None
    assert (response.status, response.page, response.keeps_opener) == (200, ReloadPage(), True)
    assert response.words == site.words(["de"])
    assert reload_first(callback, request, None) is not None
    assert reload_first(start, request, site) is None
    assert reload_first(callback, replace(request, method="HEAD"), site) is None
    assert reload_first(callback, replace(request, lacks_strict_session=False), site) is None
    assert reload_first(callback, replace(request, headers={"sec-fetch-site": "same-origin"}), site) is None
    assert reload_first(SIGN_IN_ROUTES[3], replace(request, method="POST"), site) is None


@pytest.mark.parametrize(
    ("intent", "user", "lacks", "status"),
    [
        ("link", None, False, 200),
        ("link", "u1", True, 200),
        ("link", "u1", False, 303),
        ("login", None, True, 200),
        ("login", None, False, 303),
    ],
)
def test_callback_reloads_where_a_cookie_may_be_missing(
    intent: str, user: str | None, lacks: bool, status: int
) -> None:
    world, browser = World(), signed_in(intent)
    query = world.came_back(intent, browser)
    world.current = browser
    browser.user = user
    route = SIGN_IN_ROUTES[1]
    request = replace(world.build_request(intent, "callback", query, browser), lacks_strict_session=lacks)
    response = run(route.flow(world.feature(intent), request), world.perform)

    assert response.status == status
    assert (response.page == ReloadPage()) == (status == 200)
    assert ("states.claim" in world.log) == (status == 303)


@pytest.mark.parametrize("popup", [False, True])
def test_wait_for_another_request_is_a_page(popup: bool) -> None:
    world, browser = World(), signed_in("link")
    start = world.request("link", "sign_in", urlencode({"popup": APP}) if popup else "", browser)
    query = world.wire.approve(start.location or "", "usr_1")
    world.fails["states.finish"] = StoreError("locked")
    world.request("link", "callback", query, browser)
    response = world.request("link", "callback", query, browser)

    assert (response.status, response.page, response.retry_after) == (202, WaitPage(), 1)
    assert response.keeps_opener == popup


@pytest.mark.parametrize("any_state", [0, 9])
def test_state_of_the_apps_own_may_have_any_form(any_state: int) -> None:
    """As for Authlib's provider."""

    def read(state: str) -> str | None:
        request = Request(method="GET", host="", path="/", query=urlencode({"state": state}), headers={})
        try:
            return read_callback(request, None, any_state=any_state).state.reveal()
        except SignInError:
            return None

    assert read("its own 1") == ("its own 1" if any_state else None)
    assert read("") is None
    assert read("its own 12") is None
    assert read("x" * 65) == (None if any_state else "x" * 65)
