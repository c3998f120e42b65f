"""The frozen values that flows, stores, clients and apps hand to each other."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal, NoReturn, Self, TypeAlias

from .runtime.frozen import dataclass

__all__ = [
    "STATE_LIFETIME",
    "ClaimedAgent",
    "Identity",
    "Intent",
    "Journey",
    "Kind",
    "LinkedAccount",
    "MessageIdentity",
    "PendingSignIn",
    "PhoneRecognition",
    "Secret",
    "SignInGrant",
    "SignUpNeeded",
    "TokenGrant",
    "TokenValidation",
    "UserId",
]

UserId: TypeAlias = object
"""A user's id: a string, a whole number, a UUID, or another object whose class writes it by `__str__`, such as a ULID.

It is stored as `str(id)`, of at most 255 characters.
"""

Kind = Literal["agent", "oauth"]
"""What a stored token is: an agent token of the link, or an OAuth token of the login."""

STATE_LIFETIME = 15 * 60.0
"""Seconds that a state, and a link for a sender, is valid: long enough for a code by SMS that arrives late."""

Intent = Literal["link", "login", "provider"]
"""What a state was made for; a link's callback can never end as a login. "provider" is Authlib's way to sign in."""

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+|[\u2028\u2029]+|[\ud800-\udfff]+")
"""Control characters except tabs and line feeds, line separators, and lone surrogates.

Three sets, because one of all compiles three times as slowly.
"""


def is_one_line(text: str) -> bool:
    """Whether a text has no control character, no line break and no lone surrogate."""
    return CONTROLS.search(text) is None and "\t" not in text and "\n" not in text


class Secret:
    """A string that never shows itself: only `reveal()` returns it.

    It can't be changed, pickled or serialized as JSON, and compares in constant time. `copy` and `deepcopy` return the
    same object, so that `dataclasses.asdict` keeps it a `Secret`.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """Return the string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # "surrogatepass": an encoding error would carry the whole string.
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret can't be changed; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret can't be changed; make a new one")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret can't be pickled")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can't be pickled")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Identity of the user who signed in at Configure.

    Attributes:
        user_id: Configure's id of the user; the only one that is always there.
        name: None where the user has none or hides it, as for the fields below.
        email: an address that may not be verified.
        email_verified: true only where Configure says so explicitly.
        phone_last4: the last four digits, which is all that Configure gives.
        local_user_id: the id of the local user who linked or signed in with this Configure user before; begin
            `on_login` with it.
    """

    user_id: str
    name: str | None = None
    email: str | None = None
    email_verified: bool = False
    phone_last4: str | None = None
    local_user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class TokenGrant:
    """Tokens of one OAuth sign-in or refresh (RFC 6749 section 5.1).

    Attributes:
        access_token: the token for Configure's API.
        refresh_token: None where Configure gave none.
        expires_at: an aware UTC time; None where Configure gave no lifetime.
        scopes: those granted, not those requested.
        next: the page of the app that the user came from.
        data: what the app gave to `start(data=...)`.
        untrusted: values of the start's query that `query=` allows, which a third party can have written.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    next: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    untrusted: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class SignUpNeeded:
    """Return this from `on_login` if the user has to fill in a form first; `complete_login(user_id)` ends the login.

    Args:
        response: of the framework; a redirect to the form's page, so that a reload leads there again.
    """

    response: object


@dataclass(frozen=True, kw_only=True)
class LinkedAccount:
    """Connection of a local user to a Configure user, without its token.

    Attributes:
        user_id: the local user, or the keyed hash of a message's sender.
        configure_user_id: Configure's id of the user.
        kind: "agent" for a token of the account link, "oauth" for one of the login.
        scopes: the OAuth scopes granted; empty for the link.
        linked_at: an aware UTC time.
        needs_reconnect: whether Configure no longer accepts the token, so that the user must connect again.
    """

    user_id: str
    configure_user_id: str
    kind: Kind
    scopes: tuple[str, ...]
    linked_at: datetime
    needs_reconnect: bool = False


@dataclass(frozen=True, kw_only=True)
class SignInGrant:
    """Response to the exchange of a hosted sign-in code.

    Attributes:
        token: the agent token.
        user_id: Configure's id of the user.
        agent: the agent that the token is for.
        token_use: "agent"; None where Configure leaves it out.
        approved: whether the user approved the agent; None where Configure leaves it out.
    """

    token: Secret
    user_id: str
    agent: str
    token_use: str | None = None
    approved: bool | None = None


@dataclass(frozen=True, kw_only=True)
class TokenValidation:
    """Response to the validation of a token from outside; every field but `valid` is None where it is left out."""

    valid: bool
    user_id: str | None = None
    token_use: str | None = None
    approved: bool | None = None
    agent: str | None = None


@dataclass(frozen=True, kw_only=True)
class PhoneRecognition:
    """Response to the recognition of phone numbers. A recognized user hasn't necessarily approved the agent.

    Attributes:
        recognized: whether Configure knows the phone.
        approved: whether its user approved our agent; only then there is a `token`, which links a sender.
        token: the agent token.
        user_id: Configure's id of the user; None where it is left out, as `agent` and `display_name`.
        agent: the agent that the token is for.
        display_name: Configure's name for the user.
        phone_candidate_count: how many of the candidates Configure took for phone numbers.
    """

    recognized: bool
    approved: bool
    token: Secret | None = None
    user_id: str | None = None
    agent: str | None = None
    display_name: str | None = None
    phone_candidate_count: int | None = None


@dataclass(frozen=True, kw_only=True)
class MessageIdentity:
    """Identity of a message's sender: a linked user, or the app's own id. `configure.profile` takes it as it is.

    Attributes:
        external_id: the app's own id for the sender, the same whether they are linked or not.
        token: the agent token of a linked user.
        user_id: Configure's id of a linked user; None where a stored token was trusted without a call.
        approved: whether the user approved our agent.
        recognized: whether Configure knows the sender's phone.
        display_name: Configure's name for a recognized user.
        source: what the identity comes from.
        unlinked_because: why a sender isn't linked, in the message in which it was found: "unproven" (a new link waits
            for a phone), "contradicted" (the phone belongs to another Configure user; the link was deleted),
            "invalid" (Configure no longer accepts the token; the link was deleted), "disconnected" (the sender opted
            out), or "unavailable" (Configure could not be asked: it is unknown whether the sender is linked, so every
            use of the profile is a retryable error).
    """

    external_id: str = field(repr=False)
    token: Secret | None = None
    user_id: str | None = None
    approved: bool = False
    recognized: bool = False
    display_name: str | None = None
    source: Literal["token", "phone_recognition", "external_id"] = "external_id"
    unlinked_because: Literal["unproven", "contradicted", "invalid", "disconnected", "unavailable"] | None = None
    on_refused: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    @property
    def linked(self) -> bool:
        """Whether the sender is a linked user; else the profile is that of `external_id`."""
        return self.token is not None


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A sign-in that a message's sender was sent a link to, as the store keeps it: by the hash of its id.

    `subject` is the keyed hash of the sender, `sender` the app's own name for them, sealed, until the journey ends.
    Times are Unix seconds. `token_hash` is of the token that completed it.
    """

    journey_hash: str
    agent: str
    subject: str
    sender: str | None = field(repr=False)
    created_at: float
    expires_at: float
    tries: int = 0
    token_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ClaimedAgent:
    """An agent of the app that a user has claimed.

    Attributes:
        agent_id: the app's id of the agent.
        owner_user_id: the user it belongs to.
        is_new: whether this claim made the user its owner.
    """

    agent_id: str
    owner_user_id: str
    is_new: bool = False


@dataclass(frozen=True, kw_only=True)
class PendingSignIn:
    """One attempt, as the store keeps it: hashes of the state and the browser cookie, never the two themselves.

    Times are Unix seconds of the flow's clock. `verifier`, `code`, `outcome` and `replay` are sealed; a
    `code` is there only while it waits for a page that knows who the user is.
    """

    state_hash: str
    browser_hash: str
    intent: Intent
    agent: str
    user_id: str | None
    next: str | None
    verifier: str | None = field(repr=False)
    code: str | None = field(default=None, repr=False)
    redirect_uri: str
    version: int | None
    replace: bool
    created_at: float
    expires_at: float
    claimed_at: float | None = None
    finished_at: float | None = None
    outcome: str | None = field(default=None, repr=False)
    replay: str | None = field(default=None, repr=False)
