"""Which phone a message came from: one set of rules for every platform, with the phonenumbers library.

A number with a plus is international. Digits without one are never guessed: they are international only where the
platform's form says so, and national only where they fit the app's region and no other country.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import field
from typing import TYPE_CHECKING, Literal

from ...errors import SettingsError
from ...runtime.frozen import dataclass

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_SCHEME = re.compile(r"(tel|sms|mms|rcs|imessage|whatsapp|signal)(?::|;-;)", re.ASCII | re.IGNORECASE)
# A WhatsApp id, perhaps of one of several devices.
_WHATSAPP = re.compile(r"(?::[0-9]+)?@(?:s\.whatsapp\.net|c\.us)\Z", re.ASCII | re.IGNORECASE)
# RFC 3966 parameters, and an extension as people write it.
_EXTENSION = re.compile(r"(?:;[a-z-]+=[^;]*)+\Z|\s*(?:;|x|ext\.?)\s*[0-9]{1,7}\Z", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\+?[0-9(][0-9 ()./-]*", re.ASCII)
_MARKS = re.compile(r"[0-9 +()./,;:*#~_-]+", re.ASCII)

_VARIANTS = tuple(
    (re.compile(pattern, re.ASCII), other)
    for pattern, other in (
        (r"\+521([0-9]{10})", r"+52\1"),
        (r"\+52([2-9][0-9]{9})", r"+521\1"),
        (r"\+549([0-9]{10})", r"+54\1"),
        (r"\+54([1-8][0-9]{9})", r"+549\1"),
        (r"\+55([0-9]{2})9([6-9][0-9]{7})", r"+55\1\2"),
        (r"\+55([0-9]{2})([6-9][0-9]{7})", r"+55\g<1>9\2"),
    )
)
"""Two ways to write one mobile number in Mexico, Argentina and Brazil. Configure may know either."""

_MOST = 20
"""Numbers of one sender; Configure accepts no more candidates."""


@dataclass(frozen=True)
class PhoneEvidence:
    """What a platform says of the phone that a message came from.

    Attributes:
        numbers: the numbers that could be read, as +<digits>, without duplicates.
        unreadable: whether something looks like a phone and can't be read.
    """

    numbers: tuple[str, ...] = field(default=(), repr=False)
    unreadable: bool = False

    @property
    def candidates(self) -> tuple[str, ...]:
        """The numbers for Configure, with the other way to write some of them; they are never taken for one here."""
        others = (
            pattern.sub(other, number)
            for number in self.numbers
            for pattern, other in _VARIANTS
            if pattern.fullmatch(number)
        )
        return tuple(dict.fromkeys((*self.numbers, *others)))[:_MOST]


@dataclass(frozen=True)
class Phones:
    """How an app's phone numbers are read.

    Args:
        region: two capital letters, such as "US": where a number without a country code is taken to be from. None
            leaves such numbers unread, because each of them belongs to somebody else in another country.
        platform: "whatsapp" if digits without a plus are whole international numbers, also in a sender's id.

    Raises:
        SettingsError: there is no such region or platform, or the library isn't installed.
    """

    region: str | None = None
    platform: Literal["whatsapp"] | None = None

    def __post_init__(self) -> None:
        try:
            from phonenumbers import SUPPORTED_REGIONS
        except ImportError as error:
            raise SettingsError("message agents need phonenumbers: pip install 'configure_auth[messages]'") from error
        if self.region is not None and self.region not in SUPPORTED_REGIONS:
            raise SettingsError('region is the two capital letters of a country, such as "US", or None')
        if self.platform not in ("whatsapp", None):
            raise SettingsError('platform is "whatsapp", or None for every other platform')

    def sender(self, sender: str) -> str:
        """Normalize a sender's id. It is opaque, unless a plus or its form says that it is a phone number."""
        scheme, number, is_international = self._parts(sender)
        read = _international(number) if is_international else None
        if read is None:
            return sender.strip()
        return read if scheme is None else f"{scheme}:{read}"

    def phone_of(self, sender: str) -> PhoneEvidence:
        """Return the phone number that a sender's id is, if it is one."""
        _, number, is_international = self._parts(sender)
        read = _international(number) if is_international else None
        return PhoneEvidence(() if read is None else (read,))

    def read(self, candidates: Iterable[str | None]) -> PhoneEvidence:
        """Read what a platform says of a sender's phone. Other ids and e-mail addresses are ignored.

        Raises:
            SettingsError: one isn't a string.
        """
        numbers: dict[str, None] = {}
        unreadable = False
        for candidate in candidates:
            if candidate is None:
                continue
            if not isinstance(candidate, str):
                raise SettingsError(
                    f"phone_candidates: got a {type(candidate).__name__}; expected strings such as '+14155550100'"
                )
            _, number, is_international = self._parts(candidate)
            read = _international(number) if is_international else self._national(number)
            if read is not None:
                numbers[read] = None
            else:
                unreadable |= _looks_like_phone(number)
        return PhoneEvidence(tuple(numbers)[:_MOST], unreadable)

    def _parts(self, text: str) -> tuple[str | None, str, bool]:
        """Return the scheme in front of a number, the number, and whether it is an international one by its form."""
        number = "".join(map(_ascii, text)).strip()
        found = _SCHEME.match(number)
        scheme = None if found is None else found[1].lower()
        number = number[0 if found is None else found.end() :]
        if _WHATSAPP.search(number):
            scheme, number = "whatsapp", _WHATSAPP.sub("", number)
        number = _EXTENSION.sub("", number).strip()
        return scheme, number, number.startswith("+") or "whatsapp" in (scheme, self.platform)

    def _national(self, number: str) -> str | None:
        if self.region is None:
            return None
        here, abroad = _valid(number, self.region), _valid(f"+{number}", None)
        return here if abroad in (None, here) else None


def _ascii(character: str) -> str:
    """A digit or mark in ASCII for a full-width or other one; nothing for an invisible character."""
    category, code = unicodedata.category(character), ord(character)
    if category in ("Cf", "Mn", "Me"):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if 0xFF01 <= code <= 0xFF5E:
        return chr(code - 0xFEE0)
    return {"Zs": " ", "Pd": "-"}.get(category, character)


def _looks_like_phone(text: str) -> bool:
    return _MARKS.fullmatch(text) is not None and sum(map(str.isdigit, text)) >= 7


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        return phonenumbers.parse(text, region) if _NUMBER.fullmatch(text) else None
    except phonenumbers.NumberParseException:
        return None


def _valid(text: str, region: str | None) -> str | None:
    import phonenumbers

    number = _parsed(text, region)
    return _e164(number) if number is not None and phonenumbers.is_valid_number(number) else None


def _international(text: str) -> str | None:
    """Return a number with its country code as +<digits>."""
    import phonenumbers

    digits = "+" + "".join(filter(str.isdigit, text))
    number = _parsed(f"+{text.lstrip('+')}", None)
    if number is None:
        return None
    # A platform's digits are whole as they are, also where the library calls them impossible, such as the old form of
    # Mexican numbers; what a person wrote with a plus may have a zero in it that isn't dialled.
    is_written = text.startswith("+") and phonenumbers.is_possible_number(number)
    e164 = _e164(number) if is_written else digits
    return e164 if 7 <= len(e164) - 1 <= 15 else None


def _e164(number: PhoneNumber) -> str:
    import phonenumbers

    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
