"""Cookie tossing: another host of the app's domain sets cookies of our names for the whole domain (RFC 6265, 8.6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from configure_auth.sandbox import Sandbox

from ..browsers.tls import certificate, tls_in_front
from ..support.ports import free_port
from ..support.stores import first
from ..support.web import Adapter, Flow, Options, Serving, Web, callback_path, running, start_path
from .person import ADA, GRACE

NAMES = [
    "__Host-configure",
    "__host-configure",
    "__HOST-configure",
    "=__Host-configure",
    "\xa0__Host-configure",  # Python strips these two, browsers don't
    "\x85__Host-configure",
    "\xc2\xa0__Host-configure",
    "\xe2\x80\x80__Host-configure",
    "x=1,__Host-configure",
    "configure_dev",
]
REFUSED = NAMES[:4]
"""By Chromium."""


class Evil(ThreadingHTTPServer):
    """A host of the same domain that the attacker has; `tossed` is the cookie that it sets."""

    tossed = ""


class Handler(BaseHTTPRequestHandler):
    server: Evil

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", f"{self.server.tossed}; Domain=example.test; Path=/; Secure")
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>Evil</title>")

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Site:
    """The app at https://app.example.test, and the attacker's host beside it."""

    web: Web
    url: str
    evil: Evil
    evil_url: str

    def prepare(self, flow: Flow) -> tuple[str, str]:
        """Return a callback of the attacker, which no browser has loaded, and the value of its cookie."""
        host = self.url.removeprefix("https://")
        with self.web.browser() as attacker:
            if flow == "link":
                attacker.sign_in_locally("attacker")
            start = attacker.get(start_path(flow), host=host)
            cookie = next(one for one in start.headers.get_list("set-cookie") if one.startswith("__Host-configure="))
            value = cookie.partition("=")[2].partition(";")[0]
            return self.web.sandbox.sign_in(start.headers["location"], GRACE), value


@pytest.fixture
def site(adapter: Adapter, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Site]:
    configure_sandbox.add_person(ADA, name="Ada Lovelace")
    configure_sandbox.add_person(GRACE, name="Grace Hopper")
    port, evil_port = free_port(), free_port()
    url = f"https://app.example.test:{port}"
    for path, register in (
        (callback_path("link"), configure_sandbox.register_return_to),
        (callback_path("login"), configure_sandbox.register_redirect_uri),
    ):
        register(url + path)
    settings = {"CONFIGURE_APP_URL": url, "CONFIGURE_TOKEN_KEYS": "a-key-of-43-characters-for-an-app-on-the-web"}
    with ExitStack() as stack:
        # In a thread of its own: Playwright has an event loop in this one, which an ASGI app is closed by.
        thread = stack.enter_context(ThreadPoolExecutor(1))
        opened = running(adapter, configure_sandbox, tmp_path, Options(settings=settings))
        web = thread.submit(opened.__enter__).result()
        stack.callback(lambda: thread.submit(opened.__exit__, None, None, None).result())
        evil = stack.enter_context(Evil(("127.0.0.1", 0), Handler))
        stack.enter_context(Serving(lambda: evil.serve_forever(0.02), evil.shutdown))
        ports = {port: int(web.url.rpartition(":")[2]), evil_port: evil.server_port}
        stack.enter_context(tls_in_front(certificate(tmp_path), ports))
        yield Site(web, url, evil, f"https://evil.example.test:{evil_port}/")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.mark.catalogue("A10", "A24", "A25")
@pytest.mark.parametrize("adapter", first(["flask", "starlette", "fastapi"]))
def test_cookies_of_a_sibling_subdomain_sign_nobody_in(site: Site, context: BrowserContext) -> None:
    """The attacker's callback is loaded before the victim's start and after it, each with the attacker's cookies."""
    victim, other_tab = context.new_page(), context.new_page()

    def read(path: str, name: str) -> Any:
        other_tab.goto(site.url + path)
        return json.loads(other_tab.locator("body").inner_text())[name]

    def attacked(name: str, callback: str, value: str) -> None:
        site.evil.tossed = f"{name}={value}"
        before = len(context.cookies())
        other_tab.goto(site.evil_url)
        assert (len(context.cookies()) > before) == (name not in REFUSED), name
        other_tab.goto(callback)
        code = other_tab.get_by_role("main").locator("code")
        expect(code).to_have_text("wrong_browser" if before else "cookie_missing")

    # Before the victim has a cookie of ours, each alone.
    login, link = site.prepare("login"), site.prepare("link")
    for name in NAMES:
        attacked(name, *login)
        assert read("/who", "user_id") is None
        context.clear_cookies()

    victim.goto(site.url + start_path("login"))
    victim.get_by_role("main").get_by_role("link").first.click()
    attacked(NAMES[0], *login)
    attacked(NAMES[4], *login)
    prove_phone(victim)
    victim.get_by_role("button", name="Allow", exact=True).click()
    expect(victim).to_have_url(f"{site.url}/")
    attacked(NAMES[5], *link)
    account = read("/account", "account")
    assert site.web.people.names == {read("/who", "user_id"): "Ada Lovelace"}
    assert account["configure_user_id"] == site.web.people.logins[0][0].user_id


def prove_phone(page: Page) -> None:
    page.get_by_label("Phone number").fill(ADA)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Six-digit code").fill("000000")
    page.get_by_role("button", name="Verify").click()
