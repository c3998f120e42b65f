"""What is said of an app's session, store, workers, path and user ids, on both frameworks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from configure_auth.commands.checks.findings import End
from configure_auth.commands.checks.store import workers_of
from configure_auth.errors import StoreError
from configure_auth.flows.response import COOKIE_NAME, LOOPBACK_COOKIE_NAME
from configure_auth.stores.memory import memory_stores

from ..support.flask_sessions import ServerSessions
from .apps import LIVE, SECRET_KEY, Adapter, Judge

ADAPTERS: tuple[Adapter, ...] = ("flask", "starlette")


@pytest.fixture(params=ADAPTERS)
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    return Judge(request.param, tmp_path)


@pytest.fixture
def on_flask(tmp_path: Path) -> Judge:
    return Judge("flask", tmp_path)


@pytest.fixture
def on_starlette(tmp_path: Path) -> Judge:
    return Judge("starlette", tmp_path)


@pytest.mark.parametrize(
    "given", [{}, {"app_url": LIVE, "cookie": {"secure": True}}, {"messages": True}, {"login": False}]
)
def test_a_good_app_has_nothing_to_mend(judge: Judge, given: dict[str, Any]) -> None:
    found = judge(**given)

    del found["versions"]  # of this environment
    assert {name: one for name, one in found.items() if one.end not in (End.PASSED, End.SKIPPED)} == {}
    passed = {name for name, one in found.items() if one.end is End.PASSED}
    assert passed >= {"mount", "secret_key", "session_cookie", "store", "workers", "csp"}


# The key of the sessions.


@pytest.mark.catalogue("J3")
@pytest.mark.parametrize("key", ["dev", "fifteen bytes..", "Change me", "you-will-never-guess", "0" * 40])
def test_a_key_that_can_be_guessed_is_known_on_localhost_and_wrong_elsewhere(judge: Judge, key: str) -> None:
    assert judge(secret_key=key)["secret_key"].end is End.WARNED
    assert judge(secret_key=key, app_url=LIVE)["secret_key"].end is End.FAILED


@pytest.mark.parametrize("key", ["sixteen bytes ..", SECRET_KEY])
def test_a_long_key_is_good(judge: Judge, key: str) -> None:
    assert judge(secret_key=key, app_url=LIVE)["secret_key"].end is End.PASSED


@pytest.mark.catalogue("J3")
def test_a_flask_app_without_a_key_has_no_sessions(on_flask: Judge) -> None:
    found = on_flask(secret_key=None)["secret_key"]

    assert found.end is End.FAILED
    assert "SECRET_KEY" in found.found


def test_a_starlette_app_without_the_middleware_has_no_sessions(on_starlette: Judge) -> None:
    found = on_starlette(secret_key=None)

    assert (found["secret_key"].end, found["session_cookie"].end) == (End.FAILED, End.SKIPPED)
    assert "SessionMiddleware" in (found["secret_key"].remedy or "")


def test_where_pages_carry_bearer_tokens_there_is_no_session_to_judge(judge: Judge) -> None:
    found = judge(secret_key="dev" if judge.adapter == "flask" else None, constructor={"session": False})

    assert found["secret_key"].end is found["session_cookie"].end is End.SKIPPED


class _OtherSessions:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = {}
        await self.app(scope, receive, send)


def test_sessions_of_another_kind_are_seen_and_not_judged(on_flask: Judge, on_starlette: Judge) -> None:
    def keep(app: Any, _: Any) -> None:
        app.session_interface = ServerSessions()

    assert on_flask(secret_key="too short", wrap=keep)["secret_key"].end is End.SKIPPED
    assert (
        on_flask(secret_key="too short", wrap=keep, cookie={"name": LOOPBACK_COOKIE_NAME})["session_cookie"].end
        is End.FAILED
    )

    for wrap in (lambda app, _: _OtherSessions(app), lambda app, _: app.add_middleware(_OtherSessions)):
        found = on_starlette(secret_key=None, wrap=wrap)
        assert found["secret_key"].end is found["session_cookie"].end is End.SKIPPED
        assert "not Starlette's own" in found["secret_key"].found


class _Own(SessionMiddleware):
    def __init__(self, app: ASGIApp, tenant: str, **options: Any) -> None:
        super().__init__(app, **options)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda app, _: SessionMiddleware(app, secret_key="dev"),
        lambda app, _: app.add_middleware(_Own, tenant="one", secret_key="dev"),
        lambda app, _: Starlette(routes=[Mount("", app, middleware=[Middleware(SessionMiddleware, secret_key="dev")])]),
    ],
    ids=["around the app", "a class of the app's own", "around a mount"],
)
def test_the_session_is_found_wherever_it_is(on_starlette: Judge, wrap: Callable[[Any, Any], Any]) -> None:
    assert on_starlette(secret_key=None, wrap=wrap)["secret_key"].end is End.WARNED


# Its cookie.


@pytest.mark.parametrize(
    ("app_url", "cookie", "end", "said"),
    [
        (LIVE, {}, End.FAILED, "Secure"),
        ("http://localhost:3000", {"secure": True}, End.WARNED, "Safari"),
        (LIVE, {"same_site": "none"}, End.FAILED, "SameSite=None"),
        (LIVE, {"same_site": "none", "secure": True}, End.PASSED, ""),
        (LIVE, {"same_site": "strict", "secure": True}, End.PASSED, "SameSite=Strict"),
        (LIVE, {"domain": "example.com", "secure": True}, End.WARNED, "example.com"),
        (LIVE, {"name": COOKIE_NAME, "secure": True}, End.FAILED, COOKIE_NAME),
        ("http://localhost:3000", {"name": LOOPBACK_COOKIE_NAME}, End.FAILED, LOOPBACK_COOKIE_NAME),
        (LIVE, {"path": "/shop", "secure": True}, End.FAILED, "/configure/"),
        (LIVE, {"path": "/configur", "secure": True}, End.FAILED, "/configure/"),
        (LIVE, {"path": "/configure", "secure": True}, End.PASSED, ""),
        (f"{LIVE}/shop", {"path": "/shop/", "secure": True}, End.PASSED, ""),
    ],
)
def test_the_cookie_of_the_session(judge: Judge, app_url: str, cookie: dict[str, Any], end: End, said: str) -> None:
    found = judge(app_url=app_url, cookie=cookie)["session_cookie"]

    assert found.end is end
    assert said in found.found
    assert (found.remedy is None) == (end is End.PASSED)


def test_a_cookie_that_scripts_can_read_is_worth_knowing(on_flask: Judge) -> None:
    found = on_flask(config={"SESSION_COOKIE_HTTPONLY": False})["session_cookie"]

    assert found.end is End.WARNED
    assert "SESSION_COOKIE_HTTPONLY" in (found.remedy or "")


def test_all_that_is_wrong_with_the_cookie_is_said_at_once(judge: Judge) -> None:
    found = judge(app_url=LIVE, cookie={"domain": "example.com", "path": "/shop"})["session_cookie"]

    assert found.end is End.FAILED
    assert all(word in found.found for word in ("Secure", "example.com", "/shop"))


def test_the_login_alone_needs_no_session_that_is_there_already(judge: Judge) -> None:
    assert judge(link=False, cookie={"path": "/shop"})["session_cookie"].end is End.PASSED


# The path of the app.


def test_the_apps_own_word_on_its_path_must_be_that_of_the_url(on_flask: Judge) -> None:
    at_shop = {"config": {"APPLICATION_ROOT": "/shop"}}

    assert on_flask(app_url=f"{LIVE}/shop", **at_shop)["mount"].end is End.PASSED
    for app_url in (LIVE, f"{LIVE}/workshop", None):
        found = on_flask(
            app_url=app_url, settings={"CONFIGURE_TOKEN_KEYS": "one key that seals for the app 1+2"}, **at_shop
        )
        assert found["mount"].end is End.FAILED
        assert "APPLICATION_ROOT" in found["mount"].found
        assert found["login_guard"].end is End.SKIPPED


def test_a_mount_around_our_routes_must_be_in_the_url(on_starlette: Judge) -> None:
    def mounted(app: Any, _: Any) -> Any:
        return Starlette(routes=[Mount("/shop", app=app)])

    found = on_starlette(app_url=f"{LIVE}/shop", wrap=mounted, cookie={"secure": True})
    assert found["mount"].end is found["login_guard"].end is End.PASSED
    assert on_starlette(wrap=mounted)["mount"].end is End.FAILED


@pytest.mark.filterwarnings("ignore:The `root_path` parameter")  # which older releases have for this
def test_a_root_path_of_fastapi_must_be_in_the_url(on_starlette: Judge) -> None:
    from fastapi import FastAPI

    def behind(app: Any, _: Any) -> Any:
        outer = FastAPI(root_path="/shop", middleware=app.user_middleware)
        outer.router.routes += app.routes
        return outer

    found = on_starlette(app_url=f"{LIVE}/shop", wrap=behind, cookie={"secure": True})
    assert found["mount"].end is found["login_guard"].end is End.PASSED
    assert "root_path" in on_starlette(wrap=behind)["mount"].found


def test_a_path_that_nothing_in_the_app_denies_is_believed(judge: Judge) -> None:
    found = judge(app_url=f"{LIVE}/shop", cookie={"secure": True})

    assert found["mount"].end is found["login_guard"].end is End.PASSED


def test_a_middleware_of_the_app_may_take_the_prefix_off(on_flask: Judge) -> None:
    def prefixed(app: Any, _: Any) -> None:
        inner = app.wsgi_app

        def at_shop(environ: Any, start: Any) -> Any:
            if not environ["PATH_INFO"].startswith("/shop"):
                start("404 Not Found", [])
                return [b"elsewhere"]
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/shop", environ["PATH_INFO"].removeprefix("/shop")
            return inner(environ, start)

        app.wsgi_app = at_shop

    found = on_flask(app_url=f"{LIVE}/shop", wrap=prefixed, cookie={"secure": True})

    assert found["login_guard"].end is found["csp"].end is End.PASSED


# The store and the workers.


class _States:
    """Whatever has a store's methods is one."""

    def claim(self, *_: Any, **__: Any) -> Any: ...


class _Broken(_States):
    def read(self, *_: Any, **__: Any) -> Any:
        raise StoreError("the store could not do its work now")


def test_a_store_out_of_reach_is_said(judge: Judge) -> None:
    found = judge(constructor={"store": replace(memory_stores(), states=cast(Any, _Broken()))})["store"]

    assert found.end is End.FAILED
    assert "could not do its work" in (found.remedy or "")


@pytest.mark.parametrize("error", [RuntimeError("planted: a password"), SystemExit("planted: a password")])
def test_a_check_that_breaks_off_is_a_finding_without_words(judge: Judge, error: BaseException) -> None:
    class Breaking(_States):
        def read(self, *_: Any, **__: Any) -> Any:
            raise error

    found = judge(constructor={"store": replace(memory_stores(), states=cast(Any, Breaking()))})

    assert found["store"].end is End.FAILED
    assert type(error).__name__ in found["store"].found
    assert f"{__file__}:" in found["store"].found
    assert "planted" not in repr(found["store"])
    assert found["csp"].end is End.PASSED


def test_a_store_that_other_keys_sealed_is_said(judge: Judge, tmp_path: Path) -> None:
    assert judge()["store"].end is End.PASSED
    with closing(sqlite3.connect(tmp_path / "configure.db")) as file:
        file.execute("INSERT INTO configure_parameters VALUES ('id acme', 'sealed')")
        file.commit()

    found = judge(settings={"CONFIGURE_TOKEN_KEYS": "another key of the app that sealed nothing here"})["store"]
    assert found.end is End.FAILED
    assert "CONFIGURE_TOKEN_KEYS" in (found.remedy or "")


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({"app_url": LIVE}, True),
        ({}, False),
        ({"app_url": LIVE, "settings": {"CONFIGURE_STORE": "sqlite:////{folder}/named.db"}}, False),
        ({"app_url": LIVE, "constructor": {"store": "sqlite:///configure.db"}}, False),
    ],
    ids=["live", "localhost", "setting", "option"],
)
def test_a_store_that_nobody_named_is_warned_of_off_localhost(
    judge: Judge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    given: dict[str, Any],
    warned: bool,
) -> None:
    """By the app at its start, once, and by verify: a disk that each deployment replaces loses every connection."""
    monkeypatch.chdir(tmp_path)
    named = {name: value.format(folder=tmp_path) for name, value in given.get("settings", {}).items()}

    found = judge(**{"constructor": {"store": None}, **given, "settings": named})["store"]

    assert (found.end, "CONFIGURE_STORE" in (found.remedy or "")) == (End.WARNED if warned else End.PASSED, warned)
    assert caplog.text.count("set CONFIGURE_STORE to postgresql://...") == (1 if warned else 0)


def test_store_file_readable_by_others_is_said(judge: Judge, tmp_path: Path) -> None:
    assert judge()["store"].end is End.PASSED
    for path in tmp_path.rglob("*.db"):
        path.chmod(0o644)

    found = judge()["store"]

    assert (found.end, found.remedy) == (End.WARNED, "chmod 600 it and its -wal and -shm")


def test_the_checks_leave_no_attempt_in_the_store(judge: Judge, tmp_path: Path) -> None:
    from configure_auth.stores.schema import TABLES

    assert judge(messages=True)["login_guard"].end is End.PASSED
    with closing(sqlite3.connect(tmp_path / "configure.db")) as file:
        kept = [file.execute(f"SELECT count(*) FROM {table}").fetchone() for table in TABLES - {"configure_parameters"}]
        names = [name for (name,) in file.execute("SELECT name FROM configure_parameters")]
    assert set(kept) == {(0,)}
    assert [name for name in names if not name.startswith(("key ", "schema"))] == []


@pytest.mark.parametrize(
    ("environment", "number"),
    [
        ({}, 1),
        ({"WEB_CONCURRENCY": "1"}, 1),
        ({"WEB_CONCURRENCY": "4"}, 4),
        ({"UVICORN_WORKERS": "3"}, 3),
        ({"GUNICORN_CMD_ARGS": "--bind :80 -w 5"}, 5),
        ({"GUNICORN_CMD_ARGS": "-w6 --preload"}, 6),
        ({"GUNICORN_CMD_ARGS": "--workers=7"}, 7),
        ({"GUNICORN_CMD_ARGS": "--workers 8"}, 8),
        ({"GUNICORN_CMD_ARGS": "--worker-class gthread"}, 1),
        ({"GUNICORN_CMD_ARGS": "--workers"}, 1),
        ({"GUNICORN_CMD_ARGS": "--name 'shop"}, 1),
        ({"WEB_CONCURRENCY": "many"}, 1),
        ({"WEB_CONCURRENCY": "²"}, 1),
    ],
)
def test_how_many_workers_a_server_is_told_of(environment: dict[str, str], number: int) -> None:
    assert workers_of(environment) == number


@pytest.mark.parametrize("part", ["the store", "the attempts"])
def test_memory_is_for_one_process_on_localhost(judge: Judge, part: str) -> None:
    store = {"store": "memory://"} if part == "the store" else {"states": memory_stores().states}
    several = {"WEB_CONCURRENCY": "4"}

    assert judge(constructor=store)["workers"].end is End.PASSED
    found = judge(constructor=store, environment=several)["workers"]
    assert found.end is End.FAILED
    assert "4 workers" in found.found
    assert judge(constructor=store, app_url=LIVE)["workers"].end is End.FAILED
    assert judge(app_url=LIVE, environment=several)["workers"].end is End.PASSED


# The ids of the users.


def _with_users(*tables: Callable[[Any], Any], url: str = "sqlite://") -> dict[str, Any]:
    """An app whose Flask-SQLAlchemy has these tables."""

    def wrap(app: Any, _: Any) -> None:
        db = SQLAlchemy()
        for table in tables:
            table(db)
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        db.init_app(app)

    return {"wrap": wrap}


def _table(name: str, **options: Any) -> Callable[[Any], Any]:
    return lambda db: db.Table(name, db.Column("id", db.Integer, primary_key=True), **options)


def test_an_id_that_sqlite_gives_out_again_is_worth_knowing(on_flask: Judge) -> None:
    found = on_flask(**_with_users(_table("users"), _table("note")))["user_ids"]

    assert found.end is End.WARNED
    assert found.found.startswith("users:")
    assert "sqlite_autoincrement" in (found.remedy or "")


def test_every_table_that_may_be_the_users_is_named(on_flask: Judge) -> None:
    found = on_flask(**_with_users(_table("users"), _table("members"), _table("people", sqlite_autoincrement=True)))

    assert found["user_ids"].found.startswith("users, members:")
    assert "--users" in found["user_ids"].found


@pytest.mark.parametrize(
    "table",
    [
        _table("users", sqlite_autoincrement=True),
        lambda db: db.Table("users", db.Column("id", db.String, primary_key=True)),
        lambda db: db.Table("users", db.Column("id", db.BigInteger, primary_key=True, default=lambda: 1)),
        lambda db: db.Table(
            "users", db.Column("a", db.Integer, primary_key=True), db.Column("b", db.Integer, primary_key=True)
        ),
    ],
    ids=["autoincrement", "text", "made by the app", "two columns"],
)
def test_ids_that_come_once_are_good(on_flask: Judge, table: Callable[[Any], Any]) -> None:
    assert on_flask(**_with_users(table))["user_ids"].end is End.PASSED


def test_postgresql_gives_no_id_twice(on_flask: Judge) -> None:
    pytest.importorskip("psycopg")
    found = on_flask(**_with_users(_table("users"), url="postgresql+psycopg://localhost/nowhere"))["user_ids"]

    assert found.end is End.PASSED


def test_tables_that_cannot_be_seen_are_said_to_be_unseen(judge: Judge) -> None:
    found = judge()["user_ids"]

    assert found.end is End.SKIPPED
    assert "--users" in found.found


def test_without_a_table_of_a_usual_name_nothing_is_guessed(on_flask: Judge) -> None:
    assert on_flask(**_with_users(_table("note")))["user_ids"].end is End.SKIPPED


class _Base(DeclarativeBase): ...


class _Person(_Base):
    __tablename__ = "human"
    id: Mapped[int] = mapped_column(primary_key=True)


class _Member(_Person):
    __tablename__ = "club_member"
    id: Mapped[int] = mapped_column(ForeignKey("human.id"), primary_key=True)


class _Counted(_Base):
    __tablename__ = "counted"
    __table_args__ = {"sqlite_autoincrement": True}
    id: Mapped[int] = mapped_column(primary_key=True)


class _CountedMember(_Counted):
    __tablename__ = "counted_member"
    id: Mapped[int] = mapped_column(ForeignKey("counted.id"), primary_key=True)


_GOOD = Table("human", MetaData(), Column("id", Integer, primary_key=True), sqlite_autoincrement=True)
_TEXT = Table("human", MetaData(), Column("id", String, primary_key=True))


@pytest.mark.parametrize(
    ("users", "end"),
    [
        (_Person, End.WARNED),
        (_Person.__table__, End.WARNED),
        (_Member, End.WARNED),
        (_CountedMember, End.PASSED),
        (_GOOD, End.PASSED),
        (_TEXT, End.PASSED),
        (object(), End.FAILED),
        ("human", End.FAILED),
    ],
    ids=["class", "table", "subclass", "subclass of a good one", "autoincrement", "text", "something else", "a name"],
)
def test_the_users_can_be_named(judge: Judge, users: object, end: End) -> None:
    found = judge(users=users)["user_ids"]

    assert found.end is end
    assert ("if the database is SQLite" in found.found) == (end is End.WARNED)


def test_a_named_table_has_the_database_of_its_metadata(on_flask: Judge) -> None:
    db: Any = SQLAlchemy()
    table = db.Table("human", db.Column("id", db.Integer, primary_key=True))

    def wrap(app: Any, _: Any) -> None:
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        db.init_app(app)

    found = on_flask(users=table, wrap=wrap)["user_ids"]
    assert found.end is End.WARNED
    assert "if the database" not in found.found


# Versions of libraries.


@pytest.mark.catalogue("F3")
@pytest.mark.parametrize(
    ("library", "installed", "cves", "fixed"),
    [
        ("starlette", "0.37.2", ("CVE-2024-47874", "CVE-2026-54282"), "1.3.1"),
        ("starlette", "0.49.1", ("CVE-2026-48710", "CVE-2026-54283"), "1.3.1"),
        ("werkzeug", "2.2.3", ("CVE-2023-46136",), "3.0.6"),
        ("authlib", "1.3.0", ("CVE-2025-68158", "CVE-2026-41425"), "1.6.11"),
    ],
)
def test_versions_names_vulnerabilities_of_installed_libraries(
    judge: Judge,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    installed: str,
    cves: tuple[str, ...],
    fixed: str,
) -> None:
    install(tmp_path / "site", monkeypatch, library, installed)

    found = judge()["versions"]

    assert found.end is End.WARNED
    assert f"{library} {installed} has " in found.found
    assert all(cve in found.found for cve in cves)
    assert f"install {library} {fixed} or newer" in (found.remedy or "")


def test_versions_leaves_out_vulnerabilities_of_other_versions(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library, installed in {"starlette": "1.3.1", "werkzeug": "3.1.0", "authlib": "1.10.0"}.items():
        install(tmp_path / "site", monkeypatch, library, installed)
    assert judge()["versions"].end is End.PASSED

    # Range requests came with 0.39.
    install(tmp_path / "older", monkeypatch, "starlette", "0.37.2")
    assert "CVE-2025-62727" not in judge()["versions"].found


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, library: str, version: str) -> None:
    """Have a version of a library found first."""
    metadata = folder / f"{library}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
