"""The one place where bytes go out to Configure and come back.

Two transports, blocking and awaited, over httpcore2's pools. They add what a pool doesn't give: a deadline for the
whole call down to each socket operation, a cut at 256 KiB, silence in the logs, and a life that fits forks and event
loops. A transport opens nothing before its first call, follows no redirect, reads no proxy from the environment, and
repeats nothing but a GET that met a connection which the server had already closed.
"""

from __future__ import annotations

import ipaddress
import math
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import anyio
import httpcore2

from ..errors import ApiCode, ConfigureError, SettingsError
from ..runtime.forks import abandon, reset_after_fork
from ..runtime.loops import PerLoop
from .call import Call, Response, is_header_value

CALL_TIMEOUT = 10.0
"""Seconds that a whole call may take, from the first look-up to the last byte."""

CONNECT_TIMEOUT = 3.0
"""Seconds for reaching an address, and again for its TLS handshake, within the call's own."""

ANSWER_LIMIT = 256 * 1024
"""Bytes of a response's body that are read at most."""

# Many servers drop an idle connection after 5 seconds. Leaving it first keeps a code, which can be sent only once, off
# a connection that is being closed.
_KEEPALIVE = 4.0
_LARGEST_TIMEOUT = 300.0
_USUAL = {"Accept": "application/json"}
_ALWAYS = {
    # A compressed response could unfold to any size; it isn't asked for and is refused when it comes.
    "Accept-Encoding": "identity",
    "User-Agent": "configure_auth",
}
_POOL: dict[str, Any] = {
    # No limit here: a call would wait for another one's connection within its own deadline.
    "max_connections": None,
    "max_keepalive_connections": 20,
    "keepalive_expiry": _KEEPALIVE,
}


class Transport:
    """Sends calls and waits for the answers. Threads may share one.

    Args:
        timeout: seconds for a whole call, more than 0 and at most 300.

    Raises:
        SettingsError: the timeout is out of range.
    """

    def __init__(self, timeout: float = CALL_TIMEOUT) -> None:
        self.timeout: float = _require_timeout(timeout)
        self._forget()
        reset_after_fork(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._pool: httpcore2.ConnectionPool | None = None
        self._closer: weakref.finalize[..., Any] | None = None

    def _after_fork(self) -> None:
        # The pool belongs to the parent: closing it here could end the parent's connections.
        global _ssl_lock
        _ssl_lock = threading.Lock()
        if self._closer is not None:
            self._closer.detach()
            abandon(self._pool)
        self._forget()

    def _opened(self) -> httpcore2.ConnectionPool:
        with self._lock:
            if self._pool is None:
                self._pool = httpcore2.ConnectionPool(
                    ssl_context=_shared_ssl_context(), network_backend=_Backend(), **_POOL
                )
                self._closer = weakref.finalize(self, self._pool.close)
            return self._pool

    def send(self, call: Call[Any], *, deadline: float | None = None) -> Response:
        """Send one request and read its response.

        Args:
            deadline: the `time.monotonic()` by which the response must be there; `timeout` seconds from now if absent.

        Raises:
            ConfigureError: INVALID_INPUT for a header that can't be sent, TIMEOUT, NETWORK_ERROR, or SERVER_ERROR for
                a good status with a compressed or too large body. The last two but one are retryable.
        """
        request = _Request(call)
        token = _deadline.set(time.monotonic() + _seconds(self.timeout, call) if deadline is None else deadline)
        try:
            while True:
                # The error is raised outside of `except`: the frames of what httpcore2 raises have the request in them.
                try:
                    return self._attempt(request)
                except _FAILURES as error:
                    failure, again = _failed(error, sent=request.sent), request.may_repeat(error)
                if request.refusal is not None:
                    return request.refusal
                if not again:
                    break
        finally:
            _deadline.reset(token)
        raise failure

    def _attempt(self, request: _Request) -> Response:
        timeouts = request.timeouts(_remaining(None))
        with self._opened().stream(**request.begin(request.trace, timeouts)) as response:
            body = request.begin_body(response)
            body.read(response)
        return body.response()

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        with self._lock:
            closer, self._pool, self._closer = self._closer, None, None
        if closer is not None:
            closer()


class AsyncTransport:
    """`Transport`, awaited, on asyncio and on trio.

    Each running event loop has a pool of its own, which closes when the loop ends.
    """

    def __init__(self, timeout: float = CALL_TIMEOUT) -> None:
        self.timeout: float = _require_timeout(timeout)
        self._pools = PerLoop(_async_pool, httpcore2.AsyncConnectionPool.aclose)
        reset_after_fork(self)

    def _after_fork(self) -> None:
        global _ssl_lock
        _ssl_lock = threading.Lock()
        self._pools.abandon()

    async def send(self, call: Call[Any]) -> Response:
        """`Transport.send`, awaited; a cancelled call gives its connection up."""
        request = _Request(call)
        ends = time.monotonic() + _seconds(self.timeout, call)
        while True:
            try:
                with anyio.fail_after(ends - time.monotonic()):
                    return await self._attempt(request, ends)
            except _FAILURES as error:
                failure, again = _failed(error, sent=request.sent), request.may_repeat(error)
            if request.refusal is not None:
                return request.refusal
            if not again:
                break
        raise failure

    async def _attempt(self, request: _Request, ends: float) -> Response:
        pool = await self._pools.get()
        timeouts = request.timeouts(max(ends - time.monotonic(), 0.0))
        async with pool.stream(**request.begin(request.atrace, timeouts)) as response:
            body = request.begin_body(response)
            await body.aread(response)
        return body.response()

    async def aclose(self) -> None:
        """Close the connections of the running loop. A later call opens new ones."""
        await self._pools.aclose()


def _async_pool() -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(ssl_context=_shared_ssl_context(), network_backend=_AsyncBackend(), **_POOL)


class _Request:
    """One call as httpcore2 takes it, and what has become of it so far."""

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self._connected = False
        self._answered = False
        self.sent = False
        self.refusal: Response | None = None
        """The response without its body, once its status says that the call failed; for a body that breaks off."""
        if not all(is_header_value(value) for value in call.headers.values()):
            raise ConfigureError(
                ApiCode.INVALID_INPUT,
                "a header of the call has a line break, a space at its end or a letter outside Latin-1; "
                "an external id or a token with one can't be sent",
            )

    def begin(self, trace: Any, timeouts: Mapping[str, float]) -> dict[str, Any]:
        self._connected = self._answered = False
        return {
            "method": self._call.method,
            "url": self._call.url,
            "headers": [
                (name.encode("ascii"), value.encode("latin-1"))
                for name, value in {**_USUAL, **self._call.headers, **_ALWAYS}.items()
            ],
            "content": self._call.content,
            "extensions": {"timeout": timeouts, "trace": trace},
        }

    def timeouts(self, remaining: float) -> dict[str, float]:
        return {
            "connect": min(CONNECT_TIMEOUT, remaining),
            "read": remaining,
            "write": remaining,
            "pool": remaining,
        }

    def trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith("connect_tcp.started"):
            self._connected = True
        elif event.endswith("send_request_headers.started"):
            self.sent = True
        elif event.endswith("receive_response_headers.complete"):
            self._answered = True
        if not event.endswith(".started"):
            # httpcore2 logs each event at DEBUG after this hook, with what is left in `info`: the response's headers,
            # or an error that quotes what the server wrote. The name of the event is enough. (At the start `info` is
            # the call's own arguments, whose repr shows the method only.)
            info.clear()

    async def atrace(self, event: str, info: dict[str, Any]) -> None:
        self.trace(event, info)

    def begin_body(self, response: httpcore2.Response) -> _Body:
        body = _Body(response)
        self.refusal = body.refusal()
        return body

    def may_repeat(self, failure: Exception) -> bool:
        """Whether the request met a kept connection that the server had closed; RFC 9110 section 9.2.2."""
        if isinstance(failure, _TIMEOUTS) or self._call.method != "GET":
            return False
        return not self._connected and not self._answered


class _Body:
    """A response while it is read: its head, and as much of its body as we take."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._status = response.status
        headers: dict[str, str] = {}
        for raw_name, raw_value in response.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._headers = headers
        self._content = bytearray()
        self._wanted = headers.get("content-encoding", "identity").strip().lower() in ("", "identity")

    def read(self, response: httpcore2.Response) -> None:
        if self._wanted:
            for chunk in response.iter_stream():
                if not self._take(chunk):
                    break

    async def aread(self, response: httpcore2.Response) -> None:
        if self._wanted:
            async with aclosing(response.aiter_stream()) as chunks:
                async for chunk in chunks:
                    if not self._take(chunk):
                        break

    def _take(self, chunk: bytes) -> bool:
        self._content += chunk
        self._wanted = len(self._content) <= ANSWER_LIMIT
        return self._wanted

    def response(self) -> Response:
        if not self._wanted:
            if 200 <= self._status < 300:
                raise ConfigureError(
                    ApiCode.SERVER_ERROR,
                    "Configure's response is compressed, or larger than 256 KiB",
                    status_code=self._status,
                )
            # The status of a refusal says enough without its body.
            self._content.clear()
        return Response(status=self._status, headers=self._headers, content=bytes(self._content))

    def refusal(self) -> Response | None:
        """The response without its body, unless its status is a good one."""
        good = 200 <= self._status < 300
        return None if good else Response(status=self._status, headers=self._headers, content=b"")


_TIMEOUTS = (httpcore2.TimeoutException, TimeoutError)
_FAILURES = (*_TIMEOUTS, httpcore2.NetworkError, httpcore2.ProtocolError, OSError, UnicodeError)


def _failed(failure: Exception, *, sent: bool) -> ConfigureError:
    if isinstance(failure, _TIMEOUTS):
        return ConfigureError(ApiCode.TIMEOUT, "Configure didn't respond in time", retryable=True, sent=sent)
    return ConfigureError(
        ApiCode.NETWORK_ERROR, f"Configure can't be reached ({type(failure).__name__})", retryable=True, sent=sent
    )


def _seconds(timeout: float, call: Call[Any]) -> float:
    """How long a call may take."""
    return timeout if call.timeout is None else min(timeout, call.timeout)


def _require_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= _LARGEST_TIMEOUT:
        raise SettingsError(f"timeout must be a number of seconds above 0 and at most {_LARGEST_TIMEOUT:.0f}")
    return float(timeout)


_ssl_lock = threading.Lock()
_ssl_context: ssl.SSLContext | None = None


def _shared_ssl_context() -> ssl.SSLContext:
    """The process's one TLS context: reading the system's certificates takes some 20 ms of CPU."""
    global _ssl_context
    with _ssl_lock:
        if _ssl_context is None:
            try:
                _ssl_context = httpcore2.default_ssl_context()
            except OSError as error:
                raise SettingsError(
                    "the certificates that Configure's are checked with can't be read; look at SSL_CERT_FILE "
                    "and SSL_CERT_DIR"
                ) from error
        return _ssl_context


# The deadline, kept down to each socket operation. httpcore2 knows a limit for one read or write only, and a server
# that sends a byte now and then never meets it.

_deadline: ContextVar[float] = ContextVar("configure_auth_deadline", default=math.inf)


def _remaining(limit: float | None) -> float:
    remaining = _deadline.get() - time.monotonic()
    if remaining <= 0:
        raise httpcore2.ReadTimeout
    return remaining if limit is None else min(limit, remaining)


class _Stream(httpcore2.NetworkStream):
    """A socket whose every operation ends with the call's deadline."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In slices, since a limit holds for each `send` underneath, not for their sum.
        for start in range(0, len(buffer), 16384):
            self._stream.write(buffer[start : start + 16384], _remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    """Looks a host up and tries its addresses, all within one limit."""

    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        ends = time.monotonic() + _remaining(timeout)
        addresses = _look_up(host, port, ends - time.monotonic())
        failure: Exception = httpcore2.ConnectError("no address")
        for tried, address in enumerate(addresses):
            # An address that swallows packets leaves time for the next one.
            share = (ends - time.monotonic()) / (len(addresses) - tried)
            if share <= 0:
                raise httpcore2.ConnectTimeout
            try:
                return _Stream(self._sockets.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


def _look_up(host: str, port: int, limit: float) -> list[str]:
    """The addresses of a host, within a limit in seconds that the system's resolver doesn't know."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found.put(error)
        else:
            found.put([str(answer[4][0]) for answer in answers])

    threading.Thread(target=look_up, name="configure_auth look-up", daemon=True).start()
    try:
        addresses = found.get(timeout=limit)
    except queue.Empty:
        raise httpcore2.ConnectTimeout from None
    if isinstance(addresses, Exception):
        raise httpcore2.ConnectError("the host name isn't known")
    return addresses


class _AsyncBackend(httpcore2.AnyIOBackend):
    """Connects on either kind of event loop; AnyIO looks the host up, and tries its addresses side by side."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore2's signature, here and below
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        # A cancelled call waits until it is connected, since AnyIO before 4.16 would leave the socket open.
        with anyio.CancelScope(shield=True):
            stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _AsyncStream(stream)


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A socket that is closed where its TLS handshake is cancelled, which httpcore2 leaves open."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
