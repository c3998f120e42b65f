"""What a flow awaits besides calls to Configure: its stores, the app around it, and the emission of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..client.call import HttpCall
from ..events import Event
from ..runtime.effects import Effect, Flow, Pause, Shielded
from ..runtime.frozen import dataclass
from ..stores import Stores
from .app import App

__all__ = ["AskApp", "Emit", "Flow", "Pause", "SendBoth", "Shielded", "UseStore"]

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class SendBoth(Effect[tuple[T, U]]):
    """Two calls to Configure at the same time; the first failure of the two is raised."""

    first: HttpCall[T]
    second: HttpCall[U]


@dataclass(frozen=True)
class OpenAhead(Effect[None]):
    """Open so many connections to Configure in the background, for a user who comes back in half a minute."""

    count: int


@dataclass(frozen=True)
class Limited(Effect[T]):
    """A flow that calls Configure for a waiting user; raises `Busy` if too many do, or Configure doesn't respond."""

    flow: Flow[T]


@dataclass(frozen=True)
class Observed:
    """Seconds that a request has waited for Configure and for the store; whether the circuit is open."""

    configure: float
    store: float
    is_circuit_open: bool


@dataclass(frozen=True)
class Observe(Effect[Observed]):
    """Return what is known of this request so far."""


@dataclass(frozen=True)
class UseStore(Effect[T]):
    """One operation on the store, in a short transaction of its own."""

    operation: Callable[[Stores], T]


@dataclass(frozen=True)
class AskApp(Effect[T]):
    """One question to the app around the flow: its user, its session, its hooks."""

    question: Callable[[App], T]


@dataclass(frozen=True)
class Emit(Effect[None]):
    """Emit an event, after the commit that it reports. A handler that fails is logged and changes nothing else."""

    event: Event
