"""The button, and a plain link to the start, on pages with htmx 2 and 4 and Turbo 8, and in a frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, send_file
from playwright.sync_api import Browser, Page, expect

from configure_auth.events import SignInStarted
from configure_auth.sandbox import Sandbox

from ..interop.node import npm_install
from ..support.web import Options, Web, running, start_path

pytestmark = pytest.mark.extended

PACKAGES = {"htmx2": "npm:htmx.org@2.0.11", "htmx4": "npm:htmx.org@4.0.1", "@hotwired/turbo": "8.0.23"}
SCRIPTS = {
    "htmx2": "htmx2/dist/htmx.min.js",
    "htmx4": "htmx4/dist/htmx.min.js",
    "turbo": "@hotwired/turbo/dist/turbo.es2017-umd.js",
}
PAGES = {
    "htmx2": '<body hx-boost="true">',
    "htmx4": '<body hx-boost:inherited="true">',
    "htmx4-preload": '<body hx-boost:inherited="true" hx-preload:inherited="mouseenter">',
    "turbo": "<body>",
    "none": "<body>",
}
PRELOAD = "htmx4/dist/ext/hx-preload.min.js"
BUTTON, LINK = ".configure-button", "#link"

libraries = pytest.mark.parametrize("library", ["htmx2", "htmx4", "turbo"])


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries")
    npm_install(folder, PACKAGES)
    return folder / "node_modules"


@pytest.fixture
def web(configure_sandbox: Sandbox, packages: Path, tmp_path: Path) -> Iterator[Web]:
    def add_pages(app: Flask, configure_auth: Any) -> None:
        @app.get("/script/<path:script>")
        def script_of(script: str) -> Response:
            return send_file(packages / script)

        @app.get("/with/<library>")
        def page_with(library: str) -> str:
            scripts = [SCRIPTS[name] for name in [library.partition("-")[0]] if name in SCRIPTS]
            scripts += [PRELOAD] if library.endswith("preload") else []
            loaded = "".join(f'<script src="/script/{script}"></script>' for script in scripts)
            link = f'<p><a id="link" href="{start_path("login")}">A link of the app</a>'
            return f"<!doctype html><title>The app</title>{loaded}{PAGES[library]}{configure_auth.button()}{link}"

        @app.get("/portal")
        def portal() -> str:
            own = app.config["CONFIGURE_APP_URL"]
            return f'<!doctype html><title>A portal</title><iframe src="{own}/with/none"></iframe>'

    options = Options(link=None, customise=add_pages)
    with running("flask", configure_sandbox, tmp_path, options) as web:
        yield web


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def starts(web: Web) -> int:
    return sum(isinstance(event, SignInStarted) for event in web.people.events)


def expect_at_configure(web: Web, page: Page) -> None:
    expect(page.get_by_label("Phone number")).to_be_visible()
    assert page.url.startswith(web.sandbox.accounts_url)
    assert starts(web) == 1


@libraries
@pytest.mark.parametrize("target", [BUTTON, LINK])
def test_click(web: Web, page: Page, library: str, target: str) -> None:
    """Ends at Configure's page, after one attempt."""
    page.goto(f"{web.url}/with/{library}")
    page.click(target)

    expect_at_configure(web, page)


@libraries
def test_the_button_is_left_to_the_browser(web: Web, page: Page, library: str) -> None:
    page.goto(f"{web.url}/with/{library}")
    with page.expect_request(lambda request: "/sign-in" in request.url) as requested:
        page.click(BUTTON)

    assert requested.value.is_navigation_request()


@pytest.mark.parametrize("library", ["htmx4-preload", "turbo"])
def test_hover(web: Web, page: Page, library: str) -> None:
    """Makes no attempt, and the click afterwards makes one."""
    page.goto(f"{web.url}/with/{library}")
    with page.expect_response(lambda response: "/sign-in" in response.url) as prefetched:
        page.hover(LINK)

    assert not prefetched.value.request.is_navigation_request()
    assert starts(web) == 0
    page.click(LINK)
    expect_at_configure(web, page)


def test_frame(web: Web, page: Page) -> None:
    """The button leaves the frame by itself; for another link a page in the frame has the one that does."""
    portal = f"{web.url.replace('localhost', '127.0.0.1')}/portal"
    page.goto(portal)
    page.frame_locator("iframe").locator(BUTTON).click()
    expect_at_configure(web, page)

    web.people.events.clear()
    page.goto(portal)
    page.frame_locator("iframe").locator(LINK).click()
    heading = page.frame_locator("iframe").get_by_role("heading", name="Sign in with Configure")
    expect(heading).to_be_visible()
    assert starts(web) == 0
    page.frame_locator("iframe").locator(BUTTON).click()
    expect_at_configure(web, page)
