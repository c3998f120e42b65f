"""A Redis that is set up in a way that can't work is reported as a setting, with what to change."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from configure_auth import SettingsError, StoreError
from configure_auth.testing.conformance.records import NOW, attempt

from ..browsers.tls import certificate
from ..support.servers import RedisServer, free_port, private_redis
from .opened import LEFT_SOCKETS, opened

USERS = {
    "alice": (">right", "~*", "+@all"),
    "noinfo": (">right", "~*", "+@all", "-info"),
    "nokeys": (">right", "~theirs:*", "+@all"),
    "least": (">right", "~{configure_auth}:*", "+@all", "-@dangerous", "+info"),
}


@pytest.fixture(scope="module")
def own_redis(redis_server: RedisServer) -> Iterator[str]:
    """`host:port` of a server with users."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server here to start")
    with private_redis() as server, server.database() as url:
        with Redis.from_url(url) as client:
            for name, rules in USERS.items():
                client.execute_command("ACL", "SETUSER", name, "on", *rules)
        yield url.removeprefix("redis://").partition("/")[0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://alice:wrong@{}/0", "refused the user or password of states=; set CONFIGURE_STATES"),
        ("redis://noinfo:right@{}/0", "lacks a permission; allow it INFO"),
        ("redis://nokeys:right@{}/0", "lacks a permission; .*all keys of {{configure_auth}}"),
        ("redis://alice:right@{}/9999", "no database of that number"),
        ("rediss://alice:right@{}/0?socket_timeout=1&socket_connect_timeout=1", "that port of Redis has no TLS"),
    ],
)
def test_a_redis_that_cant_work_is_a_setting(own_redis: str, tmp_path: Path, url: str, said: str) -> None:
    stores = opened("memory://", tmp_path, url.format(own_redis))

    with pytest.raises(SettingsError, match=said.replace("{{", r"\{").replace("}}", r"\}")) as raised:
        stores.states.put(attempt("s"), limit=9, now=NOW)

    assert "right" not in str(raised.value).replace("the right ones", "")
    stores.close()


@pytest.fixture(scope="module")
def tls_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`port?ssl_ca_certs=...` of a server at localhost that speaks TLS alone."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server here to start")
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    with private_redis(certificate=folder / "certificate.pem") as server:
        yield server.url.removeprefix("rediss://localhost:")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rediss://localhost:{port}", "the certificate of Redis is refused .*self-signed.*; give its CA in states="),
        ("rediss://127.0.0.1:{port}?{ca}", "the certificate of Redis is refused .*'127.0.0.1'"),
        ("rediss://:ssl_cert_reqs=none@127.0.0.1:{port}?{ca}", "the certificate of Redis is refused .*'127.0.0.1'"),
        pytest.param(
            "rediss://localhost:{port}?ssl_ca_certs=/nowhere",
            "names a file that doesn't exist; check ssl_ca_certs",
            marks=LEFT_SOCKETS,
        ),
        ("redis://localhost:{port}", "that port of Redis has TLS; use rediss://"),
    ],
)
def test_a_redis_with_tls_that_cant_work_is_a_setting(tls_redis: str, tmp_path: Path, url: str, said: str) -> None:
    port, _, ca = tls_redis.partition("?")
    stores = opened("memory://", tmp_path, url.format(port=port, ca=ca))
    with pytest.raises(SettingsError, match=said):
        stores.states.put(attempt("s"), limit=9, now=NOW)
    stores.close()
    gc.collect()


def test_a_redis_with_tls_works_and_one_that_is_down_is_no_setting(tls_redis: str, tmp_path: Path) -> None:
    stores = opened("memory://", tmp_path, f"rediss://localhost:{tls_redis}")
    stores.states.put(attempt("s"), limit=9, now=NOW)
    stores.close()
    gone = opened("memory://", tmp_path, f"rediss://localhost:{free_port()}?{tls_redis.partition('?')[2]}")
    with pytest.raises(StoreError, match="is it up, writable, not full"):
        gone.states.put(attempt("s"), limit=9, now=NOW)
    gone.close()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_the_permissions_that_are_named_are_enough(own_redis: str, tmp_path: Path, scheme: str) -> None:
    stores = opened("memory://", tmp_path, f"{scheme}://least:right@{own_redis}/0")
    record = attempt(scheme)
    stores.states.put(record, limit=9, now=NOW)
    mine: dict[str, Any] = {"browser_hash": record.browser_hash, "intent": record.intent, "agent": "a", "now": NOW}
    assert stores.states.claim(record.state_hash, **mine) is not None
    stores.states.finish(record.state_hash, outcome="o", replay="r", user_id="u1", now=NOW)
    assert stores.states.read(record.state_hash, **mine) is not None
    stores.states.forget("a", "u1")
    stores.close()


@pytest.mark.parametrize(
    "states", ["redis+sentinel://h:26379/mymaster", "redis+cluster://h:6379", RedisCluster.__new__(RedisCluster)]
)
def test_sentinel_and_cluster_are_refused_with_what_to_use(tmp_path: Path, states: Any) -> None:
    with pytest.raises(SettingsError, match="Sentinel and Cluster can't be used; give the redis:// address of one"):
        opened("memory://", tmp_path, states)
