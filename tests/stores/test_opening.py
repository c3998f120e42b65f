"""What can be named as a store, and what is said of everything else."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socketserver
import sqlite3
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import trio
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from configure_auth import SettingsError, StoreError
from configure_auth.stores import Stores
from configure_auth.stores.memory import memory_stores
from configure_auth.stores.opening import open_attempts
from configure_auth.testing.conformance.records import attempt, connection

from ..public.running import says
from ..support.servers import PostgreSQL, RedisServer
from .asked import waited
from .opened import LEFT_SOCKETS, awaitable, opened

SECRET = "hunter2"


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.schema() as url:
        yield url.replace("postgresql:", "postgresql+psycopg:", 1)


def works(stores: Stores) -> None:
    assert stores.accounts.version("a", "u1") == stores.accounts.version("a", "u1")
    stores.close()


def works_awaited(stores: Stores) -> None:
    async def use() -> None:
        version = await awaitable(stores.accounts.version("a", "u1"))
        assert await awaitable(stores.accounts.version("a", "u1")) == version
        await ended(stores)

    asyncio.run(use())


async def ended(stores: Stores) -> None:
    said = stores.close()
    if inspect.isawaitable(said):
        await said


def app_with(db: SQLAlchemy, url: str) -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    return app


# What is taken


def test_stores_are_taken_as_they_are(tmp_path: Path) -> None:
    stores = memory_stores()

    assert opened(stores, tmp_path) is stores


def test_a_relative_file_lies_in_the_apps_folder_which_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    works(opened("sqlite:///x.db", folder))

    assert (folder / "x.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
def test_file_readable_by_others_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int) -> None:
    """One that was there before, or restored from a backup, is used with the mode that it has."""
    path = tmp_path / "x.db"
    path.touch()
    path.chmod(mode)
    works(opened(f"sqlite:///{path}", tmp_path))

    said = [record.getMessage() for record in caplog.records]
    assert [f"{path} is readable by others" in one for one in said] == [True] * (mode != 0o600)
    assert path.stat().st_mode & 0o777 == mode


def test_an_absolute_file_lies_where_it_says(tmp_path: Path) -> None:
    works(opened(f"sqlite:///{tmp_path / 'x.db'}", tmp_path / "other"))

    assert (tmp_path / "x.db").exists()
    assert not (tmp_path / "other").exists()


def test_a_store_that_is_opened_creates_nothing_before_it_is_used(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no store for states"):
        opened("sqlite:///not/yet/x.db", tmp_path, "nonsense://")
    with pytest.raises(SettingsError, match="no options"):
        opened("sqlite:///not/yet/x.db?mode=ro", tmp_path)
    opened("sqlite:///not/yet/x.db", tmp_path).close()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cant_be_created_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stores = opened("sqlite:///file/x.db", tmp_path)

    with pytest.raises(SettingsError, match=r"the store's file can't be opened .*; set CONFIGURE_STORE"):
        stores.accounts.version("a", "u1")


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"])
def test_a_url_of_sqlite_is_taken_by_each_of_its_names(tmp_path: Path, scheme: str) -> None:
    works(opened(f"{scheme}:///x.db", tmp_path))
    works_awaited(opened(f"{scheme}:///x.db", tmp_path, awaited=True))


POSTGRESQL = [
    "postgresql",
    "postgres",
    *(f"postgresql+{one}" for one in ("psycopg", "psycopg_async", "psycopg2", "asyncpg")),
]


@pytest.mark.parametrize("scheme", POSTGRESQL)
def test_a_url_of_postgresql_is_taken_by_each_of_its_names(postgresql_url: str, tmp_path: Path, scheme: str) -> None:
    url = postgresql_url.replace("postgresql+psycopg:", f"{scheme}:", 1)

    works_awaited(opened(url, tmp_path, awaited=True))
    works(opened(url, tmp_path))
    works(opened(make_url(url), tmp_path))


@pytest.mark.parametrize("given", ["url", "engine", "connect_args"])
def test_libpqs_parameters_are_used(postgresql_url: str, postgresql: PostgreSQL, tmp_path: Path, given: str) -> None:
    name = f"it's named by {given} %25"
    url = make_url(postgresql_url).update_query_dict({"sslmode": "prefer", "connect_timeout": "3"})
    named = url.update_query_dict({"application_name": name})
    source: Any = named.render_as_string(hide_password=False)
    if given == "engine":
        source = create_engine(named)
    elif given == "connect_args":
        source = create_engine(url, connect_args={"application_name": name, "prepare_threshold": 0})
    stores = opened(source, tmp_path)
    stores.accounts.find("a", "u1")

    with postgresql.engine(postgresql_url) as engine, engine.connect() as watcher:
        names = watcher.execute(text("SELECT application_name FROM pg_stat_activity")).scalars().all()
    stores.close()
    assert name in names


def test_a_function_that_opens_connections_is_taken(postgresql_url: str, tmp_path: Path) -> None:
    url, opens = postgresql_url.replace("+psycopg", "", 1), []

    def connect() -> Any:
        opens.append("blocking")
        return psycopg.connect(url, autocommit=len(opens) > 1)

    async def connect_awaited() -> Any:
        opens.append("awaited")
        return await psycopg.AsyncConnection.connect(url)

    works(opened(connect, tmp_path))
    works_awaited(opened(connect, tmp_path, awaited=True))
    works_awaited(opened(connect_awaited, tmp_path, awaited=True))
    works_awaited(opened(lambda: connect_awaited(), tmp_path, awaited=True))
    assert {"blocking", "awaited"} == set(opens)


def test_a_function_whose_database_is_down_is_taken(tmp_path: Path) -> None:
    stores = opened(lambda: psycopg.connect("postgresql://hunter2@127.0.0.1:1/d"), tmp_path)

    with pytest.raises(StoreError, match="could not do its work now"):
        stores.accounts.version("a", "u1")
    stores.close()


def test_a_function_that_fails_in_its_own_way_is_a_store_error(postgresql_url: str, tmp_path: Path) -> None:
    async def no_password() -> Any:
        raise LookupError("hunter2")

    stores = opened(no_password, tmp_path, awaited=True)

    async def use() -> None:
        with pytest.raises(StoreError, match="LookupError") as raised:
            await awaitable(stores.accounts.version("a", "u1"))
        assert SECRET not in "".join(traceback.format_exception(raised.value))
        await stores.aclose()

    asyncio.run(use())


def test_a_flask_sqlalchemy_db_is_taken(postgresql_url: str, tmp_path: Path) -> None:
    db = SQLAlchemy()
    with app_with(db, postgresql_url).app_context():
        works(opened(db, tmp_path))


@pytest.mark.parametrize("shape", ["sessionmaker", "scoped_session", "function"])
def test_a_session_factory_is_taken(postgresql_url: str, tmp_path: Path, shape: str) -> None:
    engine = create_engine(postgresql_url)
    factory = sessionmaker(engine)
    shapes = {"sessionmaker": factory, "scoped_session": scoped_session(factory), "function": lambda: Session(engine)}

    works(opened(shapes[shape], tmp_path))
    works_awaited(opened(shapes[shape], tmp_path, awaited=True))


@pytest.mark.parametrize("shape", ["maker", "function"])
def test_an_asynchronous_session_factory_is_taken(postgresql_url: str, tmp_path: Path, shape: str) -> None:
    engine = create_async_engine(postgresql_url)
    factory = async_sessionmaker(engine) if shape == "maker" else lambda: AsyncSession(engine)

    works_awaited(opened(factory, tmp_path, awaited=True))


class EngineOf14:
    """An Engine as SQLAlchemy 1.4 makes it: on psycopg2, with its arguments in the function that connects."""

    def __init__(self, url: str) -> None:
        place = make_url(url)
        cargs, cparams = (), place.translate_connect_args(username="user") | dict(place.query)

        def connect(connection_record: object = None) -> Any:
            raise AssertionError((cargs, cparams))

        self.engine = self
        self.dialect = SimpleNamespace(name="postgresql", dispatch=SimpleNamespace(do_connect=()))
        self.pool = SimpleNamespace(_creator=connect)

    def get_execution_options(self) -> dict[str, Any]:
        return {}


def test_an_engine_of_sqlalchemy_1_4_is_taken(postgresql_url: str, tmp_path: Path) -> None:
    works(opened(EngineOf14(postgresql_url), tmp_path))


def test_attempts_alone_may_be_kept_in_redis_and_elsewhere(redis_server: RedisServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {"agent": "a", "fingerprints": (), "folder": tmp_path}
    options |= {"awaited": False, "local": True}
    with redis_server.database() as url, Redis.from_url(url) as client:
        for source in (url, client, memory_stores().states, "memory://", "sqlite:///x.db"):
            stores = open_attempts(source, **options)
            stores.states.put(attempt("s"), limit=9, now=0.0)
            stores.states.forget("a", "u1")
            stores.close()


# What is refused, and what is said

NO_SQLITE = "the app's own SQLite engine can't be the store.*by its URL: store=\"sqlite:///configure.db\""
NO_CREATOR = "an Engine with a creator or a do_connect listener.*a function that opens a psycopg connection instead"
ONLY_STATES = 'Redis keeps the attempts to sign in only.*store="postgresql://...".*states="redis://..."'


TRANSLATED = {"schema_translate_map": {None: "theirs"}}


def listened_to(engine: Engine) -> Engine:
    event.listen(engine, "do_connect", lambda *_: None)
    return engine


async def opens_awaited() -> Any:
    raise AssertionError("nothing connects")


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("mysql://u:hunter2@h/d", "store='mysql':... can't be used; use sqlite:///configure.db"),
        ("mysql+pymysql://u:hunter2@h/d", "store='mysql':... can't be used"),
        ("nonsense://u:hunter2@h/d", "store='nonsense':... can't be used.*or memory://"),
        ("u:hunter2@h/d", "store= is not a URL; it looks like sqlite:///configure.db"),
        ("postgresql://u@h:hunter2/d?sslmode=require", "store= is not a valid URL; it looks like"),
        ("postgresql://u:hunter2@h/d?ssl=on&no_such=hunter2", "doesn't know no_such, ssl; it takes libpq's parameters"),
        ("", "store= is not a URL"),
        ("sqlite://", "needs a file: sqlite:///configure.db; without one it is memory://"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite+aiosqlite://", "needs a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "needs a file"),
        ("redis://u:hunter2@h/0", ONLY_STATES),
        ("rediss://u:hunter2@h/0", ONLY_STATES),
        ("unix:///x?password=hunter2", ONLY_STATES),
        (Redis(password=SECRET), ONLY_STATES),
        ("sqlite:///x.db?timeout=5", "has no options; leave out what follows the question mark"),
        (create_engine("sqlite://"), NO_SQLITE),
        (7, "store= got type int; expected sqlite:///configure.db, .*or a function that opens a psycopg connection"),
        (None, "store= got type NoneType; expected"),
        (lambda: None, "store= got type function that returns type NoneType; expected .*a Session factory"),
        (create_engine("postgresql+psycopg://h/d", creator=lambda: None), NO_CREATOR),
        (listened_to(create_engine("postgresql+psycopg://h/d")), NO_CREATOR),
        (
            create_engine("postgresql+psycopg://h/d", connect_args={"server_settings": {}, "ssl": SECRET}),
            "server_settings, ssl",
        ),
        (
            create_engine("postgresql+psycopg://h/d", execution_options=TRANSLATED),
            "schema_translate_map; give .*search_path",
        ),
        (opens_awaited, "store= opens asynchronous connections; give a function that opens blocking ones here"),
        (sessionmaker(create_engine("sqlite:///x.db")), NO_SQLITE),
        (create_async_engine("sqlite+aiosqlite:///x.db"), NO_SQLITE),
    ],
)
def test_what_is_no_store_is_told_what_is(tmp_path: Path, store: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        opened(store, tmp_path)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("memory://", "states='memory':... is no store for states; use redis://..."),
        ("sqlite:///x.db", "states='sqlite':..."),
        ("postgresql://u:hunter2@h/d", "states='postgresql':..."),
        ("hunter2@h", "states= is no store for states; use redis://..."),
        ("redis://h:port", "states= is no URL of a Redis; it looks like redis://localhost:6379/0"),
        ("redis://u:hunter2@h:port/0", "states= is no URL of a Redis"),
        ("redis://u:hunter2@h/0?no_such=1", "states= has an unknown option no_such; it looks like redis://"),
        (7, "states=int is no store for states; use redis://..."),
        (
            AsyncRedis(password=SECRET),
            "an asynchronous client, which can't be waited for here; give its URL",
        ),
    ],
)
def test_what_is_no_store_for_states_is_told_what_is(tmp_path: Path, states: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        opened("memory://", tmp_path, states)

    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_a_db_before_init_app_is_told_to_call_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"has no engine yet; call db.init_app\(app\), or bind"):
        opened(SQLAlchemy(), tmp_path)

    with (
        Flask(__name__).app_context(),
        pytest.raises(SettingsError, match=r"store=SQLAlchemy has no engine yet; call db.init_app\(app\), or bind"),
    ):
        opened(SQLAlchemy(), tmp_path)


def test_a_db_on_sqlite_is_told_to_take_another_file(tmp_path: Path) -> None:
    db = SQLAlchemy()
    with app_with(db, f"sqlite:///{tmp_path / 'app.db'}").app_context(), pytest.raises(SettingsError, match=NO_SQLITE):
        opened(db, tmp_path)


def test_a_session_without_an_engine_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="store=Session has no engine yet"):
        opened(sessionmaker(), tmp_path)


def test_an_engine_on_another_database_is_told_which_work(tmp_path: Path) -> None:
    class Dialect:
        name = "mysql"

    engine = create_engine("sqlite:///x.db")
    engine.dialect.name = Dialect.name

    with pytest.raises(
        SettingsError,
        match=r"store= is an Engine on mysql; the store works on PostgreSQL; or use sqlite:///configure.db",
    ):
        opened(engine, tmp_path)


@pytest.mark.parametrize("given", ["url", "engine"])
def test_under_trio_postgresql_works_in_threads(postgresql_url: str, tmp_path: Path, given: str) -> None:
    stores = opened(postgresql_url if given == "url" else create_async_engine(postgresql_url), tmp_path, awaited=True)

    async def use() -> None:
        version = await awaitable(stores.accounts.version("a", "u1"))
        assert await awaitable(stores.accounts.version("a", "u1")) == version
        await stores.aclose()

    trio.run(use)


def test_under_trio_asynchronous_connections_are_refused_by_name(tmp_path: Path) -> None:
    stores = opened(opens_awaited, tmp_path, awaited=True)

    for step in (lambda: stores.accounts.version("a", "u1"), lambda: stores.accounts.find("a", "u1")):

        async def use(step: Any = step) -> None:
            await step()

        with pytest.raises(SettingsError, match="asynchronous connections need asyncio"):
            trio.run(use)


def test_under_trio_a_client_of_asyncio_is_refused_by_name(tmp_path: Path) -> None:
    stores = opened("memory://", tmp_path, AsyncRedis(), awaited=True)

    async def use() -> None:
        await awaitable(stores.states.purge(now=0.0))

    with pytest.raises(SettingsError, match=r"redis\.asyncio runs on asyncio only; under trio give the URL"):
        trio.run(use)


def test_under_trio_a_url_works(postgresql_url: str, redis_server: RedisServer, tmp_path: Path) -> None:
    with redis_server.database() as redis_url:
        for url in ("sqlite:///x.db", postgresql_url):
            stores = opened(url, tmp_path, redis_url, awaited=True)

            async def use(stores: Stores = stores) -> None:
                await awaitable(stores.accounts.version("a", "u1"))
                await awaitable(stores.states.purge(now=0.0))
                await ended(stores)

            trio.run(use)


MISSING = """
import sys
sys.modules[{module!r}] = None

from pathlib import Path
from configure_auth import SettingsError
from configure_auth.stores.opening import open_stores

options = {{"agent": "a", "fingerprints": (), "folder": Path({folder!r}), "local": True}}
try:
    open_stores({store!r}, {states!r}, awaited={awaited}, **options)
    print("opened")
except SettingsError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "store", "states", "awaited", "said"),
    [
        ("psycopg", "postgresql://h/d", None, False, "the store needs psycopg: pip install '{}[postgresql]'"),
        ("redis", "memory://", "redis://h", False, "states= needs redis-py: pip install '{}[redis]'"),
        # What is there does without what isn't.
        ("redis", "sqlite:///x.db", None, False, "opened"),
        ("psycopg", "postgresql://h/d", None, True, "the store needs psycopg: pip install '{}[postgresql]'"),
        ("psycopg_pool", "postgresql://h/d", None, True, "the store needs psycopg: pip install '{}[postgresql]'"),
        ("psycopg", "sqlite:///x.db", None, True, "opened"),
        ("sqlalchemy", "sqlite:///x.db", None, True, "opened"),
        ("sqlalchemy", "postgresql://h/d", "redis://h", False, "opened"),
    ],
)
def test_what_is_missing_is_told_how_to_install(
    tmp_path: Path, module: str, store: str, states: str | None, awaited: bool, said: str
) -> None:
    program = MISSING.format(module=module, folder=str(tmp_path), store=store, states=states, awaited=awaited)

    assert says(program).endswith(said.format("configure_auth"))


# A database that is too old


@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db"])
def test_sqlite_before_3_35_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(
        SettingsError, match=r"needs SQLite 3\.35 or newer, and this Python has [0-9.]+: install a newer"
    ):
        opened(url, tmp_path)


class Version12(socketserver.BaseRequestHandler):
    """A PostgreSQL that accepts everybody and says that it is version 12."""

    def handle(self) -> None:
        self.request.recv(1000)
        for kind, body in ((b"R", bytes(4)), (b"S", b"server_version\x0012.22\0"), (b"Z", b"I")):
            self.request.sendall(kind + (len(body) + 4).to_bytes(4) + body)
        self.request.recv(1000)  # the client ends the session


@pytest.mark.parametrize("awaited", [False, True])
def test_postgresql_before_13_is_refused(awaited: bool, tmp_path: Path, runner: asyncio.Runner) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Version12) as server, ExitStack() as stack:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        stack.callback(server.shutdown)
        url = f"postgresql://u@127.0.0.1:{server.server_address[1]}/d?sslmode=disable&gssencmode=disable"
        stores = opened(url, tmp_path, awaited=awaited)

        with pytest.raises(SettingsError, match="needs PostgreSQL 13 or newer, and this server is PostgreSQL 12"):
            waited(runner, lambda: stores.accounts.version("a", "u1"))

        waited(runner, stores.close)


# Connections of our own


@pytest.mark.catalogue("Q10")
def test_an_app_that_holds_all_of_its_connections_keeps_nobody_waiting(postgresql_url: str, tmp_path: Path) -> None:
    engine = create_engine(postgresql_url, pool_size=5, max_overflow=0, pool_timeout=1)
    with ExitStack() as held:
        for _ in range(5):
            held.enter_context(engine.connect()).execute(text("SELECT 1"))
        stores = opened(engine, tmp_path)
        ready = threading.Barrier(20)

        def use(number: int) -> int:
            ready.wait()
            version = stores.accounts.version("a", f"u{number}")
            assert engine.pool.checkedout() == 5  # type: ignore[attr-defined]
            return version

        with ThreadPoolExecutor(20) as threads:
            assert len(set(threads.map(use, range(20)))) == 20
        stores.close()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    engine.dispose()


def test_an_app_that_holds_all_of_its_connections_keeps_no_task_waiting(postgresql_url: str, tmp_path: Path) -> None:
    async def use() -> None:
        engine = create_async_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=15)
        async with engine.connect() as held:
            await held.execute(text("SELECT 1"))
            stores = opened(engine, tmp_path, awaited=True)
            steps = [awaitable(stores.accounts.version("a", f"u{number}")) for number in range(20)]
            assert len(set(await asyncio.gather(*steps))) == 20
            await ended(stores)
            # Ours are closed, the app's is not.
            assert (await held.execute(text("SELECT 2"))).scalar() == 2
        await engine.dispose()

    asyncio.run(use())


# In a transaction of the app's that is open: its number is that transaction's, and only it sees the note.
BEGIN = text("CREATE TEMPORARY TABLE notes AS SELECT 'a draft' AS note, pg_current_xact_id()::text AS began_in")
GOES_ON = text("SELECT note, began_in = pg_current_xact_id()::text FROM notes")


@pytest.mark.parametrize("shape", ["scoped_session", "sessionmaker", "function"])
def test_a_session_of_the_apps_goes_on_with_its_transaction(postgresql_url: str, tmp_path: Path, shape: str) -> None:
    engine = create_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=1)
    registry = scoped_session(sessionmaker(engine))
    session = registry()
    session.execute(BEGIN)
    shapes = {"scoped_session": registry, "sessionmaker": registry.session_factory, "function": lambda: session}

    stores = opened(shapes[shape], tmp_path)
    assert stores.accounts.save(connection("u1", "c1"), version=None).end == "saved"
    kept = stores.accounts.find("a", "u1")
    stores.close()

    assert registry() is session
    assert session.execute(GOES_ON).one() == ("a draft", True)
    session.rollback()
    again = opened(shapes[shape], tmp_path)
    assert [one.configure_user_id for one in kept] == ["c1"]
    assert again.accounts.find("a", "u1") == kept
    again.close()
    registry.remove()
    engine.dispose()


@pytest.mark.parametrize("shape", ["async_scoped_session", "async_sessionmaker", "function"])
def test_an_asynchronous_session_of_the_apps_goes_on_too(postgresql_url: str, tmp_path: Path, shape: str) -> None:
    async def use() -> None:
        engine = create_async_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=1)
        factory = async_sessionmaker(engine)
        registry = async_scoped_session(factory, asyncio.current_task)
        session = registry()
        await session.execute(BEGIN)
        shapes = {"async_scoped_session": registry, "async_sessionmaker": factory, "function": lambda: session}

        stores = opened(shapes[shape], tmp_path, awaited=True)
        saved = await awaitable(stores.accounts.save(connection("u1", "c1"), version=None))
        await ended(stores)

        assert registry() is session
        assert (await session.execute(GOES_ON)).one() == ("a draft", True)
        await session.rollback()
        again = opened(shapes[shape], tmp_path, awaited=True)
        kept = await awaitable(again.accounts.find("a", "u1"))
        assert (saved.end, [one.configure_user_id for one in kept]) == ("saved", ["c1"])
        await ended(again)
        await registry.remove()
        await engine.dispose()

    asyncio.run(use())


def test_a_client_of_the_apps_stays_open(redis_server: RedisServer, tmp_path: Path) -> None:
    with redis_server.database() as url, Redis.from_url(url, max_connections=1) as client:
        held = client.connection_pool
        stores = opened("memory://", tmp_path, client)
        stores.states.put(attempt("s"), limit=9, now=0.0)
        before = client.client_id()

        stores.close()

        assert client.connection_pool is held
        assert client.client_id() == before


# Nothing of a URL is told


@pytest.mark.parametrize(
    ("store", "states"),
    [
        ("postgresql://somebody:hunter2@127.0.0.1:1/d", None),
        (create_engine("postgresql+psycopg://somebody:hunter2@127.0.0.1:1/d", poolclass=NullPool), None),
        ("memory://", "redis://somebody:hunter2@127.0.0.1:1/0"),
        ("memory://", "rediss://somebody:hunter2@127.0.0.1:1/0"),
        pytest.param("memory://", "unix://somebody:hunter2@/nowhere/127.0.0.1:1", marks=LEFT_SOCKETS),
    ],
)
def test_no_password_is_in_a_repr_or_an_error(tmp_path: Path, store: Any, states: str | None) -> None:
    stores = opened(store, tmp_path, states)

    with pytest.raises(StoreError) as raised:
        stores.states.forget("a", "u1")

    told = "".join(traceback.format_exception(raised.value))
    told += "".join(map(repr, (stores, stores.states, stores.accounts, stores.leases, raised.value)))
    for secret in (SECRET, "somebody", "127.0.0.1:1/", "127.0.0.1"):
        assert secret not in told
    stores.close()
    del raised
    gc.collect()
