"""Where a person may be sent afterwards: into the app, or to an origin that it listed. Judged as a browser would go."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..support.examples import examples
from ..support.reading import links_of
from ..support.stores import first
from ..support.web import Browser, Flow, MakeWeb, Web, query_of, start_path
from ..support.whatwg import origin_of

FLOWS: tuple[Flow, Flow] = ("link", "login")
LISTED = "https://pages.example.com"

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "//\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "\0//evil.example",
    "\x19//evil.example",
    "\x1f//evil.example",
    "/\0/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https:\\\\evil.example",
    "http:evil.example",
    "http:/\\evil.example",
    "http:\\evil.example",
    "https://evil.example",
    "HTTPS://evil.example",
    "hTTp://evil.example",
    "https://pages.example.com@evil.example",
    "https://pages.example.com:443@evil.example",
    "https://pages.example.com%40evil.example",
    "https://pages.example.com\\@evil.example",
    "https://evil.example\\.pages.example.com",
    "https://evil.example#pages.example.com",
    "https://evil.example?.pages.example.com",
    "https://evil.example/https://pages.example.com",
    "https://pages.example.com.evil.example",
    "https://evilpages.example.com",
    "https://x.pages.example.com",
    "https://pages.example.com:444/",
    "http://pages.example.com/",
    "https://pages.example.comevil.example",
    "https://pages.example.com\t.evil.example",
    "https://pages.example.com\n@evil.example",
    "https://[::1]@evil.example",
    "https://[pages.example.com",
    "https://user@pages.example.com@evil.example/",
    "https://{own}@evil.example",
    "http://{own}.evil.example",
    "http://{own}@evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript://pages.example.com/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "blob:https://pages.example.com/x",
    "ftp://pages.example.com/",
    "ws://pages.example.com/",
    "intent://evil.example#Intent;scheme=https;end",
    "myapp://evil.example",
    "//evil.example/%2f..",
    "//evil%2eexample",
    "//%65vil.example",
    "//3232235777",
    "//0x7f.1",
    "\N{FULLWIDTH SOLIDUS}\N{FULLWIDTH SOLIDUS}evil.example",
    "/\N{EN SPACE}/evil.example",
    "/\N{LINE SEPARATOR}/evil.example",
    "/\N{ZERO WIDTH SPACE}/evil.example",
    "\N{IDEOGRAPHIC FULL STOP}//evil.example",
    "https://evil\N{IDEOGRAPHIC FULL STOP}example",
    "/\x7f/evil.example",
    "/x\r\nSet-Cookie: a=b",
    "/x\r\nLocation: https://evil.example",
    "/%\ud800",
    "evil.example",
    "",
    "settings",
    "?x=1",
    "#x",
    ".//evil.example",
    "*",
]
OURS = [
    "/settings",
    "/settings?tab=2&x=%2F%2Fevil.example",
    "/settings#part",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%2f/evil.example",
    "/x//evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/;//evil.example",
    "/@evil.example",
    "/:80//evil.example",
    "/?next=https://evil.example",
    "/#//evil.example",
    "/https://evil.example",
    f"{LISTED}/",
    f"{LISTED}/done?x=1#y",
    f"{LISTED}?x=1",
    LISTED,
]


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before it is stored."""
    return "memory"


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(constructor={"allowed_next": (LISTED,)})


def allowed(web: Web, location: str) -> bool:
    return origin_of(location, f"{web.url}/configure/callback") in (web.url, LISTED)


def asked(target: str, web: Web) -> str:
    filled = target.replace("{own}", web.url.removeprefix("http://"))
    return f"?next={quote(filled, safe='', errors='surrogatepass')}"


@pytest.mark.catalogue("E1", "E3", "E4", "E5", "E6", "E8")
@pytest.mark.parametrize("adapter", first(["flask", "starlette"]), indirect=True)
@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_leads_elsewhere_when_a_sign_in_is_cancelled(web: Web, browser: Browser, flow: Flow) -> None:
    for target in ELSEWHERE:
        start = browser.begin(flow, asked(target, web))
        location = browser.come_back(browser.end(start, error="access_denied")).headers["location"]
        assert location == {"link": "/settings", "login": "/"}[flow] + "?configure=cancelled", target


@pytest.mark.catalogue("E1", "E3", "E4", "E5", "E6", "E8")
@pytest.mark.parametrize("adapter", first(["starlette", "flask"]), indirect=True)
@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_leads_elsewhere_from_an_error_page(web: Web, browser: Browser, flow: Flow) -> None:
    for target in (*ELSEWHERE, *OURS):
        start = browser.begin(flow, asked(target, web))
        page = browser.come_back(browser.end(start, error="x"))
        links = links_of(page)
        assert links, target
        assert all(allowed(web, link) for link in links), target


@pytest.mark.parametrize("adapter", first(["flask", "starlette"]), indirect=True)
@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_leads_elsewhere_from_the_confirm_page(web: Web, browser: Browser, flow: Flow) -> None:
    browser.sign_in_locally("u1")
    for target in ELSEWHERE:
        (link,) = links_of(browser.get(start_path(flow) + asked(target, web), site="cross-site"))
        assert origin_of(link, web.url) == web.url, target
        if flow == "login":
            assert browser.get(link).headers["location"] == "/", target


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_nothing_leads_elsewhere_for_who_is_signed_in_already(web: Web, browser: Browser, accept: str) -> None:
    browser.sign_in_locally("u1")
    for target in ELSEWHERE:
        answer = browser.get(start_path("login") + asked(target, web), accept=accept)
        location = answer.headers["location"] if accept == "text/html" else answer.json()["url"]
        assert location == "/", target


@pytest.mark.catalogue("E1", "E3", "E4", "E5", "E6", "E8")
@pytest.mark.parametrize("adapter", first(["starlette", "flask"]), indirect=True)
def test_nothing_leads_elsewhere_after_a_link(web: Web, browser: Browser) -> None:
    person = web.sandbox.add_person()
    for target in ELSEWHERE:
        start = browser.begin("link", asked(target, web))
        callback = browser.end(start, code=web.sandbox.issue_return_code(person))
        for answer in (browser.come_back(callback), browser.come_back(callback)):
            assert (answer.status_code, answer.headers["location"]) == (303, "/settings"), target


@pytest.mark.catalogue("E6")
def test_the_apps_own_pages_and_listed_ones_are_reached(web: Web, browser: Browser) -> None:
    person = web.sandbox.add_person()
    for target in OURS:
        start = browser.begin("link", asked(target, web))
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
    start = browser.start("login", asked(target, web))

    assert browser.come_back(browser.end(start, error="access_denied")).headers["location"] == location


def test_next_is_not_told_to_configure(web: Web, browser: Browser) -> None:
    for flow in FLOWS:
        assert "private-page" not in str(query_of(browser.begin(flow, "?next=/private-page")))
        browser.sign_out()


def test_next_of_the_callback_counts_for_nothing(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.start("login", "?next=/settings"))

    assert browser.come_back(f"{callback}&next=/elsewhere").headers["location"] == "/settings"


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


@examples(60)
@given(target=TARGETS)
def test_no_location_leaves_the_app_or_its_listed_pages(web: Web, browser: Browser, target: str) -> None:
    browser.sign_in_locally("u1")
    query = f"?next={quote(target, safe='', errors='surrogatepass')}"
    onward = browser.get(start_path("login") + query)
    assert allowed(web, onward.headers["location"])

    start = browser.start("link", query)
    assert origin_of(start, web.url) == web.sandbox.sign_in_url
    cancelled = browser.come_back(browser.end(start, error="access_denied"))
    assert allowed(web, cancelled.headers["location"])
