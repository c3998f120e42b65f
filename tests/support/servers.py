"""PostgreSQL and Redis for the tests: those that the environment names, or private ones on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from configure_auth.stores.opening import make_tables
from configure_auth.stores.schema import TABLES, statements

__all__ = ["PostgreSQL", "RedisServer", "answers", "free_port", "postgresql_here", "private_postgresql", "redis_here"]


def _program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
        found = str(newest[-1]) if newest else None
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class PostgreSQL:
    """A database in which each test gets schemas of its own: `take` one, and give it back empty."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._free: list[str] = []
        self._numbers = count()

    @cached_property
    def _connection(self) -> psycopg.Connection:
        url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        # What a broken test left open would be waited for without end.
        return psycopg.connect(url, autocommit=True, options="-c lock_timeout=10s")

    @contextmanager
    def schema(self, *, tables: bool = True) -> Iterator[str]:
        """The URL of a schema with our tables, empty."""
        name = self._free.pop() if tables and self._free else self._new(tables=tables)
        url = self._url_of(name)
        try:
            yield url
        finally:
            if tables:
                # As `make_tables` leaves it, whatever a test has written there.
                numbered = [statement for statement in statements() if statement.startswith("INSERT")]
                emptied = [f"DELETE FROM {table}" for table in TABLES]
                self._connection.execute("; ".join([f"SET search_path = {name}", *emptied, *numbered]))
                self._free.append(name)
            else:
                self._connection.execute(f"DROP SCHEMA {name} CASCADE")

    @contextmanager
    def engine(self, url: str) -> Iterator[Engine]:
        """A plain engine, to look into a schema from outside."""
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
        yield engine
        engine.dispose()

    def _new(self, *, tables: bool) -> str:
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self._connection.execute(f"CREATE SCHEMA {name}")
        if tables:
            make_tables(self._url_of(name), Path.cwd())
        return name

    def _url_of(self, name: str) -> str:
        url = self._url.set(drivername="postgresql").update_query_dict({"options": f"-csearch_path={name}"})
        return url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Drop the schemas, for the server may be somebody else's."""
        for name in self._free:
            self._connection.execute(f"DROP SCHEMA {name} CASCADE")
        self._connection.close()


class RedisServer:
    """A Redis whose numbered databases are given out one by one. `restart` ends it and starts it anew, empty."""

    def __init__(self, url: str, databases: int, restart: Any = None) -> None:
        self.url = url
        self._free = list(range(databases))
        self.restart = restart

    @contextmanager
    def database(self) -> Iterator[str]:
        number = self._free.pop()
        url = f"{self.url}/{number}"
        try:
            yield url
        finally:
            with Redis.from_url(url) as client:
                client.flushdb(asynchronous=True)
            self._free.append(number)


@contextmanager
def postgresql_here() -> Iterator[PostgreSQL | None]:
    """The server at CONFIGURE_TEST_POSTGRES_URL, or one of our own; None where neither is there."""
    given = os.environ.get("CONFIGURE_TEST_POSTGRES_URL")
    initdb, postgres = _program("initdb"), _program("postgres")
    with ExitStack() as stack:
        if given:
            server = PostgreSQL(given)
        elif initdb is None or postgres is None:
            yield None
            return
        else:
            server = PostgreSQL(stack.enter_context(private_postgresql())[0])
        yield server
        server.close()


@contextmanager
def private_postgresql() -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a server of our own, and what restarts it at once, as after a crash."""
    initdb, postgres = _program("initdb"), _program("postgres")
    assert initdb is not None
    assert postgres is not None
    folder = Path(tempfile.mkdtemp(prefix="configure_auth-postgresql-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses root.
        import pwd  # there is none on Windows

        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data, port = folder / "data", free_port()
    try:
        subprocess.run(
            [initdb, "-D", str(data), "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": port, "fsync": "off"}
        settings |= {"max_connections": 300, "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = folder / "log"
        url, running = f"postgresql://tests@127.0.0.1:{port}/postgres", []

        def start() -> None:
            with log.open("a") as said:
                command = [postgres, "-D", str(data), *options]
                running.append(subprocess.Popen(command, stdout=said, stderr=said, cwd=folder, **as_user))
            _wait_for(lambda: answers(url), running[-1], log)

        def end(how: signal.Signals) -> None:
            server = running.pop()
            server.send_signal(how)
            server.wait(30)

        def restart() -> None:
            end(signal.SIGQUIT)  # "immediate"
            start()

        try:
            start()
            yield url, restart
        finally:
            end(signal.SIGINT)  # "fast": whoever is still connected is cut off
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answers(url: str) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5).close()
        return True
    return False


@contextmanager
def redis_here() -> Iterator[RedisServer | None]:
    """The server at CONFIGURE_TEST_REDIS_URL, or one of our own; None where neither is there."""
    given, program = os.environ.get("CONFIGURE_TEST_REDIS_URL"), _program("redis-server")
    if given:
        yield RedisServer(given.rstrip("/").rpartition("/")[0] if given.count("/") > 2 else given, 16)
    elif program is None:
        yield None
    else:
        with private_redis(program) as server:
            yield server


@contextmanager
def private_redis(program: str | None = None, *, certificate: Path | None = None) -> Iterator[RedisServer]:
    """A Redis of one's own, to be ended and started again; with a certificate on a port that has TLS alone."""
    program = program or _program("redis-server")
    assert program is not None
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="configure_auth-redis-") as folder, ExitStack() as stack:
        command = [
            program,
            *(["--port", str(port)] if certificate is None else _tls_options(port, certificate)),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            "--save",
            "",
            "--databases",
            "64",
        ]
        url = f"redis://127.0.0.1:{port}"
        if certificate is not None:
            url = f"rediss://localhost:{port}?ssl_ca_certs={certificate}"

        def start() -> None:
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            stack.callback(server.terminate)
            _wait_for(lambda: _pongs(url), server, None)

        def restart() -> None:
            stack.close()
            start()

        start()
        yield RedisServer(url, 64, restart)


def _tls_options(port: int, certificate: Path) -> list[str]:
    files = [f"--tls-{name}-file" for name in ("cert", "key", "ca-cert")]
    named = [part for option in files for part in (option, str(certificate))]
    return ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", *named]


def _pongs(url: str) -> bool:
    with suppress(ConnectionError, OSError), Redis.from_url(url) as client:
        from redis.exceptions import RedisError

        try:
            return bool(client.ping())
        except RedisError:
            return False
    return False


def _wait_for(ready: Any, server: subprocess.Popen[bytes], log: Path | None) -> None:
    for _ in range(600):
        if ready():
            return
        try:
            server.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(log.read_text() if log else "the server ended")
    raise AssertionError("the server doesn't answer")
