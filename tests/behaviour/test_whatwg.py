"""The judge of the redirects, checked against what Chromium says of the same addresses."""

from __future__ import annotations

import pytest

from ..support.whatwg import origin_of


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("/a", "http://app.test:1"),
        ("a", "http://app.test:1"),
        ("", "http://app.test:1"),
        ("//evil.test", "http://evil.test"),
        ("/\\evil.test", "http://evil.test"),
        ("/\t/evil.test", "http://evil.test"),
        (" //evil.test", "http://evil.test"),
        ("///evil.test", "http://evil.test"),
        ("http:evil.test", "http://app.test:1"),
        ("http:/evil.test", "http://app.test:1"),
        ("http:\\\\evil.test", "http://evil.test"),
        ("https:evil.test", "https://evil.test"),
        ("https:/evil.test", "https://evil.test"),
        ("HTTPS:///evil.test:443/", "https://evil.test"),
        ("https://app.test@evil.test:8/", "https://evil.test:8"),
        ("https://evil.test\\@app.test", "https://evil.test"),
        ("https://evil.test#@app.test", "https://evil.test"),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("/.//evil.test", "http://app.test:1"),
        ("/%2f%2fevil.test", "http://app.test:1"),
    ],
)
def test_an_address_leads_where_a_browser_goes(location: str, origin: str | None) -> None:
    assert origin_of(location, "http://app.test:1/configure/callback") == origin
