"""How the SQL store reaches SQLite and PostgreSQL. What differs between the two is here, and only here.

An operation is a coroutine function of `run`, which runs one statement. It suspends only where the driver does, so the
same operation runs to its end at once on `sqlite3` and on psycopg's blocking connections (`completed`), and on an event
loop on psycopg's asynchronous ones.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

import anyio
import anyio.to_thread

from ..errors import SettingsError, StoreError
from ..runtime.forks import abandon, before_fork, reset_after_fork
from ..runtime.loops import PerLoop
from .schema import Preparation, Run

__all__ = ["BUSY_SECONDS", "POSTGRESQL", "SQLITE", "AsyncPostgresql", "Database", "Kind", "Postgresql"]
__all__ += ["RepeatTransaction", "Sqlite", "Threaded", "completed", "patience"]

log = logging.getLogger("configure_auth")

T = TypeVar("T")

Operation: TypeAlias = Callable[[Run], Coroutine[Any, Any, T]]
Connect: TypeAlias = Callable[[], Any]
"""Opens a psycopg connection, blocking or awaited."""

Kind = Literal["read", "write", "erase", "prepare"]
"""What an operation does: read by one statement, write in a transaction, delete a user's data for good, or write before
tables and keys were checked."""

_WRITERS_FIRST = "the store could not do its work now: other writers came first"

BUSY_SECONDS = 5.0
"""How long a lock, a writer's turn or a connection is waited for before the user is told to try again.

A read on PostgreSQL waits only for changes to the tables themselves, and for those without a limit: setting one would
cost each look-up three more round trips.
"""

_ATTEMPTS = 5
"""Tries of a transaction that another one made impossible."""

_READERS = 8
"""Connections to an SQLite file that a process keeps for reading, and threads in which an event loop reads."""

_POOL_SIZE = 15

_SLICE = 0.1
"""Seconds between two looks at whether the pool's own attempt to connect has failed."""


class RepeatTransaction(Exception):
    """Raised by an operation that saw a change which makes its work so far useless; nothing of it is kept."""


@dataclass(frozen=True)
class Dialect:
    """What the two databases are told in different words.

    `parameter` replaces `:name`. `begin` begins a transaction that writes; {milliseconds} is how long it waits for
    locks. The others are `schema.SchemaQuestions`.
    """

    parameter: str
    row_locks: bool
    begin: str
    has_parameters: str
    lock_schema: str | None
    _texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def text(self, statement: str) -> str:
        """Return a statement as the driver wants it; translated once."""
        text = self._texts.get(statement)
        if text is None:
            locks = statement if self.row_locks else re.sub(r"\s+FOR UPDATE( SKIP LOCKED)?", "", statement)
            self._texts[statement] = text = re.sub(r":(\w+)", self.parameter, locks)
        return text


SQLITE = Dialect(
    parameter=r":\1",
    row_locks=False,
    # The write lock at once, so that what is read in a transaction stays true in it. The connection has the timeout.
    begin="BEGIN IMMEDIATE",
    has_parameters="SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'configure_parameters'",
    lock_schema=None,
)

POSTGRESQL = Dialect(
    parameter=r"%(\1)s",
    row_locks=True,
    # The isolation that the statements are written for, whatever a database or a role has for its default.
    begin="BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{milliseconds}ms'",
    has_parameters="SELECT 1 WHERE to_regclass('configure_parameters') IS NOT NULL",
    lock_schema="SELECT pg_advisory_xact_lock(7235427114909)",  # the number is only ours
)

_REPEATABLE = frozenset({"40001", "40P01", "23505"})
"""PostgreSQL's codes for what another transaction made impossible, and what can be done again: it was rolled back."""


def patience(busy: float) -> dict[str, Any]:
    """Return libpq's parameters that notice a server which is gone without a word."""
    seconds = max(2, round(busy))
    waits = {"connect_timeout": seconds, "keepalives_idle": seconds, "tcp_user_timeout": 1000 * seconds}
    return {"keepalives_interval": 1, "keepalives_count": 5, **waits}


def _store_error(error: BaseException) -> StoreError:
    # The driver's text may quote a row or an address; its class and its code say enough.
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    said = f"{type(error).__name__}, {code}" if code else type(error).__name__
    return StoreError(f"the store could not do its work now ({said}): database locked, full or unreachable")


def completed(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing but blocking calls."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return cast(T, ended.value)
    coroutine.close()
    raise RuntimeError("an operation of a blocking store was suspended")


async def _transaction(run: Run, operation: Operation[T]) -> T:
    """Commit what an operation does in a transaction that has begun, or roll it back."""
    try:
        value = await operation(run)
        await run("COMMIT")
    except BaseException:
        psycopg = sys.modules.get("psycopg")
        with suppress(sqlite3.Error, *(() if psycopg is None else (psycopg.Error,))):  # the first error tells more
            await run("ROLLBACK")
        raise
    return value


_queues: dict[str, threading.Lock] = {}


class _Connection(sqlite3.Connection):
    """Closes itself where its store is dropped without `close`, which Python 3.13 and newer warn of otherwise."""

    def __del__(self) -> None:
        self.close()


class Sqlite:
    """One SQLite file, or a database in memory. Threads share it.

    A process's writers to a file queue for one lock: SQLite lets one write, and lets the others guess when to try
    again. Whoever has the lock uses the one connection that writes; readers have connections that can't. In memory
    there is one connection, and readers wait for the lock too.

    Args:
        path: of the file, which is created when it is first used; None for a database in memory.
        busy: seconds that a writer waits for its turn, and again for writers of other processes.
    """

    def __init__(self, path: Path | None, prepare: Preparation, *, busy: float = BUSY_SECONDS) -> None:
        if sqlite3.sqlite_version_info < (3, 35):
            raise SettingsError(
                f"the store needs SQLite 3.35 or newer, and this Python has {sqlite3.sqlite_version}: install a newer "
                'Python, or give store="postgresql://..."'
            )
        self._path = path
        self._prepare = prepare
        self._busy = busy
        self._new()
        before_fork(self)
        reset_after_fork(self)

    def _new(self) -> None:
        self._own_queue = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []

    def perform(self, operation: Operation[T], kind: Kind = "write") -> T:
        """Run an operation: a write in a transaction of its own, a read as the one statement that it is."""
        try:
            if kind != "read" or self._path is None:
                with self._turn():
                    return self._alone(operation, kind)
            if not self._prepare.done:
                self.perform(_nothing)
            with self._reader() as connection:
                return completed(operation(_on_sqlite(connection)))
        except sqlite3.Error as error:
            raise _store_error(error) from None

    def _alone(self, operation: Operation[T], kind: Kind) -> T:
        connection = self._writer = self._writer or self._connect()
        run = _on_sqlite(connection)
        try:
            if kind != "prepare" and not self._prepare.done:
                completed(run(SQLITE.begin))
                completed(_transaction(run, self._prepare))
                self._prepare.done = True
            if kind == "read":
                return completed(operation(run))
            completed(run(SQLITE.begin))
            value = completed(_transaction(run, operation))
            if kind == "erase" and self._path is not None:
                # What was deleted is overwritten in the file (secure_delete), and goes from the log too.
                ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if busy:
                    log.warning("deleted data stays in the store's -wal file until no other process reads it")
            return value
        except sqlite3.Error:
            if self._path is not None:
                self._writer = None
                connection.close()
            raise

    def _queue(self) -> threading.Lock:
        return self._own_queue if self._path is None else _queues.setdefault(str(self._path), threading.Lock())

    @contextmanager
    def _turn(self) -> Iterator[None]:
        queue = self._queue()
        if not queue.acquire(timeout=self._busy):
            raise StoreError(_WRITERS_FIRST)
        try:
            yield
        finally:
            queue.release()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        kept = self._readers
        try:
            connection = kept.pop()
        except IndexError:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if kept is self._readers and len(kept) < _READERS:
            kept.append(connection)
        else:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self._path is None:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            weakref.finalize(self, connection.close).atexit = False
            return connection
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch(mode=0o600)  # what SQLite makes beside it gets the same
        except OSError as error:
            raise SettingsError(
                f"the store's file can't be opened ({error.strerror}); set CONFIGURE_STORE, or store=, to a place that "
                "this process may write to"
            ) from error
        connection = sqlite3.connect(
            self._path, timeout=self._busy, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            self._use_wal(connection)
            connection.execute("PRAGMA secure_delete = ON").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # SQLite's own timeout doesn't apply while another process makes the same change to a new file.
        ends = time.monotonic() + self._busy
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= ends:
                    raise
            time.sleep(0.02)

    def _before_fork(self) -> None:
        # SQLite keeps a process's locks in its memory, so a child must inherit no connection, not even to close it. A
        # database in memory would be lost.
        queue = self._queue()
        if self._path is not None and queue.acquire(blocking=False):
            try:
                self._close()
            finally:
                queue.release()

    def _after_fork(self) -> None:
        # What was in use during the fork belongs to the parent, and so does a database in memory.
        _queues.clear()
        abandon((self._writer, self._readers))
        self._prepare.done = self._prepare.done and self._path is not None
        self._new()

    def close(self) -> None:
        """Wait for the running write, and close every connection; a later operation opens new ones."""
        with self._turn():
            self._close()
            self._prepare.done = self._prepare.done and self._path is not None

    def _close(self) -> None:
        open_ones, self._writer, self._readers = [self._writer, *self._readers], None, []
        for connection in open_ones:
            if connection is not None:
                connection.close()


def _on_sqlite(connection: sqlite3.Connection) -> Run:
    async def run(statement: str, /, **values: Any) -> list[tuple[Any, ...]]:
        return connection.execute(SQLITE.text(statement), values).fetchall()

    return run


async def _nothing(_run: Run) -> None: ...


class _Connector:
    """What psycopg's pool takes for a connection class: it opens a connection, and keeps why it could not."""

    def __init__(self, connect: Connect, *, asynchronous: bool) -> None:
        self._open = connect
        self.failure: BaseException | None = None
        self.connect = self._connect if asynchronous else lambda *given, **named: completed(self._connect())

    async def _connect(self, *_given: Any, **_named: Any) -> Any:
        from psycopg import Connection
        from psycopg.rows import tuple_row

        self.failure = None
        try:
            connection = await _result(self._open())
            if isinstance(connection, Connection):
                connection.autocommit = True  # psycopg 3.1 has no `set_autocommit` here
            else:
                await connection.set_autocommit(True)
        except BaseException as error:
            self.failure = error
            raise
        # No statements that the server keeps: behind PgBouncer the next one may meet another session.
        connection.prepare_threshold = None
        connection.row_factory = tuple_row
        return connection


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class _Pool:
    """A pool of psycopg's, blocking or asynchronous, and the transactions on it."""

    def __init__(self, connect: Connect, prepare: Preparation, *, asynchronous: bool, busy: float) -> None:
        import psycopg
        import psycopg_pool

        self._error, self._timeout = psycopg.Error, psycopg_pool.PoolTimeout
        self._prepare = prepare
        self._busy = busy
        self._connector = _Connector(connect, asynchronous=asynchronous)
        kind: Any = psycopg_pool.AsyncConnectionPool if asynchronous else psycopg_pool.ConnectionPool
        # `reconnect_timeout`: an attempt that failed isn't repeated in the background; the next request makes one.
        limits = {"min_size": 0, "max_size": _POOL_SIZE, "reconnect_timeout": 0, "num_workers": 1}
        self._pool: Any = kind(connection_class=self._connector, open=False, name="configure_auth", **limits)

    async def perform(self, operation: Operation[T], kind: Kind) -> T:
        attempt = 1
        while True:
            connection = await self._take()
            run = self._on(connection)
            untouched, stale = True, False
            try:
                if kind != "prepare" and not self._prepare.done:
                    await self._begin(run)
                    await _transaction(run, self._prepare)
                    self._prepare.done = True
                if kind == "read":
                    return await operation(run)
                await self._begin(run)
                untouched = False
                return await _transaction(run, operation)
            except (self._error, RepeatTransaction) as error:
                # A connection that was kept and that the server had closed, noticed before anything was done.
                stale = connection.closed and untouched and attempt == 1
                repeatable = getattr(error, "sqlstate", None) in _REPEATABLE or isinstance(error, RepeatTransaction)
                if attempt >= _ATTEMPTS or not (stale or repeatable):
                    raise _store_error(error) from None
                attempt += 1
            finally:
                await _result(self._pool.putconn(connection))
            if stale:
                await _result(self._pool.check())

    async def _begin(self, run: Run) -> None:
        await run(POSTGRESQL.begin.format(milliseconds=round(1000 * self._busy)))

    def _on(self, connection: Any) -> Run:
        async def run(statement: str, /, **values: Any) -> list[tuple[Any, ...]]:
            cursor = await _result(connection.execute(POSTGRESQL.text(statement), values or None))
            return cast("list[tuple[Any, ...]]", await _result(cursor.fetchall())) if cursor.description else []

        return run

    async def _take(self) -> Any:
        deadline = time.monotonic() + self._busy
        while True:
            left = deadline - time.monotonic()
            try:
                if self._pool.closed:
                    await _result(self._pool.open())
                return await _result(self._pool.getconn(timeout=max(0.001, min(_SLICE, left))))
            except self._timeout as error:
                # The pool itself would go on waiting for a server that refuses.
                failure = self._connector.failure or (error if left <= _SLICE else None)
                if failure is not None:
                    raise _store_error(failure) from None
            except self._error as error:
                raise _store_error(error) from None

    async def close(self) -> None:
        await _result(self._pool.close())


class Postgresql:
    """A PostgreSQL database, blocking. Threads share it.

    Args:
        connect: opens a connection of psycopg's.
        busy: seconds that a lock, or a connection, is waited for.
    """

    def __init__(self, connect: Connect, prepare: Preparation, *, busy: float = BUSY_SECONDS) -> None:
        self._new = partial(_Pool, connect, prepare, asynchronous=False, busy=busy)
        self._pool = self._new()
        reset_after_fork(self)

    def perform(self, operation: Operation[T], kind: Kind = "write") -> T:
        return completed(self._pool.perform(operation, kind))

    def _after_fork(self) -> None:
        abandon(self._pool)
        self._pool = self._new()

    def close(self) -> None:
        """Close every connection; a later operation opens new ones."""
        pool, self._pool = self._pool, self._new()
        completed(pool.close())


class Threaded:
    """A blocking database for an event loop: each transaction runs whole in a thread, on asyncio and trio.

    A transaction that was begun goes on to its end in its thread, whatever becomes of the task that asked for it.
    SQLite's writers wait for each other on the loop and not in threads.
    """

    def __init__(self, database: Sqlite | Postgresql, *, busy: float = BUSY_SECONDS) -> None:
        self._database = database
        self._busy = busy
        writers = 1 if isinstance(database, Sqlite) else _POOL_SIZE
        self._places = PerLoop(lambda: (anyio.CapacityLimiter(_READERS), anyio.CapacityLimiter(writers)), _no_end)

    async def perform(self, operation: Operation[T], kind: Kind = "write") -> T:
        reading, writing = await self._places.get()
        limiter, task = reading if kind == "read" else writing, object()
        with anyio.move_on_after(self._busy):
            await limiter.acquire_on_behalf_of(task)
        if task not in limiter.statistics().borrowers:
            raise StoreError(_WRITERS_FIRST)
        try:
            return await anyio.to_thread.run_sync(self._database.perform, operation, kind, limiter=_thread())
        finally:
            limiter.release_on_behalf_of(task)

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._database.close, limiter=_thread())


def _thread() -> anyio.CapacityLimiter:
    """A place of its own, since whoever asks has one of `Threaded` already."""
    return anyio.CapacityLimiter(1)


async def _no_end(_places: object) -> None: ...


class AsyncPostgresql:
    """A PostgreSQL database on asyncio's event loops, with a pool for each; elsewhere in threads.

    Args:
        connect: opens an asynchronous connection of psycopg's; awaited.
        blocking: opens a blocking one, for loops that psycopg can't use (Windows' Proactor, trio); None where the app
            gives a function that opens asynchronous ones.
    """

    def __init__(
        self, connect: Connect, blocking: Connect | None, prepare: Preparation, *, busy: float = BUSY_SECONDS
    ) -> None:
        self._loops = PerLoop(partial(_Pool, connect, prepare, asynchronous=True, busy=busy), _Pool.close)
        self._threaded = None if blocking is None else Threaded(Postgresql(blocking, prepare, busy=busy), busy=busy)
        reset_after_fork(self)

    async def perform(self, operation: Operation[T], kind: Kind = "write") -> T:
        if not _psycopg_can_wait():
            if self._threaded is None:
                raise SettingsError(
                    "psycopg's asynchronous connections need asyncio, and on Windows its SelectorEventLoop; give a "
                    "function that opens blocking ones, which works in threads, or a URL"
                )
            return await self._threaded.perform(operation, kind)
        value: T
        # Shielded, so that a client that goes away leaves a transaction whole, and its connection in order.
        with anyio.CancelScope(shield=True):
            value = await (await self._loops.get()).perform(operation, kind)
        return value  # for mypy a scope may swallow what is in it

    def _after_fork(self) -> None:
        self._loops.abandon()

    async def close(self) -> None:
        await self._loops.aclose()
        if self._threaded is not None and not _psycopg_can_wait():
            await self._threaded.close()


def _psycopg_can_wait() -> bool:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return not (sys.platform == "win32" and isinstance(loop, asyncio.ProactorEventLoop))


Database: TypeAlias = Sqlite | Postgresql | Threaded | AsyncPostgresql
