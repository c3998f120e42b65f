"""Message lines: the phone numbers that an agent writes from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from ..runtime.frozen import dataclass
from ..runtime.verbs import verb
from .call import HttpCall
from .texts import line
from .wire import ApiCalls, ResponseBody, api_call, invalid, json_body, optional_text, without_blanks

LineStatus = Literal["active", "revoked"]
"""Whether a message line is in use."""

_PATH = "/v1/auth/sign-in/message-lines"
_STATUSES: tuple[str, ...] = get_args(LineStatus)
_SEPARATORS = re.compile(r"[ \u00a0().-]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LAST4 = re.compile(r"[0-9]{4}")

_METADATA_LEVELS = 6
_PHONE_KEY = re.compile(r"phone|msisdn|e\.?164", re.IGNORECASE)
# 7 digits and more after a plus; 10 to 15 without one, but for those inside of a word or an id. Of any script's digits.
_SEPARATED = r"[\s().\-\u2010-\u2015/_]*"
_INTERNATIONAL = re.compile(rf"\+(?:{_SEPARATED}\d){{7}}")
_NATIONAL = re.compile(rf"(?<![\w.-])(?:{_SEPARATED}\d){{10,15}}(?![\w:])")


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class RevokedLine:
    """The end of a line. `deleted` is false where there was none; `lines` are those that are left."""

    deleted: bool
    lines: tuple[MessageLine, ...]


class MessageLineCalls(ApiCalls):
    """The phone numbers that our agent writes from."""

    @verb
    def register_message_line(
        self,
        phone: str,
        *,
        channel: str | None = None,
        label: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> HttpCall[MessageLine]:
        """Register a number that our agent writes from. Again is no error, and brings a revoked one back.

        Args:
            phone: the number with its country code, such as "+1 555 010 0001".
            channel: "imessage" at Configure if absent; at most 64 characters.
            label: what the app calls the line, at most 200 characters.
            metadata: anything of the app's that JSON can carry; Configure refuses phone numbers in it.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent, for a number without a country code too, and where
                Configure refuses the metadata; SERVER_ERROR for a response without the line.
        """
        fields = {
            **_line_key(phone, channel),
            **without_blanks(label=optional_text("label", label, 200), metadata=_metadata(metadata)),
        }
        what = "the registration of a message line"
        return api_call(
            self._settings, "POST", _PATH, lambda body: _line(body.required_object("line")), what, body=fields
        )

    @verb
    def list_message_lines(self) -> HttpCall[tuple[MessageLine, ...]]:
        """The numbers that our agent writes from, but for the revoked ones."""
        return api_call(self._settings, "GET", _PATH, _lines, "the list of message lines", content_type=False)

    @verb
    def revoke_message_line(self, phone: str, *, channel: str | None = None) -> HttpCall[RevokedLine]:
        """Take a line back.

        Args:
            phone: the number with its country code.
            channel: the one that it was registered for; "imessage" at Configure if absent.

        Raises:
            ConfigureError: INVALID_INPUT before anything is sent; SERVER_ERROR for a response that doesn't say whether
                there was such a line.
        """
        body = _line_key(phone, channel)
        return api_call(self._settings, "DELETE", _PATH, _revoked, "the end of a message line", body=body)


def _line_key(phone: str, channel: str | None) -> dict[str, Any]:
    return without_blanks(channel=optional_text("channel", channel, 64), phone=e164("phone", phone))


def e164(name: str, phone: str | None) -> str:
    """A number as it is sent. Without a plus, Configure would take it for one of whichever country it begins with."""
    number = _SEPARATORS.sub("", phone) if isinstance(phone, str) else ""
    if not _E164.fullmatch(number):
        raise invalid(f"{name} must be a whole number: give it as +<country code><number>, 7 to 15 digits")
    return number


def _metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    plain = dict(metadata) if isinstance(metadata, Mapping) else metadata
    try:
        json_body({"metadata": plain})
        is_plain = plain is None or isinstance(plain, dict)
    except (TypeError, ValueError, RecursionError):
        is_plain = False
    if not is_plain:
        raise invalid("metadata must be a mapping of what JSON can carry")
    return plain or {}


def _revoked(body: ResponseBody) -> RevokedLine:
    return RevokedLine(deleted=body.required_boolean("deleted"), lines=_lines(body))


def _lines(body: ResponseBody) -> tuple[MessageLine, ...]:
    return tuple(_line(line) for line in body.objects("lines") or ())


def _line(body: ResponseBody) -> MessageLine:
    # A whole number in the place of four digits is refused like any other.
    if not _LAST4.fullmatch(body.required_text("phone_last4")):
        body.refuse("phone_last4")
    return MessageLine(
        id=body.required_text("id"),
        channel=body.required_text("channel"),
        phone_last4=body.required_text("phone_last4"),
        status=cast(LineStatus, body.required_choice("status", _STATUSES)),
        label=line(body.fields.get("label")),
        metadata=_kept_metadata(body.fields.get("metadata")),
        created_at=body.text("created_at", 64),
        updated_at=body.text("updated_at", 64),
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
