"""Sphinx configuration: `make docs` builds the pages into docs/_build/html."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

project = "configure_auth"
release = metadata.version("configure_auth")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "configure_auth"
html_copy_source = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True

HERE = Path(__file__).parent
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")
"""Links to files of the repository that are not pages of the site."""


def name_files(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Replace links that leave docs/ with the name of the file, because the site doesn't contain it."""
    source[0] = OUTSIDE.sub(lambda link: link[1] if link[1] == link[2] else f"{link[1]} (`{link[2]}`)", source[0])


def write_markdown(app: Sphinx, error: Exception | None) -> None:
    """Put each page's Markdown beside its HTML, and a list of them into llms.txt, for coding assistants."""
    if error is not None or app.builder.format != "html":
        return
    lines = [f"# {project}", ""]
    for page in sorted(HERE.glob("*.md")):
        shutil.copy(page, Path(app.outdir) / page.name)
        lines.append(f"- [{page.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}]({page.name})")
    (Path(app.outdir) / "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("source-read", name_files)
    app.connect("build-finished", write_markdown)
