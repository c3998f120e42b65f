"""Ports that nobody has."""

from __future__ import annotations

import errno
import itertools
import os
import socket

from configure_auth.sandbox import PortInUse, server

__all__ = ["free_port", "three_free_ports"]

# Below the ports that systems give to connections; each process of the test run has a range of its own.
_RANGE = 1_400
_first = 21_000 + _RANGE * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_firsts = itertools.cycle(range(_first, _first + _RANGE, 7))


def free_port() -> int:
    """A port that nobody has on either address of `localhost`."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port: int = one.getsockname()[1]
            try:
                with socket.create_server(("::1", port), family=socket.AF_INET6):
                    return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    return port


def three_free_ports() -> int:
    """The first of three adjacent ports; other ones each time."""
    for port in itertools.islice(_firsts, _RANGE // 7):
        try:
            for sock in server.bind(port):
                sock.close()
        except PortInUse:
            continue
        return port
    raise AssertionError("no free ports")
