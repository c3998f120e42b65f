"""Starting the app under test in processes of their own, all with the same folder, keys, clock and URL."""

from __future__ import annotations

import re
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from configure_auth.sandbox import Sandbox

from .doom import Doom
from .example_app import ExampleName, ExampleOptions, make_tables, settings_of
from .process_app import AppOptions
from .visitor import Visitor

ROOT = Path(__file__).parents[2]
HOST = "localhost:3000"
"""Where the app says it is. Nothing listens there: the visitor's requests name it in the Host header."""

Server = Literal[
    "gunicorn", "gunicorn --preload", "gunicorn gevent", "gunicorn gevent --preload", "gunicorn gthread", "uvicorn"
]

GUNICORN = ["gunicorn", "-b", "127.0.0.1:0", "--no-control-socket", "--log-file", "-"]
SERVERS: dict[Server, list[str]] = {
    "gunicorn": [*GUNICORN, "-w", "2"],
    "gunicorn --preload": [*GUNICORN, "-w", "2", "--preload"],
    "gunicorn gevent": [*GUNICORN, "-w", "2", "-k", "gevent"],
    "gunicorn gevent --preload": [*GUNICORN, "-w", "2", "-k", "gevent", "--preload"],
    "gunicorn gthread": [*GUNICORN, "-w", "2", "-k", "gthread", "--threads", "8"],
    "uvicorn": ["uvicorn", "--factory", "--workers", "2", "--port", "0", "--no-access-log"],
}


def is_readable(descriptor: int, seconds: float) -> bool:
    """Wait until something can be read; whether it can in time. `select.select` refuses descriptors from 1024 on."""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(seconds))


@dataclass
class AppProcess:
    port: int
    process: subprocess.Popen[str]

    def end(self) -> None:
        """SIGTERM, as at a deploy, and gone."""
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, and gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


class Machine:
    """A sandbox, a store, a folder and a clock that any number of processes share."""

    def __init__(self, sandbox: Sandbox, folder: Path, stores: Mapping[str, str]) -> None:
        self.sandbox = sandbox
        self.stores = stores
        self.log = folder / "errors.log"
        self._folder = folder
        self._clock = folder / "clock"
        self._stack = ExitStack()
        self.renew()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def renew(self) -> None:
        """After the sandbox was reset: the clock as it is, and the app's callbacks registered."""
        self._ahead = 0.0
        self.advance(0)
        for prefix in ("", "/api"):  # of the FastAPI example's routers
            self.sandbox.register_return_to(f"http://{HOST}{prefix}/configure/callback")
            self.sandbox.register_redirect_uri(f"http://{HOST}{prefix}/auth/configure/callback")

    @property
    def linked(self) -> list[str]:
        """The senders whom `on_linked` was called with, in any of the processes."""
        file = self._folder / "linked"
        return file.read_text().splitlines() if file.exists() else []

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time and that of every process on."""
        self.sandbox.advance(seconds)
        self.step(seconds)

    def step(self, seconds: float) -> None:
        """Set the clock of every process, but not the sandbox's, on or back, as a wrong clock is corrected."""
        self._ahead += seconds
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(self._ahead))
        fresh.replace(self._clock)

    def options(
        self, warm: str | None = None, doom: Doom | None = None, settings: Mapping[str, Any] | None = None
    ) -> AppOptions:
        return AppOptions(
            settings={**self.sandbox.environment(app_url=f"http://{HOST}"), **(settings or {})},
            stores=dict(self.stores),
            folder=str(self._folder),
            clock=str(self._clock),
            warm=warm,
            doom=doom,
            is_drill=settings is not None,
        )

    def start(self, count: int = 1) -> list[AppProcess]:
        """So many processes, begun together."""
        return self._begin([self.options()] * count)

    def start_doomed(self, *dooms: Doom) -> list[AppProcess]:
        """Processes that will each kill themselves in the middle of a request."""
        return self._begin([self.options(doom=doom) for doom in dooms])

    def _begin(self, apps: list[AppOptions]) -> list[AppProcess]:
        command = [sys.executable, "-W", "error", "-m", "tests.support.process_app"]
        begun = [self._stack.enter_context(_running(command, options, self.log)) for options in apps]
        return [AppProcess(_port(process, self.log), process) for process in begun]

    def gunicorn(
        self, *arguments: str, warm: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> AppProcess:
        """gunicorn's parent, and the port of its workers. With settings, as of a drill, `log` gets its output."""
        command = [sys.executable, "-m", *GUNICORN, *arguments, "tests.support.process_app:create()"]
        options = self.options(warm, settings=settings)
        process = self._stack.enter_context(_running(command, options, subprocess.STDOUT))
        port = _gunicorn_port(process)
        if settings is not None:
            threading.Thread(target=_copy_output, args=(process, self.log), daemon=True).start()
        return AppProcess(port, process)

    def example(self, app: ExampleName, server: Server, warm: str | None = None) -> AppProcess:
        """An example app with two workers of gunicorn or uvicorn, and their port."""
        make_tables(app, self._folder)
        settings = self.sandbox.environment(app_url=f"http://{HOST}") | settings_of(self.stores)
        options = ExampleOptions(app=app, settings=settings, folder=str(self._folder), warm=warm)
        command = [sys.executable, "-m", *SERVERS[server], "tests.support.example_app:create"]
        if server != "uvicorn":
            command[-1] += "()"
        process = self._stack.enter_context(_running(command, options, subprocess.STDOUT))
        return AppProcess(_uvicorn_port(process) if server == "uvicorn" else _gunicorn_port(process), process)

    def visitor(self, process: AppProcess) -> Visitor:
        return Visitor(process.port, HOST, self.sandbox)


def _port(process: subprocess.Popen[str], log: Path) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log.read_text()
    return int(line)


def _gunicorn_port(process: subprocess.Popen[str]) -> int:
    return int(_said(process, r"Listening at: http://127\.0\.0\.1:(\d+)")[1])


def _uvicorn_port(process: subprocess.Popen[str]) -> int:
    port = int(_said(process, r"running on http://127\.0\.0\.1:(\d+)")[1])
    # It's the workers who listen.
    for _ in range(2):
        _said(process, "Application startup complete")
    return port


def _said(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        # A server begins its workers again and again; the reason why they end is enough.
        assert "Error" not in line, "".join(said)
        if found := re.search(pattern, line):
            return found
    raise AssertionError("".join(said))


def _copy_output(process: subprocess.Popen[str], log: Path) -> None:
    assert process.stdout is not None
    with log.open("a", buffering=1) as file, suppress(ValueError):  # the process's end closes the pipe
        file.writelines(process.stdout)


@contextmanager
def _running(
    command: list[str], options: AppOptions | ExampleOptions, errors: Path | int
) -> Iterator[subprocess.Popen[str]]:
    with ExitStack() as stack:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=options.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stack.enter_context(errors.open("a")) if isinstance(errors, Path) else errors,
            text=True,
        )
        stack.enter_context(process)
        try:
            yield process
        finally:
            # TERM, so that gunicorn ends its workers; the program of one process has nothing to tidy up either.
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
