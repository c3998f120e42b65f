"""Where a person is sent when a sign-in begins, and what is kept of it."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from configure_auth.events import SignInStarted

from ..support.reading import ending, no_calls
from ..support.web import Browser, Flow, MakeWeb, Web, query_of, start_path


def test_a_link_goes_to_the_hosted_page_of_our_agent(web: Web, browser: Browser) -> None:
    browser.sign_in_locally("u1")

    url = browser.start("link")

    assert url.startswith(f"{web.sandbox.sign_in_url}/{web.sandbox.agent}?")
    sent = query_of(url)
    assert sent["return_to"] == f"{web.url}/configure/callback"
    assert sent["pk"] == web.sandbox.credentials.publishable_key


@pytest.mark.catalogue("D1")
def test_a_login_goes_to_the_accounts_origin_with_pkce_and_resource(web: Web, browser: Browser) -> None:
    url = browser.start("login")

    assert url.startswith(f"{web.sandbox.accounts_url}/oauth/authorize?")
    sent = query_of(url)
    assert re.fullmatch(r"[A-Za-z0-9_-]{65}", sent.pop("state"))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", sent.pop("code_challenge"))
    assert sent == {
        "response_type": "code",
        "client_id": web.sandbox.credentials.client_id,
        "redirect_uri": f"{web.url}/auth/configure/callback",
        "scope": "profile.read profile.search",
        "code_challenge_method": "S256",
        "resource": web.sandbox.api_url,
    }


@pytest.mark.parametrize("flow", ["link", "login"])
def test_a_start_costs_no_call_and_tells_of_itself_once(web: Web, browser: Browser, flow: Flow) -> None:
    with no_calls(web.sandbox):
        browser.begin(flow)

    assert web.people.events == [SignInStarted(intent=flow, user_id="u1" if flow == "link" else None)]


@pytest.mark.catalogue("D2")
@pytest.mark.parametrize("flow", ["link", "login"])
def test_every_start_has_a_state_and_a_challenge_of_its_own(browser: Browser, flow: Flow) -> None:
    starts = [query_of(browser.begin(flow)) for _ in range(5)]

    assert len({sent["state"] for sent in starts}) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{65}", sent["state"]) for sent in starts)
    assert len({sent.get("code_challenge") for sent in starts}) == (1 if flow == "link" else 5)


@pytest.mark.catalogue("E13")
@pytest.mark.parametrize("flow", ["link", "login"])
def test_a_post_starts_as_a_get_does_and_redirects_with_a_get(browser: Browser, flow: Flow) -> None:
    if flow == "link":
        browser.sign_in_locally("u1")

    answer = browser.post(start_path(flow))

    assert answer.status_code == 303
    assert "state" in query_of(answer.headers["location"])


@pytest.mark.parametrize("flow", ["link", "login"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_script_that_asks_for_json_is_told_the_address(browser: Browser, flow: Flow, method: str) -> None:
    if flow == "link":
        browser.sign_in_locally("u1")

    answer = browser.request(method, start_path(flow), site="same-origin", accept="application/json")

    assert answer.status_code == 200
    assert set(answer.json()) == {"url"}
    assert "state" in query_of(answer.json()["url"])


def test_nobody_signed_in_has_no_account_to_link(web: Web, browser: Browser) -> None:
    assert ending(browser.get(start_path("link"))) == (401, "signed_out")
    assert web.people.events == []


@pytest.mark.catalogue("D6", "P2")
def test_parameters_of_the_start_are_not_handed_on_to_configure(browser: Browser) -> None:
    wanted = "?scope=profile.remember&resource=https://evil.example&redirect_uri=https://evil.example&prompt=none"
    asked = query_of(browser.start("login", f"{wanted}&client_id=oc_evil&agent_logo=https://evil.example&state=mine"))

    assert "evil" not in str(asked)
    assert "prompt" not in asked
    assert asked["scope"] == "profile.read profile.search"
    assert asked["state"] != "mine"


@pytest.mark.catalogue("D6", "P2")
def test_parameters_of_a_link_are_not_handed_on_to_configure(browser: Browser) -> None:
    browser.sign_in_locally("u1")

    asked = query_of(browser.start("link", "?message_complete_url=https://evil.example&agent_name=Evil&journey=j"))

    assert set(asked) == {"pk", "return_to", "state"}


@pytest.mark.catalogue("D7")
def test_the_app_chooses_name_connectors_scopes_and_resource(make_web: MakeWeb) -> None:
    web = make_web(
        link={"display_name": "The App", "connectors": ("gmail", "calendar")},
        login={"scopes": ("profile.read",), "resource": "https://api.example.com"},
    )
    with web.browser() as browser:
        login = query_of(browser.start("login"))
        browser.sign_in_locally("u1")
        link = query_of(browser.start("link"))

    assert (link["agent_name"], link["connectors"]) == ("The App", "gmail,calendar")
    assert (login["scope"], login["resource"]) == ("profile.read", "https://api.example.com")


def test_the_callback_of_another_path_is_the_one_that_configure_is_told_of(make_web: MakeWeb) -> None:
    web = make_web(link={"path": "/connect"}, login={"path": "/sso"})
    with web.browser() as browser:
        login = query_of(browser.get("/sso/sign-in").headers["location"])
        browser.sign_in_locally("u1")
        link = query_of(browser.get("/connect/sign-in").headers["location"])

    assert login["redirect_uri"] == f"{web.url}/sso/callback"
    assert link["return_to"] == f"{web.url}/connect/callback"


@pytest.mark.parametrize("flow", ["link", "login"])
@pytest.mark.parametrize(
    "query", ["?next=/a&next=/b", "?replace=1&replace=1", "?replace=11", f"?next=/{'a' * 2048}", "?x=" + "a" * 20_000]
)
def test_a_repeated_or_oversized_parameter_is_refused(web: Web, browser: Browser, flow: Flow, query: str) -> None:
    browser.sign_in_locally("u1")

    assert ending(browser.get(start_path(flow) + query)) == (400, "invalid_request")
    assert web.people.events == []


def test_next_of_more_than_512_characters_is_ignored(browser: Browser) -> None:
    longest = "/" + "a" * 511
    for next, location in ((longest, longest), (f"{longest}a", "/")):
        with browser.copy() as tab:
            assert tab.login(query=f"?next={next}").headers["location"] == location


@pytest.mark.catalogue("A20")
def test_anonymous_starts_cost_1_kb_each_and_nobody_an_attempt(make_web: MakeWeb, tmp_path: Path) -> None:
    """Anybody can make them, without a cookie: the attempts of other browsers stay."""
    database = tmp_path / "configure.db"
    web = make_web(stores={"store": f"sqlite:///{database}"})
    with web.browser() as browser:
        start = browser.start("login")
        for _ in range(25):
            with web.browser() as anonymous:
                anonymous.start("login", "?next=/" + "a" * 511)

        with sqlite3.connect(database) as rows:
            names = [name for _, name, *_ in rows.execute("PRAGMA table_info(configure_states)")]
            size = "+".join(f"coalesce(length(cast({name} AS BLOB)), 0)" for name in names)
            found = [number for (number,) in rows.execute(f"SELECT {size} FROM configure_states")]
        rows.close()
        assert len(found) == 26
        assert max(found) <= 1024
        assert browser.come_back(browser.at_configure(start)).status_code == 303
