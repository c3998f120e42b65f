"""The ports, and the sandbox as a program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import httpx2
import pytest

from configure_auth.sandbox import NotRunning, PortInUse, Sandbox
from configure_auth.sandbox.http_browser import HttpBrowser

from ..support.ports import three_free_ports
from ..support.stores import first


def test_there_are_no_addresses_before_the_start() -> None:
    with pytest.raises(NotRunning):
        _ = Sandbox().api_url


def test_ports_are_adjacent_and_free_again_after_stop() -> None:
    port = three_free_ports()
    for _ in range(2):
        with Sandbox(port) as sandbox:
            assert sandbox.api_url == f"http://127.0.0.1:{port}"
            assert sandbox.accounts_url == f"http://127.0.0.1:{port + 1}"
            assert sandbox.sign_in_url == f"http://127.0.0.1:{port + 2}"
            assert httpx2.get(f"{sandbox.api_url}/v1/profile", trust_env=False).status_code == 401


@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_port_that_is_taken_is_named(host: str, offset: int) -> None:
    port = three_free_ports()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, port + offset), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with taken, pytest.raises(PortInUse) as raised:
        Sandbox(port).start()
    assert raised.value.port == port + offset
    assert str(port + offset) in str(raised.value)
    Sandbox(port).start().stop()


PROGRAM = """
import sys
from configure_auth.sandbox import serve
serve(
    int(sys.argv[1]),
    app_url="http://localhost:5000/",
    announce=lambda text: print(text, "that is all", sep="\\n", flush=True),
)
print("ended", flush=True)
"""
END = "that is all"


@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM]))
@pytest.mark.parametrize("background", [False, True])
def test_the_program_ends_cleanly_on_a_signal(number: signal.Signals, background: bool) -> None:
    port = three_free_ports()

    def ignore_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        preexec_fn=ignore_interrupts if background else None,
    )
    watchdog = threading.Timer(30, program.kill)
    watchdog.start()
    try:
        assert program.stdout is not None
        lines = [line.strip() for line in iter(program.stdout.readline, f"{END}\n")]
        environment = dict(line.split("=", 1) for line in lines if line.startswith("CONFIGURE_"))
        assert environment["CONFIGURE_APP_URL"] == "http://localhost:5000"
        key = {"X-API-Key": environment["CONFIGURE_API_KEY"]}
        clients = httpx2.get(
            f"{environment['CONFIGURE_BASE_URL']}/v1/developer/oauth/clients", headers=key, trust_env=False
        ).json()["clients"]
        assert clients[0]["redirect_uris"] == [
            f"http://{host}:5000/auth/configure/callback" for host in ("localhost", "127.0.0.1")
        ]
        with HttpBrowser() as visitor:
            link = f"{environment['CONFIGURE_SIGN_IN_URL']}/{environment['CONFIGURE_AGENT']}"
            visitor.sign_in(f"{link}?delivery=message&message_complete_url=http://127.0.0.1:9/", "+15550100001")
            assert len(visitor.completions) == 1, "the page posts it"
        program.send_signal(number)
        output, errors = program.communicate()
    finally:
        watchdog.cancel()
        program.kill()
        program.communicate()
    assert (program.returncode, output, errors) == (0, "ended\n", "")
