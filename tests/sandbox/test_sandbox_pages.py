"""The pages in a browser."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from configure_auth.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Developer

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SHOTS = os.environ.get("SANDBOX_SHOTS")
RETURN_TO = "http://localhost:3000/configure/callback"

pytestmark = pytest.mark.skipif(not pathlib.Path(CHROMIUM).exists(), reason="there is no Chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose way back to the app ends at a stub: nothing listens on the app's port."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    context.route("http://localhost:3000/**", lambda route: route.fulfill(body="the app", content_type="text/plain"))
    yield context.new_page()
    context.close()


def _shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=pathlib.Path(SHOTS) / f"sandbox-{name}.png")


def _fits(page: Page) -> None:
    # Without scripts there is no scrollWidth to ask for; the card must lie within the viewport.
    box = page.locator(".card").bounding_box()
    viewport = page.viewport_size
    assert box is not None
    assert viewport is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= viewport["width"]


def test_phone_code_consent_without_javascript(developer: Developer, sandbox: Sandbox, page: Page) -> None:
    page.goto(developer.authorize_url())
    expect(page.get_by_role("note")).to_contain_text("Sandbox")
    _fits(page)
    _shot(page, "phone")
    phone = page.get_by_label("Phone number")
    expect(phone).to_be_focused()
    expect(phone).to_have_attribute("autocomplete", "tel")
    phone.fill("12")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_be_visible()
    _shot(page, "phone-wrong")

    page.get_by_label("Phone number").fill("(555) 010-0001")
    page.keyboard.press("Enter")
    code = page.get_by_label("Six-digit code")
    expect(code).to_have_attribute("autocomplete", "one-time-code")
    code.fill("123456")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    _shot(page, "code-wrong")
    page.get_by_label("Six-digit code").fill("000000")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_contain_text("Allow Demo Agent")
    expect(page.get_by_role("listitem")).to_have_count(4)
    _fits(page)
    _shot(page, "consent")
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("http://localhost:3000/auth/configure/callback?code=*")
    assert "state=the+state" in page.url


def test_a_second_sign_in_starts_at_the_consent(developer: Developer, sandbox: Sandbox, page: Page) -> None:
    sandbox.add_person("+15550100001", name="Ada Lovelace")
    url = developer.sign_in_url(
        return_to=RETURN_TO, agent_name="Luke", connectors="gmail,calendar,notion", theme="dark"
    )
    page.goto(url)
    page.get_by_label("Phone number").fill("+15550100001")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six-digit code").fill("000000")
    page.get_by_role("button", name="Verify").click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"{RETURN_TO}?code=cfgsic_*")

    page.goto(url)
    expect(page.get_by_text("Ada Lovelace")).to_be_visible()
    _shot(page, "consent-hosted-dark")
    page.get_by_label("Notion").uncheck()
    page.get_by_role("button", name="Use another phone").click()
    expect(page.get_by_label("Phone number")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{RETURN_TO}?error=access_denied*")


def test_pages_at_the_end(developer: Developer, sandbox: Sandbox, page: Page) -> None:
    page.set_viewport_size({"width": 1200, "height": 800})
    page.goto(developer.sign_in_url(return_to="https://evil.example/"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("can't start")
    expect(page.get_by_role("note")).to_contain_text("Sandbox")
    _shot(page, "error")
    page.goto(developer.sign_in_url(delivery="message", message_line_phone="+15550109999", theme="light"))
    _shot(page, "phone-desktop")
    page.get_by_label("Phone number").fill("+15550100001")
    page.keyboard.press("Enter")
    page.get_by_label("Six-digit code").fill("000000")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("link", name="Back to your messages")).to_have_attribute("href", "sms:+15550109999")
    _shot(page, "done")
