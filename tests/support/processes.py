"""Starting the app under test in processes of their own, all with the same folder, keys, clock and URL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from configure_auth.sandbox import Sandbox

from .process_app import AppOptions
from .visitor import Visitor

ROOT = Path(__file__).parents[2]
HOST = "localhost:3000"
"""Where the app says it is. Nothing listens there: the visitor's requests name it in the Host header."""


@dataclass
class AppProcess:
    port: int
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


class Machine:
    """A sandbox, a folder and a clock that any number of processes share."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.database = folder / "configure.db"
        self._folder = folder
        self._clock = folder / "clock"
        self._stack = ExitStack()
        self._ahead = 0.0
        self.advance(0)
        sandbox.register_return_to(f"http://{HOST}/configure/callback")
        sandbox.register_redirect_uri(f"http://{HOST}/auth/configure/callback")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time and that of every process on."""
        self.sandbox.advance(seconds)
        self._ahead += seconds
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(self._ahead))
        fresh.replace(self._clock)

    def options(self, warm: str | None = None) -> AppOptions:
        return AppOptions(
            settings=self.sandbox.environment(app_url=f"http://{HOST}"),
            folder=str(self._folder),
            clock=str(self._clock),
            warm=warm,
        )

    def start(self, count: int = 1) -> list[AppProcess]:
        """So many processes, begun together."""
        command = [sys.executable, "-W", "error", "-m", "tests.support.process_app"]
        begun = [self._stack.enter_context(_running(command, self.options())) for _ in range(count)]
        return [AppProcess(_port(process), process) for process in begun]

    def gunicorn(self, *arguments: str, warm: str | None = None) -> int:
        """gunicorn's port, once it listens."""
        command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", *arguments]
        log = self._folder / "gunicorn.log"
        command += ["--log-file", str(log), "tests.support.process_app:create()"]
        return 0

    def visitor(self, process: AppProcess) -> Visitor:
        return Visitor(process.port, HOST, self.sandbox)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@contextmanager
def _running(command: list[str], options: AppOptions) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=options.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
