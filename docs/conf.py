"""Sphinx configuration: `make docs` builds the pages into docs/_build/html."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

project = "configure_auth"
release = metadata.version("configure_auth")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "configure_auth"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["accessible.js"]
html_search_scorer = str(Path(__file__).parent / "_static/scorer.js")
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True

logger = getLogger(__name__)
HERE = Path(__file__).parent
UPWARDS = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")


def name_files(_app: Sphinx, page: str, source: list[str]) -> None:
    """Replace links that leave docs/ with the name of the file, because the site doesn't contain it."""

    def name(link: re.Match[str]) -> str:
        text, target = link.groups()
        if (HERE / page).parent.joinpath(target).resolve().is_relative_to(HERE):
            return link[0]
        file = target.replace("../", "")
        return text if text == file else f"{text} (`{file}`)"

    source[0] = UPWARDS.sub(name, source[0])


def write_markdown(app: Sphinx, error: Exception | None) -> None:
    """Put each page's Markdown beside its HTML, and a list of them into llms.txt, for coding assistants."""
    if error is not None or app.builder.format != "html":
        return
    lines = [f"# {project}", ""]
    for name in sorted(app.env.found_docs):
        page = Path(app.outdir) / f"{name}.md"
        shutil.copy(HERE / f"{name}.md", page)
        lines.append(f"- [{page.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}]({name}.md)")
    (Path(app.outdir) / "llms.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def check_reference(app: Sphinx, _environment: object) -> None:
    """Warn of a public name of api.md that no page of the reference describes."""
    described = {name.rpartition(".")[2] for name in app.env.domains.python_domain.objects}
    _, *sections = (HERE / "api.md").read_text(encoding="utf-8").split("\n## ")
    public = {name for section in sections for name in re.findall(r"`(\w+)`[,.]", section)}
    for name in sorted(public - described):
        logger.warning("api.md names %s, which no page of the reference describes", name)


def setup(app: Sphinx) -> None:
    app.connect("source-read", name_files)
    app.connect("env-updated", check_reference)
    app.connect("build-finished", write_markdown)
