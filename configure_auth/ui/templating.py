"""The one Jinja2 environment that the button and the pages share."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

# Read now, once: a request may be served on an event loop, where no file may be read.
_TEMPLATES = {one.name: one.read_text(encoding="utf-8") for one in files(__package__).joinpath("templates").iterdir()}

_ENVIRONMENT = Environment(
    loader=DictLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def fill(template: str, values: Mapping[str, object]) -> str:
    """Fill a template of this package; every value that isn't `Markup` is escaped.

    Args:
        template: its file name in `templates/`.
        values: what the template names. A name it uses and doesn't find here is an error.

    Returns:
        The HTML.
    """
    return _ENVIRONMENT.get_template(template).render(values)
