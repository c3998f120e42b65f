"""Who made the browser send a start or a disconnect: a page of the app, or somebody else."""

from __future__ import annotations

import pytest

from configure_auth.values import STATE_LIFETIME

from ..support.reading import ending, links_of, no_calls, without_reference
from ..support.web import Browser, Flow, MakeWeb, Web, planted, start_path

FLOWS: tuple[Flow, Flow] = ("link", "login")
PARTNER = "https://partner.example"


@pytest.fixture
def store() -> str:
    """One is enough: what is judged here is judged before a store is asked."""
    return "memory"


@pytest.mark.catalogue("J4", "N1")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, cross-site"])
def test_a_start_from_elsewhere_asks_first_and_its_link_goes_on(
    web: Web, browser: Browser, flow: Flow, site: str
) -> None:
    if flow == "link":
        browser.sign_in_locally("u1")
    asked = browser.get(f"{start_path(flow)}?next=/settings?x=1", site=site)

    assert asked.status_code == 200
    assert web.people.events == []
    (link,) = links_of(asked)
    start = browser.get(link).headers["location"]
    answer = browser.come_back(browser.at_configure(start))
    assert (answer.status_code, answer.headers["location"]) == (303, "/settings?x=1")


@pytest.mark.parametrize("flow", FLOWS)
def test_without_any_header_the_confirm_link_works_by_its_own_proof(web: Web, browser: Browser, flow: Flow) -> None:
    if flow == "link":
        browser.sign_in_locally("u1")
    (link,) = links_of(browser.get(start_path(flow), site=None))
    assert web.people.events == []

    start = browser.get(link, site=None)

    assert start.status_code == 303
    assert browser.come_back(browser.at_configure(start.headers["location"]), host=web.url[7:]).status_code == 303


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("site", [None, "cross-site", "none"])
def test_a_link_of_the_apps_own_page_goes_straight_on(web: Web, browser: Browser, flow: Flow, site: str | None) -> None:
    """`Referer` shows it: to browsers without Fetch Metadata, and to WebKit, where a new tab is "cross-site"."""
    if flow == "link":
        browser.sign_in_locally("u1")
    answer = browser.get(start_path(flow), site=site, referer=f"{web.url}/settings?x=1")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith((web.sandbox.accounts_url, web.sandbox.sign_in_url))


@pytest.mark.parametrize("site", [None, "cross-site"])
@pytest.mark.parametrize(
    "referer",
    [
        "https://evil.example/",
        "{own}.evil.example/",
        "https://evil.example/{own}/",
        "http://localhost/",
        "http://localhost:1/",
        "//localhost",
        "http://[",
        "null",
        "",
    ],
)
def test_a_link_of_another_page_asks_first(web: Web, browser: Browser, site: str | None, referer: str) -> None:
    answer = browser.get(start_path("login"), site=site, referer=referer.replace("{own}", web.url))

    assert answer.status_code == 200
    assert links_of(answer)
    assert web.people.events == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_redirect_of_another_site_that_a_page_of_the_app_links_to_asks_first(
    web: Web, browser: Browser, site: str
) -> None:
    """The default policy cuts the `Referer` down to the origin on the way out, and the redirect brings that back."""
    answer = browser.get(start_path("login"), site=site, referer=f"{web.url}/")

    assert answer.status_code == 200
    assert links_of(answer)
    assert web.people.events == []


def test_a_referer_does_not_outweigh_an_origin(web: Web, browser: Browser) -> None:
    own = f"{web.url}/settings"
    assert browser.get(start_path("login"), site=None, referer=own, origin="https://evil.example").status_code == 200
    assert web.people.events == []


@pytest.mark.parametrize(
    ("site", "origin", "status"), [(None, None, 303), (None, "null", 403), ("cross-site", None, 403)]
)
def test_a_posts_referer_counts_only_without_the_newer_headers(
    web: Web, browser: Browser, site: str | None, origin: str | None, status: int
) -> None:
    headers = {} if origin is None else {"origin": origin}

    answer = browser.post(start_path("login"), site=site, referer=f"{web.url}/settings", **headers)

    assert answer.status_code == status


@pytest.mark.parametrize("flow", FLOWS)
def test_another_browsers_confirm_link_asks_again(web: Web, browser: Browser, flow: Flow) -> None:
    with web.browser() as attacker:
        attacker.sign_in_locally("attacker")
        (link,) = links_of(attacker.get(start_path(flow), site="cross-site"))
    browser.sign_in_locally("victim")
    for crossed in (link, link.replace("confirm=", "confirm=0"), f"{start_path(flow)}?confirm="):
        answer = browser.get(crossed, site="cross-site")
        assert answer.status_code in (200, 400)
        assert "location" not in answer.headers
    assert web.people.events == []


@pytest.mark.catalogue("N1")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    ("site", "origin"),
    [
        ("cross-site", None),
        ("cross-site", "https://evil.example"),
        ("same-site", "https://sub.localhost"),
        ("none", None),
        ("cross-site", "{own}"),
        (None, None),
        (None, "null"),
        (None, "https://evil.example"),
        (None, "{own}.evil.example"),
        (None, "{own}/"),
        (None, "http://localhost"),
        ("cross-site", PARTNER),
        (None, PARTNER),
    ],
)
def test_a_post_from_elsewhere_starts_nothing(
    web: Web, browser: Browser, flow: Flow, site: str | None, origin: str | None
) -> None:
    browser.sign_in_locally("u1")
    headers = {} if origin is None else {"origin": origin.replace("{own}", web.url)}
    with no_calls(web.sandbox):
        answer = browser.post(start_path(flow), site=site, **headers)

    assert ending(answer) == (403, "cross_site")
    assert planted(answer) == []
    assert web.people.events == []


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("site", ["same-origin", None])
def test_a_post_from_the_app_starts(web: Web, browser: Browser, flow: Flow, site: str | None) -> None:
    if flow == "link":
        browser.sign_in_locally("u1")

    assert browser.post(start_path(flow), site=site, origin=web.url).status_code == 303


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_start_trusted_origin(make_web: MakeWeb, flow: Flow, site: str | None) -> None:
    """By `Origin`, or on a GET without one by `Referer`, of which browsers leave the origin to other sites."""
    web = make_web(constructor={"trusted_origins": (PARTNER,)})
    with web.browser() as browser:
        if flow == "link":
            browser.sign_in_locally("u1")
        assert browser.post(start_path(flow), site=site, origin=PARTNER).status_code == 303
        assert browser.get(start_path(flow), site=site, referer=f"{PARTNER}/").status_code == 303
        assert browser.get(start_path(flow), site=site, origin=PARTNER).status_code == 303

        other = f"{PARTNER}.evil.example"
        assert browser.post(start_path(flow), site=site, origin=other, referer=f"{PARTNER}/").status_code == 403
        assert browser.post(start_path(flow), site=site or "cross-site", referer=f"{PARTNER}/").status_code == 403
        assert links_of(browser.get(start_path(flow), site=site, referer=f"{other}/"))
        assert links_of(browser.get(start_path(flow), site=site, origin=other, referer=f"{PARTNER}/"))


@pytest.mark.parametrize("site", ["cross-site", None])
def test_allowed_next_grants_no_requests(make_web: MakeWeb, site: str | None) -> None:
    """An origin that `next` may lead to can neither start nor disconnect nor connect a token of its choice."""
    web = make_web(constructor={"allowed_next": (PARTNER,)})
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()
        with no_calls(web.sandbox):
            for path in ("/configure/sign-in", "/configure/disconnect", "/configure/session"):
                assert ending(browser.post(path, site=site, origin=PARTNER)) == (403, "cross_site"), path

        assert browser.account() is not None
        assert links_of(browser.get("/configure/sign-in", site=site, referer=f"{PARTNER}/"))


@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_trusted_origin_disconnects_but_posts_no_token(make_web: MakeWeb, site: str | None) -> None:
    web = make_web(constructor={"trusted_origins": PARTNER})
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.link()

        with no_calls(web.sandbox):
            assert ending(browser.post("/configure/session", site=site, origin=PARTNER)) == (403, "cross_site")
        assert browser.post("/configure/disconnect", site=site, origin=PARTNER).status_code == 303
        assert browser.account() is None


def test_preflight_of_trusted_origin_succeeds_without_permissions(make_web: MakeWeb) -> None:
    """The CORS headers are the app's, and browsers accept them on a good status only."""
    web = make_web(constructor={"trusted_origins": (PARTNER,)})
    with web.browser() as browser:
        answer = browser.request("OPTIONS", "/configure/disconnect", site="cross-site", origin=PARTNER)
        assert answer.status_code == 204
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]

        other = browser.request("OPTIONS", "/configure/disconnect", site="cross-site", origin="https://evil.example")
        assert other.status_code == 405


@pytest.mark.catalogue("N1")
@pytest.mark.parametrize(
    ("site", "origin"),
    [
        ("cross-site", "https://evil.example"),
        ("cross-site", None),
        ("same-site", None),
        ("none", None),
        (None, None),
        (None, "null"),
        (None, "https://evil.example"),
    ],
)
def test_a_disconnect_from_elsewhere_deletes_nothing(
    web: Web, browser: Browser, site: str | None, origin: str | None
) -> None:
    browser.sign_in_locally("u1")
    browser.link()
    with no_calls(web.sandbox):
        answer = browser.post("/configure/disconnect", site=site, **({} if origin is None else {"origin": origin}))

    assert ending(answer) == (403, "cross_site")
    assert browser.account() is not None


@pytest.mark.parametrize("site", ["same-origin", None])
def test_a_disconnect_from_the_app_deletes(web: Web, browser: Browser, site: str | None) -> None:
    browser.sign_in_locally("u1")
    browser.link()

    assert browser.post("/configure/disconnect", site=site, origin=web.url).status_code == 303
    assert browser.account() is None


def test_a_post_from_elsewhere_learns_not_whether_somebody_is_signed_in(browser: Browser) -> None:
    signed_out = browser.post("/configure/disconnect", site="cross-site")
    browser.sign_in_locally("u1")
    signed_in = browser.post("/configure/disconnect", site="cross-site")

    assert without_reference(signed_out) == without_reference(signed_in)


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("destination", ["image", "script", "embed", "object"])
def test_a_start_that_a_page_embeds_mints_nothing(web: Web, browser: Browser, flow: Flow, destination: str) -> None:
    browser.sign_in_locally("u1")
    for site in ("same-origin", "cross-site"):
        answer = browser.get(start_path(flow), site=site, sec_fetch_dest=destination)
        assert ending(answer) == (400, "invalid_request")
    assert web.people.events == []


def test_confirm_link_expires(web: Web, browser: Browser) -> None:
    """Its proof has a time in it: one that was kept is no way past the page."""
    (link,) = links_of(browser.get(start_path("login"), site=None))
    web.sandbox.advance(STATE_LIFETIME - 1)
    assert browser.get(link, site=None).status_code == 303

    web.sandbox.advance(1)

    for proof in (link, link.replace("confirm=1", "confirm=2"), link.replace("confirm=", "confirm=x")):
        again = browser.get(proof, site=None)
        assert (again.status_code, bool(links_of(again))) == (200, True)
