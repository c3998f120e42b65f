"""Our tables in an app's own Alembic environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, inspect, select
from sqlalchemy.pool import NullPool

from configure_auth.stores import schema

from ..support.servers import PostgreSQL

ENVIRONMENT = """
from alembic import context
from configure_auth.stores.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
"""

MIGRATION = """
from alembic import op
from configure_auth.stores.schema import upgrade as upgrade_configure_auth

revision, down_revision = {revision!r}, {down_revision!r}

def upgrade():
    upgrade_configure_auth(op.get_bind())
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}", poolclass=NullPool)
        yield engine
        engine.dispose()
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        with server.schema(tables=False) as url, server.engine(url) as engine:
            yield engine


@pytest.fixture
def environment(tmp_path: Path) -> Config:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENVIRONMENT)
    for revision, down_revision in (("one", None), ("two", "one")):
        text = MIGRATION.format(revision=revision, down_revision=down_revision)
        (folder / "versions" / f"{revision}.py").write_text(text)
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return config


def migrate(environment: Config, engine: Engine, to: str) -> None:
    with engine.begin() as connection:
        environment.attributes["connection"] = connection
        command.upgrade(environment, to)


def shape(connection: Connection) -> object:
    """All that an inspector knows of the tables, and what is in our parameters."""
    found = inspect(connection)
    tables = sorted(found.get_table_names())
    parts = [
        [str(part) for part in (*found.get_columns(table), *found.get_indexes(table), found.get_pk_constraint(table))]
        + [str(found.get_unique_constraints(table))]
        for table in tables
    ]
    kept = [tuple(row) for row in connection.execute(select(schema.parameters))]
    return tables, parts, kept


def test_a_migration_makes_the_tables_and_autogenerate_finds_no_difference(environment: Config, engine: Engine) -> None:
    migrate(environment, engine, "head")

    with engine.begin() as connection:
        assert set(inspect(connection).get_table_names()) == {*schema.metadata.tables, "alembic_version"}
        assert schema.number(connection) == schema.SCHEMA
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        environment.attributes["connection"] = connection
        command.check(environment)


def test_a_second_upgrade_changes_nothing(environment: Config, engine: Engine) -> None:
    migrate(environment, engine, "one")
    with engine.begin() as connection:
        before = shape(connection)

    migrate(environment, engine, "two")

    with engine.begin() as connection:
        assert shape(connection) == before
        assert schema.upgrade(connection) == schema.SCHEMA


def test_a_migration_that_fails_leaves_nothing(environment: Config, postgresql: PostgreSQL, tmp_path: Path) -> None:
    broken = tmp_path / "migrations" / "versions" / "one.py"
    broken.write_text(broken.read_text() + "    raise RuntimeError('the app')\n")
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine:
        with pytest.raises(RuntimeError, match="the app"):
            migrate(environment, engine, "one")

        assert inspect(engine).get_table_names() == []
