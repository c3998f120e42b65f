"""Whether a guard of the app stands in front of the routes that signed-out people need."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from flask import Flask, abort, g, request
from flask.testing import FlaskClient
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from configure_auth import Settings
from configure_auth.commands.checks import flask_app as flask_facts
from configure_auth.commands.checks import starlette_app as starlette_facts
from configure_auth.commands.checks.application import PageResponse
from configure_auth.commands.checks.findings import End
from configure_auth.commands.checks.routes import _permits
from configure_auth.commands.checks.run import describe
from configure_auth.starlette import ConfigureAuth

from .apps import Adapter, Judge, Setup, waited_for

ADAPTERS: tuple[Adapter, ...] = ("flask", "starlette")
LOGIN = ("/auth/configure/",)
MESSAGES = ("/configure/messages/",)


@pytest.fixture(params=ADAPTERS)
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    return Judge(request.param, tmp_path)


@pytest.fixture
def on_starlette(tmp_path: Path) -> Judge:
    return Judge("starlette", tmp_path)


def test_without_a_guard_every_door_is_open(judge: Judge) -> None:
    found = judge(messages=True)["login_guard"]

    assert found.end is End.PASSED
    paths = ("/auth/configure/sign-in", "/auth/configure/callback", "/configure/messages/complete")
    assert all(path in found.found for path in paths)


def test_a_guard_that_sends_everybody_to_sign_in_is_named(judge: Judge) -> None:
    found = judge(guard=("/static/",))["login_guard"]

    assert found.end is End.FAILED
    assert "/auth/configure/callback" in found.found
    assert "redirected to /sign-in" in found.found
    assert "planted" not in repr(found)
    wanted = '"configure_login"' if judge.adapter == "flask" else "middleware"
    assert wanted in (found.remedy or "")


@pytest.mark.parametrize(
    ("location", "said"),
    [("https://planted:planted@id.example/in?a=planted", "https://id.example/in"), ("https://[", "an invalid URL")],
)
def test_of_where_a_guard_sends_people_only_the_place_is_said(on_starlette: Judge, location: str, said: str) -> None:
    def wrap(app: Any, _: Any) -> Any:
        async def guard(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("", 302, headers={"location": location})(scope, receive, send)

        guard.app = app  # type: ignore[attr-defined]
        return guard

    found = on_starlette(wrap=wrap)["login_guard"]
    assert f"(redirected to {said})" in found.found
    assert "planted" not in repr(found)


@pytest.mark.parametrize("public", [LOGIN, LOGIN + MESSAGES])
def test_a_guard_that_lets_ours_through_is_good(judge: Judge, public: tuple[str, ...]) -> None:
    messages = public != LOGIN

    assert judge(guard=public, messages=messages)["login_guard"].end is End.PASSED


@pytest.mark.parametrize("shut", ["/auth/configure/sign-in", "/auth/configure/callback"])
def test_half_a_way_is_none(judge: Judge, shut: str) -> None:
    others = tuple({"/auth/configure/sign-in", "/auth/configure/callback"} - {shut})
    found = judge(guard=others)["login_guard"]

    assert found.end is End.FAILED
    assert shut in found.found


def test_the_report_of_a_journey_must_get_through(judge: Judge) -> None:
    found = judge(guard=LOGIN, messages=True)["login_guard"]

    assert found.end is End.FAILED
    assert "/configure/messages/complete" in found.found


def test_the_links_callback_is_for_who_is_signed_in(judge: Judge) -> None:
    assert judge(guard=LOGIN)["login_guard"].end is End.PASSED
    assert judge(guard=(), login=False)["login_guard"].end is End.SKIPPED


def test_where_pages_carry_bearer_tokens_the_links_callback_comes_without_one(judge: Judge) -> None:
    found = judge(guard=LOGIN, constructor={"session": False})["login_guard"]

    assert found.end is End.FAILED
    assert "/configure/callback" in found.found


def test_a_strict_cookie_needs_the_callback_open_on_starlette_alone(judge: Judge) -> None:
    found = judge(guard=LOGIN, cookie={"same_site": "strict"})["login_guard"]

    assert found.end is (End.FAILED if judge.adapter == "starlette" else End.PASSED)
    assert judge(guard=(*LOGIN, "/configure/callback"), cookie={"same_site": "strict"})["login_guard"].end is End.PASSED


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({"allow_origins": ["https://sign-in.me"], "allow_methods": ["POST"]}, End.PASSED),
        ({"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}, End.PASSED),
        ({"allow_origins": ["https://elsewhere.example"], "allow_methods": ["POST"]}, End.FAILED),
        ({"allow_origins": ["https://sign-in.me"], "allow_methods": ["PUT"]}, End.FAILED),
    ],
)
def test_cors_middleware_must_name_configures_page(on_starlette: Judge, given: dict[str, Any], end: End) -> None:
    def wrap(app: Any, _: Any) -> None:
        app.user_middleware.insert(0, Middleware(CORSMiddleware, **given))

    found = on_starlette(messages=True, wrap=wrap)["login_guard"]
    assert found.end is end
    assert ("allow_origins" in (found.remedy or "")) == (end is End.FAILED)


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({}, True),
        ({"access-control-allow-origin": "*"}, True),
        ({"access-control-allow-methods": "GET, POST"}, True),
        ({"access-control-allow-headers": "X-Other, Content-Type"}, True),
        ({"access-control-allow-origin": "https://elsewhere.example"}, False),
        ({"access-control-allow-origin": None}, False),
        ({"access-control-allow-methods": "GET, PUT"}, False),
        ({"access-control-allow-methods": None}, False),
        ({"access-control-allow-headers": "x-other"}, False),
    ],
)
def test_what_a_browser_takes_for_a_yes(changes: dict[str, str | None], good: bool) -> None:
    yes = {
        "access-control-allow-origin": "https://sign-in.me",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type",
    }
    headers = tuple((name, value) for name, value in (yes | changes).items() if value is not None)

    assert _permits(PageResponse(status=204, headers=headers, body=b""), "https://sign-in.me") is good
    assert not _permits(PageResponse(status=403, headers=headers, body=b""), "https://sign-in.me")


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 405), ("POST", 403)])
def test_a_guard_that_shuts_out_one_half_of_the_report_is_seen(tmp_path: Path, method: str, status: int) -> None:
    def wrap(app: Any, _: Any) -> None:
        def shut() -> None:
            if request.method == method:
                abort(status)

        app.before_request(shut)

    found = Judge("flask", tmp_path)(messages=True, wrap=wrap)["login_guard"]
    assert found.end is End.FAILED
    assert f"HTTP {status}" in found.found


def _failing(judge: Judge, error: BaseException) -> Any:
    """An app that raises wherever it is asked."""

    def wrap(app: Any, _: Any) -> Any:
        if judge.adapter == "flask":

            def fails() -> None:
                raise error

            app.before_request(fails)
            return None

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise error

        failing.app = app  # type: ignore[attr-defined]
        return failing

    return wrap


@pytest.mark.parametrize("config", [{}, {"PROPAGATE_EXCEPTIONS": True}])
def test_an_app_that_fails_there_is_said_to_fail_as_far_as_it_runs_here(judge: Judge, config: dict[str, Any]) -> None:
    found = judge(wrap=_failing(judge, RuntimeError("planted")), config=config)["login_guard"]

    # Without its lifespan an app on Starlette may fail where it wouldn't on a server.
    assert found.end is (End.FAILED if judge.adapter == "flask" else End.UNKNOWN)
    assert "/auth/configure/callback" in found.found
    assert "/auth/configure/callback" in (found.remedy or "")
    assert ("lifespan" in (found.remedy or "")) == (judge.adapter == "starlette")
    assert "is blocked for signed-out users" not in found.found
    assert "planted" not in repr(found)


@pytest.mark.parametrize("code", [0, 1])
def test_an_app_that_would_end_the_process_does_not(judge: Judge, code: int) -> None:
    found = judge(wrap=_failing(judge, SystemExit(code)))

    assert found["login_guard"].end is (End.FAILED if judge.adapter == "flask" else End.UNKNOWN)
    assert "SystemExit" in found["login_guard"].found
    assert found["csp"].end is End.SKIPPED


def test_an_app_that_never_answers_is_waited_for_a_while(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flask_facts if judge.adapter == "flask" else starlette_facts, "_TIMEOUT", 0.01)
    ended = Event()

    def wrap(app: Any, _: Any) -> Any:
        if judge.adapter == "flask":

            def waits() -> None:
                ended.wait()

            app.before_request(waits)
            return None

        async def waiting(scope: Any, receive: Any, send: Any) -> None:
            await anyio.sleep_forever()

        waiting.app = app  # type: ignore[attr-defined]
        return waiting

    try:
        found = judge(wrap=wrap)
    finally:
        ended.set()
    assert found["login_guard"].end is (End.FAILED if judge.adapter == "flask" else End.UNKNOWN)
    assert "it took more than 0.01 s" in found["login_guard"].found
    assert "it took more than 0.01 s" in found["csp"].found


def test_no_hook_and_no_user_is_asked(judge: Judge) -> None:
    asked: list[object] = []

    def who(*_: object) -> None:
        asked.append(_)

    assert judge(constructor={"user_id": who}, messages=True)["login_guard"].end is End.PASSED
    assert asked == []


class _SignedIn(FlaskClient):
    def open(self, *args: Any, **options: Any) -> Any:
        raise AssertionError("the app's own test client may sign somebody in")


def test_a_test_client_of_the_apps_own_is_left_alone(tmp_path: Path) -> None:
    def wrap(app: Flask, _: Any) -> None:
        app.test_client_class = _SignedIn

    assert Judge("flask", tmp_path)(wrap=wrap)["login_guard"].end is End.PASSED


def test_an_endless_page_is_heard_for_a_while(on_starlette: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starlette_facts, "_TIMEOUT", 0.01)

    async def endless() -> Any:
        yield b"one"
        await anyio.sleep_forever()

    def wrap(app: Any, _: Any) -> None:
        headers = {"Content-Security-Policy": "form-action 'none'"}
        app.router.routes.insert(0, Route("/", lambda request: StreamingResponse(endless(), headers=headers)))

    assert on_starlette(wrap=wrap)["csp"].end is End.WARNED


@pytest.mark.parametrize(("body", "patience", "parts"), [(b"more", 10, 2), (b"", 0, 0)])
def test_of_a_page_that_goes_on_and_on_only_the_beginning_is_read(
    on_starlette: Judge, monkeypatch: pytest.MonkeyPatch, body: bytes, patience: int, parts: int
) -> None:
    monkeypatch.setattr(starlette_facts, "_TIMEOUT", patience)
    sent: list[str] = []

    def wrap(app: Any, _: Any) -> Any:
        async def talking(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-security-policy", b"form-action 'none'")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while len(sent) < 1000:
                sent.append(scope["path"])
                await send({"type": "http.response.body", "body": body, "more_body": True})

        talking.app = app  # type: ignore[attr-defined]
        return talking

    assert on_starlette(wrap=wrap)["csp"].end is End.WARNED
    assert sent.count("/") == parts


def test_a_page_ends_itself_when_its_body_is_there(on_starlette: Judge) -> None:
    ended: list[str] = []

    def wrap(app: Any, _: Any) -> Any:
        async def outer(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            await anyio.lowlevel.checkpoint()
            ended.append(scope["path"])

        outer.app = app  # type: ignore[attr-defined]
        return outer

    assert on_starlette(wrap=wrap)["csp"].end is End.PASSED
    assert "/" in ended


def test_the_visitor_stays_until_the_page_is_there(on_starlette: Judge) -> None:
    async def page(request: Request) -> Response:
        gone = await request.is_disconnected() or await request.is_disconnected()
        return Response(headers={} if gone else {"Content-Security-Policy": "form-action 'none'"})

    def wrap(app: Any, _: Any) -> None:
        app.router.routes.insert(0, Route("/", page))

    assert on_starlette(wrap=wrap)["csp"].end is End.WARNED


def test_every_visit_is_in_a_context_of_its_own(tmp_path: Path) -> None:
    def once() -> None:
        assert "visited" not in g
        g.visited = True

    def wrap(app: Flask, _: Any) -> None:
        app.before_request(once)

    assert Judge("flask", tmp_path)(wrap=wrap)["login_guard"].end is End.PASSED


def test_where_no_app_was_named_there_is_nothing_to_describe(tmp_path: Path) -> None:
    settings = Settings.from_mapping(Setup().mapping)
    alone = ConfigureAuth(settings, store="memory://", user_id=lambda request: None)
    alone.account_link()

    assert starlette_facts.application_of(alone, alone._site) is None


def test_a_visitor_brings_what_a_test_says(judge: Judge) -> None:
    from . import apps

    make = apps._on_flask if judge.adapter == "flask" else apps._starlette
    application = describe(make(Setup(headers=(("X-One", "1"), ("X-One", "2"))), judge.folder))
    assert application is not None

    answer = waited_for(application.request("GET", "/?a=b", {"accept": "text/html"}))
    assert isinstance(answer, PageResponse)
    assert answer.all("x-one") == ["1", "2"]
    assert b"The app" in answer.body
