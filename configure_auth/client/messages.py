"""Message agents: who a phone belongs to, the link that a sender gets, and the lines that the agent writes from."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast

from ..errors import ApiCode, ConfigureError
from ..settings import Settings
from ..values import MessageIdentity, PhoneRecognition, Secret
from .call import Call
from .profile import Subject
from .sign_in import (
    connector_names,
    given_text,
    is_agent_token,
    leads_to,
    require_complete_url,
    require_theme,
    validate_sign_in_token,
)
from .texts import first, line
from .wire import Answer, api_headers, json_body, plain, read_answer, require_text

__all__ = [
    "LineStatus",
    "MessageLine",
    "MessageSignInUrl",
    "Reason",
    "RevokedLine",
    "create_message_sign_in_url",
    "list_message_lines",
    "recognize_phone",
    "register_message_line",
    "resolve_message_identity",
    "revoke_message_line",
]

T = TypeVar("T")

log = logging.getLogger("configure_auth")

Reason = Literal["signin", "reconnect", "permissions"]
"""Why a sender gets a link."""

LineStatus = Literal["active", "revoked"]
"""Whether a message line is in use."""

_REASONS = ("signin", "reconnect", "permissions")
_STATUSES = ("active", "revoked")
_MOST_CANDIDATES = 20
_LONGEST_CANDIDATE = 256
# What JavaScript's `trim` takes away; `str.strip` leaves U+FEFF and takes four control characters more.
_JAVASCRIPT_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_SEPARATORS = re.compile(r"[ \u00a0().-]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LAST4 = re.compile(r"[0-9]{4}")

_METADATA_LEVELS = 6
_PHONE_KEY = re.compile(r"phone|msisdn|e\.?164", re.IGNORECASE)
# 7 digits and more after a plus; 10 to 15 without one, but for those inside of a word or an id. Of any script's digits.
_SEPARATED = r"[\s().\-\u2010-\u2015/_]*"
_INTERNATIONAL = re.compile(rf"\+(?:{_SEPARATED}\d){{7}}")
_NATIONAL = re.compile(rf"(?<![\w.-])(?:{_SEPARATED}\d){{10,15}}(?![\w:])")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSignInUrl:
    """A sign-in link for a message's sender, to be sent to nobody else.

    `minted` is bound to the sender and good once, until `expires_at`, and its last part is `code`; `plain` is the
    agent's hosted sign-in for anybody, and `fallback_reason` is Configure's word for why. `idempotency_key` is there
    where Configure repeats it.
    """

    url: str = field(repr=False)
    mode: Literal["minted", "plain"]
    reason: Reason
    expires_at: str | None = None
    fallback_reason: str | None = None
    idempotency_key: str | None = None
    code: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLine:
    """A number that our agent writes from. Configure gives its last four digits only.

    `metadata` is the app's own, without what looks like a phone number or is deeper
    than six levels.
    """

    id: str
    channel: str
    phone_last4: str
    status: LineStatus
    label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    created_at: str | None = None
    updated_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedLine:
    """The end of a line. `deleted` is false where there was none; `lines` are those that are left."""

    deleted: bool
    lines: tuple[MessageLine, ...]


def recognize_phone(settings: Settings, candidates: Iterable[str | None]) -> Call[PhoneRecognition]:
    """Ask Configure whose phone is among the names that a platform has for a message's sender.

    Recognised is not approved: there is a token only where the person let our agent in before, and any contradiction
    in the answer (another agent, a token for another use, nobody recognised) counts as not approved.

    Args:
        candidates: 1 to 20 strings of at most 256 characters; None, blank and repeated ones aren't counted. They are
            sent as they are, and Configure takes a number without a country code for an international one: give numbers
            as +<country code><number>.

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent; SERVER_ERROR for an answer that isn't whole.
    """
    listed = _trimmed(candidates)
    if not 1 <= len(listed) <= _MOST_CANDIDATES:
        raise _refused(f"candidates must be 1 to {_MOST_CANDIDATES} strings that aren't blank")
    agent = settings.required_agent
    return Call(
        method="POST",
        url=f"{settings.base_url}/v1/auth/sign-in/recognize-phone",
        headers=api_headers(settings),
        content=json_body({"candidates": listed}),
        parse=lambda reply: _recognition(read_answer(reply, "the recognition of a phone"), agent),
    )


def _trimmed(candidates: Iterable[str | None] | None) -> list[str]:
    """Each candidate once, without the space around it, as Configure's own client sends them."""
    if candidates is None:
        return []
    if isinstance(candidates, str | bytes) or not isinstance(candidates, Iterable):
        raise _refused("candidates must be a list of strings")
    listed: dict[str, None] = {}
    for candidate in candidates:
        trimmed = candidate.strip(_JAVASCRIPT_SPACE) if isinstance(candidate, str) else candidate
        if trimmed is not None and trimmed != "":
            require_text("a candidate", trimmed, _LONGEST_CANDIDATE)
            listed[trimmed] = None
    return list(listed)


def _recognition(answer: Answer, agent: str) -> PhoneRecognition:
    found = (answer.boolean("matched"), answer.boolean("recognized"))
    approved = (
        answer.boolean("approved") is True
        and False not in found
        and answer.text("agent") in (None, agent)
        and answer.text("token_use") in (None, "agent")
    )
    token, older = answer.secret("token"), answer.secret("agent_token")
    if token is not None and older is not None and token != older:
        answer.refuse("token")
    count = answer.number("phone_candidate_count")
    return PhoneRecognition(
        recognized=False not in found and (True in found or approved),
        approved=approved,
        # Only a token that nothing speaks against gets any further.
        token=(token or older) if approved else None,
        user_id=answer.text("user_id"),
        agent=answer.text("agent"),
        display_name=first(answer.fields, "display_name", "displayName"),
        phone_candidate_count=None if count is None else int(count),
    )


def create_message_sign_in_url(
    settings: Settings,
    *,
    reason: Reason = "signin",
    channel: str,
    subject_key: str,
    external_id: str,
    sender_id: str | None = None,
    thread_key: str | None = None,
    space_id: str | None = None,
    message_id: str | None = None,
    message_sender_proof: str | Secret | None = None,
    connectors: str | Sequence[str] | None = None,
    display_name: str | None = None,
    agent_logo: str | None = None,
    theme: Literal["light", "dark"] | None = None,
    message_line_phone: str | None = None,
    message_body: str | None = None,
    message_complete_url: str | None = None,
    journey_id: str | None = None,
    idempotency_key: str | None = None,
) -> Call[MessageSignInUrl]:
    """Have Configure make the sign-in link for a message's sender.

    It mints one of the sender's own where it can prove who that is, and else answers with the agent's plain one, which
    `sign_in_url` builds without a call. What is None or empty is left out.

    Args:
        reason: "signin", "reconnect" or "permissions".
        channel: where the thread is, such as "imessage"; at most 64 characters.
        subject_key: the app's key for the sender; no phone number.
        external_id: the app's id for the sender, 1 to 255 characters of Latin-1, as `profile(external_id=)` takes it.
        sender_id: the platform's id of the sender; `thread_key`, `space_id` and `message_id` are where they wrote.
        message_sender_proof: what the platform signed to say that the message is this sender's.
        connectors: names of connectors to offer, as a list or with commas.
        display_name: what the page calls the agent.
        agent_logo: URL of an image.
        theme: "light" or "dark".
        message_line_phone: the agent's number, with its country code. It must be a registered line.
        message_body: the text that the person sends back to that number, at most 4096 characters.
        message_complete_url: where Configure reports that the journey is done: https, or http on loopback.
        journey_id: ties the sign-in to its thread.
        idempotency_key: with the same one, Configure gives the same link again until it expires.

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent, and where Configure doesn't know the line; SERVER_ERROR
            for an answer that isn't whole, or whose link leads anywhere but to the hosted sign-in.
    """
    if reason not in _REASONS:
        raise _refused('reason must be "signin", "reconnect" or "permissions"')
    require_text("channel", channel, 64)
    require_text("subject_key", subject_key, 255)
    Subject(external_id=external_id)
    if given_text("message_complete_url", message_complete_url) is not None:
        require_complete_url(message_complete_url)
    if given_text("theme", theme) is not None:
        require_theme(theme)
    if len(given_text("message_body", message_body) or "") > 4096:
        raise _refused("message_body must have at most 4096 characters")
    proof = None if message_sender_proof is None else plain(message_sender_proof)
    body = {
        "reason": reason,
        "channel": channel,
        "subject": _given(key=subject_key, externalId=external_id, senderId=_optional("sender_id", sender_id)),
        "thread": _given(
            key=_optional("thread_key", thread_key),
            spaceId=_optional("space_id", space_id),
            messageId=_optional("message_id", message_id),
        ),
        "messageSenderProof": _optional("message_sender_proof", proof, 8192),
        "connectors": connector_names(connectors),
        "displayName": _optional("display_name", display_name, 255),
        "agentLogo": _optional("agent_logo", agent_logo),
        "theme": theme,
        "messageLinePhone": _e164("message_line_phone", message_line_phone)
        if given_text("message_line_phone", message_line_phone)
        else None,
        "messageBody": message_body,
        "messageCompleteUrl": message_complete_url,
        "journeyId": _optional("journey_id", journey_id, 255),
        "returnMode": "message",
        "idempotencyKey": _optional("idempotency_key", idempotency_key, 255),
    }
    return Call(
        method="POST",
        url=f"{settings.base_url}/v1/auth/sign-in/message-url",
        headers=api_headers(settings),
        content=json_body(_given(**body)),
        parse=lambda reply: _message_url(read_answer(reply, "the request for a sign-in link"), settings),
    )


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _optional(name: str, value: str | None, limit: int = 2048) -> str | None:
    if value is None or value == "":
        return None
    require_text(name, value, limit)
    return value


def _message_url(answer: Answer, settings: Settings) -> MessageSignInUrl:
    mode = cast(Literal["minted", "plain"], answer.required_choice("mode", ("minted", "plain")))
    minted = mode == "minted"
    if not leads_to(settings.sign_in_url, answer.required_secret("url")):
        answer.refuse("url")
    return MessageSignInUrl(
        url=answer.required_secret("url").reveal(),
        mode=mode,
        reason=cast(Reason, answer.required_choice("reason", _REASONS)),
        expires_at=answer.required_text("expires_at", 64) if minted else None,
        # A word for the log: its vocabulary has changed before.
        fallback_reason=None if minted else answer.word("fallback_reason"),
        idempotency_key=answer.text("idempotency_key"),
        code=answer.required_secret("code") if minted else None,
    )


def register_message_line(
    settings: Settings,
    phone: str,
    *,
    channel: str | None = None,
    label: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[MessageLine]:
    """Register a number that our agent writes from. Again is no error, and brings a revoked one back.

    Args:
        phone: the number with its country code, such as "+1 555 010 0001".
        channel: "imessage" at Configure if absent; at most 64 characters.
        label: what the app calls the line, at most 200 characters.
        metadata: anything of the app's that JSON can carry; Configure refuses phone numbers in it.

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent, for a number without a country code too, and where
            Configure refuses the metadata; SERVER_ERROR for an answer without the line.
    """
    fields = {
        **_line_key(phone, channel),
        **_given(label=_optional("label", label, 200), metadata=_metadata(metadata)),
    }
    try:
        content = json_body(fields)
    except (TypeError, ValueError, RecursionError):
        content = None
    if content is None:
        raise _refused("metadata must be a mapping of what JSON can carry")
    return Call(
        method="POST",
        url=_lines_url(settings),
        headers=api_headers(settings),
        content=content,
        parse=lambda reply: _line(read_answer(reply, "the registration of a message line").required_object("line")),
    )


def list_message_lines(settings: Settings) -> Call[tuple[MessageLine, ...]]:
    """The numbers that our agent writes from, but for the revoked ones."""
    return Call(
        method="GET",
        url=_lines_url(settings),
        headers=api_headers(settings, content=False),
        parse=lambda reply: _lines(read_answer(reply, "the list of message lines")),
    )


def revoke_message_line(settings: Settings, phone: str, *, channel: str | None = None) -> Call[RevokedLine]:
    """Take a line back.

    Args:
        phone: the number with its country code.
        channel: the one that it was registered for; "imessage" at Configure if absent.

    Raises:
        ConfigureError: INVALID_INPUT before anything is sent; SERVER_ERROR for an answer that doesn't say whether there
            was such a line.
    """
    return Call(
        method="DELETE",
        url=_lines_url(settings),
        headers=api_headers(settings),
        content=json_body(_line_key(phone, channel)),
        parse=lambda reply: _revoked(read_answer(reply, "the end of a message line")),
    )


def _lines_url(settings: Settings) -> str:
    return f"{settings.base_url}/v1/auth/sign-in/message-lines"


def _line_key(phone: str, channel: str | None) -> dict[str, Any]:
    return _given(channel=_optional("channel", channel, 64), phone=_e164("phone", phone))


def _e164(name: str, phone: str | None) -> str:
    """A number as it is sent. Without a plus, Configure would take it for one of whichever country it begins with."""
    number = _SEPARATORS.sub("", phone) if isinstance(phone, str) else ""
    if not _E164.fullmatch(number):
        raise _refused(f"{name} must be a whole number: give it as +<country code><number>, 7 to 15 digits")
    return number


def _metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    if metadata is not None and not isinstance(metadata, Mapping):
        raise _refused("metadata must be a mapping of what JSON can carry")
    return dict(metadata or {})


def _revoked(answer: Answer) -> RevokedLine:
    return RevokedLine(deleted=answer.required_boolean("deleted"), lines=_lines(answer))


def _lines(answer: Answer) -> tuple[MessageLine, ...]:
    return tuple(_line(line) for line in answer.objects("lines") or ())


def _line(answer: Answer) -> MessageLine:
    # A whole number in the place of four digits is refused like any other.
    if not _LAST4.fullmatch(answer.required_text("phone_last4")):
        answer.refuse("phone_last4")
    return MessageLine(
        id=answer.required_text("id"),
        channel=answer.required_text("channel"),
        phone_last4=answer.required_text("phone_last4"),
        status=cast(LineStatus, answer.required_choice("status", _STATUSES)),
        label=line(answer.fields.get("label")),
        metadata=_kept_metadata(answer.fields.get("metadata")),
        created_at=answer.text("created_at", 64),
        updated_at=answer.text("updated_at", 64),
    )


def _kept_metadata(metadata: Any) -> Mapping[str, Any]:
    """What an app may keep of a line's metadata. Configure refuses phone numbers there; this doesn't rely on it."""
    return MappingProxyType(_without_phones(metadata, 1) if isinstance(metadata, dict) else {})


def _without_phones(value: Any, level: int) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_phones(item, level + 1)
            for name, item in value.items()
            if not _PHONE_KEY.search(name) and not _is_phone_like(name) and _may_stay(item, level)
        }
    if isinstance(value, list):
        return [_without_phones(item, level + 1) for item in value if _may_stay(item, level)]
    return value


def _may_stay(value: Any, level: int) -> bool:
    return level < _METADATA_LEVELS if isinstance(value, dict | list) else not _is_phone_like(value)


def _is_phone_like(value: Any) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return 10**9 <= abs(value) < 10**15
    if not isinstance(value, str):
        return False
    # NFKC turns full-width digits and plus signs into plain ones; characters of format are invisible.
    text = "".join(char for char in unicodedata.normalize("NFKC", value) if unicodedata.category(char) != "Cf")
    return bool(_INTERNATIONAL.search(text) or _NATIONAL.search(text))


async def resolve_message_identity(
    settings: Settings,
    *,
    external_id: str,
    token: str | Secret | None = None,
    phone_candidates: Iterable[str | None] | None = (),
    validate_token: bool = False,
    raise_on_auth_error: bool = False,
) -> MessageIdentity:
    """Who sent a message: a linked person by the stored token, or by their phone, else the app's own id for them.

    A failure of Configure counts as not linked, so that the thread goes on, and is logged with its code.

    Args:
        external_id: the app's id for the sender, 1 to 255 characters of Latin-1.
        token: the stored agent token; None or empty where there is none. It is trusted without a call, and then says
            nothing of the user, unless `validate_token` is set; one that isn't our agent's is ignored.
        phone_candidates: up to 20 names of the sender that may be phone numbers, as `recognize_phone` takes them; None
            and blank ones count as not given.
        validate_token: ask Configure about the stored token: when it comes from durable storage, after a completion,
            and on the first message after a restart.
        raise_on_auth_error: raise the failures of Configure instead.

    Raises:
        ConfigureError: INVALID_INPUT for arguments that can't be right, before anything is sent; what Configure failed
            with, where `raise_on_auth_error` is set.
    """
    # All arguments are judged first, and no frame keeps a plain token or phone while a call is on its way.
    Subject(external_id=external_id)
    stored = Subject(token=token).token if token is not None and plain(token) else None
    listed = _trimmed(phone_candidates)
    recognition = recognize_phone(settings, listed) if listed else None
    del token, phone_candidates, listed
    if stored is not None:
        user_id = None
        if validate_token:
            validation = await _attempt(
                validate_sign_in_token(settings, stored), "the check of a stored token", raise_on_auth_error
            )
            user_id = None if validation is None else validation.user_id
            if validation is None or not is_agent_token(validation, settings.required_agent):
                stored = None
        if stored is not None:
            return MessageIdentity(
                external_id=external_id, token=stored, user_id=user_id, approved=True, source="token"
            )
    found = None
    if recognition is not None:
        found = await _attempt(recognition, "the recognition of a phone", raise_on_auth_error)
    if found is None:
        return MessageIdentity(external_id=external_id)
    linked = found.approved and found.token is not None and found.user_id is not None
    return MessageIdentity(
        external_id=external_id,
        token=found.token if linked else None,
        user_id=found.user_id if linked else None,
        approved=found.approved,
        recognized=found.recognized,
        display_name=found.display_name,
        source="phone_recognition" if linked else "external_id",
    )


async def _attempt(call: Call[T], what: str, raises: bool) -> T | None:
    try:
        value: T = await call
    except ConfigureError as error:
        if raises:
            raise
        log.warning("the sender of a message is resolved without %s, which failed (%s)", what, error.code)
        return None
    return value


def _refused(sentence: str) -> ConfigureError:
    return ConfigureError(ApiCode.INVALID_INPUT, sentence)
