"""Our tables in an app's own Alembic environment, plain and by Flask-Migrate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask_migrate import Migrate, migrate, revision, upgrade
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, inspect
from sqlalchemy.pool import NullPool

from configure_auth import SettingsError
from configure_auth.alembic import include_name, include_object
from configure_auth.alembic import upgrade as upgrade_configure_auth
from configure_auth.stores.schema import SCHEMA, TABLES

from ..support.servers import PostgreSQL
from .opened import opened

ENVIRONMENT = """
from alembic import context
from sqlalchemy import Column, Integer, MetaData, Table

from configure_auth.alembic import {filter}

metadata = MetaData()
Table("notes", metadata, Column("id", Integer, primary_key=True))
connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, {filter}={filter})
with context.begin_transaction():
    context.run_migrations()
"""

MIGRATION = """
from alembic import op
from configure_auth.alembic import downgrade as downgrade_configure_auth
from configure_auth.alembic import upgrade as upgrade_configure_auth

revision, down_revision = {revision!r}, {down_revision!r}

def upgrade():
    upgrade_configure_auth(op.get_bind())

def downgrade():
    downgrade_configure_auth(op.get_bind())
"""


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Flask-Migrate's `env.py` reads a logging configuration, which disables every logger that it doesn't name."""
    root, known = logging.getLogger(), logging.Logger.manager.loggerDict.values()
    handlers, level = list(root.handlers), root.level
    enabled = [one for one in known if isinstance(one, logging.Logger) and not one.disabled]
    yield
    root.handlers[:], root.level = handlers, level
    for logger in enabled:
        logger.disabled = False


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
    return environment_with(tmp_path, "include_name")


def environment_with(tmp_path: Path, filter: str) -> Config:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "env.py").write_text(ENVIRONMENT.format(filter=filter))
    for name, before in (("one", None), ("two", "one")):
        (folder / "versions" / f"{name}.py").write_text(MIGRATION.format(revision=name, down_revision=before))
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return config


def migrated(environment: Config, engine: Engine, to: str) -> None:
    with engine.begin() as connection:
        environment.attributes["connection"] = connection
        command.upgrade(environment, to)


def names(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


@pytest.mark.parametrize("filter", ["include_name", "include_object"])
def test_autogenerate_leaves_the_tables_alone(engine: Engine, tmp_path: Path, filter: str) -> None:
    environment = environment_with(tmp_path, filter)
    migrated(environment, engine, "head")
    with engine.begin() as connection:
        assert names(engine) == {*TABLES, "alembic_version"}
        assert upgrade_configure_auth(connection) == SCHEMA

        metadata = MetaData()
        Table("notes", metadata, Column("id", Integer, primary_key=True))
        options = {filter: {"include_name": include_name, "include_object": include_object}[filter]}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        assert [(one[0], one[1].name) for one in found] == [("add_table", "notes")]
        unfiltered = compare_metadata(MigrationContext.configure(connection), metadata)
        assert {one[1].name for one in unfiltered if one[0] == "remove_table"} == TABLES


def test_a_store_works_on_migrated_tables(environment: Config, postgresql: PostgreSQL, tmp_path: Path) -> None:
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine:
        migrated(environment, engine, "head")
        stores = opened(url, tmp_path)
        assert stores.accounts.version("a", "u1") == stores.accounts.version("a", "u1")
        stores.close()


def test_a_second_upgrade_changes_nothing_and_a_downgrade_drops_the_tables(environment: Config, engine: Engine) -> None:
    for to in ("one", "two"):
        migrated(environment, engine, to)
        assert names(engine) == {*TABLES, "alembic_version"}

    with engine.begin() as connection:
        environment.attributes["connection"] = connection
        command.downgrade(environment, "base")
    assert names(engine) == {"alembic_version"}


def test_a_migration_that_fails_leaves_nothing(environment: Config, postgresql: PostgreSQL, tmp_path: Path) -> None:
    broken = tmp_path / "migrations" / "versions" / "one.py"
    text = "    upgrade_configure_auth(op.get_bind())\n"
    broken.write_text(broken.read_text().replace(text, f"{text}    raise RuntimeError('the app')\n"))
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine:
        with pytest.raises(RuntimeError, match="the app"):
            migrated(environment, engine, "one")

        assert names(engine) == set()


def test_a_migration_that_is_only_printed_is_told_what_to_paste() -> None:
    with pytest.raises(SettingsError, match="paste what `configure_auth tables --sql` prints"):
        upgrade_configure_auth(None)


@pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")  # in Flask-Migrate's template
def test_flask_migrate_creates_the_tables_and_leaves_them_alone(tmp_path: Path, postgresql: PostgreSQL) -> None:
    folder = tmp_path / "migrations"
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine:
        app = Flask(__name__)
        app.config["SQLALCHEMY_DATABASE_URI"] = url.replace("postgresql:", "postgresql+psycopg:", 1)
        db = SQLAlchemy(app)
        db.Table("notes", db.Column("id", db.Integer, primary_key=True))
        Migrate(app, db, directory=str(folder), include_name=include_name)
        with app.app_context():
            from flask_migrate import init

            init()
            revision(message="configure", rev_id="one")
            (file,) = (folder / "versions").glob("one_*.py")
            file.write_text(MIGRATION.format(revision="one", down_revision=None))
            upgrade()
            migrate(message="notes", rev_id="two")
            (generated,) = (folder / "versions").glob("two_*.py")
            upgrade()
            db.engine.dispose()

        assert "configure_" not in generated.read_text().replace("configure_auth", "")
        assert names(engine) == {*TABLES, "alembic_version", "notes"}
