"""Files that a test run leaves in the checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

CACHES = (".venv*/**", "**/__pycache__/**", ".mypy_cache/**", ".ruff_cache/**", ".pytest_cache/**", ".hypothesis/**")
"""What the environment and the tools keep for themselves."""

Listing = Mapping[str, tuple[str, int]]


def listing() -> Listing | None:
    """Each changed, untracked or ignored file with its state and time of change; None outside a Git checkout."""
    excluded = [f":(exclude,glob){pattern}" for pattern in (*CACHES, ".coverage*")]
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignored=traditional"]
    # Git of a hook or of another checkout is not meant.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        ended = subprocess.run(
            [*command, "--", ".", *excluded], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    if ended.returncode != 0:
        return None
    found = {}
    for line in filter(None, ended.stdout.split("\0")):
        state, path = line[:2], ROOT / line[3:]
        found[line[3:]] = state, path.stat().st_mtime_ns if path.is_file() else 0
    return found


def changes(before: Listing, after: Listing) -> list[str]:
    """The files that differ between two listings."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
