"""The response of a flow, and its rendering for every framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from ..runtime.frozen import dataclass
from ..ui import pages, wording
from ..values import STATE_LIFETIME
from .request import Request

COOKIE_NAME, LOOPBACK_COOKIE_NAME = "__Host-configure", "configure_dev"
"""The binding cookie on https, and on http, which only loopback has.

The prefix makes browsers refuse the cookie from a subdomain or over http (RFC 6265bis, section 4.1.3.2).
"""

COOKIE_MAX_AGE = int(STATE_LIFETIME) + 3600
"""Seconds; longer than any state, so that an expired attempt can be told from one of another browser."""


@dataclass(frozen=True, kw_only=True)
class BrowserCookie:
    """The cookie that binds attempts to a browser: 256 opaque bits, unsigned, unreadable for scripts."""

    name: str
    value: str = field(repr=False)
    secure: bool

    @property
    def binding(self) -> str:
        """What an attempt is bound to: also the name, so that a cookie set over http can't replace the https one."""
        return f"{self.name}={self.value}"

    @property
    def header(self) -> str:
        secure = "; Secure" if self.secure else ""
        return f"{self.name}={self.value}; Path=/; Max-Age={COOKIE_MAX_AGE}; HttpOnly; SameSite=Lax{secure}"


@dataclass(frozen=True, kw_only=True)
class RenderedResponse:
    """Status, headers and body, which an adapter copies into its framework's response."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Response:
    """One of: a redirect, a page of ours, a script or stylesheet, JSON, the app's response, text, or only a status."""

    status: int = 204
    location: str | None = field(default=None, repr=False)
    page: pages.Page | None = field(default=None, repr=False)
    words: wording.Words = field(default=wording.ENGLISH_WORDS, repr=False)
    """The texts of the page."""
    html: str | None = field(default=None, repr=False)
    """The page in the app's own layout, if it has one."""
    script: str | None = field(default=None, repr=False)
    stylesheet: str | None = field(default=None, repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    text: str = ""
    app_response: object = None
    keeps_opener: bool = False
    """Whether the page is one of a popup, whose opener reads at the end how the sign-in went."""
    cookie: BrowserCookie | None = None
    retry_after: float | None = None
    allow: tuple[str, ...] = ()
    permissions: tuple[tuple[str, str], ...] = ()
    """Headers of the response to a preflight."""
    navigation: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Headers by which a script of the page makes the browser navigate."""
    readable_by: str | None = None
    """The one other origin whose pages may read this (CORS); never with cookies."""

    @classmethod
    def redirect(cls, location: str, *, cookie: BrowserCookie | None = None) -> Response:
        # 303: the method becomes GET, so a form's body is never sent on (RFC 9700, section 4.12).
        return cls(status=303, location=location, cookie=cookie)

    @classmethod
    def to_prefetch(cls, request: Request) -> Response:
        """The response to a HEAD or a prefetch, which change nothing.

        A browser keeps a good response to a prefetch for the click, which would then lead nowhere; a 503 it drops.
        """
        return cls(status=204 if request.method == "HEAD" else 503)

    @classmethod
    def navigate(cls, location: str, script: Literal["htmx", "inertia"]) -> Response:
        """Make a library that fetched a link leave it to the browser."""
        if script == "htmx":
            return cls(status=200, navigation=(("HX-Redirect", location),))
        return cls(status=409, navigation=(("X-Inertia-Location", location),))

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every response during a sign-in, also of the app's own responses."""
        kept = "no-store" if self.stylesheet is None else "public, max-age=86400"
        return {"Cache-Control": kept, "Referrer-Policy": "no-referrer"}

    def render(self) -> RenderedResponse:
        """Render any response except the app's own."""
        headers = [
            *self.headers.items(),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Security-Policy", pages.content_security_policy(self.page, in_layout=self.html is not None)),
            *self.navigation,
        ]
        if not isinstance(self.page, pages.FramePage):
            headers.append(("X-Frame-Options", "DENY"))
        if self.location is not None:
            headers.append(("Location", self.location))
        if self.cookie is not None:
            headers.append(("Set-Cookie", self.cookie.header))
        if self.retry_after is not None:
            headers.append(("Retry-After", str(max(1, round(self.retry_after)))))
        if self.readable_by is not None:
            headers += [("Access-Control-Allow-Origin", self.readable_by), ("Vary", "Origin")]
        headers += self.permissions
        if self.allow:
            headers.append(("Allow", ", ".join(self.allow)))
        body = self.text
        if self.page is not None:
            headers.append(("Content-Type", "text/html; charset=utf-8"))
            # A page of another site that opened ours in a window can't reach into it.
            opener = "unsafe-none" if self.keeps_opener else "same-origin"
            headers.append(("Cross-Origin-Opener-Policy", opener))
            body = pages.render(self.page, self.words) if self.html is None else self.html
        elif self.script is not None:
            headers.append(("Content-Type", "text/javascript; charset=utf-8"))
            body = self.script
        elif self.stylesheet is not None:
            headers.append(("Content-Type", "text/css; charset=utf-8"))
            body = self.stylesheet
        elif self.json is not None:
            headers.append(("Content-Type", "application/json"))
            body = json.dumps(dict(self.json))
        else:
            headers.append(("Content-Type", "text/plain; charset=utf-8"))
        return RenderedResponse(status=self.status, headers=tuple(headers), body=body)
