"""In which order a completion and a sender's message ask for things, and a refresh under its lease."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from configure_auth.errors import ApiCode, ConfigureError, StoreError
from configure_auth.events import JourneyCompleted, SenderLinked, SenderUnlinked, TokenRefreshed
from configure_auth.flows import run
from configure_auth.flows.messages.journeys import start_journey
from configure_auth.flows.tokens import access_token
from configure_auth.values import MessageIdentity

from .test_order import in_order
from .world import Browser, World, message_identity

KEY, PHONE, OTHER = "chat:1", "+14155550101", "+14155550102"
VALIDATE, RECOGNIZE = "POST /v1/auth/sign-in/validate", "POST /v1/auth/sign-in/recognize-phone"
COMPLETION = [
    "app.body",
    "journeys.read",
    "journeys.attempt",
    VALIDATE,
    "shielded begins",
    "journeys.complete",
    "tell JourneyCompleted",
    "app.call",
    "shielded ends",
]


def completion(world: World, user: str = "usr_1", key: str = KEY, **changes: Any) -> bytes:
    """What Configure posts when this person has followed a sender's link."""
    link = run(start_journey(world.messages, key), world.perform)
    (journey_id,) = parse_qs(urlsplit(link).query)["journey"]
    world.log.clear()
    return json.dumps({"token": world.wire.issue(user), "journeyId": journey_id, **changes}).encode()


def linked(world: World, user: str = "usr_1") -> str:
    """A sender whose journey is done; the token."""
    body = completion(world, user)
    assert world.complete(body).status == 200
    world.log.clear()
    world.events.clear()
    return str(json.loads(body)["token"])


def message(world: World, *phones: str, **given: Any) -> MessageIdentity:
    world.log.clear()
    return run(message_identity(world.messages, KEY, phone_candidates=phones, **given), world.perform)


def steps(world: World) -> list[str]:
    """The log without what the app's own id of the sender takes."""
    return [entry for entry in world.log if not entry.startswith("parameters.")]


# The end of a journey


def test_the_whole_of_a_completion() -> None:
    world = World()

    assert world.complete(completion(world)).status == 200

    assert world.log == COMPLETION
    assert [key for key, _ in world.linked] == [KEY]


@pytest.mark.parametrize(
    ("changes", "log", "status"),
    [
        ({"body": b"x" * 20_000}, [], 413),
        ({"content-type": "text/plain"}, [], 415),
        ({"body": b"{}"}, ["app.body"], 400),
        ({"body": b'{"token": "t", "journeyId": "unknown"}'}, ["app.body", "journeys.read"], 404),
    ],
    ids=["size", "type", "shape", "unknown"],
)
def test_nothing_is_counted_or_sent_for_what_can_be_no_completion(
    changes: dict[str, Any], log: list[str], status: int
) -> None:
    world = World()
    good = completion(world)
    body = changes.pop("body", good)

    assert world.complete(body, **changes).status == status

    assert world.log == log
    assert world.complete(good).status == 200


def test_a_journey_at_its_end_costs_one_look() -> None:
    world = World()
    body = completion(world)
    world.now += 15 * 60

    assert world.complete(body).status == 404
    assert world.log == ["app.body", "journeys.read"]


def test_a_try_is_counted_before_it_costs_a_call() -> None:
    world = World()
    body = completion(world)
    world.fails["journeys.attempt"] = StoreError("locked")

    assert world.complete(body).status == 503
    assert world.sent == []

    world.fails.clear()
    assert world.complete(body).status == 200


@pytest.mark.parametrize("forged", [{"token": "forged"}, {"userId": "usr_2"}, {"agent": "other"}])
def test_a_forged_completion_uses_nothing_up(forged: dict[str, str]) -> None:
    world = World()
    good = completion(world)
    world.log.clear()

    assert world.complete(json.dumps({**json.loads(good), **forged}).encode()).status == 401

    assert world.log in (COMPLETION[:3], COMPLETION[:4])
    assert world.complete(good).status == 200
    assert [key for key, _ in world.linked] == [KEY]


def test_while_configure_fails_nothing_is_used_up() -> None:
    world = World()
    body = completion(world)
    world.fails[VALIDATE] = ConfigureError(ApiCode.TIMEOUT, "late")

    assert world.complete(body).status == 503
    assert world.log == COMPLETION[:4]

    world.fails.clear()
    assert world.complete(body).status == 200


def test_nobody_is_told_before_the_link_is_saved() -> None:
    world = World()
    body = completion(world)
    world.fails["journeys.complete"] = StoreError("locked")

    assert world.complete(body).status == 503
    assert (world.events, world.linked) == ([], [])

    world.fails.clear()
    assert world.complete(body).status == 200
    (event,) = world.events
    assert isinstance(event, JourneyCompleted)
    assert world.linked == [(KEY, event.account)]


@pytest.mark.catalogue("Q4")
def test_a_save_whose_answer_was_lost_is_done_and_the_next_completion_says_so() -> None:
    world = World()
    body = completion(world)
    world.loses["journeys.complete"] = [StoreError("the connection is gone")]

    assert [world.complete(body).status for _ in range(2)] == [503, 200]

    assert world.log.count("journeys.complete") == 1
    assert message(world).linked


@pytest.mark.parametrize("fails", ["tell JourneyCompleted", "app.call"])
def test_who_is_told_and_fails_undoes_nothing(fails: str) -> None:
    world = World()
    body = completion(world)
    world.fails[fails] = RuntimeError("a handler of the app is broken")

    assert world.complete(body).status == 200
    assert world.log == COMPLETION
    assert message(world).linked


def test_a_completion_again_asks_for_nothing() -> None:
    world = World()
    body = completion(world)
    world.complete(body)
    world.log.clear()

    assert world.complete(body).status == 200
    assert world.log == ["app.body", "journeys.read"]
    assert len(world.linked) == 1


# A message


def test_a_link_that_was_seen_good_costs_one_look() -> None:
    world = World()
    linked(world)
    world.wire.phones[PHONE] = "usr_1"
    message(world, PHONE)

    assert message(world, PHONE).linked
    assert steps(world) == ["journeys.find"]


def test_a_sender_without_a_phone_costs_one_look() -> None:
    world = World()

    assert message(world).source == "external_id"
    assert steps(world) == ["journeys.find"]
    assert world.sent == []


def test_the_phone_is_asked_before_a_new_link_is_used_and_then_the_token() -> None:
    world = World()
    linked(world)
    world.wire.phones[PHONE] = "usr_1"

    assert message(world, PHONE).source == "token"
    assert steps(world) == ["journeys.find", RECOGNIZE, "journeys.save", VALIDATE]


def test_a_contradicted_link_goes_before_another_is_saved() -> None:
    world = World()
    linked(world)
    world.wire.phones[OTHER] = "usr_2"

    assert message(world, OTHER).user_id == "usr_2"
    assert steps(world) == [
        "journeys.find",
        RECOGNIZE,
        "journeys.remove",
        "tell SenderUnlinked",
        "journeys.save",
        "tell SenderLinked",
    ]
    assert [type(event) for event in world.events] == [SenderUnlinked, SenderLinked]


def test_an_invalid_token_goes_before_the_phone_is_asked() -> None:
    world = World()
    world.wire.revoke(linked(world))

    assert message(world).source == "external_id"
    assert steps(world) == ["journeys.find", VALIDATE, "journeys.remove", "tell SenderUnlinked"]

    world.wire.phones[PHONE] = "usr_1"
    assert message(world, PHONE).source == "phone_recognition"
    assert steps(world) == ["journeys.find", RECOGNIZE, "journeys.save", "tell SenderLinked"]


def test_a_phone_is_asked_once_for_a_message() -> None:
    world = World()
    world.wire.revoke(linked(world))
    world.wire.phones[PHONE] = "usr_1"

    assert message(world, PHONE).source == "phone_recognition"
    assert world.sent == [RECOGNIZE, VALIDATE]


@pytest.mark.parametrize(
    ("fails", "phone"), [("journeys.save", PHONE), ("journeys.remove", OTHER), ("journeys.find", PHONE)]
)
def test_nobody_is_told_of_what_the_store_did_not_do(fails: str, phone: str) -> None:
    world = World()
    linked(world)
    world.wire.phones |= {PHONE: "usr_1", OTHER: "usr_2"}
    world.fails[fails] = StoreError("locked")

    # It isn't Configure that failed: the app must not take the sender for somebody who isn't linked.
    with pytest.raises(StoreError):
        message(world, phone)
    assert world.events == []

    world.fails.clear()
    assert message(world, phone).user_id == {PHONE: "usr_1", OTHER: "usr_2"}[phone]


@pytest.mark.parametrize("end", ["proven", "dropped", "recognised"])
def test_a_link_that_changed_meanwhile_is_looked_at_again(end: str) -> None:
    world = World()
    if end != "recognised":
        linked(world)
    world.wire.phones |= {PHONE: "usr_1", OTHER: "usr_2"}
    phone = OTHER if end == "dropped" else PHONE
    # Another message of the same sender comes between the look and the change.
    world.meanwhile(RECOGNIZE, lambda: message(world, phone))

    got = message(world, phone)

    assert (got.user_id, got.source) == (world.wire.phones[phone], "token")
    assert len(world.events) == {"proven": 0, "dropped": 2, "recognised": 1}[end]


# A refresh


LATER = 3600.0


def login(world: World) -> str:
    """Somebody who signed in an hour ago."""
    browser = Browser()
    world.request("login", "callback", world.came_back("login", browser), browser)
    assert browser.user is not None
    world.now += LATER
    world.log.clear()
    world.events.clear()
    return browser.user


def refreshed(world: World, user: str) -> str:
    return run(access_token(world.login.site, user, "https://api.example", "oauth"), world.perform).reveal()


def test_the_whole_of_a_refresh() -> None:
    world = World()
    token = refreshed(world, login(world))

    assert world.log == [
        "accounts.find",
        "shielded begins",
        "leases.acquire",
        "accounts.find",
        "accounts.update",
        "POST /oauth/token",
        "accounts.update",
        "tell TokenRefreshed",
        "leases.release",
        "shielded ends",
    ]
    assert refreshed(world, "new-1") == token
    assert world.sent == ["POST /oauth/token"]


@pytest.mark.parametrize("how", ["fails", "response lost"])
def test_a_lease_that_is_not_given_back_makes_no_good_refresh_an_error(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    user = login(world)
    gone = StoreError("the connection is gone")
    if how == "fails":
        world.fails["leases.release"] = gone
    else:
        world.loses["leases.release"] = [gone]

    token = refreshed(world, user)

    assert "a lease could not be given back" in caplog.text
    assert [type(event) for event in world.events] == [TokenRefreshed]
    world.fails.clear()
    assert refreshed(world, user) == token
    # The lease ends by itself, and is in nobody's way then.
    world.now += LATER
    assert refreshed(world, user) != token
    assert world.sent == ["POST /oauth/token"] * 2


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_save_whose_answer_was_lost_makes_no_good_refresh_an_error(lost: int) -> None:
    world = World()
    user = login(world)
    # The first change notes that a refresh is sent; the ones after it are the new pair.
    world.loses["accounts.update"] = [None, *[StoreError("the connection is gone")] * lost]

    token = refreshed(world, user)

    assert world.sent == ["POST /oauth/token"]
    assert world.log.count("accounts.update") == 2 + lost
    assert [type(event) for event in world.events] == [TokenRefreshed]
    assert refreshed(world, user) == token
    assert world.sent == ["POST /oauth/token"]


def test_a_pair_that_cannot_be_saved_is_not_used() -> None:
    world = World()
    user = login(world)
    world.loses["accounts.update"] = [None]
    world.meanwhile("POST /oauth/token", lambda: world.fails.update({"accounts.update": StoreError("full")}))

    with pytest.raises(StoreError, match="full"):
        refreshed(world, user)

    assert in_order(world.log, "POST /oauth/token", *["accounts.update"] * 4, "leases.release")
    assert world.events == []


def test_a_change_that_is_lost_before_the_refresh_is_sent_sends_nothing() -> None:
    world = World()
    user = login(world)
    world.fails["accounts.update"] = StoreError("locked")

    with pytest.raises(StoreError):
        refreshed(world, user)
    assert world.sent == []
    assert world.log[-1] == "leases.release"

    world.fails.clear()
    assert refreshed(world, user)
