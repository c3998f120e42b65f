"""Waiting on an event loop for what a thread does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import anyio
import pytest

from configure_auth.runtime.loops import settled

BACKENDS = ("asyncio", "trio")


class Watched(Future[None]):
    """Says when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def add_done_callback(self, fn: Callable[[Future[None]], object]) -> None:
        super().add_done_callback(fn)
        self.awaited.set()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("failed", [False, True])
def test_a_loop_that_sleeps_is_woken(backend: str, failed: bool) -> None:
    future = Watched()

    async def main() -> None:
        await settled(future, 3600)

    loop = threading.Thread(target=lambda: anyio.run(main, backend=backend), daemon=True)
    loop.start()
    assert future.awaited.wait(10)
    if failed:
        future.set_exception(LookupError())
    else:
        future.set_result(None)
    loop.join(10)

    assert not loop.is_alive()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_done_already_is_not_waited_for(backend: str) -> None:
    async def main() -> None:
        done: Future[None] = Future()
        done.set_result(None)
        with anyio.fail_after(10):
            await settled(done, 3600)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_there_is_a_limit(backend: str) -> None:
    async def main() -> None:
        with anyio.fail_after(10):
            await settled(Future(), 0.01)

    anyio.run(main, backend=backend)
