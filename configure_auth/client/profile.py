"""The profile that a person lets our agent read."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from types import MappingProxyType
from typing import Any

from ..errors import ApiCode, ConfigureError
from ..runtime.frozen import dataclass
from ..settings import Settings
from ..values import Secret
from .call import HttpCall, is_header_value
from .texts import first, found, line, names, paragraph
from .wire import ResponseBody, api_call, form, invalid, plain, require_text, require_token

_SECTION = re.compile(r"[a-z_]{1,64}")
_LAST4 = re.compile(r"[0-9]{4}")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True)
class Subject:
    """Whose profile: a linked person's, by token, or one of the app's own users, by the app's id for them.

    Args:
        token: an agent or OAuth token.
        external_id: the app's id, 1 to 255 characters of Latin-1 (it goes in a header).
        is_unknown: whether it is unknown if the sender of a message is a linked person: then nothing may be sent.
        on_refused: called where Configure no longer accepts the token.

    Raises:
        ConfigureError: INVALID_INPUT for both, for neither, and for a value that a header can't carry. Configure
            refuses an id beside a token, so one would silently win.
    """

    token: Secret | None = None
    external_id: str | None = field(default=None, repr=False)
    is_unknown: bool = False
    on_refused: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def __init__(
        self,
        *,
        token: str | Secret | None = None,
        external_id: str | None = None,
        is_unknown: bool = False,
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        if (token is None) == (external_id is None):
            raise invalid("give exactly one of token= and external_id=")
        if token is not None:
            require_token("token", token)
            token = Secret(plain(token))
        else:
            require_text("external_id", external_id, 255)
            if not is_header_value(external_id or ""):
                raise invalid("external_id goes in a header, so it must be Latin-1 without a space at either end")
        object.__setattr__(self, "token", token)
        object.__setattr__(self, "external_id", external_id)
        object.__setattr__(self, "is_unknown", is_unknown)
        object.__setattr__(self, "on_refused", on_refused)

    @property
    def headers(self) -> dict[str, str]:
        """The one header that names the subject.

        Raises:
            ConfigureError: a retryable one where the subject is unknown, so that nothing is saved to, or read from, the
                profile of another subject.
        """
        if self.is_unknown:
            raise ConfigureError(
                ApiCode.NETWORK_ERROR,
                "it is unknown whether this sender is linked, because Configure could not be asked; identify the "
                "sender again later, or use client.profile(external_id=identity.external_id)",
                retryable=True,
                sent=False,
            )
        if self.token is not None:
            return {"Authorization": f"Bearer {self.token.reveal()}"}
        return {"X-User-Id": self.external_id or ""}


@dataclass(frozen=True, kw_only=True)
class RuntimeScope:
    """The session and the runtime scope of one profile client.

    Configure counts a read of a linked profile as owing a commit within its scope. A scope of its own leaves no
    debt for the next reader.
    """

    session_id: str = field(default_factory=lambda: f"session_{uuid.uuid4()}")
    runtime_scope_id: str = field(default_factory=lambda: f"scope_{uuid.uuid4()}")

    @property
    def headers(self) -> dict[str, str]:
        """The two headers that carry it."""
        return {"X-Configure-Session-Id": self.session_id, "X-Configure-Runtime-Scope-Id": self.runtime_scope_id}


@dataclass(frozen=True, kw_only=True)
class ProfileIdentity:
    """The identity section. Every field may be hidden by the person and is None then.

    `claimed_user_id` is an id inside the section, kept apart so that a caller can refuse one that differs from the
    introspected subject; it never identifies a user by itself. `email_verified` is true only where Configure says so.
    """

    name: str | None = None
    email: str | None = None
    email_verified: bool = False
    phone_last4: str | None = None
    occupation: str | None = None
    location: str | None = None
    bio: str | None = None
    interests: tuple[str, ...] = ()
    claimed_user_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProfileResponse:
    """Response to a read of a profile.

    Attributes:
        identity: the identity section.
        sections: every section as it came, by its name.
        user_id: Configure's id of the user, where the response has one.
        portable: whether it is a linked user's profile, rather than one of an external id.
        filtered: whether the user hides something from our agent.
        hidden_sources: the sources that the user hides from our agent.
    """

    identity: ProfileIdentity
    sections: Mapping[str, Any] = field(repr=False)
    user_id: str | None = None
    portable: bool = False
    filtered: bool = False
    hidden_sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return what is known of the user as text for a prompt, a line or list for each section that has something.

        It was written by users and other agents: data for a language model, not instructions.
        """
        shown = ((name, self.sections.get(name)) for name in _SHOWN)
        return "\n".join(line for name, part in shown if part for line in _lines(name, part))


_SHOWN = ("identity", "preferences", "integrations", "imports", "agents", "summary", "soul", "context")


def _lines(name: str, part: Any, indent: str = "") -> Iterator[str]:
    part = part.get("value", part) if isinstance(part, dict) else part
    if isinstance(part, dict):
        yield f"{indent}{name}:"
        for inner, value in part.items():
            yield from _lines(str(inner), value, f"{indent}  ")
    elif isinstance(part, list):
        yield f"{indent}{name}:"
        for item in part:
            text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
            yield f"{indent}  - {' '.join(text.split())}"
    elif part is not None:
        yield f"{indent}{name}: {' '.join(str(part).split())}"


def read_profile(
    settings: Settings,
    subject: Subject,
    *,
    sections: Sequence[str] | None = None,
    scope: RuntimeScope | None = None,
) -> HttpCall[ProfileResponse]:
    """Read a profile: arguments and errors as for `ReadCalls.read`; `scope` is the caller's, a fresh one if absent."""
    named = () if sections is None else sections
    if isinstance(named, str | Mapping) or not isinstance(named, Iterable) or not all(map(_is_section, named)):
        raise invalid('sections must be a list of section names such as ["identity"]')
    query = f"?{form([('sections', ','.join(sections))])}" if sections else ""
    headers = subject.headers | (scope or RuntimeScope()).headers
    parse = partial(_profile, subject.token is not None)
    return api_call(settings, "GET", f"/v1/profile{query}", parse, "the profile read", headers=headers)


def _is_section(name: object) -> bool:
    return isinstance(name, str) and _SECTION.fullmatch(name) is not None


def _profile(linked: bool, body: ResponseBody) -> ProfileResponse:
    # First what may be refused, so that no frame of the error has the profile in it.
    user_id = body.text("user_id")
    fields = body.fields
    identity = fields.get("identity")
    portable = found(fields, "portable", "linked")
    return ProfileResponse(
        identity=_identity(identity if isinstance(identity, dict) else {}),
        sections=MappingProxyType(dict(fields)),
        user_id=user_id,
        portable=portable if isinstance(portable, bool) else linked,
        filtered=fields.get("filtered") is True,
        hidden_sources=names(found(fields, "hidden_sources", "hiddenSources")),
    )


def _identity(section: Mapping[str, Any]) -> ProfileIdentity:
    email = line(section.get("email"))
    if email is not None and not (len(email) < 255 and _EMAIL.fullmatch(email)):
        email = None
    last4 = first(section, "phone_last4", "phoneLast4")
    return ProfileIdentity(
        name=line(section.get("name")),
        email=email,
        email_verified=email is not None and _says_true(section, "email_verified", "emailVerified"),
        phone_last4=last4 if last4 is not None and _LAST4.fullmatch(last4) else None,
        occupation=line(section.get("occupation")),
        location=line(section.get("location")),
        bio=paragraph(section.get("bio")),
        interests=names(section.get("interests")),
        claimed_user_id=first(section, "sub", "user_id", "userId", "id"),
    )


def _says_true(section: Mapping[str, Any], *names: str) -> bool:
    """Whether Configure says so in as many words, and nowhere the contrary."""
    said = [section[name] for name in names if name in section]
    said = [item.get("value") if isinstance(item, dict) else item for item in said]
    return bool(said) and all(item is True for item in said)
