"""How the SQL store reaches its database: short transactions, blocking or awaited, from one set of statements."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ..errors import SettingsError, StoreError
from .schema import SCHEMA, metadata, parameters

__all__ = ["AsyncDatabase", "Database", "ThreadedDatabase"]

T = TypeVar("T")

BUSY_SECONDS = 2.0
"""How long a locked SQLite file is waited for before the person is told to try again."""

_attempts = 3
"""Tries of a transaction that met another one's insert."""

_READING = "configure_auth_reading"


class _Preparation:
    """What is checked once, in the first transaction: tables, schema number, keys."""

    def __init__(self, agent: str, fingerprints: tuple[str, ...]) -> None:
        self.done = False
        self.lock = threading.Lock()
        self._agent = agent
        self._fingerprints = fingerprints

    def __call__(self, connection: Connection) -> None:
        metadata.create_all(connection)
        rows = {row.name: row.value for row in connection.execute(select(parameters))}
        if "schema" not in rows:
            connection.execute(insert(parameters).values(name="schema", value=str(SCHEMA)))
        elif rows["schema"] != str(SCHEMA):
            raise SettingsError(
                f"the store's tables are of schema {rows['schema'][:8]!a}, this version needs {SCHEMA}; "
                "run the migration of the release notes"
            )
        prefix = f"key {self._agent} "
        known = {name.removeprefix(prefix) for name in rows if name.startswith(prefix)}
        if known and self._fingerprints and known.isdisjoint(self._fingerprints):
            raise SettingsError(
                "none of CONFIGURE_TOKEN_KEYS (or of the app's secret keys, where they are not set) sealed what is in "
                "the store; put the key that did back into the list"
            )
        for fingerprint in set(self._fingerprints) - known:
            connection.execute(insert(parameters).values(name=prefix + fingerprint, value=""))


def _store_error(error: SQLAlchemyError) -> StoreError:
    # The driver's text may quote a row; its class name says enough.
    cause = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
    return StoreError(f"the store could not do its work now ({cause}); it is locked, full or out of reach")


def _may_repeat(error: SQLAlchemyError, attempt: int) -> bool:
    return isinstance(error, IntegrityError) and attempt < _attempts


def _on_sqlite(engine: Engine) -> None:
    """Real transactions that take the write lock at their start, so that a read in them stays true."""

    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(_READING) else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", begin)


_databases: weakref.WeakSet[Database | AsyncDatabase] = weakref.WeakSet()


def _close_idle() -> None:
    # SQLite keeps a process's locks in its memory, so a child must inherit no connection, not even to close it.
    for database in list(_databases):
        database.close_idle()


def _forget_connections() -> None:
    # What was in use during a fork belongs to the parent: forget it, don't close it.
    for database in list(_databases):
        database.forget_connections()


os.register_at_fork(before=_close_idle, after_in_child=_forget_connections)


class Database:
    """A blocking engine. Threads share it; every `perform` is one transaction."""

    def __init__(self, engine: Engine, *, agent: str, fingerprints: tuple[str, ...]) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{_READING: True})
        self._prepare = _Preparation(agent, fingerprints)
        self._writing = threading.Lock()
        _databases.add(self)

    @classmethod
    def at(cls, url: str, *, agent: str, fingerprints: tuple[str, ...]) -> Database:
        sqlite = url.startswith("sqlite")
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS} if sqlite else {})
        if sqlite:
            _on_sqlite(engine)
        return cls(engine, agent=agent, fingerprints=fingerprints)

    def perform(self, operation: Callable[[Connection], T]) -> T:
        # Writers of one process queue here: SQLite lets one write, and lets the others guess when to try again.
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise StoreError("the store could not do its work now; other writers came first")
        try:
            return self._transact(self._engine, operation)
        finally:
            self._writing.release()

    def read(self, operation: Callable[[Connection], T]) -> T:
        return self._transact(self._reader, operation)

    def _transact(self, engine: Engine, operation: Callable[[Connection], T]) -> T:
        attempt = 1
        while True:
            try:
                if not self._prepare.done:
                    with self._prepare.lock, self._engine.begin() as connection:
                        self._prepare(connection)
                    self._prepare.done = True
                with engine.begin() as connection:
                    return operation(connection)
            except (SQLAlchemyError, sqlite3.Error) as error:
                if not isinstance(error, SQLAlchemyError):
                    raise StoreError("the store could not be opened") from error
                if not _may_repeat(error, attempt):
                    raise _store_error(error) from None
                attempt += 1

    def close_idle(self) -> None:
        self._engine.dispose()

    def forget_connections(self) -> None:
        self._prepare.lock = threading.Lock()
        self._writing = threading.Lock()
        self._engine.dispose(close=False)

    def close(self) -> None:
        self._engine.dispose()


class ThreadedDatabase:
    """A blocking `Database` for an event loop: each transaction runs whole in a worker thread, on asyncio and trio.

    A transaction that was begun goes on to its end in its thread, whatever becomes of the task that asked for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def perform(self, operation: Callable[[Connection], T]) -> T:
        return await anyio.to_thread.run_sync(self._database.perform, operation)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        return await anyio.to_thread.run_sync(self._database.read, operation)

    def close(self) -> None:
        self._database.close()


class AsyncDatabase:
    """An engine on asyncio's event loop, driving the same statements through `run_sync`."""

    def __init__(self, engine: AsyncEngine, *, agent: str, fingerprints: tuple[str, ...]) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{_READING: True})
        self._prepare = _Preparation(agent, fingerprints)
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()
        _databases.add(self)

    @classmethod
    def at(cls, url: str, *, agent: str, fingerprints: tuple[str, ...]) -> AsyncDatabase:
        sqlite = url.startswith("sqlite")
        # No pool: a connection belongs to its loop, and a test client may have a loop for each request.
        engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS} if sqlite else {})
        if sqlite:
            _on_sqlite(engine.sync_engine)
        return cls(engine, agent=agent, fingerprints=fingerprints)

    async def perform(self, operation: Callable[[Connection], T]) -> T:
        return await self._whole(self._engine, operation)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        return await self._whole(self._reader, operation)

    async def _whole(self, engine: AsyncEngine, operation: Callable[[Connection], T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise SettingsError(
                f"{self._engine.dialect.driver} runs on asyncio only; under trio use sqlite:///... or memory://"
            ) from None
        # Shielded, so that a client that goes away leaves a transaction whole, and its connection in order.
        with anyio.CancelScope(shield=True):
            async with self._turn(engine):
                value = await self._transact(engine, operation)
        return value  # here, because for mypy a scope may swallow what is in it

    def _turn(self, engine: AsyncEngine) -> AbstractAsyncContextManager[object]:
        """Writers of one loop queue here: SQLite lets one write, and lets the others guess when to try again."""
        if engine is self._reader:
            return nullcontext()
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def _transact(self, engine: AsyncEngine, operation: Callable[[Connection], T]) -> T:
        attempt = 1
        while True:
            try:
                if not self._prepare.done:
                    async with self._engine.begin() as connection:
                        await connection.run_sync(self._prepare)
                    self._prepare.done = True
                async with engine.begin() as connection:
                    return await connection.run_sync(operation)
            except SQLAlchemyError as error:
                if not _may_repeat(error, attempt):
                    raise _store_error(error) from None
                attempt += 1

    def close_idle(self) -> None:
        """Nothing: without a pool none is idle."""

    def forget_connections(self) -> None:
        self._engine.sync_engine.dispose(close=False)

    async def close(self) -> None:
        await self._engine.dispose()
