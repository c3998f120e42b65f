"""A few calls, one after another, written once: a generator yields them and is sent their values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

__all__ = ["arun_steps", "run_steps"]

S = TypeVar("S")
T = TypeVar("T")


def run_steps(steps: Generator[S, Any, T], perform: Callable[[S], Any]) -> T:
    """Drive a generator to its value; a step that fails is thrown in at the place that yielded it."""
    try:
        step = next(steps)
        while True:
            try:
                value = perform(step)
            except Exception as error:  # noqa: BLE001  # handed to the generator, which judges it
                step = steps.throw(error)
            else:
                step = steps.send(value)
                # Or a later failure's traceback, which may be shown with its locals, had a token or a body in it.
                del value
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


async def arun_steps(steps: Generator[S, Any, T], perform: Callable[[S], Awaitable[Any]]) -> T:
    """`run_steps`, awaited. A cancelled task closes the generator where it stands."""
    try:
        step = next(steps)
        while True:
            try:
                value = await perform(step)
            except Exception as error:  # noqa: BLE001  # handed to the generator, which judges it
                step = steps.throw(error)
            else:
                step = steps.send(value)
                # Or a later failure's traceback, which may be shown with its locals, had a token or a body in it.
                del value
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()
