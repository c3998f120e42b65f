"""Where a person may be sent afterwards: into the app, or to an origin that it listed. Judged as a browser would go."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ..support.destinations import HOSTILE, LISTED, OWN, as_query
from ..support.reading import links_of
from ..support.stores import first
from ..support.web import Browser, Flow, MakeWeb, Web, query_of, start_path
from ..support.whatwg import origin_of

FLOWS: tuple[Flow, Flow] = ("link", "login")


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before it is stored."""
    return "memory"


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(constructor={"allowed_next": (LISTED,)})


def allowed(web: Web, location: str) -> bool:
    return origin_of(location, f"{web.url}/configure/callback") in (web.url, LISTED)


@pytest.mark.catalogue("E1", "E3", "E4", "E5", "E6", "E8")
@pytest.mark.parametrize("part", first([slice(None, None, 5), slice(None)]))
def test_no_value_leads_elsewhere(web: Web, browser: Browser, part: slice) -> None:
    """The same on each adapter; `tests/flows/test_destinations.py` has all values and the other places of a `next`."""
    browser.sign_in_locally("u1")
    for target in (*HOSTILE, *OWN)[part]:
        answer = browser.get(f"{start_path('login')}?{as_query(target, urlsplit(web.url).netloc)}")
        assert answer.status_code == 303, target
        assert allowed(web, answer.headers["location"]), target


@pytest.mark.catalogue("E1", "E4")
def test_nothing_leads_elsewhere_from_an_error_page(web: Web, browser: Browser) -> None:
    for target in (*HOSTILE, *OWN)[::40]:
        start = browser.begin("link", f"?{as_query(target, urlsplit(web.url).netloc)}")
        links = links_of(browser.come_back(browser.end(start, error="x")))
        assert links, target
        assert all(allowed(web, link) for link in links), target


@pytest.mark.catalogue("E6")
def test_the_apps_own_pages_and_listed_ones_are_reached(web: Web, browser: Browser) -> None:
    person = web.sandbox.add_person()
    for target in OWN:
        start = browser.begin("link", f"?{as_query(target, '')}")
        answer = browser.come_back(browser.end(start, code=web.sandbox.issue_return_code(person)))
        assert answer.headers["location"] == target
        assert allowed(web, target)


def test_no_next_goes_to_the_page_of_the_app(web: Web, browser: Browser) -> None:
    assert browser.login().headers["location"] == "/"
    assert browser.link().headers["location"] == "/settings"


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/a", "/a?configure=cancelled"),
        ("/a?b=c", "/a?b=c&configure=cancelled"),
        ("/a#part", "/a?configure=cancelled#part"),
        ("/a?b=c#part?", "/a?b=c&configure=cancelled#part?"),
        (f"{LISTED}", f"{LISTED}?configure=cancelled"),
    ],
)
def test_a_cancelled_sign_in_says_so_in_the_query_of_the_page(
    web: Web, browser: Browser, target: str, location: str
) -> None:
    start = browser.start("login", f"?{as_query(target, '')}")

    assert browser.come_back(browser.end(start, error="access_denied")).headers["location"] == location


def test_next_is_not_told_to_configure(web: Web, browser: Browser) -> None:
    for flow in FLOWS:
        assert "private-page" not in str(query_of(browser.begin(flow, "?next=/private-page")))
        browser.sign_out()


def test_next_of_the_callback_counts_for_nothing(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.start("login", "?next=/settings"))

    assert browser.come_back(f"{callback}&next=/elsewhere").headers["location"] == "/settings"
