"""Faults of a production system under sign-ins: `make drills`. Prints how long until the next sign-in worked."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from configure_auth.sandbox import Sandbox
from configure_auth.stores import Stores
from configure_auth.stores.opening import make_tables
from configure_auth.stores.schema import TABLES
from configure_auth.testing import StoreConformance

from ..stores.opened import opened
from ..support.processes import Machine
from ..support.servers import answers, free_port, private_postgresql
from .traffic import BROWSERS, EACH, link, statuses, under_sign_ins, until

pytestmark = pytest.mark.drill


@contextmanager
def as_postgres() -> Iterator[dict[str, Any]]:
    """What a server that refuses root is started with."""
    import pwd

    account = pwd.getpwnam("postgres")
    yield {"user": account.pw_uid, "group": account.pw_gid} if os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def pgbouncer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a pool in transaction mode, with few connections, before a database of its own."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer isn't here")
    with private_postgresql() as (url, _), as_postgres() as account:
        make_tables(url, Path())
        folder, port = tmp_path_factory.mktemp("pgbouncer"), free_port()
        (folder / "users").write_text('"tests" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={url.rpartition(':')[2].partition('/')[0]}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\nauth_file = users\n"
            "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 500\nunix_socket_dir =\n"
        )
        for path in (folder, *folder.iterdir()):
            os.chmod(path, 0o755)
        for parent in folder.parents:
            if parent.is_relative_to(tmp_path_factory.getbasetemp()):
                os.chmod(parent, 0o755)
        server = subprocess.Popen([program, "-q", "pgbouncer.ini"], cwd=folder, **account)
        try:
            pooled = f"postgresql://tests@127.0.0.1:{port}/postgres"
            until(lambda: answers(pooled))
            yield pooled
        finally:
            server.terminate()
            server.wait(10)


class TestPgbouncer(StoreConformance):
    """The contract of stores on connections whose next transaction may meet another session."""

    @pytest.fixture(params=["plain", "awaited"])
    def stores(self, request: pytest.FixtureRequest, pgbouncer: str, tmp_path: Path) -> Stores:
        with psycopg.connect(pgbouncer, prepare_threshold=None) as database:
            for table in TABLES - {"configure_parameters"}:
                database.execute(f"DELETE FROM {table}")
            database.execute("DELETE FROM configure_parameters WHERE name <> 'schema'")
        return opened(pgbouncer, tmp_path, awaited=request.param == "awaited")


def rows(url: str) -> list[tuple[str, str]]:
    """The user and the Configure user of every connection."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    with engine.connect() as database:
        found = database.execute(text("SELECT user_id, configure_user_id FROM configure_accounts")).all()
    engine.dispose()
    return [(row[0], row[1]) for row in found]


def assert_one_row_each(url: str) -> None:
    found = rows(url)
    assert len(found) == BROWSERS * EACH + 1
    assert len({user for user, _ in found}) == len({identity for _, identity in found}) == len(found)


def test_workers_are_killed(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with Machine(configure_sandbox, tmp_path, {"store": url}) as machine:
        parent = machine.gunicorn("-w", "3", "--worker-class", "gthread", "--threads", "4", settings={})

        def kill() -> None:
            for _ in range(3):
                os.kill(machine.visitor(parent).get("/pid").json["pid"], signal.SIGKILL)
                until(lambda: machine.visitor(parent).get("/pid").status == 200)

        seen = under_sign_ins(machine, parent, kill)

    # A browser whose attempt was cut off and that came again is told so.
    assert statuses(seen) <= {"0", "303", "409"}
    assert_one_row_each(url)


def test_postgresql_is_restarted(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    with private_postgresql() as (url, restart):
        make_tables(url, tmp_path)
        with Machine(configure_sandbox, tmp_path, {"store": url}) as machine:
            parent = machine.gunicorn("-w", "2", "--worker-class", "gthread", "--threads", "4", settings={})

            seen = under_sign_ins(machine, parent, restart)

        assert statuses(seen) <= {"303", "409", "503"}
        assert_one_row_each(url)


def test_the_disk_is_full(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    url = f"sqlite:///{disk / 'x.db'}"
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=True)
        with Machine(configure_sandbox, tmp_path, {"store": url}) as machine:
            parent = machine.gunicorn("-w", "2", "--worker-class", "gthread", "--threads", "4", settings={})

            def fill() -> None:
                with closing(sqlite3.connect(disk / "x.db")) as file:
                    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # or writes would fit into the -wal file
                with (disk / "other").open("wb", 0) as other, suppress(OSError):
                    while other.write(b"x" * 4096):
                        pass
                until(lambda: link(machine, parent, 998).startswith("503"))
                (disk / "other").unlink()

            seen = under_sign_ins(machine, parent, fill)

        assert statuses(seen) <= {"303", "409", "503"}
        with ExitStack() as looking:
            copy = looking.enter_context(opened_copy(disk, tmp_path))
            found = rows(copy)
        assert len({user for user, _ in found} - {"u998"}) == BROWSERS * EACH + 1


@contextmanager
def opened_copy(disk: Path, folder: Path) -> Iterator[str]:
    for file in disk.glob("x.db*"):
        shutil.copy(file, folder / file.name)
    yield f"sqlite:///{folder / 'x.db'}"
