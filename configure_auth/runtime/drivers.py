"""The two drivers of a flow: `run` blocks and needs no event loop, `arun` is awaited. They differ by `await` alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio

from .effects import Effect, Flow

log: logging.Logger = logging.getLogger(__name__)

T = TypeVar("T")


def run(flow: Flow[T] | Effect[T], perform: Callable[[Any], Any]) -> T:
    """Drive a flow to its value.

    Args:
        flow: the flow, or a single effect.
        perform: performs one effect. What it raises is thrown into the flow where the effect was awaited.

    Raises:
        TypeError: the flow awaited something that is not an effect, such as a coroutine of asyncio.
    """
    if isinstance(flow, Effect):
        value: T = perform(flow)
        return value
    try:
        effect = flow.send(None)
        while True:
            try:
                result = perform(_require_effect(effect))
            except Exception as error:  # noqa: BLE001  # handed to the flow, which handles it
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
                # Otherwise the traceback of a later failure, printed with its locals, contains a token or a body.
                del result
    except StopIteration as stop:
        returned: T = stop.value
        return returned
    finally:
        flow.close()


async def arun(flow: Flow[T] | Effect[T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """`run`, awaited. A cancelled task closes the flow where it stands."""
    if isinstance(flow, Effect):
        value: T = await perform(flow)
        return value
    try:
        effect = flow.send(None)
        while True:
            try:
                result = await perform(_require_effect(effect))
            except Exception as error:  # noqa: BLE001  # handed to the flow, which handles it
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
                # Otherwise the traceback of a later failure, printed with its locals, contains a token or a body.
                del result
    except StopIteration as stop:
        returned: T = stop.value
        return returned
    finally:
        flow.close()


def _require_effect(awaited: object) -> Effect[Any]:
    if not isinstance(awaited, Effect):
        raise TypeError(f"a flow can only await effects and other flows, not {type(awaited).__name__}")
    return awaited


async def shielded(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await a coroutine that a cancellation, asyncio's own or AnyIO's, delays but does not interrupt."""
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
