"""Races run on both stores with Flask, and on SQLite with Starlette, in one app unless a test starts processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from configure_auth.sandbox import Sandbox

from ..behaviour.conftest import browser, make_web, web
from ..support.processes import AppProcess, Machine
from ..support.visitor import Visitor
from ..support.web import Adapter, Web

__all__ = ["browser", "make_web", "web"]

PLACES = ("flask-memory", "flask-sqlite", "starlette-sqlite")


@pytest.fixture(params=PLACES)
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


@pytest.fixture(scope="session")
def running_pair(
    configure_sandbox_server: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Machine, tuple[AppProcess, AppProcess]]]:
    with Machine(configure_sandbox_server, tmp_path_factory.mktemp("pair")) as machine:
        first, second = machine.start(2)
        yield machine, (first, second)


@pytest.fixture
def pair(running_pair: tuple[Machine, tuple[AppProcess, AppProcess]], configure_sandbox: Sandbox) -> Pair:
    machine, processes = running_pair
    machine.renew()
    number = next(_numbers)
    return Pair(machine, processes, f"user-{number}", f"+1555010{number:04}")


@pytest.fixture
def machine(configure_sandbox: Sandbox, tmp_path: Path) -> Iterator[Machine]:
    """For a test that starts, and ends, processes of its own."""
    with Machine(configure_sandbox, tmp_path) as machine:
        yield machine


_numbers = itertools.count(1000)
