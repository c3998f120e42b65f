"""Values: people, credentials, recorded requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypedDict, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import force_setattr

from .phones import read_phone, user_id_of

Origin = Literal["api", "accounts", "sign-in"]

NonBlank = Annotated[str, msgspec.Meta(pattern=r"\S")]
"""Text that isn't blank."""
IdentityField = Literal["name", "email", "phone_last4", "occupation", "location", "bio", "interests"]
"""A field of a profile's identity, which a person may hide."""
Scope = Literal["profile.read", "profile.search", "profile.remember", "profile.commit"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
CONNECTORS: Final = ("gmail", "calendar", "drive", "notion", "sheets", "outlook")


class PersonFields(TypedDict, total=False):
    """What a person may have beside the phone; see `Person`."""

    user_id: str
    name: str | None
    email: str | None
    email_verified: bool | None
    preferences: tuple[str, ...]
    summary: str | None
    occupation: str | None
    location: str | None
    bio: str | None
    interests: tuple[str, ...]
    hidden: tuple[IdentityField, ...]


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person, who signs in with a phone. Everything but the phone may be missing, as with Configure.

    The user id follows from the phone unless it is given. `email_verified` is sent only when it is not None. `hidden`
    names the fields of the identity that this person does not let apps see. Raises ValueError for an invalid phone.
    """

    phone: NonBlank
    user_id: NonBlank = ""
    name: NonBlank | None = None
    email: NonBlank | None = None
    email_verified: bool | None = None
    preferences: tuple[NonBlank, ...] = ()
    summary: NonBlank | None = None
    occupation: NonBlank | None = None
    location: NonBlank | None = None
    bio: NonBlank | None = None
    interests: tuple[NonBlank, ...] = ()
    hidden: tuple[IdentityField, ...] = ()

    def __post_init__(self) -> None:
        phone = read_phone(self.phone)
        if phone is None:
            raise ValueError(f"{self.phone!r} is not a phone number; write one as +1 555 010 0001")
        force_setattr(self, "phone", phone)
        force_setattr(self, "user_id", self.user_id or user_id_of(phone))

    def __repr__(self) -> str:
        return f"Person(user_id={self.user_id!r}, name={self.name!r})"

    @property
    def phone_last4(self) -> str:
        return self.phone[-4:]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The five values that Configure gives a developer for one agent. Constant for a handle until they are rotated,
    without use elsewhere. In Configure's test mode there is no OAuth client, and its id and secret are empty."""

    agent: str
    api_key: str
    publishable_key: str
    client_id: str
    client_secret: str

    @classmethod
    def of(cls, agent: str, *, test_mode: bool = False) -> Credentials:
        def constant(kind: str) -> str:
            return hashlib.sha256(f"configure sandbox {kind} {agent}".encode()).hexdigest()[:32]

        mode = "test" if test_mode else "local"
        return cls(
            agent=agent,
            api_key=f"sk_{mode}_{constant('secret key')}",
            publishable_key=f"pk_{mode}_{constant('publishable key')}",
            client_id="" if test_mode else f"oc_local_{constant('client id')[:20]}",
            client_secret="" if test_mode else f"ocs_local_{constant('client secret')}",
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a sandbox got.

    `connection` numbers the TCP connections from 1, so that reuse can be counted. `status` is None while there is no
    response, and stays None when the connection was dropped instead. `at` is the sandbox's time in Unix seconds.
    """

    origin: Origin
    method: str
    path: str
    query: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    status: int | None
    at: float

    @property
    def form(self) -> dict[str, str]:
        """The body read as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body read as JSON. Raises ValueError when it isn't."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion posted (or to be posted) to an app's `message_complete_url`.

    `status` is the app's; None with `error` set when the app could not be reached.
    """

    url: str
    body: Mapping[str, str]
    status: int | None = None
    error: str | None = None
