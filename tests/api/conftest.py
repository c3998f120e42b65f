"""A server on loopback that records what it is sent and answers as a test tells it to, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import anyio
import pytest

from configure_auth.client.call import HttpCall
from configure_auth.client.client import AsyncConfigure, Configure
from configure_auth.sandbox import Sandbox
from configure_auth.settings import Settings
from configure_auth.values import Secret

T = TypeVar("T")


@dataclass(frozen=True)
class Received:
    """One request, and the number of the connection that it came on."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Line:
    """The server's side of one connection, for an answer that is more than bytes."""

    def __init__(self, sock: socket.socket, stop: threading.Event) -> None:
        self._sock = sock
        self._stop = stop

    def write(self, data: bytes) -> None:
        self._sock.sendall(data)

    def drip(self, data: bytes, every: float = 0.01) -> None:
        """One byte after another, until the other side or the test has had enough."""
        while not self._stop.wait(every):
            self._sock.sendall(data)

    def hold(self) -> None:
        """Say nothing until the other side leaves."""
        self._sock.recv(1)


Answering: TypeAlias = Callable[[Line, Received], object]


def http(
    body: object = b"",
    *,
    status: int = 200,
    content_type: str | None = "application/json",
    headers: dict[str, str] | None = None,
) -> bytes:
    """A whole answer; a body that isn't bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(content)}"]
    if content_type is not None:
        lines.append(f"content-type: {content_type}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


class Server:
    """Answers each request with the next of the answers it was given, and goes on with the last."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.received: list[Received] = []
        self.connections = 0
        self.left = threading.Semaphore(0)
        self._answers: list[bytes | Answering] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._connected: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        return Settings(
            api_key=Secret("sk_key"),
            agent="acme",
            oauth_client_id="oc_client",
            oauth_client_secret=Secret("ocs_secret"),
            base_url=self.url,
        )

    def answers(self, *answers: bytes | Answering) -> None:
        self._answers = list(answers)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            if self._stop.is_set():
                sock.close()
                return
            self.connections += 1
            sock.settimeout(10)
            self._connected.append(sock)
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, connection: int) -> None:
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                return
            self._connected.append(sock)
        with sock, sock.makefile("rb") as reader:
            try:
                while (received := self._read(reader, connection)) is not None:
                    with self._lock:
                        self.received.append(received)
                        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                    if isinstance(answer, bytes):
                        sock.sendall(answer)
                    elif answer(Line(sock, self._stop), received) is CLOSE:
                        break
            except OSError:
                pass
        self.left.release()

    @staticmethod
    def _read(reader: Any, connection: int) -> Received | None:
        start = reader.readline().decode("latin-1").split()
        if len(start) != 3:
            return None
        headers: dict[str, str] = {}
        while (line := reader.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = reader.read(int(headers.get("content-length", 0)))
        return Received(start[0], start[1], headers, body, connection)

    def close(self) -> None:
        self._stop.set()
        # Closing a listening socket doesn't wake its `accept`; a visitor does.
        with socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._socket.close()
        for sock in self._connected:
            # A client that keeps its connection would let the thread read until its timeout.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


CLOSE = object()
"""What an answering function returns to hang up."""


@pytest.fixture
def new_server() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def new(tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(tls))
        return servers[-1]

    yield new
    for server in servers:
        server.close()


@pytest.fixture
def server(new_server: Callable[[], Server]) -> Server:
    return new_server()


class Send(Protocol):
    def __call__(self, call: HttpCall[T], *, timeout: float = 5) -> T: ...


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def send(request: pytest.FixtureRequest) -> Send:
    """Sends a call with a client of its own: blocking, on asyncio, and on trio."""
    kind: str = request.param

    def send(call: HttpCall[T], *, timeout: float = 5) -> T:
        settings = Settings(api_key=Secret("sk_key"), agent="acme")
        if kind == "blocking":
            with Configure(settings, timeout=timeout) as configure:
                return configure.send(call)

        async def awaited() -> T:
            async with AsyncConfigure(settings, timeout=timeout) as configure:
                return await configure.send(call)

        return anyio.run(awaited, backend=kind)

    return send


class Ask(Protocol):
    def __call__(self, settings: Settings, verb: str, *args: object, **options: object) -> Any: ...


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Uses a verb of `auth`: blocking, on asyncio, and on trio."""
    kind: str = request.param

    def ask(settings: Settings, verb: str, *args: object, **options: object) -> Any:
        if kind == "blocking":
            with Configure(settings) as configure:
                return getattr(configure.auth, verb)(*args, **options)

        async def awaited() -> Any:
            async with AsyncConfigure(settings) as configure:
                return await getattr(configure.auth, verb)(*args, **options)

        return anyio.run(awaited, backend=kind)

    return ask


@pytest.fixture
def sandbox_settings(configure_sandbox: Sandbox) -> Settings:
    return Settings.from_mapping(configure_sandbox.environment())


@pytest.fixture(params=["camel", "snake"])
def sandbox(configure_sandbox: Sandbox, request: pytest.FixtureRequest) -> Sandbox:
    """A sandbox that writes in one of the two spellings."""
    configure_sandbox.variants.casing = request.param
    return configure_sandbox
