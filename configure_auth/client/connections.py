"""Connections to Configure: opened in threads, kept while idle, read and written on sockets that never block.

What happens on a connection is written once, as steps: a generator that yields what it waits for. `drive` waits for
that by blocking, `adrive` on an event loop.
"""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import h11

from ..errors import SettingsError
from ..runtime.frozen import dataclass
from ..runtime.loops import settled

T = TypeVar("T")

CONNECT_TIMEOUT = 3.0
"""Seconds for reaching an address, and again for its TLS handshake."""

KEPT = 60.0
"""Seconds that an idle connection is kept at most."""

UNKNOWN = 4.0
"""Seconds that a server is taken to keep an idle connection while nothing is known; many close it after 5."""

TRUSTED = 0.8
"""The part of the seconds that a server keeps an idle connection, within which a call is sent on one."""

MOST_AHEAD, MOST_IDLE = 4, 20
"""Connections to one origin: opened before a call needs them, and kept idle."""

_HEAD_LIMIT = 100 * 1024
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Origin:
    """Where connections lead to."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True)
class Readiness:
    """A socket that is to become readable, or writable."""

    socket: socket.socket
    write: bool


Wait: TypeAlias = "Readiness | Future[Any]"
"""What steps wait for: a socket, or a thread."""

Steps: TypeAlias = Generator[Wait, None, T]


def drive(ends: float, *parallel: Steps[Any]) -> list[Any]:
    """Run steps to their ends by blocking, several at once; return their values.

    Args:
        ends: the `time.monotonic()` at which TimeoutError is raised in all that have not ended.

    Raises:
        Exception: the first failure of one. The others are given up.
    """
    values: dict[int, Any] = {}
    waits: dict[int, Wait] = {}
    # Each of several has a context of its own, since a span is the context's current one until the steps end.
    run: list[Callable[..., Any]] = [copy_context().run if number else _call for number in range(len(parallel))]

    def advance(number: int, act: Callable[..., Wait], *args: Any) -> None:
        try:
            waits[number] = run[number](act, *args)
        except StopIteration as stop:
            waits.pop(number, None)
            values[number] = stop.value

    try:
        for number, steps in enumerate(parallel):
            advance(number, next, steps)
        while waits:
            ready = _block(waits, ends - time.monotonic())
            for number in ready:
                advance(number, next, parallel[number])
            for number in () if ready else list(waits):
                advance(number, parallel[number].throw, TimeoutError())
    finally:
        for number, steps in enumerate(parallel):
            run[number](steps.close)
    return [values[number] for number in range(len(parallel))]


def _call(function: Callable[..., T], *args: Any) -> T:
    return function(*args)


def _block(waits: dict[int, Wait], limit: float) -> list[int]:
    """Wait until one or several of these are ready, and return which; none after `limit` seconds."""
    limit = max(limit, 0.0)
    futures = {wait: number for number, wait in waits.items() if isinstance(wait, Future)}
    if futures:
        # A socket beside it loses nothing: both of a pair are needed, and this one is the slower.
        return [futures[done] for done in wait_for_futures(futures, limit, "FIRST_COMPLETED").done]
    sockets = {wait.socket.fileno(): number for number, wait in waits.items() if isinstance(wait, Readiness)}
    writes = [wait.socket.fileno() for wait in waits.values() if isinstance(wait, Readiness) and wait.write]
    reads = [fd for fd in sockets if fd not in writes]
    if not hasattr(select, "poll"):  # Windows, and eventlet
        readable, writable, failed = select.select(reads, writes, list(sockets), limit)
        return [sockets[fd] for fd in {*readable, *writable, *failed}]
    poll = select.poll()
    for fd in sockets:
        poll.register(fd, select.POLLOUT if fd in writes else select.POLLIN)
    return [sockets[fd] for fd, _ in poll.poll(math.ceil(limit * 1000))]


async def adrive(ends: float, steps: Steps[T]) -> T:
    """`drive`, awaited, for one. A cancelled task gives the steps up."""
    import anyio

    is_late = False
    try:
        while True:
            wait = steps.throw(TimeoutError()) if is_late else next(steps)
            with anyio.move_on_after(max(ends - time.monotonic(), 0.0)) as scope:
                if isinstance(wait, Readiness):
                    await (anyio.wait_writable if wait.write else anyio.wait_readable)(wait.socket)
                else:
                    await settled(wait, math.inf)
            is_late = scope.cancelled_caught
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        steps.close()


class Connection:
    """One connection and the state of its protocol."""

    def __init__(self, origin: Origin, opened: socket.socket) -> None:
        self.origin = origin
        self.http: h11.Connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
        self.is_used = False
        """Whether a response has been read from it. A server may keep one without any for another time."""
        self.idle_since: float | None = None
        """The `time.monotonic()` since which it is idle; None where it has never been."""
        self._socket = opened

    def send(self, content: bytes) -> Steps[None]:
        """Send bytes."""
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield Readiness(self._socket, True)
            except ssl.SSLWantReadError:
                yield Readiness(self._socket, False)

    def receive(self) -> Steps[bytes]:
        """Return some bytes, none at the end of the stream."""
        while True:
            try:
                return self._socket.recv(_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield Readiness(self._socket, False)
            except ssl.SSLWantWriteError:
                yield Readiness(self._socket, True)

    @property
    def is_open(self) -> bool:
        """Whether the server has left an idle connection open, and said nothing on it."""
        # Read, because a session ticket of TLS makes the socket readable, and is no end.
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    @property
    def may_be_kept(self) -> bool:
        """Whether another request may follow the response that was just read; begins a new cycle if so."""
        if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE or self.http.trailing_data[0]:
            return False
        self.http.start_next_cycle()
        return True

    def close(self) -> None:
        self._socket.close()


class _Lifetime:
    """How long a server keeps an idle connection, as far as it has shown. In seconds."""

    def __init__(self) -> None:
        self.told: float | None = None
        """What it says in the header Keep-Alive."""
        self._open_at = 0.0
        self._closed_at = math.inf

    @property
    def seconds(self) -> float:
        told = self.told if self.told is not None and self.told <= self._closed_at else None
        return min(max(UNKNOWN, self._open_at) if told is None else told, self._closed_at, KEPT)

    def saw(self, age: float, *, is_open: bool) -> None:
        """Learn from one that was idle for `age` seconds when it was looked at."""
        if is_open:
            self._open_at = max(self._open_at, age)
            if age > self._closed_at:  # which had another reason, such as a restart
                self._closed_at = math.inf
        else:
            self._closed_at = min(self._closed_at, age)
            if age <= self._open_at:
                self._open_at = 0.0


class Pool:
    """The connections of one client, and of one event loop. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._openings: dict[Origin, list[Future[Connection]]] = {}
        """Connections that are being opened and that no call waits for yet."""
        self._lifetimes: dict[tuple[Origin, bool], _Lifetime] = {}
        self._sweeper: threading.Timer | None = None
        self._is_closed = False

    def take(self, origin: Origin, *, fresh: bool, beside: int) -> Steps[Connection]:
        """Return a connection for one call: an idle one that the server will not be closing now, or a new one.

        Args:
            fresh: a new one in any case.
            beside: how many others the next calls will need, which are opened meanwhile.
        """
        with self._lock:
            connection = None if fresh else self._trusted(origin)
            openings = self._openings.get(origin)
            opening = openings.pop(0) if connection is None and openings else None
        if connection is None and opening is None:
            opening = self._open(origin)
        if beside:
            self.open_ahead(origin, beside)
        if opening is not None:
            try:
                yield opening
            except BaseException:
                opening.add_done_callback(self._put_back)
                raise
            connection = opening.result()
        assert connection is not None
        return connection

    def open_ahead(self, origin: Origin, count: int, *, lasting: float = 0.0) -> None:
        """Begin to open connections, until `count` are open that can be used for `lasting` seconds, or as long as new.

        A failure shows in the call that then needs a connection.
        """
        with self._lock:
            idle, openings = self._look(origin), self._openings.setdefault(origin, [])
            lasting = min(lasting, TRUSTED * self._lifetime(origin, is_used=False).seconds * 0.9)
            missing = count - len(openings) - sum(self._left(connection) > lasting for connection in idle)
            room = MOST_AHEAD - len(openings) - sum(not connection.is_used for connection in idle)
            openings += [self._open(origin) for _ in range(0 if self._is_closed else min(missing, room))]

    def put(self, connection: Connection) -> None:
        """Keep a connection for another call."""
        with self._lock:
            self._put(connection)

    def lifetime(self, connection: Connection) -> _Lifetime:
        """Return what is known of connections of this kind."""
        return self._lifetime(connection.origin, is_used=connection.is_used)

    def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        with self._lock:
            self._is_closed, idle, self._idle = True, self._idle, {}
            if self._sweeper is not None:
                self._sweeper.cancel()
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _put(self, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        surplus: Connection | None = connection
        if not self._is_closed:
            idle = self._idle.setdefault(connection.origin, [])
            idle.append(connection)
            surplus = idle.pop(0) if len(idle) > MOST_IDLE else None
            self._sweep_later()
        if surplus is not None:
            surplus.close()

    def _lifetime(self, origin: Origin, *, is_used: bool) -> _Lifetime:
        return self._lifetimes.setdefault((origin, is_used), _Lifetime())

    def _left(self, connection: Connection) -> float:
        assert connection.idle_since is not None
        return TRUSTED * self.lifetime(connection).seconds + connection.idle_since - time.monotonic()

    def _trusted(self, origin: Origin) -> Connection | None:
        idle = self._look(origin)
        trusted = [connection for connection in idle if self._left(connection) > 0]
        # The latest one, and the same again at the next call: others grow old, which shows how long the server keeps.
        found = max(trusted, key=lambda one: (one.is_used, one.idle_since), default=None)
        if found is not None:
            idle.remove(found)
        return found

    def _look(self, origin: Origin) -> list[Connection]:
        """Close what the server has closed, or is too old, and learn from it; return the idle connections."""
        rest = []
        for connection in self._idle.get(origin, ()):
            assert connection.idle_since is not None
            age, is_open = time.monotonic() - connection.idle_since, connection.is_open
            self.lifetime(connection).saw(min(age, KEPT), is_open=is_open)
            if is_open and age < KEPT:
                rest.append(connection)
            else:
                connection.close()
        self._idle[origin] = rest
        return rest

    def _sweep_later(self) -> None:
        since = [connection.idle_since or 0.0 for idle in self._idle.values() for connection in idle]
        if self._sweeper is None and since and not self._is_closed:
            self._sweeper = threading.Timer(KEPT + min(since) - time.monotonic(), self._sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _sweep(self) -> None:
        with self._lock:
            self._sweeper = None
            for origin in list(self._idle):
                self._look(origin)
            self._sweep_later()

    def _open(self, origin: Origin) -> Future[Connection]:
        opening: Future[Connection] = Future()
        thread = threading.Thread(target=self._run, args=(origin, opening), name="configure_auth connection")
        thread.daemon = True
        try:
            thread.start()
        except RuntimeError as error:  # no thread to spare, or the process ends
            opening.set_exception(OSError(str(error)))
        return opening

    def _run(self, origin: Origin, opening: Future[Connection]) -> None:
        try:
            connection = _connect(origin)
        except Exception as error:  # noqa: BLE001  # raised in the call that waits
            opening.set_exception(error)
        else:
            opening.set_result(connection)
        # In one step: whoever counts the connections finds it in one of the two lists.
        with self._lock:
            openings = self._openings.get(origin, [])
            if opening in openings:
                openings.remove(opening)
                if opening.exception() is None:
                    self._put(opening.result())

    def _put_back(self, opening: Future[Connection]) -> None:
        if opening.exception() is None:
            self.put(opening.result())


def _connect(origin: Origin) -> Connection:
    """Look a host up, and try its addresses one after another."""
    addresses = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    ends, failure = time.monotonic() + CONNECT_TIMEOUT, OSError("no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        opened = socket.socket(family, kind, protocol)
        try:
            # An address that swallows packets leaves time for the next one.
            opened.settimeout(max((ends - time.monotonic()) / (len(addresses) - tried), 0.01))
            opened.connect(address)
            _notice_silence(opened)
            if origin.scheme == "https":
                opened.settimeout(CONNECT_TIMEOUT)
                opened = shared_ssl_context().wrap_socket(opened, server_hostname=origin.host)
            opened.setblocking(False)
            return Connection(origin, opened)
        except OSError as error:
            failure = error
            opened.close()
        except BaseException:
            opened.close()
            raise
    raise failure


def _notice_silence(opened: socket.socket) -> None:
    """Let the system notice a connection whose other end is gone without a word, within some 30 seconds."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("KEEPIDLE", 15), ("KEEPINTVL", 5), ("KEEPCNT", 3), ("USER_TIMEOUT", 10_000)):
        with suppress(AttributeError, OSError):  # what a system lacks
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{name}"), value)


_ssl_lock = threading.Lock()
_ssl_context: ssl.SSLContext | None = None

_BUNDLES = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def shared_ssl_context() -> ssl.SSLContext:
    """The process's one TLS context: reading the system's certificates takes some 20 ms of CPU.

    Raises:
        SettingsError: the certificates can't be read.
    """
    global _ssl_context
    with _ssl_lock:
        if _ssl_context is None:
            try:
                _ssl_context = _new_ssl_context()
            except OSError as error:
                raise SettingsError(
                    "the certificates that Configure's are checked with can't be read; look at SSL_CERT_FILE "
                    "and SSL_CERT_DIR"
                ) from error
            _ssl_context.set_alpn_protocols(["http/1.1"])
        return _ssl_context


def forget_lock() -> None:
    """After a fork: another thread of the parent may have held it."""
    global _ssl_lock
    _ssl_lock = threading.Lock()


def _new_ssl_context() -> ssl.SSLContext:
    if file := os.environ.get("SSL_CERT_FILE"):
        return ssl.create_default_context(cafile=file)
    if folder := os.environ.get("SSL_CERT_DIR"):
        return ssl.create_default_context(capath=folder)
    if sys.platform in ("darwin", "win32"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context, paths = ssl.create_default_context(), ssl.get_default_verify_paths()
    # A Python that was built elsewhere looks where this system has no certificates.
    if paths.cafile is None and not (paths.capath and any(Path(paths.capath).glob("*.0"))):
        bundle = next((path for path in _BUNDLES if Path(path).is_file()), None)
        context.load_verify_locations(bundle)
    return context
