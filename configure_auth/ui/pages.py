"""The small pages of a sign-in, one frozen value each; `render` turns one into HTML."""

from __future__ import annotations

from dataclasses import dataclass

from configure_auth.errors import Code
from configure_auth.ui.hrefs import checked_href
from configure_auth.values import Intent


@dataclass(frozen=True, slots=True)
class ConfirmPage:
    """Asks before a start that came from another site, or from a typed address.

    Args:
        intent: what going on would do, "link" or "login".
        href: the same start on this origin; a click on the page's own link is what tells it from the first request.

    Raises:
        ValueError: the href isn't a path or an absolute http(s) address.
    """

    intent: Intent
    href: str

    def __post_init__(self) -> None:
        checked_href(self.href)


@dataclass(frozen=True, slots=True)
class FramePage:
    """Leads out of a frame, in which a sign-in can't be shown. The only page that may be framed; it has no secret.

    Args:
        intent: "link" or "login".
        href: the start, for the whole window.

    Raises:
        ValueError: the href isn't a path or an absolute http(s) address.
    """

    intent: Intent
    href: str

    def __post_init__(self) -> None:
        checked_href(self.href)


@dataclass(frozen=True, slots=True)
class ReloadPage:
    """Asks for its own address again, from this site now, so that the browser sends every cookie along."""


@dataclass(frozen=True, slots=True)
class WaitPage:
    """Another tab or request is finishing the same sign-in; this page looks again after a second."""


@dataclass(frozen=True, slots=True)
class TerminalPage:
    """The end of a sign-in that a command in a terminal asked for."""


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Says that a sign-in ended without success, and how to go on.

    Args:
        code: what happened; its words are in `texts`, and it stands small at the bottom for support.
        retry_href: starts again; None where that can't help.
        home_href: back to the app.
        sentence: the app's own plain text, in the place of ours; for `login_refused`. It is escaped.

    Raises:
        ValueError: an href isn't a path or an absolute http(s) address.
    """

    code: Code
    retry_href: str | None
    home_href: str
    sentence: str | None = None

    def __post_init__(self) -> None:
        checked_href(self.home_href)
        if self.retry_href is not None:
            checked_href(self.retry_href)


Page = ConfirmPage | FramePage | ReloadPage | WaitPage | TerminalPage | ErrorPage
