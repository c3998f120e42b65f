"""One blinker signal for each event: `account_linked.connect(handler)`, called as `handler(app, event=...)`."""

from __future__ import annotations

import logging
import re

from blinker import NamedSignal, Namespace
from flask import Flask

from ..events import EVENTS, Event

__all__ = ["SIGNALS"]

log: logging.Logger = logging.getLogger("configure_auth")

_namespace = Namespace()

SIGNALS: dict[type[Event], NamedSignal] = {
    event: _namespace.signal(re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()) for event in EVENTS
}
"""The signal of each event, by its class."""
globals().update({signal.name: signal for signal in SIGNALS.values()})


def emit(app: Flask, event: Event) -> None:
    for receiver in SIGNALS[type(event)].receivers_for(app):
        try:
            receiver(app, event=event)
        except Exception:  # one receiver's failure is none of the others', nor undoes what it was told of
            log.exception("a receiver of %s failed", type(event).__name__)


def __getattr__(name: str) -> NamedSignal:  # tells type checkers what the names above are
    raise AttributeError(name)
