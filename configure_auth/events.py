"""Events: typed values, emitted after the commit to handlers whose failure changes nothing else.

A new event is a class here; `EVENTS`, the signals of Flask and the handlers of Starlette follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, TypeVar, dataclass_transform

from .errors import ApiCode, Code
from .runtime.frozen import dataclass
from .values import Intent, Kind, LinkedAccount


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base class of all events."""


_E = TypeVar("_E", bound=Event)
_events: list[type[Event]] = []


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _event(cls: type[_E]) -> type[_E]:
    made = dataclass(frozen=True, kw_only=True)(cls)
    _events.append(made)
    return made


@_event
class SignInStarted(Event):
    """A browser was redirected to Configure. `user_id` is None if no user was signed in."""

    intent: Intent
    user_id: str | None


@_event
class AccountLinked(Event):
    """A signed-in user connected Configure. `moved_from` is the user who had this Configure user before, if any.

    `data` and `untrusted` are those of the start, as in `TokenGrant`.
    """

    account: LinkedAccount
    moved_from: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    untrusted: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@_event
class LinkFailed(Event):
    """A link or a login ended without success, or was cancelled. `data` and `untrusted` are those of the start."""

    intent: Intent
    code: Code
    user_id: str | None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    untrusted: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@_event
class AccountUnlinked(Event):
    """A user's connection was deleted here. Configure has no revocation endpoint, so tokens live on there.

    `why`: "disconnected": by the user or the app, or another connection took its place. "forgotten": by `forget_user`.
    """

    user_id: str
    configure_user_id: str
    kinds: tuple[Kind, ...]
    why: Literal["disconnected", "forgotten"] = "disconnected"


@_event
class LoggedIn(Event):
    """A user signed in with Configure, and the app's `on_login` returned its id."""

    account: LinkedAccount


@_event
class TokenRefreshed(Event):
    """A new pair of OAuth tokens was saved."""

    account: LinkedAccount


@_event
class ReconnectNeeded(Event):
    """Configure no longer accepts the stored token, confirmed once; the user must reconnect."""

    account: LinkedAccount


@_event
class JourneyCompleted(Event):
    """The sender of a message followed the link and approved the agent.

    `sender` is the platform's id, here and below; `account.user_id` is the key that is stored, a keyed hash.
    """

    account: LinkedAccount
    sender: str = field(repr=False)


@_event
class SenderLinked(Event):
    """The sender of a message was recognized by phone as a user who has approved the agent."""

    account: LinkedAccount
    sender: str = field(repr=False)


@_event
class SenderUnlinked(Event):
    """The link of a message's sender was deleted.

    `why`: "contradicted": a later message came from the phone of another Configure user than the one who followed the
    link. "unproven": a message had no phone that proves it, and `on_unproven` is "reject". "invalid": Configure no
    longer takes the token. "disconnected": the sender asked for it. "forgotten": the app did.
    """

    account: LinkedAccount
    sender: str = field(repr=False)
    why: Literal["contradicted", "unproven", "invalid", "disconnected", "forgotten"]


@_event
class AgentClaimed(Event):
    """A user claimed an agent that had no owner."""

    agent_id: str
    user_id: str


@_event
class CommitFailed(Event):
    """The commit at the end of a profile's block failed, and is repeated by the next block of the same profile."""

    code: ApiCode
    request_id: str | None


EVENTS: tuple[type[Event], ...] = tuple(_events)
"""All events; each adapter creates its signals or handlers from it."""
