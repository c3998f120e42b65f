"""The small pages of a sign-in, one frozen value each, and the policy they are served with."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from markupsafe import Markup

from configure_auth.errors import Code
from configure_auth.ui import wording
from configure_auth.ui.buttons import BUTTON_STYLE, button
from configure_auth.ui.templating import checked_href, fill, read_style
from configure_auth.values import Intent

_STYLE = f"{read_style('style.css')}\n{BUTTON_STYLE}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "img-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The `Content-Security-Policy` header of every page of ours: nothing loads, and only our own style applies."""


@dataclass(frozen=True, slots=True)
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

    __slots__ = ()


class FramePage(_StartPage):
    """Leads out of a frame, in which a sign-in can't be shown. The only page that may be framed; it has no secret."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ReloadPage:
    """Asks for its own address again, from this site now, so that the browser sends every cookie along."""


@dataclass(frozen=True, slots=True)
class WaitPage:
    """Another tab or request is finishing the same sign-in, or too many are under way: this page looks again.

    Args:
        seconds: until then.
        code: why it can't begin yet.
    """

    seconds: int = 1
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class TerminalPage:
    """The end of a sign-in that a command in a terminal asked for."""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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

    def __post_init__(self) -> None:
        for href in (self.home_href, self.retry_href, self.sign_in_href):
            if href is not None:
                checked_href(href)


Page = ConfirmPage | FramePage | ReloadPage | WaitPage | TerminalPage | PopupPage | ErrorPage


def content_security_policy(page: Page | None) -> str:
    """Return the `Content-Security-Policy` header of a page, or of a response without one."""
    if isinstance(page, FramePage):
        return CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
    if isinstance(page, PopupPage):
        return f"{CONTENT_SECURITY_POLICY}; script-src 'nonce-{page.nonce}'"
    return CONTENT_SECURITY_POLICY


def render(page: Page) -> str:
    """Turn a page into a whole HTML document.

    Serve it with `content_security_policy(page)` as its header, and as `no-store`.

    Args:
        page: one of the values of `configure_auth.ui.pages`.

    Returns:
        The document. It loads nothing, and only a `PopupPage` runs a script.
    """
    values: dict[str, object] = {"style": Markup(_STYLE), "wording": wording}  # noqa: S704  # a file of this package
    match page:
        case ConfirmPage(intent, href):
            text = wording.CONFIRM_LINK if intent == "link" else wording.CONFIRM_LOGIN
            values |= {"text": text, "button": button(href, theme="auto"), "aside": wording.CONFIRM_ASIDE}
        case FramePage(intent, href):
            text = wording.FRAME_LINK if intent == "link" else wording.FRAME_LOGIN
            values |= {"text": text, "button": button(href, theme="auto")}
        case ReloadPage():
            values |= {"text": wording.RELOAD, "refresh": 0}
        case WaitPage(seconds, code):
            text = wording.WAIT if code is None else wording.text_of(code)
            values |= {"text": text, "refresh": seconds, "code": code}
        case PopupPage():
            values |= {"text": wording.POPUP, "nonce": page.nonce, "script": Markup(page.script)}  # noqa: S704  # JSON of our own, escaped
        case TerminalPage():
            values |= {"text": wording.TERMINAL}
        case ErrorPage():
            text = wording.text_of(page.code)
            sentence = (page.sentence or "").strip() or text.sentence
            values |= {"text": replace(text, sentence=sentence), "error": page, "code": page.code}
        case _:
            assert_never(page)
    return fill("page.html", values)
