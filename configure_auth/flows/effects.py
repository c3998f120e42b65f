"""How a flow asks for the world: it yields effects, and one of two drivers performs them.

A flow is a generator that does no I/O. It yields an effect and is sent the result, or has the failure thrown in at that
place, so that `except` in the flow is the one place where errors are judged. `run` and `arun` differ by `await` alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ..client.call import Call
from ..runtime.drivers import arun_steps, run_steps

if TYPE_CHECKING:
    from ..events import Event
    from ..stores import Stores
    from .app import App

__all__ = ["Effect", "Flow", "arun", "ask", "both", "pause", "run", "send", "tell", "use", "whole"]

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Send:
    """One call to Configure."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Both:
    """Two calls to Configure at the same time; the first failure of the two is the failure."""

    first: Call[Any]
    second: Call[Any]


@dataclass(frozen=True, slots=True)
class Use:
    """One operation on the store, in a short transaction of its own."""

    operation: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to the app around us: its user, its session, its hooks."""

    question: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Tell:
    """An event, after the commit that it tells of."""

    event: Event


@dataclass(frozen=True, slots=True)
class Whole:
    """A flow that runs to its end even if the client that asked for it has gone meanwhile."""

    flow: Flow[Any]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait a little, in seconds."""

    seconds: float


Effect: TypeAlias = Send | Both | Use | Ask | Tell | Whole | Pause
Flow: TypeAlias = Generator[Effect, Any, T]


# Sub-generators give the types back that `yield` loses: `grant = yield from send(call)`.


def send(call: Call[T]) -> Flow[T]:
    result: T = yield Send(call)
    return result


def both(first: Call[T], second: Call[U]) -> Flow[tuple[T, U]]:
    result: tuple[T, U] = yield Both(first, second)
    return result


def use(operation: Callable[[Stores], T]) -> Flow[T]:
    result: T = yield Use(operation)
    return result


def ask(question: Callable[[App], T]) -> Flow[T]:
    result: T = yield Ask(question)
    return result


def tell(event: Event) -> Flow[None]:
    yield Tell(event)


def whole(flow: Flow[T]) -> Flow[T]:
    result: T = yield Whole(flow)
    return result


def pause(seconds: float) -> Flow[None]:
    yield Pause(seconds)


class Runtime(Protocol):
    """What performs effects where a call may block."""

    def perform(self, effect: Effect) -> Any: ...


class AsyncRuntime(Protocol):
    """What performs effects on an event loop."""

    def perform(self, effect: Effect) -> Awaitable[Any]: ...


def run(flow: Flow[T], runtime: Runtime) -> T:
    """Drive a flow to its value; a failed effect is thrown into the flow."""
    return run_steps(flow, runtime.perform)


async def arun(flow: Flow[T], runtime: AsyncRuntime) -> T:
    """`run`, awaited. A cancelled task closes the flow where it stands, or after the `Whole` part that it is in."""
    return await arun_steps(flow, runtime.perform)
