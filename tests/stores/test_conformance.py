"""Every store of ours holds to what `configure_auth.stores` says of a store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection, Connection
from psycopg.rows import dict_row
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from configure_auth.stores import Stores
from configure_auth.testing import StoreConformance
from configure_auth.testing.conformance import StateConformance

from ..support.servers import PostgreSQL, RedisServer
from ..support.stores import first
from .opened import opened


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.schema() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    with redis_server.database() as url:
        yield url


class TestMemory(StoreConformance):
    @pytest.fixture(params=first(["plain", "in-threads"]))
    def stores(self, request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
        return opened("memory://", tmp_path, awaited=request.param != "plain")


class TestSqlite(StoreConformance):
    @pytest.fixture(params=first(["plain", "in-threads"]))
    def stores(self, request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
        return opened("sqlite:///x.db", tmp_path, awaited=request.param != "plain")


class TestPostgresql(StoreConformance):
    @pytest.fixture(params=["plain", "awaited"])
    def stores(self, request: pytest.FixtureRequest, postgresql_url: str, tmp_path: Path) -> Stores:
        return opened(postgresql_url, tmp_path, awaited=request.param != "plain")


@pytest.mark.extended
class TestPostgresqlByAFunction(StoreConformance):
    """On connections that an app opens, whose own statements are in a transaction and give dicts."""

    @pytest.fixture(params=["plain", "in-threads", "awaited"])
    def stores(self, request: pytest.FixtureRequest, postgresql_url: str, tmp_path: Path) -> Stores:
        def connect() -> Connection[Any]:
            return Connection.connect(postgresql_url, row_factory=dict_row)

        async def connect_awaited() -> AsyncConnection[Any]:
            return await AsyncConnection.connect(postgresql_url, row_factory=dict_row)

        function = connect_awaited if request.param == "awaited" else connect
        return opened(function, tmp_path, awaited=request.param != "plain")


@pytest.mark.extended
class TestPostgresqlOfAnApp(StoreConformance):
    """On an engine that an app made, whose own statements are each a transaction."""

    @pytest.fixture(params=["engine", "async-engine"])
    def stores(self, request: pytest.FixtureRequest, postgresql_url: str, tmp_path: Path) -> Stores:
        url = postgresql_url.replace("postgresql:", "postgresql+psycopg:", 1)
        if request.param == "engine":
            return opened(create_engine(url, isolation_level="AUTOCOMMIT"), tmp_path)
        return opened(create_async_engine(url, isolation_level="AUTOCOMMIT"), tmp_path, awaited=True)


class TestRedis(StoreConformance):
    own_clock = True

    @pytest.fixture
    def stores(self, redis_url: str, tmp_path: Path) -> Stores:
        return opened("sqlite:///x.db", tmp_path, redis_url)


@pytest.mark.extended
class TestRedisInThreads(StateConformance):
    own_clock = True

    @pytest.fixture
    def stores(self, redis_url: str, tmp_path: Path) -> Stores:
        return opened("sqlite:///x.db", tmp_path, redis_url, awaited=True)


class TestRedisOfAnApp(StateConformance):
    """On a client that an app made, which gives texts or bytes."""

    own_clock = True

    @pytest.fixture(params=first(["plain-texts", "in-threads-bytes", "awaited-texts", "awaited-bytes"]))
    def stores(
        self, request: pytest.FixtureRequest, redis_url: str, tmp_path: Path, store_runner: asyncio.Runner
    ) -> Iterator[Stores]:
        kind, _, answers = request.param.rpartition("-")
        decodes = answers == "texts"
        if kind == "awaited":
            client = AsyncRedis.from_url(redis_url, decode_responses=decodes)
            yield opened("sqlite:///x.db", tmp_path, client, awaited=True)
            store_runner.run(client.aclose())
        else:
            with Redis.from_url(redis_url, decode_responses=decodes) as blocking:
                yield opened("sqlite:///x.db", tmp_path, blocking, awaited=kind != "plain")
