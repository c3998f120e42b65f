"""docs/api.md lists what an app may import, and the documentation and the examples import nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

import configure_auth
from configure_auth.events import EVENTS

from .running import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def listed() -> dict[str, list[str]]:
    """The public names by module, as docs/api.md has them."""
    sections = re.split(r"^## `([\w.]+)`$", PAGE, flags=re.MULTILINE)[1:]
    texts = dict(zip(sections[::2], sections[1::2], strict=True))
    return {module: re.findall(r"`(\w+)`", text.strip().rpartition("\n\n")[2]) for module, text in texts.items()}


def sources() -> Iterator[tuple[Path, str]]:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        yield from ((page, block) for block in BLOCK.findall(page.read_text(encoding="utf-8")))
    for example in sorted((ROOT / "example_apps").rglob("*.py")):
        if example.name != "demo.py":  # starts the sandbox in its own process
            yield example, example.read_text(encoding="utf-8")


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Each name of ours that a program imports, with its module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module or "", alias.name) for alias in node.names)


def exported(module: str) -> list[str]:
    """What a module says that it exports; of the two modules of events, that it has a name for each."""
    names = {
        "configure_auth.events": ["EVENTS", "Event", *(event.__name__ for event in EVENTS)],
        "configure_auth.flask.signals": ["SIGNALS"],
    }
    return sorted(names.get(module) or import_module(module).__all__)


def test_listed_names_are_those_of_the_modules() -> None:
    assert {module: sorted(names) for module, names in listed().items()} == {
        module: exported(module) for module in listed()
    }


def test_documentation_and_examples_import_public_names_only() -> None:
    public = listed()
    signals = {
        name for name in dir(import_module("configure_auth.flask.signals")) if re.fullmatch("[a-z]+_[a-z]+", name)
    }
    public["configure_auth.flask.signals"] += signals
    found = [(path.relative_to(ROOT), *one) for path, source in sources() for one in imports(source)]
    ours = [one for one in found if one[1].partition(".")[0] == "configure_auth"]

    assert len(ours) > 20
    assert [one for one in ours if one[2] not in public.get(one[1], ())] == []


def test_version_is_the_distributions() -> None:
    assert configure_auth.__version__ == metadata.version("configure_auth")
