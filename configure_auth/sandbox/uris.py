"""URLs: what can be registered to return to, and where the sandbox itself is reached."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from .errors import OptionError

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")
_SCRIPTING = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "mailto"})


TEST_CLIENT = "testserver"
"""The host that Starlette's and FastAPI's `TestClient` calls an app by. Callbacks there may be registered too."""


def is_loopback(host: str | None) -> bool:
    """Whether browsers take a host for their own machine: localhost with its subdomains, and two addresses."""
    return host in {"127.0.0.1", "::1", TEST_CLIENT} or f".{host}".endswith(".localhost")


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL; None for one with a character that URLs don't have, or with an invalid port."""
    if _FORBIDDEN.search(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def redirect_uri_error(uri: str) -> str | None:
    """Return why `uri` can't be registered for an OAuth client; None when it can.

    Configure's own clients register http for localhost and 127.0.0.1 only. Subdomains of localhost are taken here too.
    """
    if _FORBIDDEN.search(uri) or not uri.isascii():
        return "redirect_uri contains a character that URLs do not have"
    if "*" in uri:
        return "redirect_uri must not contain a wildcard"
    if "#" in uri:
        return "redirect_uri must not have a fragment"
    parts = _split(uri)
    if parts is None:
        return "redirect_uri is not a URL"
    if "@" in parts.netloc:
        return "redirect_uri must not carry credentials"
    if not parts.hostname:
        return "redirect_uri must be an absolute URL"
    # [::1] is left out on purpose: Configure does not register it.
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname) and parts.hostname != "::1"):
        return None
    return "redirect_uri must use https, or http on localhost"


def read_return_destination(text: str) -> str | None:
    """Return a return destination as it is stored, without its fragment; None for an invalid one.

    https, http on loopback, or the link of a native app.
    """
    parts = _split(text)
    if parts is None or "@" in parts.netloc:
        return None
    scheme = parts.scheme
    if scheme in {"http", "https"}:
        good = is_web_address(text)
    else:
        is_link = _SCHEME.fullmatch(scheme) is not None and text.startswith(f"{scheme}://")
        good = is_link and scheme not in _SCRIPTING
    return text.partition("#")[0] if good else None


def is_web_address(url: str) -> bool:
    """Whether `url` is https, or http on loopback."""
    parts = _split(url)
    if parts is None or not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def origin_template(option: str, url: str | None) -> str | None:
    """Check the value of `--public-url` or `--browser-url`. Raises OptionError."""
    if url is None:
        return None
    problem = OptionError(
        option, f"{url!r} must be an origin with a port, as http://sandbox:4010, or with {{port}} in it"
    )
    parts = _split(url.rstrip("/").replace("{port}", "4010"))
    if parts is None or "@" in url or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise problem
    is_origin = parts.geturl() == f"{parts.scheme}://{parts.netloc}"
    if not is_origin or ("{port}" not in url and not 1 <= (parts.port or 0) <= 65533):
        raise problem
    return url.rstrip("/")


def origins_of(template: str | None, ports: Sequence[int]) -> list[str]:
    """Return the URLs of the three origins that listen on these ports."""
    if template is None:
        return [f"http://127.0.0.1:{port}" for port in ports]
    if "{port}" in template:
        return [template.replace("{port}", str(port)) for port in ports]
    before, _, first = template.rpartition(":")
    return [f"{before}:{int(first) + number}" for number in range(len(ports))]
