"""SQL databases that are locked, gone, cut off, down, or not ours."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from configure_auth import SettingsError, StoreError
from configure_auth.stores import Stores
from configure_auth.stores.opening import make_tables
from configure_auth.stores.schema import SCHEMA
from configure_auth.testing.conformance.records import NOW, attempt, connection, link

from ..support.servers import PostgreSQL
from .asked import MODES, claimed, waited
from .opened import awaitable, opened

_names = count()


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    """Of a schema with tables; its connections have a name of their own."""
    with postgresql.schema() as url:
        named = make_url(url).update_query_dict({"application_name": f"trouble {next(_names)}"})
        yield named.render_as_string(hide_password=False)


@pytest.fixture(params=MODES)
def opened_here(
    request: pytest.FixtureRequest, url: str, tmp_path: Path, runner: asyncio.Runner
) -> Iterator[Callable[..., Stores]]:
    kept: list[Stores] = []

    def open_one(**given: Any) -> Stores:
        kept.append(opened(in_mode(url, request.param), tmp_path, awaited=request.param != "plain", **given))
        return kept[-1]

    yield open_one
    for stores in kept:
        waited(runner, stores.close)


def in_mode(url: str, mode: str) -> Any:
    """What makes a store work in threads, on an event loop, is a function that opens blocking connections."""
    return url if mode != "in-threads" else lambda: psycopg.connect(url.replace("+", "%20"))


@contextmanager
def outside(url: str) -> Iterator[Connection]:
    """A session of somebody else's."""
    anybody = make_url(url).set(drivername="postgresql+psycopg").update_query_dict({"application_name": "outside"})
    engine = create_engine(anybody, poolclass=NullPool)
    with engine.connect() as connection:
        # Whoever would wait for it for ever fails instead.
        connection.execute(text("SET idle_in_transaction_session_timeout = '60s'"))
        connection.commit()
        yield connection
    engine.dispose()


def of(url: str) -> dict[str, Any]:
    return {"name": make_url(url).query["application_name"]}


OURS = "FROM pg_stat_activity WHERE application_name = :name"


@pytest.mark.catalogue("Q8")
def test_a_write_to_a_locked_table_is_busy_and_does_nothing(
    opened_here: Callable[..., Stores], url: str, runner: asyncio.Runner
) -> None:
    stores = opened_here(busy=1)
    record = attempt("s", user_id="u1")
    waited(runner, lambda: stores.accounts.save(connection("u1", "c1"), version=None))
    waited(runner, lambda: awaitable(stores.states.put(record, limit=9, now=NOW)))  # type: ignore[func-returns-value]
    before = waited(runner, lambda: stores.accounts.find("a", "u1"))

    with outside(url) as other:
        other.execute(text("LOCK TABLE configure_accounts, configure_states IN ACCESS EXCLUSIVE MODE"))
        # Both at once: each of them waits as long as a lock is waited for.
        steps: list[Callable[[], object]] = [
            lambda: stores.accounts.unlink("a", "u1"),
            lambda: claimed(stores, record),
        ]
        for said in at_once(runner, steps):
            assert isinstance(said, StoreError)
            assert "LockNotAvailable, 55P03" in str(said)
        other.rollback()

    assert waited(runner, lambda: stores.accounts.find("a", "u1")) == before
    assert waited(runner, lambda: claimed(stores, record)) is not None
    assert waited(runner, lambda: stores.accounts.unlink("a", "u1")) == before


def at_once(runner: asyncio.Runner, steps: list[Callable[[], Any]]) -> list[object]:
    """All steps at the same time; what each gave or raised."""

    async def one(step: Callable[[], Any]) -> object:
        said = await asyncio.to_thread(caught, step)
        if not inspect.isawaitable(said):
            return said
        try:
            return await said
        except StoreError as error:
            return error

    async def every() -> list[object]:
        return await asyncio.gather(*map(one, steps))

    return runner.run(every())


def caught(step: Callable[[], Any]) -> object:
    try:
        return step()
    except StoreError as error:
        return error


@pytest.mark.parametrize("reading", [True, False], ids=["read", "write"])
def test_connections_that_were_terminated_are_made_anew(
    opened_here: Callable[..., Stores], url: str, runner: asyncio.Runner, reading: bool
) -> None:
    stores = opened_here()
    with outside(url) as other, outside(url) as watcher:
        # Three at once make as many connections: each waits here for the same table.
        waited(runner, lambda: stores.accounts.version("a", "u1"))
        other.execute(text("LOCK TABLE configure_users IN ACCESS EXCLUSIVE MODE"))
        with ThreadPoolExecutor(1) as threads:
            steps: list[Callable[[], Any]] = [lambda: stores.accounts.version("a", "u1") for _ in range(3)]
            versions = threads.submit(at_once, runner, steps)
            for _ in range(100_000):
                waiting = watcher.execute(text(f"SELECT count(*) {OURS} AND wait_event_type = 'Lock'"), of(url))
                if waiting.scalar() == 3:
                    break
                watcher.rollback()  # a transaction is shown the same again
            other.rollback()
            assert len(set(versions.result())) == 1

        ended = other.execute(text(f"SELECT pg_terminate_backend(pid, 30000) {OURS}"), of(url)).scalars().all()
        assert set(ended) == {True}  # under load a pool may have opened a fourth

    for _ in range(4):
        if reading:
            assert waited(runner, lambda: stores.accounts.find("a", "u1")) == ()
        else:
            assert waited(runner, lambda: stores.accounts.version("a", "u1")) == versions.result()[0]


@pytest.mark.catalogue("Q11")
@pytest.mark.parametrize("mode", MODES)
def test_without_tables_it_is_said_how_to_make_them(
    postgresql: PostgreSQL, tmp_path: Path, mode: str, runner: asyncio.Runner
) -> None:
    with postgresql.schema(tables=False) as url:
        stores = opened(in_mode(url, mode), tmp_path, awaited=mode != "plain")
        for step in (lambda: stores.accounts.version("a", "u1"), lambda: stores.accounts.find("a", "u1")):
            with pytest.raises(SettingsError, match="no tables yet: run `configure_auth tables`, or your migration"):
                waited(runner, step)

        # It needs no new start once they are there.
        make_tables(url, tmp_path)
        assert waited(runner, lambda: stores.accounts.find("a", "u1")) == ()
        waited(runner, stores.close)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("99", "tables are of schema 99, made by a newer configure_auth"),
        ("0", f"tables of schema 0, and {SCHEMA} is needed: run `configure_auth tables`"),
        ("nonsense and more", "tables are of schema 'nonsense', which is not configure_auth's"),
        ("-1", "which is not configure_auth's"),
        ("²", "which is not configure_auth's"),
        ("", "which is not configure_auth's"),
    ],
)
def test_tables_of_another_schema_are_refused(
    opened_here: Callable[..., Stores], url: str, runner: asyncio.Runner, number: str, said: str
) -> None:
    stores = opened_here()
    with outside(url) as other:
        changed = text("UPDATE configure_parameters SET value = :value WHERE name = 'schema'")
        other.execute(changed, {"value": number})
        other.commit()
        with pytest.raises(SettingsError, match=said):
            waited(runner, lambda: stores.accounts.find("a", "u1"))
        other.execute(changed, {"value": str(SCHEMA)})
        other.commit()

    assert waited(runner, lambda: stores.accounts.find("a", "u1")) == ()


def test_newer_tables_in_a_file_are_refused(tmp_path: Path) -> None:
    stores = opened("sqlite:///x.db", tmp_path)
    stores.accounts.version("a", "u1")
    stores.close()
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", poolclass=NullPool)
    with engine.begin() as other:
        other.execute(text("UPDATE configure_parameters SET value = '99' WHERE name = 'schema'"))

    stores = opened("sqlite:///x.db", tmp_path)
    with pytest.raises(SettingsError, match=f"schema 99, made by a newer configure_auth; this version knows {SCHEMA}"):
        stores.accounts.version("a", "u1")
    stores.close()


SEALED: dict[str, Callable[[Any], Any]] = {
    "a connection": lambda stores: stores.accounts.save(connection("u1", "c1"), version=None),
    "a sender's link": lambda stores: stores.journeys.save(link("s1", "c1"), serial=None),
    "the key of the ids": lambda stores: stores.parameters.keep("id a", "sealed"),
}


@pytest.mark.parametrize("what", SEALED)
def test_a_key_that_sealed_nothing_here_is_refused(
    opened_here: Callable[..., Stores], runner: asyncio.Runner, what: str
) -> None:
    def use(stores: Stores) -> None:
        waited(runner, lambda: stores.accounts.find("a", "u2"))

    first = opened_here(fingerprints=("f1",))
    use(first)
    waited(runner, lambda: SEALED[what](first))
    with pytest.raises(SettingsError, match=r"none of CONFIGURE_TOKEN_KEYS .* sealed what is in the store"):
        use(opened_here(fingerprints=("f2", "f3")))
    # One that is known brings the others along.
    use(opened_here(fingerprints=("f2", "f1")))
    use(opened_here(fingerprints=("f2",)))
    with pytest.raises(SettingsError, match="CONFIGURE_TOKEN_KEYS"):
        use(opened_here(fingerprints=("f3",)))
    use(opened_here(fingerprints=()))


def test_a_store_in_which_nothing_is_sealed_takes_other_keys(
    opened_here: Callable[..., Stores], runner: asyncio.Runner
) -> None:
    def use(stores: Stores) -> None:
        waited(runner, lambda: stores.accounts.find("a", "u1"))

    use(opened_here(fingerprints=("f1", "f0")))
    second = opened_here(fingerprints=("f2",))
    use(second)
    waited(runner, lambda: second.accounts.save(connection("u1", "c1"), version=None))

    # The first ones are none of this store's any more.
    with pytest.raises(SettingsError, match="CONFIGURE_TOKEN_KEYS"):
        use(opened_here(fingerprints=("f1",)))
    use(opened_here(fingerprints=("f2",)))


def test_the_keys_of_another_agent_are_not_asked_for(
    opened_here: Callable[..., Stores], runner: asyncio.Runner
) -> None:
    # The second would match the first, were it a pattern.
    for number, agent in enumerate(("axb", "a_b", "%", "a")):
        stores = opened_here(agent=agent, fingerprints=(f"f{number}",))
        assert waited(runner, partial(stores.accounts.find, agent, "u1")) == ()
        waited(runner, partial(stores.accounts.save, connection("u1", "c1", agent=agent), version=None))


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_is_down_is_busy_and_says_nothing_of_its_address(
    tmp_path: Path, mode: str, runner: asyncio.Runner
) -> None:
    url = "postgresql://somebody:hunter2@127.0.0.1:1/theirs"
    stores = opened(in_mode(url, mode), tmp_path, awaited=mode != "plain")

    for step in (lambda: stores.accounts.version("a", "u1"), lambda: stores.accounts.find("a", "u1")):
        with pytest.raises(StoreError, match="the store could not do its work now") as raised:
            waited(runner, step)
        told = "".join(traceback.format_exception(raised.value))
        assert not [secret for secret in ("somebody", "hunter2", "127.0.0.1", "theirs") if secret in told]
    waited(runner, stores.close)
