"""Every store that the suite runs on, by a short name, as arguments of `ConfigureAuth`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .servers import PostgreSQL, RedisServer, postgresql_here, redis_here

__all__ = [
    "DEFAULT_STORE",
    "STORES",
    "StoresAt",
    "first",
    "parametrize_stores",
    "postgresql",
    "redis_server",
    "shared_stores",
    "stores_at",
]

STORES = ("sqlite", "memory", "postgresql", "redis")
DEFAULT_STORE = "memory"

StoresAt = Callable[[str, Path], Mapping[str, str]]
"""From a store's name and an app's folder to its arguments: the same store for the same folder."""


def first(values: Iterable[Any], *, count: int = 1, rows: bool = False) -> list[Any]:
    """Parameters of which `make test` runs the first `count`; the others are `extended`.

    With `rows` each is a tuple with a value for each of several names.
    """
    return [
        value if number < count else pytest.param(*(value if rows else (value,)), marks=pytest.mark.extended)
        for number, value in enumerate(values)
    ]


def parametrize_stores(metafunc: pytest.Metafunc) -> None:
    """Give the fixture `store` of tests marked `all_stores` each of `STORES`, unless the test names its stores."""
    marker = metafunc.definition.get_closest_marker("all_stores")
    if marker is None or "store" not in metafunc.fixturenames:
        return
    if any("store" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")):
        return
    count = len(STORES) if marker.kwargs.get("always") else 1
    metafunc.parametrize("store", first(STORES, count=count), indirect=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with postgresql_here() as server:
        if server is None:
            pytest.skip("PostgreSQL isn't here: install it, or set CONFIGURE_TEST_POSTGRES_URL")
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with redis_here() as server:
        if server is None:
            pytest.skip("Redis isn't here: install it, or set CONFIGURE_TEST_REDIS_URL")
        yield server


@contextmanager
def shared_stores(name: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """A store of its own, as arguments; every process that is given them shares it."""
    with ExitStack() as stack:
        if name == "memory":
            yield {"store": "memory://"}
        elif name == "postgresql":
            server: PostgreSQL = request.getfixturevalue("postgresql")
            yield {"store": stack.enter_context(server.schema())}
        else:
            arguments = {"store": f"sqlite:///{folder / 'configure.db'}"}
            if name == "redis":
                redis: RedisServer = request.getfixturevalue("redis_server")
                arguments["states"] = stack.enter_context(redis.database())
            yield arguments


@pytest.fixture
def stores_at(request: pytest.FixtureRequest) -> Iterator[StoresAt]:
    known: dict[tuple[str, Path], Mapping[str, str]] = {}
    with ExitStack() as stack:

        def at(name: str, folder: Path) -> Mapping[str, str]:
            if (name, folder) not in known:
                known[name, folder] = stack.enter_context(shared_stores(name, folder, request))
            return known[name, folder]

        yield at
