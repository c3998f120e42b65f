"""`tables`, `purge` and `reseal`, of a Flask app and by a store's URL."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from configure_auth.alembic import upgrade
from configure_auth.sandbox import Sandbox
from configure_auth.stores import REPLAY
from configure_auth.stores.schema import SCHEMA, TABLES
from configure_auth.stores.sql import PURGE
from configure_auth.testing.conformance.records import attempt

from ..support.servers import PostgreSQL, RedisServer
from ..support.stores import StoresAt
from .running import environment, here, python

APP = """
import os
from flask import Flask
from configure_auth.flask import ConfigureAuth

configure_auth = ConfigureAuth(user_id=lambda: "u1", store=os.environ["STORE"])
app = Flask(__name__)
app.secret_key = "a secret key of the app, long enough"
configure_auth.init_app(app)
app.register_blueprint(configure_auth.account_link())

@app.cli.command()
def start():
    answer = app.test_client().get("/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"})
    print(answer.status_code, "misconfigured" in answer.text)

@app.cli.command()
def keep():
    configure_auth.external_id_for("u1")
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, configure_sandbox: Sandbox) -> Run:
    """A command of an app with a store, or of the package itself; in a process of its own as a `program`."""
    (tmp_path / "shop.py").write_text(APP)
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
    settings = configure_sandbox.environment(app_url="http://localhost") | keys

    def command(
        *arguments: str, flask: str = "", program: bool = False, **more: str
    ) -> subprocess.CompletedProcess[str]:
        if flask:
            arguments = ("flask", "--app", "shop", *arguments)
            more["STORE"] = flask
        else:
            arguments = ("configure_auth", *arguments)
        variables = environment(**{**settings, **more})
        if program:
            return python("-m", *arguments, cwd=tmp_path, env=variables)
        return here(*arguments, cwd=tmp_path, env=variables)

    return command


def said(ended: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return ended.returncode, ended.stdout + ended.stderr


def test_postgresql_needs_its_tables_made_once(run: Run, postgresql: PostgreSQL) -> None:
    with postgresql.schema(tables=False) as url:
        before = run("start", flask=url, program=True)
        first, second = (run("configure", "tables", flask=url) for _ in range(2))
        after = run("start", flask=url)
        by_url = run("tables", CONFIGURE_STORE=url, program=True)

    assert said(before)[0] == 0
    assert "500 True" in before.stdout
    assert "run `configure_auth tables`" in before.stderr
    assert said(first) == (0, f"the tables of schema {SCHEMA} were made\n")
    assert said(second) == said(by_url) == (0, f"the tables of schema {SCHEMA} are there already\n")
    assert "303 False" in after.stdout


def test_two_deployments_at_once_make_the_tables_once(run: Run, postgresql: PostgreSQL) -> None:
    name = {"name": f"deployment {os.getpid()}"}
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND wait_event_type = 'Lock'")
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine, ThreadPoolExecutor(2) as threads:
        named = make_url(url).update_query_dict({"application_name": name["name"]})
        deployment = "tables", "--store", named.render_as_string(hide_password=False)
        with engine.connect() as earlier, engine.connect() as watcher:
            # Both wait for a third one, and go on in the same moment: when that one leaves the database empty.
            upgrade(earlier)
            both = [threads.submit(run, *deployment, program=True) for _ in range(2)]
            for _ in range(1_000_000):
                if watcher.execute(waiting, name).scalar() == 2 or any(one.done() for one in both):
                    break
                watcher.rollback()  # a transaction is shown the same again
            assert not any(one.done() for one in both), [said(one.result()) for one in both]
            earlier.rollback()

        assert sorted(said(one.result()) for one in both) == [
            (0, f"the tables of schema {SCHEMA} are there already\n"),
            (0, f"the tables of schema {SCHEMA} were made\n"),
        ]
        with engine.connect() as connection:
            assert upgrade(connection) == SCHEMA
            assert sorted(inspect(connection).get_table_names()) == sorted(TABLES)


@pytest.mark.parametrize("store", ["postgresql", "sqlite"])
def test_the_printed_statements_make_the_same_tables(
    run: Run, postgresql: PostgreSQL, tmp_path: Path, store: str
) -> None:
    printed = run("tables", "--sql", "--store", f"{store}://nowhere/nothing")
    assert printed.returncode == 0, printed.stderr
    with ExitStack() as stack:
        if store == "postgresql":
            ours, theirs = (stack.enter_context(postgresql.schema(tables=False)) for _ in range(2))
            open_engine = postgresql.engine
        else:
            ours, theirs = (f"sqlite:///{tmp_path / name}" for name in ("ours.db", "theirs.db"))
            open_engine = plain_engine
        assert run("tables", "--store", ours).returncode == 0
        made, pasted = (stack.enter_context(open_engine(url)) for url in (ours, theirs))
        with pasted.begin() as connection:
            for statement in printed.stdout.split(";"):
                if statement.strip():
                    connection.exec_driver_sql(statement)

        assert shape(made) == shape(pasted)


@contextmanager
def plain_engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url, poolclass=NullPool)
    yield engine
    engine.dispose()


def shape(engine: Engine) -> object:
    """All that an inspector knows of the tables, and the schema number."""
    with engine.connect() as connection:
        found = inspect(connection)
        parts = []
        for table in sorted(found.get_table_names()):
            parts += [table, repr(found.get_columns(table)), *sorted(map(repr, found.get_indexes(table)))]
            parts += [repr(found.get_pk_constraint(table)), repr(found.get_unique_constraints(table))]
        return parts, connection.exec_driver_sql("SELECT * FROM configure_parameters").fetchall()


def test_sqlite_tables_from_before_are_found(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"

    file = tmp_path / "x.db"

    assert said(run("tables", "--store", url)) == (0, f"{file}: the tables of schema {SCHEMA} were made\n")
    assert said(run("tables", "--store", url)) == (0, f"{file}: the tables of schema {SCHEMA} are there already\n")


def test_tables_of_a_newer_version_are_left_alone(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    run("tables", "--store", url)
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("UPDATE configure_parameters SET value = '99' WHERE name = 'schema'")

    ended = run("tables", "--store", url)

    code, error = said(ended)
    assert code == 1
    assert "the store's tables are of schema 99, made by a newer configure_auth" in error
    assert "restore the copy of the store made before the upgrade (of an SQLite file: the one beside it" in error


def test_purge_deletes_what_has_ended(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    assert run("start", flask=url).returncode == 0
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE configure_states SET expires_at = 1"))
    engine.dispose()

    assert said(run("purge", "--store", url, program=True)) == (0, f"{tmp_path / 'x.db'}: deleted 1 ended attempts\n")
    assert said(run("configure", "purge", flask=url))[1].endswith(f"{tmp_path / 'x.db'}: deleted 0 ended attempts\n")


def finished_login(name: str, ended: float) -> dict[str, Any]:
    """A row of an attempt whose person may still come back."""
    record = attempt(name, created_at=ended - 60, expires_at=ended + 840, claimed_at=ended, finished_at=ended)
    return asdict(record) | {"outcome": "sealed", "replay": f"sealed {name}", "replay_until": ended + REPLAY}


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_purge_wipes_every_replay_that_is_over(run: Run, stores_at: StoresAt, tmp_path: Path, store: str) -> None:
    now, many = time.time(), 2 * PURGE + 50
    logins = [finished_login(f"s{number}", now - REPLAY) for number in range(many)]
    fresh = finished_login("fresh", now + 600)
    url = stores_at(store, tmp_path)["store"]
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection)
        insert = f"INSERT INTO configure_states ({', '.join(fresh)}) VALUES ({', '.join(f':{name}' for name in fresh)})"
        connection.execute(text(insert), [*logins, fresh])

    ended = run("purge", "--store", url)
    assert (ended.returncode, ended.stdout.rpartition(": ")[2]) == (0, "deleted 0 ended attempts\n")

    with engine.connect() as connection:
        left = connection.execute(text("SELECT replay, replay_until, outcome FROM configure_states")).all()
    assert sorted(left, key=lambda row: row.replay is None) == [
        (fresh["replay"], fresh["replay_until"], "sealed"),
        *[(None, None, "sealed")] * many,
    ]
    engine.dispose()


def test_purge_leaves_redis_to_itself(run: Run, tmp_path: Path, redis_server: RedisServer) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    run("tables", "--store", url)
    with redis_server.database() as states:
        ended = run("purge", "--store", url, "--states", states)

    assert said(ended) == (0, f"{tmp_path / 'x.db'}: deleted 0 ended attempts\n")


def test_reseal_reports_file_and_counts(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    run("tables", "--store", url)
    nothing = f"{tmp_path / 'x.db'}: nothing is encrypted here for this agent\n"

    assert said(run("reseal", "--store", url)) == (0, nothing)
    assert said(run("configure", "reseal", flask=url)) == (0, nothing)

    assert run("keep", flask=url).returncode == 0
    old = "a key of the app to seal its tokens with"
    rotated = {"CONFIGURE_TOKEN_KEYS": f"a newer key for all that the app encrypts, {old}"}
    counts = ("encrypted 1 stored secrets with the first key, which 0 others had", "encrypted 0 stored secrets")
    for count in counts:
        ended = run("reseal", "--store", url, **rotated)
        assert ended.returncode == 0
        assert ended.stdout.startswith(f"{tmp_path / 'x.db'}: {count}")
        assert ended.stdout.endswith("all have the first key now\n")


@pytest.mark.parametrize("command", ["purge", "reseal"])
def test_maintenance_of_missing_file_is_refused(run: Run, tmp_path: Path, command: str) -> None:
    url = f"sqlite:///{tmp_path / 'nowhere' / 'typo.db'}"
    for ended in (run(command, "--store", url), run("configure", command, flask=url)):
        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"Error: {tmp_path / 'nowhere' / 'typo.db'} doesn't exist" in ended.stderr

    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", ["tables", "purge", "reseal"])
def test_relative_path_without_app_is_refused(run: Run, tmp_path: Path, command: str) -> None:
    for ended in (run(command, "--store", "sqlite:///x.db"), run(command, CONFIGURE_STORE="sqlite:///x.db")):
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "give an absolute path" in ended.stderr

    assert not (tmp_path / "x.db").exists()


def test_app_names_its_own_store(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "instance" / "x.db"
    app = {"STORE": "sqlite:///x.db", "CONFIGURE_STORE": "sqlite:///elsewhere.db"}

    assert f"{file} doesn't exist" in run("purge", "--app", "shop:app", **app).stderr
    assert said(run("tables", "--app", "shop:app", **app)) == (0, f"{file}: the tables of schema {SCHEMA} were made\n")
    assert said(run("purge", "--app", "shop:app", **app)) == (0, f"{file}: deleted 0 ended attempts\n")
    both = run("purge", "--app", "shop:app", "--store", "sqlite:////x.db", **app)
    assert (both.returncode, "remove --store" in both.stderr) == (2, True)


@pytest.mark.parametrize("command", ["purge", "reseal"])
def test_memory_and_no_store_are_refused(run: Run, command: str) -> None:
    for arguments, why in ((("--store", "memory://"), "memory of the app's process"), ((), "no store is named")):
        ended = run(command, *arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert why in ended.stderr


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("redis://localhost", "Redis keeps the attempts"),
        ("mysql://me:hidden@localhost/x", "can't be used"),
        ("nonsense", "is not a URL"),
        ("memory://", "this store has no tables"),
        ("postgresql://me:hidden@127.0.0.1:1/x", "unreachable"),
    ],
)
def test_a_store_that_has_no_tables_is_one_sentence(run: Run, store: str, sentence: str) -> None:
    ended = run("tables", "--store", store)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "hidden" not in ended.stderr


MEMORY = """
import logging, os, sys
from flask import Flask
from configure_auth.flask import ConfigureAuth

logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)

def start():
    app = Flask(__name__, instance_path=sys.argv[1])
    app.secret_key = "a secret key of the app, long enough"
    configure_auth = ConfigureAuth(user_id=lambda: "u1", store="memory://")
    configure_auth.init_app(app)
    app.register_blueprint(configure_auth.account_link())
    return app.test_client()

def ask(client):
    assert client.get("/configure/sign-in", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
"""
LOUD = "ERROR store=memory:// in more than one process"


@pytest.mark.catalogue("Q13")
def test_memory_in_two_workers_is_said_loudly(tmp_path: Path, configure_sandbox: Sandbox) -> None:
    program = MEMORY + (
        "import subprocess\n"
        "ask(start())\n"
        "print('one', flush=True)\n"
        "if len(sys.argv) == 2:\n"
        "    subprocess.run([sys.executable, __file__, sys.argv[1], 'second'], check=True)\n"
    )
    ended = _program(tmp_path, program, configure_sandbox)

    first, second = ended.stdout.split("one", 1)
    assert LOUD not in first
    assert second.count(LOUD) == 1


def test_memory_in_forked_workers_is_said_loudly(tmp_path: Path, configure_sandbox: Sandbox) -> None:
    program = MEMORY + (
        "client = start()\n"
        "ask(client)\n"
        "print('parent', flush=True)\n"
        "if os.fork() == 0:\n"
        "    ask(client); ask(client)\n"
        "else:\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    ended = _program(tmp_path, program, configure_sandbox)

    parent, child = ended.stdout.split("parent", 1)
    assert LOUD not in parent
    assert child.count(LOUD) == 1


def _program(folder: Path, program: str, sandbox: Sandbox) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(program)
    settings = sandbox.environment(app_url="http://localhost")
    ended = python("program.py", str(folder), cwd=folder, env=environment(**settings))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended
