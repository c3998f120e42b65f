"""Runs click's commands within a test."""

from __future__ import annotations

import inspect
from typing import Any

from click.testing import CliRunner

__all__ = ["cli_runner"]


def cli_runner() -> CliRunner:
    """Return a runner that keeps stdout and stderr apart, which click before 8.2 does only if told to."""
    apart: dict[str, Any] = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart)
