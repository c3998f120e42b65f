"""The README and the pages under docs/ as the tests read them: their fenced blocks, tables and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BLOCKS", "DOCUMENTATION", "PAGES", "README", "ROOT", "Block", "anchors", "block", "blocks", "links", "rows"]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("docs/**/*.md"))
    if "_build" not in path.parts
}
"""The text of each page under docs/, by its path."""

DOCUMENTATION = "\n".join([README, *(text for path, text in PAGES.items() if "tutorial" not in path)])
"""The README and all pages but the tutorials, as one text. A tutorial is whole by itself, see `test_tutorials`."""

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


def blocks(text: str) -> tuple[Block, ...]:
    """The fenced blocks of a document, in order, each once."""
    return tuple(dict.fromkeys(Block(language, code) for language, code in _FENCED.findall(text)))


BLOCKS = blocks(DOCUMENTATION)


def block(marker: str, text: str = DOCUMENTATION) -> Block:
    """The one block of a document that contains this text."""
    (found,) = (one for one in blocks(text) if marker in one.text)
    return found


def rows(heading: str, text: str = DOCUMENTATION) -> list[list[str]]:
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
