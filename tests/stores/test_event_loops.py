"""An event loop goes on while its store waits for a lock."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psycopg
import pytest

from configure_auth.stores import Stores

from ..support.servers import PostgreSQL
from .opened import awaitable, opened

Release = Callable[[], object]


@contextmanager
def locked_memory(_postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[Stores, Release]]:
    stores: Any = opened("memory://", tmp_path, awaited=True)
    begun, go_on = threading.Event(), threading.Event()

    async def wait(_run: object) -> None:
        begun.set()
        go_on.wait()

    thread = threading.Thread(target=stores.accounts.database._database.perform, args=(wait,))
    thread.start()
    begun.wait()
    try:
        yield stores, go_on.set
    finally:
        go_on.set()
        thread.join()


@contextmanager
def locked_sqlite(_postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[Stores, Release]]:
    opened("sqlite:///x.db", tmp_path).accounts.version("a", "u1")
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield opened("sqlite:///x.db", tmp_path, awaited=True, busy=1), lambda: other.execute("ROLLBACK")


@contextmanager
def locked_postgresql(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[Stores, Release]]:
    with postgresql.schema() as url, psycopg.connect(url) as other:
        other.execute("LOCK TABLE configure_users IN ACCESS EXCLUSIVE MODE")
        yield opened(url, tmp_path, awaited=True, busy=1), other.rollback


@pytest.mark.parametrize("locked", [locked_memory, locked_sqlite, locked_postgresql])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_store_that_waits_for_a_lock_does_not_block_its_loop(
    locked: Any, backend: str, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """The lock is released on the loop, which a blocked one could not do before the store gives up."""
    versions: list[int] = []

    async def use(stores: Stores, release: Release) -> None:
        async def version() -> None:
            versions.append(await awaitable(stores.accounts.version("a", "u1")))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(version)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert versions == []
            release()
        await stores.aclose()

    with locked(postgresql, tmp_path) as (stores, release):
        anyio.run(use, stores, release, backend=backend)

    assert len(versions) == 1
