"""A Starlette or FastAPI app's own configuration, and requests to its pages."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from starlette.applications import Starlette
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...flows import Site
from ...starlette.extension import owners_in
from ...values import Secret
from .application import Application, Framework, NoResponse, PageResponse, Session, table_of

STARLETTE = Framework(
    options={
        "secret_key": "SessionMiddleware(secret_key=...)",
        "secure": "SessionMiddleware(https_only=True)",
        "insecure": "SessionMiddleware(https_only=False)",
        "same_site": 'SessionMiddleware(same_site="lax")',
        "http_only": "HttpOnly for the session cookie",
        "domain": "SessionMiddleware(domain=...)",
        "name": "SessionMiddleware(session_cookie=...)",
        "path": "SessionMiddleware(path=...)",
    },
    exempt=lambda names: "exempt these paths in the middleware that guards the app",
    is_guarded=True,
    has_lifespan=True,
)

_TIMEOUT = 10.0
"""Seconds that a page may take, if it awaits."""


def application_of(app: Any, site: Site, users: object | None = None) -> Application | None:
    """Describe an app without running its lifespan; None if our routes are in no app.

    Args:
        app: Starlette, FastAPI, or middleware around one.
        site: of the `ConfigureAuth` that is checked.
        users: the mapped class or table of the app's users; they aren't searched here.
    """
    around = next((around for owner, around, _name in owners_in(app) if owner._site is site), None)
    if around is None:
        return None
    inner = "".join(one.path for one in around if isinstance(one, Mount))
    told = next((root for one in around if isinstance(root := getattr(one, "root_path", None), str) and root), "")
    home = site.settings.app_url or "http://localhost"
    table = None if users is None else table_of(users, None)

    async def request(method: str, path: str, headers: Mapping[str, str]) -> PageResponse | NoResponse:
        return await _request(app, home, inner, method, path, headers)

    return Application(
        framework=STARLETTE,
        session=_session(around),
        mount=f"{told.rstrip('/')}{inner}",
        mount_by="root_path" if told else "the Mount around our routes",
        tables=() if table is None else (table,),
        users="unseen" if users is None else "named",
        request=request,
        taken_by=lambda path: _taken_by(around, _scope(home, inner, "GET", path, {}), site),
    )


def _taken_by(around: Iterable[object], scope: Scope, site: Site) -> str | None:
    """Name the route that takes a request before ours does, such as `StaticFiles` at "/" or a `/{path:path}`."""
    outermost = next((one for one in around if isinstance(one, Starlette)), None)
    for route in () if outermost is None else outermost.routes:
        if any(owner._site is site for owner, _around, _name in owners_in(route)):
            return None
        if route.matches({**scope})[0] is Match.FULL:
            inside = f" ({type(route.app).__name__})" if isinstance(route, Mount) else ""
            return f"the {type(route).__name__} at {getattr(route, 'path', None) or '/'}{inside}"
    return None


def _session(around: Iterable[object]) -> Session | None:
    """Describe the innermost `SessionMiddleware` around our routes."""
    found = [middleware for one in around for middleware in _session_middleware(one)]
    if not found:
        return None
    flags = dict(_flag(part) for part in found[-1].security_flags.split(";"))
    return Session(
        secret_key=Secret(found[-1].signer.secret_keys[-1].decode("latin-1")),
        name=found[-1].session_cookie,
        is_secure="secure" in flags,
        is_http_only="httponly" in flags,
        same_site=flags.get("samesite"),
        domain=flags.get("domain"),
        path=found[-1].path,
    )


def _session_middleware(part: object) -> Iterator[SessionMiddleware]:
    if isinstance(part, SessionMiddleware):
        yield part
    for named in getattr(part, "user_middleware", ()):
        if inspect.isclass(named.cls) and issubclass(named.cls, SessionMiddleware):
            # A subclass may have more parameters.
            known = inspect.signature(SessionMiddleware).parameters
            given = {name: value for name, value in named.kwargs.items() if name in known}
            with suppress(TypeError):
                yield SessionMiddleware(_no_app, *named.args, **given)


async def _no_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An app for a middleware of which only the settings are read."""


def _flag(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name.lower(), value


async def _request(
    app: ASGIApp, home: str, inner: str, method: str, path: str, headers: Mapping[str, str]
) -> PageResponse | NoResponse:
    scope = _scope(home, inner, method, path, headers)
    why = f"it took more than {_TIMEOUT:g} s"
    with anyio.move_on_after(_TIMEOUT) as deadline:
        client = _Client(deadline)
        try:
            await app(scope, client.receive, client.send)
            why = "it ended without a response"
        except (Exception, SystemExit) as error:  # noqa: BLE001  # pages of the app may raise anything
            why = f"it raised {type(error).__name__}"
    if client.status is None:
        return NoResponse(why)
    return PageResponse(
        status=client.status, headers=tuple(client.headers), body=client.body, has_session="session" in scope
    )


def _scope(home: str, inner: str, method: str, path: str, headers: Mapping[str, str]) -> Scope:
    url, (plain, _, query) = urlsplit(home), path.partition("?")
    sent = {"host": url.netloc, **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": url.scheme,
        "path": f"{url.path}{plain}",
        "raw_path": f"{url.path}{plain}".encode(),
        "query_string": query.encode(),
        "root_path": url.path.removesuffix(inner),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 0),
        "server": (url.hostname, url.port or (443 if url.scheme == "https" else 80)),
        "state": {},
    }


class _Client:
    """The other side of a request without a body: keeps the first chunk of the response, and cancels at the second."""

    def __init__(self, deadline: anyio.CancelScope) -> None:
        self._deadline = deadline
        self.status: int | None = None
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self._has_asked = False

    async def receive(self) -> Message:
        if self._has_asked:
            # The client stays connected until the app has ended.
            await anyio.sleep_forever()
        self._has_asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in message.get("headers", ())
            ]
        elif message["type"] == "http.response.body" and message.get("body"):
            if self.body:
                self._deadline.cancel()
            else:
                self.body = message["body"]
        # A stream that never awaits could not be cancelled.
        await anyio.lowlevel.checkpoint()
