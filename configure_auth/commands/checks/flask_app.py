"""A Flask app's own configuration, and requests to its pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
from .application import Application, Framework, NoResponse, PageResponse, Session, Table, likely_user_tables, table_of


def _exempt(names: Iterable[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f"start your guard with: if request.blueprint in ({listed},): return None"


FLASK = Framework(
    options={
        "secret_key": "SECRET_KEY",
        "secure": "SESSION_COOKIE_SECURE=True",
        "insecure": "SESSION_COOKIE_SECURE=False",
        "same_site": 'SESSION_COOKIE_SAMESITE="Lax"',
        "http_only": "SESSION_COOKIE_HTTPONLY=True",
        "domain": "SESSION_COOKIE_DOMAIN",
        "name": "SESSION_COOKIE_NAME",
        "path": "SESSION_COOKIE_PATH",
    },
    exempt=_exempt,
    is_guarded=False,
    has_lifespan=False,
)

_TIMEOUT = 10.0
"""Seconds that a page may take."""


def application_of(app: Flask, site: Site, users: object | None = None) -> Application:
    """Describe an app.

    Args:
        site: of the `ConfigureAuth` that is checked.
        users: the mapped class or table of the app's users, if it is known.
    """
    root = app.config.get("APPLICATION_ROOT") or "/"
    home = site.settings.app_url or "http://localhost"

    def request(method: str, path: str, headers: Mapping[str, str]) -> PageResponse | NoResponse:
        # Without our context, in which the app context would stand in for the request's.
        return _with_timeout(partial(Context().run, _request, app, home, method, path, headers))

    return Application(
        framework=FLASK,
        session=_session(app),
        mount=root.rstrip("/"),
        mount_by="APPLICATION_ROOT",
        tables=tuple(_tables(app, users)),
        users="named" if users is not None else "found" if "sqlalchemy" in app.extensions else "unseen",
        request=request,
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
    """Yield the tables of Flask-SQLAlchemy, if the app has it."""
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
        yield from likely_user_tables(metadata, dialects.get(key))


def _with_timeout(request: Callable[[], PageResponse | NoResponse]) -> PageResponse | NoResponse:
    """Make a request in a daemon thread, because a page that hangs can't be stopped."""
    responses: SimpleQueue[PageResponse | NoResponse] = SimpleQueue()
    Thread(target=lambda: responses.put(request()), name="configure_auth request", daemon=True).start()
    try:
        return responses.get(timeout=_TIMEOUT)
    except Empty:
        return NoResponse(f"it took more than {_TIMEOUT:g} s")


def _request(app: Flask, home: str, method: str, path: str, headers: Mapping[str, str]) -> PageResponse | NoResponse:
    response = _open(app, home, method, path, headers)
    parts = urlsplit(home)
    if parts.path and isinstance(response, PageResponse) and response.status == 404:
        # The prefix may be removed by middleware of the app instead of the server.
        whole = _open(app, f"{parts.scheme}://{parts.netloc}", method, f"{parts.path}{path}", headers)
        return whole if isinstance(whole, PageResponse) and whole.status != 404 else response
    return response


def _open(app: Flask, home: str, method: str, path: str, headers: Mapping[str, str]) -> PageResponse | NoResponse:
    try:
        # Not the app's own test client, which may sign a user in.
        response = Client(app, use_cookies=False).open(
            path, method=method, headers=dict(headers), base_url=home, environ_base={"REMOTE_ADDR": "127.0.0.1"}
        )
        with response:
            first = next(iter(response.iter_encoded()), b"")
    except (Exception, SystemExit) as error:  # noqa: BLE001  # pages of the app may raise anything
        return NoResponse(f"it raised {type(error).__name__}")
    return PageResponse(
        status=response.status_code,
        headers=tuple((name.lower(), value) for name, value in response.headers.items()),
        body=first,
    )
