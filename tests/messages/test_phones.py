"""How phone numbers are read: for whatever text a platform gives, and never guessed at."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configure_auth import SettingsError
from configure_auth.flows.messages.phones import PhoneEvidence, Phones
from configure_auth.sandbox.phones import canonical_phone

E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
REGIONS = (None, "US", "GB", "CH", "IT", "AR", "MX", "BR")

regions = st.sampled_from(REGIONS)
likely = st.text("+0123456789 ()-./:\u00a0telTELsmxwhap#,;*", max_size=40)
"""What looks like a number as often as not."""
texts = st.one_of(st.text(max_size=40), likely, likely.map("+{}".format), st.from_regex(r"\+?[0-9 ().-]{5,20}"))
schemes = st.sampled_from(["tel", "sms", "whatsapp", "WhatsApp", "TEL", "imessage"])
whole = st.sampled_from(
    ["+14155550101", "+442079460958", "+41446681800", "+390612345678", "+5491112345678", "+491711234567"]
)
"""Numbers of several countries, among them one that keeps a zero and one with a digit for mobiles."""


def spelled(number: str, separators: list[str]) -> str:
    """The same number with something between its digits."""
    return number[:2] + "".join(f"{separator}{digit}" for separator, digit in zip(separators, number[2:], strict=False))


@given(texts, regions)
@example("+49 1711234567890123", None)
@example("00000000", "IT")
@example("tel:tel:+14155550101", None)
def test_a_senders_name_has_one_spelling_that_stays(name: str, region: str | None) -> None:
    phones = Phones(region)
    once = phones.sender(name)

    assert phones.sender(once) == once
    # Whoever knows no region reads it the same.
    assert Phones().sender(once) == once
    assert once == once.strip()


@given(st.lists(texts, max_size=6), regions)
@example(["+430000", "+43/000", "+49 (0) 171 1234567", "+4901711234567", "+49 171 12345678901234"], None)
def test_numbers_are_international_each_once_and_stay(candidates: list[str], region: str | None) -> None:
    numbers = Phones(region).read(candidates).numbers

    assert all(E164.fullmatch(number) for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert Phones().read(numbers).numbers == numbers
    # As Configure reads what it is sent, they are the same numbers.
    assert tuple(canonical_phone(number) for number in numbers) == numbers
    assert set(numbers) == {number for candidate in candidates for number in Phones(region).read([candidate]).numbers}


@given(texts.filter(lambda text: "+" not in text))
@example("4155550101")
@example("14155550101")
@example("0041446681800")
@example("(415) 555-0101")
@example("tel:4155550101")
@example("011 44 20 7946 0958")
def test_without_a_region_nothing_gets_a_country_code(text: str) -> None:
    assert Phones().read([text]).numbers == ()
    assert Phones().sender(text) == text.strip()


@given(st.integers(0, 10**20).map(str), regions)
@example("26500000000", None)
@example("4402079460958", None)
def test_a_platforms_number_of_a_person_is_a_phone_of_its_region_or_stays(text: str, region: str | None) -> None:
    name = Phones(region).sender(text)

    assert name == text  # opaque: it may be any platform's id
    assert Phones(region, "whatsapp").sender(text) in (text, f"+{text}")


@given(whole, st.lists(st.sampled_from(["", " ", "-", ".", "\u00a0", "/", "(", ")"]), min_size=14, max_size=14))
def test_a_number_is_the_same_in_any_spelling(number: str, separators: list[str]) -> None:
    text = spelled(number, separators)

    assert Phones().read([text]).numbers == (number,)
    assert Phones().read([f"  {text}\t", number, f"tel:{text}"]).numbers == (number,)
    assert Phones().sender(text) == number


@given(whole, schemes, regions)
def test_what_platforms_put_in_front_is_no_part_of_a_number(number: str, scheme: str, region: str | None) -> None:
    phones = Phones(region)

    assert phones.read([f"{scheme}:{number}"]) == phones.read([number]) == PhoneEvidence((number,))
    # The same person on another platform is another sender.
    assert phones.sender(f"{scheme}:{number}") == f"{scheme.lower()}:{number}"
    assert phones.sender(number) == number


@given(
    st.from_regex(r"\+?[0-9]{6,15}", fullmatch=True), st.sampled_from(["telegram", "discord", "im.x+y-z", "t"]), regions
)
def test_behind_any_other_word_is_an_id(number: str, word: str, region: str | None) -> None:
    phones = Phones(region)

    assert phones.sender(f"{word}:{number}") == f"{word}:{number}"
    assert phones.read([f"{word}:{number}"]) == PhoneEvidence()


def test_candidates_are_strings_and_at_most_twenty() -> None:
    numbers = [f"+1415555{number:04}" for number in range(30)]

    assert Phones().read([None, "", " ", *numbers]).numbers == tuple(numbers[:20])
    odd: Any
    for odd in (15550100001, b"x", 1.5, True, ["+14155550101"]):
        with pytest.raises(SettingsError, match="phone_candidates: got a"):
            Phones().read([odd])


@given(whole, st.sampled_from([0x0660, 0x0966, 0xFF10, 0x1D7CE]), regions)
def test_digits_of_another_script_are_digits(number: str, zero: int, region: str | None) -> None:
    text = number.translate({ord(str(digit)): chr(zero + digit) for digit in range(10)})

    for candidate in (text, f"\uff0b{text[1:]}", f"\uff0b{number[1:]}", f"{number[:-1]}{text[-1]}"):
        assert Phones(region).read([candidate]).numbers == (number,)
        assert Phones(region).sender(candidate) == number
    # Letters stand for no others: U+017F is an s, and U+212A a k, where case is folded.
    assert Phones(region).read([f"\u017fms:{number}"]) == PhoneEvidence()


@given(st.text(st.characters(codec=None), max_size=60), regions)
def test_no_text_is_too_odd(text: str, region: str | None) -> None:
    phones = Phones(region)

    assert isinstance(phones.sender(text), str)
    assert isinstance(phones.read([text, f"+{text}", f"tel:{text}"]), PhoneEvidence)


@pytest.mark.parametrize(
    ("region", "text", "number"),
    [
        ("US", "(415) 555-0101", "+14155550101"),
        ("US", "415.555.0101", "+14155550101"),
        ("US", "1-415-555-0101", "+14155550101"),
        ("US", "sms:4155550101", "+14155550101"),
        ("US", "+44 (0)20 7946 0958", "+442079460958"),
        ("GB", "020 7946 0958", "+442079460958"),
        ("CH", "044 668 18 00", "+41446681800"),
        ("IT", "06 1234 5678", "+390612345678"),
        # In the wrong country, too short, too long, with letters or an extension: none.
        ("US", "020 7946 0958", None),
        ("GB", "(415) 555-0101", None),
        ("US", "911", None),
        ("US", "415555010", None),
        ("US", "+1", None),
        ("US", "+999 555 0101", None),
        ("US", "1-800-FLOWERS", None),
        ("US", "415 555 0101 x 7", "+14155550101"),
        ("US", "415 555 0101;ext=7", "+14155550101"),
        ("US", "415 555 0101, 415 555 0102", None),
        ("US", "189012345678901234", None),
        ("US", "U02ABCDEF12", None),
        ("US", "ada@example.com", None),
        ("US", "tel:", None),
        ("US", "", None),
    ],
)
def test_a_number_is_read_as_its_region_reads_it(region: str, text: str, number: str | None) -> None:
    assert Phones(region).read([text]).numbers == (() if number is None else (number,))


@pytest.mark.parametrize("region", ["us", "USA", "XX", "", "001", 1, "ÜS"])
def test_a_region_that_there_is_not_is_refused(region: Any) -> None:
    with pytest.raises(SettingsError, match='region is the two capital letters of a country, such as "US", or None'):
        Phones(region)


SPELLINGS = [
    "14155550100@s.whatsapp.net",
    "14155550100:12@s.whatsapp.net",
    "14155550100@c.us",
    "iMessage;-;+14155550100",
    "whatsapp:14155550100",
    "whatsapp:+14155550100",
    "tel:+14155550100;ext=1",
    "+1 415 555 0100 ext. 7",
    "+1\u202f415\u2011555\u20110100",
    "\u202a+1 415 555 0100\u202c",
    "\uff0b1 415 555 0100",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_what_platforms_and_contact_cards_write_is_read(text: str) -> None:
    assert Phones().read([text]) == PhoneEvidence(("+14155550100",))


@pytest.mark.parametrize(
    ("region", "platform", "text", "number"),
    [
        # A British WhatsApp id is a valid German number, too.
        ("DE", None, "447911123456", None),
        ("DE", "whatsapp", "447911123456", "+447911123456"),
        (None, "whatsapp", "447911123456", "+447911123456"),
        (None, None, "447911123456", None),
        # A plus that a form body lost.
        (None, None, " 14155550100", None),
        ("US", None, " 14155550100", "+14155550100"),
        # 479 is in Arkansas, and 47 Norway.
        ("US", None, "4795550101", None),
        ("US", None, "15550100004", None),
        # Impossible to the library, and used by platforms.
        (None, None, "+5215512345678", "+5215512345678"),
        (None, None, "+22501234567", "+22501234567"),
        (None, None, "+999 555 0101", None),
    ],
)
def test_digits_without_a_plus_are_not_guessed(
    region: str | None, platform: Any, text: str, number: str | None
) -> None:
    expected = PhoneEvidence(unreadable=True) if number is None else PhoneEvidence((number,))

    assert Phones(region, platform).read([text]) == expected


@pytest.mark.parametrize("text", ["ada@example.com", "U02ABCDEF12", "telegram:2025550123", "ada", "911", "", "+1"])
def test_other_ids_are_no_phones(text: str) -> None:
    assert Phones("US").read([text]) == PhoneEvidence()


@pytest.mark.parametrize(
    "text", ["15550100004", "2025550123", "(415) 555-0100", "00 41 44 668 18 00", "tel:4155550101"]
)
def test_what_looks_like_a_phone_and_cannot_be_read_is_noticed(text: str) -> None:
    assert Phones().read([text]) == PhoneEvidence(unreadable=True)


def test_a_senders_id_is_opaque() -> None:
    assert Phones("US").sender("2025550123") == "2025550123"
    assert Phones("US").phone_of("2025550123") == PhoneEvidence()
    assert Phones(None, "whatsapp").sender("447911123456") == "+447911123456"
    assert Phones().phone_of("+44 7911 123456") == PhoneEvidence(("+447911123456",))


@pytest.mark.parametrize(
    ("number", "other"),
    [
        ("+5215512345678", "+525512345678"),
        ("+525512345678", "+5215512345678"),
        ("+5511987654321", "+551187654321"),
        ("+551187654321", "+5511987654321"),
        ("+5491112345678", "+541112345678"),
        ("+541112345678", "+5491112345678"),
    ],
)
def test_both_ways_to_write_a_number_are_candidates_and_stay_two(number: str, other: str) -> None:
    assert Phones().read([number]).candidates == (number, other)
    assert Phones().sender(number) == number


def test_a_platform_that_there_is_not_is_refused() -> None:
    odd: Any = "sms"
    with pytest.raises(SettingsError, match='platform is "whatsapp", or None'):
        Phones(None, odd)
