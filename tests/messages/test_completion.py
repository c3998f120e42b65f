"""What a completion does to a journey and to its sender's link, on every store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from configure_auth.events import JourneyCompleted, SenderUnlinked
from configure_auth.stores.memory import memory_stores

from ..support.stores import StoresAt
from ..support.web import MakeWeb
from .completions import asked, good, linked_to, nothing_done, status_of, token_of
from .conftest import ADA, BOB, KEY, Platform

pytestmark = pytest.mark.all_stores

TRIES = 100


@pytest.mark.catalogue("K6")
def test_a_completion_links_the_sender_and_tells_the_app_once(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA)
    completion = good(platform, platform.connect())

    assert status_of(platform.post(completion)) == 200

    assert linked_to(platform) == ada.user_id
    [(key, account)] = platform.linked
    assert (key, account.configure_user_id) == (KEY, ada.user_id)
    assert [type(event) for event in platform.events] == [JourneyCompleted]
    assert asked(platform) == 1
    assert platform.message()["token"] == completion["token"]


@pytest.mark.catalogue("K6")
def test_the_same_again_is_good_and_does_nothing(platform: Platform) -> None:
    completion = good(platform, platform.connect())
    platform.post(completion)
    platform.sandbox.advance(60)

    with nothing_done(platform):
        assert [status_of(platform.post(completion)) for _ in range(3)] == [200] * 3


@pytest.mark.catalogue("K6")
def test_a_completed_journey_is_over_for_any_other_token(platform: Platform) -> None:
    link = platform.connect()
    platform.post(good(platform, link))

    with nothing_done(platform):
        assert status_of(platform.post(good(platform, link))) == 404
        assert status_of(platform.post(good(platform, link, BOB))) == 404
        assert status_of(platform.post(platform.completion(link, token="forged"))) == 404


@pytest.mark.catalogue("K1")
def test_a_forged_token_stores_nothing_and_leaves_the_journey_good(platform: Platform) -> None:
    link = platform.connect()

    with nothing_done(platform, calls=3):
        for token in ("forged", token_of(platform)[:-1], token_of(platform) + "x"):
            assert status_of(platform.post(platform.completion(link, token=token))) == 401

    assert status_of(platform.post(good(platform, link))) == 200


@pytest.mark.catalogue("K10")
def test_a_sender_who_is_linked_to_somebody_else_stays_so(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    platform.follow(platform.connect())
    link = platform.connect()

    with nothing_done(platform, calls=2):
        assert [status_of(platform.post(good(platform, link, BOB))) for _ in range(2)] == [409] * 2
    assert "another Configure user" in caplog.text

    assert status_of(platform.post(good(platform, link))) == 200


def test_the_same_person_again_gets_the_newer_token_kept(platform: Platform) -> None:
    platform.post(good(platform, platform.connect()))
    renewed = good(platform, platform.connect())

    assert status_of(platform.post(renewed)) == 200

    assert platform.message()["token"] == renewed["token"]
    assert [key for key, _ in platform.linked] == [KEY, KEY]


def test_one_person_may_be_behind_several_senders(platform: Platform) -> None:
    ada = platform.sandbox.add_person(ADA)
    for key in (KEY, "chat:ada at work"):
        assert status_of(platform.post(good(platform, platform.connect(key)))) == 200

    assert {linked_to(platform, key) for key in (KEY, "chat:ada at work")} == {ada.user_id}
    assert [key for key, _ in platform.linked] == [KEY, "chat:ada at work"]


@pytest.mark.catalogue("K5")
def test_a_journey_lasts_fifteen_minutes(platform: Platform) -> None:
    early, late = good(platform, platform.connect()), good(platform, platform.connect())
    platform.sandbox.advance(880)
    assert status_of(platform.post(early)) == 200
    platform.sandbox.advance(20)

    with nothing_done(platform):
        assert status_of(platform.post(late)) == 404
        assert status_of(platform.post(early)) == 404


def test_a_purge_removes_what_is_over_and_nothing_else(platform: Platform) -> None:
    over = good(platform, platform.connect())
    platform.post(over)
    platform.sandbox.advance(880)
    present = good(platform, platform.connect())
    assert platform.verb("/purge") == {"purged": 0}
    platform.sandbox.advance(20)
    assert platform.verb("/purge") == {"purged": 1}

    with nothing_done(platform):
        assert status_of(platform.post(over)) == 404
    assert status_of(platform.post(present)) == 200


@pytest.mark.catalogue("K5", "R6")
def test_a_journey_that_is_nobodys_costs_no_call(platform: Platform) -> None:
    link = platform.connect()
    completion = good(platform, link)
    journey = completion["journeyId"]
    platform.verb("/subject/forget", sender=KEY)

    with nothing_done(platform):
        for unknown in (journey, journey[:-1], journey.swapcase(), f"{journey}x", "%00", "'OR'1'='1", "x" * 256):
            assert status_of(platform.post({**completion, "journeyId": unknown})) == 404


@pytest.mark.catalogue("K5", "B5")
def test_the_journeys_of_another_agent_on_the_same_store_are_nobodys(
    make_web: MakeWeb, store: str, stores_at: StoresAt, tmp_path: Path
) -> None:
    stores = {"store": memory_stores()} if store == "memory" else stores_at(store, tmp_path)
    platform = Platform(make_web(messages={}, stores=stores))
    sandbox = platform.sandbox
    another = sandbox.add_agent("another")
    settings = {
        "CONFIGURE_AGENT": another.agent,
        "CONFIGURE_API_KEY": another.api_key,
        "CONFIGURE_PUBLISHABLE_KEY": another.publishable_key,
    }
    other = Platform(make_web(messages={}, stores=stores, settings=settings))
    with platform.browser, other.browser:
        ours, theirs = platform.connect(), other.connect()

        with nothing_done(platform), nothing_done(other):
            assert status_of(other.post(good(platform, ours))) == 404
            assert status_of(other.post(other.completion(ours, token=token_of(other, agent="another")))) == 404
            assert status_of(platform.post(good(platform, theirs))) == 404

        assert status_of(platform.post(good(platform, ours))) == 200
        token = token_of(other, agent="another")
        assert status_of(other.post(other.completion(theirs, token=token, agent="another"))) == 200


@pytest.mark.catalogue("K14", "F6")
@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_hundred_tokens_are_tried_on_a_journey_and_all_else_goes_on(platform: Platform) -> None:
    link = platform.connect()
    forged = platform.completion(link, token="forged")

    with nothing_done(platform, calls=TRIES):
        addresses = (f"2001:db8:0:{number}::1" for number in range(TRIES))  # another network each time
        assert {status_of(platform.post(forged, x_forwarded_for=address)) for address in addresses} == {401}
        tired = [platform.post(body) for body in (forged, good(platform, link))]
        assert [(status_of(answer), answer.headers["retry-after"]) for answer in tired] == [(429, "60")] * 2

    with platform.web.browser() as browser:
        assert browser.login().status_code == 303
    assert status_of(platform.post(good(platform, platform.connect()))) == 200


@pytest.mark.catalogue("O6")
@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_the_log_has_neither_the_token_nor_the_journey(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    completion, over = good(platform, platform.connect()), good(platform, platform.connect(), BOB)
    posts = [{**completion, "agent": "another"}, {**completion, "userId": "x"}, completion, completion, over]
    for body in (*posts, {**completion, "token": token_of(platform)}, {**completion, "agent": 1}):
        platform.post(body)
    platform.sandbox.fault("/v1/auth/sign-in/validate", status=500)
    platform.post(over)

    said = "".join(record.getMessage() + str(record.exc_text) for record in caplog.records)
    assert said.count("a completion was rejected") == 6
    for secret in (completion["token"], completion["journeyId"], over["token"], over["journeyId"], KEY):
        assert secret not in said


@pytest.mark.catalogue("K9")
def test_who_follows_anothers_link_is_linked_to_its_sender_until_the_sender_writes(platform: Platform) -> None:
    bob = platform.sandbox.add_person(BOB)
    token_of(platform, ADA)
    platform.follow(platform.connect(), BOB)
    assert linked_to(platform) == bob.user_id

    assert platform.message(KEY, ADA)["user_id"] != bob.user_id

    assert linked_to(platform) != bob.user_id
    assert [event.why for event in platform.events if isinstance(event, SenderUnlinked)] == ["contradicted"]
