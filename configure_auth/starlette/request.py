"""Starlette's request, session and responses, as the flows see them."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import NoMatchFound
from starlette.templating import Jinja2Templates

from .. import flows
from ..errors import SettingsError
from ..flows import AppResponse, Hook
from ..flows.app import id_renewal, is_async, note_hook, reaches_app, warn_of_fixation
from ..runtime.frozen import dataclass
from ..ui import pages

log: logging.Logger = logging.getLogger(__name__)

COOKIE_LIMIT = 4096
"""Bytes of a cookie that browsers keep (RFC 6265, section 6.1)."""


def read_request(request: Request, has_session: bool) -> flows.Request:
    """Convert a request. Its path includes the prefix that the app is mounted under, also if the server strips it.

    Args:
        has_session: the app keeps the signed-in user in Starlette's session.
    """
    scope = request.scope
    mount = scope.get("app_root_path", scope.get("root_path", "")).rstrip("/")
    path: str = scope["path"]
    headers = {name: ", ".join(request.headers.getlist(name)) for name in request.headers}
    headers["cookie"] = "; ".join(request.headers.getlist("cookie"))
    return flows.Request(
        method=request.method,
        host=request.headers.get("host", ""),
        path=path if path.startswith(f"{mount}/") else mount + path,
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        lacks_strict_session=has_session and _lacks_strict_session(request),
        debug=bool(getattr(scope.get("app"), "debug", False)),
    )


def write_response(response: flows.Response) -> Response:
    """Convert to a Starlette response. The app's own gets our headers unless it has set them."""
    if isinstance(response.app_response, Response):
        for name, value in response.headers.items():
            response.app_response.headers.setdefault(name, value)
        return response.app_response
    rendered = response.render()
    made = Response(rendered.body, status_code=rendered.status)
    for name, value in rendered.headers:
        made.headers[name] = value
    return made


async def respond_by_app(request: Request, response: flows.Response) -> Response:
    """`write_response`, also for an exception that the app has a handler for."""
    error = response.app_response
    if not isinstance(error, Exception):
        return write_response(response)
    handlers, by_status = _handlers(request)
    handler = by_status.get(error.status_code) if isinstance(error, HTTPException) else None
    if handler is None:
        handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    if handler is None:
        raise error
    made = await (handler(request, error) if is_async(handler) else run_in_threadpool(handler, request, error))
    return write_response(replace(response, app_response=made))


def _handlers(request: Request) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    """The app's exception handlers, by class and by status, as its `ExceptionMiddleware` keeps them."""
    found: tuple[Mapping[Any, Any], Mapping[Any, Any]] = request.scope.get("starlette.exception_handlers", ({}, {}))
    return found


def no_session() -> SettingsError:
    return SettingsError(
        "this app has no session: add Middleware(SessionMiddleware, secret_key=...) from "
        "starlette.middleware.sessions, or say session=False"
    )


def no_templates() -> SettingsError:
    return SettingsError("base_template needs the app's templates: call configure_auth.install(templates)")


def session_of(request: Request) -> MutableMapping[str, Any]:
    """
    Raises:
        SettingsError: the app has no session middleware.
    """
    if "session" not in request.scope:
        raise no_session()
    session: MutableMapping[str, Any] = request.session
    return session


@dataclass(frozen=True)
class StarletteApp:
    """The duties of `flows.App`, awaited. Every hook gets the request first; a plain function runs in a thread."""

    request: Request
    has_session: bool
    templates: Jinja2Templates | None = None

    async def call(self, hook: Hook, *args: object) -> Any:
        try:
            if is_async(hook):
                return await hook(self.request, *args)
            result = await run_in_threadpool(hook, self.request, *args)
            return await result if inspect.isawaitable(result) else result
        except HTTPException as error:
            raise AppResponse(error) from error
        except Exception as error:
            if reaches_app(error, _handlers(self.request)[0]):
                raise AppResponse(error) from error
            note_hook(error, hook)
            raise

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

    def memory(self) -> dict[Any, Any]:
        found: dict[Any, Any] = self.request.scope.setdefault("configure_auth.memory", {})
        return found

    async def call_for_response(self, hook: Hook, *args: object) -> Any:
        made = await self.call(hook, *args)
        return None if made is None else self.to_response(made)

    def to_response(self, value: object) -> Any:
        if not isinstance(value, Response):
            raise SettingsError("a hook must return a Response of Starlette, or None")
        return value

    def path_of(self, endpoint: str) -> str:
        try:
            return self.request.url_for(endpoint).path
        except NoMatchFound as error:
            raise LookupError(endpoint) from error

    def fill_layout(self, base_template: str, values: Mapping[str, object]) -> str:
        if self.templates is None:
            raise no_templates()
        context: dict[str, object] = {"request": self.request}
        for processor in self.templates.context_processors:
            context.update(processor(self.request))
        layout = self.templates.env.from_string(pages.LAYOUT)
        return layout.render({**context, **values, "configure_base": base_template})

    async def renew_session(self, keep: tuple[str, ...], hook: Hook | None) -> None:
        if not self.has_session:
            return
        handler = self.request.scope.get("session_handler")
        for name in ("load", "destroy"):  # of starsessions: a session that nobody loaded, and its data under the old id
            if hasattr(handler, name):
                await getattr(handler, name)()
        session = session_of(self.request)
        kept = {name: session[name] for name in keep if name in session}
        renew = id_renewal(handler, session)
        if renew is not None:
            made = renew()
            if inspect.isawaitable(made):
                await made
        elif hook is None and not _is_in_cookie(self.request):
            warn_of_fixation(type(session))
        session.clear()
        session.update(kept)
        if hook is not None:
            await self.call(hook)


def check_sessions(middleware: Iterable[Any], hook: Hook | None) -> None:
    """Log at start what is known by an app's middleware: that it has no session, or one whose id we can't change.

    Middleware of other packages may keep a session under any name, so nothing is said of what is unknown.
    """
    classes = [one.cls for one in middleware]
    sessions = [cls for cls in classes if "session" in getattr(cls, "__name__", "").lower()]
    packages = {getattr(cls, "__module__", "").partition(".")[0] for cls in classes}
    if any(is_cookie_session(cls) for cls in classes) or "starsessions" in packages:
        return
    if not sessions and packages <= {"starlette", "fastapi"}:
        log.warning("%s", no_session())
    elif sessions and hook is None:
        warn_of_fixation(sessions[0])


def is_cookie_session(cls: object) -> bool:
    """Whether a middleware keeps the session in the cookie: it has no id, and is new by being rewritten."""
    return inspect.isclass(cls) and issubclass(cls, SessionMiddleware)


def _is_in_cookie(request: Request) -> bool:
    middleware = getattr(request.scope.get("app"), "user_middleware", ())
    is_starlettes = type(request.session).__module__ == SessionMiddleware.__module__
    return is_starlettes or any(is_cookie_session(one.cls) for one in middleware)


def _cookie_session(request: Request) -> Mapping[str, Any] | None:
    """The arguments of Starlette's own `SessionMiddleware`, which keeps the session in a cookie."""
    added = getattr(request.scope.get("app"), "user_middleware", ())
    return next((middleware.kwargs for middleware in added if middleware.cls is SessionMiddleware), None)


def warn_of_large_session(request: Request) -> None:
    """Warn of a session that the browser won't keep, and with it the sign-in: a cookie has 4,096 bytes at most."""
    if (options := _cookie_session(request)) is not None and request.scope.get("session"):
        content = len(json.dumps(dict(request.session), default=str).encode())
        # In base64, with the cookie's name, and a time and a signature of 35 characters.
        size = len(options.get("session_cookie", "session")) + 4 * ((content + 2) // 3) + 36
        if size > COOKIE_LIMIT:
            log.warning(
                "the session cookie has %d bytes, and browsers drop one of more than %d: keep less in the session",
                size,
                COOKIE_LIMIT,
            )


def _lacks_strict_session(request: Request) -> bool:
    if (options := _cookie_session(request)) is not None:
        strict = str(options.get("same_site")).lower() == "strict"
        return strict and options.get("session_cookie", "session") not in request.cookies
    # A session of another kind, or around the whole app, can't be asked; an empty one may lack a strict cookie.
    return not request.scope.get("session", True)
