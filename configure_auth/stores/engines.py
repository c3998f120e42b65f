"""From what an app has (a URL, an engine, its `db`, its Session factory) to a database with connections of our own.

An app's engine is not used itself but made anew: a request may hold one of its connections while we ask for another,
and as many such requests as the pool has connections would wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ..errors import SettingsError
from .database import BUSY_SECONDS, AsyncDatabase, Database, ThreadedDatabase

__all__ = ["open_blocking", "open_database"]

_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_KNOWN = "sqlite:///configure.db, postgresql://... or memory://"


ISOLATION = "READ COMMITTED"
"""What the statements are written for, whatever a database, a role or an app has for its default."""

_PATIENCE = {
    "connect_timeout": BUSY_SECONDS,
    "keepalives_idle": BUSY_SECONDS,
    "keepalives_interval": 1,
    "keepalives_count": BUSY_SECONDS,
    "tcp_user_timeout": 1000 * BUSY_SECONDS,
}
"""libpq's parameters, so that a server that is gone without a word is noticed; the last one is in milliseconds."""


def open_database(
    store: object, *, agent: str, fingerprints: tuple[str, ...], folder: Path, awaited: bool
) -> Database | ThreadedDatabase | AsyncDatabase:
    """Open a database; nothing connects to it before it is used.

    Args:
        store: a URL, an Engine or AsyncEngine, a Flask-SQLAlchemy `db` (in an app context), or a Session factory.
        folder: what a relative path of an SQLite file is relative to; made if it isn't there.
        awaited: whether the app runs on an event loop. There a blocking driver works in threads.

    Raises:
        SettingsError: it is none of these, or its database or driver can't be used; the message says what can.
    """
    source = _source(store)
    make, waits = _made(source, folder)
    if not (waits and awaited):
        database = open_blocking(source, agent=agent, fingerprints=fingerprints, folder=folder)
        return ThreadedDatabase(database) if awaited else database
    with _said_what_to_install():
        return AsyncDatabase(make, agent=agent, fingerprints=fingerprints)


def open_blocking(store: object, *, agent: str, fingerprints: tuple[str, ...], folder: Path) -> Database:
    """`open_database` for what blocks."""
    make, waits = _made(_source(store), folder)
    if waits:
        raise SettingsError("an asynchronous engine can't be waited for here; give a blocking one, or its URL")
    with _said_what_to_install():
        return Database(make, agent=agent, fingerprints=fingerprints)


@contextmanager
def _said_what_to_install() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        extra = "starlette" if error.name == "aiosqlite" else "postgresql"
        raise SettingsError(f"the store needs {error.name}: pip install 'configure_auth[{extra}]'") from error
    except ImportError as error:
        raise SettingsError("an asynchronous store needs greenlet: pip install 'sqlalchemy[asyncio]'") from error


def _source(store: object) -> URL | Engine:
    if isinstance(store, URL):
        return store
    if isinstance(store, str):
        try:
            return make_url(store)
        except (ArgumentError, ValueError):
            raise SettingsError(f"store= is no URL of a store; it looks like {_KNOWN}") from None
    engine = getattr(store, "sync_engine", store)  # what is in an AsyncEngine
    if isinstance(engine, Engine):
        return engine
    try:
        engine = _engine_of(store)
    except (SQLAlchemyError, RuntimeError) as error:
        raise SettingsError(
            f"store={type(store).__name__} has no engine yet; call db.init_app(app), or bind the factory, first"
        ) from error
    if engine.dialect.name == "sqlite":
        raise SettingsError(
            "the app's own SQLite file can't be the store: a transaction that the app has open would lock it; give the "
            'store a file of its own: store="sqlite:///configure.db"'
        )
    return engine


def _engine_of(store: Any) -> Engine:
    if hasattr(store, "engines") and hasattr(store, "engine"):
        return store.engine  # type: ignore[no-any-return]  # Flask-SQLAlchemy's `db`
    if callable(store):
        made = store()
        session = getattr(made, "sync_session", made)  # what is in an AsyncSession
        if hasattr(session, "get_bind"):
            # Not closed: it may be the thread's own, with a transaction of the app's in it.
            bind = session.get_bind()
            return bind.engine  # type: ignore[no-any-return]
    raise SettingsError(
        f"store={type(store).__name__} is no store; give {_KNOWN}, an Engine, a db or a Session factory"
    )


Made = tuple[Callable[[], Any], bool]
"""What makes the engine, and whether that one is asynchronous."""


def _made(source: URL | Engine, folder: Path) -> Made:
    return _from_url(source, folder) if isinstance(source, URL) else _from_engine(source)


def _from_url(url: URL, folder: Path) -> Made:
    if url.drivername in ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"):
        if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
            raise SettingsError("an SQLite store needs a file: sqlite:///configure.db; without one it is memory://")
        return _sqlite(folder / url.database, waits=url.drivername == "sqlite+aiosqlite")
    if url.drivername not in (*_POSTGRESQL, "postgresql+psycopg_async"):
        raise SettingsError(f"store={url.drivername!a}:... is no store for this app; use {_KNOWN}")
    options: dict[str, Any] = {
        "pool_timeout": BUSY_SECONDS,
        "isolation_level": ISOLATION,
        # No statements that the server keeps: behind PgBouncer the next one may meet another session.
        "connect_args": {"prepare_threshold": None, **{k: v for k, v in _PATIENCE.items() if k not in url.query}},
    }
    chosen = url.set(drivername="postgresql+psycopg")
    if url.drivername == "postgresql+psycopg_async":
        return (lambda: _create_async(chosen, **options)), True
    return (lambda: create_engine(chosen, **options)), False


def _from_engine(engine: Engine) -> Made:
    if engine.dialect.name == "sqlite":
        return _from_url(engine.url, Path.cwd())
    if engine.dialect.name != "postgresql":
        raise SettingsError(f"store= is an engine on {engine.dialect.name}; the store works on PostgreSQL and SQLite")
    waits = engine.dialect.is_async
    create: Callable[..., Any] = _create_async if waits else create_engine
    # The app's level comes along with its pool: on AUTOCOMMIT no transaction of ours would be one.
    kept = {name: value for name, value in engine.get_execution_options().items() if name == "schema_translate_map"}
    options: dict[str, Any] = {"isolation_level": ISOLATION, "execution_options": kept}
    return (lambda: create(engine.url, pool=engine.pool.recreate(), **options)), waits


def _sqlite(path: Path, *, waits: bool) -> Made:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # what SQLite makes beside it gets the same
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}}
    if waits:
        # No pool: each of its connections is a thread, which would outlive a loop that ends in disorder.
        url = URL.create("sqlite+aiosqlite", database=str(path))
        return (lambda: _create_async(url, poolclass=NullPool, **options)), True
    return (lambda: create_engine(URL.create("sqlite", database=str(path)), **options)), False


def _create_async(url: URL, **options: Any) -> Any:
    # Here, since without greenlet it can't be imported, and what blocks needs none.
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(url, **options)
