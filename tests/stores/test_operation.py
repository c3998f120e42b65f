"""What docs/operation.md tells to do, done: copy, rotate keys, back up, upgrade, roll back, vacuum, and failures."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import make_url

from configure_auth import Settings, SettingsError, StoreError
from configure_auth.commands import copy as copying
from configure_auth.commands.main import main
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox
from configure_auth.stores import Stores, schema
from configure_auth.stores.databases import POSTGRESQL, SQLITE
from configure_auth.stores.opening import make_tables
from configure_auth.stores.sql import SWEEP
from configure_auth.stores.statements import PUT_ATTEMPT, PUT_JOURNEY, SWEEP_ATTEMPTS, SWEEP_JOURNEYS, WIPE_REPLAYS
from configure_auth.testing.conformance.records import NOW, attempt, connection, journey, link, odd_accounts, odd_link

from ..support.servers import PostgreSQL
from .opened import opened
from .test_upgrade import contents


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.schema() as url:
        yield url


def filled(folder: Path, users: int = 3) -> Stores:
    """A file with something in every table."""
    stores = opened("sqlite:///old.db", folder)
    for account in odd_accounts():
        stores.accounts.save(account, version=None)
    for number in range(users):
        stores.accounts.save(connection(f"copied {number}", f"c {number}", needs_reconnect=number == 0), version=None)
    stores.journeys.save(odd_link(), serial=None)
    stores.agents.register("agent", "0" * 64, app="a", until=NOW + 60, now=NOW)
    stores.parameters.keep("id a", "sealed")
    stores.states.put(attempt("s"), limit=10, now=NOW)
    return stores


def copied(source: str, target: str) -> Result:
    return CliRunner().invoke(main, ["copy", "--from", source, "--to", target])


def lasting(url: str, folder: Path) -> dict[str, Any]:
    found: Any = contents(url, folder)
    return {table: {tuple(row) for row in found[table]} for table in copying.TABLES}


def test_copy_brings_all_that_lasts_to_another_database(postgresql_url: str, tmp_path: Path) -> None:
    filled(tmp_path, users=copying.BATCH + 2).close()
    source, back = f"sqlite:///{tmp_path / 'old.db'}", f"sqlite:///{tmp_path / 'back.db'}"
    opened(postgresql_url, tmp_path).accounts.find("a", "u1")  # the app's first use: the fingerprints of its keys

    ended = copied(source, postgresql_url)
    assert ended.exit_code == 0, ended.output
    assert f"configure_accounts: {copying.BATCH}\n" in ended.output
    assert "copied and compared" in ended.output
    assert copied(postgresql_url, back).exit_code == 0

    assert lasting(source, tmp_path) == lasting(postgresql_url, tmp_path) == lasting(back, tmp_path)
    moved = opened(postgresql_url, tmp_path)
    assert moved.accounts.find("a", "copied 0")[0].needs_reconnect is True
    assert moved.journeys.find(odd_link().agent, odd_link().subject) == odd_link()
    moved.close()


def test_copy_refuses_what_it_would_mix(postgresql_url: str, tmp_path: Path) -> None:
    filled(tmp_path).close()
    source = f"sqlite:///{tmp_path / 'old.db'}"
    there = opened(postgresql_url, tmp_path)
    there.journeys.save(link("s1", "c1"), serial=None)
    there.close()

    refused = copied(source, postgresql_url)
    missing = copied(f"sqlite:///{tmp_path / 'not there.db'}", postgresql_url)

    assert (refused.exit_code, missing.exit_code) == (1, 1)
    assert "the store to copy into has records already; give one that is empty" in refused.output
    assert "the store to copy doesn't exist" in missing.output
    assert not (tmp_path / "not there.db").exists()


def test_a_copy_that_broke_off_can_be_repeated(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path).close()
    source = f"sqlite:///{tmp_path / 'old.db'}"
    with monkeypatch.context() as broken, psycopg.connect(postgresql_url) as other:
        # The last table can't be copied: what was copied before it is undone.
        broken.setitem(copying.TABLES, "configure_parameters", (1, "name no_such_column"))
        assert copied(source, postgresql_url).exit_code == 1
        assert other.execute("SELECT count(*) FROM configure_accounts").fetchone() == (0,)

    assert copied(source, postgresql_url).exit_code == 0
    assert lasting(source, tmp_path) == lasting(postgresql_url, tmp_path)


# A file that is replaced, deleted or can't be used


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "deleted"])
def test_a_file_that_is_replaced_under_a_running_app_is_opened_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, replaced: bool
) -> None:
    stores = opened("sqlite:///x.db", tmp_path)
    stores.accounts.save(connection("u1", "c1"), version=None)
    if replaced:
        with closing(sqlite3.connect(tmp_path / "x.db")) as file, closing(sqlite3.connect(tmp_path / "copy")) as copy:
            file.backup(copy)
        (tmp_path / "copy").chmod(0o600)
    stores.accounts.save(connection("u2", "c2"), version=None)
    if replaced:
        os.replace(tmp_path / "copy", tmp_path / "x.db")
    else:
        (tmp_path / "x.db").unlink()

    found = [bool(stores.accounts.find("a", user_id)) for user_id in ("u1", "u2")]
    stores.accounts.save(connection("u3", "c3"), version=None)
    stores.close()

    assert found == [replaced, False]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "x.db was replaced or deleted while the app ran; it is opened again" in caplog.text
    with closing(sqlite3.connect(tmp_path / "x.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        users = [user_id for (user_id,) in file.execute("SELECT user_id FROM configure_accounts ORDER BY 1")]
    assert users == (["u1", "u3"] if replaced else ["u3"])


def test_a_file_that_cant_be_used_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, and long enough to be read as one" * 40)
    for url in ("sqlite:////proc/configure.db", f"sqlite:///{tmp_path / 'text.db'}"):
        stores = opened(url, tmp_path)
        with pytest.raises(SettingsError, match=r"the store's file can't be opened .*; set CONFIGURE_STORE"):
            stores.accounts.version("a", "u1")
        stores.close()


def test_postgresql_without_a_free_connection_says_so(postgresql_url: str, tmp_path: Path) -> None:
    role = f"limited_{os.getpid()}"
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
        limited = make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)
        stores = opened(limited.replace("+", "%20"), tmp_path)
        with pytest.raises(StoreError, match="PostgreSQL has no free connection; raise max_connections"):
            stores.accounts.version("a", "u1")
        stores.close()
        other.execute(f"DROP ROLE {role}")


# Upgrades and the way back

NEXT = "ALTER TABLE configure_accounts ADD COLUMN note TEXT; CREATE TABLE configure_notes (id BIGINT PRIMARY KEY)"


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], pytest.MonkeyPatch]:
    """Make the package the next version, whose tables can be read since a schema number; until `undo`."""

    def become(readable_since: int) -> pytest.MonkeyPatch:
        monkeypatch.setattr(schema, "CHANGES", (*schema.CHANGES, NEXT))
        monkeypatch.setattr(schema, "SCHEMA", schema.SCHEMA + 1)
        monkeypatch.setattr(schema, "READABLE_SINCE", readable_since)
        return monkeypatch

    return become


@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
def test_an_additive_upgrade_can_be_rolled_back(
    next_version: Callable[[int], pytest.MonkeyPatch], postgresql_url: str, tmp_path: Path, kept_in: str
) -> None:
    url = postgresql_url if kept_in == "postgresql" else f"sqlite:///{tmp_path / 'old.db'}"
    before = opened(url, tmp_path)
    before.accounts.save(connection("u1", "c1"), version=None)
    newer = next_version(schema.SCHEMA)
    assert make_tables(url, tmp_path) == schema.SCHEMA - 1
    upgraded = opened(url, tmp_path)
    upgraded.accounts.save(connection("u2", "c2"), version=None)
    upgraded.close()
    before.accounts.save(connection("u3", "c3"), version=None)  # a process of the version before, still running
    before.close()
    newer.undo()

    again = opened(url, tmp_path)
    assert [len(again.accounts.find("a", user_id)) for user_id in ("u1", "u2", "u3")] == [1, 1, 1]
    assert make_tables(url, tmp_path) == schema.SCHEMA + 1
    again.close()
    if kept_in == "postgresql":
        with psycopg.connect(url, autocommit=True) as undo:
            undo.execute("ALTER TABLE configure_accounts DROP COLUMN note; DROP TABLE configure_notes")
            undo.execute("UPDATE configure_parameters SET value = '2' WHERE name = 'schema'")


def test_another_upgrade_names_the_way_back_and_keeps_a_copy(
    next_version: Callable[[int], pytest.MonkeyPatch], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path).close()
    before = contents(f"sqlite:///{tmp_path / 'old.db'}", tmp_path)
    newer = next_version(schema.SCHEMA + 1)
    opened("sqlite:///old.db", tmp_path).close()
    upgraded = opened("sqlite:///old.db", tmp_path)
    upgraded.accounts.find("a", "u1")
    upgraded.close()
    newer.undo()
    assert "old.db is changed from schema 2; a copy of it as it was is old.db.schema-2" in caplog.text

    with pytest.raises(SettingsError, match=r"Deploy the newer version again, or restore .* ends in \.schema-2\)"):
        opened("sqlite:///old.db", tmp_path).accounts.find("a", "u1")

    # The way back of the runbook: the app is stopped, and the copy takes the file's place.
    for leftover in tmp_path.glob("old.db-*"):
        leftover.unlink()
    os.replace(tmp_path / "old.db.schema-2", tmp_path / "old.db")
    assert (tmp_path / "old.db").stat().st_mode & 0o777 == 0o600
    assert contents(f"sqlite:///{tmp_path / 'old.db'}", tmp_path) == before
    restored = opened("sqlite:///old.db", tmp_path)
    assert len(restored.accounts.find("a", "copied 1")) == 1
    restored.close()


def test_a_backup_of_a_running_store_is_restored(tmp_path: Path) -> None:
    stores = filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "old.db")) as file:
        file.execute("VACUUM")  # while the app runs
        file.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    stores.accounts.unlink("a", "copied 1")
    assert len(stores.accounts.find("a", "copied 0")) == 1
    stores.close()

    os.replace(tmp_path / "backup.db", tmp_path / "old.db")
    restored = opened("sqlite:///old.db", tmp_path)
    assert len(restored.accounts.find("a", "copied 1")) == 1
    restored.close()


# Keys in a rolling deploy

OLD, NEW = "old-" + "8f3kd0" * 8, "new-" + "p1x7qa" * 8


def test_keys_are_rotated_in_a_rolling_deploy(configure_sandbox: Sandbox, tmp_path: Path) -> None:
    configure_sandbox.register_return_to("http://localhost/configure/callback")

    def worker(keys: str) -> ConfigureAuth:
        environment = configure_sandbox.environment(app_url="http://localhost") | {"CONFIGURE_TOKEN_KEYS": keys}
        auth = ConfigureAuth(Settings.from_mapping(environment), store="sqlite:///x.db", user_id=lambda: "u1")
        app = Flask(__name__, instance_path=str(tmp_path))
        app.secret_key = "a secret key of the app, long enough"
        auth.init_app(app)
        app.register_blueprint(auth.account_link())
        auth.test_client = app.test_client(use_cookies=False)  # type: ignore[attr-defined]
        auth.app = app  # type: ignore[attr-defined]
        return auth

    def sign_in(start: Any, end: Any) -> int:
        """A sign-in that starts at one worker and ends at another."""
        began = start.test_client.get("/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"})
        cookie = began.headers["set-cookie"].partition(";")[0]
        callback = configure_sandbox.sign_in(began.headers["location"])
        ended: int = end.test_client.get(callback.partition("localhost")[2], headers={"Cookie": cookie}).status_code
        return ended

    deploys = [OLD, f"{OLD},{NEW}", f"{NEW},{OLD}"]
    for before, after in pairwise(deploys):
        older, newer = worker(before), worker(after)
        assert [sign_in(older, newer), sign_in(newer, older)] == [303, 303]
    with newer.app.app_context():  # type: ignore[attr-defined]
        assert newer.reseal().is_complete
    assert sign_in(worker(NEW), worker(NEW)) == 303


# The sweep


@pytest.mark.catalogue("Q14")
@pytest.mark.parametrize("statement", [SWEEP_ATTEMPTS, WIPE_REPLAYS, SWEEP_JOURNEYS])
def test_the_sweep_reads_as_many_rows_as_it_deletes(statement: str, postgresql_url: str, tmp_path: Path) -> None:
    one: Any = attempt("s", created_at=NOW, replay="r")
    insert, key = PUT_ATTEMPT, "state_hash"
    if statement == SWEEP_JOURNEYS:
        one, insert, key = replace(journey("j"), subject="s" * 255), PUT_JOURNEY, "journey_hash"
    rows = [asdict(one) | {key: f"{n:064x}", "expires_at": NOW + n} for n in range(3000)]
    make_tables(f"sqlite:///{tmp_path / 'x.db'}", tmp_path)
    with closing(sqlite3.connect(tmp_path / "x.db")) as file:
        plan = " ".join(
            row[3]
            for row in file.execute(f"EXPLAIN QUERY PLAN {SQLITE.text(statement)}", {"until": NOW, "limit": SWEEP})
        )
    assert "SCAN" not in re.sub(r"SCAN \w+ USING INDEX", "", plan)
    assert "TEMP B-TREE" not in plan

    with psycopg.connect(postgresql_url) as database, database.cursor() as cursor:
        cursor.executemany(POSTGRESQL.text(insert), rows)
        cursor.execute("UPDATE configure_states SET replay_until = expires_at")
        # What PostgreSQL may choose before it has statistics of the table.
        cursor.execute("SET enable_hashjoin = off; SET enable_hashagg = off; SET enable_sort = off")
        cursor.execute(
            f"EXPLAIN (ANALYZE, FORMAT TEXT) {POSTGRESQL.text(statement)}",
            {"until": NOW + 5000, "limit": SWEEP},
        )
        lines = [line for (line,) in cursor.fetchall()]
    assert not [line for line in lines if "Seq Scan" in line], "\n".join(lines)
    assert any(f"rows={SWEEP} loops=1" in line and "Index Scan" in line for line in lines), "\n".join(lines)
