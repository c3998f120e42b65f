"""A response that never arrives, a browser that goes back, and a process that dies in the middle."""

from __future__ import annotations

import pytest

from ..support.processes import Machine
from ..support.stores import first
from ..support.visitor import CODE_PATH, TOKEN, FlowName, Got, Visitor
from ..support.web import Web
from .conftest import Pair


def cut_off(web: Web, visitor: Visitor, flow: FlowName) -> str:
    """Come back, and close the connection before Configure has answered the app; the callback."""
    if flow == "link":
        visitor.sign_in_locally("u1")
    callback = visitor.start(flow)
    with web.sandbox.hold(CODE_PATH[flow]) as held:
        connection = visitor.leave_at(callback)
        held.arrived.wait()
        connection.close()
    return callback


def went_on(got: Got) -> bool:
    return got.status == 303 and got.location in ("/", "/settings")


def test_after_a_cut_off_link_the_reload_goes_on(web: Web, visitor: Visitor) -> None:
    callback = cut_off(web, visitor, "link")

    got = visitor.wait_for(callback)

    assert went_on(got)
    assert '"kind":"agent"' in visitor.ask("/account").text.replace(" ", "")
    assert len(web.sandbox.calls_to("POST", CODE_PATH["link"])) == 1


def test_after_a_cut_off_login_the_reload_signs_in(web: Web, visitor: Visitor) -> None:
    callback = cut_off(web, visitor, "login")

    got = visitor.wait_for(callback)

    assert went_on(got)
    visitor.cookies |= got.cookies
    (user_id,) = web.people.names
    assert user_id in visitor.who()
    assert len(web.sandbox.calls_to("POST", TOKEN)) == 1


def test_a_cut_off_login_signs_in_for_30_seconds_only(web: Web, visitor: Visitor) -> None:
    callback = cut_off(web, visitor, "login")
    ended = visitor.fork().wait_for(callback)
    assert went_on(ended)

    # The sandbox's clock goes on by itself too, so not to the last second.
    web.sandbox.advance(15)
    early = visitor.fork().ask(callback)
    web.sandbox.advance(16)
    late = visitor.ask(callback)

    assert went_on(early)
    assert "session" in early.cookies
    assert went_on(late)
    assert late.cookies == {}
    assert "null" in visitor.who()


def test_back_after_signing_out_signs_nobody_in(web: Web, visitor: Visitor) -> None:
    callback = visitor.start("login")
    assert went_on(visitor.come_back(callback))
    assert "null" not in visitor.who()
    web.sandbox.advance(31)
    visitor.post("/out")

    back = visitor.come_back(callback)

    assert went_on(back)
    assert back.cookies == {}
    assert "null" in visitor.who()
    assert len(web.people.logins) == 1


def test_another_browser_gets_nothing_from_a_callback_that_was_cut_off(web: Web, visitor: Visitor) -> None:
    callback = cut_off(web, visitor, "login")
    thief = Visitor.of(web)
    thief.start("login", "+15550100002")

    stolen = thief.come_back(callback)

    assert stolen.status == 400
    assert "wrong_browser" in stolen.text
    assert "null" in thief.who()


@pytest.mark.catalogue("Q5")
@pytest.mark.parametrize("flow", first(["link", "login"]))
def test_a_killed_process_leaves_an_interrupted_attempt_and_no_code_is_sent_twice(pair: Pair, flow: FlowName) -> None:
    (doomed,) = pair.machine.start()
    visitor = pair.visitor()
    if flow == "link":
        visitor.sign_in_locally(pair.user_id)
    callback = visitor.start(flow, pair.phone)
    with pair.sandbox.hold(CODE_PATH[flow]) as held:
        connection = visitor.leave_at(callback, doomed.port)
        held.arrived.wait()
        doomed.kill()
        connection.close()

    waiting = visitor.come_back(callback)
    pair.machine.advance(31)
    over = visitor.come_back(callback)
    again = visitor.come_back(callback)

    assert waiting.status == 202
    assert [(got.status, "interrupted" in got.text) for got in (over, again)] == [(409, True)] * 2
    assert len(pair.sandbox.calls_to("POST", CODE_PATH[flow])) == 1
    assert visitor.run(flow, pair.phone).status == 303
    assert len(pair.sandbox.calls_to("POST", CODE_PATH[flow])) == 2


def test_a_refresh_whose_process_was_killed_is_sent_again_within_its_minute(pair: Pair) -> None:
    visitor = _killed_refresh(pair)
    pair.machine.advance(31)

    got = visitor.ask("/token")

    assert got.status == 200, got.text
    assert len(_refreshes(pair)) == 2
    assert all(not token.revoked for token in pair.sandbox.tokens)


@pytest.mark.extended
def test_a_refresh_that_was_lost_for_good_is_never_sent_again(pair: Pair) -> None:
    visitor = _killed_refresh(pair)
    pair.machine.advance(61)

    answers = [visitor.ask("/token") for _ in range(2)]

    assert [(got.status, "AUTH_REQUIRED" in got.text) for got in answers] == [(502, True)] * 2
    assert len(_refreshes(pair)) == 1
    assert '"needs_reconnect":true' in visitor.ask("/account").text.replace(" ", "")


def _refreshes(pair: Pair) -> list[str]:
    return [
        call.form["refresh_token"]
        for call in pair.sandbox.calls_to("POST", TOKEN)
        if call.form["grant_type"] == "refresh_token"
    ]


def _killed_refresh(pair: Pair) -> Visitor:
    """Somebody signed in whose token is over, and whose refresh died with its process."""
    (doomed,) = pair.machine.start()
    visitor = pair.visitor()
    assert visitor.run("login", pair.phone).status == 303
    pair.machine.advance(3600)
    with pair.sandbox.hold(TOKEN) as held:
        connection = visitor.leave_at("http://app/token?", doomed.port)
        held.arrived.wait()
        doomed.kill()
        connection.close()
    return visitor


@pytest.mark.extended
@pytest.mark.parametrize("count", [4])
def test_processes_that_open_a_new_store_in_the_same_moment(machine: Machine, count: int) -> None:
    """Nobody is turned away because the file is being made."""
    from ..support.visitor import at_once

    processes = machine.start(count)

    def first_request(number: int) -> int:
        visitor = machine.visitor(processes[number])
        visitor.sign_in_locally(f"u{number}")
        return visitor.get("/configure/sign-in").status

    assert at_once(count, first_request) == [303] * count
