"""Where a flow may redirect to: a path of the app, or a page of an allowed origin. Prevents open redirects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from ..errors import SettingsError
from ..settings import require_origin

# Browsers drop tabs and newlines and read a backslash as a slash, so none of them may pass (WHATWG URL, section 4.4).
_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,512}", re.ASCII)


def require_path(path: str) -> None:
    """
    Raises:
        SettingsError: routes can't lie under this path.
    """
    if not path.startswith("/") or path.endswith("/") or not Destinations().accepts(path) or set(path) & set("<{"):
        raise SettingsError(
            'path must begin with a slash, not end with one, and hold no variable, such as "/configure"'
        )


def read_origins(option: str, origins: Sequence[str]) -> tuple[str, ...]:
    """Return the origins that an option of the app names, one or several.

    Raises:
        SettingsError: one of them is no origin.
    """
    return tuple(require_origin(option, origin) for origin in ([origins] if isinstance(origins, str) else origins))


def with_query(location: str, name: str, value: str) -> str:
    """Return a location with a query parameter, in front of its fragment; it replaces one of the same name."""
    page, mark, fragment = location.partition("#")
    path, _, query = page.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] != name]
    return f"{path}?{'&'.join([*kept, urlencode({name: value})])}{mark}{fragment}"


class Destinations:
    """The allowed values of `next`.

    Args:
        allowed: origins such as "https://app.example.com" whose pages are the app's own too.
    """

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self.allowed = allowed

    def accepts(self, target: str) -> bool:
        if not _PLAIN.fullmatch(target):
            return False
        if target.startswith("/"):
            return not target.startswith("//")
        try:
            parts = urlsplit(target)
        except ValueError:
            return False
        # The origin must be equal as text, so that user info, a port or a similar host can't pass.
        return f"{parts.scheme}://{parts.netloc}" in self.allowed and target.startswith(f"{parts.scheme}://")

    def accepted_or_none(self, target: str | None) -> str | None:
        """Return the target if it is allowed, else None: a bad one is not an error, but not followed."""
        return target if target is not None and self.accepts(target) else None

    def require(self, option: str, target: str) -> str:
        """Check a target that is an option of the app.

        Raises:
            SettingsError: it is not allowed.
        """
        if not self.accepts(target):
            raise SettingsError(f'{option} must be a path of the app, such as "/settings", or a page of allowed_next')
        return target
