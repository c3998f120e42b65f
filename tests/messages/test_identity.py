"""Who sent a message: the stored token, else the phone, else the app's own id; and what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from configure_auth.events import SenderLinked

from ..support.reading import meanwhile, no_calls
from ..support.web import MakeWeb, Web
from .conftest import ADA, BOB, KEY, WITHOUT_PHONES, Platform
from .senders import (
    RECOGNIZE,
    VALIDATE,
    approved,
    asking,
    journey,
    link_of,
    one_store,
    outlives_a_start,
    started,
    told,
)

# The order


def test_the_token_comes_before_the_phone_and_the_phone_before_the_apps_own_id(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA, name="Ada")

    with asking(platform) as asked:
        nobody = platform.message()
    assert asked == []
    with asking(platform) as asked:
        stranger = platform.message(KEY, BOB)
        recognized = platform.message(KEY, ADA)
    assert asked == ["recognize-phone"] * 2
    assert link_of(platform) is None
    platform.sandbox.issue_agent_token(ada)
    platform.sandbox.advance(30)
    with asking(platform) as asked:
        by_phone = platform.message(KEY, ADA)
    assert asked == ["recognize-phone"]
    assert link_of(platform) == ada.user_id
    with asking(platform) as asked:
        by_token = platform.message(KEY, ADA)
    assert asked == []

    got = (nobody, stranger, recognized, by_phone, by_token)
    assert [one["source"] for one in got] == ["external_id"] * 3 + ["phone_recognition", "token"]
    assert [one["recognized"] for one in got] == [False, False, True, True, True]
    assert [one["approved"] for one in got] == [one["linked"] for one in got] == [False] * 3 + [True] * 2
    assert [one["user_id"] for one in got] == [None] * 3 + [ada.user_id] * 2
    assert [one["display_name"] for one in got] == [None] * 3 + ["Ada", None]
    assert len({one["external_id"] for one in got}) == 1
    assert [one["token"] for one in got[:3]] == [None] * 3
    assert by_phone["token"] == by_token["token"]
    assert platform.sandbox.is_live(by_token["token"])
    assert told(platform) == [("SenderLinked", None)]


def test_a_sender_who_followed_the_link_is_known_without_a_phone(platform: Platform) -> None:
    ada = journey(platform)

    with asking(platform) as asked:
        got = platform.message()

    assert asked == ["validate"]
    assert (got["user_id"], got["source"], got["approved"], got["recognized"]) == (ada, "token", True, True)
    assert told(platform) == [("JourneyCompleted", None)]


def test_a_stored_token_is_trusted(platform: Platform) -> None:
    for proof, later in (((), [()] * 6), ((ADA,), [(), (ADA,)] * 3)):
        key = f"chat:{proof}"
        ada = journey(platform, ADA, key)
        first = platform.message(key, *proof)

        with no_calls(platform.sandbox):
            again = [platform.message(key, *each) for each in later]
        assert [(one["user_id"], one["token"], one["source"]) for one in again] == [(ada, first["token"], "token")] * 6


def test_a_stored_token_is_not_trusted_for_ever(platform: Platform) -> None:
    ada = journey(platform)
    platform.message(KEY, ADA)
    platform.sandbox.advance(10 * 60 - 20)
    with no_calls(platform.sandbox):
        assert platform.message()["linked"]
    platform.sandbox.advance(20)

    with asking(platform) as asked:
        assert [platform.message(KEY, ADA)["user_id"] for _ in range(2)] == [ada, ada]

    assert asked == ["recognize-phone", "validate"]
    # What the person takes back at Configure holds here ten minutes later at the most.
    platform.sandbox.revoke_approval(platform.sandbox.people[0])
    platform.sandbox.advance(10 * 60)
    assert platform.message(KEY, ADA)["linked"] is False
    assert told(platform)[1:] == [("SenderUnlinked", "invalid")]


@outlives_a_start
def test_a_stored_token_is_validated_once_after_a_start(make_web: MakeWeb, web: Web) -> None:
    before = Platform(web)
    ada = journey(before)
    first = before.message(KEY, ADA)
    approved(before, BOB)
    before.message("chat:bob", BOB)

    after = started(make_web, web)
    for key, phone in ((KEY, ADA), ("chat:bob", BOB)):
        with asking(after) as asked:
            got = [after.message(key, phone) for _ in range(3)]
        assert asked == ["recognize-phone", "validate"]
        assert {one["source"] for one in got} == {"token"}
    assert after.message()["token"] == first["token"]
    assert after.message()["user_id"] == ada
    # The other process hasn't seen that, and needn't.
    with no_calls(before.sandbox):
        assert before.message()["linked"]
    for platform in (before, after):
        platform.browser.close()


def test_one_configure_user_may_be_two_senders(platform: Platform) -> None:
    keys = ("sms:ada", "slack:ada")
    ada, _ = (journey(platform, ADA, key) for key in keys)
    got = [platform.message(key) for key in keys]
    third = platform.message("mail:ada", ADA)

    assert [one["user_id"] for one in (*got, third)] == [ada] * 3
    assert len({one["external_id"] for one in (*got, third)}) == 3
    assert platform.verb("/subject/forget", sender=keys[0])["forgotten"] is True
    assert [link_of(platform, key) for key in (*keys, "mail:ada")] == [None, ada, ada]
    assert platform.message(keys[1])["linked"]


def test_a_senders_key_has_one_spelling(make_web: MakeWeb) -> None:
    platform = Platform(make_web(messages={"region": "US"}))
    with platform.browser:
        spellings = ("+14155550101", "+1 (415) 555-0101", " +1 415-555-0101")
        ids = {platform.message(spelling)["external_id"] for spelling in spellings}
        named = {platform.message(key)["external_id"] for key in ("whatsapp:+14155550101", "WhatsApp:+1 415 555 0101")}
        numbers = {platform.message(key)["external_id"] for key in (7, "7")}

        assert [len(one) for one in (ids, named, numbers)] == [1, 1, 1]
        assert len(ids | named | numbers) == 3


# A token that Configure no longer takes


def test_a_token_that_was_revoked_goes_and_the_phone_is_asked(platform: Platform) -> None:
    ada, bob = journey(platform), approved(platform, BOB, "Bob")
    for token in platform.sandbox.tokens:
        platform.sandbox.revoke_token(token.token)

    assert_invalid(platform, ada)

    # It goes on as with anybody.
    with asking(platform) as asked:
        got = platform.message(KEY, BOB)
    assert asked == ["recognize-phone"]
    assert (got["user_id"], got["source"]) == (bob, "phone_recognition")


@pytest.mark.parametrize(
    "end", ["refused", "unknown", "of another user", "of another agent", "not approved", "of another use"]
)
@one_store
def test_a_token_that_is_no_agent_token_of_the_person_goes(platform: Platform, end: str) -> None:
    ada, variants = journey(platform), platform.sandbox.variants
    if end in ("refused", "unknown"):
        platform.sandbox.fault(VALIDATE, status=400 if end == "refused" else 404)
    elif end == "of another user":
        variants.validate_user_id = platform.sandbox.add_person(BOB).user_id
    elif end == "of another agent":
        variants.validate_agent = "another-agent"
    elif end == "not approved":
        variants.validate_approved = False
    else:
        variants.validate_token_use = "user"

    assert_invalid(platform, ada)


def assert_invalid(platform: Platform, configure_user_id: str) -> None:
    """The message that finds a sender's token invalid."""
    with asking(platform) as asked:
        got = platform.message()
    assert asked == ["validate"]
    assert (got["linked"], got["source"], got["token"]) == (False, "external_id", None)
    assert link_of(platform) is None
    assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "invalid")]
    assert platform.events[-1].account.configure_user_id == configure_user_id


def test_in_the_message_that_finds_a_token_invalid_the_phone_links_anew(platform: Platform) -> None:
    ada = journey(platform)
    (old,) = {token.token for token in platform.sandbox.tokens}
    platform.sandbox.revoke_token(old)

    with asking(platform) as asked:
        got = platform.message(KEY, ADA)

    # One look at the phone proves the sender and links them anew.
    assert asked == ["recognize-phone", "validate"]
    assert (got["user_id"], got["source"]) == (ada, "phone_recognition")
    assert got["token"] != old
    assert platform.sandbox.is_live(got["token"])
    assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "invalid"), ("SenderLinked", None)]


@outlives_a_start
def test_after_a_start_an_invalid_token_goes(make_web: MakeWeb, web: Web) -> None:
    before = Platform(web)
    ada = journey(before)
    assert before.message()["linked"]
    for token in before.sandbox.tokens:
        before.sandbox.revoke_token(token.token)
    with no_calls(before.sandbox):
        assert before.message()["linked"]

    after = started(make_web, web)
    got = after.message(KEY, ADA)

    assert (got["user_id"], got["source"]) == (ada, "phone_recognition")
    assert told(after) == [("SenderUnlinked", "invalid"), ("SenderLinked", None)]
    # The process that trusted the old one finds the new one.
    assert before.message()["token"] == got["token"]
    for platform in (before, after):
        platform.browser.close()


# The phone


def test_recognised_is_not_approved(platform: Platform) -> None:
    platform.sandbox.add_person(ADA, name="Ada")

    got = platform.message(KEY, ADA)

    assert (got["recognized"], got["approved"], got["linked"], got["token"]) == (True, False, False, None)
    assert (link_of(platform), told(platform)) == (None, [])


def test_whoever_is_recognised_and_approved_is_linked_for_good(platform: Platform) -> None:
    ada = approved(platform, ADA, "Ada")
    got = platform.message(KEY, ADA)

    (event,) = platform.events
    assert isinstance(event, SenderLinked)
    assert event.account.configure_user_id == ada
    # The id at Configure is in no event, for it leads to a profile.
    assert event.account.user_id != got["external_id"]
    with no_calls(platform.sandbox):
        assert platform.message()["token"] == got["token"]
    assert platform.linked == []


@pytest.mark.parametrize(
    "answer",
    [
        {"recognized": True, "approved": True, "token": "t", "userId": "u", "agent": "another-agent"},
        {"recognized": True, "approved": False, "token": "t", "userId": "u"},
        {"recognized": False, "approved": True, "token": "t", "userId": "u"},
        {"recognized": True, "approved": True, "token": "t", "userId": "u", "tokenUse": "user"},
        {"recognized": True, "approved": True, "userId": "u"},
        {"recognized": True, "approved": True, "token": "t"},
        {},
    ],
    ids=["another agent", "not approved", "not recognised", "another use", "no token", "no user", "nothing"],
)
@one_store
def test_an_answer_with_a_doubt_links_nobody(platform: Platform, answer: dict[str, Any]) -> None:
    platform.sandbox.fault(RECOGNIZE, status=200, body=answer)

    got = platform.message(KEY, ADA)

    assert (got["linked"], got["token"], got["user_id"], got["source"]) == (False, None, None, "external_id")
    assert (link_of(platform), told(platform)) == (None, [])


def sent_phones(platform: Platform) -> list[Any]:
    return [call.json["candidates"] for call in platform.sandbox.calls_to("POST", RECOGNIZE)]


def test_a_local_number_is_not_sent_where_no_region_is_known(platform: Platform) -> None:
    approved(platform, ADA)
    # As Configure reads numbers, this is a Swiss one.
    approved(platform, "+41555501012")

    with no_calls(platform.sandbox):
        for local in ("(415) 555-0101", "41555501012", "4155550101", "0041555501012", "tel:4155550101", "ada", "", " "):
            assert platform.message(KEY, local)["source"] == "external_id"

    assert platform.message(KEY, "4155550102", "whatsapp:+1 415 555 0101", ADA, "ada")["linked"]
    assert sent_phones(platform) == [[ADA]]


def test_a_local_number_is_sent_as_its_regions(make_web: MakeWeb) -> None:
    platform = Platform(make_web(messages={"region": "US"}))
    with platform.browser:
        ada = approved(platform, ADA)

        got = platform.message(KEY, "(415) 555-0101", "415-555-0101", "123", "+44 20 7946 0958")

        assert sent_phones(platform) == [[ADA, "+442079460958"]]
        assert got["user_id"] == ada


# Forgetting and exporting


def test_a_forgotten_sender_leaves_nothing(platform: Platform) -> None:
    ada = journey(platform)
    external_id = platform.message()["external_id"]
    on_its_way = platform.connect()

    assert platform.verb("/subject/forget", sender=KEY)["forgotten"] is True

    assert link_of(platform) is None
    assert told(platform) == [("JourneyCompleted", None), ("SenderUnlinked", "forgotten")]
    assert platform.events[-1].account.configure_user_id == ada
    platform.sandbox.sign_in(on_its_way, ADA)
    assert platform.sandbox.completions[-1].status == 404
    assert platform.message()["linked"] is False
    assert platform.verb("/subject/forget", sender=KEY)["forgotten"] is False
    assert len(platform.linked) == 1
    assert len(platform.events) == 2

    # Whoever has that name next, as with a phone number that was given out again, has a profile of their own.
    assert platform.message()["external_id"] != external_id
    assert journey(platform, BOB) == platform.message(KEY, BOB)["user_id"]


def test_all_that_is_kept_of_a_sender_is_exported_but_for_the_token(platform: Platform) -> None:
    assert platform.verb("/subject/export", sender=KEY) == {"account": None}
    ada = journey(platform)
    got = platform.message()

    account = platform.verb("/subject/export", sender=KEY)["account"]

    assert account.pop("linked_at").startswith("20")
    assert account == {
        "user_id": platform.linked[0][1].user_id,
        "configure_user_id": ada,
        "kind": "agent",
        "scopes": [],
        "needs_reconnect": False,
    }
    assert got["token"] not in str(account)
    assert got["external_id"] not in str(account)
    assert platform.verb("/subject/export", sender="chat:bob") == {"account": None}


# Two agents on one store


@outlives_a_start
def test_two_agents_on_one_store_never_meet_each_others_senders(make_web: MakeWeb, web: Web) -> None:
    mine = Platform(web)
    other = web.sandbox.add_agent("other-agent")
    settings = {
        "CONFIGURE_AGENT": other.agent,
        "CONFIGURE_API_KEY": other.api_key,
        "CONFIGURE_PUBLISHABLE_KEY": other.publishable_key,
    }
    yours = Platform(make_web(folder=web.folder, messages=WITHOUT_PHONES, settings=settings))
    ada, known = journey(mine), mine.message()

    unknown = yours.message()
    assert (known["linked"], unknown["linked"]) == (True, False)
    assert known["external_id"] != unknown["external_id"]
    assert link_of(yours) is None
    assert yours.verb("/subject/forget", sender=KEY)["forgotten"] is False
    assert link_of(mine) == ada

    # Nor is a journey of the one completed at the other.
    link = mine.connect("chat:new")
    token = web.sandbox.issue_agent_token(web.sandbox.add_person(ADA), agent=other.agent)
    assert yours.post(yours.completion(link, token=token, agent=other.agent)).status_code == 404

    bob = web.sandbox.add_person(BOB)
    yours.follow(yours.connect(), BOB)
    assert [link_of(one) for one in (mine, yours)] == [ada, bob.user_id]
    assert [one.message()["user_id"] for one in (mine, yours)] == [ada, bob.user_id]
    assert [len(one.events) for one in (mine, yours)] == [1, 1]
    for platform in (mine, yours):
        platform.browser.close()


def test_recognition_under_way_brings_no_forgotten_sender_back(platform: Platform) -> None:
    approved(platform, ADA, "Ada")
    with (
        platform.sandbox.hold(RECOGNIZE) as held,
        meanwhile(lambda: platform.message(KEY, ADA)) as got,
    ):
        held.arrived.wait()
        with platform.web.browser() as other:
            other.http.post("/subject/forget", json={"sender": KEY})
        held.release()
        said = got()

    assert (said["linked"], said["source"], said["token"]) == (False, "external_id", None)
    assert (link_of(platform), told(platform)) == (None, [])
