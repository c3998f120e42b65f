"""How the tests of the kit ask a store: one call after the other, or many at the same time; plain or awaited."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any, ClassVar, Protocol, TypeVar, cast

import pytest

from ...errors import StoreError
from ...stores import Stores
from .records import ODD_IDS

T = TypeVar("T")

CONTESTANTS = 10
"""How many threads, or tasks, want the same thing at once."""

ROUNDS = 3
"""How often they do."""


class AtOnce(Protocol):
    def __call__(self, step: Callable[..., T], /, *given: object) -> list[T]:
        """Let each contestant take the step, with the stores, its number and what is given, all at the same time.

        What each of them got.
        """


class Conformance:
    own_clock: ClassVar[bool] = False

    @pytest.fixture
    def store_runner(self) -> Iterator[asyncio.Runner]:
        """The event loop of one test."""
        with asyncio.Runner() as runner:
            yield runner

    @pytest.fixture
    def kept(self, stores: Stores, store_runner: asyncio.Runner) -> Iterator[Stores]:
        """The stores, with plain methods."""

        def plain(store: object) -> Any:
            return _Plain(store, store_runner)

        names = [field.name for field in fields(stores) if field.name != "close"]
        yield replace(stores, **{name: plain(getattr(stores, name)) for name in names})
        _waited(stores.close(), store_runner)

    @pytest.fixture
    def at_once(self, stores: Stores, kept: Stores, store_runner: asyncio.Runner) -> AtOnce:
        # It gives back what nobody holds: that does nothing, and tells how the store is asked. `kept` closes it.
        said = cast(object, stores.leases.release("asked how", owner="nobody"))
        awaited = inspect.isawaitable(said)
        _waited(said, store_runner)

        def race(step: Callable[..., T], /, *given: object) -> list[T]:
            def take(number: int) -> T:
                return step(stores, number, *given)

            return store_runner.run(_tasks(take)) if awaited else _threads(take)

        return race


class _Plain:
    """A store whose methods are waited for, where they are to be awaited."""

    def __init__(self, store: object, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        return lambda *given, **named: _waited(method(*given, **named), self._runner)


def _waited(said: object, runner: asyncio.Runner) -> object:
    return runner.run(_result(said)) if inspect.isawaitable(said) else said


async def _result(said: Awaitable[T]) -> T:
    return await said


TRIES = 10
"""How often a step is taken whose store can't do it now: nothing was done, so it's the same step."""


async def _tasks(step: Callable[[int], Any]) -> list[Any]:
    async def patiently(number: int) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await step(number)
            except StoreError:
                continue
        return await step(number)

    return await asyncio.gather(*(patiently(number) for number in range(CONTESTANTS)))


def _threads(step: Callable[[int], T]) -> list[T]:
    ready = threading.Barrier(CONTESTANTS)

    def patiently(number: int) -> T:
        ready.wait()
        for _ in range(TRIES - 1):
            try:
                return step(number)
            except StoreError:
                continue
        return step(number)

    with ThreadPoolExecutor(CONTESTANTS) as pool:
        return list(pool.map(patiently, range(CONTESTANTS)))


def purge_all(store: Any, *, now: float) -> int:
    """Purge until nothing is left; return how many went."""
    gone = 0
    for _ in range(100):
        if not (step := store.purge(now=now)):
            return gone
        gone += step
    raise AssertionError("a purge finds something for ever")


def paged(store: Any, key: Callable[[Any], Any], limit: int) -> list[Any]:
    """Return the keys of what all pages of agent "a" have, one page after the other."""
    found: list[Any] = []
    while page := store.page("a", after=found[-1] if found else None, limit=limit):
        assert len(page) <= limit
        found += map(key, page)
        assert len(found) <= len(ODD_IDS), "a page comes again"
    return found
