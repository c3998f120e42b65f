"""Where a sign-in ends that no app takes: the callback's own address on this machine, for one answer."""

from __future__ import annotations

import queue
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qsl, urlsplit

from ... import ui
from .sign_in import Begun

__all__ = ["Receiver", "receiving"]

_PAGE = ui.render(ui.TerminalPage()).encode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": ui.CONTENT_SECURITY_POLICY,
}


class Receiver:
    """Waits for the one request that ends a sign-in."""

    def __init__(self, answers: queue.Queue[Mapping[str, str]], strangers: threading.Event) -> None:
        self._answers = answers
        self._strangers = strangers

    @property
    def met_strangers(self) -> bool:
        """Whether somebody came to the callback with what is not the end of this sign-in."""
        return self._strangers.is_set()

    def wait(self, seconds: float) -> Mapping[str, str] | None:
        """The parameters of the callback; None where nobody came back in time."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    """Seconds that a connection may be silent."""

    def __init__(
        self, begun: Begun, answers: queue.Queue[Mapping[str, str]], strangers: threading.Event, *given: object
    ) -> None:
        self._begun = begun
        self._answers = answers
        self._strangers = strangers
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        returned = self._returned()
        if returned is None:
            self._answer(404, b"")
        else:
            try:
                self._answer(200, _PAGE)
            finally:
                # Whoever closed the window already has signed in all the same.
                self._answers.put(returned)

    def _returned(self) -> Mapping[str, str] | None:
        """The end of this sign-in; None for whatever else asks here, a favicon or a page that guesses."""
        try:
            parts = urlsplit(self.path)
            pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            return None
        if parts.path != urlsplit(self._begun.callback).path:
            return None
        returned = dict(pairs)
        state = returned.get("state", "").encode()
        if len(returned) == len(pairs) and secrets.compare_digest(state, self._begun.state.reveal().encode()):
            return returned
        self._strangers.set()
        return None

    def _answer(self, status: int, page: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A refusal; the library's own page quotes the request."""
        self._answer(code, b"")

    def version_string(self) -> str:
        return "configure_auth"

    def log_message(self, format: str, *args: object) -> None:
        """The request line has the code in it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    """Browsers open connections ahead of time; the library's five make the next one wait for seconds."""

    def __init__(self, family: socket.AddressFamily, *given: object) -> None:
        self.address_family = family
        super().__init__(*given)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Not HTTPServer's, which asks the network for the name of this machine.
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up is no trouble, and the library prints a traceback."""


@contextmanager
def receiving(begun: Begun) -> Iterator[Receiver]:
    """Listen where the sign-in ends, on both addresses of `localhost`.

    Raises:
        OSError: another program, most often the app itself, listens there.
    """
    parts = urlsplit(begun.callback)
    port = parts.port or 80
    answers: queue.Queue[Mapping[str, str]] = queue.Queue()
    strangers = threading.Event()
    handler = partial(_Handler, begun, answers, strangers)
    with ExitStack() as stack:
        for family, host in _addresses(parts.hostname or ""):
            server = stack.enter_context(_Server(family, (host, port), handler))
            # The time between two looks at whether to end, which the command waits for.
            listen = partial(server.serve_forever, poll_interval=0.05)
            thread = threading.Thread(target=listen, name="configure_auth verify", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield Receiver(answers, strangers)


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host != "localhost":
        return [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]
    # Browsers try ::1 first: another program must not be there.
    found = [(socket.AF_INET, "127.0.0.1")]
    return [*found, (socket.AF_INET6, "::1")] if _has_ipv6() else found


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
