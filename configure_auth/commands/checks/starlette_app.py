"""What Starlette says of an app's set-up, for `verify`. It judges nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...flows import Site
from ...starlette.extension import mounts_in
from ...values import Secret
from .facts import Application, Session, Unvisited, Visited
from .tables import table_of

__all__ = ["application_of"]

_PATIENCE = 10.0
"""Seconds that a page may take, as far as it awaits something."""


def application_of(app: Any, site: Site, users: object | None = None) -> Application | None:
    """An app as it is set; its lifespan isn't started. None where the routes are in no app.

    Args:
        app: Starlette, FastAPI, or what is wrapped around one.
        site: of the `ConfigureAuth` that it is about.
        users: the mapped class or table of the app's people. They can't be looked for here.
    """
    around = next((around for mount, around in mounts_in(app) if mount.owner._site is site), None)
    if around is None:
        return None
    inner = "".join(one.path for one in around if isinstance(one, Mount))
    told = next((root for one in around if isinstance(root := getattr(one, "root_path", None), str) and root), "")
    home = site.settings.app_url or "http://localhost"
    table = None if users is None else table_of(users, None)

    async def visit(method: str, path: str, headers: Mapping[str, str]) -> Visited | Unvisited:
        return await _visit(app, home, inner, method, path, headers)

    return Application(
        framework="Starlette",
        session=_session(around),
        mount=f"{told.rstrip('/')}{inner}",
        mount_by="root_path" if told else "the Mount around our routes",
        tables=() if table is None else (table,),
        users="unseen" if users is None else "named",
        visit=visit,
    )


def _session(around: Iterable[object]) -> Session | None:
    """That of the innermost `SessionMiddleware` around our routes."""
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
            # What a class of the app's own takes besides is its own affair.
            known = inspect.signature(SessionMiddleware).parameters
            given = {name: value for name, value in named.kwargs.items() if name in known}
            with suppress(TypeError):
                yield SessionMiddleware(_nowhere, *named.args, **given)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Around nothing, to have its settings read."""


def _flag(part: str) -> tuple[str, str]:
    name, _, value = part.strip().partition("=")
    return name.lower(), value


async def _visit(
    app: ASGIApp, home: str, inner: str, method: str, path: str, headers: Mapping[str, str]
) -> Visited | Unvisited:
    url, (plain, _, query) = urlsplit(home), path.partition("?")
    sent = {"host": url.netloc, **headers}
    scope: Scope = {
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
    why = f"it took more than {_PATIENCE:g} s"
    with anyio.move_on_after(_PATIENCE) as listening:
        answer = _Answer(listening)
        try:
            await app(scope, answer.receive, answer.send)
            why = "it ended without one"
        except (Exception, SystemExit) as error:  # noqa: BLE001  # it fails as it likes; Starlette raises what it answered
            why = f"it raised {type(error).__name__}"
    if answer.status is None:
        return Unvisited(why)
    return Visited(
        status=answer.status, headers=tuple(answer.headers), body=answer.body, has_session="session" in scope
    )


class _Answer:
    """A client that sends nothing more, keeps the first part of what comes, and goes when there is a second one."""

    def __init__(self, listening: anyio.CancelScope) -> None:
        self._listening = listening
        self.status: int | None = None
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self._has_asked = False

    async def receive(self) -> Message:
        if self._has_asked:
            # It stays until the app has ended.
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
                self._listening.cancel()
            else:
                self.body = message["body"]
        # What never waits would never hear that nobody listens any longer.
        await anyio.lowlevel.checkpoint()
