"""Variants: behaviour of Configure that no document settles.

The defaults are the strict variant; a test sets a field for another one. `reset()` restores the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from .profiles import CommitSettles, ScopesBlocking

OWN: Final = "<own>"
"""Stands for the real value (the key's own agent, the token's own client)."""


@dataclass(slots=True)
class Variants:
    """Settings of one sandbox. For values that are sent as they are, None leaves the field out."""

    casing: Literal["camel", "snake"] = "camel"
    """Spelling of the fields that Configure sends in both ways (userId or user_id)."""

    # POST /v1/auth/sign-in/exchange
    exchange_token_use: str | None = "agent"
    exchange_approved: bool | str | None = True
    exchange_agent: str | None = OWN
    exchange_user_id: str | None = OWN

    # POST /v1/auth/sign-in/validate, for a token that is good
    validate_valid: bool | str | None = True
    validate_token_use: str | None = "agent"
    validate_approved: bool | str | None = True
    validate_agent: str | None = OWN
    validate_user_id: str | None = OWN
    validate_takes_oauth_tokens: bool = False

    # POST /oauth/token
    token_refresh_token: bool = True
    token_expires_in: int | str | None = 3600
    """Only what is sent; the sandbox's own lifetime stays 3600 s."""
    token_type: str | None = "Bearer"
    token_scope: bool = True
    granted_scopes: tuple[str, ...] | None = None
    """Grant these (of the ones asked for) instead of all."""
    refresh_rotates: bool = True
    refresh_grace: float = 60.0
    """Seconds in which a refresh token that was used already counts as a retry after a lost response."""

    # POST /oauth/introspect, for a token that is active
    introspection_active: bool | str | int | None = True
    introspection_sub: str | None = OWN
    introspection_client_id: str | None = OWN
    introspection_details: bool = True
    """Whether scope, client_id, exp, iat and token_type are sent at all."""
    sub_differs: bool = False
    """Whether OAuth's `sub` is another id than the `userId` of the hosted sign-in, for the same person."""

    # The way back to the app
    callback_iss: bool = False
    callback_state: Literal["same", "missing", "changed", "repeated"] = "same"
    hosted_cancel: Literal["error", "bare"] = "error"
    """`error`: error=access_denied and state; `bare`: state alone."""

    # Profile
    identity_as: Literal["string", "object"] = "string"
    identity_sub: str | None = None
    """A `sub` inside the identity section, which clients should ignore."""
    profile_of: str | None = None
    """The user id of another person, whose profile is sent."""
    profile_user_id: str | None = None
    """A `user_id` at the top of the profile."""
    read_owes_commit: bool = True
    scopes_blocking: ScopesBlocking = "none"
    """Which pending commits block a read that names its scope. Configure's own clients name one, and read and search
    in it as often as a turn needs before its commit."""
    commit_settles: CommitSettles = "scope"
    """What a commit completes that names a scope and one read of it. Configure's own clients name the oldest,
    and drop the others with the scope."""
    error_shape: Literal["structured", "flat"] = "structured"

    # POST /v1/profile/connect
    connect_links_external_id: bool = True
    """Whether an `X-User-Id` stands for the person who signed in with a link that was made for it."""

    # The hosted script's <configure-auth>
    element_token: Literal["user", "agent"] = "user"
    """Whether the element's first event carries the raw token of the one-time password or an agent token."""

    # Messages
    message_url_mode: Literal["plain", "minted"] = "plain"
    message_url_reason: str | None = OWN
    completion_sender: Literal["server", "page", "both"] = "server"
    """Who posts the completion: Configure's server, or the last page, whose browser asks the app first (CORS). A
    sandbox that is served to people's browsers has the page do it."""
