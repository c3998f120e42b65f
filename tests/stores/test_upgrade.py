"""Tables of an older version: SQLite's are changed when they're opened, PostgreSQL's by a command, and nothing is lost.

`SCHEMA_1` are the statements of that version's own `configure_auth tables --sql`.
`schema_2_*.sql` are databases that the last version on SQLAlchemy wrote, of the same schema as today's.
"""

from __future__ import annotations

import logging
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from configure_auth import SettingsError, StoreError
from configure_auth.alembic import upgrade
from configure_auth.stores import StoredAccount, Stores, schema
from configure_auth.stores.opening import make_tables
from configure_auth.stores.schema import SCHEMA
from configure_auth.testing.conformance.records import NOW, attempt, connection, journey, link

from ..public.running import environment, python
from ..support.servers import PostgreSQL
from .asked import claimed, found
from .opened import opened

SCHEMA_1 = """
CREATE TABLE configure_parameters (
    name VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE configure_states (
    state_hash VARCHAR(64) NOT NULL,
    browser_hash VARCHAR(64) NOT NULL,
    intent VARCHAR(8) NOT NULL,
    agent VARCHAR(63) NOT NULL,
    user_id VARCHAR(255),
    next TEXT,
    verifier TEXT,
    code TEXT,
    redirect_uri TEXT NOT NULL,
    version BIGINT,
    "replace" BOOLEAN NOT NULL,
    created_at FLOAT(53) NOT NULL,
    expires_at FLOAT(53) NOT NULL,
    claimed_at FLOAT(53),
    finished_at FLOAT(53),
    outcome TEXT,
    replay TEXT,
    replay_until FLOAT(53),
    PRIMARY KEY (state_hash)
);
CREATE INDEX configure_states_end ON configure_states (expires_at);
CREATE INDEX configure_states_user ON configure_states (agent, user_id);
CREATE INDEX configure_states_browser ON configure_states (browser_hash, agent, created_at);
CREATE INDEX configure_states_replay ON configure_states (replay_until);
CREATE TABLE configure_users (
    agent VARCHAR(63) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (agent, user_id)
);
CREATE TABLE configure_owners (
    agent VARCHAR(63) NOT NULL,
    configure_user_id VARCHAR(255) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    PRIMARY KEY (agent, configure_user_id)
);
CREATE TABLE configure_accounts (
    agent VARCHAR(63) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    kind VARCHAR(8) NOT NULL,
    configure_user_id VARCHAR(255) NOT NULL,
    token TEXT NOT NULL,
    expires_at FLOAT(53),
    scopes TEXT NOT NULL,
    linked_at FLOAT(53) NOT NULL,
    needs_reconnect BOOLEAN NOT NULL,
    refresh_sent_at FLOAT(53),
    refresh_sends INTEGER NOT NULL,
    serial VARCHAR(32) NOT NULL,
    PRIMARY KEY (agent, user_id, kind),
    CONSTRAINT configure_accounts_identity UNIQUE (agent, configure_user_id, kind)
);
CREATE TABLE configure_leases (
    name VARCHAR(400) NOT NULL,
    owner VARCHAR(64) NOT NULL,
    until FLOAT(53) NOT NULL,
    PRIMARY KEY (name)
);
INSERT INTO configure_parameters (name, value) VALUES ('schema', '1')
"""

ACCOUNTS = (
    connection("u1", "c1", serial="one"),
    connection("u1", "c1", kind="oauth", scopes=("profile.read",), expires_at=NOW + 3600, serial="two"),
    connection("u2", "c2", needs_reconnect=True, refresh_sent_at=NOW + 1.5, refresh_sends=1, serial="three"),
)
VERSIONS = {"u1": 2**62 - 1, "u2": 7}


def older(engine: Engine) -> None:
    """The database as the older version left it, with these accounts."""
    with engine.begin() as database:
        for statement in SCHEMA_1.split(";"):
            database.execute(text(statement))
        insert(database, "configure_parameters", name="key a f", value="")
        for user_id, version in VERSIONS.items():
            insert(database, "configure_users", agent="a", user_id=user_id, version=version)
        for account in ACCOUNTS:
            insert(database, "configure_accounts", **asdict(account) | {"scopes": " ".join(account.scopes)})
        for user_id, identity in {one.user_id: one.configure_user_id for one in ACCOUNTS}.items():
            insert(database, "configure_owners", agent="a", configure_user_id=identity, user_id=user_id)


def insert(database: Connection, table: str, **values: object) -> None:
    names = ", ".join(values), ", ".join(f":{name}" for name in values)
    database.execute(text(f"INSERT INTO {table} ({names[0]}) VALUES ({names[1]})"), values)


def number(engine: Engine) -> str:
    with engine.connect() as database:
        found: str = database.execute(text("SELECT value FROM configure_parameters WHERE name = 'schema'")).scalar_one()
        return found


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool)
    older(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(postgresql: PostgreSQL) -> Iterator[Engine]:
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine:
        older(engine)
        yield engine


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen: Engine = request.getfixturevalue(request.param)
    return chosen


def url_of(engine: Engine) -> str:
    return engine.url.set(drivername=engine.dialect.name).render_as_string(hide_password=False)


def assert_the_same_accounts(stores: Stores) -> None:
    found = [one for user_id in VERSIONS for one in stores.accounts.find("a", user_id)]
    assert found == list(ACCOUNTS)
    assert {user_id: stores.accounts.version("a", user_id) for user_id in VERSIONS} == VERSIONS
    assert stores.accounts.owner("a", "c1") == ("u1", VERSIONS["u1"])


def assert_all_works(stores: Stores) -> None:
    """What the older version didn't have, and what it had."""
    stores.journeys.put(journey("j"), limit=10, now=NOW)
    token = {"token_hash": "0" * 64, "now": NOW}
    assert stores.journeys.complete(journey("j").journey_hash, link=link("s1", "c1"), **token) == "linked"  # type: ignore[arg-type]
    assert stores.journeys.find("a", "s1") == link("s1", "c1")
    assert stores.parameters.keep("p", "value") == "value"
    changed: StoredAccount = replace(ACCOUNTS[0], token="new", serial="new")
    assert stores.accounts.update(changed, serial="one") is True
    assert stores.accounts.save(connection("u3", "c1"), version=None).end == "taken"


def tables(engine: Engine, *arguments: str) -> tuple[int, str]:
    """`configure_auth tables` for a database."""
    ended: subprocess.CompletedProcess[str] = python(
        "-m", "configure_auth", "tables", *arguments, env=environment(CONFIGURE_STORE=url_of(engine))
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_the_upgrade_leads_to_the_tables_of_today_and_keeps_what_is_there(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as database:
        assert upgrade(database) == 1
        assert upgrade(database) == SCHEMA
    assert number(engine) == str(SCHEMA)

    stores = opened(url_of(engine), tmp_path)
    assert_the_same_accounts(stores)
    assert_all_works(stores)
    stores.close()


def test_sqlite_changes_its_tables_when_they_are_opened(sqlite: Engine, tmp_path: Path) -> None:
    stores = opened(url_of(sqlite), tmp_path)

    assert_the_same_accounts(stores)
    assert_all_works(stores)

    assert number(sqlite) == str(SCHEMA)
    stores.close()


def test_many_who_open_an_older_file_at_once_all_find_it_changed(sqlite: Engine, tmp_path: Path) -> None:
    many = [opened(url_of(sqlite), tmp_path) for _ in range(8)]

    with ThreadPoolExecutor(len(many)) as threads:
        found = list(threads.map(lambda stores: stores.accounts.find("a", "u2"), many))

    assert found == [ACCOUNTS[2:]] * len(many)
    for stores in many:
        stores.close()


def test_postgresql_says_the_command_until_it_was_run(
    postgres: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "configure_auth")
    stores = opened(url_of(postgres), tmp_path)
    uses: tuple[Any, ...] = (
        lambda: stores.accounts.find("a", "u1"),
        lambda: stores.journeys.find("a", "s1"),
        lambda: stores.parameters.keep("p", "value"),
    )
    for use in uses:
        with pytest.raises(
            SettingsError, match=rf"tables of schema 1, and {SCHEMA} is needed: run `configure_auth tables`"
        ):
            use()
    assert (number(postgres), inspect(postgres).has_table("configure_journeys")) == ("1", False)

    assert tables(postgres) == (0, f"the tables of schema {SCHEMA} were changed from schema 1\n")

    # The process that found the older ones goes on with them.
    assert_the_same_accounts(stores)
    assert_all_works(stores)
    assert tables(postgres) == (0, f"the tables of schema {SCHEMA} are there already\n")
    stores.close()


def test_the_command_changes_a_file_too(sqlite: Engine, tmp_path: Path) -> None:
    file = sqlite.url.database
    code, said = tables(sqlite)
    assert (code, f"{file}: the tables of schema {SCHEMA} were changed from schema 1\n" in said) == (0, True)
    assert "a copy of it as it was is x.db.schema-1" in said

    stores = opened(url_of(sqlite), tmp_path)
    assert_the_same_accounts(stores)
    stores.close()


def test_an_upgrade_that_fails_leaves_the_older_tables(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHANGES", (*schema.CHANGES, "CREATE TABLE more (id BIGINT); no statement"))
    before = sorted(inspect(engine).get_table_names())
    with pytest.raises(StoreError, match="could not do its work now"):
        make_tables(url_of(engine), tmp_path)

    assert sorted(inspect(engine).get_table_names()) == before
    assert number(engine) == "1"
    with engine.connect() as database:
        kept = set(database.execute(text("SELECT serial FROM configure_accounts")).scalars())
        assert kept == {one.serial for one in ACCOUNTS}


def test_two_upgrades_at_once_make_one(postgres: Engine) -> None:
    def change(_: int) -> int:
        with postgres.begin() as database:
            return upgrade(database)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(change, range(4))) == [1, SCHEMA, SCHEMA, SCHEMA]


HERE = Path(__file__).parent


@pytest.fixture(params=["sqlite", "postgresql"])
def written_before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that the version before wrote."""
    statements = (HERE / f"schema_2_{request.param}.sql").read_text()
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / "x.db")) as file:
            file.executescript(statements)
        yield f"sqlite:///{tmp_path / 'x.db'}"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        with server.schema(tables=False) as url:
            with psycopg.connect(url) as connection:
                connection.execute(statements)
            yield url


def test_a_database_of_the_version_before_opens_unchanged(written_before: str, tmp_path: Path) -> None:
    assert SCHEMA == 2
    before = contents(written_before, tmp_path)
    stores = opened(written_before, tmp_path, fingerprints=("f2",))

    ended = attempt("ended", user_id="u2", claimed_at=NOW + 1, finished_at=NOW + 2.5)
    assert found(stores, attempt("open")) == attempt("open", user_id="u1", version=7, created_at=NOW + 0.123456789)
    assert found(stores, ended) == replace(ended, outcome="sealed outcome", replay="sealed replay")
    (first, second), (third,) = (stores.accounts.find("a", user_id) for user_id in ("u1", "u2"))
    assert (first.kind, second.kind) == ("agent", "oauth")
    assert replace(first, serial="") == connection("u1", "c1")
    scopes = ("profile.read", "profile.search")
    assert replace(second, serial="") == connection("u1", "c1", kind="oauth", scopes=scopes, expires_at=NOW + 3600.5)
    sent = {"refresh_sent_at": NOW + 1.5, "refresh_sends": 1, "serial": "changed"}
    assert third == connection("u2", "c2", needs_reconnect=True, **sent)
    assert stores.accounts.owner("a", "c2") == ("u2", stores.accounts.version("a", "u2"))
    assert stores.journeys.read(journey("open").journey_hash, agent="a", now=NOW) == journey("open")
    assert stores.journeys.find("a", "s2") == link("s2", "c3")
    assert stores.journeys.find("a", "s3") == link("s3", "c3", proven=True)
    assert (stores.agents.owner("agent-1", app="a"), stores.agents.owned_by("u1", app="a")) == (None, ("agent-2",))
    assert stores.parameters.read("id a") == "sealed id key"
    assert contents(written_before, tmp_path) == before

    # And goes on: a lease that is held, an attempt that is open, a save that must not take what is another's.
    assert not stores.leases.acquire("a lease", owner="p", until=NOW + 60, now=NOW + 29)
    assert stores.leases.acquire("a lease", owner="p", until=NOW + 60, now=NOW + 30)
    assert claimed(stores, attempt("open")) is not None
    assert stores.accounts.save(connection("u3", "c1"), version=None).end == "taken"
    assert stores.accounts.update(replace(first, token="new"), serial=first.serial)
    stores.close()
    with pytest.raises(SettingsError, match="none of CONFIGURE_TOKEN_KEYS"):
        opened(written_before, tmp_path, fingerprints=("f3",)).accounts.find("a", "u1")


def test_new_tables_are_those_of_the_version_before(written_before: str, tmp_path: Path) -> None:
    engine = create_engine(written_before.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    before = columns(engine)
    with engine.begin() as database:
        for table in before:
            database.execute(text(f"DROP TABLE {table}"))
        assert upgrade(database) == 0

    assert columns(engine) == before
    engine.dispose()


def columns(engine: Engine) -> dict[str, object]:
    found = inspect(engine)
    return {
        table: (
            # As values are stored and compared; SQLite has no precision.
            [(one["name"], str(one["type"]).replace("(53)", ""), one["nullable"]) for one in found.get_columns(table)],
            sorted((str(one["name"]), one["column_names"]) for one in found.get_indexes(table)),
            found.get_pk_constraint(table)["constrained_columns"],
            [one["column_names"] for one in found.get_unique_constraints(table)],
        )
        for table in found.get_table_names()
    }


def contents(url: str, folder: Path) -> object:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    with engine.connect() as database:
        rows = {
            table: database.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in columns(engine)
        }
    engine.dispose()
    return rows
