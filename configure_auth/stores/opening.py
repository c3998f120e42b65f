"""From a store's URL to the store."""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import SettingsError
from . import Stores
from .memory import memory_stores

__all__ = ["open_stores"]

log = logging.getLogger("configure_auth")

_FILE = "sqlite:///"
_AIOSQLITE = "sqlite+aiosqlite:///"


def open_stores(
    url: str, *, agent: str, fingerprints: tuple[str, ...], folder: Path, extra: str, awaited: bool, local: bool
) -> Stores:
    """Open a store.

    Args:
        url: "memory://", or "sqlite:///configure.db" (a relative path lies in `folder`); on an event loop
            "sqlite+aiosqlite:///configure.db" too.
        agent: whose records these are.
        fingerprints: of the keys that seal, so that a wrong key is noticed before it does harm.
        folder: the app's own folder for such files; made if it isn't there.
        extra: what to install where SQLAlchemy is missing.
        local: whether the app runs on loopback.
        awaited: whether the app runs on an event loop, where the store must not block.

    Raises:
        SettingsError: the URL is of no store that is known here.
    """
    if url == "memory://":
        if not local:
            log.warning("store=memory:// is for development: a second worker, or a restart, knows nothing of it")
        return memory_stores()
    prefix = next((prefix for prefix in (_FILE, _AIOSQLITE) if url.startswith(prefix) and len(url) > len(prefix)), None)
    if prefix is None or (prefix == _AIOSQLITE and not awaited):
        known = f"{_FILE}configure.db or memory://"
        raise SettingsError(f"store={url.partition(':')[0]!a}:... is no store for this app; use {known}")
    try:
        from .database import AsyncDatabase, Database, ThreadedDatabase
        from .sql import AnyDatabase, sql_stores
    except ImportError as error:
        raise SettingsError(f"the store needs SQLAlchemy: pip install 'configure_auth[{extra}]'") from error
    path = folder / url.removeprefix(prefix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # what SQLite makes beside it gets the same
    database: AnyDatabase
    if prefix == _AIOSQLITE:
        database = AsyncDatabase.at(f"{prefix}{path}", agent=agent, fingerprints=fingerprints)
    else:
        blocking = Database.at(f"{prefix}{path}", agent=agent, fingerprints=fingerprints)
        database = ThreadedDatabase(blocking) if awaited else blocking
    return sql_stores(database)
