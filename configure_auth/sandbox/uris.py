"""Which addresses Configure would send a person back to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")
_SCRIPTING = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "mailto"})


def redirect_uri_error(uri: str) -> str | None:
    """Why `uri` can't be registered for an OAuth client; None when it can."""
    if _FORBIDDEN.search(uri) or not uri.isascii():
        return "redirect_uri contains a character that URLs do not have"
    if "*" in uri:
        return "redirect_uri must not contain a wildcard"
    if "#" in uri:
        return "redirect_uri must not have a fragment"
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return "redirect_uri is not a URL"
    if "@" in parts.netloc:
        return "redirect_uri must not carry credentials"
    if not parts.hostname:
        return "redirect_uri must be an absolute URL"
    # [::1] is left out on purpose: Configure does not register it.
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}):
        return None
    return "redirect_uri must use https, or http on localhost"


def read_return_destination(text: str) -> str | None:
    """A return destination as it is stored (its fragment gone); None when it can't be one.

    https, http on loopback, or the link of a native app.
    """
    if _FORBIDDEN.search(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    scheme = parts.scheme
    if not scheme or not _SCHEME.fullmatch(scheme) or scheme in _SCRIPTING or "@" in parts.netloc:
        return None
    if scheme in {"http", "https"} and not parts.hostname:
        return None
    if scheme == "http" and parts.hostname not in LOOPBACK:
        return None
    if scheme not in {"http", "https"} and not text.startswith(f"{scheme}://"):
        return None
    return text.partition("#")[0]


def is_web_address(url: str, *, also_http: bool = False) -> bool:
    """Whether `url` is https, or http on loopback (`also_http`: http anywhere)."""
    if _FORBIDDEN.search(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (also_http or parts.hostname in LOOPBACK))
