"""How the SQL store reaches its database: short transactions, blocking or awaited, from one set of statements."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine, delete, event, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from ..errors import SettingsError, StoreError
from ..runtime.loops import PerLoop, worker_threads
from . import schema
from .schema import accounts, parameters, subjects

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["BUSY_SECONDS", "AnyDatabase", "AsyncDatabase", "Database", "ThreadedDatabase"]

T = TypeVar("T")

BUSY_SECONDS = 5
"""How long a lock in the database is waited for before the person is told to try again.

What only reads on PostgreSQL waits for nobody but who changes the tables themselves, and for them without a limit: to
set one would cost every look-up three more round trips.
"""

QUEUE_SECONDS = 30
"""How long a task waits for the other writers of its loop: longer, since aiosqlite opens a connection for each."""

_attempts = 5
"""Tries of a transaction that met another one's insert, or a deadlock with it."""

_READING = "configure_auth_reading"

_REPEATABLE = frozenset({"40001", "40P01"})
"""PostgreSQL's codes for what another transaction made impossible, and what can be done again: it was rolled back."""


class _Preparation:
    """What is checked once, in the first transaction: tables, schema number, keys."""

    def __init__(self, agent: str, fingerprints: tuple[str, ...]) -> None:
        self.done = False
        self.lock = threading.Lock()
        self._agent = agent
        self._fingerprints = fingerprints

    def __call__(self, connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            schema.upgrade(connection)
        found = schema.number(connection)
        if found != schema.SCHEMA:
            state = "no tables yet" if found is None else f"tables of schema {found}, and {schema.SCHEMA} is needed"
            raise SettingsError(f"the store has {state}: run `configure_auth tables`, or your migration")
        prefix = f"key {self._agent} "
        rows = connection.execute(
            select(parameters.c.name).where(parameters.c.name.startswith(prefix, autoescape=True))
        )
        known = {name.removeprefix(prefix) for name in rows.scalars()}
        if known and self._fingerprints and known.isdisjoint(self._fingerprints):
            if _has_sealed(connection, self._agent):
                raise SettingsError(
                    "none of CONFIGURE_TOKEN_KEYS (or of the app's secret keys, where they are not set) sealed what is "
                    "in the store; put the key that did back into the list"
                )
            # Nothing would be lost: a look at the app, before its keys were set, is no reason to refuse them.
            connection.execute(delete(parameters).where(parameters.c.name.in_(prefix + one for one in known)))
            known = set()
        for fingerprint in set(self._fingerprints) - known:
            connection.execute(insert(parameters).values(name=prefix + fingerprint, value=""))


def _has_sealed(connection: Connection, agent: str) -> bool:
    """Whether there is anything that only its key can open, but for attempts, which end by themselves."""
    kept = (
        select(accounts.c.agent).where(accounts.c.agent == agent),
        select(subjects.c.agent).where(subjects.c.agent == agent, subjects.c.token != ""),
        # The key of the ids, as `flows.keyed_ids` names it.
        select(parameters.c.name).where(parameters.c.name == f"id {agent}"),
    )
    return any(connection.execute(rows.limit(1)).first() is not None for rows in kept)


def _sqlstate(error: BaseException | None) -> str | None:
    """PostgreSQL's code of an error, as psycopg, asyncpg and psycopg2 have it."""
    code: str | None = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code


def _store_error(error: SQLAlchemyError) -> StoreError:
    # The driver's text may quote a row; its class and its code say enough.
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorname", None) or _sqlstate(cause)
    said = f"{type(cause).__name__}, {code}" if code else type(cause).__name__
    return StoreError(f"the store could not do its work now ({said}); it is locked, full or out of reach")


def _may_repeat(error: SQLAlchemyError, attempt: int, *, untouched: bool) -> bool:
    """Whether a transaction that failed can be taken again: nothing of it was done, and it may go better."""
    if attempt >= _attempts or not isinstance(error, DBAPIError):
        return False
    # A connection that was kept and that the server had closed, noticed before anything was asked of it.
    stale = error.connection_invalidated and untouched and attempt == 1
    return stale or isinstance(error, IntegrityError) or _sqlstate(error.orig) in _REPEATABLE


def set_up(engine: Engine) -> None:
    """Give a new engine's transactions their beginning: what they lock, and how long they wait for a lock."""
    if engine.dialect.name == "sqlite":

        def connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.close()

        def begin(connection: Connection) -> None:
            # The write lock at once, so that what is read in a transaction stays true in it.
            reading = connection.get_execution_options().get(_READING)
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

        event.listen(engine, "connect", connect)
    else:

        def begin(connection: Connection) -> None:
            if not connection.get_execution_options().get(_READING):
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")

    event.listen(engine, "begin", begin)


def _reader(engine: Any) -> Any:
    """The engine for what only reads: but on SQLite, a statement is its own transaction, in one round trip."""
    options: dict[str, Any] = {_READING: True}
    if engine.dialect.name != "sqlite":
        options["isolation_level"] = "AUTOCOMMIT"
    return engine.execution_options(**options)


_databases: weakref.WeakSet[Database | AsyncDatabase] = weakref.WeakSet()
_queues: dict[str, threading.Lock] = {}
_abandoned: list[Engine] = []


def _close_idle() -> None:
    # SQLite keeps a process's locks in its memory, so a child must inherit no connection, not even to close it.
    for database in list(_databases):
        database.close_idle()


def _forget_connections() -> None:
    # What was in use during a fork belongs to the parent: forget it, don't close it.
    _queues.clear()
    for database in list(_databases):
        database.forget_connections()


os.register_at_fork(before=_close_idle, after_in_child=_forget_connections)


class Database:
    """A blocking engine. Threads share it; every `perform` is one transaction.

    Args:
        make: makes an engine whose connections are our own.
    """

    def __init__(self, make: Callable[[], Engine], *, agent: str, fingerprints: tuple[str, ...]) -> None:
        self._make = make
        self._open()
        self._prepare = _Preparation(agent, fingerprints)
        _databases.add(self)

    def _open(self) -> None:
        self._engine = self._make()
        set_up(self._engine)
        self._reader: Engine = _reader(self._engine)

    def perform(self, operation: Callable[[Connection], T]) -> T:
        if self._engine.dialect.name != "sqlite":
            return self._transact(self._engine, operation)
        # A process's writers to a file queue here: SQLite lets one write, and lets the others guess when to try again.
        writing = _queues.setdefault(str(self._engine.url.database), threading.Lock())
        if not writing.acquire(timeout=BUSY_SECONDS):
            raise StoreError("the store could not do its work now; other writers came first")
        try:
            return self._transact(self._engine, operation)
        finally:
            writing.release()

    def read(self, operation: Callable[[Connection], T]) -> T:
        return self._transact(self._reader, operation)

    def upgrade(self) -> int:
        """Make or change the tables: `schema.upgrade`."""
        try:
            with self._engine.begin() as connection:
                return schema.upgrade(connection)
        except SQLAlchemyError as error:
            raise _store_error(error) from None

    def _transact(self, engine: Engine, operation: Callable[[Connection], T]) -> T:
        attempt = 1
        while True:
            untouched = True
            try:
                self._prepared()
                with engine.begin() as connection:
                    untouched = engine is self._reader
                    return operation(connection)
            except (SQLAlchemyError, sqlite3.Error) as error:
                if not isinstance(error, SQLAlchemyError):
                    raise StoreError("the store could not be opened") from error
                if not _may_repeat(error, attempt, untouched=untouched):
                    raise _store_error(error) from None
                attempt += 1

    def _prepared(self) -> None:
        if self._prepare.done:
            return
        # All who come first, to a database that may be out of reach, wait no longer than one of them.
        if not self._prepare.lock.acquire(timeout=BUSY_SECONDS):
            raise StoreError("the store could not do its work now; it is locked or out of reach")
        try:
            if not self._prepare.done:
                with self._engine.begin() as connection:
                    self._prepare(connection)
                self._prepare.done = True
        finally:
            self._prepare.lock.release()

    def close_idle(self) -> None:
        self._engine.dispose()

    def forget_connections(self) -> None:
        self._prepare.lock = threading.Lock()
        # The old engine may have been in the middle of something, with a lock that nobody here will give back.
        _abandoned.append(self._engine)
        self._open()

    def close(self) -> None:
        self._engine.dispose()


class ThreadedDatabase:
    """A blocking `Database` for an event loop: each transaction runs whole in a worker thread, on asyncio and trio.

    A transaction that was begun goes on to its end in its thread, whatever becomes of the task that asked for it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = worker_threads()

    async def perform(self, operation: Callable[[Connection], T]) -> T:
        limiter = await self._threads.get()
        return await anyio.to_thread.run_sync(self._database.perform, operation, limiter=limiter)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        limiter = await self._threads.get()
        return await anyio.to_thread.run_sync(self._database.read, operation, limiter=limiter)

    def close(self) -> None:
        self._database.close()


class _OnLoop:
    """An engine on one loop, and the turn of the loop's writers."""

    def __init__(self, engine: AsyncEngine) -> None:
        set_up(engine.sync_engine)
        self.engine = engine
        self.reader: AsyncEngine = _reader(engine)
        self.writing = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, engine: AsyncEngine) -> AsyncGenerator[None]:
        """SQLite lets one write, and lets the others guess when to try again, so they queue here."""
        if engine is self.reader or engine.dialect.name != "sqlite":
            yield
            return
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self.writing.acquire()
        except TimeoutError:
            raise StoreError("the store could not do its work now; other writers came first") from None
        try:
            yield
        finally:
            self.writing.release()


class AsyncDatabase:
    """An engine for each of asyncio's event loops, driving the same statements through `run_sync`.

    Args:
        make: makes an engine whose connections are our own.
    """

    def __init__(self, make: Callable[[], AsyncEngine], *, agent: str, fingerprints: tuple[str, ...]) -> None:
        first = make()
        # Made here and not on its loop, since the making asks the file system.
        made = [first]
        self._loops = PerLoop(lambda: _OnLoop(made.pop() if made else make()), lambda one: one.engine.dispose())
        self._driver = first.dialect.driver
        self._prepare = _Preparation(agent, fingerprints)
        _databases.add(self)

    async def perform(self, operation: Callable[[Connection], T]) -> T:
        return await self._whole(operation, reading=False)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        return await self._whole(operation, reading=True)

    async def _whole(self, operation: Callable[[Connection], T], *, reading: bool) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise SettingsError(
                f"{self._driver} runs on asyncio only; under trio give a URL without a driver, such as "
                "sqlite:///configure.db or postgresql://..., which works in threads"
            ) from None
        # Shielded, so that a client that goes away leaves a transaction whole, and its connection in order.
        with anyio.CancelScope(shield=True):
            opened = await self._loops.get()
            engine = opened.reader if reading else opened.engine
            async with opened.turn(engine):
                value = await self._transact(opened, engine, operation)
        return value  # here, because for mypy a scope may swallow what is in it

    async def _transact(self, opened: _OnLoop, engine: AsyncEngine, operation: Callable[[Connection], T]) -> T:
        attempt = 1
        while True:
            untouched = True
            try:
                if not self._prepare.done:
                    async with opened.engine.begin() as connection:
                        await connection.run_sync(self._prepare)
                    self._prepare.done = True
                async with engine.begin() as connection:
                    untouched = engine is opened.reader
                    return await connection.run_sync(operation)
            except SQLAlchemyError as error:
                if not _may_repeat(error, attempt, untouched=untouched):
                    raise _store_error(error) from None
                attempt += 1

    def close_idle(self) -> None:
        """Nothing: a loop that runs in the parent keeps its connections, and the child forgets them."""

    def forget_connections(self) -> None:
        self._loops.abandon()

    async def close(self) -> None:
        await self._loops.aclose()


AnyDatabase: TypeAlias = Database | ThreadedDatabase | AsyncDatabase
