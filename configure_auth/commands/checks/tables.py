"""The tables in which an app's people may be, from SQLAlchemy's metadata; nothing is asked of a database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .facts import Table

__all__ = ["table_of", "tables_in"]

_NAMES = frozenset(
    "user users account accounts member members person persons people auth_user auth_users app_user app_users "
    "customer customers".split()
)


def tables_in(metadata: Any, dialect: str | None) -> Iterator[Table]:
    """Those whose name is a usual one for people."""
    for table in metadata.tables.values():
        if table.name.lower() in _NAMES:
            yield _read(table, dialect)


def table_of(users: object, dialect: str | None) -> Table | None:
    """The table of a mapped class, or the table itself; None where it is neither."""
    table = getattr(users, "__table__", users)
    return _read(table, dialect) if hasattr(table, "primary_key") and hasattr(table, "dialect_options") else None


def _read(table: Any, dialect: str | None) -> Table:
    return Table(name=table.name, dialect=dialect, reuses_ids=_reuses_ids(table))


def _reuses_ids(table: Any) -> bool:
    """Whether SQLite makes its ids (the one INTEGER of the key is the row's number), and may make one twice."""
    from sqlalchemy.dialects import sqlite

    key = list(table.primary_key.columns)
    if len(key) != 1:
        return False
    column = key[0]
    if column.foreign_keys:
        # The row belongs to one of another table, whose id it has.
        return _reuses_ids(next(iter(column.foreign_keys)).column.table)
    if column.default is not None or column.type.compile(dialect=sqlite.dialect()) != "INTEGER":
        return False
    return not table.dialect_options["sqlite"]["autoincrement"]
