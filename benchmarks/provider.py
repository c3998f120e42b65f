"""A stand-in for Configure that responds after a round trip of chosen length, on a port of its own.

    python benchmarks/provider.py --round-trip 0.02 --keep 75 certificate.pem

It prints its port. A new connection, a TLS handshake and a request take one round trip each. The loopback interface
has no latency, so each of them is delayed: what arrives on a connection waits half a round trip in both directions, and
the first bytes one whole more, as the TCP handshake would. `GET /counters` says what it has counted since it was asked
before.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import click

USER = "usr_0123456789"
RESPONSES: dict[str, object] = {
    "/oauth/token": {"access_token": "t" * 43, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r" * 43},
    "/oauth/introspect": {"active": True, "sub": USER, "client_id": "oc_benchmark"},
    "/v1/profile": {"user_id": USER, "identity": {"name": "Ada", "email": "ada@example.com"}},
    "/v1/auth/sign-in/exchange": {"token": "a" * 43, "agent": "bench", "user_id": USER, "approved": True},
}
counted = {"connections": 0, "requests": 0}


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: float) -> None:
    """Serve the requests of one connection; close it after `keep` seconds without one."""
    while True:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), keep)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            break
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        await reader.readexactly(int(headers.get("content-length", 0)))
        path = lines[0].split(" ")[1].partition("?")[0]
        if path == "/counters":
            body = json.dumps(counted).encode()
            counted.update(connections=0, requests=0)
        else:
            counted["requests"] += 1
            body = json.dumps(RESPONSES[path]).encode()
        start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(start.encode() + body)
    writer.close()


class Delay(asyncio.Protocol):
    """Passes bytes on after `delay()` seconds, and the first ones after as many more as `first`."""

    def __init__(self, delay: float, first: float) -> None:
        self.delay, self.first = delay, first
        self.other: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._due = 0.0

    def data_received(self, data: bytes) -> None:
        self._later(methodcaller("write", data))

    def connection_lost(self, error: Exception | None) -> None:
        self._later(methodcaller("close"))

    def _later(self, act: Callable[[Any], object]) -> None:
        # A little later each, so that the order stays.
        self._due = max(self._loop.time() + self.delay + self.first, self._due + 1e-6)
        self.first = 0.0
        self._loop.call_at(self._due, self._when_connected, act)

    def _when_connected(self, act: Callable[[Any], object]) -> None:
        if self.other is None:
            self._loop.call_later(0.001, self._when_connected, act)
        else:
            act(self.other)


class Near(Delay):
    """The end of a relayed connection that clients see."""

    def __init__(self, port: int, round_trip: float) -> None:
        super().__init__(round_trip / 2, round_trip)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        counted["connections"] += 1
        far = Delay(self.delay, 0.0)
        far.other = transport
        self._opening = self._loop.create_task(self._connect(far))

    async def _connect(self, far: Delay) -> None:
        transport, _ = await self._loop.create_connection(lambda: far, "127.0.0.1", self._port)
        self.other = transport


async def serve(round_trip: float, keep: float, certificate: str | None) -> None:
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server = await asyncio.start_server(lambda r, w: respond(r, w, keep), "127.0.0.1", 0, ssl=tls)
    listening = server
    if round_trip:
        target = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: Near(target, round_trip), "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@click.command()
@click.option("--round-trip", default=0.0, help="Seconds.")
@click.option("--keep", default=75.0, help="Seconds after which an idle connection is closed.")
@click.argument("certificate", required=False)
def main(round_trip: float, keep: float, certificate: str | None) -> None:
    asyncio.run(serve(round_trip, keep, certificate))


if __name__ == "__main__":
    main()
