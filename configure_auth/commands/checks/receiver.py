"""A server at the callback's address on this machine, which receives one callback in place of the app."""

from __future__ import annotations

import errno
import queue
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ...ui import pages
from .sign_in import StartedSignIn

_PAGE = pages.render(pages.TerminalPage()).encode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": pages.CONTENT_SECURITY_POLICY,
}


class Receiver:
    """Waits for the callback of a sign-in."""

    def __init__(self, started: StartedSignIn) -> None:
        self._started = started
        self._callbacks: queue.Queue[Mapping[str, str]] = queue.Queue()
        self.got_foreign_callback: bool = False
        """Whether there was a callback that doesn't belong to this sign-in."""

    def wait(self, seconds: float) -> Mapping[str, str] | None:
        """Return the callback's parameters; None if there was none in time."""
        try:
            return self._callbacks.get(timeout=seconds)
        except queue.Empty:
            return None

    def receive(self, parameters: Mapping[str, str]) -> None:
        """End the wait with these parameters."""
        self._callbacks.put(parameters)

    def read(self, target: str) -> Mapping[str, str] | None:
        """Return the parameters of this sign-in's callback; None for any other request."""
        try:
            parts = urlsplit(target)
            pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return None
        if parts.path != urlsplit(self._started.callback).path:
            return None
        parameters = dict(pairs)
        state = parameters.get("state", "").encode()
        if len(parameters) == len(pairs) and secrets.compare_digest(state, self._started.state.reveal().encode()):
            return parameters
        self.got_foreign_callback = True
        return None


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    """Seconds that a connection may be silent."""

    def __init__(self, receiver: Receiver, *given: Any) -> None:
        self._receiver = receiver
        super().__init__(*given)

    def do_GET(self) -> None:
        parameters = self._receiver.read(self.path)
        if parameters is None:
            self._respond(404, b"")
        else:
            try:
                self._respond(200, _PAGE)
            finally:
                # The sign-in counts even if the window was closed meanwhile.
                self._receiver.receive(parameters)

    def _respond(self, status: int, page: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Respond without the library's page, which quotes the request."""
        self._respond(code, b"")

    def version_string(self) -> str:
        return "configure_auth"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the request line contains the code."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    """Browsers open spare connections; with the library's default of 5 the next one waits for seconds."""

    def __init__(self, address: tuple[str, int], *given: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, *given)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # HTTPServer's looks the host name up in the network.
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect; the library prints a traceback."""


@contextmanager
def receiving(started: StartedSignIn) -> Iterator[Receiver]:
    """Listen at the callback's address, for `localhost` on IPv4 and IPv6.

    Raises:
        OSError: the port is in use, most often by the app itself.
    """
    parts = urlsplit(started.callback)
    port = parts.port or 80
    receiver = Receiver(started)
    handler = partial(_Handler, receiver)
    with ExitStack() as stack:
        # Browsers try ::1 first for localhost: another program there would get the code.
        for host in ("127.0.0.1", "::1") if parts.hostname == "localhost" else (parts.hostname or "",):
            try:
                server = stack.enter_context(_Server((host, port), handler))
            except OSError as error:
                if host == "::1" and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue  # a machine without IPv6
                raise
            # The command waits up to this interval for the server's shutdown.
            listen = partial(server.serve_forever, poll_interval=0.05)
            thread = threading.Thread(target=listen, name="configure_auth verify", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield receiver
