"""Somebody with a browser of their own, who notices whatever goes wrong in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    WebError,
    expect,
)

from configure_auth.flows.response import LOOPBACK_COOKIE_NAME

from .apps import ExampleApp, Served

__all__ = ["ADA", "BUTTON", "GRACE", "Flow", "Person", "callback_path", "start_path"]

Flow = Literal["link", "login"]

ADA, GRACE = "+15550100001", "+15550100002"
"""Phones: Ada has a name and a profile at Configure, Grace has nothing but the phone."""

BUTTON = "Continue with Configure"
SCREENSHOTS = os.environ.get("CONFIGURE_TEST_SCREENSHOTS")
WIDE, NARROW = {"width": 1100, "height": 800}, {"width": 390, "height": 844}
_FAILED_RESOURCE = re.compile(r"Failed to load resource: the server responded with a status of \d+")


def start_path(flow: Flow) -> str:
    return {"link": "/configure/sign-in", "login": "/auth/configure/sign-in"}[flow]


def callback_path(flow: Flow) -> str:
    return {"link": "/configure/callback", "login": "/auth/configure/callback"}[flow]


@dataclass
class Person:
    """A browser profile, and its first tab. `visit` and what follows take another tab where one is given."""

    served: Served
    context: BrowserContext
    page: Page
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    console: list[ConsoleMessage] = field(default_factory=list)
    failures: list[WebError] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """What a script of the app's page is expected to be refused, in order: "POST /configure/finish 409"."""

    @classmethod
    def at(cls, browser: Browser, served: Served) -> Person:
        context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        person = cls(served, context, context.new_page())
        context.on("request", lambda seen: person.requests.append(seen))
        context.on("response", lambda seen: person.answers.append(seen))
        context.on("console", lambda seen: person.console.append(seen))
        context.on("weberror", lambda seen: person.failures.append(seen))
        return person

    @property
    def example(self) -> ExampleApp:
        return self.served.example

    def new_tab(self) -> Page:
        return self.context.new_page()

    # In the app

    def visit(self, path: str, tab: Page | None = None) -> None:
        (tab or self.page).goto(self.served.url + path)

    def sign_up(self, username: str, password: str = "a long password") -> None:
        self.visit(self.example.sign_up)
        self.fill_in(username, password, self.example.sign_up_button)

    def sign_in(self, username: str, password: str = "a long password") -> None:
        self.visit(self.example.sign_in)
        self.fill_in(username, password, self.example.sign_in_button)

    def fill_in(self, username: str, password: str, button: str) -> None:
        self.page.get_by_label(self.example.username).fill(username)
        self.page.get_by_label(self.example.password).fill(password)
        self.page.get_by_role("main").get_by_role("button", name=button, exact=True).click()
        self.expect_signed_in()

    def sign_out(self, tab: Page | None = None) -> None:
        (tab or self.page).get_by_role("button", name=self.example.sign_out_button).click()
        self.expect_signed_out(tab)

    def disconnect(self, tab: Page | None = None) -> None:
        (tab or self.page).get_by_role("button", name=self.example.disconnect_button).click()
        expect(self.button(tab)).to_be_visible()

    def delete_account(self) -> None:
        self.visit(self.example.settings)
        self.page.get_by_role("checkbox").check()
        self.page.get_by_role("button", name=self.example.delete_button).click()
        self.expect_signed_out()

    def button(self, tab: Page | None = None) -> Locator:
        return (tab or self.page).get_by_role("link", name=BUTTON, exact=True)

    def press(self, flow: Flow, tab: Page | None = None) -> None:
        """Go to where the button of a flow is, and press it."""
        self.visit(self.example.settings if flow == "link" else self.example.sign_in, tab)
        self.button(tab).click()

    # At Configure

    def prove_phone(self, phone: str = ADA, tab: Page | None = None) -> None:
        tab = tab or self.page
        tab.get_by_label("Phone number").fill(phone)
        tab.get_by_role("button", name="Continue").click()
        tab.get_by_label("Six-digit code").fill("000000")
        tab.get_by_role("button", name="Verify").click()
        expect(self.allow_button(tab)).to_be_visible()

    def allow_button(self, tab: Page | None = None) -> Locator:
        return (tab or self.page).get_by_role("button", name="Allow", exact=True)

    def allow(self, tab: Page | None = None) -> None:
        self.allow_button(tab).click()

    def cancel(self, tab: Page | None = None) -> None:
        (tab or self.page).get_by_role("button", name="Cancel").click()

    # Back

    def back_to_the_app(self) -> None:
        """Press Back until the page is the app's again: the hosted pages were forms, and none of them is sent anew."""
        session = self.context.new_cdp_session(self.page)
        history = session.send("Page.getNavigationHistory")
        session.detach()
        addresses = [entry["url"] for entry in history["entries"]]
        assert not any("code=" in address for address in addresses), "a callback stayed in the history"
        here = history["currentIndex"]
        there = max(index for index in range(here) if addresses[index].startswith(self.served.url))
        self.page.evaluate("(steps) => history.go(steps)", there - here)
        expect(self.page).to_have_url(addresses[there])

    # The whole way

    def connect(self, phone: str = ADA) -> None:
        """Link, from the button to the settings page."""
        self.press("link")
        self.prove_phone(phone)
        self.allow()
        self.expect_connected()

    def continue_with_configure(self, phone: str = ADA) -> None:
        """Sign in by the button."""
        self.press("login")
        self.prove_phone(phone)
        self.allow()
        self.expect_at(self.example.home)
        self.expect_signed_in()

    # What there is to see

    def expect_at(self, path: str, tab: Page | None = None) -> None:
        expect(tab or self.page).to_have_url(self.served.url + path)

    def expect_signed_in(self, tab: Page | None = None) -> None:
        expect((tab or self.page).get_by_role("button", name=self.example.sign_out_button)).to_be_visible()

    def expect_signed_out(self, tab: Page | None = None) -> None:
        tab = tab or self.page
        expect(self.button(tab)).to_be_visible()
        expect(tab.get_by_role("button", name=self.example.sign_out_button)).to_have_count(0)

    def expect_connected(self, tab: Page | None = None) -> None:
        self.expect_at(self.example.settings, tab)
        expect((tab or self.page).get_by_text(self.example.connected)).to_be_visible()

    def expect_not_connected(self) -> None:
        self.visit(self.example.settings)
        expect(self.button()).to_be_visible()
        expect(self.page.get_by_text(self.example.connected)).to_be_hidden()

    def expect_error(self, code: str, status: int, tab: Page | None = None) -> None:
        """Our page for a code, at the address and with the status that the browser was last answered."""
        tab = tab or self.page
        expect(tab.get_by_role("main").locator("code")).to_have_text(code)
        assert self.documents(tab)[-1].status == status
        self.look(code, tab)

    def documents(self, tab: Page | None = None) -> list[Response]:
        """The answers to the tab's own requests for pages, redirects too."""
        frame = (tab or self.page).main_frame
        return [answer for answer in self.answers if answer.request.is_navigation_request() and answer.frame == frame]

    def callbacks(self, flow: Flow, tab: Page | None = None) -> list[Response]:
        """The answers that the callback of a flow gave."""
        return [
            answer
            for answer in self.documents(tab)
            if urlsplit(answer.url).path == self.example.prefix + callback_path(flow)
        ]

    def look(self, name: str, tab: Page | None = None) -> None:
        """See that the page fits the screen of a phone, and keep pictures of it where they are asked for."""
        tab = tab or self.page
        for size in (WIDE, NARROW):
            tab.set_viewport_size(size)  # type: ignore[arg-type]
            wide, seen = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= seen, f"{name} is {wide} px wide on a screen of {size['width']}"
            if SCREENSHOTS:
                self._picture(tab, f"{name}-{'wide' if size is WIDE else 'narrow'}")
        tab.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def _picture(self, tab: Page, name: str) -> None:
        for scheme in ("dark", "light"):
            tab.emulate_media(color_scheme=scheme)
            path = Path(SCREENSHOTS or "") / f"{self.example.name}-{name}-{scheme}.png"
            tab.screenshot(path=path, full_page=True, caret="initial")

    # What must hold whatever they did

    def check(self) -> None:
        """No complaint of the browser, no third host, no cookie but the two, and no token in an address.

        Nor was a script refused anything but what the test expects.
        """
        for tab in self.context.pages:
            tab.evaluate("1")  # whatever the page had to say has arrived before this
        assert [failure.error.message for failure in self.failures] == []
        assert [message.text for message in self.console if self._is_complaint(message)] == []
        assert [
            f"{answer.request.method} {urlsplit(answer.url).path} {answer.status}"
            for answer in self.answers
            if answer.request.resource_type == "fetch" and answer.status >= 400
        ] == self.refusals
        self._check_requests()
        self._check_cookies()

    def _is_complaint(self, message: ConsoleMessage) -> bool:
        if message.type not in ("error", "warning"):
            return False
        # Chromium logs every answer with a status of 400 and more; pages are meant to have it, and what a script was
        # refused is looked at by itself.
        meant = {
            answer.url
            for answer in self.answers
            if answer.request.is_navigation_request() or answer.request.resource_type == "fetch"
        }
        return not (_FAILED_RESOURCE.match(message.text) and message.location["url"] in meant)

    def _check_requests(self) -> None:
        served, sandbox = self.served, self.served.sandbox
        hosted = {sandbox.accounts_url, sandbox.sign_in_url}
        secrets = {token.token for token in sandbox.tokens}
        secrets |= {sandbox.credentials.api_key, sandbox.credentials.client_secret}
        for request in self.requests:
            parts = urlsplit(request.url)
            if parts.scheme == "data":
                continue
            origin = f"{parts.scheme}://{parts.netloc}"
            allowed = {served.url, served.other_url} | (hosted if request.is_navigation_request() else set())
            assert origin in allowed, f"a page asked {origin}"
            assert not any(secret in request.url for secret in secrets), "a token in an address"

        # As the servers got them: what the browser's own events say of a referrer is a guess.
        received = [*served.referrers, *(call.headers.get("referer", "") for call in sandbox.calls)]
        for referrer in received:
            sent = parse_qs(urlsplit(referrer).query)
            assert not sent.keys() & {"code", "state"}, "a callback's address was sent as a referrer"

    def _check_cookies(self) -> None:
        own, session = LOOPBACK_COOKIE_NAME, self.example.session_cookie
        for cookie in self.context.cookies():
            name = cookie.get("name", "")
            if name.startswith("configure_sandbox_"):
                continue
            assert name in (own, session)
            strict = self.served.variation.strict and name == session
            assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict" if strict else "Lax"), name
            assert (cookie.get("path"), cookie.get("domain", "")[:1] != ".") == ("/", True), name
