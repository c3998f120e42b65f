"""What happened, as typed values: told after the commit, to handlers that can change nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .errors import Code
from .values import Intent, Kind, LinkedAccount

__all__ = [
    "EVENTS",
    "AccountLinked",
    "AccountUnlinked",
    "AgentClaimed",
    "Event",
    "JourneyCompleted",
    "LinkFailed",
    "LoggedIn",
    "ReconnectNeeded",
    "SenderLinked",
    "SenderUnlinked",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyCompleted:
    """The sender of a message followed the link and let our agent in. `account.user_id` is the sender's keyed hash."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLinked:
    """The sender of a message was recognised by phone as somebody who lets our agent in."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderUnlinked:
    """The link of a message's sender was deleted.

    `why`: "contradicted": the next message came from the phone of another Configure user than the one who followed the
    link. "unproven": it came with no sign of who sent it, and `on_unproven` is "reject". "invalid": Configure no longer
    takes the token. "disconnected": the sender asked for it. "forgotten": the app did.
    """

    account: LinkedAccount
    why: Literal["contradicted", "unproven", "invalid", "disconnected", "forgotten"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentClaimed:
    """A user claimed an agent that nobody had."""

    agent_id: str
    user_id: str


Event: TypeAlias = (
    SignInStarted
    | AccountLinked
    | LinkFailed
    | AccountUnlinked
    | LoggedIn
    | TokenRefreshed
    | ReconnectNeeded
    | JourneyCompleted
    | SenderLinked
    | SenderUnlinked
    | AgentClaimed
)

EVENTS: tuple[type[Event], ...] = (
    SignInStarted,
    AccountLinked,
    LinkFailed,
    AccountUnlinked,
    LoggedIn,
    TokenRefreshed,
    ReconnectNeeded,
    JourneyCompleted,
    SenderLinked,
    SenderUnlinked,
    AgentClaimed,
)
"""The one list: each adapter makes its signals or handlers from it."""
