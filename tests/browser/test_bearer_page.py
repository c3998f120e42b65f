"""The journeys on an API with bearer tokens: its page's script starts and ends a link, and no session is there to help.

The callback of its link can't know the user. It leaves the exchange to the page, which asks for it with its bearer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from configure_auth.errors import Code
from configure_auth.flows.response import LOOPBACK_COOKIE_NAME
from configure_auth.ui import wording

from .apps import BEARER_PAGE, ExampleApp, Served, Variation
from .conftest import Meet
from .person import ADA, GRACE, Flow, Person
from .test_trouble import late, start_of

EXCHANGE: dict[Flow, str] = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}
FINISH, BEARER = "configure_finish", "eyJ"  # how every JWT begins
REPLAY_SECONDS = 31  # so long a login may be repeated, for a browser that dropped the answer

both_flows = pytest.mark.parametrize("flow", ["link", "login"])


@pytest.fixture
def example() -> ExampleApp:
    return BEARER_PAGE


@pytest.fixture
def variation() -> Variation:
    return Variation(strict=True)


@pytest.fixture
def meet(meet: Meet) -> Iterator[Meet]:
    """As everywhere; and no page keeps or shows a secret."""
    people: list[Person] = []

    def make() -> Person:
        people.append(meet())
        return people[-1]

    yield make
    for person in people:
        check_secrets(person)


def check_secrets(person: Person) -> None:
    """No bearer in any address, no code or token in one that a history keeps, nothing where any script finds it.

    Only the page of a failed callback keeps that address, so that a reload says the same again.
    """
    assert not [seen.url for seen in person.requests if BEARER in seen.url]
    tokens = [token.token for token in person.served.sandbox.tokens]
    failed = {answer.url for answer in (*person.callbacks("link"), *person.callbacks("login")) if answer.status >= 400}
    for tab in person.context.pages:
        for address in set(history(tab)) - failed:
            assert not parse_qs(urlsplit(address).query).keys() & {"code", "access_token", "token"}, address
            assert not any(secret in address for secret in (BEARER, *tokens)), address
        kept = tab.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])")
        assert not any(secret in kept for secret in (BEARER, *tokens))


def history(tab: Page) -> list[str]:
    session = tab.context.new_cdp_session(tab)
    entries = session.send("Page.getNavigationHistory")["entries"]
    session.detach()
    return [entry["url"] for entry in entries]


def arrive(person: Person, flow: Flow, phone: str = ADA) -> None:
    """Go to Configure, as somebody with an account where it takes one, and prove the phone there."""
    if flow == "link":
        person.sign_up("ada")
    person.press(flow)
    person.prove_phone(phone)


def expect_end(person: Person, flow: Flow, tab: Page | None = None) -> None:
    if flow == "link":
        person.expect_connected(tab)
    else:
        person.expect_at(person.example.home, tab)
        person.expect_signed_in(tab)


def expect_told(person: Person, code: Code, status: int, tab: Page | None = None) -> None:
    """The page says calmly why its finish was refused, and the handle is gone from its address."""
    tab = tab or person.page
    person.refusals.append(f"POST /api/configure/finish {status}")
    expect(tab.get_by_role("alert")).to_have_text(wording.texts[code].sentence)
    person.expect_at(person.example.settings, tab)
    person.look(code.value, tab)


def finish_page(person: Person) -> str:
    """Where the last callback of a link led."""
    return person.callbacks("link")[-1].headers["location"]


# ── the main ways ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_connect_see_the_profile_and_disconnect(person: Person, served: Served) -> None:
    person.visit(served.example.home)
    person.look("home")
    person.visit(served.example.sign_up)
    person.look("sign-up")
    person.sign_up("ada")
    person.look("home-signed-in")
    person.connect()

    assert re.fullmatch(rf"{served.example.settings}\?{FINISH}=[\w-]+", finish_page(person))
    assert not [address for address in history(person.page) if FINISH in address], "the handle is replaced"
    for _ in range(3):
        profile = person.page.locator(served.example.profile)
        expect(profile).to_contain_text("Ada Lovelace")
        expect(profile).to_contain_text("ends in 0001")
        expect(profile).to_contain_text("Window seats on trains")
        person.page.reload()
    expect(person.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")
    person.look("settings-connected")
    asked = len(served.sandbox.calls_to("GET", "/v1/profile"))
    for _ in range(2):
        person.visit(served.example.home)
        expect(person.page.locator("#known")).to_contain_text("Window seats on trains")
    assert len(served.sandbox.calls_to("GET", "/v1/profile")) == asked + 1, "asked once, not in each view"
    person.visit(served.example.settings)
    person.disconnect()
    person.expect_at(served.example.settings)
    person.expect_not_connected()
    assert served.exchanges(EXCHANGE["link"]) == 1


@pytest.mark.extended
def test_somebody_without_a_password_signs_in_twice(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.sign_out()
    others = served.user_ids()

    person.continue_with_configure(GRACE)
    users = served.user_ids()
    assert len(users) == len(others) + 1
    person.visit(served.example.settings)
    expect(person.page.get_by_text("It is how you sign in")).to_be_visible()
    expect(person.page.get_by_role("button", name=served.example.disconnect_button)).to_have_count(0)
    person.look("settings-without-a-password")

    person.sign_out()
    person.press("login")
    person.allow()
    expect_end(person, "login")
    assert served.user_ids() == users


@pytest.mark.extended
def test_somebody_without_a_password_signs_in_twice_on_the_way_to_a_page(person: Person, served: Served) -> None:
    person.visit(served.example.settings)
    person.expect_at(served.example.sign_in)
    person.button().click()
    person.prove_phone()
    person.allow()
    person.expect_connected()

    person.sign_out()
    person.button().click()
    person.allow()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Hello, Ada Lovelace.")
    assert len(served.user_ids()) == 1


@pytest.mark.extended
def test_link_first_and_the_button_later_is_one_account(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect()
    person.sign_out()

    person.continue_with_configure()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Hello, ada.")
    assert len(served.user_ids()) == 1
    person.visit(served.example.settings)
    person.expect_connected()


@pytest.mark.extended
def test_two_accounts_claim_one_profile(meet: Meet, served: Served) -> None:
    ada, eve = meet(), meet()
    ada.sign_up("ada")
    ada.connect()
    eve.sign_up("eve")

    eve.press("link")
    eve.prove_phone()
    eve.allow()

    expect_told(eve, Code.ACCOUNT_TAKEN, 409)
    eve.expect_not_connected()
    ada.page.reload()
    ada.expect_connected()
    expect(ada.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")


@pytest.mark.extended
def test_a_deleted_account_leaves_no_connection_to_the_next(meet: Meet, served: Served) -> None:
    person = meet()
    person.sign_up("ada")
    person.connect()
    ids = served.user_ids()
    person.page.get_by_role("checkbox").check()
    person.page.get_by_role("button", name=served.example.delete_button).click()  # of a page that has all it asked for
    person.expect_signed_out()
    served.query(served.example.forget_ids)

    other = meet()
    other.sign_up("bob")

    assert served.user_ids() == ids
    other.expect_not_connected()
    person.continue_with_configure()  # nor does the button lead who was deleted into the account of the other
    assert len(served.user_ids()) == 2
    other.expect_not_connected()


@pytest.mark.extended
def test_by_the_keyboard_alone(person: Person, served: Served) -> None:
    keyboard = person.page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(30):
            keyboard.press("Tab")
            focused = person.page.locator(":focus")
            if focused.count() and name in (focused.get_attribute("aria-label"), focused.text_content()):
                return
        raise AssertionError(f"Tab doesn't lead to {name!r}")

    person.visit(served.example.sign_up)
    expect(person.page.get_by_label(served.example.username)).to_be_focused()
    keyboard.type("ada")
    keyboard.press("Tab")
    keyboard.type("a long password")
    keyboard.press("Enter")
    person.expect_signed_in()
    tab_to("Settings")
    keyboard.press("Enter")
    expect(person.button()).to_be_visible()
    tab_to("Continue with Configure")
    person.look("settings-focus")
    keyboard.press("Enter")
    expect(person.page.get_by_label("Phone number")).to_be_focused()
    keyboard.type(ADA)
    keyboard.press("Enter")
    expect(person.page.get_by_label("Six-digit code")).to_be_focused()
    keyboard.type("000000")
    keyboard.press("Enter")
    expect(person.allow_button()).to_be_visible()
    tab_to("Allow")
    keyboard.press("Enter")

    person.expect_connected()
    tab_to(served.example.disconnect_button)
    keyboard.press("Enter")
    expect(person.button()).to_be_visible()


@pytest.mark.extended
def test_the_page_has_a_strict_policy(person: Person, served: Served) -> None:
    """Every journey here runs under it; a violation would be a complaint on the console."""
    person.visit(served.example.sign_in)

    policy = person.documents()[-1].headers["content-security-policy"]
    assert {"default-src 'self'", "form-action 'self'"} <= set(policy.split("; "))


# ── tabs and history ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.extended
@both_flows
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "in reverse"])
def test_two_tabs(person: Person, served: Served, flow: Flow, order: tuple[int, int]) -> None:
    if flow == "link":
        person.sign_up("ada")
    tabs = person.page, person.new_tab()
    for tab in tabs:
        person.press(flow, tab)
    for tab in tabs:
        person.prove_phone(ADA, tab)

    for which in order:
        person.allow(tabs[which])
        expect_end(person, flow, tabs[which])

    assert len(served.user_ids()) == 1
    for tab in tabs:
        person.visit(served.example.settings, tab)
        expect(tab.locator(served.example.profile)).to_contain_text("Ada Lovelace")


@pytest.mark.extended
@both_flows
def test_the_callback_opened_and_reloaded_once_more_changes_nothing(person: Person, served: Served, flow: Flow) -> None:
    arrive(person, flow)
    person.allow()
    expect_end(person, flow)
    callback = person.callbacks(flow)[-1].url

    for _ in range(2):
        person.page.goto(callback)
        expect_end(person, flow)
        person.page.reload()
        expect_end(person, flow)

    assert served.exchanges(EXCHANGE[flow]) == 1
    assert len(served.user_ids()) == 1


@pytest.mark.extended
def test_the_finish_opened_and_reloaded_once_more_changes_nothing(person: Person, served: Served) -> None:
    arrive(person, "link")
    person.allow()
    person.expect_connected()

    for _ in range(2):
        person.visit(finish_page(person))
        person.expect_connected()
        person.page.reload()
        person.expect_connected()

    assert served.exchanges(EXCHANGE["link"]) == 1


@pytest.mark.extended
def test_the_finish_reloaded_while_configure_is_still_asked(person: Person, served: Served) -> None:
    arrive(person, "link")
    with served.sandbox.hold(EXCHANGE["link"]) as held:
        person.allow()
        held.arrived.wait()
        with person.page.expect_response(lambda seen: urlsplit(seen.url).path == "/api/configure/finish") as waiting:
            person.page.reload()
        assert waiting.value.status == 202
        held.release()

    person.expect_connected()
    assert served.exchanges(EXCHANGE["link"]) == 1


@pytest.mark.extended
@both_flows
def test_back_and_forward_after_the_end(person: Person, served: Served, flow: Flow) -> None:
    arrive(person, flow)
    person.allow()
    expect_end(person, flow)

    person.back_to_the_app()
    person.expect_signed_in()
    person.visit(served.example.settings)
    person.expect_connected()
    person.page.go_back()
    person.expect_signed_in()
    person.page.go_forward()
    person.expect_connected()

    assert served.exchanges(EXCHANGE[flow]) == 1
    assert [answer.status for answer in person.callbacks(flow)] == [303]


@pytest.mark.extended
def test_back_after_signing_out_signs_nobody_in(person: Person, served: Served) -> None:
    person.continue_with_configure()
    callback = person.callbacks("login")[-1].url
    person.visit(served.example.settings)
    person.expect_connected()
    person.sign_out()

    person.page.go_back()
    person.expect_signed_out()
    person.back_to_the_app()
    person.expect_signed_out()

    served.sandbox.advance(REPLAY_SECONDS)
    person.page.goto(callback)
    person.expect_at(served.example.home)
    person.expect_signed_out()
    assert served.exchanges(EXCHANGE["login"]) == 1


@pytest.mark.extended
@both_flows
def test_a_double_click_on_the_button_and_on_allow(person: Person, served: Served, flow: Flow) -> None:
    if flow == "link":
        person.sign_up("ada")
    person.visit(served.example.settings if flow == "link" else served.example.sign_in)
    person.button().dblclick()
    person.prove_phone()
    person.allow_button().dblclick()

    expect_end(person, flow)
    assert served.exchanges(EXCHANGE[flow]) == 1
    assert len(served.user_ids()) == 1


# ── the app by its other name ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.extended
def test_a_login_from_the_other_name_asks_once(person: Person, served: Served) -> None:
    person.page.goto(served.other_url + served.example.sign_in)

    person.button().click()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Sign in with Configure?")
    assert person.page.url.startswith(f"{served.url}/api/auth/configure/sign-in?")
    person.button().click()
    person.prove_phone()
    person.allow()
    expect_end(person, "login")
    starts = [answer for answer in person.documents() if "/api/auth/configure/sign-in" in answer.url]
    assert [answer.status for answer in starts] == [303, 200, 303]


@pytest.mark.extended
def test_a_link_from_the_other_name_is_told_why(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.sign_out()
    person.page.goto(served.other_url + served.example.sign_in)
    person.fill_in("ada", "a long password", served.example.sign_in_button)
    person.page.goto(served.other_url + served.example.settings)

    person.button().click()
    person.page.get_by_role("link", name="Continue with Configure").click()  # of the page that asks first

    person.expect_error("signed_out", 401)
    assert served.sandbox.calls_to("POST", EXCHANGE["link"]) == []
    person.page.get_by_role("link", name="Go back").click()
    person.expect_at(served.example.sign_in)
    person.fill_in("ada", "a long password", served.example.sign_in_button)
    person.connect()


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.extended
@both_flows
def test_cancelled_at_the_consent(person: Person, served: Served, flow: Flow) -> None:
    arrive(person, flow)
    users = served.user_ids()

    person.cancel()

    expect(person.page.get_by_role("status").get_by_text(served.example.cancelled)).to_be_visible()
    person.expect_at(served.example.settings if flow == "link" else served.example.home)
    person.look(f"cancelled-{flow}")
    expect(person.button()).to_be_visible()
    assert (served.user_ids(), served.exchanges(EXCHANGE[flow])) == (users, 0)
    person.back_to_the_app()
    expect(person.button()).to_be_visible()
    expect(person.page.get_by_text(served.example.cancelled)).to_be_hidden()


@pytest.mark.extended
def test_a_link_while_configure_is_away(person: Person, served: Served) -> None:
    arrive(person, "link")
    served.sandbox.fault(EXCHANGE["link"], status=503)
    person.allow()
    expect_told(person, Code.UPSTREAM_UNAVAILABLE, 503)
    served.sandbox.clear_faults()

    person.button().click()
    person.allow()

    person.expect_connected()


@pytest.mark.extended
def test_a_login_while_configure_is_away(person: Person, served: Served) -> None:
    arrive(person, "login")
    served.sandbox.fault(EXCHANGE["login"], status=503)
    person.allow()
    person.expect_error("upstream_unavailable", 503)
    served.sandbox.clear_faults()

    person.page.get_by_role("link", name="Try again").click()
    person.allow()

    expect_end(person, "login")
    assert len(served.user_ids()) == 1


@pytest.mark.extended
def test_the_settings_page_lives_without_configure(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect()
    served.sandbox.fault("/v1/profile", status=503)
    person.refusals.append("GET /api/profile 503")
    person.page.reload()
    expect(person.page.get_by_text(served.example.away)).to_be_visible()
    person.look("settings-while-configure-is-away")
    served.sandbox.clear_faults()

    served.sandbox.revoke_approval(served.sandbox.people[0])
    person.refusals.append("GET /api/profile 409")
    person.page.reload()
    reconnect = person.page.get_by_role("link", name="Reconnect Configure")
    expect(reconnect).to_be_visible()
    person.look("settings-needs-reconnect")
    reconnect.click()
    person.allow()

    person.expect_connected()
    expect(person.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")


@pytest.mark.extended
def test_who_signed_out_meanwhile_signs_in_and_is_connected(person: Person, served: Served) -> None:
    arrive(person, "link")
    other = person.new_tab()
    person.visit(served.example.home, other)
    person.sign_out(other)

    person.allow()
    person.expect_at(served.example.sign_in)
    assert served.exchanges(EXCHANGE["link"]) == 0
    person.fill_in("ada", "a long password", served.example.sign_in_button)

    person.expect_connected()


@pytest.mark.extended
def test_another_account_was_signed_in_meanwhile(person: Person, served: Served) -> None:
    arrive(person, "link")
    tab = person.page
    person.page = person.new_tab()
    person.visit(served.example.home)
    person.sign_out()
    person.sign_up("bob")

    person.allow(tab)

    expect_told(person, Code.WRONG_USER, 403, tab)
    expect(person.button(tab)).to_be_visible()
    person.expect_not_connected()
    assert served.exchanges(EXCHANGE["link"]) == 0


@pytest.mark.extended
def test_a_link_in_another_browser(meet: Meet, served: Served) -> None:
    """Neither the callback nor the page after it connects whom it was sent to; whose it is can still use it."""
    person, victim = meet(), meet()
    arrive(person, "link")
    victim.sign_up("victim")
    callback = served.sandbox.sign_in(start_of(person, "link"))

    victim.press("link")  # now the victim's browser has a cookie of its own
    victim.prove_phone(GRACE)
    victim.page.goto(callback)
    victim.expect_error("wrong_browser", 400)
    location = person.context.request.get(callback, max_redirects=0).headers["location"]
    victim.visit(location)
    expect_told(victim, Code.WRONG_BROWSER, 400)

    victim.expect_not_connected()
    assert served.exchanges(EXCHANGE["link"]) == 0
    person.visit(location)
    person.expect_connected()


@pytest.mark.extended
def test_two_tabs_connect_two_profiles(person: Person, served: Served) -> None:
    arrive(person, "link", ADA)
    second = person.new_tab()
    person.press("link", second)
    second.get_by_role("button", name="Use another phone").click()
    person.prove_phone(GRACE, second)

    person.allow()
    person.expect_connected()
    person.allow(second)

    expect_told(person, Code.ALREADY_CONNECTED, 409, second)
    person.expect_connected(second)
    expect(second.locator(served.example.profile)).to_contain_text("Ada Lovelace")


@pytest.mark.extended
def test_disconnected_while_another_tab_connects(person: Person) -> None:
    arrive(person, "link")
    second = person.new_tab()
    person.press("link", second)
    person.allow(second)
    person.expect_connected(second)
    person.disconnect(second)

    person.allow()

    expect_told(person, Code.INTERRUPTED, 409)
    person.expect_not_connected()


@pytest.mark.extended
def test_a_code_that_came_too_late(person: Person, served: Served) -> None:
    arrive(person, "link")
    with late(served.sandbox, EXCHANGE["link"], seconds=301):
        person.allow()
        expect_told(person, Code.EXPIRED, 400)

    person.button().click()
    person.allow()
    person.expect_connected()


@pytest.mark.extended
def test_a_cookie_that_was_dropped_on_the_way(person: Person, served: Served) -> None:
    arrive(person, "link")
    person.context.clear_cookies(name=LOOPBACK_COOKIE_NAME)

    person.allow()

    person.expect_error("cookie_missing", 400)
    assert served.exchanges(EXCHANGE["link"]) == 0
    person.page.get_by_role("link", name="Go back").click()
    person.button().click()
    person.allow()
    person.expect_connected()


def refused(route: Route) -> None:
    route.fulfill(status=401, json={"error": "signed_out", "message": "Sign in first."})


@pytest.mark.extended
@pytest.mark.parametrize("path", ["/api/configure/sign-in", "/api/configure/finish"])
def test_a_token_that_ended_is_renewed_unseen(person: Person, path: str) -> None:
    person.sign_up("ada")
    person.refusals.append(f"POST {path} 401")
    person.page.route(f"**{path}*", refused, times=1)

    person.connect()
