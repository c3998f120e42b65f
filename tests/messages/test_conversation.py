"""A sender connects behind a link and goes on in the thread."""

from __future__ import annotations

from configure_auth.events import JourneyCompleted

from .conftest import ADA, KEY, Platform


def test_a_sender_connects_and_is_known_at_the_next_message(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA, name="Ada")
    before = platform.message()
    assert (before["linked"], before["source"]) == (False, "external_id")

    platform.follow(platform.connect())

    after = platform.message()
    assert (after["linked"], after["source"], after["user_id"]) == (True, "token", ada.user_id)
    assert after["external_id"] == before["external_id"]
    [(key, account)] = platform.linked
    assert (key, account.user_id, account.configure_user_id) == (KEY, after["external_id"], after["user_id"])
    assert [type(event) for event in platform.events] == [JourneyCompleted]
