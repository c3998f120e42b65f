"""The FastAPI example's page in Chromium: what its script does with a token, and how a link ends by it."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from configure_auth.sandbox import Sandbox
from example_apps.demo import listen
from example_apps.fastapi_app import create_app

PHONE = "+15550100001"
EXCHANGE = "/v1/auth/sign-in/exchange"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("these tests need Chromium, and it isn't on the PATH")
        pytest.skip("Chromium isn't on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def served(sandbox: Sandbox, folder: Path) -> Iterator[str]:
    listeners = listen(free_port())
    url = f"http://localhost:{listeners[0].getsockname()[1]}"
    sandbox.register_return_to(f"{url}/configure/callback")
    sandbox.register_redirect_uri(f"{url}/auth/configure/callback")
    app = create_app(sandbox.environment(url), instance_path=folder)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=(listeners,))
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Person:
    """Somebody at the page. `page` is the tab in use."""

    url: str
    page: Page
    sandbox: Sandbox

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def sign_up(self, username: str, *, go: bool = True) -> None:
        if go:
            self.go("/sign-up")
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill("a long password")
        self.page.get_by_role("main").get_by_role("button", name="Sign up").click()
        expect(self.sign_out_button).to_be_visible()

    def sign_out(self) -> None:
        self.sign_out_button.click()
        expect(self.sign_out_button).to_have_count(0)
        expect(self.button).to_be_visible()

    @property
    def sign_out_button(self) -> Locator:
        return self.page.get_by_role("button", name="Sign out")

    @property
    def button(self) -> Locator:
        return self.page.get_by_role("link", name="Continue with Configure", exact=True)

    def prove_phone(self) -> None:
        self.button.click()
        self.page.get_by_label("Phone number").fill(PHONE)
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_label("Six-digit code").fill("000000")
        self.page.get_by_role("button", name="Verify").click()
        expect(self.page.get_by_role("button", name="Allow", exact=True)).to_be_visible()

    def allow(self) -> None:
        self.page.get_by_role("button", name="Allow", exact=True).click()

    def connect(self) -> None:
        self.go("/settings")
        self.prove_phone()
        self.allow()
        self.expect_connected()

    def expect_connected(self) -> None:
        expect(self.page.get_by_text("Connected since")).to_be_visible()
        expect(self.page).to_have_url(f"{self.url}/settings")  # the handle is gone from the address


@pytest.fixture
def person(chromium: Browser, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Person]:
    configure_sandbox.add_person(PHONE, name="Ada Lovelace", preferences=("Window seats on trains",))
    with served(configure_sandbox, tmp_path) as url, chromium.new_context() as context:
        context.set_default_timeout(15_000)
        page = context.new_page()
        faults: list[str] = []
        asked: list[str] = []
        context.on("weberror", lambda seen: faults.append(seen.error.message))
        context.on("console", lambda seen: faults.append(seen.text) if "Content Security" in seen.text else None)
        context.on("request", lambda seen: asked.append(seen.url))
        yield Person(url, page, configure_sandbox)
        assert faults == []
        assert not [address for address in asked if "eyJ" in address], "a token in an address"
        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert "eyJ" not in kept, "a token where any script could find it later"


def test_connect_see_the_profile_and_disconnect(person: Person) -> None:
    person.sign_up("ada")
    person.connect()

    for _ in range(2):
        expect(person.page.locator("#profile")).to_contain_text("Ada Lovelace")
        expect(person.page.locator("#profile")).to_contain_text("Window seats on trains")
        person.page.reload()
    person.page.get_by_role("button", name="Disconnect").click()

    expect(person.button).to_be_visible()
    expect(person.page.get_by_text("Connected since")).to_be_hidden()


def test_somebody_without_a_password_signs_in_twice_on_the_way_to_a_page(person: Person) -> None:
    person.go("/settings")
    expect(person.page).to_have_url(f"{person.url}/sign-in")
    person.prove_phone()
    person.allow()
    person.expect_connected()
    expect(person.page.get_by_text("It is how you sign in")).to_be_visible()
    expect(person.page.get_by_role("button", name="Disconnect")).to_have_count(0)

    person.sign_out()
    person.button.click()
    person.allow()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Hello, Ada Lovelace.")


def test_link_first_and_the_button_later_is_one_account(person: Person) -> None:
    person.sign_up("ada")
    person.connect()
    person.sign_out()

    person.prove_phone()
    person.allow()

    expect(person.page.get_by_role("heading", level=1)).to_have_text("Hello, ada.")


def test_cancelled_is_a_quiet_notice(person: Person) -> None:
    person.sign_up("ada")
    person.go("/settings")
    person.prove_phone()
    person.page.get_by_role("button", name="Cancel").click()

    expect(person.page.get_by_role("status").get_by_text("You cancelled.")).to_be_visible()
    expect(person.button).to_be_visible()


def test_who_signed_out_meanwhile_signs_in_and_is_connected(person: Person) -> None:
    person.sign_up("ada")
    person.go("/settings")
    person.prove_phone()
    tab = person.page
    person.page = tab.context.new_page()
    person.go("/")
    person.sign_out()
    person.page = tab

    person.allow()
    expect(tab).to_have_url(f"{person.url}/sign-in")
    assert not person.sandbox.calls_to("POST", EXCHANGE)
    tab.get_by_label("Username").fill("ada")
    tab.get_by_label("Password").fill("a long password")
    tab.get_by_role("main").get_by_role("button", name="Sign in").click()

    person.expect_connected()


def test_another_account_that_was_signed_in_meanwhile_gets_nothing(person: Person) -> None:
    person.sign_up("ada")
    person.go("/settings")
    person.prove_phone()
    tab = person.page
    person.page = tab.context.new_page()
    person.go("/")
    person.sign_out()
    person.sign_up("bob")
    person.page = tab

    person.allow()

    expect(tab.get_by_role("alert")).to_be_visible()
    expect(person.button).to_be_visible()
    assert not person.sandbox.calls_to("POST", EXCHANGE)


def test_configure_is_away(person: Person) -> None:
    person.sign_up("ada")
    person.go("/settings")
    person.prove_phone()
    person.sandbox.fault(EXCHANGE, status=503)
    person.allow()
    expect(person.page.get_by_role("alert")).to_be_visible()
    person.sandbox.clear_faults()
    person.button.click()
    person.allow()
    person.expect_connected()

    person.sandbox.fault("/v1/profile", status=503)
    person.page.reload()
    expect(person.page.get_by_text("Configure doesn't answer just now")).to_be_visible()
    person.sandbox.clear_faults()
    person.sandbox.revoke_approval(person.sandbox.people[0])
    person.page.reload()
    person.page.get_by_role("link", name="Reconnect Configure").click()
    person.allow()
    person.expect_connected()


def refused(route: Route) -> None:
    route.fulfill(status=401, json={"error": "signed_out", "message": "Sign in first."})


def test_a_token_that_ended_is_renewed_unseen(person: Person) -> None:
    person.sign_up("ada")
    person.go("/settings")
    person.page.route("**/configure/sign-in", refused, times=1)

    person.prove_phone()
    person.allow()

    person.expect_connected()
