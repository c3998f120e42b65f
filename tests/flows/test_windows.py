"""Sign-ins in a popup or a frame, and the response to a commit that was lost."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlencode

import pytest

from configure_auth.errors import Code, StoreError
from configure_auth.events import AccountLinked, LinkFailed, LoggedIn
from configure_auth.flows import Response
from configure_auth.ui.pages import ErrorPage, FramePage, PopupPage

from .world import APP, Browser, World, signed_in

FLOWS = ("link", "login")
OPENER = urlencode({"popup": APP})


def end(world: World, browser: Browser, intent: str, query: str) -> PopupPage:
    """The page at the end of a popup's sign-in."""
    response = world.request(intent, "callback", query, browser)
    assert response.status == 303
    assert response.location is not None
    path, _, asked = response.location.partition("?")
    assert path == f"{world.feature(intent).path}/popup"
    page = world.request(intent, "popup", asked, browser).page
    assert isinstance(page, PopupPage)
    return page


def start(world: World, browser: Browser, intent: str, query: str, **headers: str) -> Response:
    return world.request(intent, "sign_in", query, browser, **headers)


def code(response: Response) -> Code:
    assert isinstance(response.page, ErrorPage)
    return response.page.code


@pytest.mark.parametrize("intent", FLOWS)
@pytest.mark.parametrize(("outcome", "error"), [("done", None), ("cancelled", "access_denied")])
def test_popup_tells_its_opener_the_outcome(intent: str, outcome: str, error: str | None) -> None:
    world, browser = World(options={"show_outcome": True}), signed_in(intent)
    location = start(world, browser, intent, OPENER).location
    assert location is not None
    query = world.wire.approve(location, "usr_1") + (f"&error={error}" if error else "")
    page = end(world, browser, intent, query)

    assert page.origin == APP
    assert page.message == {"source": "configure", "outcome": outcome}
    assert len(page.nonce) >= 22
    assert json.dumps(page.message) in page.script


def test_popup_tells_its_opener_a_failure() -> None:
    world, browser = World(), signed_in("link")
    location = start(world, browser, "link", OPENER).location
    assert location is not None
    query = world.wire.approve(location, "usr_1")
    browser.user = "u2"

    assert end(world, browser, "link", query).message["outcome"] == "wrong_user"


def test_popup_passes_on_what_a_finish_needs() -> None:
    world = World()
    query = urlencode({"origin": APP, "configure": "connected", "configure_finish": "handle"})
    response = world.request("link", "popup", query, Browser())

    assert isinstance(response.page, PopupPage)
    assert response.page.message == {"source": "configure", "outcome": "done", "configure_finish": "handle"}
    assert (response.status, response.keeps_opener) == (200, True)


def test_popup_without_an_outcome_is_done() -> None:
    page = World().request("link", "popup", urlencode({"origin": APP}), Browser()).page

    assert isinstance(page, PopupPage)
    assert page.message == {"source": "configure", "outcome": "done"}


@pytest.mark.parametrize("query", ["", urlencode({"origin": "https://evil.example"}), urlencode({"origin": f"{APP}/"})])
def test_popup_speaks_to_the_app_alone(query: str) -> None:
    response = World().request("link", "popup", query, Browser())

    assert (response.status, code(response)) == (400, Code.INVALID_REQUEST)


@pytest.mark.parametrize("part", ["origin", "configure", "configure_finish"])
def test_popup_refuses_a_long_parameter(part: str) -> None:
    limit = {"origin": 256, "configure": 64, "configure_finish": 128}[part]
    for length, status in ((limit, 400 if part == "origin" else 200), (limit + 1, 400)):
        query = urlencode({"origin": APP, part: "x" * length})
        assert World().request("link", "popup", query, Browser()).status == status


def test_popup_of_a_trusted_origin() -> None:
    world = World(options={"trusted_origins": ("https://www.example.com",)})
    query = urlencode({"popup": "https://www.example.com"})
    response = start(world, signed_in("link"), "link", query)

    assert response.status == 303


@pytest.mark.parametrize("intent", FLOWS)
def test_start_in_a_frame_of_the_app_leads_out_of_it(intent: str) -> None:
    world, browser = World(), signed_in(intent)
    query = "next=%2Fpage&replace=1"
    response = start(world, browser, intent, query, **{"sec-fetch-dest": "iframe"})

    assert response.status == 200
    assert isinstance(response.page, FramePage)
    assert response.page.intent == intent
    path, _, asked = response.page.href.partition("?")
    assert path == f"{world.feature(intent).path}/sign-in"
    assert parse_qs(asked) == {"next": ["/page"], "replace": ["1"]}
    assert world.events == []


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://www.example.com"}])
def test_start_in_a_frame_of_another_site_is_refused(headers: dict[str, str]) -> None:
    world = World(options={"trusted_origins": ("https://www.example.com",)})
    sent = {"sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site", **headers}
    response = start(world, signed_in("link"), "link", "", **sent)

    assert (response.status, code(response)) == (400, Code.INVALID_REQUEST)
    assert world.events == []


@pytest.mark.parametrize("destination", ["image", "script"])
def test_start_that_a_page_embeds_is_refused(destination: str) -> None:
    world = World()
    response = start(world, signed_in("link"), "link", "", **{"sec-fetch-dest": destination})

    assert (response.status, code(response)) == (400, Code.INVALID_REQUEST)
    assert world.events == []


@pytest.mark.parametrize("intent", FLOWS)
@pytest.mark.catalogue("Q4")
def test_commit_whose_response_is_lost_is_done(intent: str) -> None:
    """Attempt and account are in one database: the outcome that is stored says what became of the save."""
    world, browser = World(has_one_database=True), signed_in(intent)
    query = world.came_back(intent, browser)
    world.loses["accounts.save"] = [StoreError("the connection is gone")] * 2
    response = world.request(intent, "callback", query, browser)

    assert response.status == 303
    assert response.location == world.feature(intent).home  # type: ignore[attr-defined]
    assert len(world.wire.used) == 1
    assert world.stores.accounts.owner("test-agent", "usr_1") is not None
    assert not [event for event in world.events if isinstance(event, LinkFailed)]


@pytest.mark.parametrize("intent", FLOWS)
def test_commit_in_one_transaction_finishes_the_attempt(intent: str) -> None:
    world, browser = World(has_one_database=True), signed_in(intent)
    query = world.came_back(intent, browser)

    assert world.request(intent, "callback", query, browser).status == 303
    assert "states.finish" not in world.log
    assert [type(event) for event in world.events] == [{"link": AccountLinked, "login": LoggedIn}[intent]]

    world.log.clear()
    assert world.request(intent, "callback", query, browser).status == 303
    assert world.sent == []
