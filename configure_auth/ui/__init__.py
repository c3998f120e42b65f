"""What people see: the "Continue with Configure" button, and the small pages of a sign-in."""

from configure_auth.ui.buttons import BUTTON_STYLE, BUTTON_STYLE_VERSION, Theme, button, disconnect_form
from configure_auth.ui.element import ELEMENT_SCRIPT, element
from configure_auth.ui.pages import (
    CONTENT_SECURITY_POLICY,
    ConfirmPage,
    ErrorPage,
    FramePage,
    Page,
    PopupPage,
    ReloadPage,
    TerminalPage,
    WaitPage,
    content_security_policy,
    render,
)
from configure_auth.ui.wording import CONTINUE, DISCONNECT, RECONNECT, Text, text_of, texts

__all__ = [
    "BUTTON_STYLE",
    "BUTTON_STYLE_VERSION",
    "CONTENT_SECURITY_POLICY",
    "CONTINUE",
    "DISCONNECT",
    "ELEMENT_SCRIPT",
    "RECONNECT",
    "ConfirmPage",
    "ErrorPage",
    "FramePage",
    "Page",
    "PopupPage",
    "ReloadPage",
    "TerminalPage",
    "Text",
    "Theme",
    "WaitPage",
    "button",
    "content_security_policy",
    "disconnect_form",
    "element",
    "render",
    "text_of",
    "texts",
]
