"""Phone numbers of message senders, parsed with the phonenumbers library and never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import SettingsError

# "+1 (415) 555-0100", and with what platforms of phones put in front of it. Behind any other word are ids.
_LOOKS_LIKE_ONE = re.compile(
    r"(?:(?P<scheme>tel|sms|mms|rcs|imessage|whatsapp|signal):)?(?P<number>\+?[0-9(][0-9 ()./\u00a0-]{5,30})",
    re.ASCII | re.IGNORECASE,
)

_MOST = 20
"""Numbers of one sender; Configure accepts no more candidates."""


@dataclass(frozen=True, slots=True)
class Phones:
    """How an app's phone numbers are read.

    Args:
        region: two capital letters, such as "US": where a number without a country code is taken to be from. None
            ignores such numbers as ambiguous: each is another number in another country. With one, bare digits are
            phone numbers: put a word in front of other platforms' ids, as in "telegram:20123456".

    Raises:
        SettingsError: there is no such region, or the library isn't installed.
    """

    region: str | None = None

    def __post_init__(self) -> None:
        try:
            from phonenumbers import SUPPORTED_REGIONS
        except ImportError as error:
            raise SettingsError("message agents need phonenumbers: pip install 'configure_auth[messages]'") from error
        if self.region is not None and self.region not in SUPPORTED_REGIONS:
            raise SettingsError('region is the two capital letters of a country, such as "US", or None')

    def sender(self, name: str) -> str:
        """Normalize a sender's name: a phone number as +<digits>, anything else unchanged."""
        found = _LOOKS_LIKE_ONE.fullmatch(name.strip())
        number = None if found is None else self._e164(found["number"])
        if found is None or number is None:
            return name.strip()
        return number if found["scheme"] is None else f"{found['scheme'].lower()}:{number}"

    def numbers(self, candidates: Iterable[str | None]) -> tuple[str, ...]:
        """Return the phone numbers among a platform's values for a sender, as +<digits>, without duplicates.

        Configure would take a local number for an international one, so one that can't be read isn't sent.
        """
        texts = (candidate.strip() for candidate in candidates if isinstance(candidate, str))
        found = map(_LOOKS_LIKE_ONE.fullmatch, texts)
        numbers = (self._e164(match["number"]) for match in found if match is not None)
        return tuple(dict.fromkeys(number for number in numbers if number is not None))[:_MOST]

    def _e164(self, text: str) -> str | None:
        import phonenumbers

        international = text.startswith("+")
        try:
            number = phonenumbers.parse(text, None if international else self.region)
        except phonenumbers.NumberParseException:
            return None
        # Digits without a plus may be any platform's id; they have to fit the country's own plan.
        fits = phonenumbers.is_possible_number if international else phonenumbers.is_valid_number
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        # Some countries' plans have fewer digits than Configure takes, or more.
        return e164 if fits(number) and 7 <= len(e164) - 1 <= 15 else None
