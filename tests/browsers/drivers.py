"""Chromium, Firefox and WebKitGTK as Debian packages them, driven by the WebDriver protocol.

chromedriver and WebKitWebDriver speak it over HTTP. Debian has no geckodriver: Firefox speaks Marionette, the same
commands as JSON on a socket, so that a command is named here as Marionette names it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2
import pytest

from ..support.ports import free_port

__all__ = ["ENGINES", "Driver", "Engine", "driving"]

T = TypeVar("T")
Engine = Literal["chromium", "firefox", "webkit"]
ENGINES: tuple[Engine, ...] = ("chromium", "firefox", "webkit")

APT = (
    "apt-get install -y --no-install-recommends chromium chromium-driver firefox-esr webkit2gtk-driver xvfb "
    "fonts-dejavu-core"
)
PATIENCE = 30
"""Seconds that a browser has to start, and an element to appear."""

_UNLOADED = ("no such element", "no such frame", "stale element reference")
"""Errors of a search during which the browser went on to the next page."""

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_OVER_HTTP = {
    "DeleteAllCookies": "DELETE /cookie",
    "DeleteSession": "DELETE ",
    "ElementClick": "POST /element/{id}/click",
    "ElementSendKeys": "POST /element/{id}/value",
    "ExecuteScript": "POST /execute/sync",
    "FindElement": "POST /element",
    "GetCurrentURL": "GET /url",
    "GetPageSource": "GET /source",
    "GetWindowHandles": "GET /window/handles",
    "Navigate": "POST /url",
    "CloseWindow": "DELETE /window",
    "SetTimeouts": "POST /timeouts",
    "SwitchToWindow": "POST /window",
}


class WebDriverError(AssertionError):
    """A command failed; `error` is the error code of the WebDriver specification."""

    def __init__(self, browser: str, command: str, error: str, message: str) -> None:
        super().__init__(f"{browser}: {command}: {error}: {message}")
        self.error = error


class Driver(ABC):
    """One browser with one profile."""

    engine: Engine

    @abstractmethod
    def command(self, name: str, **parameters: Any) -> Any:
        """Send a WebDriver command and return its value."""

    def find(self, xpath: str) -> str:
        """Wait for an element and return its reference."""
        return self._with(xpath, lambda element: element)

    def click(self, xpath: str) -> None:
        self._with(xpath, lambda element: self.command("ElementClick", id=element))

    def type(self, xpath: str, text: str) -> None:
        self._with(xpath, lambda element: self.command("ElementSendKeys", id=element, text=text))

    def click_for_new_window(self, xpath: str) -> None:
        """Click what opens a window, and go on in it."""
        before, end = set(self.windows), time.monotonic() + PATIENCE
        self.click(xpath)
        while not (opened := set(self.windows) - before):
            assert time.monotonic() < end, "no second window"
        self.command("SwitchToWindow", handle=opened.pop())

    def _with(self, xpath: str, act: Callable[[str], T]) -> T:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                element = self.command("FindElement", using="xpath", value=xpath)[_ELEMENT]
                # Firefox loses a click on a page that is still loading.
                if self.run("return document.readyState") == "complete":
                    return act(element)
            except WebDriverError as error:
                if error.error not in _UNLOADED or time.monotonic() > end:
                    error.add_note(f"at {self.url}: {self.command('GetPageSource')}")
                    raise

    def run(self, script: str) -> Any:
        return self.command("ExecuteScript", script=script, args=[])

    def go(self, url: str) -> None:
        self.command("Navigate", url=url)

    @property
    def url(self) -> str:
        url: str = self.command("GetCurrentURL")
        return url

    @property
    def windows(self) -> list[str]:
        handles: list[str] = self.command("GetWindowHandles")
        return handles


class HttpDriver(Driver):
    """chromedriver or WebKitWebDriver."""

    def __init__(self, engine: Engine, http: httpx2.Client, capabilities: dict[str, Any]) -> None:
        self.engine = engine
        self._http = http
        asked = {"alwaysMatch": {"acceptInsecureCerts": True, **capabilities}}
        self._session = ""
        session = self._send("POST", "/session", {"capabilities": asked})
        self._session = f"/session/{session['sessionId']}"

    def command(self, name: str, **parameters: Any) -> Any:
        method, _, path = _OVER_HTTP[name].partition(" ")
        return self._send(method, path.format(**parameters), parameters if method == "POST" else None)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        answer = self._http.request(method, self._session + path, json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise WebDriverError(self.engine, f"{method} {path}", answer["error"], answer["message"])
        return answer


class Marionette(Driver):
    """Firefox."""

    engine = "firefox"

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rwb")
        self._receive()  # a greeting
        self.command("NewSession", acceptInsecureCerts=True)

    def command(self, name: str, **parameters: Any) -> Any:
        message = json.dumps([0, 1, f"WebDriver:{name}", parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._receive()
        if error is not None:
            raise WebDriverError(self.engine, name, error["error"], error["message"])
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self._stream.read(1) or self._gone()
        return json.loads(self._stream.read(int(length[:-1])))

    def _gone(self) -> bytes:
        raise AssertionError("firefox ended")


@contextmanager
def driving(engine: Engine) -> Iterator[Driver]:
    """Start a browser with an empty profile; end it, and its display, with the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"configure_auth-{engine}-")))
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
        driver = {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}[engine](stack, folder, environment)
        driver.command("SetTimeouts", implicit=2000, pageLoad=PATIENCE * 1000)
        yield driver


def _chromium(stack: ExitStack, folder: Path, environment: dict[str, str]) -> Driver:
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    chrome = {"binary": _program("chromium"), "args": arguments}
    port = free_port()
    server = _start(stack, [_program("chromedriver"), f"--port={port}"], environment, folder)
    return _over_http(stack, "chromium", server, port, {"goog:chromeOptions": chrome})


def _webkit(stack: ExitStack, folder: Path, environment: dict[str, str]) -> Driver:
    # WebKitGTK draws on a display; Xvfb finds a free one and writes its number.
    read, write = os.pipe()
    screen = [_program("Xvfb"), "-displayfd", str(write), "-screen", "0", "1200x1000x24", "-nolisten", "tcp"]
    _start(stack, screen, environment, folder, pass_fds=(write,))
    os.close(write)
    with os.fdopen(read) as number:
        environment["DISPLAY"] = f":{number.readline().strip()}"
    (browser,) = [*Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")] or [Path(_program("MiniBrowser"))]
    # Its own sandbox needs user namespaces, which a container may not have.
    environment |= {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "XDG_RUNTIME_DIR": str(folder)}
    port = free_port()
    options = {"binary": str(browser), "args": ["--automation"]}
    server = _start(stack, [_program("WebKitWebDriver"), f"--port={port}"], environment, folder)
    return _over_http(stack, "webkit", server, port, {"webkitgtk:browserOptions": options})


def _over_http(
    stack: ExitStack, engine: Engine, server: subprocess.Popen[bytes], port: int, capabilities: dict[str, Any]
) -> Driver:
    _connected(port, server).close()
    http = stack.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False))
    driver = HttpDriver(engine, http, capabilities)
    stack.callback(driver.command, "DeleteSession")
    return driver


def _firefox(stack: ExitStack, folder: Path, environment: dict[str, str]) -> Driver:
    port = free_port()
    preferences = {
        "marionette.port": port,
        "app.normandy.enabled": False,
        "app.update.disabledForTesting": True,
        "browser.startup.page": 0,
        "datareporting.policy.dataSubmissionEnabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "services.settings.server": "data:,#remote-settings-dummy/v1",
        "toolkit.telemetry.unified": False,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
    (folder / "user.js").write_text("".join(lines))
    command = [_program("firefox-esr"), "--marionette", "--headless", "--no-remote", "--profile", str(folder)]
    server = _start(stack, command, environment, folder)
    return Marionette(stack.enter_context(_connected(port, server)))


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} isn't installed, and this lane skips nothing; on Debian: {APT}")
    return found


def _start(
    stack: ExitStack, command: list[str], environment: dict[str, str], folder: Path, pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, pass_fds=pass_fds)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def _connected(port: int, server: subprocess.Popen[bytes]) -> socket.socket:
    """Connect to a program that has just been started."""
    for _ in range(PATIENCE * 40):
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        with suppress(subprocess.TimeoutExpired):
            server.wait(0.05)
            break
    raise AssertionError(f"{server.args!r} doesn't listen on port {port}")
