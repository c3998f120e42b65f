"""A callback counts for the browser, the user and the flow that started it; elsewhere it changes nothing."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from configure_auth.errors import Code
from configure_auth.events import LinkFailed
from configure_auth.flows.response import LOOPBACK_COOKIE_NAME
from configure_auth.stores.memory import memory_stores
from configure_auth.values import STATE_LIFETIME

from ..support.reading import ending, links_of, no_calls, refused, without_reference
from ..support.web import Browser, Flow, MakeWeb, Web, callback_path, query_of

FLOWS: tuple[Flow, Flow] = ("link", "login")


@pytest.mark.catalogue("A23", "A26")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_callback_without_the_cookie_is_refused_and_burns_nothing(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))
    with browser.copy(without=(LOOPBACK_COOKIE_NAME,)) as scanner, refused(web):
        assert ending(scanner.come_back(callback)) == (400, "cookie_missing")

    assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("A7")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_state_of_another_browser_is_unknown_and_stays_open_there(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))
    with web.browser() as other, refused(web):
        other.begin(flow)
        assert ending(other.come_back(callback)) == (400, "wrong_browser")

    assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("A2", "R6")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_made_up_state_is_answered_like_another_browsers(web: Web, browser: Browser, flow: Flow) -> None:
    start = browser.begin(flow)
    with web.browser() as other:
        other.begin(flow)
        foreign = browser.come_back(other.end(other.start(flow), code="cfgsic_x"))
    with refused(web):
        made_up = browser.come_back(
            f"{callback_path(flow)}?code=cfgsic_x&state={secrets.token_urlsafe(32)}{secrets.token_hex(11)}"
        )

    assert ending(made_up) == (400, "wrong_browser")
    assert without_reference(made_up) == without_reference(foreign)
    assert browser.come_back(browser.at_configure(start)).status_code == 303


@pytest.mark.catalogue("R6")
@pytest.mark.parametrize("flow", FLOWS)
def test_another_browser_learns_nothing_of_an_attempt_that_ended(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))
    browser.come_back(callback)
    with web.browser() as other, refused(web):
        other.sign_in_locally("u2")
        other.start("link")
        assert ending(other.come_back(callback)) == (400, "wrong_browser")
        assert other.account() is None


@pytest.mark.catalogue("A7", "A10")
def test_an_attackers_callback_connects_nothing_in_the_victims_browser(web: Web, browser: Browser) -> None:
    with web.browser() as attacker:
        attacker.sign_in_locally("attacker")
        callback = attacker.at_configure(attacker.start("link"), "+15550100666")
    browser.sign_in_locally("victim")
    browser.start("link")
    with refused(web):
        assert ending(browser.come_back(callback)) == (400, "wrong_browser")

    assert browser.account() is None


@pytest.mark.catalogue("A10")
def test_an_attackers_login_signs_nobody_in_at_the_victims_browser(web: Web, browser: Browser) -> None:
    with web.browser() as attacker:
        callback = attacker.at_configure(attacker.start("login"), "+15550100666")
    browser.start("login")
    with refused(web):
        browser.come_back(callback)

    assert browser.who() is None
    assert web.people.logins == []


@pytest.mark.catalogue("B1")
@pytest.mark.parametrize(("made_for", "used_at"), [("link", "login"), ("login", "link")])
def test_a_state_of_one_flow_is_unknown_in_the_other(web: Web, browser: Browser, made_for: Flow, used_at: Flow) -> None:
    callback = browser.at_configure(browser.begin(made_for))
    if made_for == "login":
        browser.sign_in_locally("u1")
    with refused(web):
        crossed = browser.come_back(callback.replace(callback_path(made_for), callback_path(used_at)))
        assert ending(crossed) == (400, "wrong_browser")
        assert browser.account() is None

    assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("A12")
def test_another_user_in_the_same_browser_ends_the_attempt(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("link"))
    browser.sign_in_locally("u2")
    with refused(web):
        assert ending(browser.come_back(callback)) == (403, "wrong_user")
        assert browser.account() is None
        browser.sign_in_locally("u1")
        assert ending(browser.come_back(callback)) == (403, "wrong_user")

    assert browser.account() is None
    assert web.people.events[1:] == [LinkFailed(intent="link", code=Code.WRONG_USER, user_id="u1")]


@pytest.mark.catalogue("A11")
def test_signing_out_on_the_way_ends_the_attempt(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("link"))
    browser.sign_out()
    with refused(web):
        assert ending(browser.get(callback)) == (401, "signed_out")
        browser.sign_in_locally("u1")
        assert ending(browser.come_back(callback)) == (401, "signed_out")

    assert browser.account() is None


def test_a_link_that_comes_back_without_a_user_looks_for_them_once(web: Web, browser: Browser) -> None:
    """Whatever keeps the user, its cookie may be SameSite=Strict."""
    callback = browser.at_configure(browser.begin("link"))
    with browser.copy(without=("session",)) as crossing, no_calls(web.sandbox):
        answer = crossing.come_back(callback)
        assert answer.status_code == 200
        assert '<meta http-equiv="refresh" content="0">' in answer.text

    assert browser.get(callback).status_code == 303
    assert browser.account() is not None


@pytest.mark.parametrize("flow", FLOWS)
def test_after_fifteen_minutes_an_attempt_has_expired(web: Web, browser: Browser, flow: Flow) -> None:
    start = browser.begin(flow)
    web.sandbox.advance(STATE_LIFETIME)
    with refused(web):
        assert ending(browser.come_back(browser.end(start, code="cfgsic_x"))) == (400, "expired")


@pytest.mark.parametrize("flow", FLOWS)
def test_shortly_before_fifteen_minutes_an_attempt_still_counts(web: Web, browser: Browser, flow: Flow) -> None:
    start = browser.begin(flow)
    web.sandbox.advance(840)

    assert browser.come_back(browser.at_configure(start)).status_code == 303


@pytest.mark.catalogue("A19", "B8")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_tabs_finish_in_either_order(web: Web, browser: Browser, flow: Flow, order: tuple[int, int]) -> None:
    tabs = [browser.begin(flow), browser.start(flow)]
    callbacks = [browser.at_configure(tab) for tab in tabs]

    first, second = (browser.come_back(callbacks[tab]) for tab in order)
    assert first.status_code == 303
    # A login can't know before an exchange whether the second tab's is the same person, so it says that one is signed
    # in, and leads on.
    assert (second.status_code, ending(second)[1]) == {
        "link": (303, None),
        "login": (409, "already_signed_in"),
    }[flow]
    assert flow == "link" or links_of(second) == ["/"]
    assert (browser.account() or {})["user_id"] == browser.who()


@pytest.mark.catalogue("C5")
def test_a_stolen_code_fails_on_pkce(web: Web, browser: Browser) -> None:
    with web.browser() as stranger:
        stolen = query_of(stranger.at_configure(stranger.start("login"), "+15550100666"))["code"]

    assert ending(browser.come_back(browser.end(browser.start("login"), code=stolen))) == (400, "expired")
    assert browser.who() is None
    assert web.people.logins == []


@pytest.mark.catalogue("B5", "B8")
def test_two_agents_that_share_a_store_never_see_each_others_records(make_web: MakeWeb, store: str) -> None:
    shared: dict[str, Any] = {"constructor": {"store": memory_stores()}} if store == "memory" else {}
    first = make_web(**shared)
    other = first.sandbox.add_agent("other-agent")
    second = make_web(
        folder=first.folder,
        settings={
            "CONFIGURE_AGENT": other.agent,
            "CONFIGURE_API_KEY": other.api_key,
            "CONFIGURE_PUBLISHABLE_KEY": other.publishable_key,
            "CONFIGURE_OAUTH_CLIENT_ID": other.client_id,
            "CONFIGURE_OAUTH_CLIENT_SECRET": other.client_secret,
        },
        **shared,
    )
    second.sandbox.register_return_to(f"{second.url}/configure/callback", agent=other.agent)
    with first.browser() as browser:
        browser.sign_in_locally("u1")
        callback = browser.at_configure(browser.start("link"))
        with browser.copy(second) as beside:
            with refused(second):
                crossed = beside.come_back(callback.replace(first.url, second.url))
            assert ending(crossed) == (400, "wrong_browser")

            assert browser.come_back(callback).status_code == 303
            assert beside.account() is None
            beside.sign_in_locally("u2")
            assert beside.link().status_code == 303
            assert beside.post("/unlink").json() == {"unlinked": 1}
        browser.sign_in_locally("u1")
        assert browser.account() is not None
