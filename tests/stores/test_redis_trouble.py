"""A Redis that is restarted, replicated, full, flushed or cut off, and what is left in it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from hashlib import sha1
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

from configure_auth import StoreError
from configure_auth.stores import OUTCOME_TTL, Stores
from configure_auth.stores.redis import open_redis
from configure_auth.testing.conformance.records import END, NOW, attempt
from configure_auth.values import PendingSignIn

from ..support.servers import RedisServer, private_redis
from .asked import MODES, claimed, found, waited
from .opened import opened


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


@pytest.mark.catalogue("Q6")
def test_a_restart_forgets_what_was_begun(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.database() as url, kept_in(url, tmp_path) as stores:
        record = put(stores, attempt("s"))
        own_redis.restart()

        assert claimed(stores, record) is None
        assert found(stores, record) is None
        assert claimed(stores, put(stores, attempt("newer"))) is not None


@pytest.mark.catalogue("Q6")
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


@pytest.mark.catalogue("Q6")
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


@pytest.mark.catalogue("Q6")
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
            assert 0 < client.ttl(listed) <= END - NOW + OUTCOME_TTL

        later(OUTCOME_TTL)
        begun = put(stores, attempt("begun", user_id="u1"))
        expect(short, long, begun)

        later(60)
        begun_later = put(stores, attempt("begun later", user_id="u1"))
        expect(long, begun, begun_later)

        later(END - NOW + OUTCOME_TTL)
        signed_in = put(stores, attempt("signed in"))
        claimed(stores, signed_in)
        stores.states.finish(signed_in.state_hash, outcome="outcome", replay=None, user_id="u1", now=NOW + 2)
        expect(signed_in)


def test_the_list_of_a_users_attempts_is_named_by_the_keyed_hashes(redis_url: str) -> None:
    """An id that can be guessed isn't in a key, hashed or not; after a rotation the former key's list is found too."""
    with Redis.from_url(redis_url) as client:
        first, closed = open_redis(redis_url, awaited=False, names=lambda user_id: (f"first key's {user_id}",))
        begun = attempt("begun", user_id="1")
        first.put(begun, limit=9, now=NOW)
        closed()
        assert [key for key in keys_of(client) if b":user:" in key] == [b"{configure_auth}:user:a:first key's 1"]

        names = ("second key's 1", "first key's 1")
        rotated, closed = open_redis(redis_url, awaited=False, names=lambda user_id: names)
        assert rotated.of_user("a", "1") == (begun,)
        rotated.forget("a", "1")
        closed()
        assert [key for key in keys_of(client) if b":user:" in key or b":state:" in key] == []


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


@pytest.mark.catalogue("Q4")
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
            states = AsyncRedis.from_url(states, retry=Retry(NoBackoff(), 1), retry_on_error=[ConnectionError])
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


@pytest.mark.catalogue("Q7")
def test_a_cancelled_read_gives_nobody_its_answer(own_redis: RedisServer, tmp_path: Path) -> None:
    """The connection of a call that was given up isn't used again (CVE-2023-28858)."""

    async def main(url: str) -> None:
        stores: Any = opened("memory://", tmp_path, url, awaited=True)
        records = [attempt("first"), attempt("second")]
        for record in records:
            await stores.states.put(record, limit=9, now=NOW)
        for steps in range(12):
            reading: Any = found(stores, records[0])
            given_up = asyncio.ensure_future(reading)
            for _ in range(steps):
                await asyncio.sleep(0)
            given_up.cancel()
            with suppress(asyncio.CancelledError):
                await given_up
            other: Any = found(stores, records[1])
            assert await other == records[1]
        await stores.close()

    with own_redis.database() as url:
        asyncio.run(main(url))
