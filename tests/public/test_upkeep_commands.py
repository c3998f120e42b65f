"""`tables`, `purge` and `reseal`, of a Flask app and by a store's URL."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from configure_auth.sandbox import Sandbox
from configure_auth.stores.schema import SCHEMA

from ..support.servers import PostgreSQL, RedisServer
from .running import environment, python

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
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, configure_sandbox: Sandbox) -> Run:
    """A command of an app with a store, or of the package itself."""
    (tmp_path / "shop.py").write_text(APP)
    keys = {"CONFIGURE_TOKEN_KEYS": "a key of the app to seal its tokens with"}
    settings = configure_sandbox.environment(app_url="http://localhost") | keys

    def command(*arguments: str, flask: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        if flask:
            arguments = ("flask", "--app", "shop", *arguments)
            more["STORE"] = flask
        else:
            arguments = ("configure_auth", *arguments)
        return python("-m", *arguments, cwd=tmp_path, env=environment(**settings, **more))

    return command


def said(ended: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return ended.returncode, ended.stdout + ended.stderr


def test_postgresql_needs_its_tables_made_once(run: Run, postgresql: PostgreSQL) -> None:
    with postgresql.schema(tables=False) as url:
        before = run("start", flask=url)
        first, second = (run("configure", "tables", flask=url) for _ in range(2))
        after = run("start", flask=url)
        by_url = run("tables", CONFIGURE_STORE=url)

    assert said(before)[0] == 0
    assert "500 True" in before.stdout
    assert "run `configure_auth tables`" in before.stderr
    assert said(first) == (0, f"the tables of schema {SCHEMA} were made\n")
    assert said(second) == said(by_url) == (0, f"the tables of schema {SCHEMA} are there already\n")
    assert "303 False" in after.stdout


def test_the_printed_statements_make_the_same_tables(run: Run, postgresql: PostgreSQL) -> None:
    from alembic.migration import MigrationContext

    from configure_auth.stores import schema

    printed = run("tables", "--sql", "--store", "postgresql://nowhere/nothing")
    assert printed.returncode == 0, printed.stderr
    with postgresql.schema(tables=False) as url, postgresql.engine(url) as engine:
        with engine.begin() as connection:
            connection.execute(text(printed.stdout.replace(":", r"\:")))
        from alembic.autogenerate import compare_metadata

        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, schema.metadata) == []
            assert schema.number(connection) == schema.SCHEMA


def test_sqlite_tables_from_before_are_found(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"

    assert said(run("tables", "--store", url)) == (0, f"the tables of schema {SCHEMA} were made\n")
    assert said(run("tables", "--store", url)) == (0, f"the tables of schema {SCHEMA} are there already\n")


def test_tables_of_a_newer_version_are_left_alone(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    run("tables", "--store", url)
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection, connection:
        connection.execute("UPDATE configure_parameters SET value = '99' WHERE name = 'schema'")

    ended = run("tables", "--store", url)

    assert said(ended) == (
        1,
        f"Error: the store's tables are of schema 99, made by a newer configure_auth; this knows {SCHEMA}\n",
    )


def test_purge_deletes_what_has_ended(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    assert run("start", flask=url).returncode == 0
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE configure_states SET expires_at = 1"))
    engine.dispose()

    assert said(run("purge", "--store", url)) == (0, "deleted 1 ended attempts\n")
    assert said(run("configure", "purge", flask=url))[1].endswith("deleted 0 ended attempts\n")


def test_purge_leaves_redis_to_itself(run: Run, tmp_path: Path, redis_server: RedisServer) -> None:
    with redis_server.database() as states:
        ended = run("purge", "--store", f"sqlite:///{tmp_path / 'x.db'}", "--states", states)

    assert said(ended) == (0, "deleted 0 ended attempts\n")


def test_reseal_says_what_it_did(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    nothing = "sealed 0 stored secrets anew; all have the first key now\n"

    assert said(run("reseal", "--store", url)) == (0, nothing)
    assert said(run("configure", "reseal", flask=url))[1].endswith(nothing)


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("redis://localhost", "is no store for this app"),
        ("mysql://me:hidden@localhost/x", "is no store for this app"),
        ("nonsense", "is no URL of a store"),
        ("memory://", "this store has no tables"),
        ("postgresql://me:hidden@127.0.0.1:1/x", "out of reach"),
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
