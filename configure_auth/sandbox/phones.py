"""Phone numbers: how people type them, how programs send them, and the user id that follows from one."""

from __future__ import annotations

import re
import uuid

import phonenumbers

_NAMESPACE = uuid.UUID("5f0f2c8e-8c54-4f5b-9a0e-3f7f6d8b2a11")
_SEPARATORS = re.compile(r"[\s\-.()\u00a0]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def read_phone(text: str) -> str | None:
    """Return what a person typed as E.164; None for an invalid number. Without a country code it is a US one."""
    try:
        number = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def show_phone(phone: str) -> str:
    """Return an E.164 number as people write it."""
    number = phonenumbers.parse(phone, None)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def canonical_phone(text: str) -> str | None:
    """Return what a program sent as E.164, by the API's rule: no separators, a plus, no country inferred."""
    digits = _SEPARATORS.sub("", text)
    digits = digits if digits.startswith("+") else f"+{digits}"
    return digits if _E164.fullmatch(digits) else None


def user_id_of(phone: str) -> str:
    """Return the id of the person with this phone.

    It follows from the phone, so that rows in a developer's database are still right after the sandbox restarts.
    """
    return str(uuid.uuid5(_NAMESPACE, phone))
