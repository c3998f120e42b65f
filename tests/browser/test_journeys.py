"""What people do with an app that has Configure, from the first page to the last."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .apps import Served
from .conftest import Meet
from .person import ADA, GRACE, Person


def test_connect_see_the_profile_and_disconnect(person: Person, served: Served) -> None:
    example = served.example
    person.visit(example.home)
    person.look("home")
    person.visit(example.sign_up)
    person.look("sign-up")
    person.sign_up("ada")
    person.look("home-signed-in")
    person.visit(example.settings)
    person.look("settings")

    person.button().click()
    person.look("configure-phone")
    person.page.get_by_label("Phone number").fill(ADA)
    person.page.get_by_role("button", name="Continue").click()
    person.look("configure-code")
    person.page.get_by_label("Six-digit code").fill("000000")
    person.page.get_by_role("button", name="Verify").click()
    person.look("configure-consent-link")
    person.allow()

    person.expect_connected()
    for _ in range(3):
        profile = person.page.locator(example.profile)
        expect(profile).to_contain_text("Ada Lovelace")
        expect(profile).to_contain_text("ends in 0001")
        expect(profile).to_contain_text("Window seats on trains")
        person.page.reload()
    person.look("settings-connected")
    person.disconnect()
    person.expect_at(example.settings)
    person.expect_not_connected()


@pytest.mark.extended
def test_somebody_without_a_password_signs_in_twice(person: Person, served: Served) -> None:
    person.visit(served.example.sign_in)
    person.look("sign-in")
    person.button().click()
    person.prove_phone(GRACE)
    person.look("configure-consent-login")
    person.allow()
    person.expect_at(served.example.home)
    person.expect_signed_in()
    person.look("home-without-a-name")
    person.visit(served.example.settings)
    person.look("settings-without-a-password")
    expect(person.page.get_by_role("button", name=served.example.disconnect_button)).to_have_count(0)
    first = served.user_ids()
    assert len(first) == 1

    person.sign_out()
    person.press("login")
    person.allow()
    person.expect_at(served.example.home)
    person.expect_signed_in()
    assert served.user_ids() == first


@pytest.mark.extended
def test_link_first_and_the_button_later_is_one_account(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect(ADA)
    person.sign_out()

    person.continue_with_configure(ADA)

    expect(person.page.get_by_role("main")).to_contain_text("ada")
    assert len(served.user_ids()) == 1
    person.visit(served.example.settings)
    person.expect_connected()


@pytest.mark.extended
def test_two_accounts_claim_one_profile(meet: Meet, served: Served) -> None:
    ada, eve = meet(), meet()
    ada.sign_up("ada")
    ada.connect(ADA)
    eve.sign_up("eve")

    eve.press("link")
    eve.prove_phone(ADA)
    eve.allow()

    eve.expect_error("account_taken", 409)
    eve.page.get_by_role("link", name="Go back").click()
    eve.expect_at(served.example.settings)
    eve.expect_not_connected()
    ada.page.reload()
    ada.expect_connected()
    expect(ada.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")


@pytest.mark.extended
def test_a_deleted_account_leaves_no_connection_to_the_next(meet: Meet, served: Served) -> None:
    person = meet()
    person.sign_up("ada")
    person.connect(ADA)
    ids = served.user_ids()
    person.delete_account()
    served.query(served.example.forget_ids)

    other = meet()
    other.sign_up("bob")

    assert served.user_ids() == ids
    other.expect_not_connected()
    person.press("login")  # nor does the button lead who was deleted into the account of the other
    person.prove_phone(ADA)
    person.allow()
    person.expect_signed_in()
    assert len(served.user_ids()) == 2
    other.expect_not_connected()


@pytest.mark.extended
def test_an_app_opened_by_its_other_name(person: Person, served: Served) -> None:
    person.page.goto(served.other_url + served.example.sign_in)

    person.button().click()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Sign in with Configure?")
    assert person.page.url.startswith(f"{served.url}/auth/configure/sign-in?")
    person.look("confirm-login")
    person.button().click()
    person.prove_phone()
    person.allow()
    person.expect_at(served.example.home)
    person.expect_signed_in()
    starts = [answer for answer in person.documents() if "/auth/configure/sign-in" in answer.url]
    assert [answer.status for answer in starts] == [303, 200, 303]


@pytest.mark.extended
def test_a_link_from_the_other_name_says_where_to_sign_in(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.sign_out()
    person.page.goto(served.other_url + served.example.sign_in)
    person.fill_in("ada", "a long password", served.example.sign_in_button)
    person.page.goto(served.other_url + served.example.settings)

    person.button().click()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Connect your account with Configure?")
    person.look("confirm-link")
    person.button().click()
    person.expect_error("signed_out", 401)
    person.page.get_by_role("link", name="Go back").click()
    person.fill_in("ada", "a long password", served.example.sign_in_button)
    person.connect()


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

    def prove_phone() -> None:
        expect(person.page.get_by_label("Phone number")).to_be_focused()
        keyboard.type(ADA)
        keyboard.press("Enter")
        expect(person.page.get_by_label("Six-digit code")).to_be_focused()
        keyboard.type("000000")
        keyboard.press("Enter")
        expect(person.allow_button()).to_be_visible()
        tab_to("Allow")
        keyboard.press("Enter")

    person.visit(served.example.sign_in)
    tab_to("Continue with Configure")
    person.look("sign-in-focus")
    keyboard.press("Enter")
    prove_phone()
    person.expect_at(served.example.home)
    person.expect_signed_in()

    person.context.clear_cookies(name=served.example.session_cookie)
    person.visit("/auth/configure/sign-in")
    tab_to("Continue with Configure")
    person.look("confirm-focus")
    keyboard.press("Enter")
    expect(person.allow_button()).to_be_visible()
    tab_to("Cancel")
    keyboard.press("Enter")
    expect(person.page.get_by_text(served.example.cancelled)).to_be_visible()
