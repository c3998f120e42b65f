"""Stores as an app opens them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from configure_auth.stores import Stores
from configure_auth.stores.databases import BUSY_SECONDS
from configure_auth.stores.opening import open_stores

__all__ = ["LEFT_SOCKETS", "awaitable", "opened"]

LEFT_SOCKETS = [pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")] * (
    int(redis.__version__.partition(".")[0]) < 6
)
"""Marks of a test in which redis-py before 6 leaves a socket that it had opened to the garbage collector."""


def opened(
    store: Any,
    folder: Path,
    states: Any = None,
    *,
    awaited: bool = False,
    agent: str = "a",
    fingerprints: tuple[str, ...] = ("f",),
    busy: float = BUSY_SECONDS,
) -> Stores:
    return open_stores(
        store,
        states,
        agent=agent,
        fingerprints=fingerprints,
        folder=folder,
        awaited=awaited,
        local=True,
        busy=busy,
    )


def awaitable(step: object) -> Any:
    """What a method of an asynchronous store gives; a Protocol knows plain methods only."""
    return step
