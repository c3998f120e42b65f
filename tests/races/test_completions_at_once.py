"""Completions of one journey in the same moment, in threads and in processes: one link, and the app is told once."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from configure_auth.events import JourneyCompleted
from configure_auth.sandbox import Sandbox

from ..support.doom import Doom
from ..support.processes import Machine
from ..support.stores import first
from ..support.throng import PROCESSES, THREADS, Asked, throng
from ..support.visitor import Crowd, Got, Visitor, at_once
from ..support.web import MakeWeb, Web, query_of
from .conftest import PLACES

PATH = "/configure/messages/complete"
VALIDATE = "/v1/auth/sign-in/validate"
ADA, BOB = "+15550100001", "+15550100002"
ACCEPTED = {"on_unproven": "accept"}  # these messages have no phones
CROWD = PROCESSES * THREADS
ROUNDS = 5
TRIES = 100


@pytest.fixture(params=first(place for place in PLACES if not place.endswith("redis")))
def place(request: pytest.FixtureRequest) -> str:
    """Journeys are kept beside the links, never in Redis."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(messages=ACCEPTED)


@pytest.fixture(params=first(["sqlite", "postgresql"]))
def durable(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def connect(visitor: Visitor, key: str) -> str:
    """The id of a new journey of a sender."""
    return query_of(visitor.tell("/journey", {"sender": key}).json["link"])["journey"]


def completion(sandbox: Sandbox, journey: str, phone: str = ADA) -> dict[str, str]:
    """What Configure posts at the end of a journey, with a new token of this person."""
    return {"journeyId": journey, "token": sandbox.issue_agent_token(sandbox.add_person(phone))}


def report(visitor: Visitor, body: dict[str, str]) -> Callable[[int], Got]:
    return lambda _number: visitor.tell(PATH, body)


def kept_token(visitor: Visitor, key: str) -> str | None:
    token: str | None = visitor.tell("/message", {"sender": key}).json["token"]
    return token


def assert_told_once(web: Web, key: str) -> None:
    assert [told for told, _ in web.people.linked] == [key]
    assert [type(event) for event in web.people.events] == [JourneyCompleted]


@pytest.mark.catalogue("K7")
@pytest.mark.parametrize("held", [False, True], ids=["at-once", "held"])
def test_64_equal_completions_link_once(web: Web, visitor: Visitor, held: bool) -> None:
    body = completion(web.sandbox, connect(visitor, "ada"))

    if held:
        # So many are past every look at the journey before one of them is done.
        with web.sandbox.hold(VALIDATE) as hold, Crowd(CROWD) as crowd:
            pending = crowd.send(report(visitor, body))
            hold.arrived.wait(16)
            hold.release()
        answers = [future.result() for future in pending]
    else:
        answers = at_once(CROWD, report(visitor, body))

    assert [(got.status, got.json) for got in answers] == [(200, {"ok": True, "linked": True})] * CROWD
    assert_told_once(web, "ada")
    assert kept_token(visitor, "ada") == body["token"]


def test_of_two_tokens_one_is_kept_and_the_other_finds_the_journey_over(web: Web, visitor: Visitor) -> None:
    journey = connect(visitor, "ada")
    bodies = [completion(web.sandbox, journey, phone) for phone in (ADA, BOB)]

    with web.sandbox.hold(VALIDATE) as hold, Crowd(32) as crowd:
        pending = crowd.send(lambda number: visitor.tell(PATH, bodies[number % 2]))
        hold.arrived.wait(16)
        hold.release()

    ends = [{future.result().status for future in pending[number::2]} for number in (0, 1)]
    assert sorted(map(tuple, ends)) == [(200,), (404,)]
    assert kept_token(visitor, "ada") == bodies[ends.index({200})]["token"]
    assert_told_once(web, "ada")


def test_two_journeys_of_a_sender_for_two_people_link_one_of_them(web: Web, visitor: Visitor) -> None:
    bodies = [completion(web.sandbox, connect(visitor, "ada"), phone) for phone in (ADA, BOB)]

    with web.sandbox.hold(VALIDATE) as hold, Crowd(2) as crowd:
        pending = crowd.send(lambda number: visitor.tell(PATH, bodies[number]))
        hold.arrived.wait(2)
        hold.release()

    statuses = [future.result().status for future in pending]
    assert sorted(statuses) == [200, 409]
    assert kept_token(visitor, "ada") == bodies[statuses.index(200)]["token"]
    assert_told_once(web, "ada")
    # The other journey is still its sender's.
    again = completion(web.sandbox, bodies[statuses.index(409)]["journeyId"], (ADA, BOB)[statuses.index(200)])
    assert visitor.tell(PATH, again).status == 200


@pytest.mark.catalogue("K14")
def test_forged_completions_in_any_number_cost_a_hundred_calls(web: Web, visitor: Visitor) -> None:
    body = {"journeyId": connect(visitor, "ada"), "token": "forged"}

    answers = at_once(24, lambda _: [visitor.tell(PATH, body) for _ in range(5)])
    statuses = Counter(got.status for of_one in answers for got in of_one)

    assert statuses == {401: TRIES, 429: 20}
    assert len(web.sandbox.calls_to("POST", VALIDATE)) == TRIES
    assert web.people.linked == []
    assert visitor.run("login").status == 303


def test_a_client_that_goes_leaves_a_link_that_the_app_is_told_of(make_web: MakeWeb) -> None:
    told = threading.Event()
    keys: list[str] = []

    def on_linked(key: str, _account: object) -> None:
        keys.append(key)
        told.set()

    web = make_web(messages={"on_linked": on_linked, **ACCEPTED})
    visitor = Visitor.of(web)
    body = completion(web.sandbox, connect(visitor, "ada"))

    with web.sandbox.hold(VALIDATE) as hold:
        connection = posted(visitor, body)
        hold.arrived.wait()
        connection.close()
    assert told.wait(10)

    assert visitor.tell(PATH, body).status == 200
    assert keys == ["ada"]
    assert kept_token(visitor, "ada") == body["token"]


def posted(visitor: Visitor, body: dict[str, str]) -> socket.socket:
    """A completion whose answer nobody waits for yet."""
    content = json.dumps(body)
    head = f"POST {PATH} HTTP/1.1\r\nHost: {visitor.host}\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection(("127.0.0.1", visitor.port), timeout=30)
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n{content}".encode())
    return connection


# Processes.


def rows(store: str, question: str) -> list[tuple[Any, ...]]:
    engine = create_engine(store.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(question))]


def links(machine: Machine) -> list[str]:
    """The Configure users of all senders; as many as there are journeys that are used up, or something is half done."""
    store = machine.stores["store"]
    used = rows(store, "SELECT journey_hash FROM configure_journeys WHERE token_hash IS NOT NULL")
    found = rows(store, "SELECT configure_user_id FROM configure_subjects")
    assert len(found) == len(used)
    return sorted(user_id for (user_id,) in found)


@pytest.mark.catalogue("K7")
@pytest.mark.extended
def test_four_processes_with_sixteen_threads_link_once(machine: Machine) -> None:
    (process,) = machine.start()
    visitor, sandbox = machine.visitor(process), machine.sandbox
    phones = [f"+1555010{number:04}" for number in range(ROUNDS)]
    bodies = [completion(sandbox, connect(visitor, phone), phone) for phone in phones]
    rounds = [Asked.post(f"http://{visitor.host}{PATH}", json.dumps(body)) for body in bodies]

    with throng(machine.options(), rounds) as crowd:
        for done in range(1, ROUNDS + 1):
            crowd.begin()
            crowd.end()
            assert machine.linked == phones[:done]
        answers = crowd.answers()

    for of_round in answers:
        assert [answer.status for answer in of_round] == [200] * CROWD, [a.text for a in of_round if a.status != 200][
            :1
        ]
    assert links(machine) == sorted(person.user_id for person in sandbox.people)
    assert {kept_token(visitor, phone) for phone in phones} == {body["token"] for body in bodies}


# What a completion does: look at the journey, count the try, ask Configure, save. A save: begin, the journey, the
# sender's link, the journey used up, the link.
STEPS: dict[str, list[tuple[Doom, bool]]] = {
    "sqlite": [
        (Doom("after", 3), False),
        (Doom("after", 4), True),
        (Doom("inside", 4), False),
        (Doom("inside", 5), False),
    ],
    "postgresql": [(Doom("inside", 4), False), (Doom("inside", 5), False)],
}
"""When a process dies, and whether the link was saved by then."""


@pytest.mark.catalogue("K16", "Q5")
@pytest.mark.extended
def test_a_process_that_is_killed_leaves_a_journey_that_is_good_or_done(machine: Machine, durable: str) -> None:
    survivor, *doomed = [*machine.start(), *machine.start_doomed(*[doom for doom, _ in STEPS[durable]])]
    visitor = machine.visitor(survivor)

    for number, ((doom, linked), process) in enumerate(zip(STEPS[durable], doomed, strict=True)):
        key, phone = f"sender {number}", f"+1555010{number:04}"
        body = completion(machine.sandbox, connect(visitor, key), phone)
        before = len(links(machine))

        with pytest.raises((ConnectionError, http.client.HTTPException)):
            visitor.tell(PATH, body, process.port)
        assert process.process.wait(30) == -signal.SIGKILL
        assert len(links(machine)) == before + linked, doom

        assert visitor.tell(PATH, body).status == 200
        assert len(links(machine)) == before + 1
        # Whoever dies between the save and the hook has told nobody.
        assert machine.linked.count(key) == (not linked)
        assert kept_token(visitor, key) == body["token"]
