"""One blinker signal for each event: `account_linked.connect(handler)`, called as `handler(app, event=...)`."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable
from typing import Any, Generic, Protocol, TypeVar

from blinker import ANY, NamedSignal
from flask import Flask

from .. import events
from ..events import EVENTS, Event
from ..runtime.loops import failures

log: logging.Logger = logging.getLogger(__name__)

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)


class Handler(Protocol[E_contra]):
    """A handler of an event, plain or async."""

    def __call__(self, app: Flask, /, *, event: E_contra) -> object: ...


class Signal(NamedSignal, Generic[E]):
    """A signal that holds its handlers: one that is defined within an app's factory stays connected."""

    def connect(  # type: ignore[override]  # blinker's takes any function
        self, receiver: Handler[E], sender: Any = ANY, weak: bool = False
    ) -> Handler[E]:
        """Connect a handler; also a decorator.

        Args:
            sender: the app whose events it gets; those of every app by default.
            weak: disconnect it when nothing else refers to it.
        """
        return super().connect(receiver, sender, weak)


SIGNALS: dict[type[Event], Signal[Any]] = {
    event: Signal(re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()) for event in EVENTS
}
"""The signal of each event, by its class."""
globals().update({signal.name: signal for signal in SIGNALS.values()})

account_linked: Signal[events.AccountLinked]
account_unlinked: Signal[events.AccountUnlinked]
agent_claimed: Signal[events.AgentClaimed]
commit_failed: Signal[events.CommitFailed]
journey_completed: Signal[events.JourneyCompleted]
link_failed: Signal[events.LinkFailed]
logged_in: Signal[events.LoggedIn]
reconnect_needed: Signal[events.ReconnectNeeded]
sender_linked: Signal[events.SenderLinked]
sender_unlinked: Signal[events.SenderUnlinked]
sign_in_started: Signal[events.SignInStarted]
token_refreshed: Signal[events.TokenRefreshed]


def emit(app: Flask, event: Event) -> None:
    for receiver in SIGNALS[type(event)].receivers_for(app):
        try:
            made = receiver(app, event=event)
            if inspect.isawaitable(made):
                import anyio

                anyio.run(_finish, made)
        except failures():  # one handler's failure must not stop the others
            log.exception("a receiver of %s failed", type(event).__name__)


async def _finish(made: Awaitable[object]) -> None:
    await made
