"""Races run on every store with Flask, and on two with Starlette, in one app unless a test starts processes.

Tests of several processes run on every store that processes can share. `make test` runs one place of each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from configure_auth.sandbox import Sandbox

from ..behaviour.conftest import browser, make_web, web
from ..support.processes import AppProcess, Machine
from ..support.stores import StoresAt, first, shared_stores
from ..support.visitor import Visitor
from ..support.web import Adapter, Web

__all__ = ["browser", "make_web", "web"]

PLACES = ("flask-sqlite", "flask-memory", "flask-postgresql", "flask-redis", "starlette-sqlite", "starlette-postgresql")
DURABLE = ("sqlite", "postgresql", "redis")


@pytest.fixture(params=first(PLACES))
def place(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def adapter(place: str) -> Adapter:
    return "flask" if place.startswith("flask") else "starlette"


@pytest.fixture
def store(place: str) -> str:
    return place.partition("-")[2]


@pytest.fixture
def visitor(web: Web) -> Visitor:
    return Visitor.of(web)


@dataclass(frozen=True)
class Pair:
    """One app in two processes, which live as long as the session: a test takes users and phones of its own."""

    machine: Machine
    processes: tuple[AppProcess, AppProcess]
    user_id: str
    phone: str

    @property
    def sandbox(self) -> Sandbox:
        return self.machine.sandbox

    @property
    def ports(self) -> tuple[int, int]:
        return self.processes[0].port, self.processes[1].port

    def visitor(self) -> Visitor:
        return self.machine.visitor(self.processes[0])


@pytest.fixture(params=first(DURABLE))
def durable(request: pytest.FixtureRequest) -> str:
    """The name of a store that several processes share."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def running_pairs(
    configure_sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], tuple[Machine, tuple[AppProcess, AppProcess]]]:
    pairs: dict[str, tuple[Machine, tuple[AppProcess, AppProcess]]] = {}

    def pair(durable: str) -> tuple[Machine, tuple[AppProcess, AppProcess]]:
        if durable not in pairs:
            folder, stack = tmp_path_factory.mktemp("pair"), ExitStack()
            stores = stack.enter_context(shared_stores(durable, folder, request))
            # Of the session, and said after the store's server was started, so that this ends before the server does.
            request.session.addfinalizer(stack.close)
            machine = stack.enter_context(Machine(configure_sandbox_server, folder, stores))
            first, second = machine.start(2)
            pairs[durable] = machine, (first, second)
        return pairs[durable]

    return pair


@pytest.fixture
def pair(
    running_pairs: Callable[[str], tuple[Machine, tuple[AppProcess, AppProcess]]],
    durable: str,
    configure_sandbox: Sandbox,
) -> Pair:
    machine, processes = running_pairs(durable)
    machine.renew()
    number = next(_numbers)
    return Pair(machine, processes, f"user-{number}", f"+1555010{number:04}")


@pytest.fixture
def machine(configure_sandbox: Sandbox, durable: str, stores_at: StoresAt, tmp_path: Path) -> Iterator[Machine]:
    """For a test that starts, and ends, processes of its own."""
    with Machine(configure_sandbox, tmp_path, stores_at(durable, tmp_path)) as machine:
        yield machine


_numbers = itertools.count(1000)
