"""The Python blocks of each page under docs/ run one after the other, as one program, against the sandbox.

A page whose blocks need something that is there already, such as an app, names it in `GIVEN`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from .document import PAGES, blocks

GIVEN: Mapping[str, Callable[[], dict[str, Any]]] = {}
"""By a page's path: a function that returns the names that its first block may use."""


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_of_a_page_run(
    page: str, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace = GIVEN[page]() if page in GIVEN else {}
    for number, one in enumerate(blocks(PAGES[page]), 1):
        if one.language == "python":
            exec(compile(one.text, f"{page}: block {number}", "exec", dont_inherit=True), namespace)


def test_given_names_are_those_of_pages() -> None:
    assert GIVEN.keys() <= PAGES.keys()
