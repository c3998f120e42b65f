"""Faults: forced responses, delays, dropped connections, and requests held until a test lets them go."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import re
import shlex
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypedDict

import msgspec

from .errors import FaultError, message_of, place_of
from .routes import TABLES, served_at
from .values import Origin

Body = str | bytes | Mapping[str, object]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
WAIT_SECONDS: Final = 10.0

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


class FaultOptions(TypedDict, total=False):
    """The arguments of `Sandbox.fault` beside the path."""

    method: str | None
    status: int | None
    body: Body | None
    content_type: str | None
    headers: Mapping[str, str] | None
    delay: float | None
    drip: float | None
    drop: bool
    cut: int | None
    handled: bool
    times: int | None
    after: float | None
    lasts: float | None
    origin: Origin


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault of one endpoint. `Sandbox.fault` says what the fields mean. Raises ValueError."""

    path: Annotated[str, msgspec.Meta(pattern="^/")]
    method: str | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    body: Any = None
    content_type: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    headers: dict[str, str] | None = None
    delay: Seconds | None = None
    drip: Seconds | None = None
    drop: bool = False
    cut: Annotated[int, msgspec.Meta(ge=0)] | None = None
    handled: bool = False
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    after: Seconds | None = None
    lasts: Seconds | None = None
    origin: Origin = "api"

    def __post_init__(self) -> None:
        if reason := self._contradiction():
            raise ValueError(reason)

    def __str__(self) -> str:
        """The line that `Sandbox.script` reads."""
        words = [self.method, self.path]
        for name in FIELDS:
            value = getattr(self, name)
            if name == "headers":
                words += [f"headers={shlex.quote(f'{header}: {text}')}" for header, text in (value or {}).items()]
            elif value is True:
                words.append(name)
            elif value is not None and value is not False and (name, value) != ("origin", "api"):
                text = body_bytes(value).decode(errors="replace") if name == "body" else str(value)
                text = text.removesuffix(".0") if isinstance(value, float) else text
                words.append(f"{name}={shlex.quote(text)}")
        return " ".join(filter(None, words))

    @property
    def replaces(self) -> bool:
        """Whether its response is sent instead of the endpoint's own."""
        return self.status is not None or self.body is not None

    def _contradiction(self) -> str | None:
        headers = self.headers or {}
        if self.body is not None and not isinstance(self.body, str | bytes | Mapping):
            return "body must be text, bytes or a mapping"
        for name, value in (*headers.items(), ("Content-Type", self.content_type or "")):
            if not _TOKEN.fullmatch(name) or not _PRINTABLE.fullmatch(value) or name.lower() in _FRAMING:
                return f"header {name!r} can't be sent like this"
        if self.status in {204, 304} and self.body:
            return f"a response of status {self.status} has no body"
        if self.drop and (self.replaces or headers or self.drip or self.cut is not None):
            return "drop sends no response: remove status, body, headers, drip and cut"
        if self.cut is not None and self.drip:
            return "cut and drip exclude each other"
        if not (self.replaces or headers or self.delay or self.drip or self.drop or self.cut is not None):
            return "nothing fails: set status, body, headers, delay, drip, drop or cut"
        return None


FIELDS: Final = tuple(name for name in Fault.__struct_fields__ if name not in {"path", "method"})
"""What a fault has beside its method and path."""


def make_fault(values: Mapping[str, object], *, text: bool = False) -> Fault:
    """Validate the fields of a fault; with `text` they are all strings, as in a line. Raises ValueError."""
    try:
        fault = msgspec.convert(values, Fault, strict=not text)
        str(fault).encode()
    except msgspec.ValidationError as error:
        raise ValueError(": ".join(filter(None, [place_of(error), message_of(error)]))) from None
    except UnicodeEncodeError:
        raise ValueError("a value is not text in UTF-8") from None
    return fault


def read_fault(line: str, agents: Collection[str]) -> Fault:
    """Read a line: a method (optional), a path, and fields as `name=value`, quoted as in a shell.

    `drop` and `handled` stand alone; `headers` may be repeated, each `Name: value`. `agents` are the handles that some
    paths begin with. Raises FaultError.
    """
    try:
        words = shlex.split(line)
        values: dict[str, Any] = {}
        if words and not words[0].startswith("/"):
            values["method"] = words.pop(0).upper()
        if not words or not words[0].startswith("/"):
            raise ValueError('begin with a method and a path, as in "POST /oauth/token status=503"')
        values["path"] = words.pop(0)
        for name, sign, text in (word.partition("=") for word in words):
            if name not in FIELDS:
                raise ValueError(f"there is no field {name!r}; the fields are {', '.join(FIELDS)}")
            if (name in {"drop", "handled"}) == bool(sign):
                raise ValueError(f"{name} needs a value: {name}=..." if not sign else f"{name} stands alone")
            if name == "headers":
                header, colon, value = text.partition(":")
                if not colon:
                    raise ValueError('headers must be a header, as in headers="Retry-After: 3"')
                values.setdefault("headers", {})[header.strip()] = value.strip()
            elif name in values:
                raise ValueError(f"{name} is there twice")
            else:
                values[name] = text if sign else "true"
        fault = make_fault(values, text=True)
        check_endpoint(fault, agents)
    except ValueError as error:
        raise FaultError(line, str(error)) from None
    return fault


def check_endpoint(fault: Fault, agents: Collection[str]) -> None:
    """Raise ValueError for a fault of an endpoint that its origin doesn't serve."""

    def methods_of(origin: Origin) -> list[str]:
        return [method for method, params in served_at(origin, fault.path) if params.get("agent") in {None, *agents}]

    methods = methods_of(fault.origin)
    if not methods:
        other = next((origin for origin in TABLES if methods_of(origin)), None)
        if other is not None:
            raise ValueError(f"{fault.path!r} is served by {other}, not by {fault.origin}: add origin={other}")
        served = dict.fromkeys(template for _, template, _ in TABLES[fault.origin])
        nearest = difflib.get_close_matches(fault.path, served, n=3, cutoff=0.0)
        raise ValueError(f"{fault.origin} does not serve {fault.path!r}; its nearest paths are {', '.join(nearest)}")
    if fault.method is not None and fault.method not in methods:
        raise ValueError(f"{fault.path} has no method {fault.method!r}; it has {', '.join(dict.fromkeys(methods))}")


def body_bytes(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


class Arrivals:
    """Counter of the requests that wait at a hold."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def wait(self, number: int = 1, timeout: float = WAIT_SECONDS) -> None:
        """Wait until `number` requests have arrived. Raises TimeoutError after `timeout` seconds."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._count >= number, timeout):
                raise TimeoutError(f"{self._count} of {number} requests arrived within {timeout} s")

    def add(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()


@dataclass(slots=True)
class Hold:
    """Keeps requests waiting before an endpoint. Those that come after `release()` are not held."""

    origin: Origin
    path: str
    method: str | None
    arrived: Arrivals = field(default_factory=Arrivals)
    _over: Future[None] = field(default_factory=Future)

    @property
    def released(self) -> bool:
        return self._over.done()

    def release(self) -> None:
        """Let every request go on."""
        with contextlib.suppress(InvalidStateError):
            self._over.set_result(None)

    async def wait(self) -> None:
        if not self.released:
            self.arrived.add()
            # Shielded: a request that is cancelled lets no other one go on.
            await asyncio.shield(asyncio.wrap_future(self._over))


def _is_for(one: Fault | Hold, origin: str, method: str, path: str) -> bool:
    return (one.origin, one.path) == (origin, path) and one.method in {None, method}


@dataclass(slots=True)
class _Active:
    """A fault that was set, with what is left of it."""

    fault: Fault
    since: float
    left: int | None

    @property
    def begins(self) -> float:
        return self.since + (self.fault.after or 0)

    def is_due(self, now: float) -> bool:
        return self.begins <= now and self.is_waiting(now)

    def is_waiting(self, now: float) -> bool:
        """Whether it will still be applied, now or later."""
        return self.left != 0 and (self.fault.lasts is None or now < self.begins + self.fault.lasts)


class Faults:
    """The faults and holds of a sandbox. Safe to use from any thread. `now` gives Unix seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._faults: list[_Active] = []
        self._holds: list[Hold] = []
        self._end = Hold("api", "", None)

    def begin(self) -> None:
        """Allow requests to be kept waiting from now on."""
        self._end = Hold("api", "", None)

    def end(self) -> None:
        """Let every request go on, and keep none waiting from now on."""
        self._end.release()
        self.release_all()

    async def pause(self, seconds: float) -> None:
        """Wait this many seconds, or until `end()`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._end.wait(), seconds)

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(_Active(fault, self._now(), fault.times))

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
        """Return the faults that are not over, each as its line and how often it will be applied; None is always."""
        with self._lock:
            now = self._now()
            return [(str(one.fault), one.left) for one in self._faults if one.is_waiting(now)]

    def take(self, origin: str, method: str, path: str) -> Fault | None:
        """Return the first fault that is due for this request, and count it."""
        with self._lock:
            now = self._now()
            for one in self._faults:
                if _is_for(one.fault, origin, method, path) and one.is_due(now):
                    if one.left is not None:
                        one.left -= 1
                    return one.fault
        return None

    def hold_for(self, origin: str, method: str, path: str) -> Hold | None:
        with self._lock:
            return next((h for h in self._holds if not h.released and _is_for(h, origin, method, path)), None)
