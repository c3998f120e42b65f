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


STANDARDS = {
    "9700": "2.1 2.1.1 2.6 4.2 4.3 4.4 4.5 4.6 4.7 4.8 4.9 4.11 4.12 4.13 4.14",
    "9207": "2.4",
    "8725": "3.1 3.3 3.4 3.5 3.6 3.7 3.8 3.9 3.10 3.11 3.12",
    "ASVS": "V1.2 V1.3 V1.5 V2.2 V2.3 V2.4 V3.3 V3.4 V3.5 V4.1 V4.2 V7.2 V7.4 V7.6 V9.1 V9.2 V10.1 V10.2 V10.3 V10.4 "
    "V10.5 V11.2 V11.5 V12.3 V13.1 V13.2 V14.1 V14.2 V14.3 V15.2 V15.3 V15.4 V16.2 V16.3 V16.4 V16.5",
}
"""The sections that ask something of a client, or of a resource server that reads JWTs."""


def test_security_has_each_section_of_the_standards() -> None:
    text = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8").partition("\n## Standards")[2]
    stated = {name: set[str]() for name in STANDARDS}
    for line in text.partition("\n## ")[0].splitlines():
        if found := re.match(r"\| (\d{4}) section (.+?): ", line):
            stated[found[1]].update(re.findall(r"[\d.]+", found[2]))
        elif found := re.match(r"\| (V[\d.]+) ", line):
            stated["ASVS"].add(found[1])

    assert stated == {name: set(sections.split()) for name, sections in STANDARDS.items()}


def test_statements_are_of_lines_that_can_be_read() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")

    assert text.count("\n- **") == len(entries())
    assert [line for line in text.splitlines() if len(line) > 120] == []
