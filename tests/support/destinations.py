"""Values of `next` that an attacker would try, and some that are good.

`{own}` in a value stands for the app's own host and port. Most are made of parts: what begins a URL, and what a browser
could take for a host behind it.
"""

from __future__ import annotations

from itertools import product
from urllib.parse import quote

__all__ = ["HOSTILE", "LISTED", "OWN", "as_query"]

LISTED = "https://pages.example.com"
"""An origin of `allowed_next`."""

_SLASHES = [
    *("//", "///", "////", "/\\", "\\\\", "\\/", "/\\/", "//\\", "\\"),
    *("/\t/", "/\n/", "/\r/", "\t//", "\n//", " //", "/ /", "// ", "//\t"),
    *("\0//", "\x0b//", "\x0c//", "\x19//", "\x1f//", "/\0/", "/\x0b/", "/\x7f/"),
    *("\N{FULLWIDTH SOLIDUS}" * 2, "/\N{FULLWIDTH SOLIDUS}", "/\N{DIVISION SLASH}", "\N{IDEOGRAPHIC FULL STOP}//"),
    *("/\N{EN SPACE}/", "/\N{LINE SEPARATOR}/", "/\N{ZERO WIDTH SPACE}/", "\N{NO-BREAK SPACE}//", "\N{BOM}//"),
    *("/%2f", "%2f%2f", "/%5c", "%5c%5c", "/%252f", "/%09/", "/%0d%0a/", "%00//"),
    *("/.//", "/..//", ".//", "..//", "/;//", "/?//", "/#//", "?//", "#//", ""),
]
_HOSTS = [
    "evil.example",
    "evil%2eexample/%2f..",
    "{own}@evil.example",
    "evil.example\\@{own}",
    "pages.example.com@0x7f.1",
    "evil\N{IDEOGRAPHIC FULL STOP}example",
]
_SCHEMES = ["http", "https", "HTTPS", "hTtP", "ht\ttps", " https", "\x01http", "https\N{ZERO WIDTH SPACE}", "ws", "ftp"]
_SEPARATORS = [":", ":/", "://", ":///", ":\\\\", ":/\\", ":\t//", "%3a//"]
_AUTHORITIES = ["evil.example", "pages.example.com@evil.example"]
_WORDS = [
    "https://pages.example.com:443@evil.example",
    "https://pages.example.com%40evil.example",
    "https://pages.example.com\\@evil.example",
    "https://evil.example\\.pages.example.com",
    "https://evil.example#pages.example.com",
    "https://evil.example?.pages.example.com",
    "https://evil.example/https://pages.example.com",
    "https://pages.example.com.evil.example",
    "https://pages.example.com.",
    "https://evilpages.example.com",
    "https://x.pages.example.com",
    "https://pages.example.com:444/",
    "https://pages.example.com:0443/",
    "https://pages.example.com:/",
    "http://pages.example.com/",
    "HTTPS://pages.example.com/",
    "https://PAGES.example.com/",
    "https://pages.example.comevil.example",
    "https://pages.example.com\t.evil.example",
    "https://pages.example.com\n@evil.example",
    "https://pages\N{SOFT HYPHEN}.example.com",
    "https://[::1]@evil.example",
    "https://[pages.example.com",
    "https://user@pages.example.com/",
    "https://user@pages.example.com@evil.example/",
    "http://{own}.evil.example",
    "http://{own}/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    " javascript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript&colon;alert(1)",
    "javascript://pages.example.com/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "DATA:text/html;base64,PHNjcmlwdD4=",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "blob:https://pages.example.com/x",
    "filesystem:https://pages.example.com/x",
    "view-source:https://evil.example",
    "about:blank",
    "mailto:ada@evil.example",
    "intent://evil.example#Intent;scheme=https;end",
    "myapp://evil.example",
    "//3232235777",
    "//[::ffff:7f00:1]",
    "//evil.example:80",
    "/x\r\nSet-Cookie: a=b",
    "/x\r\nLocation: https://evil.example",
    "/x\N{LINE SEPARATOR}Location: https://evil.example",
    "/%\ud800",
    "/\ud83d",
    "/" + "x" * 600,
    "",
    "settings",
    "?x=1",
    "*",
]

HOSTILE: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *map("".join, product(_SLASHES, _HOSTS)),
            *map("".join, product(_SCHEMES, _SEPARATORS, _AUTHORITIES)),
            *_WORDS,
        ]
    )
)

OWN: tuple[str, ...] = (
    "/settings",
    "/settings?tab=2&x=%2F%2Fevil.example",
    "/settings#part",
    "/%2f%2fevil.example",
    "/%5cevil.example",
    "/%2f/evil.example",
    "/x//evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/;//evil.example",
    "/@evil.example",
    "/:80//evil.example",
    "/?next=https://evil.example",
    "/#//evil.example",
    "/https://evil.example",
    f"{LISTED}/",
    f"{LISTED}/done?x=1#y",
    f"{LISTED}?x=1",
    LISTED,
)


def as_query(target: str, own: str) -> str:
    """A query with this `next`, for the app at the host and port `own`."""
    return f"next={quote(target.replace('{own}', own), safe='', errors='surrogatepass')}"
