"""Pages as whole HTML documents, and the policy they are served with."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import assert_never

from markupsafe import Markup

from configure_auth.ui.buttons import button
from configure_auth.ui.pages import ConfirmPage, ErrorPage, FramePage, Page, ReloadPage, TerminalPage, WaitPage
from configure_auth.ui.templating import fill
from configure_auth.ui.wording import text_of

# A browser turns CRLF into LF before it hashes, so we do too.
_STYLE = "\n".join(files(__package__).joinpath("style.css").read_text(encoding="utf-8").splitlines())
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


def content_security_policy(page: Page | None) -> str:
    """Return the `Content-Security-Policy` header of a page, or of a response without one."""
    if isinstance(page, FramePage):
        return CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
    return CONTENT_SECURITY_POLICY


def render(page: Page) -> str:
    """Turn a page into a whole HTML document.

    Serve it with `content_security_policy(page)` as its header, and as `no-store`.

    Args:
        page: one of the values of `configure_auth.ui.pages`.

    Returns:
        The document. It loads nothing and runs nothing.
    """
    values: dict[str, object] = {"style": Markup(_STYLE)}  # noqa: S704  # a file of this package
    match page:
        case ConfirmPage() | FramePage():
            template = "confirm.html" if isinstance(page, ConfirmPage) else "frame.html"
            return fill(template, values | {"page": page, "button": button(page.href, theme="auto")})
        case ReloadPage():
            return fill("reload.html", values)
        case WaitPage():
            return fill("wait.html", values)
        case TerminalPage():
            return fill("terminal.html", values)
        case ErrorPage():
            text = text_of(page.code)
            sentence = (page.sentence or "").strip() or text.sentence
            return fill("error.html", values | {"page": page, "text": text, "sentence": sentence})
        case _:
            assert_never(page)
