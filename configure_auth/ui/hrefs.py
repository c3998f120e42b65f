"""Which addresses a link of ours may lead to."""

from __future__ import annotations

import unicodedata
from urllib.parse import urlsplit


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
