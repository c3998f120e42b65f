"""From what an app names as its store to the store.

An app's own engine is never used itself, only its address: a request may hold one of its connections while we ask for
another, and as many such requests as the pool has connections would wait for each other.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union, cast
from urllib.parse import parse_qsl

from ..errors import SettingsError
from ..settings import Settings
from . import REDIS_SCHEMES, StateStore, Stores
from .databases import BUSY_SECONDS, POSTGRESQL, SQLITE, AwaitedDatabase, Database, Postgresql, Sqlite
from .memory import report_other_processes
from .schema import Preparation
from .sql import sql_stores

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

log: logging.Logger = logging.getLogger(__name__)


class HasEngine(Protocol):
    """SQLAlchemy's Engine or AsyncEngine, or Flask-SQLAlchemy's `db`."""

    @property
    def engine(self) -> Any: ...


StoreSource: TypeAlias = str | Stores | HasEngine | Callable[[], Any]
"""What can be given as `store=`."""

StateSource: TypeAlias = Union[str, StateStore, "Redis", "AsyncRedis"]
"""What can be given as `states=`."""

AttemptSource: TypeAlias = StoreSource | StateSource
"""Where attempts can be kept that lead to no account of ours."""

DEFAULT = "sqlite:///configure.db"
_KNOWN = "sqlite:///configure.db, postgresql://... or memory://"
_KINDS = (
    f"{_KNOWN}, or on PostgreSQL an Engine, a Flask-SQLAlchemy db, a Session factory or a function that opens a "
    "psycopg connection"
)


def chosen(
    store: StoreSource | None, states: StateSource | None, settings: Settings
) -> tuple[StoreSource, StateSource | None]:
    """What the app named in its code, else both as CONFIGURE_STORE and CONFIGURE_STATES name them, else a file."""
    if store is not None:
        return store, states
    if states is None and settings.states is not None:
        states = settings.states.reveal()
    return DEFAULT if settings.store is None else settings.store.reveal(), states


def open_stores(
    store: StoreSource,
    states: StateSource | None = None,
    *,
    agent: str,
    fingerprints: tuple[str, ...],
    folder: Path,
    awaited: bool,
    local: bool,
    busy: float = BUSY_SECONDS,
    names: Callable[[str], tuple[str, ...]] | None = None,
) -> Stores:
    """Open a store, with the attempts in a second one where `states` is given. Nothing is connected to or created yet.

    Args:
        store, states: as for `ConfigureAuth`.
        agent: whose records these are.
        fingerprints: of the keys that seal, so that a wrong key is noticed before it does harm.
        folder: the app's own, where a relative path of a file begins; created if it isn't there.
        awaited: whether the app runs on an event loop, where the store must not block.
        local: whether the app runs on loopback.
        busy: seconds that a lock, a writer's turn or a connection is waited for.
        names: the keyed hashes of a user id, which Redis lists a user's attempts under.

    Raises:
        SettingsError: it is no store that is known here, or can't be one for this app; the message says what can.
    """
    if isinstance(store, Stores):
        main = store
    else:
        if store == "memory://" and not local:
            log.warning("store=memory:// is for development: a second worker, or a restart, knows nothing of it")
        main = sql_stores(open_database(store, agent, fingerprints, folder, awaited=awaited, busy=busy))
    if states is None:
        return main
    # Leases stay with the accounts: they guard refresh tokens, and a Redis that fails over may forget who holds one.
    second, close_second = _second(states, awaited=awaited, names=names)

    def close() -> object:
        try:
            return main.close()  # to be awaited on an event loop
        finally:
            close_second()

    return replace(main, states=second, close=close)


def open_attempts(store: AttemptSource, **options: Any) -> Stores:
    """`open_stores` for what keeps attempts only, where Redis is enough."""
    if _is_for_states(store):
        return Stores.of_attempts(*_second(cast(StateSource, store), awaited=options["awaited"]))
    return open_stores(cast(StoreSource, store), **options)


def make_tables(store: StoreSource, folder: Path) -> int:
    """Create or change the tables of an SQL store; return the schema number that they had, 0 where there were none.

    Raises:
        SettingsError: it isn't an SQL store.
        StoreError: the database refused.
    """
    if isinstance(store, Stores) or store == "memory://":
        raise SettingsError("this store has no tables")
    database = open_database(store, "", (), folder, awaited=False)
    assert isinstance(database, Sqlite | Postgresql)
    database.prepare.done = True  # or it would refuse the tables that are to be changed
    with closing(database):
        return database.perform(database.prepare.upgrade)


def _is_for_states(source: object) -> bool:
    if isinstance(source, str):
        return source.partition(":")[0] in REDIS_SCHEMES
    return hasattr(source, "claim") or hasattr(source, "register_script")


def open_database(
    store: object, agent: str, fingerprints: tuple[str, ...], folder: Path, *, awaited: bool, busy: float = BUSY_SECONDS
) -> Database:
    if _is_for_states(store):
        raise SettingsError(
            "Redis keeps the attempts to sign in only, because the accounts must never expire: give "
            'store="postgresql://..." (or another SQL store) and states="redis://..." beside it'
        )
    kind, address = "postgresql", store
    if isinstance(store, str) or hasattr(store, "render_as_string"):
        url = store if isinstance(store, str) else store.render_as_string(hide_password=False)
        scheme, is_url, address = url.partition("://")
        kind = scheme.partition("+")[0]
        if not is_url:
            raise SettingsError(f"store= is not a URL; it looks like {_KNOWN}")
    database: Sqlite | Postgresql | None = None
    pool = None
    if kind == "memory":
        then = partial(report_other_processes, f"{agent} {folder}")
        database = Sqlite(None, Preparation(SQLITE, agent, fingerprints, then=then))
    elif kind == "sqlite":
        path = (folder / _sqlite_path(cast(str, address))).absolute()
        database = Sqlite(path, Preparation(SQLITE, agent, fingerprints), busy=busy)
    elif kind in ("postgresql", "postgres"):
        try:
            blocking, waiting = _connects(address, busy)
        except ImportError as error:
            raise SettingsError("the store needs psycopg: pip install 'configure_auth[postgresql]'") from error
        prepare = Preparation(POSTGRESQL, agent, fingerprints)
        database = None if blocking is None else Postgresql(blocking, prepare, busy=busy)
        pool = None if waiting is None else partial(Postgresql, waiting, prepare, busy=busy, is_async=True)
    else:
        raise SettingsError(f"store={kind!a}:... can't be used; use {_KNOWN}")
    if awaited:
        return AwaitedDatabase(database, pool, busy=busy)
    if database is None:
        raise SettingsError("store= opens asynchronous connections; give a function that opens blocking ones here")
    return database


def _sqlite_path(rest: str) -> str:
    path = rest.removeprefix("/")
    if "?" in path and not path.startswith("file:"):
        raise SettingsError("an SQLite store's URL has no options; leave out what follows the question mark")
    if path == rest or path in ("", ":memory:") or path.startswith("file:"):
        raise SettingsError("an SQLite store needs a file: sqlite:///configure.db; without one it is memory://")
    return path


def _connects(store: object, busy: float) -> tuple[Callable[[], Any] | None, Callable[[], Any] | None]:
    """Return what opens a blocking connection of psycopg's, and what opens an asynchronous one."""
    import psycopg
    import psycopg_pool  # noqa: F401  # asked for here, where its absence can be explained

    made: Any = store
    if callable(store) and _engine_of(store) is None:
        try:
            made = store()
        except psycopg.Error:
            return store, None  # it opens connections, and can't now
        if inspect.iscoroutine(made) or isinstance(made, psycopg.Connection):
            made.close()
            return (None, store) if inspect.iscoroutine(made) else (store, None)
    engine = None if isinstance(made, str) else _engine_of(made)
    if isinstance(made, str):
        address = _address_of_url(made)
    elif engine is not None:
        address = _address_of_engine(engine)
    else:
        that = "" if made is store else f" that returns type {type(made).__name__}"
        raise SettingsError(f"store= got type {type(store).__name__}{that}; expected {_KINDS}")
    seconds = max(2, round(busy))  # until a server that is gone without a word is noticed
    waits = {"connect_timeout": seconds, "keepalives_idle": seconds, "tcp_user_timeout": 1000 * seconds}
    address = {"keepalives_interval": 1, "keepalives_count": 5, **waits, **address}
    return partial(psycopg.Connection.connect, **address), partial(psycopg.AsyncConnection.connect, **address)


def _address_of_url(rest: str) -> dict[str, Any]:
    """The libpq parameters of what follows `postgresql://` in a URL."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    place, _, query = rest.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    _refuse_unknown({name for name, _ in given})
    try:
        # The query apart: a plus sign in it is a space, as SQLAlchemy writes it, and libpq reads %20 alone as one.
        address = conninfo_to_dict(f"postgresql://{place}", **dict(given))
        [int(port) for port in str(address.get("port") or 0).split(",")]
    except (psycopg.ProgrammingError, ValueError):
        # libpq's own text quotes the part that it can't read, which may be a password.
        raise SettingsError(f"store= is not a valid URL; it looks like {_KNOWN}") from None
    return address


def _refuse_unknown(names: set[str]) -> None:
    from psycopg import pq

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    if unknown := sorted(names - known):
        raise SettingsError(
            f"the store's PostgreSQL connection doesn't know {', '.join(unknown)}; it takes libpq's parameters, "
            'such as sslmode and application_name: give them in store="postgresql://...?sslmode=require"'
        )


_OURS = {"autocommit", "prepare_threshold", "row_factory", "cursor_factory", "context"}
"""Arguments of psycopg's own connect() that every connection of the store has in its own way."""


def _address_of_engine(engine: Any) -> dict[str, Any]:
    """The libpq parameters that an engine connects with."""
    if engine.dialect.name == "sqlite":
        raise SettingsError(
            "the app's own SQLite engine can't be the store: a transaction that the app has open would lock it; give "
            'the store a file of its own by its URL: store="sqlite:///configure.db"'
        )
    if engine.dialect.name != "postgresql":
        raise SettingsError(
            f"store= is an Engine on {engine.dialect.name}; the store works on PostgreSQL; or use {_KNOWN}"
        )
    # SQLAlchemy's own function that connects keeps the arguments it was made with; an app's `creator` has none of them.
    creator = getattr(engine.pool, "_creator", None)
    held = inspect.getclosurevars(creator).nonlocals if inspect.isfunction(creator) else {}
    arguments = held.get("cparams")
    if arguments is None or held.get("cargs") or list(engine.dialect.dispatch.do_connect):
        raise SettingsError(
            "store= is an Engine with a creator or a do_connect listener, which opens connections of SQLAlchemy's; "
            "give a function that opens a psycopg connection instead"
        )
    if engine.get_execution_options().get("schema_translate_map"):
        raise SettingsError(
            "store= is an Engine with a schema_translate_map; give the schema in a URL instead: "
            'store="postgresql://...?options=-csearch_path=name"'
        )
    renamed = {"database": "dbname", "username": "user"}
    address = {renamed.get(name, name): value for name, value in arguments.items() if name not in _OURS}
    _refuse_unknown(set(address))
    return address


def _engine_of(made: Any) -> Any:
    """The Engine that an object is or has; None where it has none."""
    alchemy = getattr(sys.modules.get("sqlalchemy.exc"), "SQLAlchemyError", RuntimeError)
    session = getattr(made, "sync_session", made)  # what is in an AsyncSession
    try:
        # Not closed: it may be the thread's own, with a transaction of the app's in it.
        engine = getattr(session.get_bind() if hasattr(session, "get_bind") else made, "engine", None)
    except (RuntimeError, alchemy) as error:
        raise SettingsError(
            f"store={type(made).__name__} has no engine yet; call db.init_app(app), or bind the factory, first"
        ) from error
    return engine if hasattr(engine, "dialect") and hasattr(engine, "pool") else None


def _second(
    states: StateSource, *, awaited: bool, names: Callable[[str], tuple[str, ...]] | None = None
) -> tuple[StateStore, Callable[[], object]]:
    if not isinstance(states, str) and hasattr(states, "claim"):
        return cast(StateStore, states), lambda: None
    try:
        from .redis import open_redis
    except ImportError as error:
        raise SettingsError("states= needs redis-py: pip install 'configure_auth[redis]'") from error
    return open_redis(states, awaited=awaited, names=names)
