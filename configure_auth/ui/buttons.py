"""The "Continue with Configure" button."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from configure_auth.ui.templating import checked_href, fill
from configure_auth.ui.wording import CONTINUE

Theme = Literal["light", "dark", "auto"]

_FONT_SIZE = 14
_LABEL_X = 60
_MARGIN_RIGHT = 18

_NARROW = frozenset(" !'(),./:;I[]`fijlrt|")
_BROAD = frozenset("%&@MWmw\N{EM DASH}\N{HORIZONTAL ELLIPSIS}")


@dataclass(frozen=True, slots=True)
class _Look:
    surface: str
    border: str
    mark: str
    label: str


_LIGHT = _Look(surface="#FFFFFF", border="#747775", mark="#586675", label="#1F1F1F")
_DARK = _Look(surface="#1F2328", border="#747775", mark="#FFFFFF", label="#FFFFFF")
_AUTO = _Look(
    surface=f"light-dark({_LIGHT.surface}, {_DARK.surface})",
    border=_LIGHT.border,
    mark=f"light-dark({_LIGHT.mark}, {_DARK.mark})",
    label=f"light-dark({_LIGHT.label}, {_DARK.label})",
)

_LOOKS: dict[str, _Look] = {"light": _LIGHT, "dark": _DARK, "auto": _AUTO}


def button(href: str, *, label: str = CONTINUE, theme: Theme = "light") -> Markup:
    """Draw the button: a plain link around an inline SVG.

    It looks the same on any page, the one with the strictest Content-Security-Policy included: it brings no style,
    no script, no image and no id. Its class is `configure-button`, for pages that want to place it. A screen reader
    hears a link with the label, once, and the browser's own focus ring shows. It leaves a frame (`target="_top"`), and
    htmx and Turbo leave it to the browser.

    Args:
        href: where it leads, a path or an absolute http(s) address; it is escaped.
        label: what it says. The button is as wide as the text asks for, 240 pixels for the one given here.
        theme: "light", "dark" or "auto". "auto" takes the colour scheme that the page itself is shown in, so it
            turns dark for a reader who prefers dark on a page that says it can, in its CSS (`color-scheme: light
            dark`) or with `<meta name="color-scheme" content="light dark">`. On a page that doesn't say so, and in
            a browser that doesn't know CSS `light-dark()` (those from before 2024), it is light.

    Returns:
        The HTML, safe to put into a template.

    Raises:
        ValueError: the href could lead elsewhere than to a web page, the label is empty, or there's no such theme.
    """
    words = " ".join(str(label).split())
    if not words:
        raise ValueError("a button needs a label")
    if theme not in _LOOKS:
        raise ValueError('theme is "light", "dark" or "auto"')
    values = {
        "href": checked_href(str(href)),
        "label": words,
        "width": math.ceil(_LABEL_X + _text_width(words) + _MARGIN_RIGHT),
        "font_size": _FONT_SIZE,
        "label_x": _LABEL_X,
        "look": _LOOKS[theme],
        "plain": _LIGHT,
    }
    return Markup(fill("button.html", values))  # noqa: S704  # every value in it was escaped by the template


def disconnect_form(action: str, fields: Mapping[str, object], label: str) -> Markup:
    """Return a form with one button, which posts to a path of this site.

    Its class is `configure-disconnect`; it has no style and no script.

    Args:
        action: the path.
        fields: hidden fields by their names; the values are escaped.
        label: the text of the button.
    """
    values = {"action": checked_href(action), "fields": dict(fields), "label": label}
    return Markup(fill("disconnect.html", values))  # noqa: S704  # every value in it was escaped by the template


def _text_width(text: str) -> float:
    """Guess how wide a text is. The reader's font isn't known here, so the guess leans to a broad one."""
    return _FONT_SIZE * sum(map(_em, unicodedata.normalize("NFC", text)))


def _em(char: str) -> float:
    if unicodedata.combining(char):
        return 0
    if unicodedata.east_asian_width(char) in ("W", "F"):
        return 1.25 if unicodedata.category(char) == "So" else 1
    if char in _NARROW:
        return 0.32
    if char in _BROAD:
        return 0.9
    return 0.68 if char.isupper() else 0.58
