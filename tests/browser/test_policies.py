"""Beside the policies of a careful app: a strict session cookie, a login guard, CSRF tokens, a strict CSP.

The example apps have `form-action 'self'`, and CSRF tokens where that is usual, in every test of this package.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .apps import Served, Variation
from .person import GRACE, Flow, Person

pytestmark = pytest.mark.extended

STRICT = Variation(strict=True)
GUARDED = Variation(guard=True)
BOTH = Variation(strict=True, guard=True)

every_policy = pytest.mark.parametrize(
    "variation", [STRICT, GUARDED, BOTH], ids=["strict", "guarded", "strict and guarded"]
)


def statuses(person: Person, flow: Flow) -> list[int]:
    return [answer.status for answer in person.callbacks(flow)]


def test_the_app_has_the_policies_that_are_said_above(person: Person, served: Served) -> None:
    person.visit(served.example.sign_in)

    assert "form-action 'self'" in person.documents()[-1].headers["content-security-policy"]
    if served.example.csrf_field:
        expect(person.page.locator(f'input[name="{served.example.csrf_field}"]')).to_have_count(1)


@every_policy
def test_link(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.connect()

    assert statuses(person, "link") == ([200, 303] if served.variation.strict else [303])
    expect(person.page.locator(served.example.profile)).to_contain_text("Ada Lovelace")
    person.disconnect()
    person.expect_not_connected()


@every_policy
def test_login(person: Person, served: Served) -> None:
    person.continue_with_configure(GRACE)
    person.sign_out()
    person.press("login")
    person.allow()

    person.expect_at(served.example.home)
    person.expect_signed_in()
    assert len(served.user_ids()) == 1


@every_policy
def test_login_on_the_way_to_a_page(person: Person, served: Served) -> None:
    person.visit(served.example.settings)
    person.expect_at(served.example.sign_in)

    person.button().click()
    person.prove_phone()
    person.allow()

    person.expect_connected()


@pytest.mark.parametrize("variation", [Variation(), STRICT], ids=["lax", "strict"])
def test_who_signed_out_meanwhile_is_told_so(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.press("link")
    person.prove_phone()
    other = person.new_tab()
    person.visit(served.example.home, other)
    person.sign_out(other)

    person.allow()

    person.expect_error("signed_out", 401)
    assert statuses(person, "link") == [200, 401], "reloaded once, and never again"
    assert served.exchanges("/v1/auth/sign-in/exchange") == 0


@pytest.mark.parametrize("variation", [GUARDED, BOTH], ids=["guarded", "strict and guarded"])
def test_a_guard_turns_away_who_signed_out_meanwhile(person: Person, served: Served) -> None:
    person.sign_up("ada")
    person.press("link")
    person.prove_phone()
    other = person.new_tab()
    person.visit(served.example.home, other)
    person.sign_out(other)

    person.allow()

    # The guard's sign-in page, or ours where the guard must let the callback through.
    sign_in_page = person.page.get_by_label(served.example.password)
    expect(sign_in_page.or_(person.page.get_by_text("signed_out", exact=True))).to_be_visible()
    assert served.exchanges("/v1/auth/sign-in/exchange") == 0


@pytest.mark.parametrize("variation", [STRICT], ids=["strict"])
@pytest.mark.parametrize("flow", ["link", "login"])
def test_cancel_with_a_strict_cookie(person: Person, served: Served, flow: Flow) -> None:
    if flow == "link":
        person.sign_up("ada")
    person.press(flow)
    person.cancel()

    expect(person.page.get_by_role("status")).to_contain_text(served.example.cancelled)
