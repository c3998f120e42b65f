"""What every request goes through: who is signed in, whose form it is, what the page may do."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.authentication import AuthCredentials, AuthenticationBackend
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .models import User, database
from .templating import page

__all__ = ["OwnFormsOnly", "SecureHeaders", "SessionUser"]


class SessionUser(AuthenticationBackend):
    """`request.user` is whoever the session names, as long as there is such a person."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, User] | None:
        user_id = conn.session.get("user_id")
        if user_id is None:
            return None
        async with database(conn) as db:
            user = await User.by_id(db, user_id)
        return None if user is None else (AuthCredentials(), user)


class OwnFormsOnly:
    """Refuses a form that another site's page sent. The browser says where it comes from; no page can change that."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") and not is_own(Headers(scope=scope)):
            app = page(Request(scope), "foreign_form.html", 403)
        await app(scope, receive, send)


def is_own(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return urlsplit(headers.get("origin", "")).netloc == headers.get("host")  # browsers from before 2023


class SecureHeaders:
    """Headers of every response that doesn't bring its own."""

    HEADERS = {
        "Content-Security-Policy": "default-src 'self'; form-action 'self'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",  # Back after signing out shows nothing
    }

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, secured)
