"""4 processes with 16 threads each ask the same thing in the same moment, again and again, on every durable store.

CONFIGURE_TEST_ROUNDS says how often; 200 is the number to do before a release.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from configure_auth.sandbox import Sandbox

from ..support.processes import Machine
from ..support.throng import PROCESSES, THREADS, Asked, throng
from ..support.visitor import EXCHANGE, TOKEN

pytestmark = pytest.mark.extended

ROUNDS = int(os.environ.get("CONFIGURE_TEST_ROUNDS", "50"))
CROWD = PROCESSES * THREADS


@pytest.mark.catalogue("A16")
def test_each_state_is_exchanged_once(machine: Machine) -> None:
    (process,) = machine.start()

    def about_to_come_back(number: int) -> Asked:
        visitor = machine.visitor(process)
        visitor.sign_in_locally(f"u{number}")
        callback = visitor.start("link", f"+1555010{number:04}", f"?next=/settings/{number}")
        return Asked.by(visitor, callback)

    with ThreadPoolExecutor(4) as people:
        rounds = list(people.map(about_to_come_back, range(ROUNDS)))

    with throng(machine.options(), rounds) as crowd:
        for done in range(1, ROUNDS + 1):
            crowd.begin()
            crowd.end()
            assert len(machine.sandbox.calls_to("POST", EXCHANGE)) == done
        answers = crowd.answers()

    for number, of_round in enumerate(answers):
        got = [(answer.status, answer.location) for answer in of_round]
        assert got == [(303, f"/settings/{number}")] * CROWD, [a.text for a in of_round if a.status != 303][:1]
    assert connections(machine.stores["store"]) == [(f"u{number}", 1) for number in sorted(range(ROUNDS), key=str)]


def connections(store: str) -> list[tuple[str, int]]:
    """Every user with the number of its connections that have their owner's row."""
    counting = """
        SELECT accounts.user_id, count(*) FROM configure_accounts accounts JOIN configure_owners owners
        ON accounts.agent = owners.agent AND accounts.configure_user_id = owners.configure_user_id
        AND accounts.user_id = owners.user_id GROUP BY accounts.user_id
    """
    engine = create_engine(store.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.connect() as connection:
        return sorted((user_id, count) for user_id, count in connection.execute(text(counting)))


def test_each_refresh_is_sent_once_and_its_family_lives(machine: Machine) -> None:
    sandbox = machine.sandbox
    # Whoever uses a refresh token twice loses the whole family, at once.
    sandbox.variants.refresh_grace = -1.0
    (process,) = machine.start()
    visitor = machine.visitor(process)
    assert visitor.run("login").status == 303
    times = []

    with throng(machine.options(), [Asked.by(visitor, f"http://{visitor.host}/token")] * ROUNDS) as crowd:
        for done in range(1, ROUNDS + 1):
            machine.advance(3600)
            times.append(sandbox.now())
            crowd.begin()
            crowd.end()
            assert refreshes(sandbox) == done
        answers = crowd.answers()

    for number, of_round in enumerate(answers):
        assert {answer.status for answer in of_round} == {200}, [a.text for a in of_round if a.status != 200][:1]
        (said,) = {answer.text for answer in of_round}
        (issued,) = [kept for kept in sandbox.tokens if kept.token in said]
        assert times[number] <= issued.issued_at
    assert not [kept for kept in sandbox.tokens if kept.revoked]
    assert visitor.ask("/token").status == 200


def refreshes(sandbox: Sandbox) -> int:
    return sum(call.form["grant_type"] == "refresh_token" for call in sandbox.calls_to("POST", TOKEN))
