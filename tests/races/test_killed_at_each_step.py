"""A process is killed at each step of a link and of a refresh: nothing is half, and the person can try again."""

from __future__ import annotations

import http.client
import signal
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from ..support.doom import Doom, When
from ..support.processes import AppProcess, Machine
from ..support.visitor import EXCHANGE, TOKEN, Got, Visitor

pytestmark = pytest.mark.extended

MOST_STEPS = 20
WENT_ON, INTERRUPTED, RECONNECT = "went on", "interrupted", "reconnect"


@pytest.fixture
def survivor(machine: Machine) -> AppProcess:
    (process,) = machine.start()
    return process


def killed_in(machine: Machine, when: When, step: int, request: Callable[[AppProcess], Got]) -> bool:
    """Whether a process that dies at this step had such a step, and so did not answer."""
    (doomed,) = machine.start_doomed(Doom(when, step))
    try:
        got = request(doomed)
    except (ConnectionError, http.client.HTTPException):
        assert doomed.process.wait(30) == -signal.SIGKILL
        return True
    assert got.status in (200, 303), got.text
    return False


def steps(machine: Machine, when: When, act: Callable[[int], tuple[str, bool]]) -> Iterator[str]:
    """How each step's victim fared, up to and without the first one that nothing happened to."""
    for step in range(1, MOST_STEPS):
        end, killed = act(step)
        if not killed:
            return
        yield end
    raise AssertionError("there is no end of steps")


# What a link does: claim, exchange, and save, which also ends the attempt. A save: begin, version, accounts, ownership,
# account, outcome, commit.
LINK: dict[When, list[str]] = {
    "before": [WENT_ON, INTERRUPTED, INTERRUPTED],
    "after": [INTERRUPTED, INTERRUPTED, WENT_ON],
    "inside": [INTERRUPTED] * 6 + [WENT_ON],
}
# Where the attempts are elsewhere: claim, exchange, save, finish. The process asks its database for the first time in
# the save, and looks at the tables before.
LINK_WITH_STATES: dict[When, list[str]] = {
    "before": [WENT_ON, INTERRUPTED, INTERRUPTED, INTERRUPTED],
    "after": [INTERRUPTED, INTERRUPTED, INTERRUPTED, WENT_ON],
    "inside": [INTERRUPTED] * 11,
}


@pytest.mark.catalogue("Q5")
@pytest.mark.parametrize("when", LINK)
def test_a_link(machine: Machine, survivor: AppProcess, when: When) -> None:
    store = machine.stores["store"]

    def link(step: int) -> tuple[str, bool]:
        user_id, phone = f"u{step}", f"+1555010{step:04}"
        visitor = machine.visitor(survivor)
        visitor.sign_in_locally(user_id)
        callback = visitor.start("link", phone)
        sent = len(codes(machine))
        killed = killed_in(machine, when, step, lambda doomed: visitor.come_back(callback, doomed.port))
        assert not half(store)

        machine.advance(31)
        ends = [visitor.come_back(callback) for _ in range(2)]
        assert len(codes(machine)) - sent <= 1
        (end,) = {end_of(got) for got in ends}
        if end == WENT_ON:
            assert connected(visitor)
        assert not half(store)

        assert visitor.run("link", phone).status == 303
        assert connected(visitor)
        assert not half(store)
        assert accounts(store)[user_id] == 1
        assert max(Counter(codes(machine)).values()) == 1
        return end, killed

    ends = list(steps(machine, when, link))
    assert ends == (LINK_WITH_STATES if "states" in machine.stores else LINK)[when]


def end_of(got: Got) -> str:
    if got.status == 303:
        assert got.location == "/settings"
        return WENT_ON
    assert got.status == 409, (got.status, got.text)
    assert "interrupted" in got.text
    return INTERRUPTED


def codes(machine: Machine) -> list[str]:
    """Every code that was sent, as often as it was."""
    return [call.body.decode() for call in machine.sandbox.calls_to("POST", EXCHANGE)]


def connected(visitor: Visitor) -> bool:
    return visitor.ask("/account").json["account"] is not None


# What a refresh does: find, read the key of the ids, which is in the name of the lease, take the lease, find, note it,
# send it, save the new pair, give the lease back.
REFRESH: dict[tuple[When, int], list[str]] = {
    ("before", 31): [WENT_ON] * 8,
    ("after", 31): [WENT_ON] * 8,
    # Sent a minute ago, and no answer was kept: only Configure knows that the refresh token is used up, and is asked.
    ("after", 61): [*[WENT_ON] * 5, RECONNECT, WENT_ON, WENT_ON],
}


@pytest.mark.parametrize(("when", "pause"), REFRESH)
def test_a_refresh(machine: Machine, survivor: AppProcess, when: When, pause: int) -> None:
    def refresh(step: int) -> tuple[str, bool]:
        phone = f"+1555010{step:04}"
        visitor = machine.visitor(survivor)
        assert visitor.run("login", phone).status == 303
        machine.advance(3600)
        before = revoked(machine)
        killed = killed_in(machine, when, step, lambda doomed: visitor.ask("/token", port=doomed.port))

        machine.advance(pause)
        got = visitor.ask("/token")
        end = end_of_refresh(machine, visitor, got)
        again = visitor.ask("/token")
        assert (again.status, again.text) == (got.status, got.text)
        assert not half(machine.stores["store"])

        visitor.post("/out")
        assert visitor.run("login", phone).status == 303
        assert machine.sandbox.is_live(visitor.ask("/token").json["token"])
        assert max(Counter(refresh_tokens(machine)).values(), default=0) <= 2
        # Only the answer to a refresh token that was used up more than a minute ago revokes any.
        assert (revoked(machine) > before) == (end == RECONNECT)
        return end, killed

    assert list(steps(machine, when, refresh)) == REFRESH[when, pause]


def end_of_refresh(machine: Machine, visitor: Visitor, got: Got) -> str:
    needs_reconnect = visitor.ask("/account").json["account"]["needs_reconnect"]
    if got.status == 200:
        assert machine.sandbox.is_live(got.json["token"])
        assert not needs_reconnect
        return WENT_ON
    assert (got.status, got.json["code"]) == (502, "AUTH_REQUIRED")
    assert needs_reconnect
    return RECONNECT


def revoked(machine: Machine) -> int:
    return sum(token.revoked for token in machine.sandbox.tokens)


def refresh_tokens(machine: Machine) -> list[str]:
    """Every refresh token that was sent, as often as it was."""
    forms = (call.form for call in machine.sandbox.calls_to("POST", TOKEN))
    return [form["refresh_token"] for form in forms if form["grant_type"] == "refresh_token"]


def half(store: str) -> list[object]:
    """Accounts without the row of their owner, and owners without an account."""
    same = "accounts.agent = owners.agent AND accounts.configure_user_id = owners.configure_user_id"
    rows = ask(
        store,
        f"""
        SELECT user_id FROM configure_accounts accounts WHERE NOT EXISTS
            (SELECT 1 FROM configure_owners owners WHERE {same} AND owners.user_id = accounts.user_id)
        UNION ALL
        SELECT user_id FROM configure_owners owners WHERE NOT EXISTS
            (SELECT 1 FROM configure_accounts accounts WHERE {same} AND owners.user_id = accounts.user_id)
        """,
    )
    return list(rows)


def accounts(store: str) -> Counter[str]:
    return Counter(user_id for (user_id,) in ask(store, "SELECT user_id FROM configure_accounts"))


def ask(store: str, question: str) -> list[tuple[str, ...]]:
    engine = create_engine(store.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(question))]
