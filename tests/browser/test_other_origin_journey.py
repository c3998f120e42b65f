"""The FastAPI example's page on another port than its API: a login and a link in a window, and a login in the page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from configure_auth.sandbox import Sandbox
from example_apps import fastapi_app

from .apps import BEARER_PAGE, Variation, serving
from .person import ADA

DOCUMENT = Path(fastapi_app.__file__).parent / "spa/index.html"


class Spa(ThreadingHTTPServer):
    """Serves the page for an API; at /quiet one that sends no `Referer`, so that Configure's start asks first."""

    api = ""

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Spa

    def do_GET(self) -> None:
        document = DOCUMENT.read_text().replace("http://localhost:3000/api", self.server.api)
        policy = "no-referrer" if self.path == "/quiet" else "strict-origin-when-cross-origin"
        self.send_response(200 if self.path in ("/", "/quiet") or "?" in self.path else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Referrer-Policy", policy)
        self.end_headers()
        self.wfile.write(document.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def spa(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[str]:
    configure_sandbox.add_person(ADA, name="Ada Lovelace")
    with Spa(("127.0.0.1", 0), Handler) as server:
        settings = {"SPA_ORIGIN": server.origin}
        with serving(BEARER_PAGE, configure_sandbox, tmp_path, Variation(strict=True), settings=settings) as served:
            server.api = f"{served.url}/api"
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            yield server.origin
            server.shutdown()
            thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def prove_phone(page: Page) -> None:
    page.get_by_label("Phone number").fill(ADA)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six-digit code").fill("000000")
    page.get_by_role("button", name="Verify").click()


def test_windows_and_a_whole_page(spa: str, page: Page) -> None:
    """The window keeps its opener on each page of the flow, or the page would never hear of the end."""
    state = page.locator("#state")
    page.goto(f"{spa}/quiet")
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Continue in a window").click()
    popup = opened.value
    popup.get_by_role("link", name="Continue with Configure").click()  # of our page that asks first
    prove_phone(popup)
    popup.get_by_role("button", name="Allow", exact=True).click()
    expect(state).to_have_text("Hello, Ada Lovelace. oauth")
    assert popup.is_closed()

    with page.expect_popup() as opened:
        page.get_by_role("button", name="Connect in a window").click()
    prove_phone(opened.value)
    opened.value.get_by_role("button", name="Allow", exact=True).click()
    expect(state).to_have_text("Hello, Ada Lovelace. agent, oauth")

    page.get_by_role("button", name="Sign out").click()
    expect(state).to_have_text("Signed out.")
    page.goto(spa)
    page.get_by_role("link", name="Continue with Configure").click()
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(state).to_have_text("Hello, Ada Lovelace. agent, oauth")
    assert page.url == f"{spa}/"
