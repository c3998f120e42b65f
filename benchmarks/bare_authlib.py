"""What Authlib and PyJWT do by themselves in attacks and faults of `tests/catalogue.md`, as a table.

    python benchmarks/bare_authlib.py

Each row runs on an app of a few lines, as Authlib's documentation shows it: the state in the app's session, and no
check beside the library's. The provider is a server on loopback that responds as the row says.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

GOOD = json.dumps({"access_token": "at", "token_type": "Bearer", "expires_in": 3600}).encode()
SECRET = "a:b%c+d e"  # with all that RFC 6749, section 2.3.1, has encoded


class Provider(ThreadingHTTPServer):
    """The token endpoint; `status`, `kind` and `body` are its next responses, `seen` what was sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reset()

    def reset(self) -> None:
        self.status, self.kind, self.body = 200, "application/json", GOOD
        self.seen: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.seen.append(self.headers)
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


class Browser(Protocol):
    """Requests to the app with the cookies of one browser."""

    def get(self, path: str) -> tuple[int, str, str]:
        """Return status, `Location` and body."""

    def copy(self) -> Browser:
        """Return another browser with the same cookies, as they are now."""


CLIENT = {"client_id": "oc_1", "client_secret": SECRET, "client_kwargs": {"code_challenge_method": "S256"}}


def on_flask(provider: str) -> Browser:
    from authlib.integrations.flask_client import OAuth
    from flask import Flask, redirect, request, session

    app = Flask(__name__)
    app.secret_key = "a secret key of the app"
    app.logger.disabled = True
    oauth = OAuth(app)
    oauth.register("c", access_token_url=f"{provider}/token", authorize_url=f"{provider}/authorize", **CLIENT)

    app.add_url_rule("/start", "start", lambda: oauth.c.authorize_redirect("http://localhost/callback"))

    @app.get("/callback")
    def callback() -> Any:
        token = oauth.c.authorize_access_token()
        return {"user": session.get("user"), "token": token.get("access_token", token)}

    @app.get("/in/<user>")
    def sign_in(user: str) -> str:
        session["user"] = user
        return "in"

    @app.get("/next")
    def onward() -> Any:
        target = request.args["to"]
        return redirect(target if target.startswith("/") and not target.startswith("//") else "/")

    class OnFlask:
        def __init__(self) -> None:
            self.client = app.test_client()

        def get(self, path: str) -> tuple[int, str, str]:
            response = self.client.get(path)
            return response.status_code, response.headers.get("Location", ""), response.text

        def copy(self) -> Browser:
            other, cookie = OnFlask(), self.client.get_cookie("session")
            assert cookie is not None
            other.client.set_cookie("session", cookie.value)
            return other

    return OnFlask()


def on_starlette(provider: str) -> Browser:
    from authlib.integrations.starlette_client import OAuth
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route
    from starlette.testclient import TestClient

    oauth = OAuth()
    oauth.register("c", access_token_url=f"{provider}/token", authorize_url=f"{provider}/authorize", **CLIENT)

    async def start(request: Request) -> Response:
        response: Response = await oauth.c.authorize_redirect(request, "http://localhost/callback")
        return response

    async def callback(request: Request) -> Response:
        token = await oauth.c.authorize_access_token(request)
        known = token.get("access_token", token)
        return JSONResponse({"user": request.session.get("user"), "token": known})

    async def sign_in(request: Request) -> Response:
        request.session["user"] = request.path_params["user"]
        return PlainTextResponse("in")

    async def onward(request: Request) -> Response:
        target = request.query_params["to"]
        return RedirectResponse(target if target.startswith("/") and not target.startswith("//") else "/")

    views = {"/start": start, "/callback": callback, "/in/{user}": sign_in, "/next": onward}
    app = Starlette(
        routes=[Route(path, view) for path, view in views.items()],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret key of the app")],
    )

    class OnStarlette:
        def __init__(self) -> None:
            self.client = TestClient(app, "http://localhost", raise_server_exceptions=False, follow_redirects=False)

        def get(self, path: str) -> tuple[int, str, str]:
            response = self.client.get(path)
            return response.status_code, response.headers.get("location", ""), response.text

        def copy(self) -> Browser:
            other = OnStarlette()
            other.client.cookies.set("session", self.client.cookies["session"])
            return other

    return OnStarlette()


def started(browser: Browser) -> str:
    """Start; the state."""
    return parse_qs(urlsplit(browser.get("/start")[1]).query)["state"][0]


def back(browser: Browser, state: str, more: str = "") -> tuple[bool, str]:
    """Call back with a code; whether it was accepted, and what the app said."""
    status, _, body = browser.get(f"/callback?{urlencode({'code': 'c1', 'state': state})}{more}")
    return status == 200, body


def answered(provider: Provider, browser: Browser, **response: Any) -> str:
    for name, value in response.items():
        setattr(provider, name, value)
    is_accepted, body = back(browser, started(browser))
    return f"accepted: {body.strip()[:60]}" if is_accepted else "an exception that the app has to catch"


def other_user(provider: Provider, browser: Browser) -> str:
    browser.get("/in/ada")
    state = started(browser)
    browser.get("/in/grace")
    is_accepted, body = back(browser, state)
    return f"accepted for {json.loads(body)['user']}" if is_accepted else "refused"


def at_once(provider: Provider, browser: Browser) -> str:
    state = started(browser)
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda one: back(one, state), [browser.copy() for _ in range(20)]))
    return f"{len(provider.seen)} token requests for 20 callbacks"


def restored_cookie(provider: Provider, browser: Browser) -> str:
    state = started(browser)
    kept = browser.copy()
    accepted = [back(one, state)[0] for one in (browser, kept)]
    return f"accepted {sum(accepted)} times"


def two_tabs(provider: Provider, browser: Browser) -> str:
    states = [started(browser), started(browser)]
    return f"{sum(back(browser, state)[0] for state in states)} of 2 complete"


def logged(provider: Provider, browser: Browser) -> str:
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(self.format(record))

    root, ear = logging.getLogger(), Ear()
    root.addHandler(ear)
    level = root.level
    root.setLevel(logging.DEBUG)
    logging.getLogger("authlib").setLevel(logging.DEBUG)
    back(browser, started(browser))
    root.setLevel(level)
    root.removeHandler(ear)
    found = [name for name in ("code_verifier", "client_secret", SECRET) if any(name in line for line in heard)]
    return f"the log has {', '.join(found)}" if found else "no secret in the log"


def basic(provider: Provider, browser: Browser) -> str:
    back(browser, started(browser))
    sent = base64.b64decode(provider.seen[0]["authorization"].removeprefix("Basic ")).decode()
    return "sent as it is" if sent == f"oc_1:{SECRET}" else f"sent as {sent.partition(':')[2]}"


def tab_in_next(provider: Provider, browser: Browser) -> str:
    location = browser.get("/next?" + urlencode({"to": "/\t/evil.example"}))[1]
    return f"redirects to {location!a}"


Row = Callable[[Provider, Browser], str]
AUTHLIB: list[tuple[str, str, Row]] = [
    ("A12", "another user signs in before the callback", other_user),
    ("A15", "20 equal callbacks at once", at_once),
    ("A18", "the session cookie of the start again, after the callback", restored_cookie),
    ("A19", "two tabs", two_tabs),
    ("C2", "a second `code`", lambda _, b: "accepted" if back(b, started(b), "&code=c2")[0] else "refused"),
    ("C14", "`iss` of another server", lambda _, b: _accepted(back(b, started(b), "&iss=https://evil.example"))),
    ("D9", "a secret with reserved characters", basic),
    ("E5", "`next=/%09/evil.example`, of which the app refuses `//`", tab_in_next),
    ("G1", "JSON labelled as HTML", lambda p, b: answered(p, b, kind="text/html")),
    ("G2", "`{}`", lambda p, b: answered(p, b, body=b"{}")),
    ("G3", "404 without an OAuth error", lambda p, b: answered(p, b, status=404, body=b'{"message": "Not Found"}')),
    ("G4", "a number as token", lambda p, b: answered(p, b, body=b'{"access_token": 5}')),
    ("G6", "`expires_in` of letters", lambda p, b: answered(p, b, body=GOOD.replace(b"3600", b'"abc"'))),
    ("G8", "a body of 5 MB", lambda p, b: answered(p, b, body=GOOD + b" " * 5_000_000)),
    ("G15", "another scope than asked for", lambda p, b: answered(p, b, body=GOOD[:-1] + b', "scope": "admin"}')),
    ("O1", "logging at DEBUG", logged),
]


def _accepted(ended: tuple[bool, str]) -> str:
    return "accepted" if ended[0] else "refused"


def on_pyjwt(provider: Provider) -> Iterator[tuple[str, str, str]]:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    good = {"iss": "i", "aud": "a", "sub": "u1", "iat": 1, "exp": 9_999_999_999}

    def read(**claims: Any) -> str:
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, good | claims)]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = jwt.get_algorithm_by_name("RS256").sign(signed, key)
        token = signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
        try:
            jwt.decode(token, key.public_key(), algorithms=["RS256"], audience="a", issuer="i")
        except jwt.PyJWTError as error:
            return f"refused ({type(error).__name__})"
        return "accepted"

    yield "L8", "a further audience", read(aud=["a", "another"])
    yield "L10", "`exp` as a string", read(exp="9999999999")
    yield "L11", "an empty `sub`", read(sub="")
    jwk = jwt.get_algorithm_by_name("RS256").to_jwk(key.public_key(), as_dict=True)
    provider.body = json.dumps({"keys": [{**jwk, "kid": "k"}]}).encode()
    keys = jwt.PyJWKClient(f"{provider.url}/jwks")
    for number in range(50):
        with suppress(jwt.PyJWTError):
            keys.get_signing_key(f"unknown-{number}")
    yield "L16", "50 tokens of unknown keys", f"fetches: {len(provider.seen)}"
    provider.reset()
    provider.status = 503
    keys = jwt.PyJWKClient(f"{provider.url}/jwks")
    for _ in range(50):
        with suppress(jwt.PyJWTError):
            keys.get_signing_key("k")
    yield "L16", "50 tokens while the issuer is down", f"fetches: {len(provider.seen)}"


@contextmanager
def serving() -> Iterator[Provider]:
    with Provider() as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield provider
        finally:
            provider.shutdown()
            thread.join()


def main() -> None:
    print(f"Authlib {version('authlib')}, PyJWT {version('pyjwt')}\n")
    print("| id | case | Authlib on Flask | Authlib on Starlette |\n|---|---|---|---|")
    with serving() as provider:
        for id, case, row in AUTHLIB:
            outcomes = []
            for make in (on_flask, on_starlette):
                provider.reset()
                outcomes.append(row(provider, make(provider.url)))
            print(f"| {id} | {case} | {' | '.join(outcomes)} |")
        provider.reset()
        print("\n| id | case | PyJWT |\n|---|---|---|")
        for columns in on_pyjwt(provider):
            print(f"| {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
