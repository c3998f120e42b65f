"""Claims of one agent in the same moment, in threads and in processes, and claims cut off in the middle.

CONFIGURE_TEST_ROUNDS says how often the many processes do it; 200 is the number to do before a release.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from configure_auth.events import AgentClaimed

from ..support.doom import Doom, When
from ..support.processes import Machine
from ..support.stores import first
from ..support.throng import PROCESSES, THREADS, Asked, throng
from ..support.visitor import Visitor, at_once
from ..support.web import MakeWeb, Web
from .conftest import PLACES

PATH = "/api/v1/agents/claim"
ROUNDS = int(os.environ.get("CONFIGURE_TEST_ROUNDS", "5"))
CROWD = PROCESSES * THREADS
FEW = 16


@pytest.fixture(params=first(place for place in PLACES if not place.endswith("redis")))
def place(request: pytest.FixtureRequest) -> str:
    """Agents are kept beside the links, never in Redis."""
    chosen: str = request.param
    return chosen


@pytest.fixture(params=first(["sqlite", "postgresql"]))
def durable(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def web(make_web: MakeWeb) -> Web:
    return make_web(claims={}, link=None, login=None)


def users(visitor: Visitor, count: int) -> list[Visitor]:
    """The browsers of so many users, who are signed in as "u0" and so on."""
    found = [visitor.fork() for _ in range(count)]
    for number, one in enumerate(found):
        one.sign_in_locally(f"u{number}")
    return found


def register(visitor: Visitor, agent_id: str) -> str:
    token: str = visitor.post(f"/agents/{agent_id}").json["token"]
    return token


def claim(visitor: Visitor, token: str, port: int | None = None) -> tuple[int, str]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port or visitor.port, timeout=30)
    with closing(connection):
        connection.request("POST", PATH, json.dumps({"claimToken": token}), headers(visitor))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def headers(visitor: Visitor) -> dict[str, str]:
    return visitor.headers("same-origin") | {"Content-Type": "application/json"}


def owner(visitor: Visitor, agent_id: str) -> str | None:
    got = visitor.ask(f"/agents/{agent_id}/owner")
    found: str | None = got.json.get("owner")
    assert (got.status, found is None) in ((200, False), (409, True)), got.text
    return found


@pytest.mark.catalogue("M2")
def test_one_of_many_users_gets_an_agent(web: Web, visitor: Visitor) -> None:
    people, token = users(visitor, FEW), register(visitor, "a1")

    got = at_once(FEW, lambda number: claim(people[number], token))

    assert Counter(status for status, _ in got) == {200: 1, 409: FEW - 1}
    winner = next(number for number, (status, _) in enumerate(got) if status == 200)
    assert owner(visitor, "a1") == f"u{winner}"
    assert web.people.events == [AgentClaimed(agent_id="a1", user_id=f"u{winner}")]
    # And so it stays, for whoever asks again.
    assert [claim(one, token) for one in people] == got


def test_a_user_who_claims_many_times_at_once_is_told_of_it_once(web: Web, visitor: Visitor) -> None:
    (ada,), token = users(visitor, 1), register(visitor, "a1")

    got = at_once(FEW, lambda _: claim(ada, token))

    assert set(got) == {(200, '{"ok": true, "agentId": "a1"}')}
    assert web.people.events == [AgentClaimed(agent_id="a1", user_id="u0")]


@pytest.mark.extended
def test_of_many_registrations_of_an_agent_one_token_is_good(visitor: Visitor) -> None:
    (ada,) = users(visitor, 1)

    tokens = at_once(FEW, lambda _: register(visitor.fork(), "a1"))

    assert len(set(tokens)) == FEW
    assert Counter(claim(ada, token)[0] for token in tokens) == {200: 1, 404: FEW - 1}


@pytest.mark.catalogue("M2")
@pytest.mark.extended
def test_of_64_users_in_4_processes_one_gets_each_agent(machine: Machine) -> None:
    (process,) = machine.start()
    visitor = machine.visitor(process)
    people, rounds = [headers(one) for one in users(visitor, CROWD)], []
    for number in range(ROUNDS):
        body = json.dumps({"claimToken": register(visitor, f"a{number}")})
        rounds.append([Asked(PATH, mine, mine, body) for mine in people])

    owners = []
    with throng(machine.options(), rounds) as crowd:
        for number in range(ROUNDS):
            crowd.begin()
            crowd.end()
            owners.append(owner(visitor, f"a{number}"))
        answers = crowd.answers()

    for number, of_round in enumerate(answers):
        assert Counter(one.status for one in of_round) == {200: 1, 409: CROWD - 1}, [
            one.text for one in of_round if one.status not in (200, 409)
        ][:1]
        winner = next(place for place, one in enumerate(of_round) if one.status == 200)
        assert owners[number] == owner(visitor, f"a{number}") == f"u{winner}"
    assert owned(machine) == {f"a{number}": owners[number] for number in range(ROUNDS)}


def owned(machine: Machine) -> dict[str, str | None]:
    """Every agent with its owner, as the tables have it."""
    url = machine.stores["store"].replace("postgresql:", "postgresql+psycopg:")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        rows = connection.execute(text("SELECT agent_id, owner_user_id FROM configure_agents"))
        return {row.agent_id: row.owner_user_id for row in rows}


@pytest.mark.catalogue("Q5")
@pytest.mark.extended
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_claim_whose_process_is_killed_is_whole_or_not_at_all(machine: Machine, when: When) -> None:
    (survivor,), (doomed,) = machine.start(), machine.start_doomed(Doom(when, 1))
    visitor = machine.visitor(survivor)
    ada, bob = users(visitor, 2)
    token = register(visitor, "a1")

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        claim(ada, token, doomed.port)
    assert doomed.process.wait(30) == -signal.SIGKILL

    # It was its one step: whoever it is nobody's for may have it, and whose it is may ask again.
    assert owner(visitor, "a1") == (None if when == "before" else "u0")
    assert claim(bob, token)[0] == (200 if when == "before" else 409)
    assert claim(ada, token)[0] == (409 if when == "before" else 200)
