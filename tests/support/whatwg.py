"""Where a browser goes for a `Location`: as much of the WHATWG URL parser (https://url.spec.whatwg.org) as that takes.

Written from the standard's state machine and not with urllib, which reads several of these differently. A host is left
as it's written, but for its case: one that needs decoding counts as another origin, which is what it should be.
"""

from __future__ import annotations

import re

SPECIAL = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}


def origin_of(location: str, base: str) -> str | None:
    """The origin that `location` leads to from the page `base`, an http(s) URL; None for none or a broken one."""
    text = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(0x21)))))
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", text)
    base_scheme = base.partition(":")[0]
    if scheme:
        name, rest = scheme[1].lower(), text[scheme.end() :]
        if name not in SPECIAL:
            return None
        slashes = re.match(r"[/\\]*", rest)
        assert slashes
        if name == base_scheme and len(slashes[0]) < 2:
            # "special relative or authority state": without two slashes it is relative to a base of the same scheme.
            return _origin(base) if not slashes[0].startswith("//") else _authority(name, rest)
        return _authority(name, rest[slashes.end() :])
    if re.match(r"[/\\]{2}", text):
        return _authority(base_scheme, text.lstrip("/\\"))
    return _origin(base)


def _origin(url: str) -> str | None:
    scheme, _, rest = url.partition("://")
    return _authority(scheme, rest)


def _authority(scheme: str, rest: str) -> str | None:
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    host, _, port = authority.rpartition("@")[2].partition(":")
    if not host or not re.fullmatch(r"[0-9]*", port) or re.search(r"[\x00-\x20#/:<>?@\[\\\]^|%]", host):
        return None
    default = SPECIAL[scheme] == (port.lstrip("0") or port)
    return f"{scheme}://{host.lower()}{'' if not port or default else f':{int(port)}'}"
