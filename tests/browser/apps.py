"""The example apps, as the journeys use them: how each is served, and how a person finds their way in it."""

from __future__ import annotations

import contextlib
import logging
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from configure_auth.sandbox import Sandbox
from example_apps.demo import listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BEARER_PAGE", "EXAMPLE_APPS", "MESSAGE_AGENT", "ExampleApp", "Served", "Variation", "serving"]


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How an app may differ from the example as it is.

    `strict`: its session cookie is SameSite=Strict. `guard`: whoever is signed out is sent to the sign-in page from
    everywhere but the pages for signing in and up, the static files and the login's routes.
    """

    strict: bool = False
    guard: bool = False


Serve = Callable[[Sequence[socket.socket], Mapping[str, str], Path, Variation, list[str]], AbstractContextManager[None]]
"""Serves an app on listeners that are bound already, with these settings and a folder of its own for what it keeps.

The Referer header of each request is added to the list.
"""


@dataclass(frozen=True, kw_only=True)
class ExampleApp:
    """One example app. To run every journey on another app, add an entry to `EXAMPLE_APPS`.

    `prefix` is the path that Configure's routes are under.
    `users` asks `database` (a SQLite file in the app's folder) for the ids of all users; `forget_ids` makes the
    database give out a deleted user's id again; `break_users` and `mend_users` make every look at a user fail, and end
    that.
    """

    name: str
    serve: Serve
    session_cookie: str
    csrf_field: str | None = None
    prefix: str = ""

    home: str = "/"
    sign_up: str = "/sign-up"
    sign_in: str = "/sign-in"
    settings: str = "/settings"

    username: str = "Username"
    password: str = "Password"
    sign_up_button: str = "Sign up"
    sign_in_button: str = "Sign in"
    sign_out_button: str = "Sign out"
    disconnect_button: str = "Disconnect"
    delete_button: str = "Delete account"
    profile: str = "#profile"
    connected: str = "Connected since"
    cancelled: str = "You cancelled."
    away: str = "Configure doesn't answer just now"

    database: str = "app.db"
    users: str = 'SELECT id FROM "user" ORDER BY id'
    forget_ids: str = "DELETE FROM sqlite_sequence"
    break_users: str = 'ALTER TABLE "user" RENAME TO "user_away"'
    mend_users: str = 'ALTER TABLE "user_away" RENAME TO "user"'


@dataclass(frozen=True, kw_only=True)
class Served:
    """An example app that is running, and the sandbox it uses."""

    example: ExampleApp
    sandbox: Sandbox
    port: int
    folder: Path
    variation: Variation
    proxy_url: str | None = None
    referrers: list[str] = field(default_factory=list)
    """The Referer headers that the app was sent."""

    @property
    def url(self) -> str:
        return self.proxy_url or f"http://localhost:{self.port}"

    @property
    def other_url(self) -> str:
        """The same app by another name, to which the browser sends none of the cookies."""
        return f"http://127.0.0.1:{self.port}"

    def user_ids(self) -> list[object]:
        return [row[0] for row in self.query(self.example.users)]

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(self.folder / self.example.database)) as database, database:
            return database.execute(statement).fetchall()

    def exchanges(self, path: str) -> int:
        return len(self.sandbox.calls_to("POST", path))


@contextmanager
def serving(
    example: ExampleApp,
    sandbox: Sandbox,
    folder: Path,
    variation: Variation,
    *,
    proxy_url: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Serve an app on http://localhost:PORT; `proxy_url` is its address for browsers if a proxy is in front."""
    listeners = free_listeners()
    port = listeners[0].getsockname()[1]
    served = Served(
        example=example, sandbox=sandbox, port=port, folder=folder, variation=variation, proxy_url=proxy_url
    )
    sandbox.register_return_to(f"{served.url}{example.prefix}/configure/callback")
    sandbox.register_redirect_uri(f"{served.url}{example.prefix}/auth/configure/callback")
    try:
        environment = {**sandbox.environment(served.url), **(settings or {})}
        with example.serve(listeners, environment, folder, variation, served.referrers):
            yield served
    finally:
        for listener in listeners:
            listener.close()


def free_listeners() -> list[socket.socket]:
    """Listeners on one port, free wherever "localhost" may lead."""
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with contextlib.suppress(OSError):  # somebody else was faster, or has it on ::1
            return listen(port)
    raise OSError("no port is free on both 127.0.0.1 and ::1")


# ── Flask ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serve_flask(
    listeners: Sequence[socket.socket],
    settings: Mapping[str, str],
    folder: Path,
    variation: Variation,
    referrers: list[str],
) -> Iterator[None]:
    from flask import request
    from flask_login import current_user
    from werkzeug import Response
    from werkzeug.serving import make_server

    from example_apps.flask_app import create_app
    from example_apps.flask_app.models import db

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    changes = {"SESSION_COOKIE_SAMESITE": "Strict"} if variation.strict else {}
    app = create_app({**settings, **changes}, instance_path=folder)

    if variation.guard:
        public = {"pages.sign_in", "pages.sign_up", "static"}

        @app.before_request
        def turn_away() -> Response | None:
            if current_user.is_authenticated or request.endpoint in public or request.blueprint == "configure_login":
                return None
            answer: Response = app.login_manager.unauthorized()  # type: ignore[attr-defined]
            return answer

    def whole(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        referrers.append(environ.get("HTTP_REFERER", ""))
        # Werkzeug's server forgets to close a file where the browser hangs up, so it gets bytes only.
        answer = app(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            answer.close()  # type: ignore[attr-defined]

    servers = [
        make_server(listener.getsockname()[0], listener.getsockname()[1], whole, threaded=True, fd=listener.fileno())
        for listener in listeners
    ]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
        with app.app_context():
            db.engine.dispose()


# ── Starlette ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Guard:
    """Sends whoever is signed out to the sign-in page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import RedirectResponse

        app = self.app
        if scope["type"] == "http" and not scope["user"].is_authenticated and not self.is_public(scope["path"]):
            if scope["method"] == "GET":
                scope["session"]["next"] = scope["path"]
            app = RedirectResponse("/sign-in", 303)
        await app(scope, receive, send)

    @staticmethod
    def is_public(path: str) -> bool:
        public = ("/sign-in", "/sign-up", "/configure/callback")
        return path in public or path.startswith(("/static/", "/auth/configure/"))


@contextmanager
def serve_starlette(
    listeners: Sequence[socket.socket],
    settings: Mapping[str, str],
    folder: Path,
    variation: Variation,
    referrers: list[str],
) -> Iterator[None]:
    from starlette.middleware import Middleware

    from example_apps.starlette_app import create_app

    app = create_app(settings, instance_path=folder, same_site="strict" if variation.strict else "lax")
    if variation.guard:
        app.user_middleware.append(Middleware(Guard))
    with serve_asgi(app, listeners, referrers):
        yield


@contextmanager
def serve_asgi(app: ASGIApp, listeners: Sequence[socket.socket], referrers: list[str] | None = None) -> Iterator[None]:
    import uvicorn

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and referrers is not None:
            referrers.extend(value.decode("latin-1") for name, value in scope["headers"] if name == b"referer")
        await app(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(recorded, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=(list(listeners),))
    thread.start()
    try:
        yield  # the listeners are there already: a request waits for the start
    finally:
        server.should_exit = True
        thread.join()


# ── FastAPI ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serve_fastapi(
    listeners: Sequence[socket.socket],
    settings: Mapping[str, str],
    folder: Path,
    variation: Variation,
    referrers: list[str],
) -> Iterator[None]:
    from example_apps.fastapi_app import create_app

    assert variation == Variation(strict=True), "its cookie is always strict, and its script is its guard"
    with serve_asgi(create_app(settings, instance_path=folder), listeners, referrers):
        yield


# ── the message agent ─────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serve_message_agent(
    listeners: Sequence[socket.socket],
    settings: Mapping[str, str],
    folder: Path,
    variation: Variation,
    referrers: list[str],
) -> Iterator[None]:
    from example_apps.message_agent.web import create_app

    assert variation == Variation(), "nobody signs in to it"
    with serve_asgi(create_app(settings, instance_path=folder), listeners, referrers):
        yield


EXAMPLE_APPS = (
    ExampleApp(name="flask", serve=serve_flask, session_cookie="flask_app_session", csrf_field="csrf_token"),
    ExampleApp(name="starlette", serve=serve_starlette, session_cookie="starlette_app_session"),
)

BEARER_PAGE = ExampleApp(name="fastapi", serve=serve_fastapi, session_cookie="fastapi_app_refresh", prefix="/api")
"""An API with bearer tokens and a page whose script carries them: `test_bearer_page.py` has its journeys."""

MESSAGE_AGENT = ExampleApp(name="message", serve=serve_message_agent, session_cookie="none")
"""An agent in two people's threads, on a page without accounts: `test_message_journey.py` has its journeys."""
