"""What a sign-in costs at Configure, and on which connections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from configure_auth.sandbox.values import Call

from ..support.processes import Machine
from ..support.visitor import EXCHANGE, TOKEN, FlowName, Visitor
from ..support.web import Web
from .conftest import Pair

INTROSPECT, PROFILE = "/oauth/introspect", "/v1/profile"


def calls_of_a_callback(web: Web, visitor: Visitor, flow: FlowName, phone: str = "+15550100001") -> list[Call]:
    callback = visitor.start(flow, phone)
    before = len(web.sandbox.calls)
    assert visitor.come_back(callback).status == 303
    return web.sandbox.calls[before:]


def test_from_the_second_link_on_one_request_on_a_kept_connection(web: Web, visitor: Visitor) -> None:
    visitor.sign_in_locally("u1")
    (first,) = calls_of_a_callback(web, visitor, "link")

    for _ in range(3):
        (call,) = calls_of_a_callback(web, visitor, "link")
        assert (call.path, call.connection) == (EXCHANGE, first.connection)


def test_introspection_and_profile_are_asked_at_the_same_time(web: Web, visitor: Visitor) -> None:
    login_with_both_under_way(web, visitor)


def test_from_the_second_login_on_three_requests_on_kept_connections(web: Web, visitor: Visitor) -> None:
    opened = {call.connection for call in login_with_both_under_way(web, visitor)}
    assert len(opened) == 2

    for _ in range(3):
        visitor.post("/out")
        token, *others = calls_of_a_callback(web, visitor, "login")
        assert token.path == TOKEN
        assert {call.path for call in others} == {INTROSPECT, PROFILE}
        assert {call.connection for call in (token, *others)} <= opened


def login_with_both_under_way(web: Web, visitor: Visitor) -> list[Call]:
    """A login whose last two calls are both at Configure before either is answered; its calls."""
    callback = visitor.start("login")
    before = len(web.sandbox.calls)
    with (
        web.sandbox.hold(INTROSPECT) as introspected,
        web.sandbox.hold(PROFILE) as read,
        ThreadPoolExecutor(1) as other,
    ):
        answer = other.submit(visitor.come_back, callback)
        introspected.arrived.wait()
        read.arrived.wait()
        introspected.release()
        read.release()
    assert answer.result().status == 303
    return web.sandbox.calls[before:]


def test_a_read_of_the_profile_is_one_request_on_a_kept_connection(web: Web, visitor: Visitor) -> None:
    visitor.sign_in_locally("u1")
    (first,) = calls_of_a_callback(web, visitor, "link")
    before = len(web.sandbox.calls)

    assert [visitor.ask("/profile").status for _ in range(3)] == [200] * 3

    assert [(call.path, call.connection) for call in web.sandbox.calls[before:]] == [(PROFILE, first.connection)] * 3


def test_each_worker_has_connections_of_its_own_after_a_call_before_the_fork(machine: Machine) -> None:
    workers, rounds = 4, 40
    sandbox = machine.sandbox
    people = [sandbox.add_person(f"+1555010{n:04}", name=f"Person {n}") for n in range(1, rounds + 1)]
    port = machine.gunicorn("--preload", "-w", str(workers), warm=sandbox.issue_agent_token(people[0])).port
    parents = {call.connection for call in sandbox.calls}
    assert len(parents) == 1
    visitor = Visitor(port, "localhost:3000", sandbox)
    # A token for each request, so that Configure's calls tell which request they were made for.
    tokens = {sandbox.issue_agent_token(person): person.name for person in people for _ in range(workers)}

    def read(token: str) -> tuple[str, int]:
        got = visitor.ask(f"/read?token={token}")
        assert got.status == 200, got.text
        answer = got.json
        assert answer["name"] == tokens[token]
        return token, answer["pid"]

    asked = iter(tokens)
    with sandbox.hold(PROFILE) as held, ThreadPoolExecutor(workers) as crowd:
        # Held, so that each of these is with another worker.
        first = [crowd.submit(read, next(asked)) for _ in range(workers)]
        held.arrived.wait(workers)
        held.release()
        served = dict(future.result() for future in first)
    assert len(set(served.values())) == workers
    with ThreadPoolExecutor(2 * workers) as crowd:
        served |= dict(crowd.map(read, asked))

    connections: dict[int, set[int]] = {pid: set() for pid in served.values()}
    for call in sandbox.calls_to("GET", PROFILE):
        token = call.headers["authorization"].removeprefix("Bearer ")
        if token in served:
            connections[served[token]].add(call.connection)
    assert len(served) == workers * rounds
    assert sum(len(used) for used in connections.values()) == len(set().union(*connections.values()))
    assert parents.isdisjoint(set().union(*connections.values()))
    assert all(len(used) == 1 for used in connections.values())


@pytest.mark.extended
@pytest.mark.parametrize("flow", ["link", "login"])
def test_a_sign_in_that_starts_on_one_process_ends_on_the_other(pair: Pair, flow: FlowName) -> None:
    visitor = pair.visitor()
    if flow == "link":
        visitor.sign_in_locally(pair.user_id)
    callback = visitor.start(flow, pair.phone)

    assert visitor.come_back(callback, port=pair.ports[1]).status == 303
    assert [visitor.ask("/token", port=port).status for port in pair.ports] == [200, 200]


@pytest.mark.extended
def test_gunicorns_workers_end_what_another_one_started(machine: Machine) -> None:
    """Two sync workers: while one is kept busy, the other one serves."""
    sandbox = machine.sandbox
    port = machine.gunicorn("-w", "2").port
    visitor, busy = Visitor(port, "localhost:3000", sandbox), Visitor(port, "localhost:3000", sandbox)
    token = sandbox.issue_agent_token(sandbox.add_person("+15550100009"))

    def pid_of_the_free_one() -> int:
        found: int = visitor.ask("/pid").json["pid"]
        return found

    with ThreadPoolExecutor(1) as other:
        with sandbox.hold(PROFILE) as held:
            first = other.submit(busy.ask, f"/read?token={token}")
            held.arrived.wait()
            starter = pid_of_the_free_one()
            visitor.sign_in_locally("u1")
            callback = visitor.start("link")
        first_pid = first.result().json["pid"]
        assert first_pid != starter
        # Now the starter is to be the busy one; which of the two is idle takes the next request.
        for _ in range(50):
            with sandbox.hold(PROFILE) as held:
                again = other.submit(busy.ask, f"/read?token={token}")
                held.arrived.wait()
                ended_by = pid_of_the_free_one()
                got = visitor.come_back(callback) if ended_by == first_pid else None
            again.result()
            if got is not None:
                break

    assert got is not None
    assert got.status == 303
    assert visitor.ask("/account").json["account"]["user_id"] == "u1"
