"""What people see: the "Continue with Configure" button, and the small pages of a sign-in."""

from configure_auth.ui.buttons import CONTINUE, RECONNECT, Theme, button, disconnect_form
from configure_auth.ui.documents import CONTENT_SECURITY_POLICY, content_security_policy, render
from configure_auth.ui.element import ELEMENT_SCRIPT, element
from configure_auth.ui.pages import ConfirmPage, ErrorPage, FramePage, Page, ReloadPage, TerminalPage, WaitPage
from configure_auth.ui.wording import Text, text_of, texts

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "CONTINUE",
    "ELEMENT_SCRIPT",
    "RECONNECT",
    "ConfirmPage",
    "ErrorPage",
    "FramePage",
    "Page",
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
