"""Configure's hosted element in a page of an app whose users it has served without a browser until now.

Both readings of what the element tells the page are played: an agent token, which connects at once, and the raw token
of the one-time password, after which the person is asked for one more step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, expect

from configure_auth.errors import Code
from configure_auth.sandbox import Sandbox
from configure_auth.ui import wording
from example_apps.cli_bot import create_app as create_bot

from ..support.flask_web import listening
from ..support.server_side import pages
from ..support.web import Adapter, Options, Web, running
from .apps import ExampleApp, Served, Variation
from .person import ADA, BUTTON, Person

T = TypeVar("T")
Reading = Literal["agent", "user"]

SESSION, VALIDATE, EXCHANGE = "/configure/session", "/v1/auth/sign-in/validate", "/v1/auth/sign-in/exchange"
FACT = "Prefers window seats"
NEITHER = ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'")
"""A policy that allows nothing; what the element needs comes on top."""


def needed(sandbox: Sandbox) -> dict[str, tuple[str, ...]]:
    """The lines of a policy that the README names, with the sandbox's origins."""
    scripts, calls = ("'self'", sandbox.script_url), ("'self'", sandbox.api_url)
    return {"script-src": scripts, "connect-src": calls, "style-src": ("'self'",)}


def policy(lines: Mapping[str, Sequence[str]]) -> str:
    return "; ".join([*NEITHER, *(" ".join((name, *sources)) for name, sources in lines.items())])


class Visitor(Person):
    """Somebody on such a page, whose script comes from Configure, and asks its API."""

    web: Web

    def open(self, query: str = "?next=/settings") -> None:
        """Open the page with the element, as u1."""
        self.context.request.post(f"{self.web.url}/in/u1")
        self.visit(f"/element{query}")

    def prove_phone_in_the_element(self, phone: str = ADA) -> None:
        self.page.get_by_label("Phone number").fill(phone)
        self.page.get_by_role("button", name="Continue").click()
        self.page.get_by_label("Six-digit code").fill("000000")
        self.page.get_by_role("button", name="Verify").click()

    def expect_offered(self, words: str | re.Pattern[str] = "One more step: let this app in.") -> None:
        """The page says why it doesn't go on by itself, and has a button to go on with."""
        status = self.page.get_by_role("status")
        expect(status.get_by_role("paragraph")).to_have_text(words)
        expect(status.get_by_role("link")).to_have_accessible_name(BUTTON)

    def answer(self, path: str) -> Any:
        return self.context.request.get(self.web.url + path).json()

    def posted(self) -> int:
        """How many tokens the page handed over."""
        return len([one for one in self.requests if urlsplit(one.url).path == SESSION])

    def _check_requests(self) -> None:
        sandbox, origins = self.served.sandbox, {self.served.url}
        hosted = {sandbox.script_url: "script", sandbox.api_url: "fetch"}
        for request in self.requests:
            parts = urlsplit(request.url)
            origin = f"{parts.scheme}://{parts.netloc}"
            there = request.is_navigation_request() and origin == sandbox.sign_in_url
            assert origin in origins or hosted.get(origin) == request.resource_type or there, request.url
            assert not any(token.token in request.url for token in sandbox.tokens), "a token in an address"


Open = Callable[..., Visitor]


@contextmanager
def elsewhere(context: AbstractContextManager[T]) -> Iterator[T]:
    """A context in a thread of its own: the sync Playwright holds this one's event loop."""
    with ThreadPoolExecutor(1) as thread:
        entered = thread.submit(context.__enter__).result()
        try:
            yield entered
        finally:
            thread.submit(context.__exit__, None, None, None).result()


@pytest.fixture(params=["flask", "starlette"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    chosen: Adapter = request.param
    return chosen


on_one = pytest.mark.parametrize("adapter", ["flask"])


@pytest.fixture
def meet(adapter: Adapter, browser: Browser, configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Open]:
    """Somebody who visits an app of their own, under the policy that the README names unless another is given."""
    with ExitStack() as stack:
        people: list[Visitor] = []

        def make(reading: Reading = "agent", lines: Any = None, **options: Any) -> Visitor:
            configure_sandbox.variants.element_token = reading
            customise = pages(policy(needed(configure_sandbox) if lines is None else lines))
            chosen = Options(customise=customise, **options)
            web = stack.enter_context(elsewhere(running(adapter, configure_sandbox, tmp_path, chosen)))
            port = urlsplit(web.url).port
            assert port is not None
            served = Served(
                example=ExampleApp(name="element", serve=cast(Any, None), session_cookie="session"),
                sandbox=configure_sandbox,
                port=port,
                folder=tmp_path,
                variation=Variation(),
            )
            visitor = cast(Visitor, Visitor.at(browser, served))
            visitor.web = web
            stack.callback(visitor.context.close)
            people.append(visitor)
            return visitor

        yield make
        for visitor in people:
            visitor.check()


def serve_without_a_browser(visitor: Visitor) -> None:
    visitor.context.request.post(f"{visitor.web.url}/remember/u1", data=FACT)
    assert visitor.answer("/memories/u1") == {"memories": [FACT]}


def expect_upgraded(visitor: Visitor) -> None:
    """The page went on, u1 is connected, and what was known of u1 is the person's now, and nobody else's."""
    expect(visitor.page).to_have_url(f"{visitor.web.url}/settings")
    assert visitor.answer("/account")["account"]["user_id"] == "u1"
    assert visitor.answer("/known") == {"memories": [FACT]}
    assert visitor.answer("/memories/u1") == {"memories": []}


def test_an_agent_token_of_the_element_s_connects_at_once(meet: Open) -> None:
    visitor = meet("agent")
    serve_without_a_browser(visitor)
    visitor.open()
    visitor.look("phone")
    visitor.prove_phone_in_the_element()

    expect_upgraded(visitor)
    assert visitor.posted() == 1, "two events told of one token"
    assert visitor.served.sandbox.calls_to("POST", EXCHANGE) == []


@pytest.mark.extended
def test_after_a_raw_token_the_person_lets_the_app_in(meet: Open) -> None:
    visitor = meet("user")
    serve_without_a_browser(visitor)
    visitor.refusals.append(f"POST {SESSION} 400")
    visitor.open()
    visitor.prove_phone_in_the_element()
    visitor.expect_offered()
    visitor.look("one-more-step")
    assert visitor.answer("/account") == {"account": None}

    visitor.button().click()
    visitor.prove_phone()
    visitor.allow()

    expect_upgraded(visitor)
    assert visitor.posted() == 1


@pytest.mark.extended
@on_one
@pytest.mark.parametrize("reading", ["agent", "user"])
def test_by_the_keyboard_alone(meet: Open, reading: Reading) -> None:
    visitor = meet(reading)
    serve_without_a_browser(visitor)
    if reading == "user":
        visitor.refusals.append(f"POST {SESSION} 400")
    visitor.open()
    keyboard = visitor.page.keyboard
    for label, typed in (("Phone number", ADA), ("Six-digit code", "000000")):
        expect(visitor.page.get_by_label(label)).to_be_focused()
        keyboard.type(typed)
        keyboard.press("Enter")
    if reading == "user":
        visitor.expect_offered()
        keyboard.press("Tab")
        expect(visitor.button()).to_be_focused()
        keyboard.press("Enter")
        visitor.prove_phone()
        visitor.allow()

    expect_upgraded(visitor)


# ── the bot example ───────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def bot_running(sandbox: Sandbox, folder: Path) -> Iterator[tuple[Flask, int]]:
    with listening() as (port, serve):
        url = f"http://localhost:{port}"
        sandbox.register_return_to(f"{url}/configure/callback")
        app = create_bot(sandbox.environment(url), instance_path=folder)
        plain = app.wsgi_app

        def whole(environ: Any, start_response: Any) -> list[bytes]:
            # Werkzeug's server forgets to close a file where the browser hangs up, so it gets bytes only.
            answer = plain(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                getattr(answer, "close", lambda: None)()

        app.wsgi_app = whole  # type: ignore[method-assign]
        with serve(app):
            yield app, port


@pytest.mark.extended
@pytest.mark.parametrize("reading", ["agent", "user"])
def test_the_bot_s_user_takes_along_what_it_knows(
    browser: Browser, configure_sandbox: Sandbox, tmp_path: Path, reading: Reading
) -> None:
    configure_sandbox.variants.element_token = reading
    with elsewhere(bot_running(configure_sandbox, tmp_path)) as (bot, port):
        example = ExampleApp(name="element-bot", serve=cast(Any, None), session_cookie="cli_bot_session")
        served = Served(example=example, sandbox=configure_sandbox, port=port, folder=tmp_path, variation=Variation())
        commands = bot.test_cli_runner()
        assert commands.invoke(args=("ask", "ada", FACT)).output == "I'll remember that.\n"
        password = commands.invoke(args=("invite", "ada")).output.split()[-1]
        visitor = cast(Visitor, Visitor.at(browser, served))

        visitor.visit("/")
        visitor.look("sign-in")
        visitor.page.get_by_label("Name").fill("ada")
        visitor.page.get_by_label("Password").fill(password)
        visitor.page.get_by_role("button", name="Sign in").click()
        expect(visitor.page.get_by_label("Phone number")).to_be_visible()
        visitor.look("phone")
        visitor.prove_phone_in_the_element()
        if reading == "user":
            visitor.refusals.append(f"POST {SESSION} 400")
            visitor.expect_offered()
            visitor.look("one-more-step")
            visitor.button().click()
            visitor.prove_phone()
            visitor.allow()

        expect(visitor.page.locator("#memories")).to_have_text(FACT)
        visitor.look("upgraded")
        assert commands.invoke(args=("ask", "ada", "Which seats?")).output == f"You told me: {FACT}\n"
        visitor.check()
        visitor.context.close()


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.extended
@on_one
def test_a_profile_of_somebody_else_s_is_told_in_words(meet: Open) -> None:
    visitor = meet("agent")
    sandbox = visitor.served.sandbox
    visitor.context.request.post(f"{visitor.web.url}/in/u2")
    token = sandbox.issue_agent_token(sandbox.add_person(ADA))
    visitor.context.request.post(
        visitor.web.url + SESSION, data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    visitor.refusals.append(f"POST {SESSION} 409")
    visitor.open()
    visitor.prove_phone_in_the_element()

    visitor.expect_offered(wording.texts[Code.ACCOUNT_TAKEN].sentence)
    visitor.look("account-taken")
    assert visitor.answer("/account") == {"account": None}


@pytest.mark.extended
@on_one
def test_after_an_outage_the_button_ends_what_the_element_began(meet: Open) -> None:
    visitor = meet("agent")
    serve_without_a_browser(visitor)
    visitor.served.sandbox.fault(VALIDATE, status=503)
    visitor.refusals.append(f"POST {SESSION} 503")
    visitor.open()
    visitor.prove_phone_in_the_element()
    visitor.expect_offered(wording.texts[Code.UPSTREAM_UNAVAILABLE].sentence)

    visitor.button().click()
    visitor.prove_phone()
    visitor.allow()

    expect_upgraded(visitor)


@pytest.mark.extended
@on_one
def test_a_server_out_of_reach_is_told_in_words(meet: Open) -> None:
    visitor = meet("agent")
    visitor.open()
    visitor.page.route(f"**{SESSION}", lambda route: route.abort())
    visitor.prove_phone_in_the_element()

    visitor.expect_offered(re.compile("That didn.t work. Please try again."))
    visitor.console.clear()  # the browser's own word of it


@pytest.mark.extended
@on_one
def test_who_signed_out_meanwhile_is_told_so(meet: Open) -> None:
    visitor = meet("agent")
    visitor.refusals.append(f"POST {SESSION} 401")
    visitor.open()
    visitor.context.request.post(f"{visitor.web.url}/out")
    visitor.prove_phone_in_the_element()

    visitor.expect_offered(wording.texts[Code.SIGNED_OUT].sentence)


@pytest.mark.extended
@on_one
def test_a_page_of_somebody_who_signed_out_connects_nobody_else(meet: Open) -> None:
    visitor = meet("agent")
    serve_without_a_browser(visitor)
    visitor.refusals.append(f"POST {SESSION} 403")
    visitor.open()
    visitor.context.request.post(f"{visitor.web.url}/in/u2")
    visitor.prove_phone_in_the_element()

    visitor.expect_offered(wording.texts[Code.WRONG_USER].sentence)
    assert visitor.answer("/account") == {"account": None}


@pytest.mark.extended
@on_one
def test_an_app_with_error_pages_of_its_own_loses_nobody(meet: Open) -> None:
    visitor = meet("user", link={"on_error": lambda error: ("<h1>Our page</h1>", 418)})
    serve_without_a_browser(visitor)
    visitor.refusals.append(f"POST {SESSION} 418")
    visitor.open()
    visitor.prove_phone_in_the_element()
    visitor.expect_offered()

    visitor.button().click()
    visitor.prove_phone()
    visitor.allow()

    expect_upgraded(visitor)


# ── the policy ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.extended
@on_one
@pytest.mark.parametrize(
    ("line", "source", "blocked"),
    [
        ("script-src", 0, "/configure/element.js"),
        ("script-src", 1, "/js/configure.js"),
        ("connect-src", 0, SESSION),
        ("connect-src", 1, "/v1/auth/otp/start"),
    ],
)
def test_each_source_of_the_policy_is_needed(
    meet: Open, configure_sandbox: Sandbox, line: str, source: int, blocked: str
) -> None:
    lines = {name: [*sources] for name, sources in needed(configure_sandbox).items()}
    del lines[line][source]
    visitor = meet("agent", {name: sources or ["'none'"] for name, sources in lines.items()})
    with visitor.page.expect_console_message(lambda said: "Content Security Policy" in said.text) as said:
        visitor.open()
        if line == "connect-src":
            visitor.page.get_by_label("Phone number").fill(ADA)
            visitor.page.get_by_role("button", name="Continue").click()
        if blocked == SESSION:
            visitor.page.get_by_label("Six-digit code").fill("000000")
            visitor.page.get_by_role("button", name="Verify").click()

    assert blocked in said.value.text
    assert line in said.value.text
    assert visitor.answer("/account") == {"account": None}
    visitor.console.clear()
