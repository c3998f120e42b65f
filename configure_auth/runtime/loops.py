"""Event loops: values that belong to one, such as a pool of connections, and what is awaited on one.

A process without one, such as Flask's, imports neither asyncio nor AnyIO, which take a fifth of its start.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .forks import abandon

if TYPE_CHECKING:
    import asyncio

    import anyio
    from anyio.lowlevel import RunVar

log: logging.Logger = logging.getLogger(__name__)

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
    import anyio

    return PerLoop(lambda: anyio.CapacityLimiter(40))


def failures() -> tuple[type[BaseException], ...]:
    """Return what a handler of the app may fail with: `except failures():` imports asyncio after a failure only."""
    from asyncio import CancelledError

    return Exception, CancelledError


def is_cancelled() -> bool:
    """Whether the running task of asyncio is cancelled; else a `CancelledError` is of something that it awaited."""
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


async def shielded(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a coroutine that a cancellation, asyncio's own or AnyIO's, delays but does not interrupt."""
    import asyncio

    import anyio

    with anyio.CancelScope(shield=True):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return await make()
        # A scope stops AnyIO's cancellations only; `asyncio.timeout` and a server's shutdown cancel the task itself.
        task = asyncio.create_task(make())
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            if not task.cancelled() and task.exception() is not None:
                log.warning("the shielded part of a cancelled request failed: %s", type(task.exception()).__name__)
            raise cancelled
    return task.result()


async def settled(future: Future[Any], limit: float) -> None:
    """Wait on the running loop for the result of a thread, at most `limit` seconds."""
    import anyio

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
    import asyncio

    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon


class _Loop:
    """A running event loop, as a key."""

    def __init__(self) -> None:
        import asyncio

        try:
            self._asyncio: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._asyncio = None

    @property
    def is_closed(self) -> bool:
        return self._asyncio is not None and self._asyncio.is_closed()

    @classmethod
    def running(cls) -> _Loop:
        loop = _loops().get(None)
        if loop is None:
            loop = cls()
            _loops().set(loop)
        return loop


@cache
def _loops() -> RunVar[_Loop | None]:
    from anyio.lowlevel import RunVar

    return RunVar("configure_auth_loop")
