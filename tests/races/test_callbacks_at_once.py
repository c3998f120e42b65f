"""64 callbacks of one attempt at once: one exchange, one connection, and the same way on for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

import pytest
from flask import request
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from configure_auth.events import AccountLinked, LoggedIn
from configure_auth.sandbox import Sandbox

from ..support.visitor import CODE_PATH, Crowd, FlowName, Got, Visitor, at_once
from ..support.web import MakeWeb, Web
from .conftest import Pair

CROWD = 64
UNLIMITED = {"max_calls": CROWD}  # else most would wait, and never meet in the store
AFTER: dict[FlowName, str] = {"link": "/settings", "login": "/"}

flows = pytest.mark.parametrize("flow", ["link", "login"])


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(constructor=UNLIMITED)


def begin(visitor: Visitor, flow: FlowName) -> str:
    """A person about to come back; the callback."""
    if flow == "link":
        visitor.sign_in_locally("u1")
    return visitor.start(flow)


def assert_all_went_on(visitor: Visitor, flow: FlowName, answers: list[Got]) -> None:
    assert [(got.status, got.location) for got in answers] == [(303, AFTER[flow])] * CROWD, [
        got.text for got in answers if got.status != 303
    ]
    if flow == "login":
        # The browser drops the answers that it waited for no longer: whichever it keeps signs in.
        users = set()
        for got in answers:
            one = visitor.fork()
            one.cookies |= got.cookies
            users.add(one.who())
        assert len(users) == 1
        assert "null" not in users.pop()


def assert_one_connection(web: Web, visitor: Visitor, flow: FlowName) -> None:
    made = [event for event in web.people.events if isinstance(event, AccountLinked | LoggedIn)]
    assert len(made) == 1
    assert len(web.people.names) == (flow == "login")
    assert_one_exchange(web.sandbox, flow)


def assert_one_exchange(sandbox: Sandbox, flow: FlowName) -> None:
    assert len(sandbox.calls_to("POST", CODE_PATH[flow])) == 1


def rows(store: str, configure_user_id: str) -> int:
    engine = create_engine(store.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    counting = text("SELECT count(*) FROM configure_accounts WHERE configure_user_id = :id")
    with engine.connect() as connection:
        return int(connection.execute(counting, {"id": configure_user_id}).scalar_one())


@pytest.mark.catalogue("A15")
@flows
def test_configure_answers_at_once(web: Web, visitor: Visitor, flow: FlowName) -> None:
    callback = begin(visitor, flow)

    answers = at_once(CROWD, lambda _: visitor.wait_for(callback))

    assert_all_went_on(visitor, flow, answers)
    assert_one_connection(web, visitor, flow)


@flows
def test_the_losers_get_a_page_that_reloads_while_configure_takes_its_time(
    web: Web, visitor: Visitor, flow: FlowName
) -> None:
    callback = begin(visitor, flow)

    with web.sandbox.hold(CODE_PATH[flow]) as held, Crowd(CROWD) as crowd:
        pending = set(crowd.send(lambda _: visitor.ask(callback, site="cross-site")))
        waiting: list[Got] = []
        while len(pending) > 1:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            waiting += [future.result() for future in done]
        held.release()
        winner = pending.pop().result()
    assert [got.status for got in waiting] == [202] * (CROWD - 1), [got.text for got in waiting if got.status != 202]
    assert {dict(got.headers)["retry-after"] for got in waiting} == {"1"}
    assert all(not got.cookies and 'http-equiv="refresh"' in got.text for got in waiting)
    reloads = at_once(CROWD - 1, lambda _: visitor.wait_for(callback))

    assert_all_went_on(visitor, flow, [winner, *reloads])
    assert_one_connection(web, visitor, flow)


@flows
@pytest.mark.parametrize("place", ["flask-sqlite"], indirect=True)
def test_configure_answers_while_the_losers_wait(make_web: MakeWeb, flow: FlowName) -> None:
    arrived = threading.Semaphore(0)
    web = make_web(customise=_count_callbacks(arrived), constructor=UNLIMITED)
    visitor = Visitor.of(web)
    callback = begin(visitor, flow)

    with web.sandbox.hold(CODE_PATH[flow]) as held, Crowd(CROWD) as crowd:
        answers = crowd.send(lambda _: visitor.wait_for(callback))
        for _ in range(CROWD):
            assert arrived.acquire(timeout=30)
        held.arrived.wait()
        held.release()

    assert_all_went_on(visitor, flow, [answer.result() for answer in answers])
    assert_one_connection(web, visitor, flow)


def _count_callbacks(arrived: threading.Semaphore) -> Callable[[Any, Any], None]:
    def count() -> None:
        if request.path.endswith("/callback"):
            arrived.release()

    return lambda app, _: app.before_request(count)


@pytest.mark.catalogue("A16")
@flows
@pytest.mark.parametrize("held", [False, True], ids=["at-once", "held"])
def test_two_processes_on_one_store(pair: Pair, flow: FlowName, held: bool) -> None:
    visitor = pair.visitor()
    if flow == "link":
        visitor.sign_in_locally(pair.user_id)
    callback = visitor.start(flow, pair.phone)

    if held:
        with pair.sandbox.hold(CODE_PATH[flow]) as hold, Crowd(CROWD) as crowd:
            pending = set(crowd.send(lambda n: visitor.ask(callback, site="cross-site", port=pair.ports[n % 2])))
            waiting: list[Got] = []
            while len(pending) > 1:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                waiting += [future.result() for future in done]
            hold.release()
            winner = pending.pop().result()
        assert [got.status for got in waiting] == [202] * (CROWD - 1), [g.text for g in waiting if g.status != 202]
        answers = [winner, *at_once(CROWD - 1, lambda n: visitor.wait_for(callback, port=pair.ports[n % 2]))]
    else:
        answers = at_once(CROWD, lambda n: visitor.wait_for(callback, port=pair.ports[n % 2]))

    assert_all_went_on(visitor, flow, answers)
    assert_one_exchange(pair.sandbox, flow)
    (person,) = pair.sandbox.people
    assert rows(pair.machine.stores["store"], person.user_id) == 1
