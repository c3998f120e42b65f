"""A request to one of our routes, independent of the framework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Literal
from urllib.parse import parse_qsl, quote, urlsplit

from ..errors import Code, SignInError
from ..runtime.frozen import dataclass

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
"""256 bits in base64url, the format of our browser cookies."""

_STATE = re.compile(r"p?[A-Za-z0-9_-]{65}", re.ASCII)
"""256 bits in base64url and a mark, the format of our states; in front of them a letter for a popup."""

_QUERY_LIMIT = 16 * 1024

_PURPOSES = ("sec-purpose", "purpose", "x-moz", "x-purpose", "x-sec-purpose")
"""Headers that say why: the browsers' own, and Turbo's, because a script can't set `Sec-`."""

_PREFETCHES = ("next-router-prefetch", "next-router-segment-prefetch", "hx-preloaded")
"""Headers that only a prefetch has: of Next.js, and of htmx's preload extension."""

_XHR = "XMLHttpRequest"

_FRAMES = ("iframe", "frame", "fencedframe")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request. `host` is its Host header; `path` includes the prefix that the app is mounted under.

    `headers` has lower-case names; several Cookie headers are joined by "; ". `lacks_strict_session`: the app's session
    cookie is SameSite=Strict and didn't come along, as it doesn't when a person comes back from Configure. `debug`: the
    app is in debug mode. `propagates`: the app's tests see exceptions.
    """

    method: str
    host: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    lacks_strict_session: bool = False
    debug: bool = False
    propagates: bool = False

    def parameters(self, **limits: int) -> dict[str, str]:
        """Return the named query parameters; others are ignored. Each value is the maximum length in characters.

        RFC 6749 section 3.1: a parameter must not be included more than once. An empty one counts as left out.
        """
        pairs = self._pairs()
        if pairs is None:
            raise SignInError(Code.INVALID_REQUEST, "the query is too long or not well-formed")
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in limits:
                continue
            if name in found or len(value) > limits[name]:
                # Deleted, so that a traceback that shows local variables contains no code and no state.
                del pairs, found, value
                raise SignInError(Code.INVALID_REQUEST, f"the parameter {name} is repeated or too long")
            found[name] = value
        return {name: value for name, value in found.items() if value}

    def _pairs(self) -> list[tuple[str, str]] | None:
        if len(self.query) > _QUERY_LIMIT:
            return None
        try:
            return parse_qsl(self.query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            return None

    @property
    def languages(self) -> list[str]:
        """The user's languages, the preferred one first (RFC 9110, section 12.5.4)."""
        found = []
        for part in self.headers.get("accept-language", "").split(",")[:20]:
            name, _, weight = part.replace(" ", "").partition(";q=")
            well_formed = re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4};([01](\.\d{0,3})?)?", f"{name};{weight}")
            if well_formed:
                found.append((float(weight or 1), name))
        return [name for weight, name in sorted(found, key=lambda one: -one[0]) if weight]

    def browser(self, cookie_name: str) -> str | None:
        """Return the value of our binding cookie; None if it is missing, malformed or sent twice."""
        # Spaces alone are stripped: to a browser, a letter that Python counts as white space is a part of the name, so
        # that another host of the domain may set such a cookie in spite of the prefix.
        parts = (part.strip(" \t").partition("=") for part in self.headers.get("cookie", "").split(";"))
        values = [value for name, _, value in parts if name == cookie_name]
        return values[0] if len(values) == 1 and _TOKEN.fullmatch(values[0]) else None

    @staticmethod
    def is_state(value: str) -> bool:
        """Whether a string has the format of a state."""
        return _STATE.fullmatch(value) is not None

    @property
    def is_popup_callback(self) -> bool:
        """Whether a sign-in in a popup came back. Anybody can type such a state: it changes a header of ours alone."""
        return any(name == "state" and len(value) == 66 for name, value in self._pairs() or ())

    @property
    def own_url(self) -> str:
        """The path and query of this request, for a link to it."""
        # One slash: two would be another host.
        return f"/{quote(self.path.lstrip('/'))}{'?' if self.query else ''}{self.query}"

    @property
    def is_prefetch_or_head(self) -> bool:
        """Whether it is a HEAD, or a prefetch, by the browser or by a script, that the user has not requested."""
        purpose = " ".join(self.headers.get(name, "") for name in _PURPOSES).lower()
        return (
            self.method == "HEAD"
            or any(word in purpose for word in ("prefetch", "prerender", "preview"))
            or any(name in self.headers for name in _PREFETCHES)
        )

    @property
    def is_navigation(self) -> bool:
        """Whether the browser goes to the response; True without Fetch Metadata, unless a script says otherwise."""
        mode = self.headers.get("sec-fetch-mode")
        # Android's WebView sends its app's name in X-Requested-With with every navigation.
        script = self.headers.get("sec-fetch-dest") == "empty" or self.headers.get("x-requested-with") == _XHR
        return mode == "navigate" or (mode is None and not script)

    @property
    def is_own_click(self) -> bool:
        """Whether a person clicked on a page of this origin, as far as a browser says so: bots follow links by GET."""
        return self.method == "POST" or self.headers.get("sec-fetch-site") == "same-origin"

    @property
    def page_script(self) -> Literal["htmx", "inertia"] | None:
        """The library that made a click on a link into this fetch, if it can be told to navigate instead."""
        if self.headers.get("hx-request") == "true":
            return "htmx"
        return "inertia" if self.headers.get("x-inertia") == "true" else None

    @property
    def frame(self) -> str | None:
        """The element that this navigation is for, such as "iframe"; None for a window or a tab."""
        destination = self.headers.get("sec-fetch-dest")
        return destination if destination in _FRAMES else None

    @property
    def is_embedded(self) -> bool:
        """Whether the response is for an image or a script of a page, so that the user doesn't go there."""
        return self.headers.get("sec-fetch-dest", "document") not in ("document", "empty", *_FRAMES)

    @property
    def is_cross_site(self) -> bool:
        return self.headers.get("sec-fetch-site") == "cross-site"

    @property
    def may_lack_strict_cookies(self) -> bool:
        """Whether a reload, which is a same-origin request, could bring SameSite=Strict cookies that this one lacks.

        Not "cross-site" alone: Firefox sends "none" after a page with `Referrer-Policy: no-referrer`.
        """
        return self.headers.get("sec-fetch-site", "same-origin") != "same-origin"

    def is_from(self, origin: str, trusted: tuple[str, ...] = ()) -> bool:
        """Whether a page of `origin` sent this, or a page of a trusted origin.

        A trusted origin is known by `Origin`, or on GET without one by `Referer`, which browsers cut to the origin. For
        the rest Fetch Metadata decides if the browser sends it, else `Origin`, else `Referer`; a script can set
        none of them.
        On GET a `Referer` of `origin` counts too: WebKit calls a link of ours "cross-site" if it opens a new tab. It
        must have more than the origin. That alone is left of it where another site, to which a page of ours links,
        redirects back to us: each redirect keeps what the one before it left.
        """
        came_from = self.headers.get("origin")
        named = self._referer_origin if came_from is None and self.method == "GET" else came_from
        if named in trusted:
            return True
        site = self.headers.get("sec-fetch-site")
        if site is None:
            return (self._referer_origin if came_from is None else came_from) == origin
        is_cut = self.headers.get("referer") in (origin, f"{origin}/")
        return site == "same-origin" or (self.method == "GET" and not is_cut and self._referer_origin == origin)

    @property
    def bears_token(self) -> bool:
        """Whether it carries a bearer token, which no page of another site can make a browser send."""
        return self.headers.get("authorization", "")[:7].lower() == "bearer "

    @property
    def is_from_client(self) -> bool:
        """Whether a client that is no browser sent this, with a bearer token: browsers say where a request is from."""
        return self.bears_token and not {"sec-fetch-site", "origin", "referer"} & self.headers.keys()

    @property
    def _referer_origin(self) -> str | None:
        try:
            parts = urlsplit(self.headers.get("referer", ""))
        except ValueError:
            return None
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def wants_json(self) -> bool:
        """Whether a script expects JSON: it accepts JSON, or is a fetch() that does not accept HTML."""
        return self._accepts_json or (
            "text/html" not in self.headers.get("accept", "") and self.headers.get("sec-fetch-dest") == "empty"
        )

    @property
    def navigates_or_asks_for_json(self) -> bool:
        """Whether a start can succeed: the browser goes to the response, or a script asks for the URL.

        A fetch for HTML is a page library that follows a link, or prefetches it in its own way: it can't follow the
        redirect to another origin. One that names no type may be either; libraries follow links by GET.
        """
        return self.is_navigation or self._accepts_json or (self.method == "POST" and self.wants_json)

    @property
    def _accepts_json(self) -> bool:
        accept = self.headers.get("accept", "")
        return "application/json" in accept and "text/html" not in accept
