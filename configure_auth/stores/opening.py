"""From what an app names as its store to the store."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, Union, cast

from ..errors import SettingsError
from ..settings import Settings
from . import StateStore, Stores
from .memory import memory_stores, warn_of_others

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = [
    "AttemptSource",
    "StateSource",
    "StoreSource",
    "chosen",
    "make_tables",
    "open_attempts",
    "open_stores",
    "table_statements",
]

log = logging.getLogger("configure_auth")


class Db(Protocol):
    """Flask-SQLAlchemy's `db`."""

    @property
    def engine(self) -> Any: ...

    @property
    def engines(self) -> Any: ...


StoreSource: TypeAlias = Union[str, Stores, "URL", "Engine", "AsyncEngine", Db, Callable[[], Any]]
"""What can be given as `store=`."""

StateSource: TypeAlias = Union[str, StateStore, "Redis", "AsyncRedis"]
"""What can be given as `states=`."""

AttemptSource: TypeAlias = StoreSource | StateSource
"""Where attempts can be kept that lead to no account of ours."""

_REDIS = ("redis", "rediss", "unix")


DEFAULT = "sqlite:///configure.db"


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
    extra: str,
    awaited: bool,
    local: bool,
) -> Stores:
    """Open a store, with the attempts in a second one where `states` is given.

    Args:
        store: "memory://", "sqlite:///configure.db" (a relative path lies in `folder`), "postgresql://...", an Engine,
            a Flask-SQLAlchemy `db`, a Session factory, or a `Stores`. On an event loop also
            "sqlite+aiosqlite:///configure.db", "postgresql+psycopg_async://..." and an AsyncEngine.
        states: "redis://...", a redis-py client, or a `StateStore`.
        agent: whose records these are.
        fingerprints: of the keys that seal, so that a wrong key is noticed before it does harm.
        folder: the app's own folder for such files; made if it isn't there.
        extra: what to install where SQLAlchemy is missing.
        awaited: whether the app runs on an event loop, where the store must not block.
        local: whether the app runs on loopback.

    Raises:
        SettingsError: it is no store that is known here, or can't be one for this app; the message says what can.
    """
    main = _main(
        store, agent=agent, fingerprints=fingerprints, folder=folder, extra=extra, awaited=awaited, local=local
    )
    if states is None:
        return main
    # Leases stay with the accounts: they guard refresh tokens, and a Redis that fails over may forget who holds one.
    second, close = _second(states, awaited=awaited)
    return replace(main, states=second, close=_both(main.close, close, awaited=awaited))


def open_attempts(store: AttemptSource, **options: Any) -> Stores:
    """`open_stores` for what keeps attempts only, where Redis is enough."""
    if _is_for_states(store):
        return open_stores(memory_stores(), cast(StateSource, store), **options)
    return open_stores(cast(StoreSource, store), **options)


def make_tables(store: StoreSource, folder: Path) -> int:
    """Make or change the tables of an SQL store; the schema number that they had, 0 where there were none.

    Raises:
        SettingsError: it isn't an SQL store.
        StoreError: the database refused.
    """
    if isinstance(store, Stores) or store == "memory://":
        raise SettingsError("this store has no tables")
    from .engines import open_blocking

    database = open_blocking(store, agent="", fingerprints=(), folder=folder)
    try:
        return database.upgrade()
    finally:
        database.close()


def table_statements(store: str) -> list[str]:
    """What `make_tables` would do in an empty database, as SQL."""
    from .schema import statements

    return statements("sqlite" if store.startswith("sqlite") else "postgresql+psycopg")


def _is_for_states(source: object) -> bool:
    if isinstance(source, str):
        return source.partition(":")[0] in _REDIS
    return hasattr(source, "claim") or hasattr(source, "register_script")


def _main(store: StoreSource, *, extra: str, local: bool, **options: Any) -> Stores:
    if isinstance(store, Stores):
        return store
    if store == "memory://":
        if not local:
            log.warning("store=memory:// is for development: a second worker, or a restart, knows nothing of it")
        warn_of_others(f"{options['agent']} {options['folder']}")
        return memory_stores()
    if _is_for_states(store):
        raise SettingsError(
            "Redis keeps the attempts to sign in only, for the accounts must never expire: give "
            'store="postgresql://..." (or another SQL store) and states="redis://..." beside it'
        )
    try:
        from .engines import open_database
        from .sql import sql_stores
    except ImportError as error:
        raise SettingsError(f"the store needs SQLAlchemy: pip install 'configure_auth[{extra}]'") from error
    return sql_stores(open_database(store, **options))


def _second(states: StateSource, *, awaited: bool) -> tuple[StateStore, Callable[[], object]]:
    if not isinstance(states, str) and hasattr(states, "claim"):
        return cast(StateStore, states), _nothing
    try:
        from .redis import open_redis
    except ImportError as error:
        raise SettingsError("states= needs redis-py: pip install 'configure_auth[redis]'") from error
    if not _is_for_states(states) and isinstance(states, str):
        scheme, its, _ = states.partition("://")
        named = f"{scheme!a}:..." if its else ""  # without a scheme it may be a password that stands there
        raise SettingsError(f"states={named} is no store for states; use redis://...")
    return open_redis(states, awaited=awaited)


def _both(one: Callable[[], object], other: Callable[[], object], *, awaited: bool) -> Callable[[], object]:
    def close() -> None:
        try:
            one()
        finally:
            other()

    async def aclose() -> None:
        try:
            await _ended(one)
        finally:
            await _ended(other)

    return aclose if awaited else close


async def _ended(close: Callable[[], object]) -> None:
    ended = close()
    if inspect.isawaitable(ended):
        await ended


def _nothing() -> None:
    return None
