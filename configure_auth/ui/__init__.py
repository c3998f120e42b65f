"""What people see: the "Continue with Configure" button, and the small pages of a sign-in."""

from configure_auth.ui.buttons import BUTTON_STYLE, BUTTON_STYLE_VERSION, Theme, button, disconnect_form
from configure_auth.ui.element import ELEMENT_SCRIPT, element
from configure_auth.ui.pages import (
    CONTENT_SECURITY_POLICY,
    LAYOUT,
    ConfirmPage,
    ErrorPage,
    FramePage,
    Page,
    PopupPage,
    ReloadPage,
    TerminalPage,
    WaitPage,
    content_security_policy,
    layout_values,
    render,
)
from configure_auth.ui.wording import CONTINUE, ENGLISH, ENGLISH_WORDS, Text, Texts, Words, read_texts, texts

__all__ = [
    "BUTTON_STYLE",
    "BUTTON_STYLE_VERSION",
    "CONTENT_SECURITY_POLICY",
    "CONTINUE",
    "ELEMENT_SCRIPT",
    "ENGLISH",
    "ENGLISH_WORDS",
    "LAYOUT",
    "ConfirmPage",
    "ErrorPage",
    "FramePage",
    "Page",
    "PopupPage",
    "ReloadPage",
    "TerminalPage",
    "Text",
    "Texts",
    "Theme",
    "WaitPage",
    "Words",
    "button",
    "content_security_policy",
    "disconnect_form",
    "element",
    "layout_values",
    "read_texts",
    "render",
    "texts",
]
