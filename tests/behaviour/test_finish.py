"""An app without a session: its pages carry a bearer token, and end the link that the callback could not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from configure_auth.flows.sign_in import attempts
from configure_auth.values import STATE_LIFETIME

from ..support.reading import meanwhile
from ..support.web import Browser, MakeWeb, Web, query_of

FINISH = "/configure/finish"


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(bearer=True, constructor={"session": False}, login=None)


@pytest.fixture
def browser(web: Web) -> Iterator[Browser]:
    with web.browser() as browser:
        yield browser


def fetch(browser: Browser, url: str, user: str | None, *, site: str = "same-origin") -> httpx2.Response:
    """What the page's script does."""
    headers = {"sec_fetch_dest": "empty", "accept": "*/*"}
    if user is not None:
        headers["authorization"] = f"Bearer {user}"
    return browser.post(url, site=site, **headers)


def begin(browser: Browser, user: str = "u1") -> str:
    answer = fetch(browser, "/configure/sign-in", user)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def come_back(browser: Browser) -> str:
    """From the start to the page that the callback goes to; its address."""
    answer = browser.come_back(browser.at_configure(begin(browser)))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def handle(page: str) -> str:
    return f"{FINISH}?configure_finish={query_of(page)['configure_finish']}"


@pytest.mark.catalogue("N5")
def test_the_page_ends_the_link_with_its_bearer(web: Web, browser: Browser) -> None:
    page = come_back(browser)
    assert page.startswith("/settings?configure_finish=")
    assert not web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")

    answers = [fetch(browser, handle(page), "u1") for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"next": "/settings"})] * 2
    assert len(web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")) == 1
    account = browser.get("/account", authorization="Bearer u1").json()["account"]
    assert account["user_id"] == "u1"


def test_a_reload_of_the_callback_leads_to_the_same_page(browser: Browser) -> None:
    callback = browser.at_configure(begin(browser))

    pages = {browser.come_back(callback).headers["location"] for _ in range(3)}

    assert len(pages) == 1


@pytest.mark.catalogue("N5")
def test_another_user_ends_nothing_and_nobody_can_afterwards(web: Web, browser: Browser) -> None:
    page = come_back(browser)

    wrong = fetch(browser, handle(page), "u2")
    again = fetch(browser, handle(page), "u1")

    assert [(answer.status_code, answer.json()["error"]) for answer in (wrong, again)] == [(403, "wrong_user")] * 2
    assert not web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")


def test_another_user_of_the_browser_learns_nothing_of_a_finished_one(browser: Browser) -> None:
    page = come_back(browser)
    assert fetch(browser, handle(page), "u1").status_code == 200

    answer = fetch(browser, handle(page), "u2")

    assert (answer.status_code, answer.json()["error"]) == (403, "wrong_user")


@pytest.mark.catalogue("N5")
def test_another_browser_with_the_address_ends_nothing(web: Web, browser: Browser) -> None:
    page = come_back(browser)

    with web.browser() as other:
        begin(other)
        answer = fetch(other, handle(page), "u1")

    assert (answer.status_code, answer.json()["error"]) == (400, "wrong_browser")
    assert fetch(browser, handle(page), "u1").status_code == 200


def test_without_a_bearer_the_page_may_try_again(browser: Browser) -> None:
    page = come_back(browser)

    refused = fetch(browser, handle(page), None)

    assert (refused.status_code, refused.json()["error"]) == (401, "signed_out")
    assert fetch(browser, handle(page), "u1").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?configure_finish=",
        "?configure_finish=short",
        "?configure_finish=" + "x" * 66,
        "?configure_finish=" + "x" * 129,
    ],
)
def test_a_finish_needs_the_handle_of_the_page(web: Web, browser: Browser, query: str) -> None:
    come_back(browser)

    answer = fetch(browser, FINISH + query, "u1")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.catalogue("B3")
def test_a_state_is_no_handle_and_a_handle_no_state(web: Web, browser: Browser) -> None:
    state = query_of(begin(browser))["state"]
    page = come_back(browser)

    as_handle = fetch(browser, f"{FINISH}?configure_finish={state}", "u1")
    as_state = browser.come_back(f"/configure/callback?code=c&state={query_of(page)['configure_finish']}")

    assert (as_handle.status_code, as_handle.json()["error"]) == (400, "expired")
    assert as_state.status_code == 400
    assert not web.sandbox.calls_to("POST", "/v1/auth/sign-in/exchange")
    assert fetch(browser, handle(page), "u1").status_code == 200


def test_a_finish_during_another_is_to_come_again(web: Web, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "POLLS", 1)
    page = come_back(browser)
    with (
        browser.copy() as winner,
        web.sandbox.hold("/v1/auth/sign-in/exchange") as held,
        meanwhile(lambda: fetch(winner, handle(page), "u1")) as won,
    ):
        held.arrived.wait()
        waiting = fetch(browser, handle(page), "u1")
        held.release()
        assert won().status_code == 200

    assert (waiting.status_code, waiting.json(), waiting.headers["retry-after"]) == (202, {"next": None}, "1")


def test_a_finish_from_elsewhere_is_refused(browser: Browser) -> None:
    page = come_back(browser)

    answer = fetch(browser, handle(page), "u1", site="cross-site")

    assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")


def test_finish_from_trusted_origin_needs_the_bearer_too(make_web: MakeWeb) -> None:
    spa = "https://app.localhost"
    web = make_web(bearer=True, constructor={"session": False, "trusted_origins": (spa,)}, login=None)
    with web.browser() as browser:
        page = come_back(browser)
        posted = {"site": "same-site", "origin": spa, "accept": "application/json"}

        without = browser.post(handle(page), **posted)
        assert (without.status_code, without.json()["error"]) == (401, "signed_out")
        assert fetch(browser, handle(page), "u1", site="same-site").status_code == 403
        assert browser.post(handle(page), **posted, authorization="Bearer u1").status_code == 200


def test_a_bearer_client_that_is_no_browser_starts_and_disconnects(web: Web) -> None:
    """It sends neither Fetch Metadata nor `Origin`; what needs our cookie names its absence."""
    with httpx2.Client(base_url=web.url, trust_env=False, headers={"authorization": "Bearer u1"}) as client:
        start = client.post("/configure/sign-in", headers={"accept": "application/json"})
        assert (start.status_code, "url" in start.json()) == (200, True)
        assert client.post("/configure/disconnect", headers={"accept": "application/json"}).status_code == 200
        client.cookies.clear()
        finish = client.post(f"{FINISH}?configure_finish={'x' * 43}", headers={"accept": "application/json"})
        assert finish.json()["error"] != "cross_site"
        # A page of another site is refused as before.
        for site in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            refused = client.post("/configure/disconnect", headers={"accept": "application/json", **site})
            assert (refused.status_code, refused.json()["error"]) == (403, "cross_site")


def test_a_start_by_a_page_of_another_site_is_told_why(make_web: MakeWeb) -> None:
    elsewhere = "https://app.elsewhere.example"
    web = make_web(bearer=True, constructor={"session": False, "trusted_origins": (elsewhere,)}, login=None)
    with web.browser() as browser:
        answer = browser.post(
            "/configure/sign-in",
            site="cross-site",
            origin=elsewhere,
            authorization="Bearer u1",
            accept="*/*",
            sec_fetch_dest="empty",
        )

    assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")


def test_a_cancelled_one_goes_back_to_the_page_and_parks_nothing(browser: Browser) -> None:
    answer = browser.come_back(browser.at_configure(begin(browser), cancel=True))

    assert answer.headers["location"] == "/settings?configure=cancelled"


def test_the_parked_code_ends_with_its_attempt(web: Web, browser: Browser) -> None:
    page = come_back(browser)

    web.sandbox.advance(STATE_LIFETIME)

    answer = fetch(browser, handle(page), "u1")
    assert (answer.status_code, answer.json()["error"]) == (400, "expired")
