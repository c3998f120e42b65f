"""The "Continue with Configure" button."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, get_args

from markupsafe import Markup

from configure_auth.ui.templating import checked_href, fill, read_style
from configure_auth.ui.wording import CONTINUE

Theme = Literal["light", "dark", "auto"]

BUTTON_STYLE = read_style("button.css")
"""The stylesheet of the button, which the app serves itself, so that a policy has to allow `'self'` only."""

BUTTON_STYLE_VERSION = hashlib.sha256(BUTTON_STYLE.encode()).hexdigest()[:12]


def button(
    href: str, *, label: str = CONTINUE, theme: Theme = "light", stylesheet: str | None = None, nonce: str | None = None
) -> Markup:
    """Return the button: a link with the mark and the label, and the link to its stylesheet.

    It has no script, no inline style and no id, and its class is `configure-button`. The label is text: it is centred
    in every font, as large as the reader's text, and breaks where there is little room. The button is 44 pixels high
    at least. A page changes its look by the CSS properties `--configure-button-surface`, `-ink`, `-mark`, `-border`,
    `-radius`, `-font` and `-size`. It leaves a frame (`target="_top"`), and htmx and Turbo leave it to the browser.

    Args:
        href: where it leads, a path or an absolute http(s) address; it is escaped.
        label: what it says.
        theme: "light", "dark" or "auto". "auto" takes the colour scheme that the page itself is shown in, so it
            turns dark for a reader who prefers dark on a page that says it can, in its CSS (`color-scheme: light
            dark`) or with `<meta name="color-scheme" content="light dark">`. On a page that doesn't say so, and in
            a browser that doesn't know CSS `light-dark()` (those from before 2024), it is light.
        stylesheet: the address of `BUTTON_STYLE`; None where the page has it.
        nonce: of the page's Content-Security-Policy, where `style-src` doesn't allow `'self'`.

    Returns:
        The HTML, safe to put into a template.

    Raises:
        ValueError: the href could lead elsewhere than to a web page, the label is empty, or there's no such theme.
    """
    words = " ".join(str(label).split())
    if not words:
        raise ValueError("a button needs a label")
    if theme not in get_args(Theme):
        raise ValueError('theme is "light", "dark" or "auto"')
    href = checked_href(str(href))
    return fill("button.html", href=href, label=words, theme=theme, stylesheet=stylesheet, nonce=nonce)


def disconnect_form(action: str, fields: Mapping[str, object], label: str) -> Markup:
    """Return a form with one button, which posts to a path of this site.

    Its class is `configure-disconnect`; it has no style and no script.

    Args:
        action: the path.
        fields: hidden fields by their names; the values are escaped.
        label: the text of the button.
    """
    return fill("disconnect.html", action=checked_href(action), fields=dict(fields), label=label)
