"""Branches of the routes that no journey takes: refusals, hooks of the app, and a store that fails twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from configure_auth import SettingsError
from configure_auth.errors import Code, StoreError
from configure_auth.events import AccountLinked, LinkFailed, SignInStarted
from configure_auth.flows import AccountLink, Response, run
from configure_auth.flows.app import AppResponse
from configure_auth.flows.sign_in.attempts import DATA_LIMIT, Carried
from configure_auth.flows.sign_in.callback import CLOCK_SKEW
from configure_auth.flows.sign_in.routes import SIGN_IN_ROUTES, reload_first, start_in_view
from configure_auth.ui.pages import ErrorPage, FramePage
from configure_auth.values import STATE_LIFETIME

from .world import SETTINGS, World, signed_in

FLOWS = ("link", "login")
PAGE = RuntimeError("the app has a page for this")


def code(response: Response) -> Code:
    assert isinstance(response.page, ErrorPage)
    return response.page.code


@pytest.mark.parametrize("intent", FLOWS)
def test_response_of_another_issuer_is_refused_and_uses_nothing_up(intent: str) -> None:
    """Mix-up: RFC 9207, section 2.4."""
    world, browser = World(), signed_in(intent)
    query = world.came_back(intent, browser)
    response = world.request(intent, "callback", f"{query}&iss=https%3A%2F%2Fevil.example", browser)

    assert (response.status, code(response)) == (400, Code.INVALID_REQUEST)
    assert "states.claim" not in world.log
    assert world.request(intent, "callback", query, browser).status == 303


@pytest.mark.parametrize(("back", "status"), [(CLOCK_SKEW, 303), (CLOCK_SKEW + 1, 400)])
def test_clock_that_was_set_back(back: float, status: int) -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    world.now -= back

    assert world.request("link", "callback", query, browser).status == status
    assert bool(world.sent) == (status == 303)


@pytest.mark.parametrize(("age", "status"), [(STATE_LIFETIME - 1, 303), (STATE_LIFETIME, 400)])
def test_attempt_lasts_for_its_lifetime(age: float, status: int) -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    world.now += age

    assert world.request("link", "callback", query, browser).status == status


def test_response_that_on_login_raises_ends_the_attempt() -> None:
    def refuse(identity: object, grant: object) -> str:
        raise AppResponse(PAGE)

    world, browser = World(on_login=refuse), signed_in("login")
    query = world.came_back("login", browser)

    assert world.request("login", "callback", query, browser).app_response is PAGE
    assert [event.code for event in world.events if isinstance(event, LinkFailed)] == [Code.LOGIN_REFUSED]
    assert "accounts.save" not in world.log
    again = world.request("login", "callback", query, browser)
    assert (again.status, code(again)) == (403, Code.LOGIN_REFUSED)
    assert len(world.wire.used) == 1


def test_store_that_fails_twice_is_the_end() -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    world.fails |= {"accounts.save": StoreError("locked"), "states.read": StoreError("locked")}
    response = world.request("link", "callback", query, browser)

    assert (response.status, code(response)) == (503, Code.STORE_BUSY)
    assert "accounts.save" in world.log
    assert world.log.index("states.read") > world.log.index("accounts.save")


def broken(error: object) -> str:
    raise RuntimeError("the hook is broken")


def raising(error: object) -> str:
    raise AppResponse(PAGE)


@pytest.mark.parametrize(
    ("hook", "shown"),
    [
        (lambda error: f"{error.code}", "signed_out"),
        (raising, PAGE),
        (lambda error: None, None),
        (broken, None),
    ],
    ids=["its response", "raised", "none", "broken"],
)
def test_error_page_is_the_apps_if_it_has_one(hook: Callable[[Any], object], shown: object) -> None:
    world = World()
    world.link = replace(world.link, on_error=hook)
    response = world.request("link", "sign_in", "", signed_in("login"))

    assert response.app_response == shown
    if shown is None:
        assert (response.status, code(response)) == (401, Code.SIGNED_OUT)


@pytest.mark.parametrize(("after", "location"), [("settings", "/settings"), ("/a/page", "/a/page"), (None, "/")])
def test_link_ends_at_a_page_or_an_endpoint(after: str | None, location: str) -> None:
    world, browser = World(), signed_in("link")
    world.link = AccountLink(site=world.link.site, path="/configure", after=after)

    assert world.request("link", "callback", world.came_back("link", browser), browser).location == location


@pytest.mark.parametrize(("after", "home"), [("settings", "/app/settings"), ("mounted", "/app/page")])
def test_endpoint_is_under_the_mount(after: str, home: str) -> None:
    world = World()
    site = replace(world.link.site, settings=replace(SETTINGS, app_url="http://localhost:3000/app"))

    assert run(AccountLink(site=site, after=after).located(), world.perform).home == home


def test_unknown_endpoint_is_misconfigured() -> None:
    world, browser = World(), signed_in("link")
    world.link = AccountLink(site=world.link.site, path="/configure", after="nowhere")
    response = world.request("link", "sign_in", "", browser)

    assert (response.status, code(response)) == (500, Code.MISCONFIGURED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": "invite"}, "query is a tuple"),
        ({"query": ("an invite",)}, "query is a tuple"),
        ({"query": ("next",)}, "query is a tuple"),
        ({"after": "//evil.example"}, "after_link must be a path"),
        ({"after_cancel": "https://evil.example/"}, "after_cancel must be a path"),
        ({"path": "configure"}, "path must begin with a slash"),
        ({"path": "/configure/"}, "path must begin with a slash"),
        ({"path": "/<name>"}, "path must begin with a slash"),
        ({"path": "//configure"}, "path must begin with a slash"),
    ],
)
def test_option_that_cannot_be_right_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        AccountLink(site=World().link.site, **options)


def test_page_outside_of_the_mount_is_refused() -> None:
    site = replace(World().link.site, settings=replace(SETTINGS, app_url="http://localhost:3000/app"))

    for page in ("/app", "/app/settings", "/app?a=1", "/app#a"):
        AccountLink(site=site, after=page)
    for page in ("/settings", "/application", "/ap"):
        with pytest.raises(SettingsError, match=f"write '/app{page}'"):
            AccountLink(site=site, after=page)


@pytest.mark.parametrize(("length", "status"), [(256, 303), (257, 400)])
def test_query_of_a_start_is_kept_up_to_a_limit(length: int, status: int) -> None:
    world, browser = World(), signed_in("link")
    world.link = replace(world.link, query=("invite", "code"))
    query = f"invite={'x' * (length - 1)}&code=y&other=z"
    response = world.request("link", "sign_in", query, browser)

    assert response.status == status
    if status == 303:
        world.request("link", "callback", world.wire.approve(response.location or "", "usr_1"), browser)
        done = world.events[-1]
        assert isinstance(done, AccountLinked)
        assert done.untrusted == {"invite": "x" * 255, "code": "y"}


@pytest.mark.parametrize(("accept", "status"), [("text/html", 303), ("application/json", 403)])
def test_start_asks_for_a_fresh_sign_in_first(accept: str, status: int) -> None:
    world = World()
    world.link = replace(world.link, require_fresh=lambda: False, refresh_url="/password")
    response = world.request("link", "sign_in", "next=%2Fpage", signed_in("link"), accept=accept)

    assert response.status == status
    assert response.location in (None, "/password?next=%2Fconfigure%2Fsign-in%3Fnext%3D%252Fpage")
    assert world.events == []


def in_view(world: World, data: dict[str, Any] | None = None, **headers: str) -> Response:
    request = world.build_request("link", "sign_in", "", signed_in("link"), **headers)
    world.current = signed_in("link")
    return run(start_in_view(world.link, request, next="/page", replace=False, data=data), world.perform)


def test_start_in_a_view_carries_the_data_of_the_app() -> None:
    world = World()
    response = in_view(world, {"plan": 3})

    assert response.status == 303
    assert [type(event) for event in world.events] == [SignInStarted]


def test_start_in_a_view_in_a_frame_leads_out_of_it() -> None:
    world = World()
    response = in_view(world, None, **{"sec-fetch-dest": "iframe"})

    assert isinstance(response.page, FramePage)
    assert response.page.href == "/configure/sign-in"
    assert world.events == []


def test_data_of_a_start_is_limited() -> None:
    room = DATA_LIMIT - len('{"a": ""}')

    assert Carried.of({"a": "x" * room}).data == {"a": "x" * room}
    with pytest.raises(SettingsError, match=f"more than {DATA_LIMIT} bytes"):
        Carried.of({"a": "x" * (room + 1)})
    with pytest.raises(SettingsError, match="written as JSON"):
        Carried.of({"a": object()})


def test_stylesheet_of_the_button_needs_no_login() -> None:
    world = World()
    route = next(route for route in SIGN_IN_ROUTES if route.endpoint == "button_style")
    request = world.build_request("link", "button_style", "", signed_in("login"))
    response = reload_first(route, request, None)

    assert response is not None
    assert response.stylesheet
    assert reload_first(route, replace(request, method="POST"), None) is None
