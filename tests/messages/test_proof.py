"""What becomes of a link until a phone proves it, and of messages that come at once."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from configure_auth.events import JourneyCompleted, SenderUnlinked

from ..support.reading import no_calls, together
from ..support.web import MakeWeb, Web
from .conftest import ADA, BOB, KEY, Platform
from .senders import (
    RECOGNIZE,
    VALIDATE,
    approved,
    asking,
    journey,
    link_of,
    outlives_a_start,
    started,
    told,
)

# The first message after a journey


def test_the_same_persons_phone_proves_a_link(platform: Platform) -> None:
    platform.sandbox.add_person(ADA, name="Ada")
    ada = journey(platform)

    with asking(platform) as asked:
        got = platform.message(KEY, ADA)

    assert asked == ["recognize-phone", "validate"]
    assert (got["user_id"], got["source"], got["display_name"]) == (ada, "token", "Ada")
    # From now on the link is the sender's, in messages from this phone and in calls without one.
    with no_calls(platform.sandbox):
        assert platform.message(KEY, ADA)["user_id"] == platform.message()["user_id"] == ada
    assert told(platform) == [("JourneyCompleted", None)]


@pytest.mark.catalogue("K9")
@pytest.mark.parametrize("has_approved", [True, False])
def test_another_persons_phone_drops_a_link(platform: Platform, has_approved: bool) -> None:
    """The sender passed the link on, to get the profile of whoever follows it."""
    ada = journey(platform)
    bob = approved(platform, BOB, "Bob") if has_approved else platform.sandbox.add_person(BOB).user_id

    got = platform.message(KEY, BOB)

    assert [(type(event), event.account.configure_user_id) for event in platform.events[:2]] == [
        (JourneyCompleted, ada),
        (SenderUnlinked, ada),
    ]
    assert platform.events[1].why == "contradicted"
    if has_approved:
        assert (got["user_id"], got["source"], got["display_name"]) == (bob, "phone_recognition", "Bob")
        assert told(platform)[2:] == [("SenderLinked", None)]
        assert link_of(platform) == bob
    else:
        assert (got["linked"], got["token"], got["recognized"]) == (False, None, True)
        assert (told(platform)[2:], link_of(platform)) == ([], None)
    with no_calls(platform.sandbox):
        assert platform.message()["linked"] is has_approved


def test_without_a_phone_a_link_is_accepted_until_one_speaks_against_it(platform: Platform) -> None:
    ada = journey(platform)
    bob = approved(platform, BOB)

    assert [platform.message()["user_id"] for _ in range(2)] == [ada, ada]
    assert platform.message(KEY, BOB)["user_id"] == bob
    assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "contradicted"), ("SenderLinked", None)]


def test_without_a_phone_a_link_is_accepted_until_one_proves_it(platform: Platform) -> None:
    ada = journey(platform)
    platform.message()

    with asking(platform) as asked:
        assert platform.message(KEY, ADA)["user_id"] == ada
    assert asked == ["recognize-phone", "validate"]
    with no_calls(platform.sandbox):
        assert platform.message(KEY, ADA)["user_id"] == ada
    assert told(platform) == [("JourneyCompleted", None)]


def test_a_phone_that_configure_does_not_know_is_of_nobody_who_just_signed_in(platform: Platform) -> None:
    journey(platform)

    got = platform.message(KEY, "+14155550199")

    assert (got["linked"], got["source"]) == (False, "external_id")
    assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "contradicted")]


def test_without_evidence_a_link_is_dropped_where_the_app_says_so(make_web: MakeWeb) -> None:
    platform = Platform(make_web(messages={"on_unproven": "reject"}))
    with platform.browser:
        journey(platform)

        got = platform.message()
        assert (got["source"], got["unlinked_because"]) == ("external_id", "unproven")
        assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "unproven")]
        assert link_of(platform) is None

        ada = journey(platform)
        assert platform.message(KEY, ADA)["user_id"] == ada
        with no_calls(platform.sandbox):
            assert platform.message()["user_id"] == ada


def test_each_journey_is_proven_anew(platform: Platform) -> None:
    journey(platform)
    assert platform.message(KEY, ADA)["linked"]
    # The same person again, so that it renews the link, whose token is another one.
    ada = journey(platform)
    with asking(platform) as asked:
        assert platform.message(KEY, ADA)["user_id"] == ada
    assert asked == ["recognize-phone", "validate"]

    journey(platform)
    bob = approved(platform, BOB)
    assert platform.message(KEY, BOB)["user_id"] == bob
    assert ("SenderUnlinked", "contradicted") in told(platform)


@outlives_a_start
def test_a_link_waits_for_its_proof_over_a_start(make_web: MakeWeb, web: Web) -> None:
    before = Platform(web)
    journey(before)
    bob = approved(before, BOB)

    after = started(make_web, web)

    assert after.message(KEY, BOB)["user_id"] == bob
    assert told(after) == [("SenderUnlinked", "contradicted"), ("SenderLinked", None)]
    for platform in (before, after):
        platform.browser.close()


# Two messages at once


@pytest.mark.parametrize("phone", [ADA, None])
def test_messages_at_once_prove_a_link_together(platform: Platform, phone: str | None) -> None:
    ada = journey(platform)
    phones = () if phone is None else (phone,)

    got = at_once(platform, 4, phones, RECOGNIZE if phones else VALIDATE)

    assert [(one["user_id"], one["source"]) for one in got] == [(ada, "token")] * 4
    assert told(platform) == [("JourneyCompleted", None)]
    with no_calls(platform.sandbox):
        assert platform.message(KEY, *phones)["user_id"] == ada


def test_messages_at_once_drop_a_link_once(platform: Platform) -> None:
    journey(platform)
    bob = approved(platform, BOB)

    got = at_once(platform, 4, (BOB,), RECOGNIZE)

    assert [one["user_id"] for one in got] == [bob] * 4
    assert told(platform) == [
        ("JourneyCompleted", None),
        ("SenderUnlinked", "contradicted"),
        ("SenderLinked", None),
    ]


def test_messages_at_once_of_a_new_sender_link_once(platform: Platform) -> None:
    ada = approved(platform, ADA)

    got = at_once(platform, 4, (ADA,), RECOGNIZE)

    assert [one["user_id"] for one in got] == [ada] * 4
    assert told(platform) == [("SenderLinked", None)]


def test_messages_at_once_drop_an_invalid_token_once(platform: Platform) -> None:
    ada = journey(platform)
    for token in platform.sandbox.tokens:
        platform.sandbox.revoke_token(token.token)

    got = at_once(platform, 4, (), VALIDATE)

    assert [one["linked"] for one in got] == [False] * 4
    assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "invalid")]
    assert platform.message(KEY, ADA)["user_id"] == ada


def at_once(platform: Platform, count: int, phones: tuple[str, ...], path: str) -> list[dict[str, Any]]:
    """So many messages of one sender, all of which have looked before any goes on."""
    with ExitStack() as stack, platform.sandbox.hold(path) as held:
        senders = [Platform(platform.web) for _ in range(count)]
        for one in senders:
            stack.enter_context(one.browser)

        def let_go() -> dict[str, Any]:
            held.arrived.wait(count)
            held.release()
            return {}

        got = together([*(lambda one=one: one.message(KEY, *phones) for one in senders), let_go])
    return got[:-1]
