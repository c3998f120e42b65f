"""An attempt ends once; whoever asks again from the same browser hears how."""

from __future__ import annotations

from pathlib import Path

import pytest

from configure_auth.errors import LoginRefused
from configure_auth.values import STATE_LIFETIME

from ..support.reading import api_calls, ending, meanwhile, no_calls, together, without_cause
from ..support.stores import first
from ..support.web import Browser, Flow, MakeWeb, Web

pytestmark = pytest.mark.all_stores

FLOWS: tuple[Flow, Flow] = ("link", "login")
EXCHANGE = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}


@pytest.mark.catalogue("A4")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_reload_gets_the_same_redirect_without_a_second_exchange(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow, "?next=/settings?tab=2"))
    first = browser.come_back(callback)
    account = browser.account()
    with no_calls(web.sandbox):
        again = [browser.come_back(callback) for _ in range(3)]

    assert {(a.status_code, a.headers["location"]) for a in [first, *again]} == {(303, "/settings?tab=2")}
    assert browser.account() == account


@pytest.mark.catalogue("A4", "A18")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("seconds", [31, STATE_LIFETIME - 1])
def test_back_later_is_only_the_redirect(web: Web, browser: Browser, flow: Flow, seconds: float) -> None:
    callback = browser.at_configure(browser.begin(flow))
    first = browser.come_back(callback)
    browser.sign_out()
    web.sandbox.advance(seconds)
    with no_calls(web.sandbox):
        again = browser.get(callback)

    assert (again.status_code, again.headers["location"]) == (303, first.headers["location"])
    assert browser.who() is None
    assert len(web.people.logins) == (flow == "login")


def test_a_lost_response_signs_in_at_the_reload(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("login"))
    with browser.copy() as lost:
        lost.come_back(callback)
    web.sandbox.advance(25)
    with no_calls(web.sandbox):
        assert browser.come_back(callback).status_code == 303

    first, again = web.people.logins
    assert again[0].local_user_id == browser.who()
    assert again[0].user_id == first[0].user_id
    assert again[1].access_token == first[1].access_token


@pytest.mark.catalogue("A14")
def test_a_reload_signs_nobody_in_whom_the_app_forgot_meanwhile(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("login"))
    with browser.copy() as lost:
        lost.come_back(callback)
        lost.post(f"/forget/{lost.who()}")
    with no_calls(web.sandbox):
        browser.come_back(callback)

    assert browser.who() is None
    assert len(web.people.logins) == 1


@pytest.mark.catalogue("A18")
def test_another_browser_cannot_play_a_login_again(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("login"))
    browser.come_back(callback)
    with web.browser() as other, no_calls(web.sandbox):
        other.start("login")
        assert ending(other.come_back(callback)) == (400, "wrong_browser")
        assert other.who() is None


@pytest.mark.catalogue("A15")
@pytest.mark.parametrize("flow", FLOWS)
def test_of_many_callbacks_at_once_one_wins_and_all_get_its_redirect(make_web: MakeWeb, flow: Flow) -> None:
    web = make_web(constructor={"max_calls": 12})
    browser = web.browser()
    callback = browser.at_configure(browser.begin(flow, "?next=/won"))
    tabs = [browser.copy() for _ in range(12)]

    answers = together([lambda tab=tab: tab.come_back(callback) for tab in tabs])  # type: ignore[misc]  # bound now

    assert {(answer.status_code, answer.headers.get("location")) for answer in answers} == {(303, "/won")}
    assert api_calls(web.sandbox).count(f"POST {EXCHANGE[flow]}") == 1
    if flow == "login":
        assert len({tab.who() for tab in tabs}) == 1
    for tab in (browser, *tabs):
        tab.close()


@pytest.mark.parametrize("flow", first(FLOWS))
def test_who_waits_too_long_for_the_winner_gets_a_page_that_looks_again(web: Web, browser: Browser, flow: Flow) -> None:
    callback = browser.at_configure(browser.begin(flow))
    with (
        browser.copy() as winner,
        web.sandbox.hold(EXCHANGE[flow]) as held,
        meanwhile(lambda: winner.come_back(callback)) as won,
    ):
        held.arrived.wait()
        waiting = browser.come_back(callback)
        assert waiting.status_code == 202
        assert '<meta http-equiv="refresh" content="1">' in waiting.text
        held.release()
        location = won().headers["location"]

    assert browser.come_back(callback).headers["location"] == location
    assert api_calls(web.sandbox).count(f"POST {EXCHANGE[flow]}") == 1


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("seconds", [31, -3600], ids=["later", "clock set back"])
def test_a_claim_without_an_end_is_interrupted_after_thirty_seconds(
    web: Web, browser: Browser, flow: Flow, seconds: int
) -> None:
    callback = browser.at_configure(browser.begin(flow, "?next=/back"))
    with (
        browser.copy() as stuck,
        web.sandbox.hold(EXCHANGE[flow]) as held,
        meanwhile(lambda: stuck.come_back(callback)),
    ):
        held.arrived.wait()
        web.sandbox.advance(seconds)
        interrupted = browser.come_back(callback)
        held.release()

    assert ending(interrupted) == (409, "interrupted")
    assert api_calls(web.sandbox).count(f"POST {EXCHANGE[flow]}") == 1


@pytest.mark.catalogue("A4", "C6")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    ("error", "ended"), [("access_denied", None), ("server_error", "upstream_unavailable"), ("x", "upstream_rejected")]
)
def test_a_failure_is_remembered_too(web: Web, browser: Browser, flow: Flow, error: str, ended: str | None) -> None:
    start = browser.begin(flow)
    with no_calls(web.sandbox):
        first = browser.come_back(browser.end(start, error=error))
        again = browser.come_back(browser.end(start, code="cfgsic_late"))

    assert (again.status_code, without_cause(again)) == (first.status_code, without_cause(first))
    assert again.headers.get("location") == first.headers.get("location")
    assert ended is None or ending(again)[1] == ended
    assert len(web.people.events) == 2


def test_a_refusal_keeps_the_apps_words(make_web: MakeWeb) -> None:
    def refuse(identity: object, grant: object) -> str:
        raise LoginRefused("Only for members & guests.")

    web = make_web(on_login=refuse)
    with web.browser() as browser:
        callback = browser.at_configure(browser.start("login"))
        first = browser.come_back(callback)
        with no_calls(web.sandbox):
            again = browser.come_back(callback)

        assert ending(again) == (403, "login_refused")
        assert "Only for members &amp; guests." in again.text == first.text
        assert browser.who() is None


@pytest.mark.catalogue("R2")
@pytest.mark.parametrize("flow", FLOWS)
def test_an_exchange_that_failed_is_never_sent_again(web: Web, browser: Browser, flow: Flow) -> None:
    web.sandbox.fault(EXCHANGE[flow], drop=True, handled=True)
    callback = browser.at_configure(browser.begin(flow))

    answers = [browser.come_back(callback) for _ in range(3)]

    assert [ending(answer) for answer in answers] == [(503, "upstream_unavailable")] * 3
    assert api_calls(web.sandbox) == [f"POST {EXCHANGE[flow]}"]


def test_after_the_states_end_a_reload_says_nothing(web: Web, browser: Browser) -> None:
    callback = browser.at_configure(browser.begin("login"))
    browser.come_back(callback)
    browser.sign_out()
    web.sandbox.advance(STATE_LIFETIME + 121)
    browser.start("login")
    with no_calls(web.sandbox):
        assert ending(browser.come_back(callback)) == (400, "expired")


def test_reload_after_sign_out_signs_nobody_in(web: Web, browser: Browser) -> None:
    """The app's sign-out calls `forget_browser`: within 30 s the callback is a redirect alone."""
    callback = browser.at_configure(browser.start("login"))
    browser.come_back(callback)
    with web.browser() as other:
        others = other.at_configure(other.start("login"), "+15550100002")
        other.come_back(others)
        user = other.who()
        browser.sign_out()
        with no_calls(web.sandbox):
            again = browser.come_back(callback)
            other.http.cookies.delete("session")
            other.come_back(others)

        assert (again.status_code, again.headers["location"]) == (303, "/")
        assert browser.who() is None
        # Another browser's sign-in is its own, and may still be repeated.
        assert (other.who(), len(web.people.logins)) == (user, 3)


def test_sign_out_works_without_store(make_web: MakeWeb, tmp_path: Path) -> None:
    """A browser's sign-out doesn't fail for what is over in 30 s anyway."""
    web = make_web(stores={"store": f"sqlite:///{tmp_path}/nowhere/configure.db"})
    with web.browser() as browser:
        browser.sign_in_locally("u1")
        browser.http.cookies.set("configure_dev", "a" * 43, domain="localhost.local")
        browser.sign_out()
        assert browser.who() is None
