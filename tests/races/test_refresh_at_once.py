"""Many requests need a token that is over: one refresh, whatever the number of threads and processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from configure_auth.sandbox import Sandbox

from ..support.visitor import TOKEN, Got, Visitor, at_once
from ..support.web import MakeWeb, Web
from .conftest import Pair

CROWD = 32


def refreshes(sandbox: Sandbox) -> int:
    return sum(call.form["grant_type"] == "refresh_token" for call in sandbox.calls_to("POST", TOKEN))


def assert_one_refresh(sandbox: Sandbox, answers: list[Got]) -> None:
    assert [got.status for got in answers] == [200] * CROWD, [got.text for got in answers if got.status != 200]
    (token,) = {got.json["token"] for got in answers}
    assert sandbox.is_live(token)
    assert refreshes(sandbox) == 1
    assert not [kept for kept in sandbox.tokens if kept.revoked]


def test_32_threads_refresh_once(web: Web, visitor: Visitor) -> None:
    visitor.run("login")
    web.sandbox.advance(3600)

    assert_one_refresh(web.sandbox, at_once(CROWD, lambda _: visitor.ask("/token")))


def test_two_processes_refresh_once(pair: Pair) -> None:
    visitor = pair.visitor()
    visitor.run("login", pair.phone)
    pair.machine.advance(3600)

    answers = at_once(CROWD, lambda n: visitor.ask("/token", port=pair.ports[n % 2]))

    assert_one_refresh(pair.sandbox, answers)


@pytest.mark.extended
def test_round_after_round_the_family_lives(web: Web, visitor: Visitor) -> None:
    visitor.run("login")
    for done in range(1, 4):
        web.sandbox.advance(3600)
        at_once(4, lambda _: visitor.ask("/token"))
        assert refreshes(web.sandbox) == done
    assert not [kept for kept in web.sandbox.tokens if kept.revoked]


@pytest.mark.parametrize("gone", ["unlink", "forget"])
def test_a_refresh_brings_nothing_back(web: Web, visitor: Visitor, gone: str) -> None:
    visitor.run("login")
    user_id = visitor.ask("/who").json["user_id"]
    web.sandbox.advance(3600)

    with web.sandbox.hold(TOKEN) as held, ThreadPoolExecutor(1) as other:
        asked = other.submit(visitor.ask, "/token")
        held.arrived.wait()
        visitor.post("/unlink" if gone == "unlink" else f"/forget/{user_id}")
        held.release()

    assert "AUTH_REQUIRED" in asked.result().text
    assert visitor.ask("/account").json == {"account": None}
    assert "AUTH_REQUIRED" in visitor.ask("/token").text
    assert refreshes(web.sandbox) == 1


def test_a_refresh_changes_nothing_of_a_newer_connection(make_web: MakeWeb) -> None:
    web = make_web(on_login=lambda identity, grant: "u1")
    visitor = Visitor.of(web)
    visitor.run("login")
    web.sandbox.advance(3600)

    with web.sandbox.hold(TOKEN) as held, ThreadPoolExecutor(1) as other:
        asked = other.submit(visitor.ask, "/token")
        held.arrived.wait()
        # Only the request that is there already stays held.
        held.path = "/nowhere"
        again = visitor.fork()
        again.post("/unlink")
        again.post("/out")
        assert again.run("login").status == 303
        newer = again.ask("/token").json["token"]
        held.release()

    assert asked.result().json["token"] == newer
    assert again.ask("/token").json["token"] == newer
    assert web.sandbox.is_live(newer)
