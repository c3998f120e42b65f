"""Python in a process of its own, with nothing imported yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def says(program: str) -> str:
    """What a program prints that ends well."""
    ended = python("-c", program)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()
