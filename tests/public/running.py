"""Python in a process of its own, with nothing imported yet; and commands in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click import Command
from flask.cli import cli as flask_cli

from configure_auth.commands.main import main

from ..support.cli import cli_runner

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """This process's variables without those of an app or a test run, and with this very package to import."""
    foreign = ("CONFIGURE_", "PYTEST_", "FLASK_", "COVERAGE_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def python(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


COMMANDS: Mapping[str, Command] = {"configure_auth": main, "flask": flask_cli}


def here(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m module` in this process, which is as it was afterwards: for what needs none of its own.

    A process takes a second and more of the processor until it has imported everything.
    """
    variables = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "path", [*sys.path])
        os.environ.clear()
        os.environ.update(environment() if env is None else env)
        try:
            ended = cli_runner().invoke(COMMANDS[module], arguments, catch_exceptions=False)
        finally:
            os.environ.clear()
            os.environ.update(variables)
            for name, found in [*sys.modules.items()]:
                if Path(getattr(found, "__file__", None) or ROOT).is_relative_to(cwd):
                    del sys.modules[name]
    return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)


def says(program: str) -> str:
    """What a program prints that ends well."""
    ended = python("-c", program)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
