"""Every failure ends on a page, as JSON or at the app's hook, with a stable code and the right status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from configure_auth.errors import Code, SignInError, StoreError
from configure_auth.stores.memory import memory_stores

from ..support.reading import code_of, ending, links_of, no_calls
from ..support.web import Browser, Flow, MakeWeb, Web, callback_path, start_path

FLOWS: tuple[Flow, Flow] = ("link", "login")


class Locked:
    """A store whose every method says that it is locked."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def locked(*_: object, **__: object) -> None:
            raise StoreError("the store is locked: secret-table-name")

        return locked


def locked_stores(part: str) -> Any:
    return replace(memory_stores(), **{part: cast(Any, Locked())})


def cancelled(browser: Browser, flow: Flow, **headers: str) -> Any:
    return browser.come_back(browser.end(browser.begin(flow), error="access_denied"), **headers)


@pytest.mark.catalogue("C6")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_cancelled_sign_in_is_no_error_page(web: Web, browser: Browser, flow: Flow) -> None:
    answer = cancelled(browser, flow)

    assert answer.status_code == 303
    assert answer.headers["location"] == {"link": "/settings", "login": "/"}[flow] + "?configure=cancelled"


@pytest.mark.parametrize("flow", FLOWS)
def test_a_script_hears_of_a_cancelled_sign_in_by_its_code(web: Web, browser: Browser, flow: Flow) -> None:
    assert ending(cancelled(browser, flow, accept="application/json")) == (400, "cancelled")


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json", True),
        ("application/json, text/plain, */*", True),
        ("text/html, application/json", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_caller_chooses_page_or_json(web: Web, browser: Browser, flow: Flow, accept: str, is_json: bool) -> None:
    answer = browser.get(callback_path(flow), accept=accept)

    assert answer.headers["content-type"] == ("application/json" if is_json else "text/html; charset=utf-8")
    assert code_of(answer) == "invalid_request"
    if is_json:
        assert set(answer.json()) == {"error", "message", "cause"}


def test_an_error_page_leads_on(web: Web, browser: Browser) -> None:
    page = browser.come_back(browser.end(browser.begin("login", "?next=/settings?x=1"), error="server_error"))

    assert links_of(page) == ["/auth/configure/sign-in?next=%2Fsettings%3Fx%3D1", "/settings?x=1"]


@pytest.mark.catalogue("Q1")
@pytest.mark.parametrize("part", ["states", "accounts"])
@pytest.mark.parametrize("flow", FLOWS)
def test_a_locked_store_is_busy_and_says_so(make_web: MakeWeb, flow: Flow, part: str) -> None:
    web = make_web(constructor={"store": locked_stores(part), "states": None})
    with web.browser() as browser, no_calls(web.sandbox):
        browser.sign_in_locally("u1") if flow == "link" else None
        answer = browser.get(start_path(flow))

    if (flow, part) == ("login", "accounts"):
        assert answer.status_code == 303
    else:
        assert ending(answer) == (503, "store_busy")
        assert answer.headers["retry-after"] == "2"
        assert "secret-table-name" not in answer.text
    assert web.people.events == [] or answer.status_code == 303


@pytest.mark.catalogue("I14", "Q3")
@pytest.mark.parametrize("flow", FLOWS)
def test_a_store_that_locks_after_the_exchange_connects_nobody(make_web: MakeWeb, flow: Flow) -> None:
    stores = memory_stores()
    working = stores.accounts.save
    web = make_web(constructor={"store": stores})
    with web.browser() as browser:
        callback = browser.at_configure(browser.begin(flow))
        cast(Any, stores.accounts).save = Locked().save
        assert ending(browser.come_back(callback)) == (503, "store_busy")
        assert browser.who() == {"link": "u1", "login": None}[flow]
        cast(Any, stores.accounts).save = working
        before = len(web.sandbox.calls)
        assert ending(browser.come_back(callback)) == (503, "store_busy")
        assert len(web.sandbox.calls) == before
        assert browser.come_back(browser.at_configure(browser.begin(flow))).status_code == 303


def test_the_app_shows_its_own_page(make_web: MakeWeb) -> None:
    seen: list[SignInError] = []

    def on_error(error: SignInError) -> Any:
        seen.append(error)
        return "Our page", 418

    web = make_web(link={"on_error": on_error}, login={"on_error": on_error})
    with web.browser() as browser:
        for flow in FLOWS:
            answer = browser.get(callback_path(flow))
            assert (answer.status_code, answer.text) == (418, "Our page")
        cancel = cancelled(browser, "link")
        assert (cancel.status_code, cancel.text) == (418, "Our page")
    assert [(error.code, error.status) for error in seen] == [
        ("invalid_request", 400),
        ("invalid_request", 400),
        ("cancelled", 400),
    ]


@pytest.mark.parametrize("failure", [RuntimeError("secret-dsn"), StoreError("secret-dsn"), SignInError(Code.EXPIRED)])
def test_a_hook_that_fails_hides_no_page(make_web: MakeWeb, failure: Exception) -> None:
    def on_error(error: SignInError) -> None:
        raise failure

    web = make_web(link={"on_error": on_error})
    with web.browser() as browser:
        answer = browser.get(callback_path("link"))

        assert ending(answer) == (400, "invalid_request")
        assert "secret-dsn" not in answer.text


def test_a_hook_that_declines_gets_our_page(make_web: MakeWeb) -> None:
    web = make_web(link={"on_error": lambda error: None})
    with web.browser() as browser:
        assert ending(browser.get(callback_path("link"))) == (400, "invalid_request")


def test_a_user_id_function_that_fails_burns_no_attempt(make_web: MakeWeb) -> None:
    who: list[str | Exception] = ["u1"]

    def user_id() -> str:
        if isinstance(who[0], Exception):
            raise who[0]
        return who[0]

    web = make_web(constructor={"user_id": user_id})
    with web.browser() as browser:
        callback = browser.at_configure(browser.start("link"))
        who[0] = RuntimeError("secret-dsn")
        with no_calls(web.sandbox):
            broken = browser.come_back(callback)
        assert ending(broken) == (500, "misconfigured")
        assert "secret-dsn" not in broken.text
        who[0] = "u1"
        assert browser.come_back(callback).status_code == 303


@pytest.mark.catalogue("Q11")
@pytest.mark.parametrize("value", ["", True, 1.5, b"u1", "x" * 256, "a\0b"])
def test_a_user_id_that_is_none_is_misconfigured(make_web: MakeWeb, value: object) -> None:
    web = make_web(constructor={"user_id": lambda: value})
    with web.browser() as browser, no_calls(web.sandbox):
        for route in ("/configure/sign-in", "/auth/configure/sign-in", "/configure/status"):
            assert ending(browser.get(route)) == (500, "misconfigured")
