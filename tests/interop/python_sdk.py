"""`configure-ai`, Configure's own Python SDK: installed once a session in a folder that its own processes alone see."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from ..readme.document import ROOT
from .node import Ended

__all__ = ["VERSION", "PythonSdk", "Step", "python_sdk"]

VERSION: Final = "0.6.2"
PROGRAM: Final = Path(__file__).parent / "configure_ai_program.py"
_PACKAGES = (f"configure-ai=={VERSION}", "httpx==0.28.1")
_INSTALL = "install --quiet --disable-pip-version-check --no-input --only-binary :all:"

Step = tuple[str, Mapping[str, Any]]
"""A method of the SDK's client ("profile.read_profile") and its keyword arguments."""


@dataclass(frozen=True)
class PythonSdk:
    """The folder of the installed SDK, and the programs that use it.

    A program gets PATH, a home of its own and the variables that it is given. It has the SDK and the standard library
    and nothing else; `run_beside_us` gives it this package and the whole environment of the tests besides.
    """

    folder: Path
    home: Path

    def asked(
        self,
        environment: Mapping[str, str],
        *steps: Step,
        client: Literal["plain", "async"] = "plain",
        token: str | None = None,
        user_id: str | None = None,
    ) -> list[Any]:
        """What one client of the SDK answers to calls, in their order; {"error": ...} for a `ConfigureError` of its.

        The client is configured by the environment. `token` goes with each call of a profile; `user_id` is given to
        the client when it is made.
        """
        told = {"client": client, "token": token, "user_id": user_id, "steps": steps}
        answers: list[Any] = self.run(str(PROGRAM), environment=environment, stdin=json.dumps(told)).json
        return answers

    def run(self, *arguments: str, environment: Mapping[str, str], stdin: str = "", timeout: float = 60) -> Ended:
        """Run a program to its end; `timeout` is in seconds."""
        return self._end(["-S", *arguments], environment, stdin, timeout)

    def run_beside_us(
        self, *arguments: str, environment: Mapping[str, str], stdin: str = "", timeout: float = 60
    ) -> Ended:
        """The same in the environment of the tests, with the SDK added."""
        return self._end(arguments, environment, stdin, timeout)

    @contextmanager
    def start(self, *arguments: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
        """A program while it runs; it ends with the block."""
        with subprocess.Popen(
            [sys.executable, "-S", *arguments],
            env=self._environment(environment),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _end(self, arguments: Sequence[str], environment: Mapping[str, str], stdin: str, timeout: float) -> Ended:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self._environment(environment),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(self.folder)}
        return {**own, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", **given}


@pytest.fixture(scope="session")
def python_sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonSdk]:
    folder, home = tmp_path_factory.mktemp("configure-ai"), tmp_path_factory.mktemp("home")
    pinned = ["--constraint", str(ROOT / "tests" / "constraints.txt"), "--target", str(folder)]
    installed = subprocess.run(
        [sys.executable, "-m", "pip", *_INSTALL.split(), *pinned, *_PACKAGES],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if installed.returncode != 0:
        why = f"configure-ai {VERSION} can't be installed here: {installed.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    yield PythonSdk(folder, home)
    shutil.rmtree(folder)
