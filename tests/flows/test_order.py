"""In which order a flow asks for things: claim, user, exchange, save, event, outcome."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from configure_auth.errors import ApiCode, ConfigureError, LoginRefused, StoreError
from configure_auth.events import AccountLinked, LinkFailed, LoggedIn
from configure_auth.flows.effects import Flow, Limited, Shielded
from configure_auth.flows.sign_in.attempts import POLL_INTERVAL, POLLS

from .world import Browser, World, signed_in

FLOWS = ("link", "login")
EXCHANGE = {"link": "POST /v1/auth/sign-in/exchange", "login": "POST /oauth/token"}
DONE = {"link": "AccountLinked", "login": "LoggedIn"}


def in_order(log: list[str], *entries: str) -> bool:
    """Whether each entry comes after the one before it."""
    rest = iter(log)
    return all(entry in rest for entry in entries)


def test_the_whole_of_a_link() -> None:
    world, browser = World(), signed_in("link")
    world.request("link", "callback", world.came_back("link", browser), browser)

    assert world.log == [
        "app.call",
        "states.claim",
        "shielded begins",
        "POST /v1/auth/sign-in/exchange",
        "accounts.save",
        "tell AccountLinked",
        "states.finish",
        "shielded ends",
    ]


def test_the_whole_of_a_login() -> None:
    world, browser = World(), signed_in("login")
    world.request("login", "callback", world.came_back("login", browser), browser)

    assert world.log == [
        "app.call",
        "states.claim",
        "shielded begins",
        "POST /oauth/token",
        "both",
        "POST /oauth/introspect",
        "GET /v1/profile",
        "accounts.owner",
        "app.renew_session",
        "app.call",
        "app.call",
        "parameters.keep",  # once: the key of the lease's name that `forget_user` leaves
        "accounts.save",
        "tell LoggedIn",
        "states.finish",
        "shielded ends",
    ]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_start_keeps_the_attempt_before_it_tells_of_it_and_sends_nothing(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    world.start(flow, browser)

    assert in_order(world.log, "app.call", "states.put", "tell SignInStarted")
    assert world.sent == []


@pytest.mark.parametrize("flow", FLOWS)
def test_nothing_is_sent_before_the_claim(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    world.fails["states.claim"] = StoreError("locked")
    response = world.request(flow, "callback", query, browser)

    assert response.status == 503
    assert world.sent == []

    world.fails.clear()
    assert world.request(flow, "callback", query, browser).status == 303


def test_nothing_is_sent_before_the_user_was_seen_to_be_the_starter() -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    browser.user = "u2"
    response = world.request("link", "callback", query, browser)

    assert response.status == 403
    assert world.log == [
        "app.call",
        "states.claim",
        "shielded begins",
        "states.finish",
        "tell LinkFailed",
    ]


@pytest.mark.parametrize("flow", FLOWS)
def test_an_error_of_configure_is_read_after_the_claim_and_sends_nothing(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    world.request(flow, "callback", f"{query}&error=access_denied", browser)

    assert in_order(world.log, "states.claim", "states.finish", "tell LinkFailed")
    assert world.sent == []


@pytest.mark.parametrize("flow", FLOWS)
def test_the_outcome_is_remembered_after_the_save_and_not_where_the_save_failed(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    world.fails["accounts.save"] = StoreError("locked")
    response = world.request(flow, "callback", query, browser)

    assert response.status == 503
    assert f"tell {DONE[flow]}" not in world.log
    assert in_order(world.log, "accounts.save", "states.finish", "tell LinkFailed")
    assert world.log.count("states.finish") == 1

    world.fails.clear()
    assert world.request(flow, "callback", query, browser).status == 503
    assert world.sent.count(EXCHANGE[flow]) == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_the_event_comes_after_the_commit_that_it_tells_of(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    world.request(flow, "callback", world.came_back(flow, browser), browser)
    (event,) = world.events

    assert isinstance(event, AccountLinked | LoggedIn)
    assert in_order(world.log, "accounts.save", f"tell {DONE[flow]}")
    assert world.stores.accounts.find("test-agent", event.account.user_id)[0].public == event.account


@pytest.mark.parametrize("flow", FLOWS)
def test_the_end_stands_where_only_its_memory_fails(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    world.fails["states.finish"] = StoreError("locked")
    response = world.request(flow, "callback", query, browser)

    assert response.status == 303
    assert f"tell {DONE[flow]}" in world.log

    world.fails.clear()
    world.now += 31
    assert world.request(flow, "callback", query, browser).status == 409
    assert world.sent.count(EXCHANGE[flow]) == 1


def test_the_session_is_renewed_before_the_app_signs_anybody_in() -> None:
    world, browser = World(), signed_in("login")
    world.request("login", "callback", world.came_back("login", browser), browser)
    renewed = world.log.index("app.renew_session")

    assert renewed < len(world.log) - 1 - world.log[::-1].index("app.call") < world.log.index("accounts.save")


def test_who_is_refused_is_not_left_signed_in() -> None:
    def sign_in_and_refuse(identity: object, grant: object) -> str:
        world.current.user = "u9"
        raise LoginRefused("not you")

    world, browser = World(on_login=sign_in_and_refuse), Browser()
    response = world.request("login", "callback", world.came_back("login", browser), browser)

    assert response.status == 403
    assert browser.user is None
    assert in_order(world.log, "app.call", "app.renew_session", "states.finish", "tell LinkFailed")
    assert "accounts.save" not in world.log


def test_a_failure_after_on_login_undoes_the_session() -> None:
    world, browser = World(), Browser()
    query = world.came_back("login", browser)
    world.fails["accounts.save"] = StoreError("locked")
    world.request("login", "callback", query, browser)

    assert browser.user is None


@pytest.mark.parametrize("flow", FLOWS)
def test_a_handler_that_fails_undoes_nothing(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    world.fails[f"tell {DONE[flow]}"] = RuntimeError("a handler of the app is broken")
    response = world.request(flow, "callback", query, browser)

    assert response.status == 303
    assert browser.user is not None
    assert world.stores.accounts.find("test-agent", browser.user)
    assert world.log[-2:] == ["states.finish", "shielded ends"]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_callback_again_asks_for_nothing_but_the_outcome(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    first = world.request(flow, "callback", query, browser)
    world.log.clear()
    again = world.request(flow, "callback", query, browser)

    assert (again.status, again.location) == (first.status, first.location)
    assert world.log == ["app.call", "states.claim", "states.read"]


@pytest.mark.parametrize("flow", FLOWS)
def test_the_loser_of_a_race_waits_two_seconds_and_then_shows_a_page(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    query = world.came_back(flow, browser)
    callback = world.flow(flow, "callback", query, browser)
    effect = callback.send(None)
    while not isinstance(effect, Limited):
        effect = callback.send(world.perform(effect))
    winner = effect.flow
    effect = winner.send(None)
    while not isinstance(effect, Shielded):
        effect = winner.send(world.perform(effect))
    began = world.now
    response = world.request(flow, "callback", query, browser)

    assert response.status == 202
    assert world.log.count("pause") == POLLS
    assert world.now - began == pytest.approx(POLLS * POLL_INTERVAL) == pytest.approx(2)
    assert world.sent == []
    with suppress(StopIteration):
        while True:
            effect = winner.send(world.perform(effect))
    callback.close()
    assert len(world.wire.used) == 1


@pytest.mark.parametrize("flow", FLOWS)
def test_everything_after_the_claim_is_one_whole_part(flow: str) -> None:
    world, browser = World(), signed_in(flow)
    world.request(flow, "callback", world.came_back(flow, browser), browser)
    begins, ends = world.log.index("shielded begins"), world.log.index("shielded ends")

    assert world.log[begins - 1] == "states.claim"
    assert ends == len(world.log) - 1


def test_a_disconnect_tells_of_what_was_deleted_after_it_was() -> None:
    world, browser = World(), signed_in("link")
    world.request("link", "callback", world.came_back("link", browser), browser)
    world.log.clear()
    world.request("link", "disconnect", "", browser)

    assert world.log == ["app.call", "accounts.find", "accounts.unlink", "tell AccountUnlinked"]


def test_a_refused_code_is_expired_and_any_other_refusal_is_configures() -> None:
    ends = ((ApiCode.NOT_FOUND, 404, 400), (ApiCode.INVALID_INPUT, 402, 502), (ApiCode.ACCESS_DENIED, 403, 502))
    for code, upstream, status in (*ends, (ApiCode.TIMEOUT, None, 504)):
        world, browser = World(), signed_in("link")
        query = world.came_back("link", browser)
        world.fails[EXCHANGE["link"]] = ConfigureError(code, "refused", status_code=upstream)

        assert world.request("link", "callback", query, browser).status == status
        assert isinstance(world.events[-1], LinkFailed)


def test_an_attempt_of_another_callback_of_the_app_ends_unsent() -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    world.link = replace(world.link, path="/other")
    response = world.request("link", "callback", query, browser)

    assert response.status == 400
    assert world.sent == []


def test_a_flow_does_nothing_before_it_is_driven() -> None:
    world, browser = World(), signed_in("link")
    query = world.came_back("link", browser)
    flow: Flow[object] = world.flow("link", "callback", query, browser)
    flow.close()

    assert world.log == []
    assert world.request("link", "callback", query, browser).status == 303
