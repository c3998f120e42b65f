"""Several tabs, Back, reload, double clicks: what people do to a sign-in without a thought."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .apps import Served
from .person import ADA, GRACE, Flow, Person

pytestmark = pytest.mark.extended

EXCHANGE: dict[Flow, str] = {"link": "/v1/auth/sign-in/exchange", "login": "/oauth/token"}
FLOWS: tuple[Flow, ...] = ("link", "login")
REPLAY_SECONDS = 31  # so long a login may be repeated, for a browser that dropped the answer


def test_two_tabs_connect_in_either_order(person: Person, served: Served) -> None:
    person.sign_up("ada")
    first, second = person.page, person.new_tab()
    for tab in (first, second):
        person.press("link", tab)
    for tab in (first, second):
        person.prove_phone(ADA, tab)

    for tab in (second, first):
        person.allow(tab)
        person.expect_connected(tab)

    second.reload()
    expect(second.locator(served.example.profile)).to_contain_text("Ada Lovelace")


def test_two_tabs_sign_in_in_either_order(person: Person, served: Served) -> None:
    first, second = person.page, person.new_tab()
    for tab in (first, second):
        person.press("login", tab)
    for tab in (first, second):
        person.prove_phone(ADA, tab)

    for tab in (second, first):
        person.allow(tab)
        person.expect_at(served.example.home, tab)
        person.expect_signed_in(tab)

    assert len(served.user_ids()) == 1
    assert served.exchanges("/oauth/token") == 1, "who is signed in already needs no second exchange"


def test_two_tabs_sign_in_as_two_people(person: Person, served: Served) -> None:
    """Whoever came first stays: a sign-in never takes a session over."""
    first, second = person.page, person.new_tab()
    for tab in (first, second):
        person.press("login", tab)
    for tab, phone in ((first, ADA), (second, GRACE)):
        person.prove_phone(phone, tab)

    for tab in (second, first):
        person.allow(tab)
        person.expect_at(served.example.home, tab)
        expect(tab.get_by_role("heading", level=1)).to_have_text("Hello.")

    assert len(served.user_ids()) == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_the_callback_opened_and_reloaded_once_more_changes_nothing(person: Person, served: Served, flow: Flow) -> None:
    if flow == "link":
        person.sign_up("ada")
        person.connect()
    else:
        person.continue_with_configure()
    end = person.page.url
    callback = person.callbacks(flow)[-1].url

    for _ in range(2):
        person.page.goto(callback)
        expect(person.page).to_have_url(end)
        person.page.reload()
        person.expect_signed_in()

    assert served.exchanges(EXCHANGE[flow]) == 1
    assert len(served.user_ids()) == 1


def test_a_failed_callback_reloaded_says_the_same_again(person: Person, served: Served) -> None:
    person.sign_up("ada")
    served.sandbox.variants.exchange_approved = False
    person.press("link")
    person.prove_phone()
    person.allow()
    person.expect_error("not_approved", 403)

    person.page.reload()

    person.expect_error("not_approved", 403)
    assert served.exchanges(EXCHANGE["link"]) == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_back_and_forward_after_the_end(person: Person, served: Served, flow: Flow) -> None:
    if flow == "link":
        person.sign_up("ada")
        person.connect()
    else:
        person.continue_with_configure()
    end = person.page.url

    person.back_to_the_app()
    person.expect_signed_in()
    person.visit(served.example.settings)
    expect(person.page.get_by_text(served.example.connected)).to_be_visible()

    assert served.exchanges(EXCHANGE[flow]) == 1
    assert [answer.status for answer in person.callbacks(flow)] == [303]
    person.page.goto(end)
    person.expect_signed_in()


def test_back_after_signing_out_signs_nobody_in(person: Person, served: Served) -> None:
    person.continue_with_configure()
    callback = person.callbacks("login")[-1].url
    person.sign_out()

    person.page.go_back()
    person.expect_signed_out()
    person.back_to_the_app()
    person.expect_signed_out()

    served.sandbox.advance(REPLAY_SECONDS)
    person.page.goto(callback)
    person.expect_at(served.example.home)
    person.expect_signed_out()
    person.page.reload()
    person.expect_signed_out()
    assert served.exchanges("/oauth/token") == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_a_double_click_on_the_button_and_on_allow(person: Person, served: Served, flow: Flow) -> None:
    if flow == "link":
        person.sign_up("ada")
    person.visit(served.example.settings if flow == "link" else served.example.sign_in)
    person.button().dblclick()
    person.prove_phone()
    person.allow_button().dblclick()

    if flow == "link":
        person.expect_connected()
    else:
        person.expect_at(served.example.home)
        person.expect_signed_in()
    assert served.exchanges(EXCHANGE[flow]) == 1
    assert len(served.user_ids()) == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_allow_pressed_again_while_the_app_is_still_asking(person: Person, served: Served, flow: Flow) -> None:
    """The browser drops the first answer, and its session cookie with it; the second one waits for the first."""
    if flow == "link":
        person.sign_up("ada")
    person.press(flow)
    person.prove_phone()
    box = person.allow_button().bounding_box()
    assert box is not None
    allow = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    with served.sandbox.hold(EXCHANGE[flow]) as held:
        person.page.mouse.click(*allow)
        held.arrived.wait()
        person.page.mouse.click(*allow)
        expect(person.page.get_by_role("heading", level=1)).to_have_text("One moment")
        assert person.callbacks(flow)[-1].status == 202
        person.look("wait")
        held.release()

    if flow == "link":
        person.expect_connected()
    else:
        person.expect_at(served.example.home)
        person.expect_signed_in()
    assert served.exchanges(EXCHANGE[flow]) == 1
    assert len(served.user_ids()) == 1
