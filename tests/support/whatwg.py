"""Where a browser goes for a `Location`, by a WHATWG URL parser (https://url.spec.whatwg.org), the one of Node."""

from __future__ import annotations

from ada_url import URL


def origin_of(location: str, base: str) -> str | None:
    """Return the origin that `location` leads to from the page `base`; None if it leads to no web page."""
    try:
        url = URL(location, base)
    except ValueError:
        return None
    return url.origin if url.protocol in ("http:", "https:") else None
