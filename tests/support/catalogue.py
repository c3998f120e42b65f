"""The entries of `tests/catalogue.md`, and a report of a run by entry."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["entries", "note_entries", "report"]

CATALOGUE = Path(__file__).parents[1] / "catalogue.md"
PLACES = ("adapter", "place", "served", "kind", "store", "kept_in", "durable")
"""Parameters that say on what a test ran."""

_ENTRY = re.compile(r"^- \*\*([A-R]\d+)\*\* (.+(?:\n  .+)*)", re.MULTILINE)


def entries() -> dict[str, str]:
    """Return the statement of each entry by its id."""
    return {found[1]: " ".join(found[2].split()) for found in _ENTRY.finditer(CATALOGUE.read_text(encoding="utf-8"))}


def note_entries(items: Iterable[pytest.Item]) -> None:
    """Put the ids of marked tests, and what they run on, into their reports, which xdist brings to the main process."""
    for item in items:
        ids = sorted({id for mark in item.iter_markers("catalogue") for id in mark.args})
        if ids:
            callspec = getattr(item, "callspec", None)
            params = {} if callspec is None else callspec.params
            on = [str(params[name]) for name in PLACES if isinstance(params.get(name), str)]
            item.user_properties.append(("catalogue", [ids, on]))


def report(reports: Iterable[pytest.TestReport]) -> str:
    """Return a table of the entries: the adapters and stores that their tests ran on, and how many passed."""
    passed: dict[str, int] = defaultdict(int)
    failed: dict[str, int] = defaultdict(int)
    places: dict[str, set[str]] = defaultdict(set)
    for one in reports:
        properties: dict[str, Any] = dict(one.user_properties)
        ids, on = properties.get("catalogue", ([], []))
        for id in ids:
            places[id].update(on)
            (failed if one.failed else passed)[id] += 1
    lines = ["| id | adapters and stores | passed | failed |", "|---|---|---|---|"]
    for id in entries():
        lines.append(f"| {id} | {', '.join(sorted(places[id])) or '-'} | {passed[id]} | {failed[id]} |")
    return "\n".join(lines) + "\n"
