"""The small pages of a sign-in, one frozen value each, and the policy they are served with."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from typing import assert_never

from markupsafe import Markup, escape

from configure_auth.errors import Code
from configure_auth.ui.buttons import BUTTON_STYLE, button
from configure_auth.ui.templating import TEMPLATES, checked_href, fill, read_style
from configure_auth.ui.wording import CAUSE, ENGLISH_WORDS, Words
from configure_auth.values import Intent

from ..runtime.frozen import dataclass

_CONTENT_STYLE = f"{read_style('content.css')}\n{BUTTON_STYLE}"
_STYLE = f"{read_style('style.css')}\n{_CONTENT_STYLE}"


def _policy(style: str, *loads: str) -> str:
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    own = " 'self'" if loads else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src{own} 'sha256-{style_hash}'",
            *(loads or ("img-src 'none'",)),
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


CONTENT_SECURITY_POLICY = _policy(_STYLE)
"""The `Content-Security-Policy` header of every page of ours: nothing loads, and only our own style applies."""

LAYOUT_POLICY = _policy(_CONTENT_STYLE, "img-src 'self' data:", "font-src 'self'")
"""The header of a page in the app's own layout: its stylesheets, images and fonts load from the app, no script runs."""

LAYOUT = TEMPLATES["layout.html"]
"""The Jinja2 template by which a page extends the app's base template, given as `configure_base`."""


@dataclass(frozen=True)
class _StartPage:
    """A page with the button that starts a sign-in.

    Args:
        intent: what it starts, "link" or "login".
        href: the start, a path or an absolute http(s) address; any other is a ValueError.
    """

    intent: Intent
    href: str = field(repr=False)

    def __post_init__(self) -> None:
        checked_href(self.href)


class ConfirmPage(_StartPage):
    """Asks before a start that came from another site, or from a typed address; a click on its button goes on."""


class FramePage(_StartPage):
    """Leads out of a frame, in which a sign-in can't be shown. The only page that may be framed; it has no secret."""


@dataclass(frozen=True)
class ReloadPage:
    """Asks for its own address again, from this site now, so that the browser sends every cookie along."""


@dataclass(frozen=True)
class WaitPage:
    """Another tab or request is finishing the same sign-in, or too many are under way: this page looks again.

    Args:
        seconds: until then.
        code: why it can't begin yet.
    """

    seconds: int = 1
    code: Code | None = None


@dataclass(frozen=True)
class TerminalPage:
    """The end of a sign-in that a command in a terminal asked for."""


@dataclass(frozen=True)
class PopupPage:
    """The end of a sign-in in a window that a page of the app opened: the only page with a script.

    Args:
        origin: of the opener, which alone may read the message.
        message: what is posted to it.
        nonce: of the script, random.
    """

    origin: str
    message: Mapping[str, str] = field(repr=False)
    nonce: str = field(repr=False)

    @property
    def script(self) -> str:
        told, origin = (json.dumps(value).replace("<", "\\u003c") for value in (dict(self.message), self.origin))
        return f"if (window.opener) {{ window.opener.postMessage({told}, {origin}); window.close(); }}"


@dataclass(frozen=True)
class ErrorPage:
    """Says that a sign-in ended without success, and how to go on.

    Args:
        code: what happened; its words are in `texts`, and it stands small at the bottom for support.
        retry_href: starts again; None where that can't help.
        home_href: back to the app.
        sentence: the app's own plain text, in the place of ours; for `login_refused`. It is escaped.
        sign_in_href: the app's own sign-in page, offered first.
        reference: what the log names this failure by, beside the code.
        cause: what the developer has to change; in development only.
        replaces: starting again replaces the connected profile.

    Raises:
        ValueError: an href isn't a path or an absolute http(s) address.
    """

    code: Code
    retry_href: str | None
    home_href: str
    sentence: str | None = None
    sign_in_href: str | None = None
    reference: str | None = None
    cause: str | None = None
    replaces: bool = False

    def __post_init__(self) -> None:
        for href in (self.home_href, self.retry_href, self.sign_in_href):
            if href is not None:
                checked_href(href)


Page = ConfirmPage | FramePage | ReloadPage | WaitPage | TerminalPage | PopupPage | ErrorPage


_IN_LAYOUT = (ConfirmPage, WaitPage, ErrorPage)
"""Not the page that may be framed, in which the app's layout would lie below another site's clicks, nor those of a
moment or of a window of their own."""


def content_security_policy(page: Page | None, *, in_layout: bool = False) -> str:
    """Return the `Content-Security-Policy` header of a page, or of a response without one."""
    if in_layout:
        return LAYOUT_POLICY
    if isinstance(page, FramePage):
        return CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
    if isinstance(page, PopupPage):
        return f"{CONTENT_SECURITY_POLICY}; script-src 'nonce-{page.nonce}'"
    return CONTENT_SECURITY_POLICY


def render(page: Page, words: Words = ENGLISH_WORDS) -> str:
    """Turn a page into a whole HTML document.

    Serve it with `content_security_policy(page)` as its header, and as `no-store`.

    Args:
        page: one of the values of `configure_auth.ui.pages`.
        words: the texts in the user's language.

    Returns:
        The document. It loads nothing, and only a `PopupPage` runs a script.
    """
    title, content, refresh = _content(page, words)
    return str(
        fill(
            "layout.html",
            configure_base="base.html",
            configure_title=title,
            configure_content=content,
            words=words,
            refresh=refresh,
            style=Markup(_STYLE),  # noqa: S704  # a file of this package
            script=Markup(page.script) if isinstance(page, PopupPage) else None,  # noqa: S704  # JSON of our own, escaped
            nonce=page.nonce if isinstance(page, PopupPage) else None,
        )
    )


def layout_values(page: Page, words: Words) -> dict[str, Markup] | None:
    """Return what `LAYOUT` inserts into the app's base template; None for a page that isn't shown in it."""
    if not isinstance(page, _IN_LAYOUT):
        return None
    title, content, refresh = _content(page, words)
    head = f"<style>{_CONTENT_STYLE}</style>"
    if refresh is not None:
        head += f'<meta http-equiv="refresh" content="{refresh}">'
    return {"configure_title": escape(title), "configure_content": Markup(head) + content}  # noqa: S704  # a file of this package


def _content(page: Page, words: Words) -> tuple[str, Markup, int | None]:
    """Return a page's title, its content, and the seconds until it looks again."""
    values: dict[str, object] = {"button": None, "asks": False, "error": None, "code": None}
    refresh = None
    match page:
        case ConfirmPage(intent, href) | FramePage(intent, href):
            asks = isinstance(page, ConfirmPage)
            text = words.page(f"{'confirm' if asks else 'frame'}_{intent}")
            values |= {"button": button(href, label=words["continue"], theme="auto"), "asks": asks}
        case ReloadPage():
            text, refresh = words.page("reload"), 0
        case WaitPage(seconds, code):
            text, refresh = words.page("wait") if code is None else words.of(code), seconds
            values["code"] = code
        case PopupPage():
            text = words.page("popup")
        case TerminalPage():
            text = words.page("terminal")
        case ErrorPage():
            text = words.of(page.code)
            text = replace(text, sentence=(page.sentence or "").strip() or text.sentence)
            values |= {"error": page, "code": page.code}
        case _:
            assert_never(page)
    content = fill("content.html", **values, refresh=refresh, text=text, words=words, cause_label=CAUSE)
    return text.heading, content, refresh
