"""The pages in a browser."""

from __future__ import annotations

import http.server
import os
import pathlib
import shutil
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

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
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def app_page(browser: Browser) -> Iterator[Page]:
    """A page with scripts allowed."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


class AppServer(http.server.ThreadingHTTPServer):
    """An app that answers every path with one page. A real one: browsers let no made-up page reach loopback."""

    html = ""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}"


class _AppHandler(http.server.BaseHTTPRequestHandler):
    server: AppServer

    def do_GET(self) -> None:
        body = self.server.html.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def app_server() -> Iterator[AppServer]:
    with AppServer(("127.0.0.1", 0), _AppHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _open_app(page: Page, app: AppServer, sandbox: Sandbox, body: str) -> None:
    app.html = f"""<!doctype html><title>App</title><link rel="icon" href="data:,">
        <script>
        window.seen = [];
        for (const name of ["authenticated", "linked", "error"])
          document.addEventListener("configure:" + name, (event) => window.seen.push([name, event.detail]));
        </script>
        <script src="{sandbox.script_url}/js/configure.js" defer></script>{body}"""
    page.goto(app.url)


def _prove_phone(page: Page) -> None:
    page.get_by_label("Phone number").fill("+15550100001")
    page.keyboard.press("Enter")
    page.get_by_label("Six-digit code").fill("123456")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Six-digit code").fill("000000")
    page.keyboard.press("Enter")


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


@pytest.mark.extended
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


# The hosted script


def test_the_element_yields_a_raw_token(
    developer: Developer, sandbox: Sandbox, app_page: Page, app_server: AppServer
) -> None:
    key = sandbox.credentials.publishable_key
    _open_app(app_page, app_server, sandbox, f'<configure-auth api-key="{key}" agent="demo-agent"></configure-auth>')
    _shot(app_page, "element")
    _prove_phone(app_page)
    expect(app_page.get_by_text("Signed in")).to_be_visible()
    (failed, _), (name, detail) = app_page.evaluate("window.seen")
    assert (failed, name) == ("error", "authenticated")
    assert (detail["userId"], detail["phone"]) == (sandbox.people[0].user_id, "+15550100001")
    validated = developer.post("/v1/auth/sign-in/validate", {"token": detail["token"]}).json()
    assert (validated["tokenUse"], validated["approved"]) == ("user", False)


def test_a_link_button_yields_an_agent_token(
    developer: Developer, sandbox: Sandbox, app_page: Page, app_server: AppServer
) -> None:
    key = sandbox.credentials.publishable_key
    button = f'<button data-configure-link data-publishable-key="{key}" data-agent="demo-agent">Link</button>'
    _open_app(app_page, app_server, sandbox, button)
    app_page.get_by_role("button", name="Link").click()
    _prove_phone(app_page)
    app_page.wait_for_function("window.seen.length === 2")
    name, detail = app_page.evaluate("window.seen[1]")
    assert (name, detail["tokenUse"], detail["agent"]) == ("linked", "agent", "demo-agent")
    validated = developer.post("/v1/auth/sign-in/validate", {"token": detail["token"]}).json()
    assert (validated["valid"], validated["userId"]) == (True, sandbox.people[0].user_id)


def test_the_sso_button_keeps_the_verifier_for_the_callback(
    developer: Developer, sandbox: Sandbox, app_page: Page, app_server: AppServer
) -> None:
    client_id, callback = sandbox.credentials.client_id, f"{app_server.url}/auth/configure/callback"
    sandbox.register_redirect_uri(callback)
    _open_app(
        app_page,
        app_server,
        sandbox,
        f'<configure-sso-button client-id="{client_id}" redirect-uri="{callback}" scopes="profile.read">'
        "</configure-sso-button>",
    )
    app_page.get_by_role("button", name="Continue with Configure").click()
    app_page.get_by_label("Phone number").fill("+15550100001")
    app_page.keyboard.press("Enter")
    app_page.get_by_label("Six-digit code").fill("000000")
    app_page.keyboard.press("Enter")
    app_page.get_by_role("button", name="Allow").click()
    app_page.wait_for_url(f"{callback}?*")
    code, state = (
        app_page.evaluate(f"new URLSearchParams(location.search).get('{name}')") for name in ("code", "state")
    )
    kept = app_page.evaluate("(state) => Configure.getSsoPkce(state)", state)
    assert developer.exchange(code, redirect_uri=callback, code_verifier=kept["codeVerifier"]).status_code == 200
    app_page.evaluate("(state) => Configure.clearSsoPkce(state)", state)
    assert app_page.evaluate("(state) => Configure.getSsoPkce(state)", state) is None


@pytest.mark.extended
def test_the_last_page_may_post_the_completion_itself(developer: Developer, sandbox: Sandbox, app_page: Page) -> None:
    sandbox.variants.completion_sender = "page"
    received: list[object] = []

    def complete(route: Route) -> None:
        received.append(route.request.post_data_json)
        route.fulfill(headers={"Access-Control-Allow-Origin": "*"}, json={"ok": True})

    app_page.route("http://localhost:3000/complete", complete)
    app_page.goto(
        developer.sign_in_url(delivery="message", journey="j1", message_complete_url="http://localhost:3000/complete")
    )
    app_page.get_by_label("Phone number").fill("+15550100001")
    app_page.keyboard.press("Enter")
    app_page.get_by_label("Six-digit code").fill("000000")
    app_page.keyboard.press("Enter")
    app_page.get_by_role("button", name="Allow").click()
    expect(app_page.get_by_role("status")).to_contain_text("knows")
    assert len(received) == 1
    assert isinstance(received[0], dict)
    assert received[0]["journeyId"] == "j1"
    assert sandbox.completions == []
