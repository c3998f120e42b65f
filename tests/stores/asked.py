"""How tests ask a store, and for an attempt that it keeps."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from configure_auth.stores import Stores
from configure_auth.testing.conformance.records import NOW
from configure_auth.values import PendingSignIn

MODES = ("plain", "in-threads", "awaited")
"""How a store is asked."""


def waited(runner: asyncio.Runner, step: Callable[[], object]) -> Any:
    """What a step gives, on whichever kind of store."""

    async def on_the_loop() -> Any:
        said = step()
        return await said if inspect.isawaitable(said) else said

    return runner.run(on_the_loop())


def claimed(stores: Stores, record: PendingSignIn) -> PendingSignIn | None:
    return stores.states.claim(
        record.state_hash, browser_hash=record.browser_hash, intent=record.intent, agent=record.agent, now=NOW + 1
    )


def found(stores: Stores, record: PendingSignIn, now: float = NOW + 1) -> PendingSignIn | None:
    return stores.states.read(
        record.state_hash, browser_hash=record.browser_hash, intent=record.intent, agent=record.agent, now=now
    )
