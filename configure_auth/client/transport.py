"""The one place where requests go out to Configure and responses come back.

A call has a deadline for the whole of it, is cut at 256 KiB, follows no redirect and reads no proxy from the
environment. Nothing is opened before the first call. Nothing is sent twice but a GET that met a connection which the
server had already closed.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import weakref
from typing import Any
from urllib.parse import urlsplit

import h11

from ..errors import ApiCode, ConfigureError, SettingsError
from ..runtime.forks import abandon, reset_after_fork
from ..runtime.loops import PerLoop
from .call import HttpCall, HttpResponse, is_header_value
from .connections import Connection, Origin, Pool, Steps, adrive, drive, forget_lock

log: logging.Logger = logging.getLogger(__name__)

CALL_TIMEOUT = 10.0
"""Seconds that a whole call may take, from the first look-up to the last byte."""

ANSWER_LIMIT = 256 * 1024
"""Bytes of a response's body that are read at most."""

SIGN_IN = 30.0
"""Seconds that people take at Configure's page: as long, connections that are opened for their return must last."""

_LARGEST_TIMEOUT = 300.0
_USUAL = {"Accept": "application/json"}
_ALWAYS = {
    # A compressed response could unfold to any size; it isn't asked for and is refused when it comes.
    "Accept-Encoding": "identity",
    "User-Agent": "configure_auth",
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
        self._pool: Pool | None = None
        self._closer: weakref.finalize[..., Any] | None = None

    def _after_fork(self) -> None:
        # The pool belongs to the parent.
        forget_lock()
        if self._closer is not None:
            self._closer.detach()
            abandon(self._pool)
        self._forget()

    def _opened(self) -> Pool:
        with self._lock:
            if self._pool is None:
                self._pool = Pool()
                self._closer = weakref.finalize(self, self._pool.close)
            return self._pool

    def steps(self, call: HttpCall[Any]) -> Steps[HttpResponse]:
        """Return the steps of `send`."""
        return _Exchange(call).steps(self._opened())

    def send(self, call: HttpCall[Any]) -> HttpResponse:
        """Send one request and read its response.

        Raises:
            ConfigureError: INVALID_INPUT for a header that can't be sent, TIMEOUT, NETWORK_ERROR, or SERVER_ERROR for
                a good status with a compressed or too large body. The last two but one are retryable.
        """
        ends = time.monotonic() + _seconds(self.timeout, call)
        (response,) = drive(ends, self.steps(call))
        assert isinstance(response, HttpResponse)
        return response

    def open_ahead(self, url: str, count: int) -> None:
        """Open connections in the background for a person who comes back from Configure in half a minute."""
        self._opened().open_ahead(_origin(url), count, lasting=SIGN_IN)

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
        self._pools = PerLoop(Pool, _close)
        reset_after_fork(self)

    def _after_fork(self) -> None:
        forget_lock()
        self._pools.abandon()

    async def send(self, call: HttpCall[Any]) -> HttpResponse:
        """`Transport.send`, awaited; a cancelled call gives its connection up."""
        ends = time.monotonic() + _seconds(self.timeout, call)
        return await adrive(ends, _Exchange(call).steps(await self._pools.get()))

    async def open_ahead(self, url: str, count: int) -> None:
        """`Transport.open_ahead`; it waits for nothing."""
        (await self._pools.get()).open_ahead(_origin(url), count, lasting=SIGN_IN)

    async def aclose(self) -> None:
        """Close the connections of the running loop. A later call opens new ones."""
        await self._pools.aclose()


async def _close(pool: Pool) -> None:
    pool.close()


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


class _Exchange:
    """One call, and what has become of it so far."""

    def __init__(self, call: HttpCall[Any]) -> None:
        self._call = call
        self._is_sent = self._may_repeat = False
        self._refusal: HttpResponse | None = None
        """The response without its body, once its status says that the call failed; for a body that breaks off."""
        if not all(is_header_value(value) for value in call.headers.values()):
            raise ConfigureError(
                ApiCode.INVALID_INPUT,
                "a header of the call has a line break, a space at its end or a letter outside Latin-1; "
                "an external id or a token with one can't be sent",
            )

    def steps(self, pool: Pool) -> Steps[HttpResponse]:
        """The whole call, with every failure of the network as a `ConfigureError`."""
        while True:
            # The error is raised outside of `except`: the frames of its cause have the request in them.
            try:
                return (yield from self._attempt(pool))
            except _FAILURES as error:
                failure = _failed(error, sent=self._is_sent)
            if self._refusal is not None:
                return self._refusal
            if not self._may_repeat:
                break
        raise failure

    def _attempt(self, pool: Pool) -> Steps[HttpResponse]:
        fresh, self._may_repeat = self._may_repeat, False
        connection = yield from pool.take(_origin(self._call.url), fresh=fresh, beside=self._call.beside)
        idle_since, began = connection.idle_since, time.monotonic()
        body = _Body()
        try:
            yield from self._send(connection)
            yield from self._receive(connection, body)
        except BaseException as error:
            connection.close()
            if idle_since is not None and body.status == 0 and isinstance(error, h11.ProtocolError | ConnectionError):
                # The server had closed it already; RFC 9110 section 9.2.2.
                self._may_repeat = self._call.method == "GET"
                pool.lifetime(connection).saw(began - idle_since, is_open=False)
            raise
        log.debug("%s %s: HTTP %d", self._call.method, urlsplit(self._call.url).path, body.status)
        connection.is_used = True
        if body.keeps_for is not None:
            pool.lifetime(connection).told = body.keeps_for
        if body.is_whole and connection.may_be_kept:
            pool.put(connection)
        else:
            connection.close()
        return body.response()

    def _send(self, connection: Connection) -> Steps[None]:
        call, http = self._call, connection.http
        parts = urlsplit(call.url)
        headers = {"Host": parts.netloc, **_USUAL, **call.headers, **_ALWAYS}
        if call.content is not None:
            headers["Content-Length"] = str(len(call.content))
        head = h11.Request(
            method=call.method,
            target=f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}",
            headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()],
        )
        content = (http.send(head) or b"") + (http.send(h11.Data(call.content or b"")) or b"")
        content += http.send(h11.EndOfMessage()) or b""
        self._is_sent = True
        try:
            yield from connection.send(content)
        except ConnectionError:
            # A server may respond before it has read everything.
            http.send_failed()

    def _receive(self, connection: Connection, body: _Body) -> Steps[None]:
        http = connection.http
        while not body.is_whole:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data((yield from connection.receive()))
            elif isinstance(event, h11.Response):
                body.begin(event)
                self._refusal = body.refusal()
            elif isinstance(event, h11.Data):
                body.take(event.data)
            elif isinstance(event, h11.EndOfMessage):
                body.is_whole = True
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection was closed before the response")
            if not body.is_wanted:
                return


class _Body:
    """A response while it is read: its head, and as much of its body as we take."""

    def __init__(self) -> None:
        self.status = 0
        self.is_whole = False
        self.is_wanted = True
        self.keeps_for: float | None = None
        """Seconds for which the server says that it keeps the connection."""
        self._headers: dict[str, str] = {}
        self._content = bytearray()

    def begin(self, head: h11.Response) -> None:
        self.status = head.status_code
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            self._headers[name] = f"{self._headers[name]}, {value}" if name in self._headers else value
        self.is_wanted = self._headers.get("content-encoding", "identity").strip().lower() in ("", "identity")
        told = _KEEP_ALIVE.search(self._headers.get("keep-alive", ""))
        self.keeps_for = None if told is None else float(told[1])

    def take(self, chunk: bytes) -> None:
        self._content += chunk
        self.is_wanted = len(self._content) <= ANSWER_LIMIT

    def response(self) -> HttpResponse:
        if not self.is_wanted:
            if 200 <= self.status < 300:
                raise ConfigureError(
                    ApiCode.SERVER_ERROR,
                    "Configure's response is compressed, or larger than 256 KiB",
                    status_code=self.status,
                )
            # The status of a refusal says enough without its body.
            self._content.clear()
        return HttpResponse(status=self.status, headers=self._headers, content=bytes(self._content))

    def refusal(self) -> HttpResponse | None:
        """The response without its body, unless its status is a good one."""
        good = 200 <= self.status < 300
        return None if good else HttpResponse(status=self.status, headers=self._headers, content=b"")


_KEEP_ALIVE = re.compile(r"\btimeout\s*=\s*([0-9]{1,6})\b", re.IGNORECASE)
_FAILURES = (h11.ProtocolError, OSError, UnicodeError)  # a TimeoutError is an OSError


def _failed(failure: Exception, *, sent: bool) -> ConfigureError:
    if isinstance(failure, TimeoutError):
        return ConfigureError(ApiCode.TIMEOUT, "Configure didn't respond in time", retryable=True, sent=sent)
    return ConfigureError(
        ApiCode.NETWORK_ERROR, f"Configure can't be reached ({type(failure).__name__})", retryable=True, sent=sent
    )


def _seconds(timeout: float, call: HttpCall[Any]) -> float:
    """How long a call may take."""
    return timeout if call.timeout is None else min(timeout, call.timeout)


def _require_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= _LARGEST_TIMEOUT:
        raise SettingsError(f"timeout must be a number of seconds above 0 and at most {_LARGEST_TIMEOUT:.0f}")
    return float(timeout)
