"""An app with an Authlib registry of its own, on Flask and on Starlette, in the words that Authlib's documents use.

GET /start/<provider>?back=<redirect_uri> goes to a provider, GET /callback comes back from Configure, and POST
/refresh and /userinfo take a token as JSON. A failure answers with the `error` of Authlib's `OAuthError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth as FlaskRegistry
from authlib.integrations.starlette_client import OAuth as StarletteRegistry
from flask import Flask, jsonify, redirect, request, session
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from configure_auth import Settings
from configure_auth import flask as on_flask
from configure_auth import starlette as on_starlette
from configure_auth.sandbox import Sandbox

from ..support import flask_web, starlette_web
from ..support.web import Adapter, People, Web

REGISTER: dict[Adapter, Any] = {"flask": on_flask.register_oauth, "starlette": on_starlette.register_oauth}
REGISTRY: dict[Adapter, Any] = {"flask": FlaskRegistry, "starlette": StarletteRegistry}

OTHERS: dict[str, dict[str, Any]] = {
    "google": {
        "client_id": "google-id",
        "client_secret": "google-secret",
        "authorize_url": "https://accounts.google.com/o/oauth2/v2/auth",
        "access_token_url": "https://oauth2.googleapis.com/token",
        "client_kwargs": {"scope": "openid email", "code_challenge_method": "S256"},
    },
    "github": {
        "client_id": "github-id",
        "client_secret": "github-secret",
        "authorize_url": "https://github.com/login/oauth/authorize",
        "access_token_url": "https://github.com/login/oauth/access_token",
        "client_kwargs": {"scope": "user:email"},
    },
}
"""The providers that the app had before."""


@dataclass(frozen=True)
class Provided:
    """A running app, its registry, and the Configure in it. `options` are keywords of `register_oauth`."""

    web: Web
    registry: Any
    provider: Any
    callback: str
    tokens: list[Any] = field(default_factory=list)


@contextmanager
def providing(
    adapter: Adapter, sandbox: Sandbox, folder: Path, settings: dict[str, str], options: dict[str, Any]
) -> Iterator[Provided]:
    driver: Any = flask_web if adapter == "flask" else starlette_web
    build = _flask if adapter == "flask" else _starlette
    with driver.listening() as (port, serve):
        url = f"http://localhost:{port}"
        sandbox.register_redirect_uri(f"{url}/callback")
        tokens: list[Any] = []
        given = Settings.from_mapping(sandbox.environment(app_url=url) | settings)
        app, registry, provider = build(given, folder, {"clock": sandbox.clock, **options}, tokens)
        with ExitStack() as stack:
            stack.callback(provider.close if adapter == "flask" else partial(anyio.run, provider.aclose))
            stack.enter_context(serve(app))
            web = Web(
                url=url,
                adapter=adapter,
                sandbox=sandbox,
                people=People(),
                configure_auth=None,
                app=app,
                folder=folder,
                hurry=lambda seconds: None,
            )
            yield Provided(web, registry, provider, f"{url}/callback", tokens)


def _failed(error: Any) -> dict[str, str]:
    return {"error": error.error, "description": error.description}


def _flask(settings: Settings, folder: Path, options: dict[str, Any], tokens: list[Any]) -> tuple[Flask, Any, Any]:
    app = Flask(__name__, instance_path=str(folder))
    app.secret_key = "a secret key of the app, long enough"
    oauth = FlaskRegistry(app)
    for name, row in OTHERS.items():
        oauth.register(name, **row)
    provider = on_flask.register_oauth(oauth, settings, **options)

    @app.get("/start/<name>")
    def start(name: str) -> Any:
        more = json.loads(request.args.get("more", "{}"))
        return oauth.create_client(name).authorize_redirect(request.args["back"], **more)

    @app.get("/by-hand")
    def by_hand() -> Any:
        made = oauth.configure.create_authorization_url(request.args["back"])
        oauth.configure.save_authorize_data(redirect_uri=request.args["back"], **made)
        return redirect(made["url"], 303)

    @app.post("/call")
    def call() -> Any:
        answer = oauth.configure.get(request.args["url"], token=request.get_json())
        return jsonify(status=answer.status_code, body=answer.json())

    @app.get("/callback")
    def callback() -> Any:
        token = oauth.configure.authorize_access_token(**json.loads(request.headers.get("X-More", "{}")))
        tokens.append(token)
        return jsonify(token)

    @app.post("/refresh")
    def refresh() -> Any:
        return jsonify(oauth.configure.refresh_token(request.get_json()))

    @app.post("/userinfo")
    def userinfo() -> Any:
        return jsonify(oauth.configure.userinfo(request.get_json()))

    @app.post("/sign-out")
    def sign_out() -> Any:
        oauth.configure.forget_browser()
        session.clear()
        return "", 204

    @app.get("/session")
    def kept() -> Any:
        return jsonify(dict(session))

    app.register_error_handler(OAuthError, lambda error: (_failed(error), 400))
    return app, oauth, provider


def _starlette(
    settings: Settings, folder: Path, options: dict[str, Any], tokens: list[Any]
) -> tuple[Starlette, Any, Any]:
    oauth = StarletteRegistry()
    for name, row in OTHERS.items():
        oauth.register(name, **row)
    if isinstance(store := options.get("store"), str):
        # A relative path would lie in the working directory.
        options = {**options, "store": store.replace("sqlite:///", f"sqlite:///{folder}/")}
    provider = on_starlette.register_oauth(oauth, settings, **options)

    async def start(request: Request) -> Any:
        client = oauth.create_client(request.path_params["name"])
        more = json.loads(request.query_params.get("more", "{}"))
        return await client.authorize_redirect(request, request.query_params["back"], **more)

    async def by_hand(request: Request) -> Response:
        made = await oauth.configure.create_authorization_url(request.query_params["back"])
        await oauth.configure.save_authorize_data(request, redirect_uri=request.query_params["back"], **made)
        return RedirectResponse(made["url"], 303)

    async def call(request: Request) -> Response:
        answer = await oauth.configure.get(request.query_params["url"], token=await request.json())
        return JSONResponse({"status": answer.status_code, "body": answer.json()})

    async def callback(request: Request) -> Response:
        more = json.loads(request.headers.get("X-More", "{}"))
        token = await oauth.configure.authorize_access_token(request, **more)
        tokens.append(token)
        return JSONResponse(token)

    async def refresh(request: Request) -> Response:
        return JSONResponse(await oauth.configure.refresh_token(await request.json()))

    async def userinfo(request: Request) -> Response:
        return JSONResponse(await oauth.configure.userinfo(await request.json()))

    async def sign_out(request: Request) -> Response:
        await oauth.configure.forget_browser(request)
        request.session.clear()
        return Response(status_code=204)

    async def kept(request: Request) -> Response:
        return JSONResponse(json.loads(json.dumps(request.session)))

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(_failed(error), 400)

    app = Starlette(
        routes=[
            Route("/start/{name}", start),
            Route("/callback", callback),
            Route("/by-hand", by_hand),
            Route("/call", call, methods=["POST"]),
            Route("/refresh", refresh, methods=["POST"]),
            Route("/userinfo", userinfo, methods=["POST"]),
            Route("/sign-out", sign_out, methods=["POST"]),
            Route("/session", kept),
        ],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret key of the app, long enough")],
        exception_handlers={OAuthError: failed},
    )
    return app, oauth, provider
