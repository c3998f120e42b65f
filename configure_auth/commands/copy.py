"""`copy`: everything in one SQL store that lasts, into another, such as from SQLite to PostgreSQL."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import error_messages
from .store import sqlite_path

if TYPE_CHECKING:
    from ..stores.schema import Run

Row = tuple[Any, ...]

TABLES = {
    "configure_users": (2, "agent user_id version"),
    "configure_owners": (2, "agent configure_user_id user_id"),
    "configure_accounts": (
        3,
        "agent user_id kind configure_user_id token expires_at scopes linked_at needs_reconnect refresh_sent_at "
        "refresh_sends serial",
    ),
    "configure_subjects": (2, "agent subject configure_user_id token linked_at proven serial"),
    "configure_agents": (2, "app agent_id claim_hash claim_until owner_user_id"),
    "configure_parameters": (1, "name value"),
}
"""The tables whose rows last: the length of the primary key, and the columns, the key's first."""

BATCH = 500
_FLAGS = ("needs_reconnect", "proven")
# The key of the ids is what makes parameters worth keeping; the keys' fingerprints are written by an app's first use.
_HAS_RECORDS = " UNION ALL ".join(
    ["SELECT 1 FROM configure_parameters WHERE name <> 'schema' AND substr(name, 1, 4) <> 'key '"]
    + [f"SELECT 1 FROM {table}" for table in TABLES if table != "configure_parameters"]
)


@click.command()
@click.option("--from", "source", required=True, help="URL of the store to copy, such as sqlite:////srv/app/x.db.")
@click.option("--to", "target", help="URL of the empty store to copy into.  [env var: CONFIGURE_STORE]")
def copy(source: str, target: str | None) -> None:
    """Copy connections, senders, agents and keys into another, empty store.

    Stop the app first. Attempts to sign in that are open are not copied. A copy that ended early left nothing: run it
    again.
    """
    from ..errors import SettingsError

    with error_messages():
        target = target or os.environ.get("CONFIGURE_STORE")
        if not target:
            raise SettingsError("no store to copy into is named: give --to URL, or set CONFIGURE_STORE")
        for url in (source, target):
            if url.startswith("sqlite") and sqlite_path(url) is None:
                raise SettingsError("give SQLite files by their absolute path: sqlite:////srv/app/configure.db")
        click.echo(f"copied and compared {copy_store(source, target)} rows; set CONFIGURE_STORE to the new store")


def copy_store(source: str, target: str) -> int:
    """Copy the lasting rows of one store into another in one transaction; return their number.

    Raises:
        SettingsError: a store isn't one, the source doesn't exist, or the target has records.
        StoreError: a database failed; nothing was copied.
    """
    from ..errors import SettingsError, StoreError
    from ..stores.databases import Sqlite
    from ..stores.opening import make_tables, open_database

    old, new = (open_database(url, "", (), Path.cwd(), awaited=False) for url in (source, target))
    if isinstance(old, Sqlite) and (old.path is None or not old.path.is_file()):
        raise SettingsError("the store to copy doesn't exist; check the path after --from")
    make_tables(target, Path.cwd())

    async def read(reading: Run) -> int:
        # In a transaction that writes nothing, so that an app that still runs can't change an SQLite file meanwhile.
        async def write(writing: Run) -> int:
            if await writing(f"{_HAS_RECORDS} LIMIT 1"):
                raise SettingsError("the store to copy into has records already; give one that is empty")
            await writing("DELETE FROM configure_parameters WHERE name <> 'schema'")
            copied = {table: await _copy(reading, writing, table) for table in TABLES}
            for table, expected in copied.items():
                if await _summed(_rows(writing, table)) != expected:
                    raise StoreError(f"the copy of {table} differs from its source, and was undone; stop the app first")
            return sum(count for count, _ in copied.values())

        return new.perform(write)  # type: ignore[return-value]  # blocking, by awaited=False

    try:
        return old.perform(read)  # type: ignore[return-value]  # blocking, by awaited=False
    finally:
        old.close()
        new.close()


async def _copy(reading: Run, writing: Run, table: str) -> tuple[int, int]:
    columns = TABLES[table][1].split()

    async def copied() -> AsyncIterator[list[Row]]:
        done = 0
        async for rows in _rows(reading, table):
            given = {f"v{n}_{m}": value for n, row in enumerate(rows) for m, value in enumerate(row)}
            places = ", ".join(f"({', '.join(f':v{n}_{m}' for m in range(len(columns)))})" for n in range(len(rows)))
            await writing(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {places}", **given)
            done += len(rows)
            click.echo(f"{table}: {done}", err=True)
            yield rows

    return await _summed(copied())


async def _rows(run: Run, table: str) -> AsyncIterator[list[Row]]:
    """Read a table in the order of its key, some rows at a time; but the schema number, which the target has."""
    length, names = TABLES[table]
    columns = names.split()
    key, values = ", ".join(columns[:length]), ", ".join(f":k{n}" for n in range(length))
    after: Row = ()
    where = "name <> 'schema' AND name <> 'readable since'" if table == "configure_parameters" else "1 = 1"
    while True:
        beyond = f" AND ({key}) > ({values})" if after else ""
        statement = f"SELECT {', '.join(columns)} FROM {table} WHERE {where}{beyond} ORDER BY {key} LIMIT {BATCH}"
        found = await run(statement, **{f"k{n}": value for n, value in enumerate(after)})
        flags = [columns.index(name) for name in _FLAGS if name in columns]
        rows = [tuple(bool(v) if n in flags else v for n, v in enumerate(row)) for row in found]
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        after = rows[-1][:length]


async def _summed(batches: AsyncIterator[list[Row]]) -> tuple[int, int]:
    """Return the number of rows and a sum of their hashes, whatever their order is."""
    count, total = 0, 0
    async for rows in batches:
        count += len(rows)
        total += sum(int.from_bytes(hashlib.sha256(repr(row).encode()).digest()) for row in rows)
    return count, total % 2**256
