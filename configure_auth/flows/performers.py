"""What performs the effects of a flow: an API client, the stores, the app of the request, and a listener of events."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import field
from functools import partial
from typing import Any

from ..client.call import HttpCall
from ..client.client import AsyncConfigure, Configure
from ..errors import ApiCode, ConfigureError
from ..events import Event
from ..runtime.circuit import Circuit
from ..runtime.drivers import arun, run
from ..runtime.effects import Effect
from ..runtime.frozen import dataclass
from ..runtime.loops import failures, is_cancelled, shielded
from ..stores import Stores
from .effects import AskApp, Emit, Limited, Observe, Observed, OpenAhead, Pause, SendBoth, Shielded, UseStore

log: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Performer:
    """Performs effects by blocking. `app` is the adapter's object for this request, None outside of one."""

    client: Configure
    stores: Stores
    app: Any
    emit: Callable[[Event], object]
    circuit: Circuit = field(default_factory=Circuit)
    spent: dict[str, float] = field(default_factory=dict)

    def __call__(self, effect: Effect[Any]) -> Any:
        match effect:
            case HttpCall():
                with _called(self):
                    return self.client.send(effect)
            case SendBoth(first, second):
                with _called(self):
                    return self.client.send_both(first, second)
            case OpenAhead(count):
                return self.client.open_ahead(count)
            case Limited(flow):
                with closing(flow), self.circuit.passage():
                    return run(flow, self)
            case UseStore(operation):
                with _timed(self, "store"):
                    return operation(self.stores)
            case AskApp(question):
                return question(self.app)
            case Emit(event):
                try:
                    return self.emit(event)
                except failures():  # what the event reports is committed, and must not look undone
                    log.exception("a handler of %s failed", type(event).__name__)
            case Shielded(flow):
                return run(flow, self)
            case Observe():
                return _observed(self)
            case Pause(seconds):
                return time.sleep(seconds)
            case _:
                raise TypeError(f"{type(effect).__name__} is not an effect of this package")


@dataclass(frozen=True)
class AsyncPerformer:
    """`Performer`, awaited. Stores, app and handlers may be synchronous or not."""

    client: AsyncConfigure
    stores: Any
    app: Any
    emit: Callable[[Event], Any]
    circuit: Circuit = field(default_factory=Circuit)
    spent: dict[str, float] = field(default_factory=dict)

    async def __call__(self, effect: Effect[Any]) -> Any:
        match effect:
            case HttpCall():
                with _called(self):
                    return await self.client.send(effect)
            case SendBoth(first, second):
                with _called(self):
                    return await self.client.send_both(first, second)
            case OpenAhead(count):
                return await self.client.open_ahead(count)
            case Limited(flow):
                with closing(flow), self.circuit.passage():
                    return await arun(flow, self)
            case UseStore(operation):
                with _timed(self, "store"):
                    return await _awaited(operation(self.stores))
            case AskApp(question):
                return await _awaited(question(self.app))
            case Emit(event):
                try:
                    return await _awaited(self.emit(event))
                except failures():  # what the event reports is committed, and must not look undone
                    if is_cancelled():
                        raise
                    log.exception("a handler of %s failed", type(event).__name__)
            case Shielded(flow):
                return await shielded(partial(arun, flow, self))
            case Observe():
                return _observed(self)
            case Pause(seconds):
                import anyio

                return await anyio.sleep(seconds)
            case _:
                raise TypeError(f"{type(effect).__name__} is not an effect of this package")


@contextmanager
def _timed(performer: Performer | AsyncPerformer, name: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        performer.spent[name] = performer.spent.get(name, 0.0) + time.perf_counter() - began


@contextmanager
def _called(performer: Performer | AsyncPerformer) -> Iterator[None]:
    circuit = performer.circuit
    try:
        with _timed(performer, "configure"):
            yield
    except ConfigureError as error:
        # A call that was never sent for what is in it says nothing of Configure.
        if error.code != ApiCode.INVALID_INPUT:
            circuit.report(responded=error.code not in (ApiCode.TIMEOUT, ApiCode.NETWORK_ERROR))
        raise
    circuit.report(responded=True)


def _observed(performer: Performer | AsyncPerformer) -> Observed:
    spent = performer.spent
    return Observed(spent.get("configure", 0.0), spent.get("store", 0.0), performer.circuit.is_open)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
