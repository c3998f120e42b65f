from __future__ import annotations

import base64
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_QUIET = "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"


@pytest.fixture(scope="session")
def chromium_executable() -> str:
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("these tests need Chromium, and it isn't on the PATH")
        pytest.skip("Chromium isn't on the PATH")
    return found


@pytest.fixture(scope="module")  # the sync Playwright holds this thread's event loop, so it mustn't outlive the module
def browser(chromium_executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_executable, headless=True, args=_QUIET.split())
        yield chromium
        chromium.close()


@dataclass
class Answer:
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A web site on loopback: what each path answers, one answer after the other, the last one for good."""

    origin: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def page(self, path: str, *bodies: str, policy: str | None = None) -> str:
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        if policy is not None:
            headers["Content-Security-Policy"] = policy
        self.answers[path] = [Answer(body, headers) for body in bodies]
        return self.origin + path

    def serve(self, path: str, body: str, content_type: str) -> None:
        self.answers[path] = [Answer(body, {"Content-Type": content_type})]


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            here.asked.append(self.path)
            queue = here.answers.get(path, [Answer("")])
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(200)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield here
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Tab:
    page: Page
    console: list[str]


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """Open a page and keep what the browser complains about; keywords are those of a browser context."""
    contexts = []

    def _open(url: str, **options: object) -> Tab:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        tab = Tab(context.new_page(), [])
        tab.page.on("console", lambda message: tab.console.append(message.text))
        tab.page.on("pageerror", lambda error: tab.console.append(str(error)))
        tab.page.goto(url)
        return tab

    yield _open
    for context in contexts:
        context.close()


@pytest.fixture
def colours(browser: Browser) -> Iterator[Callable[[bytes, list[tuple[int, int]]], list[str]]]:
    """Read the colours of some points of a screenshot, as `#rrggbb`."""
    context = browser.new_context()
    page = context.new_page()

    def _colours(png: bytes, points: list[tuple[int, int]]) -> list[str]:
        found = page.evaluate(
            """async ([data, points]) => {
                const image = new Image();
                image.src = "data:image/png;base64," + data;
                await image.decode();
                const canvas = document.createElement("canvas");
                canvas.width = image.width; canvas.height = image.height;
                const pen = canvas.getContext("2d");
                pen.drawImage(image, 0, 0);
                return points.map(([x, y]) => "#" + [...pen.getImageData(x, y, 1, 1).data].slice(0, 3)
                    .map((part) => part.toString(16).padStart(2, "0")).join(""));
            }""",
            [base64.b64encode(png).decode(), [list(point) for point in points]],
        )
        return [str(colour) for colour in found]

    yield _colours
    context.close()
