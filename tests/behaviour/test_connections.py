"""How many connections and calls a sign-in makes at Configure, and when they are opened."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from configure_auth.sandbox import Sandbox

from ..support.web import Browser, Flow, MakeWeb, Web, start_path

COSTS = {"link": (["/v1/auth/sign-in/exchange"], 1), "login": (["/oauth/token", "/oauth/introspect", "/v1/profile"], 2)}
"""The calls and the connections of a callback. Over TLS each connection is one handshake."""


class Relay:
    """Passes connections on to the sandbox, and counts them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.opened = 0
        self._changed = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def wait_for(self, opened: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.opened >= opened, 10), self.opened

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._pass_on, args=(one, other)))
                self._threads[-1].start()
            with self._changed:
                self.opened += 1
                self._changed.notify_all()

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while content := one.recv(65536):
                other.sendall(content)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for each in (self._listening, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def relay(configure_sandbox: Sandbox) -> Iterator[Relay]:
    relay = Relay(configure_sandbox.api_url)
    yield relay
    relay.close()


@pytest.fixture
def web(make_web: MakeWeb, relay: Relay, configure_sandbox: Sandbox) -> Web:
    return make_web(settings={"CONFIGURE_BASE_URL": relay.url}, login={"resource": configure_sandbox.api_url})


def back_from_configure(web: Web, browser: Browser, flow: Flow, **headers: str | None) -> str:
    """The address of a callback, after a start with these headers."""
    if flow == "link":
        browser.sign_in_locally("u1")
    started = browser.get(start_path(flow), **headers)  # type: ignore[arg-type]
    assert started.status_code in (302, 303), started.text
    return browser.at_configure(started.headers["location"])


@pytest.mark.parametrize("flow", COSTS)
def test_a_callback_in_a_process_without_connections(web: Web, browser: Browser, relay: Relay, flow: Flow) -> None:
    # A browser without Fetch Metadata: nothing is opened at the start.
    callback = back_from_configure(web, browser, flow, site=None, origin=web.url)
    before = len(web.sandbox.calls)
    assert relay.opened == 0
    assert browser.come_back(callback).status_code == 303
    calls, connections = COSTS[flow]
    assert sorted(call.path for call in web.sandbox.calls[before:]) == sorted(calls)
    assert relay.opened == connections


def test_the_second_connection_of_a_login_is_opened_during_the_token_request(
    web: Web, browser: Browser, relay: Relay
) -> None:
    callback = back_from_configure(web, browser, "login", site=None, origin=web.url)
    with web.sandbox.hold("/oauth/token") as held:
        thread = threading.Thread(target=browser.come_back, args=(callback,))
        thread.start()
        held.arrived.wait()
        relay.wait_for(2)
        held.release()
        thread.join(10)
    assert relay.opened == 2


@pytest.mark.parametrize("flow", COSTS)
def test_a_start_on_a_page_of_the_app_opens_what_its_callback_uses(
    web: Web, browser: Browser, relay: Relay, flow: Flow
) -> None:
    _, connections = COSTS[flow]
    callback = back_from_configure(web, browser, flow)
    relay.wait_for(connections)
    assert browser.come_back(callback).status_code == 303
    assert relay.opened == connections


def test_nothing_is_opened_for_a_bot_a_prefetch_another_site_or_a_button(
    web: Web, browser: Browser, relay: Relay
) -> None:
    browser.sign_in_locally("u1")
    for site, headers in (
        (None, {}),
        ("cross-site", {}),
        ("same-origin", {"sec-purpose": "prefetch"}),
        ("same-origin", {"sec-fetch-dest": "image"}),
    ):
        browser.get(start_path("link"), site=site, **headers)
    assert "sign-in" in browser.get("/").text
    # The one connection of this callback would come after theirs.
    callback = back_from_configure(web, browser, "link", site=None, origin=web.url)
    assert browser.come_back(callback).status_code == 303
    assert relay.opened == 1
