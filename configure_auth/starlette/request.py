"""Starlette's request, session and responses, as the flows see them."""

from __future__ import annotations

import inspect
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..errors import SettingsError
from ..flows import Answer, AppResponse, Hook, Visit

__all__ = ["StarletteApp", "is_async", "no_session", "respond", "session_of", "visit"]


def visit(request: Request, has_session: bool) -> Visit:
    """A request. `has_session`: the app keeps its users in Starlette's session.

    Where the server strips the prefix that the app is mounted under, the path gets it back."""
    scope = request.scope
    mount = scope.get("app_root_path", scope.get("root_path", "")).rstrip("/")
    path: str = scope["path"]
    headers = {name: ", ".join(request.headers.getlist(name)) for name in request.headers}
    headers["cookie"] = "; ".join(request.headers.getlist("cookie"))
    return Visit(
        method=request.method,
        host=request.headers.get("host", ""),
        path=path if path.startswith(f"{mount}/") else mount + path,
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        lacks_strict_session=has_session and _lacks_strict_session(request),
    )


def respond(answer: Answer) -> Response:
    """An answer as a Starlette response; the app's own gets our headers where it has none of them."""
    if isinstance(answer.response, HTTPException):
        answer.response.headers = {**answer.headers, **(answer.response.headers or {})}
        raise answer.response
    if isinstance(answer.response, Response):
        for name, value in answer.headers.items():
            answer.response.headers.setdefault(name, value)
        return answer.response
    reply = answer.reply()
    response = Response(reply.body, status_code=reply.status)
    for name, value in reply.headers:
        response.headers[name] = value
    return response


def no_session() -> SettingsError:
    return SettingsError(
        "this app has no session: add Middleware(SessionMiddleware, secret_key=...) from "
        "starlette.middleware.sessions, or say session=False"
    )


def session_of(request: Request) -> MutableMapping[str, Any]:
    """
    Raises:
        SettingsError: the app has no session middleware.
    """
    if "session" not in request.scope:
        raise no_session()
    session: MutableMapping[str, Any] = request.session
    return session


@dataclass(frozen=True, slots=True)
class StarletteApp:
    """The duties of `flows.App`, awaited. Every hook gets the request first; a plain function runs in a thread."""

    request: Request
    has_session: bool

    async def call(self, hook: Hook, *args: object) -> Any:
        try:
            if is_async(hook):
                return await hook(self.request, *args)
            result = await run_in_threadpool(hook, self.request, *args)
            return await result if inspect.isawaitable(result) else result
        except HTTPException as error:
            raise AppResponse(error) from error

    async def body(self, limit: int) -> Any:
        body = b""
        try:
            async for part in self.request.stream():
                body += part[: limit + 1 - len(body)]
                if len(body) > limit:
                    break
        except ClientDisconnect:
            return b""
        return body

    async def answer(self, hook: Hook, *args: object) -> Any:
        made = await self.call(hook, *args)
        return None if made is None else self.response(made)

    def response(self, value: object) -> Any:
        if not isinstance(value, Response):
            raise SettingsError("a hook must return a Response of Starlette, or None")
        return value

    def renew_session(self, keep: tuple[str, ...]) -> None:
        if not self.has_session:
            return
        session = session_of(self.request)
        kept = {name: session[name] for name in keep if name in session}
        session.clear()
        session.update(kept)
        # Server-side sessions have this; a cookie session is new by being rewritten.
        regenerate = getattr(session, "regenerate", None)
        if regenerate is not None:
            regenerate()


def is_async(hook: Hook) -> bool:
    while isinstance(hook, partial):
        hook = hook.func
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__)


def _lacks_strict_session(request: Request) -> bool:
    for middleware in getattr(request.scope.get("app"), "user_middleware", ()):
        if middleware.cls is SessionMiddleware:
            strict = str(middleware.kwargs.get("same_site")).lower() == "strict"
            return strict and middleware.kwargs.get("session_cookie", "session") not in request.cookies
    # A session of another kind, or around the whole app, can't be asked; an empty one may lack a strict cookie.
    return not request.scope.get("session", True)
