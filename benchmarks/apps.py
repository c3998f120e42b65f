"""The apps that `benchmarks/sign_in.py` compares. Each is made by `make(provider_url)` and signs one user in.

`ours` is this package; `limit` is the least that a callback can do on the same framework, written by hand: it checks
the state in the session, makes the same calls on kept connections, stores nothing and checks nothing else; `authlib` is
Authlib's client as its documentation shows it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

CLIENT, SECRET, KEY = "oc_benchmark", "ocs_benchmark", "sk_benchmark"
APP_URL = "http://localhost:3000"
BASIC = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": BASIC}


def settings(provider: str) -> dict[str, str]:
    return {
        "CONFIGURE_API_KEY": KEY,
        "CONFIGURE_PUBLISHABLE_KEY": "pk_benchmark",
        "CONFIGURE_AGENT": "bench",
        "CONFIGURE_OAUTH_CLIENT_ID": CLIENT,
        "CONFIGURE_OAUTH_CLIENT_SECRET": SECRET,
        "CONFIGURE_BASE_URL": provider,
        "CONFIGURE_APP_URL": APP_URL,
        "CONFIGURE_TOKEN_KEYS": base64.b64encode(b"k" * 32).decode(),
    }


def calls(flow: str, code: str, verifier: str) -> tuple[tuple[str, str, dict[str, str], bytes], ...]:
    """The calls of a callback: method, path, headers and body. Those after the first are made at once."""
    if flow == "link":
        named = {**JSON, "X-API-Key": KEY, "X-Agent": "bench"}
        return (("POST", "/v1/auth/sign-in/exchange", named, json.dumps({"code": code}).encode()),)
    body = urlencode({"grant_type": "authorization_code", "code": code, "code_verifier": verifier}).encode()
    token = "t" * 43
    return (
        ("POST", "/oauth/token", FORM, body),
        ("POST", "/oauth/introspect", JSON, json.dumps({"token": token}).encode()),
        ("GET", "/v1/profile", {"Authorization": f"Bearer {token}"}, b""),
    )


def flask_ours(provider: str, store: str) -> Any:
    from flask import Flask, session

    from configure_auth.flask import ConfigureAuth

    app = Flask(__name__)
    app.config.update(settings(provider), SECRET_KEY="benchmark" * 4)
    ours = ConfigureAuth(user_id=lambda: session.get("user"), store=store)
    ours.init_app(app)

    def on_login(identity: Any, _grant: Any) -> str:
        session["user"] = user = identity.local_user_id or secrets.token_hex(4)
        return user

    app.register_blueprint(ours.login(on_login=on_login, after_login="/"))
    app.register_blueprint(ours.account_link(after_link="/"))
    _local_pages_of_flask(app, ours)
    return app


def _local_pages_of_flask(app: Any, ours: Any = None) -> None:
    from flask import render_template_string, session

    def sign_in(user: str) -> str:
        session["user"] = user
        return ""

    app.add_url_rule("/in/<user>", "sign_in", sign_in)
    app.add_url_rule("/plain", "plain", lambda: "plain")
    if ours is not None:
        app.add_url_rule("/button", "button", lambda: render_template_string("{{ configure_button() }}"))


def flask_limit(provider: str, _store: str) -> Any:
    from flask import Flask, abort, redirect, request, session

    app = Flask(__name__)
    app.secret_key = "benchmark" * 4
    parts, executor, idle = urlsplit(provider), ThreadPoolExecutor(4), list[Any]()
    tls = ssl.create_default_context() if parts.scheme == "https" else None

    def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        try:
            connection = idle.pop()
        except IndexError:
            host, port = str(parts.hostname), parts.port
            connection = HTTPSConnection(host, port, context=tls) if tls else HTTPConnection(host, port)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request(method, path, body, headers)
        content = json.loads(connection.getresponse().read())
        idle.append(connection)
        return content

    def start(flow: str) -> Any:
        session["state"], session["verifier"] = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        return redirect(f"{provider}/oauth/authorize?state={session['state']}")

    def callback(flow: str) -> Any:
        if request.args["state"] != session.pop("state"):
            abort(400)
        first, *rest = calls(flow, request.args["code"], session.pop("verifier"))
        send(*first)
        others = [executor.submit(send, *call) for call in rest[1:]]
        for call in rest[:1]:
            send(*call)
        for other in others:
            other.result()
        session["user"] = "user"
        return redirect("/")

    _routes(lambda path, view, name: app.add_url_rule(path, name, view), start, callback)
    _local_pages_of_flask(app)
    return app


def _routes(add: Callable[[str, Any, str], Any], start: Any, callback: Any) -> None:
    for flow, prefix in (("login", "/auth/configure"), ("link", "/configure")):
        add(f"{prefix}/sign-in", lambda *args, flow=flow: start(*args, flow), f"{flow}_start")
        add(f"{prefix}/callback", lambda *args, flow=flow: callback(*args, flow), f"{flow}_callback")


def flask_authlib(provider: str, _store: str) -> Any:
    from authlib.integrations.flask_client import OAuth
    from flask import Flask, redirect, session

    app = Flask(__name__)
    app.secret_key = "benchmark" * 4
    configure = OAuth(app).register(
        "configure",
        client_id=CLIENT,
        client_secret=SECRET,
        access_token_url=f"{provider}/oauth/token",
        authorize_url=f"{provider}/oauth/authorize",
        api_base_url=provider,
        client_kwargs={"code_challenge_method": "S256"},
    )

    @app.get("/auth/configure/sign-in")
    def start() -> Any:
        return configure.authorize_redirect(f"{APP_URL}/auth/configure/callback")

    @app.get("/auth/configure/callback")
    def callback() -> Any:
        token = configure.authorize_access_token()
        configure.post("/oauth/introspect", json={"token": token["access_token"]}, token=token).json()
        configure.get("/v1/profile", token=token).json()
        session["user"] = "user"
        return redirect("/")

    return app


def starlette_ours(provider: str, store: str) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse
    from starlette.routing import Route

    from configure_auth.starlette import ConfigureAuth

    ours = ConfigureAuth(settings(provider), user_id=lambda request: request.session.get("user"), store=store)

    def on_login(request: Request, identity: Any, _grant: Any) -> str:
        request.session["user"] = user = identity.local_user_id or secrets.token_hex(4)
        return str(user)

    async def button(request: Request) -> HTMLResponse:
        return HTMLResponse(await ours.button(request))

    async def plain(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("plain")

    async def sign_in(request: Request) -> PlainTextResponse:
        request.session["user"] = request.path_params["user"]
        return PlainTextResponse("")

    pages = [Route("/button", button), Route("/plain", plain), Route("/in/{user}", sign_in)]
    routes = [*pages, ours.login(on_login=on_login, after_login="/"), ours.account_link(after_link="/")]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="benchmark" * 4)])


def starlette_limit(provider: str, _store: str) -> Any:
    import asyncio  # not above: an app of Flask is ready to serve without it

    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route

    parts = urlsplit(provider)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        reader, writer = idle.pop() if idle else await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
        named = {"Host": parts.netloc, "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        content = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
        idle.append((reader, writer))
        return json.loads(content)

    async def start(request: Request, flow: str) -> Response:
        request.session.update(state=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(32))
        return RedirectResponse(f"{provider}/oauth/authorize?state={request.session['state']}", 303)

    async def callback(request: Request, flow: str) -> Response:
        if request.query_params["state"] != request.session.pop("state"):
            return PlainTextResponse("", 400)
        first, *rest = calls(flow, request.query_params["code"], request.session.pop("verifier"))
        await send(*first)
        await asyncio.gather(*(send(*call) for call in rest))
        request.session["user"] = "user"
        return RedirectResponse("/", 303)

    async def plain(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("plain")

    async def sign_in(request: Request) -> PlainTextResponse:
        request.session["user"] = request.path_params["user"]
        return PlainTextResponse("")

    routes = [Route("/plain", plain), Route("/in/{user}", sign_in)]

    def add(path: str, view: Any, name: str) -> None:
        async def endpoint(request: Request) -> Response:
            response: Response = await view(request)
            return response

        routes.append(Route(path, endpoint, name=name))

    _routes(add, start, callback)
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="benchmark" * 4)])


APPS: dict[str, Callable[[str, str], Any]] = {
    "limit, Flask": flask_limit,
    "this, Flask": flask_ours,
    "Authlib, Flask": flask_authlib,
    "limit, Starlette": starlette_limit,
    "this, Starlette": starlette_ours,
}


class FlaskVisitor:
    """Requests to a Flask app, in this process."""

    def __init__(self, app: Any) -> None:
        self._app, self._client = app, app.test_client()

    def forget(self) -> None:
        """Be another browser."""
        self._client = self._app.test_client()

    def get(self, url: str, **headers: str) -> tuple[int, str]:
        named = {"Host": "localhost:3000", "Accept": "text/html", **headers}
        answer = self._client.get(url, headers=named, base_url=APP_URL)
        return answer.status_code, answer.headers.get("location", "")

    def close(self) -> None:
        """Nothing is open."""


class StarletteVisitor:
    """Requests to a Starlette app, on an event loop in a thread."""

    def __init__(self, app: Any) -> None:
        import asyncio

        self._app, self._cookies = app, dict[str, str]()
        self._later = asyncio.run_coroutine_threadsafe
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def forget(self) -> None:
        """Be another browser."""
        self._cookies.clear()

    def get(self, url: str, **headers: str) -> tuple[int, str]:
        return self._later(self._get(url, headers), self._loop).result()

    async def _get(self, url: str, headers: dict[str, str]) -> tuple[int, str]:
        parts, sent = urlsplit(url), list[dict[str, Any]]()
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        named = {"host": "localhost:3000", "accept": "text/html", "cookie": cookie, **headers}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "server": ("localhost", 3000),
            "client": ("127.0.0.1", 1),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        location = ""
        for name, value in sent[0]["headers"]:
            if name == b"location":
                location = value.decode()
            elif name == b"set-cookie":
                key, _, content = value.decode().partition(";")[0].partition("=")
                self._cookies[key] = content
        return sent[0]["status"], location

    def close(self) -> None:
        async def end() -> None:
            await self._loop.shutdown_asyncgens()
            await self._loop.shutdown_default_executor()

        self._later(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def visit(name: str, provider: str, store: str) -> FlaskVisitor | StarletteVisitor:
    for variable in [name for name in os.environ if name.startswith("CONFIGURE_")]:
        del os.environ[variable]
    app = APPS[name](provider, store)
    return FlaskVisitor(app) if name.endswith("Flask") else StarletteVisitor(app)
