"""Session fixation with sessions at the server: whoever knew the id before a sign-in is signed in by none of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cachelib import FileSystemCache
from flask import Flask, session
from flask.sessions import SessionInterface
from flask_session import Session
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starsessions import InMemoryStore, SessionAutoloadMiddleware
from starsessions import SessionMiddleware as StarSessions

from configure_auth.sandbox import Sandbox

from ..support.flask_sessions import ServerSession, ServerSessions
from ..support.servers import RedisServer
from ..support.stores import first
from ..support.web import Adapter, Options, Web, running

KEPT = {"keep_session": ("cart",)}

Serve = Callable[..., Web]


@pytest.fixture
def serve(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(adapter: Adapter, **options: Any) -> Web:
            return stack.enter_context(running(adapter, configure_sandbox, tmp_path, Options(**options)))

        yield start


def assert_session_is_new(web: Web, cookie: str = "session", *, cart: str | None = None) -> None:
    """Sign in with a session that somebody else knows. Afterwards that one is worth nothing."""
    with web.browser() as browser:
        browser.post("/keep/cart/book")
        browser.post("/keep/planted/value")
        before = browser.http.cookies[cookie]
        with browser.copy() as attacker:
            answer = browser.login()

            assert answer.status_code == 303, answer.text
            assert browser.http.cookies[cookie] != before
            assert browser.who() is not None
            kept = browser.get("/session").json()
            assert (kept.get("cart"), kept.get("planted")) == (cart, None)
            assert attacker.who() is None


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings but for the one of Flask's own key."""
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [one for one in said if "CONFIGURE_TOKEN_KEYS" not in one]


def flask_session(configuration: dict[str, Any], app: Flask, _: object) -> None:
    app.config.update(configuration)
    if "SQLALCHEMY_DATABASE_URI" in configuration:
        app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
    Session(app)


@pytest.mark.catalogue("J1")
@pytest.mark.parametrize("back_end", first(["filesystem", "redis", "sqlalchemy"]))
@pytest.mark.parametrize("kept", [{}, KEPT], ids=["empty", "kept"])
def test_flask_session_gets_new_id(
    serve: Serve, request: pytest.FixtureRequest, tmp_path: Path, back_end: str, kept: dict[str, Any]
) -> None:
    """Its `regenerate` leaves an empty session its id, so it comes before the session is cleared."""
    with ExitStack() as stack:
        configuration: dict[str, Any] = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": FileSystemCache(str(tmp_path))}
        if back_end == "redis":
            server: RedisServer = request.getfixturevalue("redis_server")
            client = stack.enter_context(Redis.from_url(stack.enter_context(server.database())))
            configuration = {"SESSION_TYPE": "redis", "SESSION_REDIS": client}
        elif back_end == "sqlalchemy":
            uri = f"sqlite:///{tmp_path / 'sessions.db'}"
            configuration = {"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": uri}

        web = serve("flask", constructor=kept, customise=partial(flask_session, configuration))
        assert_session_is_new(web, cart="book" if kept else None)


class OwnSession(ServerSession):
    """A session with a `regenerate` of its own, which leaves the new id to the end of the request."""

    def regenerate(self) -> None:
        self.sid = ""


class OwnSessions(ServerSessions):
    regenerate = None  # type: ignore[assignment]

    def open_session(self, app: Flask, request: Any) -> OwnSession:
        found = super().open_session(app, request)
        mine = OwnSession(found)
        mine.sid = found.sid
        return mine

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        session.sid = session.sid or secrets.token_hex(16)
        super().save_session(app, session, response)


class UnknownSessions(ServerSessions):
    """Sessions whose id nothing that we know changes."""

    regenerate = None  # type: ignore[assignment]


def own_interface(interface: SessionInterface, app: Flask, _: object) -> None:
    app.session_interface = interface


def test_flask_session_with_regenerate_gets_new_id(serve: Serve) -> None:
    assert_session_is_new(
        serve("flask", constructor=KEPT, customise=partial(own_interface, OwnSessions())), cart="book"
    )


def test_flask_hook_renews_unknown_session(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def renew() -> None:
        session.sid = secrets.token_hex(16)  # type: ignore[attr-defined]

    web = serve(
        "flask",
        constructor={**KEPT, "renew_session": renew},
        customise=partial(own_interface, UnknownSessions()),
    )

    assert_session_is_new(web, cart="book")
    assert "session fixation" not in caplog.text


def test_flask_warns_once_of_unknown_session(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """At the first request, because an app sets its session interface after `init_app` as well."""
    web = serve("flask", customise=partial(own_interface, UnknownSessions()))
    with web.browser() as browser:
        for _ in range(2):
            browser.get("/who")

    (said,) = warnings_in(caplog)
    assert "session fixation" in said
    assert "UnknownSessions" in said
    assert "renew_session=" in said


@pytest.mark.parametrize("customise", [None, partial(own_interface, OwnSessions())], ids=["cookie", "regenerate"])
def test_flask_says_nothing_of_known_sessions(serve: Serve, caplog: pytest.LogCaptureFixture, customise: Any) -> None:
    web = serve("flask", customise=customise)
    with web.browser() as browser:
        answer = browser.get("/configure/element.js")

    assert "session fixation" not in caplog.text
    assert "cookie" not in answer.headers.get("vary", "").lower()


def with_middleware(*middleware: Middleware) -> Callable[[Starlette, object], None]:
    def replace(app: Starlette, _: object) -> None:
        app.user_middleware[:] = middleware

    return replace


def starsessions(*, autoload: bool = True) -> list[Middleware]:
    store = Middleware(StarSessions, store=InMemoryStore(), cookie_https_only=False, lifetime=3600)
    return [store, Middleware(SessionAutoloadMiddleware)] if autoload else [store]


@pytest.mark.catalogue("J1")
def test_starsessions_gets_new_id(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    assert_session_is_new(serve("starlette", constructor=KEPT, customise=with_middleware(*starsessions())), cart="book")
    assert "session fixation" not in caplog.text


class AtTheServer:
    """A session middleware with an id that it takes from any cookie, and with nothing to change it by."""

    def __init__(self, app: ASGIApp, kept: dict[str, dict[str, Any]]) -> None:
        self._app = app
        self._kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cookie = Request(scope).cookies.get("sid") or secrets.token_hex(16)
        scope["session"], scope["sid"] = dict(self._kept.get(cookie, {})), cookie

        async def respond(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._kept[scope["sid"]] = scope["session"]
                message["headers"].append((b"set-cookie", f"sid={scope['sid']}; path=/".encode()))
            await send(message)

        await self._app(scope, receive, respond)


class SessionsAtTheServer(AtTheServer):
    """The same under a name that says what it is."""


def test_starlette_hook_renews_unknown_session(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def renew(request: Request) -> None:
        request.scope["sid"] = secrets.token_hex(16)

    at_the_server = with_middleware(Middleware(AtTheServer, kept={}))
    web = serve("starlette", constructor={**KEPT, "renew_session": renew}, customise=at_the_server)

    assert_session_is_new(web, "sid", cart="book")
    assert "session fixation" not in caplog.text


def test_starlette_warns_at_sign_in_of_unknown_session(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What a middleware keeps shows in a request only."""
    with serve("starlette", customise=with_middleware(Middleware(AtTheServer, kept={}))).browser() as browser:
        browser.post("/keep/cart/book")
        browser.login()

    (said,) = warnings_in(caplog)
    assert "session fixation" in said
    assert "renew_session=" in said


class OwnKeyInSession:
    """A middleware that keeps a key of its own in the session and reads it when the response begins, as NiceGUI's."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"].setdefault("id", secrets.token_hex(16))

        async def respond(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._seen.append(scope["session"]["id"])
            await send(message)

        await self._app(scope, receive, respond)


def test_hook_gives_own_key_anew(serve: Serve) -> None:
    """Cleared without it, the middleware fails; kept by `keep_session`, it stays the one that was known before."""

    def renew(request: Request) -> None:
        request.session["id"] = secrets.token_hex(16)

    seen: list[str] = []

    def customise(app: Starlette, _: object) -> None:
        app.user_middleware.append(Middleware(OwnKeyInSession, seen=seen))

    with serve("starlette", constructor={"renew_session": renew}, customise=customise).browser() as browser:
        start = browser.start("login")
        before = seen[-1]
        assert browser.come_back(browser.at_configure(start)).status_code == 303

    assert seen[-1] != before


def start_up(web: Web) -> None:
    async def run() -> None:
        async with web.configure_auth.lifespan(web.app):
            pass

    anyio.run(run)


@pytest.mark.parametrize(
    ("middleware", "words"),
    [
        ((), "SessionMiddleware"),
        ((Middleware(GZipMiddleware),), "SessionMiddleware"),
        ((Middleware(AtTheServer, kept={}),), None),
        ((Middleware(GZipMiddleware), *starsessions()), None),
        ((Middleware(SessionsAtTheServer, kept={}),), "session fixation"),
    ],
    ids=["none", "other", "unnamed", "starsessions", "unknown"],
)
def test_lifespan_says_what_is_known_of_session(
    serve: Serve, caplog: pytest.LogCaptureFixture, middleware: tuple[Middleware, ...], words: str | None
) -> None:
    start_up(serve("starlette", customise=with_middleware(*middleware)))

    said = warnings_in(caplog)
    assert [words in one for one in said if words] == ([] if words is None else [True])
