"""What performs the effects of a flow: a client, the stores, the app, and whoever wants to hear of events."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from ..client.client import AsyncConfigure, Configure
from ..events import Event
from ..stores import Stores
from .effects import Ask, Both, Effect, Pause, Send, Tell, Use, Whole, arun, run

__all__ = ["AsyncRuntime", "Runtime"]

log = logging.getLogger("configure_auth")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Performs effects by blocking. `app` is the adapter's object for this request, None outside of one."""

    client: Configure
    stores: Stores
    app: Any
    tell: Callable[[Event], object]

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Send(call):
                return self.client.send(call)
            case Both(first, second):
                return self.client.send_both(first, second)
            case Use(operation):
                return operation(self.stores)
            case Ask(question):
                return question(self.app)
            case Tell(event):
                try:
                    return self.tell(event)
                except Exception:  # what it tells of is committed, and must not look undone
                    log.exception("a handler of %s failed", type(event).__name__)
            case Whole(flow):
                return run(flow, self)
            case Pause(seconds):
                return time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class AsyncRuntime:
    """`Runtime`, awaited. Stores, app and handlers may be synchronous or not."""

    client: AsyncConfigure
    stores: Any
    app: Any
    tell: Callable[[Event], Any]

    async def perform(self, effect: Effect) -> Any:
        match effect:
            case Send(call):
                return await self.client.send(call)
            case Both(first, second):
                return await self.client.send_both(first, second)
            case Use(operation):
                return await _awaited(operation(self.stores))
            case Ask(question):
                return await _awaited(question(self.app))
            case Tell(event):
                try:
                    return await _awaited(self.tell(event))
                except Exception:  # what it tells of is committed, and must not look undone
                    log.exception("a handler of %s failed", type(event).__name__)
            case Whole(flow):
                return await _to_its_end(partial(arun, flow, self))
            case Pause(seconds):
                return await anyio.sleep(seconds)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _to_its_end(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Await something that a cancellation, which may be asyncio's own or AnyIO's, only makes wait."""
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
                log.warning("what a cancelled request was doing failed: %s", type(task.exception()).__name__)
            raise cancelled
        return task.result()
