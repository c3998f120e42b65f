"""Each entry of `tests/catalogue.md` has a test, and each mark an entry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ..support.catalogue import CATALOGUE, entries

TESTS = CATALOGUE.parent


def marks(path: Path) -> Iterator[tuple[str, str]]:
    """The ids that the tests of a file are marked with, and the tests."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.catalogue":
                    assert mark.args, f"{path}:{mark.lineno} names no entry"
                    yield from ((ast.literal_eval(id), f"{path.name}::{node.name}") for id in mark.args)


def test_entries_and_marks_are_the_same() -> None:
    stated = entries()
    marked = {id for path in TESTS.rglob("test_*.py") for id, _ in marks(path)}
    not_applicable = {id for id, statement in stated.items() if statement.startswith("Not applicable: ")}

    assert len(stated) == 176
    assert sorted(stated.keys() - marked - not_applicable) == [], "entries without a test"
    assert sorted(marked - stated.keys()) == [], "marks without an entry"
    assert marked & not_applicable == set()


def test_security_names_entries_that_exist() -> None:
    """Its promises name each entry that applies."""
    text = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
    rows = [line.split("|")[-2] for line in text.splitlines() if re.match(r"^\|.*\| [A-R]\d+(?: [A-R]\d+)* \|$", line)]
    named = {id for row in rows for id in row.split()}

    promised = set(re.findall(r"\b[A-R]\d+\b", text.partition("## What is promised")[2].partition("\n## ")[0]))
    assert len(rows) > 60
    assert sorted(named - entries().keys()) == []
    assert sorted(entries().keys() - promised) == ["I2"]
    for standard in ("9700", "9207", "8725", "ASVS 5.0"):
        assert standard in text


def test_statements_are_of_lines_that_can_be_read() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")

    assert text.count("\n- **") == len(entries())
    assert [line for line in text.splitlines() if len(line) > 120] == []
