"""Prints constraints that pin each requirement of pyproject.toml to its lower bound."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

_BOUND = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)$")


def bounds() -> Iterator[tuple[str, str]]:
    """The name and the lower bound of each requirement that has one."""
    read = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    project = read["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values(), read["dependency-groups"]["test"]]
    for requirement in (requirement for group in groups for requirement in group):
        if found := _BOUND.match(requirement):
            yield found[1], found[2]


# Of Flask 2.2.5 and Starlette 0.37.2: without these the newest would be installed, or none that fits.
_BESIDE = {("fastapi", "0.110.3"), ("werkzeug", "2.2.3")}

if __name__ == "__main__":
    for name, version in sorted({*bounds(), *_BESIDE}):
        print(f"{name}=={version}")
