"""Three ports, one thread, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from .errors import OptionError, PortInUse, SandboxError

HOST: Final = "127.0.0.1"
_IPV6_LOOPBACK: Final = "::1"
BACKLOG: Final = 128
START_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 60

_connections: Iterator[int] = itertools.count(1)


class _NumberedConnection(H11Protocol):
    """Gives the application the number of the connection, and a function that closes it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "connection": next(_connections), "hang_up": transport.close}


class _Server(uvicorn.Server):
    """Sets an event when it listens."""

    def __init__(self, app: ASGIApp) -> None:
        options: dict[str, Any] = {
            "http": _NumberedConnection,
            "loop": "asyncio",
            "lifespan": "off",
            "ws": "none",
            "log_config": None,
            "access_log": False,
            "log_level": "warning",
            "proxy_headers": False,
            "server_header": False,
            "timeout_keep_alive": KEEP_ALIVE_SECONDS,
            "timeout_graceful_shutdown": 1,
        }
        super().__init__(uvicorn.Config(app, **options))
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


def bind(port: int, host: str = HOST) -> list[socket.socket]:
    """Return three listening sockets: on `port` and the next two, or on three free ports for 0.

    Raises PortInUse when one of them is taken on that address or on ::1, where a browser that is sent to "localhost"
    would meet another program. Raises OptionError when this machine doesn't have the address.
    """
    bound: list[socket.socket] = []
    try:
        for number in (0, 0, 0) if port == 0 else (port, port + 1, port + 2):
            if number:
                _refuse_taken_on_ipv6(number)
            bound.append(_taken(_family(host), host, number))
    except (PortInUse, OptionError):
        for taken in bound:
            taken.close()
        raise
    return bound


def listen(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is a free one. On ::1 it leaves IPv4 alone."""
    # Named, because asyncio turns Nagle's delay (40 ms a response) off only where the protocol is known to be TCP.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _taken(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    try:
        return listen(family, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from None
        if error.errno == errno.EADDRNOTAVAIL and host != _IPV6_LOOPBACK:
            raise OptionError("--host", f"this machine doesn't have the address {host}") from None
        raise


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise OptionError("--host", f"{host!r} must be an IP address, as 0.0.0.0 for all of this machine's") from None


def _refuse_taken_on_ipv6(port: int) -> None:
    # Without IPv6 no other program can listen there.
    if not socket.has_ipv6:
        return
    try:
        _taken(socket.AF_INET6, _IPV6_LOOPBACK, port).close()
    except OSError as error:
        if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise


class Servers:
    """The servers. `start` returns when all of them listen."""

    def __init__(self, applications: Mapping[socket.socket, ASGIApp]) -> None:
        self._servers = {_Server(app): sock for sock, app in applications.items()}
        self._thread = threading.Thread(target=self._run, name="configure-sandbox", daemon=True)

    def start(self) -> None:
        self._thread.start()
        for server in self._servers:
            if not server.listening.wait(START_SECONDS):
                raise SandboxError("the sandbox did not start")

    def stop(self) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        await asyncio.gather(*(server.serve([sock]) for server, sock in self._servers.items()))
