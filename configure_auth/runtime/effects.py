"""Effects: what a flow awaits instead of doing I/O itself.

A flow is a coroutine that awaits effects and other flows, and nothing else. It needs no event loop: one of two drivers
performs each effect and sends the result in, or throws the failure in where the effect was awaited.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeAlias, TypeVar

from .frozen import dataclass

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Flow: TypeAlias = Coroutine[Any, Any, T]
"""A coroutine that awaits effects only."""


class Effect(Generic[T_co]):
    """One request of a flow to its driver; `await effect` gives the result."""

    def __await__(self) -> Generator[Any, Any, T_co]:
        result: T_co = yield self
        return result


@dataclass(frozen=True)
class Shielded(Effect[T]):
    """A flow that runs to its end even if the request that started it is cancelled."""

    flow: Flow[T]


@dataclass(frozen=True)
class Pause(Effect[None]):
    """Wait, in seconds."""

    seconds: float
