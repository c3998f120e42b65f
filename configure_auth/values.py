"""The frozen values that flows, stores, clients and apps hand to each other."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NoReturn, Self, TypeAlias

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
"""Seconds that a state is valid: long enough for a code by SMS that arrives late."""

Intent = Literal["link", "login", "provider"]
"""What a state was made for; a link's callback can never end as a login. "provider" is Authlib's way to sign in."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signed in at Configure.

    Only `user_id` is always there. `phone_last4` are the last four digits, which is all that Configure gives.
    `email_verified` is true only where Configure says so in as many words. `local_user_id` is the id of the local
    user who linked or signed in with this Configure user before; start `on_login` with it.
    """

    user_id: str
    name: str | None = None
    email: str | None = None
    email_verified: bool = False
    phone_last4: str | None = None
    local_user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenGrant:
    """The tokens of one OAuth sign-in or refresh.

    `expires_at` is an aware UTC time, None where Configure gave no lifetime. `scopes` are those granted, not those
    asked for. `next` is the page of the app that the person came from.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedAccount:
    """One connection of a local user to a Configure user, without its token."""

    user_id: str
    configure_user_id: str
    kind: Kind
    scopes: tuple[str, ...]
    linked_at: datetime
    needs_reconnect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInGrant:
    """What Configure gives for a hosted sign-in code.

    `token_use` and `approved` are None where the answer leaves them out.
    """

    token: Secret
    user_id: str
    agent: str
    token_use: str | None = None
    approved: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenValidation:
    """What Configure says of a token from outside; every field but `valid` is None where it is left out."""

    valid: bool
    user_id: str | None = None
    token_use: str | None = None
    approved: bool | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRecognition:
    """What Configure says of phone numbers that a message came from. Recognised is not approved.

    Only `approved` together with `token` links anybody. `user_id`, `agent` and `display_name` are None where they are
    left out; `phone_candidate_count` is how many of the candidates Configure took for phone numbers.
    """

    recognized: bool
    approved: bool
    token: Secret | None = None
    user_id: str | None = None
    agent: str | None = None
    display_name: str | None = None
    phone_candidate_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageIdentity:
    """Who sent a message: a linked person, or the app's own id for the sender. `configure.profile` takes it as it is.

    `token` is there where `linked`, and `user_id` unless a token was taken on trust. `source` says what told it.
    `display_name` is Configure's name for a person who was recognised.
    """

    external_id: str = field(repr=False)
    token: Secret | None = None
    user_id: str | None = None
    approved: bool = False
    recognized: bool = False
    display_name: str | None = None
    source: Literal["token", "phone_recognition", "external_id"] = "external_id"

    @property
    def linked(self) -> bool:
        """Whether the sender let our agent in; else there is the profile of `external_id` alone."""
        return self.token is not None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedAgent:
    """An agent of the app's, and the user it belongs to now. `is_new`: this very claim made it so."""

    agent_id: str
    owner_user_id: str
    is_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
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
