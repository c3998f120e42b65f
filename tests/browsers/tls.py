"""https in front of servers that speak http, by a certificate that browsers are told to accept."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["certificate", "tls_in_front"]


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate for `localhost` and the names below it, and return a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("*.localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@contextmanager
def tls_in_front(context: ssl.SSLContext, ports: dict[int, int]) -> Iterator[None]:
    """Accept TLS on the first of each two loopback ports, and pass the bytes on to the second."""
    started, ended, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    writers: set[asyncio.StreamWriter] = set()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for port, target in ports.items():
                accept = partial(_accept, target, writers)
                await stack.enter_async_context(await asyncio.start_server(accept, "127.0.0.1", port, ssl=context))
            started.set()
            await ended.wait()
            # Not cancelled: on Python 3.11 a server's cancelled connection is logged as an error.
            for writer in writers:
                writer.transport.abort()
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10), "the proxy doesn't start"
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


async def _accept(
    port: int, writers: set[asyncio.StreamWriter], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    upstream, to_upstream = await asyncio.open_connection("127.0.0.1", port)
    both = {writer, to_upstream}
    writers |= both
    await asyncio.gather(_copy(reader, to_upstream, both), _copy(upstream, writer, both))
    writers -= both


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, both: set[asyncio.StreamWriter]) -> None:
    """Copy until one side ends; then both do."""
    with suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    for each in both:
        each.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
