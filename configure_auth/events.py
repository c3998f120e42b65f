"""What happened, as typed values: told after the commit, to handlers that can change nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .errors import Code
from .values import Intent, Kind, LinkedAccount

__all__ = [
    "EVENTS",
    "AccountLinked",
    "AccountUnlinked",
    "Event",
    "LinkFailed",
    "LoggedIn",
    "ReconnectNeeded",
    "SignInStarted",
    "TokenRefreshed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInStarted:
    """A person was sent to Configure. `user_id` is None where nobody was signed in."""

    intent: Intent
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLinked:
    """A signed-in user connected Configure. `moved_from` is the user who had this Configure user before, if any."""

    account: LinkedAccount
    moved_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailed:
    """A link or a login came back and ended without success; a cancelled one too."""

    intent: Intent
    code: Code
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUnlinked:
    """A user's connection was deleted here. Configure has no revocation endpoint, so tokens live on there."""

    user_id: str
    configure_user_id: str
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A person signed in with Configure, and the app's `on_login` named its user."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRefreshed:
    """A new pair of OAuth tokens was saved."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectNeeded:
    """Configure no longer takes the stored token, confirmed once; the user must connect again."""

    account: LinkedAccount


Event: TypeAlias = (
    SignInStarted | AccountLinked | LinkFailed | AccountUnlinked | LoggedIn | TokenRefreshed | ReconnectNeeded
)

EVENTS: tuple[type[Event], ...] = (
    SignInStarted,
    AccountLinked,
    LinkFailed,
    AccountUnlinked,
    LoggedIn,
    TokenRefreshed,
    ReconnectNeeded,
)
"""The one list: each adapter makes its signals or handlers from it."""
