"""Scripted trouble: forced answers, delays, drips, dropped connections, and requests held until a test lets go."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .values import Origin

Body = str | bytes | Mapping[str, object]
WAIT_SECONDS: Final = 10.0


@dataclass(slots=True)
class Fault:
    """See `Sandbox.fault` for the fields."""

    origin: Origin
    path: str
    method: str | None
    status: int | None
    body: bytes | None
    content_type: str | None
    headers: Mapping[str, str]
    delay: float
    drip: float
    drop: bool
    cut: int | None
    handled: bool
    left: int | None

    @property
    def replaces(self) -> bool:
        """Whether it takes the place of the endpoint's own answer."""
        return self.status is not None or self.body is not None

    def matches(self, origin: str, method: str, path: str) -> bool:
        return (self.origin, self.path) == (origin, path) and self.method in {None, method}


def body_bytes(body: Body | None) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


class Arrivals:
    """Counts the requests that wait at a hold."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        with self._condition:
            return self._count

    def wait(self, number: int = 1, timeout: float = WAIT_SECONDS) -> None:
        """Waits until `number` requests have arrived. Raises TimeoutError after `timeout` seconds."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._count >= number, timeout):
                raise TimeoutError(f"{self._count} of {number} requests arrived within {timeout} s")

    def add(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()


@dataclass(slots=True)
class Hold:
    """A gate before an endpoint. Requests that come after `release()` pass at once."""

    origin: Origin
    path: str
    method: str | None
    arrived: Arrivals = field(default_factory=Arrivals)
    released: bool = False
    _waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def release(self) -> None:
        """Lets every request go on."""
        with self._lock:
            self.released = True
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def matches(self, origin: str, method: str, path: str) -> bool:
        return (self.origin, self.path) == (origin, path) and self.method in {None, method}

    async def wait(self) -> None:
        event = asyncio.Event()
        with self._lock:
            if self.released:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        self.arrived.add()
        await event.wait()


class Faults:
    """The faults and holds of a sandbox. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._holds: list[Hold] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def add_hold(self, hold: Hold) -> None:
        with self._lock:
            self._holds.append(hold)

    def remove_hold(self, hold: Hold) -> None:
        with self._lock:
            self._holds = [other for other in self._holds if other is not hold]
        hold.release()

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def release_all(self) -> None:
        with self._lock:
            holds, self._holds = self._holds, []
        for hold in holds:
            hold.release()

    def take(self, origin: str, method: str, path: str) -> Fault | None:
        """The first fault that is left for this request; uses it once."""
        with self._lock:
            for fault in self._faults:
                if fault.left != 0 and fault.matches(origin, method, path):
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def hold_for(self, origin: str, method: str, path: str) -> Hold | None:
        with self._lock:
            return next((h for h in self._holds if not h.released and h.matches(origin, method, path)), None)
