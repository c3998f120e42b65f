"""A sender connects behind a link and goes on in the thread."""

from __future__ import annotations

import pytest

from configure_auth.events import JourneyCompleted, SenderUnlinked

from .conftest import ADA, KEY, Platform

pytestmark = pytest.mark.all_stores


def test_a_sender_connects_and_is_known_at_the_next_message(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA, name="Ada")
    before = platform.message()
    assert (before["linked"], before["source"]) == (False, "external_id")

    platform.follow(platform.connect())

    after = platform.message()
    assert (after["linked"], after["source"], after["user_id"]) == (True, "token", ada.user_id)
    assert after["external_id"] == before["external_id"]
    [(key, account)] = platform.linked
    assert (key, account.configure_user_id) == (KEY, after["user_id"])
    assert [type(event) for event in platform.events] == [JourneyCompleted]


def test_a_sender_who_disconnected_is_not_recognised_until_they_follow_a_new_link(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA, name="Ada")
    platform.follow(platform.connect())
    assert platform.message(KEY, ADA)["linked"] is True
    unfollowed = platform.connect()

    assert platform.verb("/subject/unlink", sender=KEY) == {"unlinked": True}

    asked = len(platform.calls)
    answers = [platform.message(KEY, ADA) for _ in range(2)]
    assert [(answer["source"], answer["linked"]) for answer in answers] == [("external_id", False)] * 2
    assert len(platform.calls) == asked
    assert platform.verb("/subject/export", sender=KEY) == {"account": None}
    assert platform.verb("/subject/unlink", sender=KEY) == {"unlinked": False}
    told = [
        (event.account.configure_user_id, event.why) for event in platform.events if isinstance(event, SenderUnlinked)
    ]
    assert told == [(ada.user_id, "disconnected")]
    platform.sandbox.sign_in(unfollowed, ADA)
    assert platform.sandbox.completions[-1].status == 404

    platform.follow(platform.connect())
    assert platform.message(KEY, ADA)["user_id"] == ada.user_id


def test_who_was_forgotten_is_not_recognised_until_they_follow_a_new_link(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA)
    platform.sandbox.issue_agent_token(ada)
    assert platform.message(KEY, ADA)["source"] == "phone_recognition"

    assert platform.verb("/subject/forget", sender=KEY) == {"forgotten": True}

    got = platform.message(KEY, ADA)
    assert (got["linked"], got["unlinked_because"]) == (False, "disconnected")
    platform.follow(platform.connect())
    assert platform.message(KEY, ADA)["user_id"] == ada.user_id
