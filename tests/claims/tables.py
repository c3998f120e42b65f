"""Tables of agents as apps have them, each with the two short methods that claims need of one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from configure_auth import ClaimedAgent

__all__ = ["AwaitedTable", "PlainTable", "make_table"]

SCHEMA = "CREATE TABLE agents (id INTEGER PRIMARY KEY, claim_hash TEXT UNIQUE, owner_user_id INTEGER)"

REGISTER = """
    INSERT INTO agents (id, claim_hash) VALUES (:id, :hash)
    ON CONFLICT (id) DO UPDATE SET claim_hash = excluded.claim_hash WHERE owner_user_id IS NULL
"""
CLAIM = "UPDATE agents SET owner_user_id = :user WHERE claim_hash = :hash AND owner_user_id IS NULL"
FIND = "SELECT id, owner_user_id FROM agents WHERE claim_hash = :hash"


class PlainTable:
    """For an app on Flask, with `sqlite3`. Ids are whole numbers here. `before_commit` may fail, as a disk does."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.before_commit: Callable[[], object] = lambda: None

    def register(self, agent_id: str, claim_hash: str) -> bool:
        with self._transaction() as database:
            return database.execute(REGISTER, {"id": agent_id, "hash": claim_hash}).rowcount == 1

    def claim(self, claim_hash: str, user_id: str) -> ClaimedAgent | None:
        with self._transaction() as database:
            claimed = database.execute(CLAIM, {"user": user_id, "hash": claim_hash})
            found = database.execute(FIND, {"hash": claim_hash}).fetchone()
        return found and ClaimedAgent(agent_id=found[0], owner_user_id=found[1], is_new=claimed.rowcount == 1)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file, timeout=30)) as database, database:
            yield database
            self.before_commit()


class AwaitedTable:
    """The same for an app on Starlette, with SQLAlchemy."""

    def __init__(self, file: Path) -> None:
        self.before_commit: Callable[[], object] = lambda: None
        options: dict[str, Any] = {"timeout": 30}
        self._engine = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool, connect_args=options)

    async def register(self, agent_id: str, claim_hash: str) -> bool:
        async with self._engine.begin() as database:
            kept = await database.execute(text(REGISTER), {"id": int(agent_id), "hash": claim_hash})
            self.before_commit()
            return kept.rowcount == 1

    async def claim(self, claim_hash: str, user_id: str) -> ClaimedAgent | None:
        async with self._engine.begin() as database:
            claimed = await database.execute(text(CLAIM), {"user": int(user_id), "hash": claim_hash})
            found: Any = (await database.execute(text(FIND), {"hash": claim_hash})).one_or_none()
            self.before_commit()
        return found and ClaimedAgent(
            agent_id=found.id, owner_user_id=found.owner_user_id, is_new=claimed.rowcount == 1
        )


def make_table(adapter: str, file: Path) -> PlainTable | AwaitedTable:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(SCHEMA)
    return PlainTable(file) if adapter == "flask" else AwaitedTable(file)
