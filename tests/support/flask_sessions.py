"""A session that lives at the server, as Flask-Session's does, under an id in the cookie."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin


class ServerSession(dict[str, Any], SessionMixin):
    sid: str


class ServerSessions(SessionInterface):
    """With `regenerate`, the method by which such interfaces give a session another id."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Any]] = {}

    def open_session(self, app: Flask, request: Request) -> ServerSession:
        # Takes any id that comes, so that one can be planted on a victim.
        sid = request.cookies.get(app.config["SESSION_COOKIE_NAME"]) or secrets.token_hex(16)
        session = ServerSession(self._kept.get(sid, {}))
        session.sid = sid
        return session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        assert isinstance(session, ServerSession)
        self._kept[session.sid] = dict(session)
        response.set_cookie(app.config["SESSION_COOKIE_NAME"], session.sid, httponly=True, samesite="Lax")

    def regenerate(self, session: ServerSession) -> None:
        self._kept.pop(session.sid, None)
        session.sid = secrets.token_hex(16)
