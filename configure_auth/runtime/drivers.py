"""The two drivers of a flow: `run` blocks and needs no event loop, `arun` is awaited. They differ by `await` alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from .effects import Effect, Flow

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
