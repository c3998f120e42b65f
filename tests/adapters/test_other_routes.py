"""Requests to the app's own routes cost nothing of ours, and a page's buttons one look into the store."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import FrameType
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import configure_auth
from configure_auth.flask import ConfigureAuth as FlaskConfigureAuth
from configure_auth.sandbox import Sandbox
from configure_auth.starlette import ConfigureAuth as StarletteConfigureAuth

PACKAGE = str(Path(configure_auth.__file__).parent)
Get = Callable[[str], Counter[str]]
"""Sends a request and returns how often each function of the package was called."""


def counted(act: Callable[[], object]) -> Counter[str]:
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls[frame.f_code.co_qualname] += 1

    threading.setprofile(note)  # of a store's threads
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def on_flask(settings: dict[str, str]) -> Get:
    app = flask.Flask("app")
    app.secret_key = "a secret"
    ours = FlaskConfigureAuth(settings, store="memory://", user_id=lambda: "u1")
    ours.init_app(app)
    app.register_blueprint(ours.login(on_login=lambda _identity, _grant: "u1"))
    app.register_blueprint(ours.account_link())
    app.add_url_rule("/plain", "plain", lambda: "plain")
    app.add_url_rule("/buttons", "buttons", lambda: flask.render_template_string("{{ configure_button() }}" * 3))

    def get(path: str) -> Counter[str]:
        client = app.test_client()
        assert client.get(path).status_code == 200
        return counted(lambda: client.get(path))

    return get


def on_starlette(settings: dict[str, str]) -> Get:
    ours = StarletteConfigureAuth(settings, store="memory://", user_id=lambda _request: "u1")

    async def plain(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("plain")

    async def buttons(request: Request) -> PlainTextResponse:
        return PlainTextResponse("".join([await ours.button(request) for _ in range(3)]))

    routes = [ours.login(on_login=lambda *_given: "u1"), ours.account_link()]
    app = Starlette(
        routes=[*routes, Route("/plain", plain), Route("/buttons", buttons)],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret")],
    )

    async def send(path: str) -> None:
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"app")]}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        async def answer(message: MutableMapping[str, Any]) -> None:
            assert message.get("status", 200) == 200

        await app(scope, receive, answer)

    def get(path: str) -> Counter[str]:
        asyncio.run(send(path))
        return counted(lambda: asyncio.run(send(path)))

    return get


@pytest.fixture(params=[on_flask, on_starlette])
def get(request: pytest.FixtureRequest, configure_sandbox: Sandbox) -> Get:
    made: Get = request.param(configure_sandbox.environment())
    return made


def test_a_request_to_another_route_calls_next_to_nothing(get: Get) -> None:
    on_flask = {"_Before.before_request": 1, "keep_headers": 1}

    assert get("/plain") in ({"_Mount.matches": 2}, on_flask)


def test_buttons_of_one_page_read_the_store_once(get: Get) -> None:
    assert get("/buttons")["Sqlite.perform"] == 1
