"""How the SQL store reaches SQLite and PostgreSQL. What differs between the two is here, and only here.

An operation is a coroutine function of `run`, which runs one statement. It suspends only where the driver does: never
on `sqlite3` and psycopg's blocking connections (`completed`), on an event loop on psycopg's asynchronous ones.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

from ..errors import SettingsError, StoreError
from ..runtime import drivers
from ..runtime.forks import abandon, before_fork, reset_after_fork
from ..runtime.loops import PerLoop
from .schema import Dialect, Preparation, Run

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")

Operation: TypeAlias = Callable[[Run], Coroutine[Any, Any, T]]

# What an operation does: read by one statement, write in a transaction, or delete a user's data for good.
Access = Literal["read", "write", "erase"]

_WRITERS_FIRST = "the store could not do its work now: other writers came first"
_UNUSABLE = (
    "the store's file can't be opened ({}); set CONFIGURE_STORE, or store=, to a place that this process may write to"
)

# How long a lock, a writer's turn or a connection is waited for before the user is told to try again. A read on
# PostgreSQL waits only for changes to the tables themselves, and for those without a limit: setting one would cost each
# look-up three more round trips.
BUSY_SECONDS = 5.0
_ATTEMPTS = 5  # of a transaction that another one made impossible
_READERS = 8  # connections to an SQLite file that a process keeps, and threads in which an event loop reads
_POOL_SIZE = 15
_FORK_WAIT = 0.5  # seconds that a fork waits for a running write
_SLICE = 0.1  # seconds between two looks at whether the pool's own attempt to connect has failed

# PostgreSQL's codes for what another transaction made impossible, and what can be done again: it was rolled back.
_REPEATABLE = frozenset({"40001", "40P01", "23505"})


@cache
def _for_sqlite(statement: str) -> str:
    rows = re.sub(r"= ANY \(ARRAY\((.+?)\)\)", r"IN (\1)", statement, flags=re.DOTALL)
    return re.sub(r"\s+FOR UPDATE( SKIP LOCKED)?", "", rows)


SQLITE = Dialect(
    text=_for_sqlite,
    # The write lock at once, so that what is read in a transaction stays true in it. The connection has the timeout.
    begin="BEGIN IMMEDIATE",
    has_parameters="SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'configure_parameters'",
    lock_schema=None,
)

POSTGRESQL = Dialect(
    text=cache(partial(re.sub, r":(\w+)", r"%(\1)s")),
    # The isolation that the statements are written for, whatever a database or a role has for its default.
    begin="BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{milliseconds}ms'",
    has_parameters="SELECT 1 WHERE to_regclass('configure_parameters') IS NOT NULL",
    lock_schema="SELECT pg_advisory_xact_lock(7235427114909)",  # the number is only ours
)


def _store_error(error: BaseException) -> StoreError | SettingsError:
    if isinstance(error, SettingsError):
        return error
    # The driver's text may quote a row or an address; its class and its code say enough.
    code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)
    said = f"{type(error).__name__}, {code}" if code else type(error).__name__
    if str(code).startswith(("SQLITE_READONLY", "SQLITE_NOTADB")) and code != "SQLITE_READONLY_DBMOVED":
        return SettingsError(_UNUSABLE.format(said))
    reason = "database locked, full or unreachable"
    # libpq has no code for why a connection was refused, only the server's text.
    if code == "53300" or re.search("too many c|connection slots", str(error)):
        reason = "PostgreSQL has no free connection; raise max_connections, or run fewer processes"
    elif type(error).__name__ == "PoolTimeout":
        reason = f"this process's {_POOL_SIZE} connections are in use, or the server doesn't answer"
    return StoreError(f"the store could not do its work now ({said}): {reason}")


def completed(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing but blocking calls."""
    return drivers.run(coroutine, perform=repr)  # which is never called


async def _perform(run: Run, begin: str, prepare: Preparation, operation: Operation[T], kind: Access) -> T:
    """Run an operation: a write in a transaction of its own, a read as the one statement that it is."""
    if not prepare.done:
        await _transaction(run, begin, prepare)
        prepare.done = True
    return await (operation(run) if kind == "read" else _transaction(run, begin, operation))


async def _transaction(run: Run, begin: str, operation: Operation[T]) -> T:
    """Commit what an operation does in a transaction, or roll it back."""
    try:
        await run(begin)
        value = await operation(run)
        await run("COMMIT")
    except BaseException:
        with suppress(Exception):  # the first error tells more
            await run("ROLLBACK")
        raise
    return value


_queues: dict[tuple[int, Path], threading.Lock] = {}


class _Connection(sqlite3.Connection):
    """Closes itself if its store is dropped without `close`, of which Python 3.13 and newer warn."""

    def __del__(self) -> None:
        self.close()


class Sqlite:
    """One SQLite file, or a database in memory. Threads share it.

    A process's writers to a file queue for one lock: SQLite lets one write, and lets the others guess when to try
    again. In memory there is one connection, and readers wait for the lock too.

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
        self.path = path
        self.in_memory: bool = path is None
        self.prepare = prepare
        if path is not None:
            prepare.before, prepare.then = partial(_keep_copy, path), partial(_warn_of_readers, path)
        self._busy = busy
        self._new()
        before_fork(self)
        reset_after_fork(self)

    def _new(self) -> None:
        queue = threading.Lock()
        self._queue = queue if self.path is None else _queues.setdefault((os.getpid(), self.path), queue)
        self._idle: list[sqlite3.Connection] = []
        self._files: tuple[object, object] | None = None

    def perform(self, operation: Operation[T], kind: Access = "write") -> T:
        if self.path is not None and self._files is not None and self._files[0] != _identity(self.path):
            self._reopen(self.path)
        reads = kind == "read" and self.path is not None and self.prepare.done
        try:
            with nullcontext() if reads else self._turn(), self._connection() as connection:
                value = completed(_perform(_on_sqlite(connection), SQLITE.begin, self.prepare, operation, kind))
                if kind == "erase":
                    # What was deleted is overwritten in the file (secure_delete), and goes from the log too.
                    ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                    if busy:
                        log.warning("deleted data stays in the store's -wal file until no other process reads it")
                return value
        except sqlite3.Error as error:
            raise _store_error(error) from None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        queue = self._queue
        if not queue.acquire(timeout=self._busy):
            raise StoreError(_WRITERS_FIRST)
        try:
            yield
        finally:
            queue.release()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        idle = self._idle
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._connect()
        kept = self.path is None
        try:
            yield connection
            kept = True
        finally:
            # Not where the store was closed, or its process forked, meanwhile.
            if kept and idle is self._idle and len(idle) < _READERS:
                idle.append(connection)
            else:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch(mode=0o600)  # what SQLite makes beside it gets the same
            except OSError as error:
                raise SettingsError(_UNUSABLE.format(error.strerror)) from error
        options: dict[str, Any] = {"isolation_level": None, "check_same_thread": False, "factory": _Connection}
        connection: sqlite3.Connection = sqlite3.connect(self.path or ":memory:", timeout=self._busy, **options)
        # SQLite's own timeout doesn't apply while another process makes the same change to a new file.
        ends = time.monotonic() + self._busy
        while True:
            try:
                # The last one opens the -wal file.
                connection.executescript(
                    "PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON; SELECT 1 FROM sqlite_master"
                )
                if self.path is not None:
                    self._files = _identity(self.path), _identity(Path(f"{self.path}-wal"))
                return connection
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= ends:
                    connection.close()
                    raise
            time.sleep(0.02)

    def _reopen(self, path: Path) -> None:
        """Leave a file that was replaced or deleted, and its -wal file, whose pages would damage the new one."""
        files, self._files = self._files, None
        self.prepare.done = False
        self._close()
        wal = Path(f"{path}-wal")
        if files is not None and files[1] is not None and files[1] == _identity(wal):
            wal.unlink(missing_ok=True)
            Path(f"{path}-shm").unlink(missing_ok=True)
        log.error(
            "the store's file %s was replaced or deleted while the app ran; it is opened again as it is now", path
        )

    def _before_fork(self) -> None:
        # SQLite keeps a process's locks in its memory, so a child must inherit no connection, not even to close it; a
        # database in memory would be lost. A thread inside SQLite may hold a mutex, which would stay locked in the
        # child: it is waited for, but for one that waits for another process, which holds none.
        if self.path is not None and self._queue.acquire(timeout=_FORK_WAIT):
            self._close()
            self._queue.release()

    def _after_fork(self) -> None:
        # What was in use during the fork belongs to the parent, and so does a database in memory.
        abandon(self._idle)
        self.prepare.done = self.prepare.done and self.path is not None
        self._new()

    def close(self) -> None:
        """Wait for the running write, and close every connection; a later operation opens new ones."""
        with self._turn():
            self._close()

    def _close(self) -> None:
        self.prepare.done = self.prepare.done and self.path is not None
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _identity(path: Path) -> object:
    with suppress(FileNotFoundError):
        return (found := path.stat()).st_dev, found.st_ino
    return None


def is_readable_by_others(path: Path) -> bool:
    """Whether other users of this machine may read a file; never on Windows, whose modes don't tell."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def _warn_of_readers(path: Path) -> None:
    if is_readable_by_others(path):
        log.warning("%s is readable by others: chmod 600 it and its -wal and -shm", path)


def _keep_copy(path: Path, schema: int) -> None:
    """Copy a file before its tables are changed, so that the version before can be deployed again."""
    kept = path.with_name(f"{path.name}.schema-{schema}")
    kept.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(kept)) as target:
        source.backup(target)
    log.warning("%s is changed from schema %d; a copy of it as it was is %s", path, schema, kept.name)


def _on_sqlite(connection: sqlite3.Connection) -> Run:
    async def run(statement: str, /, **values: Any) -> list[tuple[Any, ...]]:
        return connection.execute(SQLITE.text(statement), values).fetchall()

    return run


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Postgresql:
    """A PostgreSQL database with a pool of psycopg's. Threads share it; an asynchronous one belongs to its event loop.

    Args:
        connect: opens a connection of psycopg's; awaited if `is_async`.
        busy: seconds that a lock, or a connection, is waited for.
    """

    path = None
    in_memory = False

    def __init__(
        self, connect: Callable[[], Any], prepare: Preparation, *, busy: float = BUSY_SECONDS, is_async: bool = False
    ) -> None:
        import psycopg
        import psycopg_pool

        self._error, self._timeout = psycopg.Error, psycopg_pool.PoolTimeout
        self.prepare = prepare
        self._busy = busy
        self._begin = POSTGRESQL.begin.format(milliseconds=round(1000 * busy))
        self._open = connect
        self._failure: BaseException | None = None
        self.connect: Callable[..., Any] = (
            self._connect if is_async else lambda *given, **named: completed(self._connect())
        )
        kind: Any = psycopg_pool.AsyncConnectionPool if is_async else psycopg_pool.ConnectionPool
        # `reconnect_timeout`: an attempt that failed isn't repeated in the background; the next request makes one.
        limits = {"min_size": 0, "max_size": _POOL_SIZE, "reconnect_timeout": 0, "num_workers": 1}
        self._new = partial(kind, connection_class=self, open=False, name="configure_auth", **limits)
        self._pool: Any = self._new()
        reset_after_fork(self)

    def perform(self, operation: Operation[T], kind: Access = "write") -> T:
        return completed(self.aperform(operation, kind))

    async def aperform(self, operation: Operation[T], kind: Access = "write") -> T:
        """`perform` on an asynchronous pool."""
        attempt = 1
        while True:
            pool, connection = await self._take()
            done: list[str] = []
            try:
                return await _perform(self._on(connection, done), self._begin, self.prepare, operation, kind)
            except self._error as error:
                # A connection that was kept and that the server had closed, noticed before anything was done.
                stale = connection.closed and not done and attempt == 1
                if attempt >= _ATTEMPTS or not (stale or error.sqlstate in _REPEATABLE):
                    raise _store_error(error) from None
                attempt += 1
            finally:
                await _result(pool.putconn(connection))
            if stale:
                await _result(pool.check())

    def _on(self, connection: Any, done: list[str]) -> Run:
        async def run(statement: str, /, **values: Any) -> list[tuple[Any, ...]]:
            cursor = await _result(connection.execute(POSTGRESQL.text(statement), values or None))
            done.append(statement)
            return cast("list[tuple[Any, ...]]", await _result(cursor.fetchall())) if cursor.description else []

        return run

    async def _connect(self, *_given: Any, **_named: Any) -> Any:
        """What the pool calls, which takes this for a connection class; keeps why it could not connect."""
        from psycopg.rows import tuple_row

        self._failure = None
        try:
            connection = await _result(self._open())
            version = connection.info.server_version // 10000
            if version < 13:
                await _result(connection.close())
                raise SettingsError(f"the store needs PostgreSQL 13 or newer, and this server is PostgreSQL {version}")
            # psycopg 3.1 has `set_autocommit` on asynchronous connections only.
            if hasattr(connection, "set_autocommit"):
                await _result(connection.set_autocommit(True))
            else:
                connection.autocommit = True
        except BaseException as error:
            self._failure = error
            raise
        # No statements that the server keeps: behind PgBouncer the next one may meet another session.
        connection.prepare_threshold = None
        connection.row_factory = tuple_row
        return connection

    async def _take(self) -> tuple[Any, Any]:
        deadline = time.monotonic() + self._busy
        pool = self._pool
        while True:
            left = deadline - time.monotonic()
            try:
                if pool.closed:
                    await _result(pool.open())
                return pool, await _result(pool.getconn(timeout=max(0.001, min(_SLICE, left))))
            except self._error as error:
                # The pool itself would go on waiting for a server that refuses.
                if self._failure or left <= _SLICE or not isinstance(error, self._timeout):
                    raise _store_error(self._failure or error) from None

    def _after_fork(self) -> None:
        abandon(self._pool)
        self._pool = self._new()

    def close(self) -> None:
        """Close every connection; a later operation opens new ones."""
        completed(self.aclose())

    async def aclose(self) -> None:
        pool, self._pool = self._pool, self._new()
        await _result(pool.close())


class AwaitedDatabase:
    """A database for event loops: on asyncio by psycopg's own connections, with a pool for each loop, else in threads.

    A transaction that was begun goes on to its end, whatever becomes of the task that asked for it. SQLite's writers
    wait for each other on the loop and not in threads.

    Args:
        database: a blocking one, for threads; None where the app gives a function that opens asynchronous connections.
        pool: makes an asynchronous one, for loops that psycopg can use: not Windows' Proactor, not trio.
        busy: seconds that a place in the threads is waited for.
    """

    def __init__(
        self, database: Sqlite | Postgresql | None, pool: Callable[[], Postgresql] | None = None, *, busy: float
    ) -> None:
        import anyio

        self._database = database
        self._loops = None if pool is None else PerLoop(pool, Postgresql.aclose)
        self._busy = busy
        self.path: Path | None = getattr(database, "path", None)
        self.in_memory: bool = database is not None and database.in_memory
        writers = 1 if isinstance(database, Sqlite) else _POOL_SIZE
        self._places = PerLoop(lambda: (anyio.CapacityLimiter(_READERS), anyio.CapacityLimiter(writers)))
        reset_after_fork(self)

    async def perform(self, operation: Operation[T], kind: Access = "write") -> T:
        import anyio.to_thread

        if self._loops is not None and _psycopg_can_wait():
            value: T
            # Shielded, so that a client that goes away leaves a transaction whole, and its connection in order.
            with anyio.CancelScope(shield=True):
                value = await (await self._loops.get()).aperform(operation, kind)
            return value  # for mypy a scope may swallow what is in it
        if self._database is None:
            raise SettingsError(
                "psycopg's asynchronous connections need asyncio, and on Windows its SelectorEventLoop; give a "
                "function that opens blocking ones, which works in threads, or a URL"
            )
        reading, writing = await self._places.get()
        places = reading if kind == "read" else writing
        with anyio.move_on_after(self._busy):  # which doesn't end what a thread has begun
            return await anyio.to_thread.run_sync(self._database.perform, operation, kind, limiter=places)
        raise StoreError(_WRITERS_FIRST)

    def _after_fork(self) -> None:
        if self._loops is not None:
            self._loops.abandon()

    async def close(self) -> None:
        import anyio.to_thread

        if self._loops is not None:
            await self._loops.aclose()
        if self._database is not None:
            await anyio.to_thread.run_sync(self._database.close, limiter=anyio.CapacityLimiter(1))


def _psycopg_can_wait() -> bool:
    import asyncio

    with suppress(RuntimeError):
        loop = asyncio.get_running_loop()
        return not (sys.platform == "win32" and isinstance(loop, asyncio.ProactorEventLoop))
    return False


Database: TypeAlias = Sqlite | Postgresql | AwaitedDatabase
