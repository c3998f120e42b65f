"""The one Jinja2 environment that the button and the pages share, and the addresses that a link may lead to."""

from __future__ import annotations

import unicodedata
from collections.abc import MutableMapping
from importlib.resources import files
from threading import Lock
from types import CodeType
from typing import Any
from urllib.parse import urlsplit

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from configure_auth.runtime.forks import reset_after_fork

# Read now, once: a request may be served on an event loop, where no file may be read.
TEMPLATES = {one.name: one.read_text(encoding="utf-8") for one in files(__package__).joinpath("templates").iterdir()}
"""The sources of the templates by their file names."""


def read_style(name: str) -> str:
    """Return a stylesheet of this package. A browser turns CRLF into LF before it hashes, so this does too."""
    return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines())


class CompiledOnce(DictLoader):
    """Compiles a template in one thread, and the others use its code: all may need their first page at once."""

    def __init__(self) -> None:
        super().__init__(TEMPLATES)
        self._codes: dict[str, CodeType] = {}
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._compiling = Lock()

    def load(self, environment: Environment, name: str, globals: MutableMapping[str, Any] | None = None) -> Template:
        with self._compiling:
            if name not in self._codes:
                self._codes[name] = environment.compile(self.get_source(environment, name)[0], name)
        return Template.from_code(environment, self._codes[name], globals or {})


_ENVIRONMENT = Environment(
    loader=CompiledOnce(),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def fill(template: str, **values: object) -> Markup:
    """Fill a template of this package; every value that isn't `Markup` is escaped.

    Args:
        template: its file name in `templates/`.
        values: what the template names. A name it uses and doesn't find here is an error.

    Returns:
        The HTML.
    """
    return Markup(_ENVIRONMENT.get_template(template).render(values))  # noqa: S704  # escaped by the template


def checked_href(href: str) -> str:
    """Let through what surely leads to a web page: a path of this site, or an absolute http(s) address.

    Args:
        href: the address as it would stand in a link, not escaped.

    Returns:
        The same address.

    Raises:
        ValueError: it is anything else. Browsers drop tabs and newlines and read a backslash as a slash, so an
            address that holds one isn't what it seems and is refused too.
    """
    if href != href.strip() or "\\" in href or any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in href):
        raise ValueError("an href holds no backslash, no control character and no space at its ends")
    if href.startswith("/") and not href.startswith("//"):
        return href
    parts = urlsplit(href)
    if parts.scheme in ("http", "https") and parts.hostname:
        return href
    raise ValueError("an href is a path that starts with one slash, or an absolute http:// or https:// address")
