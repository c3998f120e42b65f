"""Each tutorial works as it is typed: its files, its commands, and the end that it promises."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from configure_auth.sandbox.http_browser import HttpBrowser

from ..support.ports import three_free_ports
from ..support.stores import first
from .document import PAGES

SAVED = re.compile(r"Save this as `([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDED = re.compile(r"at the end of `([\w./]+)`.*?```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(python -m configure_auth (?:sandbox|verify) .*|(?:flask|uvicorn) .*)$", re.MULTILINE)


class Tutorial:
    """A tutorial's files in a folder, and its commands, with ports that are free."""

    def __init__(self, page: str, folder: Path) -> None:
        self.app_port, self.sandbox_port = three_free_ports(), three_free_ports()
        self.folder, self._text = folder, self._own_ports(page)
        for path, code in SAVED.findall(self._text):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(code, encoding="utf-8")
        for path, code in ADDED.findall(self._text):
            with (folder / path).open("a", encoding="utf-8") as file:
                file.write(f"\n\n{code}")
        self.app_url = f"http://localhost:{self.app_port}"

    def _own_ports(self, text: str) -> str:
        text = re.sub(r"\b(5000|8000)\b", str(self.app_port), text)
        return text.replace("sandbox --app", f"sandbox --port {self.sandbox_port} --app")

    def command(self, word: str) -> list[str]:
        found = next(one for one in COMMAND.findall(self._text) if f" {word} " in f" {one} ")
        name, *arguments = shlex.split(found)
        module = [] if name == "python" else ["-m", name]
        return [sys.executable, *module, *arguments]

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CONFIGURE_", "FLASK_"))}
        return {**inherited, "PYTHONUNBUFFERED": "1"}

    @contextmanager
    def running(self, word: str, ready: str) -> Iterator[None]:
        """Run a command until the block ends; begin when it printed `ready`."""
        with subprocess.Popen(
            self.command(word),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                assert process.stdout
                said = ""
                for line in process.stdout:
                    said += line
                    if ready in line:
                        break
                else:
                    pytest.fail(f"{word} ended: {said}")
                yield
            finally:
                process.terminate()


def visit(browser: httpx2.Client, url: str, site: str) -> httpx2.Response:
    return browser.get(url, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Accept": "text/html"})


@pytest.mark.parametrize(
    ("page", "word", "ready", "greeting"),
    first(
        [
            ("docs/tutorial-fastapi.md", "app:app", "Uvicorn running", '"name":"Ada Lovelace"'),
            ("docs/tutorial-flask.md", "run", "Running on", "Hello, Ada Lovelace."),
        ],
        rows=True,
    ),
)
def test_a_tutorial_ends_signed_in(tmp_path: Path, page: str, word: str, ready: str, greeting: str) -> None:
    tutorial = Tutorial(PAGES[page], tmp_path)
    with (
        tutorial.running("sandbox", "A local Configure"),
        tutorial.running(word, ready),
        httpx2.Client(base_url=tutorial.app_url, follow_redirects=True, trust_env=False) as browser,
        HttpBrowser() as person,
    ):
        home = visit(browser, "/", "none")
        (href,) = re.findall(r'href="([^"]*sign-in[^"]*)"', home.text)
        start = browser.get(href, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False)
        callback = person.sign_in(start.headers["location"], "+15550100001")
        home = visit(browser, callback, "cross-site")
        profile = browser.get("/profile").json()
        verified = subprocess.run(
            tutorial.command("verify"),
            cwd=tmp_path,
            env=tutorial.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    assert greeting in home.text
    assert profile == {"name": "Ada Lovelace", "preferences": []}
    assert verified.returncode == 0, verified.stdout + verified.stderr
