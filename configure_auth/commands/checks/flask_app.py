"""What Flask says of an app's set-up, for `verify`. It judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import Context
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from werkzeug.test import Client

from ...flows import Site
from ...values import Secret
from .facts import Application, Session, Table, Unvisited, Visited
from .tables import table_of, tables_in

__all__ = ["application_of"]

_PATIENCE = 10.0
"""Seconds that a page may take."""


def application_of(app: Flask, site: Site, users: object | None = None) -> Application:
    """An app as it is set.

    Args:
        site: of the `ConfigureAuth` that it is about.
        users: the mapped class or table of the app's people, where they needn't be looked for.
    """
    root = app.config.get("APPLICATION_ROOT") or "/"
    home = site.settings.app_url or "http://localhost"

    def visit(method: str, path: str, headers: Mapping[str, str]) -> Visited | Unvisited:
        # In no context of ours: the app's own would be taken for the request's.
        return _in_time(partial(Context().run, _visit, app, home, method, path, headers))

    return Application(
        framework="Flask",
        session=_session(app),
        mount=root.rstrip("/"),
        mount_by="APPLICATION_ROOT",
        tables=tuple(_tables(app, users)),
        users="named" if users is not None else "found" if "sqlalchemy" in app.extensions else "unseen",
        visit=visit,
    )


def _session(app: Flask) -> Session:
    key, cookie = app.secret_key, app.session_interface
    plain = key.decode("latin-1") if isinstance(key, bytes) else key
    return Session(
        secret_key=Secret(plain) if plain else None,
        is_signed=isinstance(cookie, SecureCookieSessionInterface),
        name=cookie.get_cookie_name(app),
        is_secure=bool(cookie.get_cookie_secure(app)),
        is_http_only=bool(cookie.get_cookie_httponly(app)),
        same_site=cookie.get_cookie_samesite(app),
        domain=cookie.get_cookie_domain(app),
        path=cookie.get_cookie_path(app),
    )


def _tables(app: Flask, users: object | None) -> Iterator[Table]:
    """Those of Flask-SQLAlchemy, where the app has it."""
    db: Any = app.extensions.get("sqlalchemy")
    metadatas: Mapping[str | None, Any] = getattr(db, "metadatas", {})
    with app.app_context():
        dialects = {key: engine.dialect.name for key, engine in db.engines.items()} if metadatas else {}
    if users is not None:
        metadata = getattr(getattr(users, "__table__", users), "metadata", None)
        mine = (dialects.get(key) for key, one in metadatas.items() if one is metadata)
        table = table_of(users, next(mine, None))
        yield from () if table is None else (table,)
        return
    for key, metadata in metadatas.items():
        yield from tables_in(metadata, dialects.get(key))


def _in_time(visit: Callable[[], Visited | Unvisited]) -> Visited | Unvisited:
    """A visit that is left alone once it takes too long: a page that waits can't be stopped."""
    answers: SimpleQueue[Visited | Unvisited] = SimpleQueue()
    Thread(target=lambda: answers.put(visit()), name="configure_auth visit", daemon=True).start()
    try:
        return answers.get(timeout=_PATIENCE)
    except Empty:
        return Unvisited(f"it took more than {_PATIENCE:g} s")


def _visit(app: Flask, home: str, method: str, path: str, headers: Mapping[str, str]) -> Visited | Unvisited:
    answer = _asked(app, home, method, path, headers)
    parts = urlsplit(home)
    if parts.path and isinstance(answer, Visited) and answer.status == 404:
        # A middleware of the app's may take the prefix off, and not the server.
        whole = _asked(app, f"{parts.scheme}://{parts.netloc}", method, f"{parts.path}{path}", headers)
        return whole if isinstance(whole, Visited) and whole.status != 404 else answer
    return answer


def _asked(app: Flask, home: str, method: str, path: str, headers: Mapping[str, str]) -> Visited | Unvisited:
    try:
        # Not the app's own test client, which may sign somebody in.
        answer = Client(app, use_cookies=False).open(
            path, method=method, headers=dict(headers), base_url=home, environ_base={"REMOTE_ADDR": "127.0.0.1"}
        )
        with answer:
            first = next(iter(answer.iter_encoded()), b"")
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a page of the app's fails as it likes, as in debug mode
        return Unvisited(f"it raised {type(error).__name__}")
    return Visited(
        status=answer.status_code,
        headers=tuple((name.lower(), value) for name, value in answer.headers.items()),
        body=first,
    )
