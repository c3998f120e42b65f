"""Small apps of both frameworks, each set up as a test wants it, and what the checks of an app say of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flask import Flask, Response, redirect, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from configure_auth import Settings
from configure_auth.commands.apps.targets import Target, targets_in
from configure_auth.commands.checks.check import run_checks
from configure_auth.commands.checks.deployment import Deployment
from configure_auth.commands.checks.findings import Finding, Result, passed
from configure_auth.commands.checks.report import Report
from configure_auth.commands.checks.run import APP_CHECKS, describe
from configure_auth.flask import ConfigureAuth as FlaskConfigureAuth
from configure_auth.starlette import ConfigureAuth as StarletteConfigureAuth

Adapter = Literal["flask", "starlette"]

LOCAL = "http://localhost:3000"
LIVE = "https://app.example.com"
SECRET_KEY = "planted: the key of the sessions"
COOKIE_NAMES = {
    "name": "SESSION_COOKIE_NAME",
    "secure": "SESSION_COOKIE_SECURE",
    "same_site": "SESSION_COOKIE_SAMESITE",
    "domain": "SESSION_COOKIE_DOMAIN",
    "path": "SESSION_COOKIE_PATH",
}
STARLETTE_NAMES = {"name": "session_cookie", "secure": "https_only"}
PLANTED = {
    "CONFIGURE_API_KEY": "sk_planted-api-key",
    "CONFIGURE_OAUTH_CLIENT_SECRET": "ocs_planted-client-secret",
    "CONFIGURE_TOKEN_KEYS": "planted: a key of the app to seal its tokens with",
}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """An app, and how it differs from a good one on localhost.

    `cookie` has the names of `COOKIE_NAMES`. `guard`: paths that are open to who is signed out; None guards nothing.
    `headers` are those of the page at "/". `wrap` gets the app and `ConfigureAuth`, and may give another app.
    """

    app_url: str | None = LOCAL
    secret_key: str | None = SECRET_KEY
    cookie: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str | None] = field(default_factory=dict)
    constructor: Mapping[str, Any] = field(default_factory=dict)
    link: bool = True
    login: bool = True
    messages: bool = False
    guard: tuple[str, ...] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    page: Callable[[], str] = lambda: "<title>The app</title>"
    wrap: Callable[[Any, Any], Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    users: object = None

    @property
    def mapping(self) -> dict[str, str]:
        given = {
            **PLANTED,
            "CONFIGURE_AGENT": "acme",
            "CONFIGURE_PUBLISHABLE_KEY": "pk_of-the-page",
            "CONFIGURE_OAUTH_CLIENT_ID": "oc_client",
            "CONFIGURE_APP_URL": self.app_url,
            **self.settings,
        }
        return {name: value for name, value in given.items() if value is not None}


class Judge:
    """What the checks say of an app; asserts of each finding that nothing secret is in it."""

    def __init__(self, adapter: Adapter, folder: Path) -> None:
        self.adapter = adapter
        self.folder = folder

    def __call__(self, **setup: Any) -> dict[str, Finding]:
        return self.of(Setup(**setup))

    def of(self, setup: Setup) -> dict[str, Finding]:
        target = (_on_flask if self.adapter == "flask" else _starlette)(setup, self.folder)
        return judged(target, setup.environment, setup.users, secrets=(setup.secret_key or SECRET_KEY,))


def judged(
    target: Target, environment: Mapping[str, str] | None = None, users: object = None, *, secrets: tuple[str, ...] = ()
) -> dict[str, Finding]:
    deployment = Deployment(
        settings=target.features.site.settings,
        features=target.features,
        application=describe(target, users),
        environment=environment or {},
    )
    made = Result(name="app", title="the app", finding=passed("was made"))
    results = run_checks(APP_CHECKS, deployment, target.perform, Report(), {"app": made})
    for result in results.values():
        told = repr(result)
        assert not any(secret in told for secret in (*PLANTED.values(), *secrets)), result.name
        assert repr(deployment).count("planted") == 0
    return {name: result.finding for name, result in results.items()}


def _on_flask(setup: Setup, folder: Path) -> Target:
    app = Flask(__name__, instance_path=str(folder))
    app.config.update(setup.config)
    app.config.update({COOKIE_NAMES[name]: value for name, value in setup.cookie.items()})
    app.secret_key = setup.secret_key
    configure_auth = FlaskConfigureAuth(
        **{"user_id": lambda: None, "store": "sqlite:///configure.db", **setup.constructor}
    )

    @app.get("/")
    def page() -> Response:
        response = Response(setup.page())
        for name, value in setup.headers:
            response.headers.add(name, value)
        return response

    @app.before_request
    def guard() -> Any:
        shut = setup.guard is not None and not request.path.startswith(setup.guard) and request.path != "/"
        return redirect("/sign-in?for=planted") if shut else None

    configure_auth.init_app(app, Settings.from_mapping(setup.mapping))
    if setup.link:
        app.register_blueprint(configure_auth.account_link())
    if setup.login:
        app.register_blueprint(configure_auth.login(on_login=lambda *_: "u1"))
    if setup.messages:
        app.register_blueprint(configure_auth.messages())
    if setup.wrap is not None:
        setup.wrap(app, configure_auth)
    (target,) = targets_in(app)
    return target


def _starlette(setup: Setup, folder: Path) -> Target:
    store = {"store": f"sqlite:///{folder / 'configure.db'}"}
    given: dict[str, Any] = {"user_id": lambda request: None, **store, **setup.constructor}
    configure_auth = StarletteConfigureAuth(Settings.from_mapping(setup.mapping), **given)

    def page(request: Request) -> HTMLResponse:
        response = HTMLResponse(setup.page())
        for name, value in setup.headers:
            response.headers.append(name, value)
        return response

    routes: list[Any] = [Route("/", page)]
    routes += [configure_auth.account_link()] if setup.link else []
    routes += [configure_auth.login(on_login=lambda *_: "u1")] if setup.login else []
    routes += [configure_auth.messages()] if setup.messages else []
    middleware = []
    if setup.secret_key is not None:
        cookie = {STARLETTE_NAMES.get(name, name): value for name, value in setup.cookie.items()}
        middleware.append(Middleware(SessionMiddleware, secret_key=setup.secret_key, **cookie))
    if setup.guard is not None:
        middleware.append(Middleware(_Guard, public=setup.guard))
    app: Any = Starlette(routes=routes, middleware=middleware)
    if setup.wrap is not None:
        app = setup.wrap(app, configure_auth) or app
    (target,) = targets_in(app)
    return target


class _Guard:
    def __init__(self, app: ASGIApp, public: tuple[str, ...]) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shut = scope["type"] == "http" and scope["path"] != "/" and not scope["path"].startswith(self._public)
        await (RedirectResponse("/sign-in?for=planted") if shut else self._app)(scope, receive, send)


def waited_for(value: Any) -> Any:
    return asyncio.run(value) if asyncio.iscoroutine(value) else value
