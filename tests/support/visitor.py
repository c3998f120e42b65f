"""A browser without a connection pool: every request is a connection of its own, to any port, and can be cut off."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from configure_auth.sandbox import Sandbox

from .web import Web, start_path

T = TypeVar("T")

FlowName = Literal["link", "login"]
EXCHANGE = "/v1/auth/sign-in/exchange"
TOKEN = "/oauth/token"
PROFILE = "/v1/profile"
CODE_PATH: dict[FlowName, str] = {"link": EXCHANGE, "login": TOKEN}
"""Where at Configure the code of each flow goes."""


@dataclass(frozen=True)
class Got:
    """An answer. Header names are in lower case; `cookies` are those it sets."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    @property
    def location(self) -> str | None:
        return self.header("location")

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def cookies(self) -> dict[str, str]:
        jar: SimpleCookie = SimpleCookie()
        for name, value in self.headers:
            if name == "set-cookie":
                jar.load(value)
        return {name: morsel.value for name, morsel in jar.items()}


@dataclass
class Visitor:
    """Cookies, which `get` and `post` keep and `ask` only sends, and the Host that the app is known by."""

    port: int
    host: str
    sandbox: Sandbox
    cookies: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, web: Web) -> Visitor:
        parts = urlsplit(web.url)
        assert parts.port is not None
        return cls(parts.port, parts.netloc, web.sandbox)

    def fork(self, *names: str) -> Visitor:
        """The same browser at this moment; with names, only those of its cookies."""
        kept = {name: value for name, value in self.cookies.items() if not names or name in names}
        return Visitor(self.port, self.host, self.sandbox, kept)

    def headers(self, site: str) -> dict[str, str]:
        """What the browser would send with a request that a page of `site` makes."""
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        named = {"Host": self.host, "Accept": "text/html", "Sec-Fetch-Site": site, "Origin": f"http://{self.host}"}
        return named | (cookie if self.cookies else {})

    def ask(
        self, url: str, *, method: str = "GET", site: str = "same-origin", port: int | None = None, accept: str = ""
    ) -> Got:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = self.headers(site) | ({"Accept": accept} if accept else {})
        return self._fetch(port, method, target, headers)

    def tell(self, path: str, body: object, port: int | None = None) -> Got:
        """Post JSON, as a server would."""
        headers = {"Host": self.host, "Content-Type": "application/json"}
        return self._fetch(port, "POST", path, headers, json.dumps(body))

    def _fetch(
        self, port: int | None, method: str, target: str, headers: dict[str, str], body: str | None = None
    ) -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            sent = tuple((name.lower(), value) for name, value in answer.getheaders())
            return Got(answer.status, sent, answer.read().decode())
        finally:
            connection.close()

    def get(self, url: str, *, site: str = "same-origin", port: int | None = None) -> Got:
        return self._keep(self.ask(url, site=site, port=port))

    def post(self, url: str, *, port: int | None = None) -> Got:
        return self._keep(self.ask(url, method="POST", port=port))

    def _keep(self, got: Got) -> Got:
        self.cookies |= got.cookies
        return got

    def leave_at(self, callback: str, port: int | None = None) -> socket.socket:
        """Send the callback without waiting for the answer; close the socket to give it up."""
        parts = urlsplit(callback)
        lines = [f"GET {parts.path}?{parts.query} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers("cross-site").items()]
        sock = socket.create_connection(("127.0.0.1", port or self.port), timeout=30)
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        return sock

    def sign_in_locally(self, user_id: str) -> None:
        assert self.post(f"/in/{user_id}").status == 200

    def who(self, port: int | None = None) -> str:
        """What the app says of its session user, as JSON."""
        return self.ask("/who", port=port).text

    def start(self, flow: FlowName, phone: str = "+15550100001", query: str = "", prefix: str = "") -> str:
        """From the button to the end of Configure's pages: the URL of the callback."""
        got = self.get(prefix + start_path(flow) + query)
        assert got.location is not None, (got.status, got.text)
        return self.sandbox.sign_in(got.location, phone)

    def come_back(self, callback: str, port: int | None = None) -> Got:
        return self.get(callback, site="cross-site", port=port)

    def wait_for(self, callback: str, port: int | None = None) -> Got:
        """The callback as the waiting page repeats it: until there is an end. Keeps no cookie."""
        got = self.ask(callback, site="cross-site", port=port)
        for _ in range(10):
            if got.status != 202:
                break
            got = self.ask(callback, port=port)
        return got

    def run(self, flow: FlowName, phone: str = "+15550100001", prefix: str = "") -> Got:
        return self.come_back(self.start(flow, phone, prefix=prefix))


class Crowd:
    """Many callers that begin in the same moment."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)
        self._count = count
        self._pool = ThreadPoolExecutor(count)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def send(self, act: Callable[[int], T]) -> list[Future[T]]:
        def begin(number: int) -> T:
            self._barrier.wait(30)
            return act(number)

        return [self._pool.submit(begin, number) for number in range(self._count)]


def at_once(count: int, act: Callable[[int], T]) -> list[T]:
    """`act(0)` to `act(count - 1)`, begun together; what they return."""
    with Crowd(count) as crowd:
        return [future.result() for future in crowd.send(act)]
