"""Claims in a table of the app's own, where agents and users have whole numbers for ids."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configure_auth import ClaimedAgent, SettingsError
from configure_auth.events import AgentClaimed
from configure_auth.stores.memory import memory_stores
from configure_auth.values import Secret

from ..support.visitor import at_once
from ..support.web import Adapter, MakeWeb
from .conftest import NOBODYS, TAKEN, People, claimed, people_of, said
from .tables import AwaitedTable, PlainTable, make_table

ADA, BOB = "1", "2"
CROWD = 16


@pytest.fixture
def store() -> str:
    """The agents aren't in it."""
    return "memory"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def table(adapter: Adapter, file: Path) -> PlainTable | AwaitedTable:
    return make_table(adapter, file)


@pytest.fixture
def people(make_web: MakeWeb, table: PlainTable | AwaitedTable) -> Iterator[People]:
    with people_of(make_web(claims={"table": table}, link=None, login=None)) as people:
        yield people


def owners(file: Path) -> dict[int, int | None]:
    with closing(sqlite3.connect(file)) as database:
        return dict(database.execute("SELECT id, owner_user_id FROM agents").fetchall())


def test_an_agent_belongs_to_who_claims_it_first(people: People, file: Path) -> None:
    old, token = people.register("7"), people.register("7")
    assert owners(file) == {7: None}

    assert people.claim(ADA, old) == NOBODYS
    assert people.claim(ADA, token) == claimed("7")
    # In its own numbers the table says that it is hers.
    assert people.claim(ADA, token) == claimed("7")
    assert people.claim(BOB, token) == TAKEN

    assert owners(file) == {7: 1}
    assert people.events == [AgentClaimed(agent_id="7", user_id=ADA)]
    status, body = people.registering("7")
    assert (status, body["code"]) == (409, "agent_owned")
    assert people.claim(ADA, token) == claimed("7")


def test_whose_an_agent_is_the_table_knows(people: People) -> None:
    people.claim(ADA, people.register("7"))

    for path in ("/agents/7/owner", "/agents"):
        answer = people.browser(ADA).get(path)
        assert answer.status_code == 500
        assert answer.json()["code"] == "misconfigured"
        assert answer.json()["message"] == "the agents are in the app's own table; look up their owners there"


def test_the_store_has_none_of_it_and_a_forgotten_users_agents_are_the_apps_to_delete(
    make_web: MakeWeb, table: PlainTable | AwaitedTable, file: Path
) -> None:
    stores = memory_stores()
    with people_of(make_web(claims={"table": table}, stores={"store": stores})) as people:
        people.claim(ADA, people.register("7"))
        app = people.web.sandbox.agent
        assert (stores.agents.owner("7", app=app), stores.agents.owned_by(ADA, app=app)) == (None, ())

        assert people.browser(None).post(f"/forget/{ADA}").json() == {"forgotten": False}
        assert owners(file) == {7: 1}


def test_a_claim_whose_commit_fails_is_none_and_can_be_made_again(
    people: People, table: PlainTable | AwaitedTable, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    token = people.register("7")
    people.browser(ADA)
    table.before_commit = fail

    assert people.claim(ADA, token) == (500, {"error": "misconfigured"})
    assert "disk I/O error" in caplog.text
    assert owners(file) == {7: None}
    assert people.events == []

    table.before_commit = lambda: None
    assert people.claim(BOB, token) == claimed("7")
    assert people.claim(ADA, token) == TAKEN


def test_one_of_many_gets_an_agent(people: People, file: Path) -> None:
    token = people.register("7")
    for number in range(CROWD):
        people.browser(str(number))

    answers = at_once(CROWD, lambda number: people.claim(str(number), token))

    assert Counter(status for status, _ in answers) == {200: 1, 409: CROWD - 1}
    winner = answers.index(claimed("7"))
    assert owners(file) == {7: winner}
    assert people.events == [AgentClaimed(agent_id="7", user_id=str(winner))]


class Given:
    """A table that answers what a test says."""

    def __init__(self, adapter: Adapter, **answers: Any) -> None:
        for name, answer in {"register": True, "claim": None, **answers}.items():
            setattr(self, name, _plain(answer) if adapter == "flask" else _awaited(answer))


def _plain(answer: object) -> Any:
    return lambda *_: answer


def _awaited(answer: object) -> Any:
    async def method(*_: object) -> object:
        return answer

    return method


@pytest.mark.parametrize("answer", [None, 0, 1, "yes"])
def test_a_registration_that_does_not_say_how_it_went_is_refused(
    make_web: MakeWeb, adapter: Adapter, answer: object
) -> None:
    # Where 0 rows changed, the token would be worth nothing.
    with people_of(make_web(claims={"table": Given(adapter, register=answer)})) as people:
        status, body = people.registering("7")

    assert (status, body["code"]) == (500, "misconfigured")
    assert "register() of agent_claims(table=) returned a" in body["message"]
    assert "expected True or False" in body["message"]


ROW = SimpleNamespace(agent_id="7", owner_user_id=ADA, is_new=True)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (True, "returned a bool; expected a ClaimedAgent or None"),
        (("7", ADA), "returned a tuple; expected a ClaimedAgent or None"),
        (ROW, "returned a SimpleNamespace; expected a ClaimedAgent or None"),
        (ClaimedAgent(agent_id="7", owner_user_id=None, is_new=True), "an agent without an owner"),  # type: ignore[arg-type]
        (ClaimedAgent(agent_id="7", owner_user_id=1.5), "ClaimedAgent.owner_user_id: got a float"),  # type: ignore[arg-type]
        (ClaimedAgent(agent_id="", owner_user_id=ADA), "agent_id must be the app's own id"),
    ],
)
def test_a_claim_that_a_table_answers_in_another_way_is_refused(
    make_web: MakeWeb, adapter: Adapter, answer: object, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    with people_of(make_web(claims={"table": Given(adapter, claim=answer)})) as people:
        assert people.claim(ADA, "A" * 43) == (500, {"error": "misconfigured"})
        assert people.events == []

    assert sentence in caplog.text
    assert "where no user is signed in" not in caplog.text


def test_a_table_without_its_two_methods_is_refused_at_once(make_web: MakeWeb) -> None:
    for table in (object(), SimpleNamespace(register=print), SimpleNamespace(register=print, claim=1)):
        with pytest.raises(SettingsError, match=r"needs two methods: register\(agent_id, claim_hash\) and claim"):
            make_web(claims={"table": table})


def test_a_table_gets_a_hash_and_nothing_else_of_the_token(make_web: MakeWeb, adapter: Adapter) -> None:
    seen: list[tuple[object, ...]] = []
    answers = {"register": True, "claim": ClaimedAgent(agent_id="7", owner_user_id=ADA, is_new=True)}
    table = Given(adapter)
    for name, answer in answers.items():
        setattr(table, name, _noting(_plain(answer) if adapter == "flask" else _awaited(answer), seen))
    with people_of(make_web(claims={"table": table})) as people:
        token = people.register("7")
        assert said(people.post(ADA, {"claimToken": token})) == claimed("7")

    (agent_id, hash_registered), (hash_claimed, user_id) = seen
    assert (agent_id, user_id) == ("7", ADA)
    assert hash_registered == hash_claimed
    assert len(str(hash_claimed)) == 64
    assert token not in repr(seen)
    assert not isinstance(hash_claimed, Secret)


def _noting(method: Any, seen: list[tuple[object, ...]]) -> Any:
    def noted(*given: object) -> Any:
        seen.append(given)
        return method(*given)

    return noted
