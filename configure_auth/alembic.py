"""The store's tables in an app's own Alembic migrations. SQLAlchemy is used as the app has it, and not imported.

In `migrations/env.py`, so that autogenerate leaves the tables alone:

    from configure_auth.alembic import include_name

    context.configure(..., include_name=include_name)

In a revision, which creates the tables or changes older ones:

    from configure_auth.alembic import upgrade as upgrade_configure_auth

    def upgrade():
        upgrade_configure_auth(op.get_bind())
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import SettingsError
from .stores.databases import POSTGRESQL, SQLITE, completed
from .stores.schema import TABLES, Preparation

__all__ = ["downgrade", "include_name", "include_object", "upgrade"]


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:
    """Return False for the store's tables: Alembic's `include_name`, for tables that are found in the database."""
    return not (type_ == "table" and name in TABLES)


def include_object(object_: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
    """Return False for the store's tables: Alembic's `include_object`, where an app filters objects and not names."""
    return not (type_ == "table" and name in TABLES)


def upgrade(connection: Any) -> int:
    """Create the store's tables or change older ones, in the migration's transaction.

    Args:
        connection: SQLAlchemy's, on SQLite or PostgreSQL: `op.get_bind()`.

    Returns:
        the schema number that was found, 0 where there were no tables.

    Raises:
        SettingsError: the tables are newer than this version of the package, or Alembic only prints SQL.
    """
    if connection is None or not hasattr(connection, "exec_driver_sql"):
        raise SettingsError("Alembic only prints SQL here (--sql); paste what `configure_auth tables --sql` prints")
    dialect = SQLITE if connection.dialect.name == "sqlite" else POSTGRESQL

    async def run(statement: str, /, **values: Any) -> list[tuple[Any, ...]]:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []

    return completed(Preparation(dialect).upgrade(run))


def downgrade(connection: Any) -> None:
    """Drop the store's tables, with every connection in them.

    Args:
        connection: SQLAlchemy's: `op.get_bind()`.
    """
    for table in sorted(TABLES):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
