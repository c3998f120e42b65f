"""The official npm packages, installed once a session outside the project, and the Node programs that use them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

__all__ = ["PACKAGES", "Ended", "Node", "node", "npm_install"]

PACKAGES: Final = {
    "configure": "1.7.4",
    "better-auth": "1.6.34",
    "better-auth-newest": "npm:better-auth@1.7.25",
}
"""What is installed. From 1.7.5 on Better Auth works with the provider of `configure@1.7.4` with one line around it."""

OLDEST: Final = (18, 18)
PROGRAMS: Final = Path(__file__).parent
_INSTALL = "install --ignore-scripts --no-audit --no-fund --no-package-lock --prefer-offline --loglevel=error"


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON; a program that failed fails the test with its own words."""
        assert self.code == 0, self.stderr or self.stdout
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Node:
    """Node, and a folder with the packages and with this folder's own programs (`*.mjs`).

    A program gets PATH, a home of its own and the variables that it is given, and reaches nothing but loopback.
    """

    executable: str
    folder: Path

    def cli(self, package: str, program: str) -> Path:
        """The file behind one of the commands that a package brings."""
        home = self.folder / "node_modules" / package
        programs: dict[str, str] = json.loads((home / "package.json").read_text())["bin"]
        return home / programs[program]

    def run(
        self,
        program: str | Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> Ended:
        """Run a program to its end: one of ours by its name, another one by its path.

        `timeout` is in seconds; a program that takes longer is killed and fails the test.
        """
        with self.start(program, *arguments, environment=environment, cwd=cwd) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                stdout, stderr = process.communicate()
                pytest.fail(f"{program} didn't end within {timeout:g} s\n{stdout}\n{stderr}")
        return Ended(process.returncode, stdout, stderr)

    @contextmanager
    def start(
        self,
        program: str | Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Iterator[subprocess.Popen[str]]:
        """A program while it runs. With the block it ends, and so does everything that it began."""
        with subprocess.Popen(
            [self.executable, "--import", str(self.folder / "loopback.mjs"), str(self.folder / program), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "NO_COLOR": "1", **(environment or {})},
            cwd=cwd or self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                _kill(process)


def npm_install(folder: Path, packages: Mapping[str, str]) -> str:
    """Install packages into `folder`/node_modules without running anything of theirs; return Node's path."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    if executable is None or npm is None:
        _absent("isn't here: install nodejs and npm, 18.18 or newer")
    version = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().lstrip("v").split(".")[:2])) < OLDEST:
        _absent(f"is too old here ({version.strip()}): install 18.18 or newer")
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
    installed = subprocess.run(
        [npm, *_INSTALL.split()], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    if installed.returncode != 0:
        _absent(f"packages can't be installed here: {installed.stderr.strip()}")
    return executable


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    executable = npm_install(folder, PACKAGES)
    for program in PROGRAMS.glob("*.mjs"):
        shutil.copy(program, folder)
    yield Node(executable, folder)
    shutil.rmtree(folder)


def _absent(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"Node {why}")
    pytest.skip(f"Node {why}")


def _kill(process: subprocess.Popen[str]) -> None:
    # The whole group, so that nothing that the program began stays behind.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
