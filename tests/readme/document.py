"""The README as the tests read it: its fenced blocks, tables and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BLOCKS", "README", "ROOT", "Block", "anchors", "block", "links", "rows"]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    language: str
    text: str

    @property
    def code_lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


BLOCKS = tuple(Block(language, text) for language, text in _FENCED.findall(README))


def block(marker: str) -> Block:
    """The one block that has this text in it."""
    (found,) = (one for one in BLOCKS if marker in one.text)
    return found


def rows(heading: str, text: str = README) -> list[list[str]]:
    """The cells of the table whose header row begins with this cell, row by row, without the header."""
    found: list[list[str]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                found.append([cell.strip() for cell in row.strip("|").split(" | ")])
    return found


def links(text: str) -> set[str]:
    """Where a document's links and pictures lead; code left out."""
    return {link or picture for link, picture in _LINK.findall(_FENCED.sub("", text))}


def anchors(text: str) -> set[str]:
    """The anchors that a page shows for its headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
