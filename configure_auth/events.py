"""Events: typed values, emitted after the commit to handlers whose failure changes nothing else."""

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
    """A browser was redirected to Configure. `user_id` is None if no user was signed in."""

    intent: Intent
    user_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLinked:
    """A signed-in user connected Configure. `moved_from` is the user who had this Configure user before, if any."""

    account: LinkedAccount
    moved_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailed:
    """A link or a login ended without success, or was cancelled."""

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
    """A user signed in with Configure, and the app's `on_login` returned its id."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRefreshed:
    """A new pair of OAuth tokens was saved."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectNeeded:
    """Configure no longer accepts the stored token, confirmed once; the user must reconnect."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyCompleted:
    """The sender of a message followed the link and approved the agent. `account.user_id` is a keyed hash."""

    account: LinkedAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLinked:
    """The sender of a message was recognized by phone as a user who has approved the agent."""

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
    """A user claimed an agent that had no owner."""

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
"""All events; each adapter creates its signals or handlers from it."""
