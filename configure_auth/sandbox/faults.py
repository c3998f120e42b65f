"""Scripted trouble: forced answers, delays, drips, dropped connections, and requests held until a test lets go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import threading
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

from .values import Origin

Body = str | bytes | Mapping[str, object]
WAIT_SECONDS: Final = 10.0


_MOST_SECONDS: Final = 86_400.0
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


@dataclass(slots=True)
class Fault:
    """See `Sandbox.fault` for the fields. Raises ValueError for values that can't be played."""

    path: str
    method: str | None = None
    status: int | None = None
    body: bytes | None = None
    content_type: str | None = None
    delay: float | None = None
    drip: float | None = None
    drop: bool = False
    cut: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None
    handled: bool = False
    origin: Origin = "api"
    left: int | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if reason := self._impossible():
            raise ValueError(reason)
        self.left = self.times

    def __str__(self) -> str:
        """The line that `Sandbox.script` reads."""
        return " ".join(filter(None, [self.method, self.path, *(_word(self, one) for one in WORDS.values())]))

    @property
    def replaces(self) -> bool:
        """Whether it takes the place of the endpoint's own answer."""
        return self.status is not None or self.body is not None

    def matches(self, origin: str, method: str, path: str) -> bool:
        return (self.origin, self.path) == (origin, path) and self.method in {None, method}

    def _impossible(self) -> str | None:
        if self.status is not None and not 200 <= self.status <= 599:
            return "status must be from 200 to 599"
        if self.times is not None and self.times < 1:
            return "times must be 1 or more; leave it out for always"
        for name, seconds in (("delay", self.delay), ("drip", self.drip)):
            if seconds is not None and not 0 <= seconds <= _MOST_SECONDS:
                return f"{name} must be seconds, from 0 to {_MOST_SECONDS:.0f}"
        if self.cut is not None and self.cut < 0:
            return "cut must be a number of bytes, 0 or more"
        for name, value in (*self.headers.items(), ("Content-Type", self.content_type or "")):
            if not _TOKEN.fullmatch(name) or not _PRINTABLE.fullmatch(value) or name.lower() in _FRAMING:
                return f"the header {name!r} can't be sent so"
        if self.body and self.status in {204, 304}:
            return f"an answer of status {self.status} has no body"
        if self.drop and (self.replaces or self.headers or self.drip or self.cut is not None):
            return "drop sends no answer, so nothing of an answer can be set beside it"
        if self.cut is not None and self.drip:
            return "cut and drip exclude each other"
        if not (self.replaces or self.headers or self.delay or self.drip or self.drop or self.cut is not None):
            return "nothing goes wrong by it; say status, body, headers, delay, drip, drop or cut"
        return None


WORDS: Final[Mapping[str, Field[Any]]] = MappingProxyType(
    {one.name: one for one in fields(Fault) if one.init and one.name not in {"path", "method"}}
)
"""What a fault can say beside its method and path."""


def _word(fault: Fault, one: Field[Any]) -> str:
    value: object = getattr(fault, one.name)
    if isinstance(value, Mapping):
        return " ".join(f"{one.name}={shlex.quote(f'{name}: {text}')}" for name, text in value.items())
    if value == one.default:
        return ""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return one.name if value is True else f"{one.name}={shlex.quote(str(value))}"


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
        entry = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if self.released:
                return
            self._waiting.append(entry)
        self.arrived.add()
        try:
            await entry[1].wait()
        finally:
            with self._lock:
                self._waiting = [other for other in self._waiting if other is not entry]


def _gate() -> Hold:
    return Hold("api", "", None)


class Faults:
    """The faults and holds of a sandbox. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._holds: list[Hold] = []
        self._end = _gate()

    def begin(self) -> None:
        """From now on requests may be kept waiting."""
        self._end = _gate()

    def end(self) -> None:
        """Lets every request go on, and keeps none waiting from now on."""
        self._end.release()
        self.release_all()

    async def pause(self, seconds: float) -> None:
        """Waits so long, or until `end()`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._end.wait(), seconds)

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

    def waiting(self) -> list[tuple[str, int | None]]:
        """The faults that have uses left, each as its line and how often it will be played; None is always."""
        with self._lock:
            return [(str(fault), fault.left) for fault in self._faults if fault.left != 0]

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
