"""When it doesn't work out: cancelled, refused, expired, Configure away. Every end is a calm page with a way on."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from configure_auth.flows.response import LOOPBACK_COOKIE_NAME
from configure_auth.sandbox import Sandbox
from configure_auth.values import STATE_LIFETIME

from .apps import Served
from .conftest import Meet
from .person import ADA, GRACE, Flow, Person, callback_path, start_path

pytestmark = pytest.mark.extended

EXCHANGE: dict[Flow, str] = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}

both_flows = pytest.mark.parametrize("flow", ["link", "login"])


def arrive(person: Person, flow: Flow, phone: str = ADA) -> None:
    """Go to Configure, as somebody with an account where it takes one, and prove the phone there."""
    if flow == "link":
        person.sign_up("ada")
    person.press(flow)
    person.prove_phone(phone)


def try_again(person: Person, flow: Flow) -> None:
    """The way on of an error page, to the end."""
    person.page.get_by_role("link", name="Try again").click()
    person.allow()
    if flow == "link":
        person.expect_connected()
    else:
        person.expect_at(person.example.home)
        person.expect_signed_in()


@both_flows
def test_cancelled_at_the_consent(person: Person, served: Served, flow: Flow) -> None:
    arrive(person, flow)
    users = served.user_ids()

    person.cancel()

    expect(person.page.get_by_role("status")).to_contain_text(served.example.cancelled)
    person.expect_at(served.example.settings if flow == "link" else f"{served.example.home}?configure=cancelled")
    person.look(f"cancelled-{flow}")
    expect(person.button()).to_be_visible()
    assert (served.user_ids(), served.exchanges(EXCHANGE[flow])) == (users, 0)
    person.back_to_the_app()
    expect(person.button()).to_be_visible()
    expect(person.page.get_by_text(served.example.cancelled)).to_have_count(0)


@both_flows
@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}], ids=["503", "dropped"])
def test_configure_is_away(person: Person, served: Served, flow: Flow, fault: dict[str, Any]) -> None:
    arrive(person, flow)
    served.sandbox.fault(EXCHANGE[flow], **fault)

    person.allow()

    person.expect_error("upstream_unavailable", 503)
    other = person.new_tab()
    person.visit(served.example.home, other)
    if flow == "link":
        person.expect_signed_in(other)
    else:
        person.expect_signed_out(other)

    served.sandbox.clear_faults()
    try_again(person, flow)


def test_the_settings_page_lives_without_configure(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect()
    served.sandbox.fault("/v1/profile", status=503)

    person.page.reload()

    person.expect_connected()
    expect(person.page.get_by_text(served.example.away)).to_be_visible()
    person.look("settings-while-configure-is-away")
    served.sandbox.clear_faults()
    person.page.reload()
    expect(person.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")


def test_access_that_was_taken_back_at_configure(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect()
    served.sandbox.revoke_approval(served.sandbox.people[0])

    person.page.reload()

    reconnect = person.page.get_by_role("link", name="Reconnect Configure")
    expect(reconnect).to_be_visible()
    person.look("settings-needs-reconnect")
    reconnect.click()
    person.allow()
    person.expect_connected()
    expect(person.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")


@both_flows
def test_a_code_that_came_too_late(person: Person, served: Served, flow: Flow) -> None:
    arrive(person, flow)
    with late(served.sandbox, EXCHANGE[flow], seconds=301):
        person.allow()
        person.expect_error("expired", 400)
    try_again(person, flow)


@both_flows
def test_an_attempt_older_than_a_quarter_of_an_hour(person: Person, served: Served, flow: Flow) -> None:
    """The hosted pages say so themselves; a callback that comes all the same is refused by ours."""
    arrive(person, flow)
    served.sandbox.advance(STATE_LIFETIME + 1)
    person.allow()
    expect(person.page.get_by_role("heading", level=1)).to_have_text("This page is out of date")

    person.page.goto(garbled_end(person, flow))

    person.expect_error("expired", 400)
    assert served.exchanges(EXCHANGE[flow]) == 0
    try_again(person, flow)


@both_flows
def test_a_cookie_that_was_dropped_on_the_way(person: Person, served: Served, flow: Flow) -> None:
    arrive(person, flow)
    person.context.clear_cookies(name=LOOPBACK_COOKIE_NAME)

    person.allow()

    person.expect_error("cookie_missing", 400)
    assert served.exchanges(EXCHANGE[flow]) == 0
    try_again(person, flow)


@both_flows
def test_a_callback_in_another_browser(meet: Meet, served: Served, flow: Flow) -> None:
    person, victim = meet(), meet()
    arrive(person, flow)
    victim.sign_up("victim")
    victim.connect(GRACE)
    if flow == "login":
        victim.sign_out()
    callback = served.sandbox.sign_in(start_of(person, flow))

    victim.page.goto(callback)

    victim.expect_error("wrong_browser", 400)
    person.page.goto(callback)  # whose it is can still use it
    if flow == "link":
        person.expect_connected()
    else:
        person.expect_signed_in()


def test_another_account_was_signed_in_meanwhile(person: Person, served: Served) -> None:
    arrive(person, "link")
    tab = person.page
    person.page = person.new_tab()
    person.visit(served.example.home)
    person.sign_out()
    person.sign_up("bob")

    person.allow(tab)

    person.expect_error("wrong_user", 403, tab)
    expect(tab.get_by_role("link", name="Try again")).to_have_count(0)  # it would connect the wrong account
    person.expect_not_connected()


def test_two_tabs_connect_two_profiles(person: Person, served: Served) -> None:
    arrive(person, "link", ADA)
    second = person.new_tab()
    person.press("link", second)
    second.get_by_role("button", name="Use another phone").click()
    person.prove_phone(GRACE, second)

    person.allow()
    person.expect_connected()
    person.allow(second)

    person.expect_error("already_connected", 409, second)
    second.get_by_role("link", name="Go back").click()
    person.expect_connected(second)
    expect(second.locator(served.example.profile)).to_contain_text("Ada Lovelace")


def test_disconnected_while_another_tab_connects(person: Person, served: Served) -> None:
    arrive(person, "link")
    second = person.new_tab()
    person.press("link", second)
    person.allow(second)
    person.expect_connected(second)
    person.disconnect(second)

    person.allow()

    person.expect_error("interrupted", 409)
    person.expect_not_connected()


def test_the_only_way_in_stays(person: Person, served: Served) -> None:
    person.continue_with_configure(GRACE)
    person.visit(served.example.settings)

    post(person, "/configure/disconnect")

    person.expect_error("last_sign_in", 409)
    person.page.get_by_role("link", name="Go back").click()
    person.expect_connected()


def test_a_disconnect_that_another_site_posts(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect()
    person.page.goto(f"{served.sandbox.sign_in_url}/{served.sandbox.agent}")

    post(person, f"{served.url}/configure/disconnect")

    person.expect_error("cross_site", 403)
    expect(person.page.get_by_role("link", name="Try again")).to_have_count(0)  # it would connect
    person.visit(served.example.settings)
    person.expect_connected()


@both_flows
def test_a_typed_start_asks_first(person: Person, served: Served, flow: Flow) -> None:
    if flow == "link":
        person.sign_up("ada")

    person.visit(start_path(flow))

    expect(person.button()).to_be_visible()
    assert person.documents()[-1].status == 200
    assert served.sandbox.calls_to("GET", "/oauth/authorize") == []
    person.button().click()
    person.prove_phone()
    person.allow()
    person.expect_signed_in()


def test_a_garbled_callback(person: Person, served: Served) -> None:
    person.visit(f"{callback_path('login')}?state=cut-o")

    person.expect_error("invalid_request", 400)
    person.page.get_by_role("link", name="Go back").click()
    person.expect_at(served.example.home)


@pytest.mark.parametrize(
    ("variant", "value", "code", "status"),
    [
        ("exchange_approved", False, "not_approved", 403),
        ("exchange_token_use", "user", "not_an_agent_token", 400),
        ("exchange_agent", "another-agent", "upstream_rejected", 502),
    ],
)
def test_an_answer_that_cannot_be_taken(
    person: Person, served: Served, variant: str, value: Any, code: str, status: int
) -> None:
    arrive(person, "link")
    own = getattr(served.sandbox.variants, variant)
    setattr(served.sandbox.variants, variant, value)

    person.allow()

    person.expect_error(code, status)
    setattr(served.sandbox.variants, variant, own)
    try_again(person, "link")


def test_a_store_that_is_locked(person: Person, served: Served) -> None:
    arrive(person, "link")
    with locked(served, "configure.db"):
        person.allow()
        person.expect_error("store_busy", 503)
    person.page.reload()  # the code wasn't spent: nothing was done before the store answered
    person.expect_connected()


def test_an_app_that_fails_while_it_signs_in(person: Person, served: Served) -> None:
    arrive(person, "login")
    served.query(served.example.break_users)

    person.allow()

    person.expect_error("misconfigured", 500)
    served.query(served.example.mend_users)
    person.page.get_by_role("link", name="Go back").click()
    person.expect_signed_out()


def start_of(person: Person, flow: Flow) -> str:
    """Where at Configure the last start led."""
    served = person.served
    hosted = {"link": f"{served.sandbox.sign_in_url}/", "login": f"{served.sandbox.accounts_url}/oauth/authorize"}[flow]
    return next(a.url for a in reversed(person.documents()) if a.url.startswith(hosted) and "state=" in a.url)


def garbled_end(person: Person, flow: Flow) -> str:
    """The callback of the last start, with a code that nobody gave."""
    state = start_of(person, flow).partition("state=")[2].partition("&")[0]
    return f"{person.served.url}{callback_path(flow)}?code=nobody-gave-it&state={state}"


def post(person: Person, action: str) -> None:
    """Post a form from the page that is open."""
    with person.page.expect_navigation():
        person.page.evaluate(
            """(action) => {
                const form = document.createElement("form");
                form.method = "post"; form.action = action;
                document.body.append(form); form.submit();
            }""",
            action,
        )


@contextlib.contextmanager
def late(sandbox: Sandbox, path: str, *, seconds: float) -> Iterator[None]:
    """Let the time go on between the consent and the exchange of its code."""
    with sandbox.hold(path) as held:

        def wait() -> None:
            held.arrived.wait()
            sandbox.advance(seconds)
            held.release()

        thread = threading.Thread(target=wait)
        thread.start()
        yield
        thread.join()


@contextlib.contextmanager
def locked(served: Served, database: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(served.folder / database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
