"""Each place that a `next` gets to, with every hostile value: all lead to the app, a listed origin or Configure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configure_auth.flows.destination import with_query
from configure_auth.ui.pages import ConfirmPage, ErrorPage

from ..support.destinations import HOSTILE, LISTED, OWN, as_query
from ..support.examples import examples
from ..support.stores import first
from ..support.whatwg import origin_of
from .world import APP, Browser, World, signed_in

Place = Callable[[World, str, str], Iterator[str | None]]
"""Where the app or a page of ours leads after a start of the intent with the query."""

HOST = urlsplit(APP).netloc


@pytest.fixture(scope="module")
def world() -> World:
    """One for all: an attempt more or less changes nothing here."""
    return World(options={"allowed_next": (LISTED,), "session": None})


def leads_to(location: str | None, intent: str) -> str | None:
    assert location is not None
    return origin_of(location, f"{APP}/{intent}/callback")


def is_ours(location: str | None, intent: str) -> bool:
    return leads_to(location, intent) in (APP, LISTED)


def started(world: World, intent: str, browser: Browser, query: str) -> str:
    """The state with which a start leads to Configure."""
    response = world.request(intent, "sign_in", query, browser)
    assert response.location is not None, response
    return dict(part.split("=", 1) for part in urlsplit(response.location).query.split("&"))["state"]


def signed_in_already(world: World, intent: str, query: str) -> Iterator[str | None]:
    browser = Browser(user="u1")
    yield world.request("login", "sign_in", query, browser).location
    response = world.request("login", "sign_in", query, browser, accept="application/json")
    yield None if response.json is None else response.json["url"]


def cancelled(world: World, intent: str, query: str) -> Iterator[str | None]:
    browser = signed_in(intent)
    state = started(world, intent, browser, query)
    yield world.request(intent, "callback", f"state={state}&error=access_denied", browser).location


def failed(world: World, intent: str, query: str) -> Iterator[str | None]:
    browser = signed_in(intent)
    state = started(world, intent, browser, query)
    page = world.request(intent, "callback", f"state={state}&error=x", browser).page
    assert isinstance(page, ErrorPage)
    yield page.home_href
    yield page.retry_href
    yield from cancelled(world, intent, urlsplit(page.retry_href or "").query)


def refused_at_once(world: World, intent: str, query: str) -> Iterator[str | None]:
    page = world.request("link", "sign_in", query, Browser()).page
    assert isinstance(page, ErrorPage)
    yield page.home_href
    yield page.retry_href or page.home_href


def confirmed(world: World, intent: str, query: str) -> Iterator[str | None]:
    browser = signed_in(intent)
    page = world.request(intent, "sign_in", query, browser, **{"sec-fetch-site": "cross-site"}).page
    assert isinstance(page, ConfirmPage)
    yield page.href
    yield from cancelled(world, intent, urlsplit(page.href).query)


def connected(world: World, intent: str, query: str) -> Iterator[str | None]:
    browser = signed_in(intent)
    start = world.request(intent, "sign_in", query, browser).location
    # Another Configure user for each intent: the one who signed in is connected to another local user than u1.
    callback = world.wire.approve(start or "", f"usr_{intent}")
    for _ in range(2):
        yield world.request(intent, "callback", callback, browser).location


def finished_by_a_page(world: World, intent: str, query: str) -> Iterator[str | None]:
    browser = Browser(user="u1")
    start = world.request("link", "sign_in", query, browser, authorization="Bearer x").location
    browser.user = None
    callback = world.wire.approve(start or "", "usr_link")
    back = world.request("link", "callback", callback, browser, **{"sec-fetch-site": "same-origin"}).location
    yield back
    browser.user = "u1"
    handle = urlsplit(back or "").query.rpartition("&")[2]
    assert handle.startswith("configure_finish=")
    response = world.request("link", "finish", handle, browser, authorization="Bearer x")
    yield None if response.json is None else response.json["next"]


IN_THE_END = [
    *((place, intent) for place in (cancelled, failed, confirmed, connected) for intent in ("link", "login")),
    (finished_by_a_page, "link"),
]
"""Places that only an attempt gets to. `make test` brings every 20th value there, each place others."""

CASES = [
    (signed_in_already, "login", slice(None)),
    (refused_at_once, "link", slice(None)),
    *((*case, slice(number, None, 20)) for number, case in enumerate(IN_THE_END)),
    *((*case, slice(None)) for case in IN_THE_END),
]


def test_vectors_have_teeth() -> None:
    """A browser would leave the app by most of them that a careless check lets through."""
    assert len(set(HOSTILE)) == len(HOSTILE) > 500
    elsewhere = [one for one in HOSTILE if not is_ours(one.replace("{own}", HOST), "link")]
    assert len(elsewhere) > 270


@pytest.mark.catalogue("E1", "E3", "E4", "E5", "E6", "E8")
@pytest.mark.parametrize(("place", "intent", "part"), first(CASES, count=2 + len(IN_THE_END), rows=True))
def test_every_destination_is_ours(world: World, place: Place, intent: str, part: slice) -> None:
    for target in [*HOSTILE, *OWN][part]:
        for location in place(world, intent, as_query(target, HOST)):
            assert is_ours(location, intent), (target, location)


def test_popup_speaks_to_no_other_origin(world: World) -> None:
    for target in filter(None, HOSTILE):
        query = as_query(target, HOST).replace("next=", "popup=", 1)
        assert world.request("link", "sign_in", query, signed_in("link")).status == 400, target


PARTS = st.sampled_from(
    [
        *"/\\:@?#%.;& \t\n\r\0",
        "//",
        "http:",
        "https:",
        "javascript:",
        "evil.example",
        "pages.example.com",
        LISTED,
        "%2f",
    ]
)
TARGETS = st.one_of(
    st.lists(PARTS, max_size=8).map("".join), st.text(max_size=20), st.text(max_size=20).map("/".__add__)
)


@examples(300)
@given(target=TARGETS, case=st.sampled_from([(signed_in_already, "login"), *IN_THE_END]))
def test_any_destination_is_ours(world: World, target: str, case: tuple[Place, str]) -> None:
    place, intent = case
    assert all(is_ours(location, intent) for location in place(world, intent, as_query(target, HOST)))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/page", "/page?configure=connected"),
        ("/page?", "/page?configure=connected"),
        ("/page?a=1&&b=#end", "/page?a=1&b=&configure=connected#end"),
        ("/page?configure=a=b&configure&configured=1", "/page?configured=1&configure=connected"),
        ("/page#a?b", "/page?configure=connected#a?b"),
        ("/page?a=1?b#c#d", "/page?a=1?b&configure=connected#c#d"),
    ],
)
def test_outcome_replaces_one_that_is_in_the_query(location: str, expected: str) -> None:
    assert with_query(location, "configure", "connected") == expected
