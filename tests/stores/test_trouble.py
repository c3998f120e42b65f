"""Databases that are locked, gone, cut off, restarted, full, or not ours."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha1
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from configure_auth import SettingsError, StoreError
from configure_auth.stores import LINGER, Stores
from configure_auth.stores.conformance.records import END, NOW, attempt, connection
from configure_auth.stores.schema import SCHEMA
from configure_auth.values import PendingSignIn

from ..support.servers import PostgreSQL, RedisServer, private_redis
from .opened import awaitable, opened

MODES = ("plain", "in-threads", "awaited")
"""How a store is asked."""

_names = count()


def waited(runner: asyncio.Runner, step: Callable[[], object]) -> Any:
    """What a step gives, on whichever kind of store."""

    async def on_the_loop() -> Any:
        said = step()
        return await said if inspect.isawaitable(said) else said

    return runner.run(on_the_loop())


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


# PostgreSQL


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
        store = url.replace("postgresql:", "postgresql+psycopg_async:", 1) if request.param == "awaited" else url
        kept.append(opened(store, tmp_path, awaited=request.param != "plain", **given))
        return kept[-1]

    yield open_one
    for stores in kept:
        waited(runner, stores.close)


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


def test_a_write_to_a_locked_table_is_busy_and_does_nothing(
    opened_here: Callable[..., Stores], url: str, runner: asyncio.Runner
) -> None:
    stores = opened_here()
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


def claimed(stores: Stores, record: PendingSignIn) -> PendingSignIn | None:
    return stores.states.claim(
        record.state_hash, browser_hash=record.browser_hash, intent=record.intent, agent=record.agent, now=NOW + 1
    )


def found(stores: Stores, record: PendingSignIn, now: float = NOW + 1) -> PendingSignIn | None:
    return stores.states.read(
        record.state_hash, browser_hash=record.browser_hash, intent=record.intent, agent=record.agent, now=now
    )


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
        assert ended == [True] * 3

    for _ in range(4):
        if reading:
            assert waited(runner, lambda: stores.accounts.find("a", "u1")) == ()
        else:
            assert waited(runner, lambda: stores.accounts.version("a", "u1")) == versions.result()[0]


@pytest.mark.parametrize("mode", MODES)
def test_without_tables_it_is_said_how_to_make_them(
    postgresql: PostgreSQL, tmp_path: Path, mode: str, runner: asyncio.Runner
) -> None:
    with postgresql.schema(tables=False) as url:
        scheme = "postgresql+psycopg_async:" if mode == "awaited" else "postgresql:"
        stores = opened(url.replace("postgresql:", scheme, 1), tmp_path, awaited=mode != "plain")
        for step in (lambda: stores.accounts.version("a", "u1"), lambda: stores.accounts.find("a", "u1")):
            with pytest.raises(SettingsError, match="no tables yet: run `configure_auth tables`, or your migration"):
                waited(runner, step)

        # It needs no new start once they are there.
        with postgresql.engine(url) as engine, engine.begin() as other:
            from configure_auth.stores import schema

            schema.upgrade(other)
        assert waited(runner, lambda: stores.accounts.find("a", "u1")) == ()
        waited(runner, stores.close)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("99", f"tables of schema 99, and {SCHEMA} is needed: run `configure_auth tables`"),
        ("0", f"tables of schema 0, and {SCHEMA} is needed"),
        ("nonsense and more", "tables are of schema 'nonsense', which is none of configure_auth's"),
        ("-1", "which is none of configure_auth's"),
        ("²", "which is none of configure_auth's"),
        ("", "which is none of configure_auth's"),
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
    with pytest.raises(SettingsError, match=f"schema 99, made by a newer configure_auth; this knows {SCHEMA}"):
        stores.accounts.version("a", "u1")
    stores.close()


def test_a_key_that_sealed_nothing_here_is_refused(opened_here: Callable[..., Stores], runner: asyncio.Runner) -> None:
    def use(stores: Stores) -> None:
        waited(runner, lambda: stores.accounts.find("a", "u1"))

    use(opened_here(fingerprints=("f1",)))
    with pytest.raises(SettingsError, match=r"none of CONFIGURE_TOKEN_KEYS .* sealed what is in the store"):
        use(opened_here(fingerprints=("f2", "f3")))
    # One that is known brings the others along.
    use(opened_here(fingerprints=("f2", "f1")))
    use(opened_here(fingerprints=("f2",)))
    with pytest.raises(SettingsError, match="CONFIGURE_TOKEN_KEYS"):
        use(opened_here(fingerprints=("f3",)))
    use(opened_here(fingerprints=()))


def test_the_keys_of_another_agent_are_not_asked_for(
    opened_here: Callable[..., Stores], runner: asyncio.Runner
) -> None:
    # The second would match the first, were it a pattern.
    for number, agent in enumerate(("axb", "a_b", "%", "a")):
        stores = opened_here(agent=agent, fingerprints=(f"f{number}",))
        assert waited(runner, partial(stores.accounts.find, agent, "u1")) == ()


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_is_down_is_busy_and_says_nothing_of_its_address(
    tmp_path: Path, mode: str, runner: asyncio.Runner
) -> None:
    scheme = "postgresql+psycopg_async" if mode == "awaited" else "postgresql"
    stores = opened(f"{scheme}://somebody:hunter2@127.0.0.1:1/theirs", tmp_path, awaited=mode != "plain")

    for step in (lambda: stores.accounts.version("a", "u1"), lambda: stores.accounts.find("a", "u1")):
        with pytest.raises(StoreError, match="the store could not do its work now") as raised:
            waited(runner, step)
        told = "".join(traceback.format_exception(raised.value))
        assert not [secret for secret in ("somebody", "hunter2", "127.0.0.1", "theirs") if secret in told]
    waited(runner, stores.close)


# Redis


@pytest.fixture
def own_redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """One that a test may restart, fill or cut off."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server here to start")
    with private_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    with redis_server.database() as url:
        yield url


@contextmanager
def kept_in(url: str, tmp_path: Path) -> Iterator[Stores]:
    stores = opened("memory://", tmp_path, url)
    yield stores
    stores.close()


def put(stores: Stores, record: PendingSignIn) -> PendingSignIn:
    stores.states.put(record, limit=9, now=NOW)
    return record


def test_a_restart_forgets_what_was_begun(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.database() as url, kept_in(url, tmp_path) as stores:
        record = put(stores, attempt("s"))
        own_redis.restart()

        assert claimed(stores, record) is None
        assert found(stores, record) is None
        assert claimed(stores, put(stores, attempt("newer"))) is not None


def test_a_snapshot_brings_no_claim_back(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.database() as url, kept_in(url, tmp_path) as stores, Redis.from_url(url) as client:
        record = put(stores, attempt("s"))
        client.save()
        assert claimed(stores, record) is not None
        own_redis.restart()

        # It's there, as if it had not been claimed.
        assert found(stores, record) == record
        assert claimed(stores, record) is None
        assert claimed(stores, put(stores, attempt("newer"))) is not None


@contextmanager
def replica_of(url: str) -> Iterator[str]:
    """A second server that follows the first, once it has all of it."""
    with private_redis() as second, second.database() as replica_url, Redis.from_url(replica_url) as replica:
        with Redis.from_url(url) as first:
            first.config_set("repl-diskless-sync-delay", 0)
            at = first.get_connection_kwargs()
            replica.replicaof(at["host"], at["port"])
            for _ in range(100_000):
                if replica.info("replication")["master_link_status"] == "up":
                    break
        try:
            yield replica_url
        finally:
            replica.replicaof("NO", "ONE")


def test_a_replica_that_missed_a_claim_gives_none(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.database() as url, replica_of(url) as replica_url, ExitStack() as stack:
        first, second = (stack.enter_context(kept_in(one, tmp_path)) for one in (url, replica_url))
        client, replica = (stack.enter_context(Redis.from_url(one)) for one in (url, replica_url))
        record = put(first, attempt("s"))
        assert client.wait(1, 60_000) == 1
        replica.replicaof("NO", "ONE")
        assert claimed(first, record) is not None

        assert found(second, record) == record
        assert claimed(second, record) is None
        assert claimed(second, put(second, attempt("newer"))) is not None


def test_a_replica_is_busy_for_who_writes(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.database() as url, replica_of(url) as replica_url, ExitStack() as stack:
        first, second = (stack.enter_context(kept_in(one, tmp_path)) for one in (url, replica_url))
        client = stack.enter_context(Redis.from_url(url))
        record = put(first, attempt("s"))
        assert client.wait(1, 60_000) == 1

        for step in (lambda: put(second, attempt("other")), lambda: second.states.forget("a", "u1")):
            with pytest.raises(StoreError, match=r"\(ReadOnlyError\)"):
                step()
        assert found(second, record) == record
        assert claimed(first, record) is not None


def test_what_was_evicted_is_unknown(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, Redis.from_url(redis_url) as client:
        lost, begun = put(stores, attempt("s1", user_id="u1")), put(stores, attempt("s2", user_id="u1"))
        claimed(stores, begun)
        client.delete(*client.keys())

        assert claimed(stores, lost) is None
        stores.states.finish(begun.state_hash, outcome="outcome", replay="replay", user_id="u1", now=NOW + 2)
        assert [found(stores, record) for record in (lost, begun)] == [None, None]
        stores.states.forget("a", "u1")
        assert client.keys() == []


@pytest.mark.parametrize("part", ["state", "browser", "user", "replay"])
def test_what_was_evicted_in_part_does_no_harm(redis_url: str, tmp_path: Path, part: str) -> None:
    with kept_in(redis_url, tmp_path) as stores, Redis.from_url(redis_url) as client:
        record = put(stores, attempt("s", user_id="u1"))
        claimed(stores, record)
        stores.states.finish(record.state_hash, outcome="outcome", replay="replay", user_id="u1", now=NOW + 2)
        gone = client.keys(f"{{configure_auth}}:{part}:*")
        assert len(gone) == 1
        client.delete(*gone)

        left = found(stores, record)
        assert (left is None) == (part == "state")
        assert left is None or left.replay == (None if part == "replay" else "replay")
        assert claimed(stores, record) is None
        assert claimed(stores, put(stores, attempt("newer", user_id="u1", created_at=NOW + 1))) is not None


def test_a_full_server_is_busy_and_does_nothing(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.database() as url, kept_in(url, tmp_path) as stores, Redis.from_url(url) as client:
        record = put(stores, attempt("s", user_id="u1"))
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)

        steps: list[Callable[[], object]] = [lambda: put(stores, attempt("other")), lambda: claimed(stores, record)]
        for step in steps:
            with pytest.raises(StoreError, match=r"\(OutOfMemoryError\); is it up, writable, not full\?"):
                step()
        assert found(stores, record) == record
        client.config_set("maxmemory", 0)
        assert claimed(stores, record) is not None


def test_scripts_that_were_flushed_are_loaded_again(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, Redis.from_url(redis_url) as client:
        record = put(stores, attempt("s"))
        client.script_flush()
        assert claimed(stores, record) is not None
        client.script_flush()
        assert found(stores, record) is not None
        client.script_flush()
        assert claimed(stores, record) is None


def test_connections_that_were_killed_are_made_anew(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, Redis.from_url(redis_url) as client:
        ours, ready = threading.Barrier(3), count()

        def write(_: int) -> None:
            ours.wait()
            put(stores, attempt(f"s{next(ready)}", created_at=NOW))

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(write, range(3)))
        record = put(stores, attempt("s"))
        assert client.client_kill_filter(_type="normal") >= 1
        assert claimed(stores, record) is not None
        assert client.client_kill_filter(_type="normal") >= 1
        assert found(stores, record) is not None


def keys_of(client: Redis) -> list[bytes]:
    return list(client.scan_iter(count=1000))


def use_all(stores: Stores) -> None:
    """Every way that an attempt may go."""
    for number in range(12):
        user_id = (None, "u1", "u2")[number % 3]
        record = put(stores, attempt(f"s{number}", user_id=user_id, created_at=NOW + number))
        if number % 2:
            claimed(stores, record)
        if number % 4 == 1:
            stores.states.finish(record.state_hash, outcome="outcome", replay="replay", user_id="u1", now=NOW + 2)
        found(stores, record)
    stores.states.purge(now=NOW)


def test_every_key_is_ours_and_expires(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, Redis.from_url(redis_url) as client:
        use_all(stores)

        keys = keys_of(client)
        assert {key.split(b":")[1] for key in keys} == {b"state", b"browser", b"user", b"replay"}
        assert [key for key in keys if not key.startswith(b"{configure_auth}:")] == []
        assert [key for key in keys if not 0 < client.ttl(key) <= END - NOW + 120] == []


def plain_client(url: str) -> Any:
    """For whom what a command gives is known."""
    return Redis.from_url(url)


def values_of(client: Any) -> Iterator[bytes]:
    for key in keys_of(client):
        yield key
        kind = client.type(key)
        if kind == b"hash":
            yield from (part for pair in client.hgetall(key).items() for part in pair)
        elif kind == b"zset":
            yield from client.zrange(key, 0, -1)
        elif kind == b"set":
            yield from client.smembers(key)
        else:
            yield client.get(key)


def test_nothing_is_left_of_a_forgotten_user(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, plain_client(redis_url) as client:
        use_all(stores)
        derived = [b"u1", sha1(b"a\0u1").hexdigest().encode()]
        # The reader finds what is there.
        assert all(any(mark in value for value in values_of(client)) for mark in derived)
        attempts = [key for key in keys_of(client) if b":state:" in key]
        mine = [key for key in attempts if b"u1" in b" ".join(map(bytes, client.hvals(key)))]

        stores.states.forget("a", "u1")

        assert [value for value in values_of(client) if any(mark in value for mark in derived)] == []
        assert client.exists(*mine) == 0
        assert any(b"u2" in value for value in values_of(client))


def test_what_leads_to_a_users_attempts_outlives_them(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, Redis.from_url(redis_url) as client:
        early, late = attempt("s1", user_id="u1", expires_at=NOW + 60), attempt("s2", user_id="u1")
        for record in (late, early):
            put(stores, record)
        claimed(stores, early)
        stores.states.finish(early.state_hash, outcome="outcome", replay=None, user_id="u1", now=NOW + 2)

        longest = max(client.ttl(key) for key in keys_of(client) if b":state:" in key)
        for key in keys_of(client):
            if b":state:" not in key:
                assert client.ttl(key) >= longest - 1


def test_the_list_of_a_users_attempts_loses_those_that_have_ended(redis_url: str, tmp_path: Path) -> None:
    with kept_in(redis_url, tmp_path) as stores, plain_client(redis_url) as client:
        short, long = (put(stores, attempt(f"until {end}", user_id="u1", expires_at=end)) for end in (NOW + 60, END))
        (listed,) = client.keys("{configure_auth}:user:*")

        def later(seconds: float) -> None:
            # Redis has a clock of its own: what is in the list moves to where it would be by then.
            for one in client.zrange(listed, 0, -1):
                client.zincrby(listed, -seconds, one)

        def expect(*records: PendingSignIn) -> None:
            assert set(client.zrange(listed, 0, -1)) == {record.state_hash.encode() for record in records}
            assert 0 < client.ttl(listed) <= END - NOW + LINGER

        later(LINGER)
        begun = put(stores, attempt("begun", user_id="u1"))
        expect(short, long, begun)

        later(60)
        begun_later = put(stores, attempt("begun later", user_id="u1"))
        expect(long, begun, begun_later)

        later(END - NOW + LINGER)
        signed_in = put(stores, attempt("signed in"))
        claimed(stores, signed_in)
        stores.states.finish(signed_in.state_hash, outcome="outcome", replay=None, user_id="u1", now=NOW + 2)
        expect(signed_in)


class Swallowing:
    """Stands before a server, passes all on, and once `swallow` is set keeps the next answer and hangs up."""

    def __init__(self, port: int) -> None:
        self.swallow = threading.Event()
        self.swallowed: list[bytes] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._listener.fileno() == -1 or client.recv(1, socket.MSG_PEEK) == b"":
                client.close()
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            while asked := client.recv(1 << 20):
                server.sendall(asked)
                answer = server.recv(1 << 20)
                if self.swallow.is_set():
                    self.swallow.clear()
                    self.swallowed.append(answer)
                    return
                client.sendall(answer)

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in self._threads:
            thread.join()
        self._listener.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_claim_whose_answer_was_lost_gets_its_record(
    own_redis: RedisServer, tmp_path: Path, mode: str, runner: asyncio.Runner
) -> None:
    with own_redis.database() as url, ExitStack() as stack:
        direct = stack.enter_context(kept_in(url, tmp_path))
        port = url.rpartition(":")[2].partition("/")[0]
        proxy = Swallowing(int(port))
        stack.callback(proxy.close)
        states: Any = url.replace(port, str(proxy.port), 1)
        if mode == "awaited":
            states = AsyncRedis.from_url(states, retry=Retry(NoBackoff(), 1))
            stack.callback(lambda: waited(runner, states.aclose))
        stores = opened("memory://", tmp_path, states, awaited=mode != "plain")
        stack.callback(lambda: waited(runner, stores.close))
        record = put(direct, attempt("s"))
        # The script is known before, so that it's the claim whose answer is lost.
        assert waited(runner, lambda: claimed(stores, attempt("unknown"))) is None
        proxy.swallow.set()

        got = waited(runner, lambda: claimed(stores, record))

        (lost,) = proxy.swallowed
        assert b"claimed_at" in lost
        assert got == replace(record, claimed_at=NOW + 1)
        assert waited(runner, lambda: claimed(stores, record)) is None
        assert found(direct, record) == got
