"""One blinker signal for each event: `account_linked.connect(handler)`, called as `handler(app, event=...)`."""

from __future__ import annotations

import re

from blinker import NamedSignal, Namespace
from flask import Flask

from ..events import EVENTS, Event

__all__ = ["SIGNALS", "emit"]

_namespace = Namespace()

SIGNALS: dict[type[Event], NamedSignal] = {
    event: _namespace.signal(re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()) for event in EVENTS
}
globals().update({signal.name: signal for signal in SIGNALS.values()})


def emit(app: Flask, event: Event) -> None:
    SIGNALS[type(event)].send(app, event=event)


def __getattr__(name: str) -> NamedSignal:
    raise AttributeError(name)
