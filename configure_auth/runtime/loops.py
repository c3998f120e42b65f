"""Values that belong to one event loop, such as a pool of connections, and are closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel

from .forks import abandon

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each running loop, asyncio's or trio's, created on first use.

    Args:
        make: creates it; called on the loop.
        end: closes it; awaited on the loop, by `aclose` or when the loop itself ends.
    """

    def __init__(self, make: Callable[[], T], end: Callable[[T], Awaitable[object]] | None = None) -> None:
        self._make = make
        self._end = end
        self._made: dict[_Loop, tuple[T, AsyncGenerator[None]]] = {}

    async def get(self) -> T:
        """Return the running loop's value."""
        loop = _Loop.running()
        if loop not in self._made:
            # A loop that was closed without finishing its generators can't close anything any more.
            for other in list(self._made):
                if other.is_closed:
                    self._made.pop(other, None)
            value = self._make()
            keeper = self._keep(loop, value)
            self._made[loop] = value, keeper
            await anext(keeper)
        return self._made[loop][0]

    async def _keep(self, loop: _Loop, value: T) -> AsyncGenerator[None]:
        # asyncio and trio both finish the asynchronous generators of a loop before it ends, so this one, suspended all
        # the time, closes the value on the loop that it belongs to.
        try:
            yield
        finally:
            self._made.pop(loop, None)
            if self._end is not None:
                await self._end(value)

    async def aclose(self) -> None:
        """Close the running loop's value. `get` creates a new one."""
        made = self._made.pop(_Loop.running(), None)
        if made is not None:
            await made[1].aclose()

    def abandon(self) -> None:
        """After a fork: leave every value, unclosed, to the process that created it."""
        abandon(self._made)
        self._made = {}


def worker_threads() -> PerLoop[anyio.CapacityLimiter]:
    """Capacity for worker threads of our own: a store that hangs must not take those of the app's endpoints."""
    return PerLoop(lambda: anyio.CapacityLimiter(40))


def is_cancelled() -> bool:
    """Whether the running task of asyncio is cancelled; else a `CancelledError` is of something that it awaited."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


async def settled(future: Future[Any], limit: float) -> None:
    """Wait on the running loop for the result of a thread, at most `limit` seconds."""
    done, soon = anyio.Event(), _into_the_loop()

    def wake(_future: Future[Any]) -> None:
        # The loop may have ended, and with it the waiting task.
        with suppress(RuntimeError):
            soon(done.set)

    future.add_done_callback(wake)
    with anyio.move_on_after(limit):
        await done.wait()


def _into_the_loop() -> Callable[[Callable[[], object]], object]:
    """Return a function that schedules a call on the running loop from any thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon


class _Loop:
    """A running event loop, as a key."""

    def __init__(self) -> None:
        try:
            self._asyncio: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._asyncio = None

    @property
    def is_closed(self) -> bool:
        return self._asyncio is not None and self._asyncio.is_closed()

    @classmethod
    def running(cls) -> _Loop:
        loop = _loops.get(None)
        if loop is None:
            loop = cls()
            _loops.set(loop)
        return loop


_loops: anyio.lowlevel.RunVar[_Loop | None] = anyio.lowlevel.RunVar("configure_auth_loop")
