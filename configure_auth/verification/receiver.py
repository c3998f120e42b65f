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
from urllib.parse import parse_qsl, urlsplit

from .sign_in import Begun

__all__ = ["Receiver", "receiving"]

_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>Verified</title><h1>That is all.</h1><p>The terminal says what came of it. You can close this window.</p></html>
"""
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Receiver:
    """Waits for the one request that ends a sign-in."""

    def __init__(self, answers: queue.Queue[Mapping[str, str]]) -> None:
        self._answers = answers

    def wait(self, seconds: float) -> Mapping[str, str] | None:
        """The parameters of the callback; None where nobody came back in time."""
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return None


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, begun: Begun, answers: queue.Queue[Mapping[str, str]], *given: object) -> None:
        self._begun = begun
        self._answers = answers
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=20)
        returned = dict(pairs)
        # Whatever else asks here, a favicon or a page that guesses, is not the end of this sign-in.
        mine = secrets.compare_digest(returned.get("state", "").encode(), self._begun.state.reveal().encode())
        is_end = mine and len(returned) == len(pairs) and parts.path == urlsplit(self._begun.callback).path
        self.send_response(200 if is_end else 404)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(_PAGE) if is_end else 0))
        self.end_headers()
        if is_end:
            self.wfile.write(_PAGE)
            self._answers.put(returned)

    def log_message(self, format: str, *args: object) -> None:
        """The request line has the code in it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, family: socket.AddressFamily, *given: object) -> None:
        self.address_family = family
        super().__init__(*given)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


@contextmanager
def receiving(begun: Begun) -> Iterator[Receiver]:
    """Listen where the sign-in ends, on both addresses of `localhost`.

    Raises:
        OSError: another program, most often the app itself, listens there.
    """
    parts = urlsplit(begun.callback)
    port = parts.port or 80
    answers: queue.Queue[Mapping[str, str]] = queue.Queue()
    handler = partial(_Handler, begun, answers)
    with ExitStack() as stack:
        for family, host in _addresses(parts.hostname or ""):
            server = stack.enter_context(_Server(family, (host, port), handler))
            thread = threading.Thread(target=server.serve_forever, name="configure_auth verify", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield Receiver(answers)


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
