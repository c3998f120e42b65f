"""The one Jinja2 environment that the button and the pages share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["fill"]


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("configure_auth.ui"),
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
    return _environment().get_template(template).render(values)
