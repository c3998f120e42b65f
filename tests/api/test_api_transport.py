"""What the transport promises of time, size, redirects, connections, loops and forks."""

from __future__ import annotations

import asyncio
import gc
import gzip
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from configure_auth.client.call import HttpCall, HttpResponse
from configure_auth.client.client import AsyncConfigure, Configure
from configure_auth.client.connections import shared_ssl_context
from configure_auth.client.sign_in import SignInCalls
from configure_auth.client.transport import ANSWER_LIMIT
from configure_auth.errors import ApiCode, ConfigureError, SettingsError

from .conftest import CLOSE, http

if TYPE_CHECKING:
    from .conftest import Line, Received, Send, Server

VALID = http({"valid": True})
LISTED = http({"destinations": []})


def raw(server: Server, method: str = "POST") -> HttpCall[HttpResponse]:
    """A call whose value is the answer itself."""
    return HttpCall(method=method, url=f"{server.url}/somewhere", parse=lambda reply: reply, content=b"{}")


class TestDeadline:
    @pytest.mark.catalogue("G9")
    @pytest.mark.parametrize(
        ("start", "more"),
        [
            pytest.param(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", id="headers"),
            pytest.param(b"HTTP/1.1 200 OK\r\nx: ", b"y", id="one header"),
            pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b" ", id="body"),
            pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n", id="chunks"),
            pytest.param(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", id="early hints"),
        ],
    )
    def test_an_answer_that_drips_ends_with_the_call(
        self, server: Server, send: Send, start: bytes, more: bytes
    ) -> None:
        def drip(line: Line, _: Received) -> None:
            line.write(start)
            line.drip(more)

        server.answers(drip)
        with pytest.raises(ConfigureError) as caught:
            send(raw(server), timeout=0.3)
        assert caught.value.code is ApiCode.TIMEOUT
        assert caught.value.retryable

    def test_a_server_that_says_nothing_is_a_timeout(self, server: Server, send: Send) -> None:
        server.answers(lambda line, _: line.hold())
        with pytest.raises(ConfigureError) as caught:
            send(raw(server, "GET"), timeout=0.3)
        assert caught.value.code is ApiCode.TIMEOUT
        assert len(server.received) == 1

    def test_a_timeout_on_a_kept_connection_is_not_repeated(self, server: Server) -> None:
        server.answers(LISTED, lambda line, _: line.hold())
        with Configure(server.settings, timeout=0.3) as configure:
            configure.auth.list_sign_in_return_destinations()
            with pytest.raises(ConfigureError) as caught:
                configure.auth.list_sign_in_return_destinations()
        assert caught.value.code is ApiCode.TIMEOUT
        assert len(server.received) == 2

    def test_an_awaited_timeout_on_a_kept_connection_is_not_repeated(self, server: Server) -> None:
        server.answers(LISTED, lambda line, _: line.hold())

        async def main() -> None:
            async with AsyncConfigure(server.settings, timeout=0.3) as configure:
                await configure.auth.list_sign_in_return_destinations()
                with pytest.raises(ConfigureError) as caught:
                    await configure.auth.list_sign_in_return_destinations()
                assert caught.value.code is ApiCode.TIMEOUT

        asyncio.run(main())
        assert len(server.received) == 2

    @pytest.mark.catalogue("G11", "R1")
    def test_a_tls_handshake_counts(self, send: Send) -> None:
        # The system takes the connection, and nobody ever greets back.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            call: HttpCall[HttpResponse] = HttpCall(
                method="GET", url=f"https://127.0.0.1:{silent.getsockname()[1]}/", parse=lambda reply: reply
            )
            with pytest.raises(ConfigureError) as caught:
                send(call, timeout=0.3)
        assert caught.value.code is ApiCode.TIMEOUT

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 301, True, "10"])
    def test_a_timeout_out_of_range_is_refused(self, server: Server, timeout: float) -> None:
        with pytest.raises(SettingsError, match="timeout must be a number of seconds"):
            Configure(server.settings, timeout=timeout)


class TestSize:
    def test_the_largest_answer_is_read_whole(self, server: Server, send: Send) -> None:
        server.answers(http(b" " * ANSWER_LIMIT))
        assert len(send(raw(server)).content) == ANSWER_LIMIT

    @pytest.mark.catalogue("G8")
    def test_an_endless_body_is_cut(self, server: Server, send: Send) -> None:
        def pour(line: Line, _: Received) -> None:
            line.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            line.drip(b"10000\r\n" + b" " * 0x10000 + b"\r\n", every=0)

        server.answers(pour)
        with pytest.raises(ConfigureError) as caught:
            send(raw(server))
        assert caught.value.code is ApiCode.SERVER_ERROR
        assert caught.value.status_code == 200

    @pytest.mark.catalogue("G8")
    def test_a_compressed_answer_is_not_asked_for_and_not_unfolded(self, server: Server, send: Send) -> None:
        bomb = gzip.compress(b" " * 10_000_000)
        server.answers(http(bomb, headers={"content-encoding": "gzip"}))
        with pytest.raises(ConfigureError) as caught:
            send(raw(server))
        assert caught.value.code is ApiCode.SERVER_ERROR
        assert server.received[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("headers", [{}, {"content-encoding": "br"}])
    def test_a_refusal_counts_by_its_status_however_its_body_is(
        self, server: Server, send: Send, headers: dict[str, str]
    ) -> None:
        body = b"x" * 1_000_000
        server.answers(http(body, status=429, content_type="text/html", headers=headers | {"retry-after": "7"}))
        with pytest.raises(ConfigureError) as caught:
            send(SignInCalls(server.settings).validate_sign_in_token("token"))
        assert caught.value.code is ApiCode.RATE_LIMITED
        assert caught.value.retry_after == 7

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (401, ApiCode.AUTH_REQUIRED),
            (404, ApiCode.NOT_FOUND),
            (500, ApiCode.SERVER_ERROR),
            (302, ApiCode.SERVER_ERROR),
        ],
    )
    @pytest.mark.parametrize("ends", ["closed", "silent", "chunk"])
    def test_a_refusal_whose_body_breaks_off(
        self, server: Server, send: Send, status: int, code: ApiCode, ends: str
    ) -> None:
        """Its status says what happened, though neither the connection nor the time sufficed for the body."""

        def answer(line: Line, received: Received) -> object:
            framing = "transfer-encoding: chunked" if ends == "chunk" else "content-length: 100"
            head = f"HTTP/1.1 {status} Whatever\r\nretry-after: 90\r\n{framing}\r\n\r\n"
            line.write(head.encode() + (b"zz\r\n" if ends == "chunk" else b'{"error": {"ty'))
            if ends == "silent":
                line.hold()
            return CLOSE

        server.answers(answer)
        with pytest.raises(ConfigureError) as caught:
            send(SignInCalls(server.settings).validate_sign_in_token("tok"), timeout=0.5)
        assert (caught.value.code, caught.value.status_code, caught.value.retry_after) == (code, status, 90)
        assert len(server.received) == 1

    @pytest.mark.catalogue("G8")
    def test_endless_headers_are_cut(self, server: Server, send: Send) -> None:
        def pour(line: Line, _: Received) -> None:
            line.write(b"HTTP/1.1 200 OK\r\n")
            line.drip(b"x: " + b"y" * 10_000 + b"\r\n", every=0)

        server.answers(pour)
        with pytest.raises(ConfigureError) as caught:
            send(raw(server))
        assert caught.value.code is ApiCode.NETWORK_ERROR


class TestRedirect:
    @pytest.mark.catalogue("G10")
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_an_error_and_its_target_hears_nothing(
        self, new_server: Callable[[], Server], send: Send, status: int
    ) -> None:
        server, target = new_server(), new_server()
        target.answers(VALID)
        server.answers(http({"valid": True}, status=status, headers={"location": f"{target.url}/v1"}))
        with pytest.raises(ConfigureError) as caught:
            send(SignInCalls(server.settings).validate_sign_in_token("token"))
        assert caught.value.code is ApiCode.SERVER_ERROR
        assert caught.value.status_code == status
        assert target.connections == 0

    def test_no_proxy_is_read_from_the_environment(
        self, new_server: Callable[[], Server], send: Send, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, proxy = new_server(), new_server()
        server.answers(VALID)
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        send(SignInCalls(server.settings).validate_sign_in_token("token"))
        assert proxy.connections == 0


class TestNetwork:
    @pytest.mark.catalogue("R1")
    def test_nobody_there_is_a_network_error(self, server: Server, send: Send) -> None:
        nobody = replace(raw(server), url="http://127.0.0.1:1/")
        with pytest.raises(ConfigureError) as caught:
            send(nobody)
        assert caught.value.code is ApiCode.NETWORK_ERROR
        assert caught.value.retryable
        assert not caught.value.sent

    @pytest.mark.catalogue("R1")
    def test_an_unknown_host_is_a_network_error(self, server: Server, send: Send) -> None:
        with pytest.raises(ConfigureError) as caught:
            send(replace(raw(server), url=f"http://{'x' * 64}.invalid/"))
        assert caught.value.code is ApiCode.NETWORK_ERROR

    def test_a_name_is_looked_up(self, server: Server, send: Send) -> None:
        server.answers(VALID)
        send(replace(raw(server), url=f"http://localhost:{server.port}/"))
        assert server.received[0].headers["host"] == f"localhost:{server.port}"

    @pytest.mark.catalogue("R1", "R2")
    @pytest.mark.parametrize(
        "answer",
        [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n"],
    )
    def test_half_an_answer_is_a_network_error_and_nothing_is_sent_twice(
        self, server: Server, send: Send, answer: bytes
    ) -> None:
        def half(line: Line, _: Received) -> object:
            line.write(answer)
            return CLOSE

        server.answers(half)
        with pytest.raises(ConfigureError) as caught:
            send(raw(server, "GET"))
        assert caught.value.code is ApiCode.NETWORK_ERROR
        assert caught.value.sent
        assert len(server.received) == 1

    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "Łódź", " a", "a ", ""])
    def test_a_header_that_cannot_be_sent_is_refused_first(self, server: Server, send: Send, value: str) -> None:
        with pytest.raises(ConfigureError) as caught:
            send(replace(raw(server), headers={"X-User-Id": value}))
        assert caught.value.code is ApiCode.INVALID_INPUT
        assert server.connections == 0


class TestConnections:
    def test_a_client_opens_nothing_before_its_first_call(self, server: Server) -> None:
        configure = Configure(server.settings)
        configure.profile(token="token")
        AsyncConfigure(server.settings).profile(token="token")
        configure.auth.sign_in_url()
        assert server.connections == 0

    def test_a_connection_is_kept(self, server: Server) -> None:
        server.answers(VALID)
        with Configure(server.settings) as configure:
            for _ in range(3):
                configure.auth.validate_sign_in_token("token")
        assert [received.connection for received in server.received] == [1, 1, 1]

    def test_an_awaited_connection_is_kept(self, server: Server) -> None:
        server.answers(VALID)

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                for _ in range(3):
                    await configure.auth.validate_sign_in_token("token")

        asyncio.run(main())
        assert [received.connection for received in server.received] == [1, 1, 1]

    @pytest.mark.catalogue("R2")
    def test_a_get_that_met_a_closed_connection_is_repeated_once_on_a_new_one(self, server: Server) -> None:
        server.answers(LISTED, lambda line, received: CLOSE, LISTED)
        with Configure(server.settings) as configure:
            configure.auth.list_sign_in_return_destinations()
            configure.auth.list_sign_in_return_destinations()
        assert [received.connection for received in server.received] == [1, 1, 2]

    def test_an_awaited_get_is_repeated_too(self, server: Server) -> None:
        server.answers(LISTED, lambda line, received: CLOSE, LISTED)

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                await configure.auth.list_sign_in_return_destinations()
                await configure.auth.list_sign_in_return_destinations()

        trio.run(main)
        assert [received.connection for received in server.received] == [1, 1, 2]

    @pytest.mark.catalogue("R2")
    def test_a_code_is_never_sent_twice(self, server: Server) -> None:
        server.answers(LISTED, lambda line, received: CLOSE, LISTED)
        with Configure(server.settings) as configure:
            configure.auth.list_sign_in_return_destinations()
            with pytest.raises(ConfigureError) as caught:
                configure.auth.exchange_sign_in_code("cfgsic_once")
        assert caught.value.code is ApiCode.NETWORK_ERROR
        assert len(server.received) == 2

    def test_after_an_answer_cut_short_the_connection_is_not_used_again(self, server: Server) -> None:
        server.answers(http(b"x" * (ANSWER_LIMIT + 1)), VALID)
        with Configure(server.settings) as configure:
            with pytest.raises(ConfigureError):
                configure.auth.validate_sign_in_token("token")
            assert configure.auth.validate_sign_in_token("token").valid
        assert [received.connection for received in server.received] == [1, 2]

    def test_a_closed_client_opens_anew(self, server: Server) -> None:
        server.answers(VALID)
        configure = Configure(server.settings)
        for _ in range(2):
            configure.auth.validate_sign_in_token("token")
            configure.close()
            assert server.left.acquire(timeout=5)
        assert server.connections == 2

    def test_a_client_that_is_let_go_closes_its_connections(self, server: Server) -> None:
        server.answers(VALID)
        configure = Configure(server.settings)
        configure.auth.validate_sign_in_token("token")
        del configure
        gc.collect()
        assert server.left.acquire(timeout=5)


class TestLoops:
    @pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)])
    def test_one_client_lives_through_several_loops(self, server: Server, run: Callable[[object], object]) -> None:
        server.answers(VALID)
        configure = AsyncConfigure(server.settings)

        async def twice() -> None:
            for _ in range(2):
                assert (await configure.auth.validate_sign_in_token("token")).valid

        for _ in range(3):
            run(twice())
            # The loop's end has closed its connections, and left no warning of an unclosed one.
            assert server.left.acquire(timeout=5)
        assert [received.connection for received in server.received] == [1, 1, 2, 2, 3, 3]

    def test_loops_in_two_threads_share_a_client_but_no_connection(self, server: Server) -> None:
        both = threading.Barrier(2, timeout=5)

        def meet(line: Line, _: Received) -> None:
            both.wait()
            line.write(VALID)

        server.answers(meet)
        configure = AsyncConfigure(server.settings)

        async def main() -> None:
            assert (await configure.auth.validate_sign_in_token("token")).valid
            assert (await configure.auth.validate_sign_in_token("token")).valid

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(asyncio.run, [main(), main()]))
        assert server.connections == 2

    @pytest.mark.catalogue("Q7")
    def test_a_cancelled_call_gives_its_connection_up(self, server: Server) -> None:
        arrived = threading.Event()

        def late(line: Line, _: Received) -> None:
            arrived.set()
            line.hold()

        server.answers(late, VALID)

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                task = asyncio.create_task(configure.auth.validate_sign_in_token("one"))
                await asyncio.to_thread(arrived.wait, 5)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert (await configure.auth.validate_sign_in_token("two")).valid

        asyncio.run(main())
        assert [received.connection for received in server.received] == [1, 2]

    def test_a_loop_closed_without_ceremony_is_dropped(self, server: Server) -> None:
        server.answers(VALID)
        configure = AsyncConfigure(server.settings)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(configure.auth.validate_sign_in_token("token"))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        assert asyncio.run(_validate(configure))


async def _validate(configure: AsyncConfigure) -> bool:
    return (await configure.auth.validate_sign_in_token("token")).valid


class TestTwoAtOnce:
    def test_two_calls_are_on_their_way_together(self, server: Server) -> None:
        both = threading.Barrier(2, timeout=5)

        def meet(line: Line, received: Received) -> None:
            both.wait()
            line.write(LISTED if received.method == "GET" else VALID)

        server.answers(meet)
        first = SignInCalls(server.settings).validate_sign_in_token("token")
        second = SignInCalls(server.settings).list_sign_in_return_destinations()
        with Configure(server.settings) as configure:
            validation, listed = configure.send_both(first, second)
        assert validation.valid
        assert listed == ()

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                assert await configure.send_both(first, second) == (validation, listed)

        asyncio.run(main())
        trio.run(main)

    @pytest.mark.parametrize("failing", [0, 1])
    def test_a_failure_of_either_is_raised_as_it_is(self, server: Server, failing: int) -> None:
        def answer(line: Line, received: Received) -> None:
            line.write(http({}, status=401) if received.body == b'{"token":"bad"}' else VALID)

        server.answers(answer)
        tokens = ["good", "good"]
        tokens[failing] = "bad"
        first, second = (SignInCalls(server.settings).validate_sign_in_token(token) for token in tokens)
        with Configure(server.settings) as configure, pytest.raises(ConfigureError) as caught:
            configure.send_both(first, second)
        assert caught.value.code is ApiCode.AUTH_REQUIRED

        async def main() -> None:
            async with AsyncConfigure(server.settings) as configure:
                with pytest.raises(ConfigureError) as caught:
                    await configure.send_both(first, second)
                assert caught.value.code is ApiCode.AUTH_REQUIRED

        asyncio.run(main())
        trio.run(main)

    def test_many_pairs_at_once_all_come_through(self, server: Server) -> None:
        server.answers(VALID)
        call = SignInCalls(server.settings).validate_sign_in_token("token")
        with Configure(server.settings) as configure, ThreadPoolExecutor(20) as threads:
            pairs = list(threads.map(lambda _: configure.send_both(call, call), range(60)))
        assert all(first.valid and second.valid for first, second in pairs)
        assert len(server.received) == 120


FORK = """
import asyncio, os, sys
from configure_auth.client import AsyncConfigure, Configure

options = dict(api_key="sk_key", agent="acme", base_url=sys.argv[1])
configure, awaited = Configure(**options), AsyncConfigure(**options)
other = asyncio.new_event_loop()

def call(who):
    assert configure.auth.validate_sign_in_token(who + "-1").valid
    assert asyncio.run(validate(who + "-2")).valid

async def validate(token):
    return await awaited.auth.validate_sign_in_token(token)

call("before")
pair = configure.auth.validate_sign_in_token
other.run_until_complete(validate("before-3"))
child = os.fork()
call("child" if child == 0 else "parent")
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
other.run_until_complete(validate("parent-3"))
other.run_until_complete(other.shutdown_asyncgens())
other.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_after_a_fork_no_connection_is_shared(server: Server) -> None:
    server.answers(VALID)
    script = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(FORK), server.url],
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (script.returncode, script.stderr) == (0, "")
    users: dict[int, set[bytes]] = {}
    for received in server.received:
        who = received.body.removeprefix(b'{"token":"').partition(b"-")[0]
        users.setdefault(received.connection, set()).add(who)
    # The parent goes on with its own connections, and the child has new ones.
    assert {b"before", b"parent"} in users.values()
    assert all(b"child" not in who or who == {b"child"} for who in users.values())


def test_a_pair_of_calls_is_still_a_pair_after_a_fork(server: Server) -> None:
    both = threading.Barrier(2, timeout=5)

    def meet(line: Line, _: Received) -> None:
        both.wait()
        line.write(VALID)

    server.answers(meet)
    script = """
        import os, sys
        from configure_auth.client import Configure
        from configure_auth.client.sign_in import SignInCalls
        configure = Configure(api_key="sk_key", agent="acme", base_url=sys.argv[1], timeout=5)
        call = SignInCalls(configure.settings).validate_sign_in_token("token")
        assert configure.send_both(call, call)
        child = os.fork()
        if child == 0:
            assert configure.send_both(call, call)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert configure.send_both(call, call)
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), server.url], timeout=30, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(server.received) == 6


def test_the_tls_context_is_made_once() -> None:
    assert shared_ssl_context() is shared_ssl_context()


def test_a_certificate_that_the_system_trusts_is_taken(
    new_server: Callable[[ssl.SSLContext], Server], tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _self_signed(tmp_path)
    context.load_cert_chain(certificate)
    server = new_server(context)
    server.answers(VALID)
    script = """
        import asyncio, sys, trio
        from configure_auth.client import AsyncConfigure, Configure
        options = dict(api_key="sk_key", agent="acme", base_url=sys.argv[1])
        with Configure(**options) as configure:
            for _ in range(2):
                assert configure.auth.validate_sign_in_token("token").valid
        awaited = AsyncConfigure(**options)
        async def main():
            for _ in range(2):
                assert (await awaited.auth.validate_sign_in_token("token")).valid
        asyncio.run(main())
        trio.run(main)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), server.url.replace("http:", "https:")],
        env=os.environ | {"SSL_CERT_FILE": str(certificate)},
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [received.connection for received in server.received] == [1, 1, 2, 2, 3, 3]


@pytest.mark.catalogue("G11")
def test_a_certificate_that_nobody_vouches_for_is_refused(
    new_server: Callable[[ssl.SSLContext], Server], send: Send, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    server = new_server(context)
    url = f"https://127.0.0.1:{server.port}/"
    call: HttpCall[HttpResponse] = HttpCall(method="GET", url=url, parse=lambda reply: reply)
    with pytest.raises(ConfigureError) as caught:
        send(call)
    assert caught.value.code is ApiCode.NETWORK_ERROR
    assert server.received == []


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
