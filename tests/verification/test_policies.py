"""What is said of the Content-Security-Policy of an app's first page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configure_auth.commands.checks.csp import allows, policies_of
from configure_auth.commands.checks.findings import End

from .apps import LIVE, Adapter, Judge

ADAPTERS: tuple[Adapter, ...] = ("flask", "starlette")
POLICY = {"Content-Security-Policy": "default-src 'self'"}
HOME = "https://app.example.com"
SCRIPT = "https://configure.dev/js/configure.js"
GOOD = "default-src 'self'; script-src 'self' https://configure.dev; connect-src 'self' https://api.configure.dev"


@pytest.fixture(params=ADAPTERS)
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    return Judge(request.param, tmp_path)


def csp(judge: Judge, *policies: str, **setup: Any) -> Any:
    headers = tuple(("Content-Security-Policy", policy) for policy in policies)
    return judge(headers=headers, **{"app_url": LIVE, "cookie": {"secure": True}, **setup})["csp"]


def test_without_a_policy_everything_is_allowed(judge: Judge) -> None:
    assert csp(judge).end is End.PASSED


def test_the_two_lines_of_the_readme_are_enough(judge: Judge) -> None:
    assert csp(judge, f"{GOOD}; form-action 'self'").end is End.PASSED


@pytest.mark.parametrize(
    ("policies", "changes"),
    [
        (
            ["default-src 'self'"],
            [
                "add: script-src 'self' https://configure.dev;",
                "add: connect-src 'self' https://api.configure.dev",
            ],
        ),
        ([f"{GOOD}; script-src-elem 'self'"], ["add to script-src-elem: https://configure.dev"]),
        ([GOOD.replace("connect-src 'self'", "connect-src")], ["add to connect-src: 'self'"]),
        ([GOOD, "connect-src 'none'"], ["add to connect-src: 'self' https://api.configure.dev"]),
        ([f"{GOOD}, script-src 'self'"], ["add to script-src: https://configure.dev"]),
        (
            [f"{GOOD.replace('script-src ', 'script-src ' + chr(39) + 'strict-dynamic' + chr(39) + ' ')}"],
            ["remove 'strict-dynamic', which disables origins, from script-src"],
        ),
        (["default-src 'none' 'nonce-r4nd0m'; connect-src *"], ["add: script-src 'nonce-...' 'self'"]),
    ],
)
def test_exactly_what_is_missing_is_said(judge: Judge, policies: list[str], changes: list[str]) -> None:
    found = csp(judge, *policies)

    assert found.end is End.WARNED
    assert [change for change in changes if change not in f"{found.remedy};"] == []
    assert "r4nd0m" not in repr(found)
    assert (found.remedy or "").count("add") == len(changes)


@pytest.mark.parametrize("given", [{"link": False}, {"settings": {"CONFIGURE_PUBLISHABLE_KEY": None}}])
def test_an_app_without_the_element_needs_nothing_for_it(judge: Judge, given: dict[str, Any]) -> None:
    assert csp(judge, "default-src 'self'", **given).end is End.PASSED


@pytest.mark.parametrize(
    ("directive", "end"),
    [
        ("form-action 'none'", End.WARNED),
        ("form-action", End.WARNED),
        ("form-action https://elsewhere.example", End.WARNED),
        ("form-action 'self'", End.PASSED),
        (f"form-action {HOME}", End.PASSED),
        ("FORM-ACTION 'SELF'", End.PASSED),
    ],
)
def test_our_forms_are_sent_to_the_app_itself(judge: Judge, directive: str, end: End) -> None:
    found = csp(judge, f"{GOOD}; {directive}")

    assert found.end is end
    assert (found.remedy == "add to form-action: 'self'") == (end is End.WARNED)


@pytest.mark.parametrize(
    ("directive", "end"),
    [
        ("style-src 'none'", End.WARNED),
        ("style-src https://cdn.example", End.WARNED),
        ("style-src-elem 'sha256-abc'", End.WARNED),
        ("style-src 'nonce-abc'", End.PASSED),
        ("style-src 'self'", End.PASSED),
    ],
)
def test_the_stylesheet_of_the_button_is_the_app_s_own(judge: Judge, directive: str, end: End) -> None:
    found = csp(judge, f"{GOOD}; {directive}")

    assert found.end is end
    assert ("configure_button(nonce=...)" in (found.remedy or "")) == (end is End.WARNED)


class _Policy:
    """A middleware that sets its policy on every response, whether there is one or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(POLICY)
            await send(message)

        await self._app(scope, receive, sending)


@pytest.mark.parametrize(("adapter", "end"), [("flask", End.PASSED), ("starlette", End.WARNED)])
def test_a_middleware_that_replaces_the_policy_of_our_pages(adapter: Adapter, end: End, tmp_path: Path) -> None:
    """Flask puts ours back; on Starlette the middleware is around our routes."""

    def wrap(app: Any, _: Any) -> None:
        if adapter == "flask":
            app.after_request(lambda response: response.headers.update(POLICY) or response)
        else:
            app.add_middleware(_Policy)

    settings = {"CONFIGURE_PUBLISHABLE_KEY": None}
    found = Judge(adapter, tmp_path)(link=False, settings=settings, wrap=wrap)["csp"]

    assert found.end is end
    assert ("the app changes the policy of our pages" in found.found) == (end is End.WARNED)


def _broken() -> str:
    raise RuntimeError("planted: what only a log may have")


@pytest.mark.parametrize("config", [{}, {"PROPAGATE_EXCEPTIONS": True}])
def test_a_page_that_fails_is_nothing_to_judge(judge: Judge, config: dict[str, Any]) -> None:
    found = csp(judge, page=_broken, config=config)

    assert found.end is End.SKIPPED
    assert "planted" not in found.found


@pytest.mark.parametrize(
    ("sources", "url", "allowed"),
    [
        ("'self'", f"{HOME}/configure/element.js", True),
        ("'self'", "https://www.app.example.com/", False),
        ("'none'", f"{HOME}/", False),
        ("'unsafe-inline' 'nonce-abc' 'sha256-abc'", SCRIPT, False),
        ("*", SCRIPT, True),
        ("https:", SCRIPT, True),
        ("http:", SCRIPT, True),
        ("data:", SCRIPT, False),
        ("configure.dev", SCRIPT, True),
        ("CONFIGURE.dev", SCRIPT, True),
        ("http://configure.dev", SCRIPT, True),
        ("https://configure.dev:443", SCRIPT, True),
        ("https://configure.dev:*", SCRIPT, True),
        ("https://configure.dev:8443", SCRIPT, False),
        ("https://configure.dev/js/", SCRIPT, True),
        ("https://configure.dev/js/configure.js", SCRIPT, True),
        ("https://configure.dev/js", SCRIPT, False),
        ("https://configure.dev/css/", SCRIPT, False),
        ("https://*.configure.dev", SCRIPT, False),
        ("https://*.dev", SCRIPT, True),
        ("https://notconfigure.dev", SCRIPT, False),
        ("*.configure.dev", "https://api.configure.dev/", True),
        ("wss://configure.dev", SCRIPT, False),
        ("http://127.0.0.1:4010", "http://127.0.0.1:4010/js/configure.js", True),
        ("http://127.0.0.1:4011", "http://127.0.0.1:4010/js/configure.js", False),
    ],
)
def test_sources_are_read_as_browsers_read_them(sources: str, url: str, allowed: bool) -> None:
    (policy,) = policies_of([f"script-src {sources}"])

    assert allows(policy, "script-src", url, HOME) is allowed


def test_a_bare_host_has_the_scheme_of_the_page() -> None:
    (policy,) = policies_of(["script-src 127.0.0.1:4010"])

    assert allows(policy, "script-src", "http://127.0.0.1:4010/a", "http://localhost:3000")
    assert not allows(policy, "script-src", "http://127.0.0.1:4010/a", HOME)


def test_the_first_directive_of_a_name_counts_and_the_more_particular_one_decides() -> None:
    (policy,) = policies_of(["script-src 'self'; script-src https://configure.dev; default-src *"])

    assert not allows(policy, "script-src", SCRIPT, HOME)
    assert allows(policy, "connect-src", SCRIPT, HOME)
    assert allows(policy, "form-action", f"{HOME}/", HOME)


@pytest.mark.parametrize("header", ["", ";", " , ;", ","])
def test_an_empty_policy_is_none(header: str) -> None:
    assert policies_of([header]) == []


def test_no_cookie_and_no_redirect_goes_along(judge: Judge) -> None:
    pages: list[str] = []

    def page() -> str:
        pages.append("seen")
        return "<title>The app</title>"

    assert csp(judge, page=page).end is End.PASSED
    assert pages == ["seen"]


@pytest.mark.parametrize("status", [302, 401, 404])
def test_an_app_without_a_first_page_is_said_to_have_none(tmp_path: Path, status: int) -> None:
    def wrap(app: Any, _: Any) -> None:
        app.after_request(lambda response: response.__class__(status=status, headers={"Location": "/elsewhere"}))

    found = csp(Judge("flask", tmp_path), "default-src 'none'", wrap=wrap)

    assert found.end is End.SKIPPED
    assert str(status) in found.found
