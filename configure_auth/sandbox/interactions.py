"""Sign-ins in progress: their requests, and the step that each is at (phone, code, consent, done)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

INTERACTION_SECONDS: Final = 900.0
CODE_TRIES: Final = 5
RIGHT_CODE: Final = "000000"

Step = Literal["phone", "code", "consent", "done", "failed"]


@dataclass(frozen=True, slots=True)
class OAuthRequest:
    """A validated authorization request."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    code_challenge: str
    resource: str | None


@dataclass(frozen=True, slots=True)
class HostedRequest:
    """A validated request of the hosted sign-in."""

    agent: str
    reconnect: bool = False
    return_to: str | None = None
    state: str | None = None
    journey: str | None = None
    agent_name: str | None = None
    agent_logo: str | None = None
    delivery: str | None = None
    message_line_phone: str | None = None
    message_body: str | None = None
    message_complete_url: str | None = None
    connectors: tuple[str, ...] = ()
    theme: Literal["light", "dark"] | None = None
    external_id: str | None = None
    return_url: str | None = None

    @property
    def by_message(self) -> bool:
        return self.delivery in {"message", "messages", "imessage", "sms"}


@dataclass(slots=True)
class Interaction:
    """A sign-in in progress. `id` is unguessable and travels in the pages' forms."""

    request: OAuthRequest | HostedRequest
    agent: str
    agent_name: str
    action: str
    """The path that the pages' forms post to."""
    created_at: float
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    step: Step = "phone"
    phone: str | None = None
    user_id: str | None = None
    tries: int = 0
    redirect_to: str | None = None
    page_completion: dict[str, str] | None = None
    """The completion that the last page posts, in the variants in which a page does."""
