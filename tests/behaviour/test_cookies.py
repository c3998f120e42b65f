"""The browser cookie: ours, opaque, shared by every tab, and never a heap."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest

from ..support.reading import ending, refused
from ..support.web import Browser, Flow, MakeWeb, Web, planted, query_of, start_path

# Each adapter reads and writes these by itself.
pytestmark = pytest.mark.every_case

FLOWS: tuple[Flow, Flow] = ("link", "login")
OURS = "configure_dev"


def ours(browser: Browser) -> str | None:
    return browser.http.cookies.get(OURS)


@pytest.mark.catalogue("A25")
@pytest.mark.parametrize("flow", FLOWS)
def test_on_loopback_the_cookie_is_opaque_lax_and_hidden_from_scripts(browser: Browser, flow: Flow) -> None:
    browser.begin(flow)
    answer = browser.get(start_path(flow))

    cookies = SimpleCookie(*planted(answer))
    (name,) = cookies
    morsel = cookies[name]
    assert name == OURS
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", morsel.value)
    assert (morsel["path"], morsel["samesite"], morsel["httponly"], morsel["secure"]) == ("/", "Lax", True, "")
    assert morsel["domain"] == ""
    assert int(morsel["max-age"]) >= 3600


@pytest.mark.catalogue("A25")
@pytest.mark.parametrize("flow", FLOWS)
def test_on_https_the_cookie_has_the_host_prefix(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(
        settings={
            "CONFIGURE_APP_URL": "https://app.example.com",
            "CONFIGURE_TOKEN_KEYS": "a-key-of-43-characters-for-an-app-on-the-web",
        }
    )
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        if flow == "login":
            browser.sign_out()
        (header,) = planted(browser.get(start_path(flow), host="app.example.com"))

    name, _, attributes = header.partition("=")
    assert name == "__Host-configure"
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} < {part.strip() for part in attributes.split(";")}
    assert "domain" not in attributes.lower()


@pytest.mark.parametrize("flow", FLOWS)
def test_on_https_a_cookie_without_the_prefix_counts_for_nothing(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(
        settings={
            "CONFIGURE_APP_URL": "https://app.example.com",
            "CONFIGURE_TOKEN_KEYS": "a-key-of-43-characters-for-an-app-on-the-web",
        }
    )
    with web.browser() as browser:
        start = browser.get("/auth/configure/sign-in", host="app.example.com")
        bare = planted(start)[0].split(";")[0].replace("__Host-configure", OURS)
        callback = f"/auth/configure/callback?state={query_of(start.headers['location'])['state']}&code=x"
        with refused(web):
            answer = browser.get(callback, site="cross-site", host="app.example.com", cookie=bare)

    assert ending(answer) == (400, "cookie_missing")


@pytest.mark.catalogue("A24", "A25")
@pytest.mark.parametrize("flow", FLOWS)
def test_cookie_of_another_name_is_not_ours(web: Web, browser: Browser, flow: Flow) -> None:
    """White space of Python isn't a browser's: another host of the domain can set such a name for all of it."""
    callback = browser.at_configure(browser.begin(flow))
    session = [f"{one.name}={one.value}" for one in browser.http.cookies.jar if one.name != OURS]
    with browser.copy(without=(OURS, "session")) as tossed, refused(web):
        for prefix in ("\xa0", "\x85", "\xc2\xa0", "_", "=", "x,"):
            cookie = "; ".join([*session, f"{prefix}{OURS}={ours(browser)}"]).encode("latin-1")
            headers = [(b"cookie", cookie), (b"sec-fetch-site", b"cross-site"), (b"accept", b"text/html")]
            assert ending(tossed.http.get(callback, headers=headers)) == (400, "cookie_missing"), prefix

    assert browser.come_back(callback).status_code == 303


def test_every_tab_and_both_flows_share_one_cookie(browser: Browser) -> None:
    browser.start("login")
    first = ours(browser)
    browser.start("login")
    browser.begin("link")

    assert ours(browser) == first is not None


@pytest.mark.catalogue("A24")
@pytest.mark.parametrize("value", ["", "short", "x" * 42, "x" * 44, "x" * 42 + "!", "x" * 4000, '"' + "x" * 43 + '"'])
def test_a_malformed_cookie_is_replaced_at_the_start(browser: Browser, value: str) -> None:
    browser.http.cookies.set(OURS, value, domain="localhost.local", path="/")

    assert browser.come_back(browser.at_configure(browser.start("login"))).status_code == 303
    assert ours(browser) != value


@pytest.mark.catalogue("A24")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_doubled_cookie_is_replaced_at_the_start_and_refused_at_the_end(
    web: Web, browser: Browser, flow: Flow
) -> None:
    callback = browser.at_configure(browser.begin(flow))
    mine = ours(browser)
    rest = [f"; {name}={value}" for name, value in browser.http.cookies.items() if name != OURS]
    doubled = f"{OURS}={mine}; {OURS}={'x' * 43}{''.join(rest)}"
    with refused(web):
        assert ending(browser.come_back(callback, cookie=doubled)) == (400, "cookie_missing")

    with browser.copy() as other:
        fresh = SimpleCookie(*planted(other.get(start_path(flow), cookie=doubled)))[OURS].value
    assert fresh not in (mine, "x" * 43)
    assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("A24")
@pytest.mark.parametrize("value", ["", "short", "x" * 44, "x" * 4000])
def test_a_malformed_cookie_is_refused_at_the_end(web: Web, browser: Browser, value: str) -> None:
    start = browser.start("login")
    with refused(web):
        answer = browser.come_back(browser.end(start, code="a"), cookie=f"{OURS}={value}")

    assert ending(answer) == (400, "cookie_missing")


@pytest.mark.catalogue("A20")
def test_of_more_than_ten_open_attempts_the_oldest_goes(web: Web, browser: Browser) -> None:
    starts = []
    for _ in range(12):
        starts.append(browser.begin("link"))
        web.sandbox.advance(1)

    ends = [browser.come_back(browser.end(start, error="access_denied")) for start in starts]

    assert [ending(end) for end in ends[:2]] == [(400, "expired")] * 2
    assert [end.status_code for end in ends[2:]] == [303] * 10


@pytest.mark.all_stores
def test_an_attempt_that_navigated_outlives_those_of_scripts(web: Web, browser: Browser) -> None:
    """And a navigation takes the place of a script's attempt."""
    browser.sign_in_locally("u1")
    starts = [browser.start("link")]
    script = {"accept": "application/json", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}
    scripted = []
    for _ in range(25):
        web.sandbox.advance(1)
        scripted.append(browser.get(start_path("link"), **script).json()["url"])
    for _ in range(9):
        web.sandbox.advance(1)
        starts.append(browser.start("link"))

    ends = [browser.come_back(browser.end(start, error="access_denied")) for start in starts]

    assert [end.status_code for end in ends] == [303] * 10
    assert ending(browser.come_back(browser.end(scripted[0], error="access_denied"))) == (400, "expired")


@pytest.mark.catalogue("A20")
def test_one_browsers_attempts_push_nobody_elses_out(web: Web, browser: Browser) -> None:
    start = browser.start("login")
    with web.browser() as greedy:
        for _ in range(12):
            greedy.start("login")

    assert browser.come_back(browser.at_configure(start)).status_code == 303


@pytest.mark.catalogue("A20")
def test_abandoned_attempts_grow_nothing_in_the_browser(browser: Browser) -> None:
    browser.start("login")
    before = dict(browser.http.cookies)
    for _ in range(20):
        browser.start("login")

    assert dict(browser.http.cookies) == before
    assert set(before) <= {OURS, "session"}


@pytest.mark.catalogue("J2")
def test_no_token_code_or_state_is_in_a_cookie(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("login", "?next=/settings"))
    browser.come_back(callback)
    _, grant = web.people.logins[0]

    cookies = str(dict(browser.http.cookies))
    for secret in (*query_of(callback).values(), grant.access_token.reveal(), grant.refresh_token.reveal()):
        assert secret not in cookies
