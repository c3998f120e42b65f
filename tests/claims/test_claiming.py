"""Who gets an agent, for how long a claim token is good, and what becomes of an agent whose user is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import psycopg
import pytest

from configure_auth.events import AgentClaimed
from configure_auth.stores.memory import memory_stores

from ..support.statements import each_statement
from ..support.stores import StoresAt
from ..support.web import MakeWeb
from .conftest import MALFORMED, NOBODYS, TAKEN, People, claimed, people_of, said

pytestmark = pytest.mark.all_stores

WEEK = 7 * 24 * 3600


@pytest.mark.catalogue("M1")
def test_an_agent_belongs_to_who_claims_it_first(people: People) -> None:
    token = people.register("a1")
    assert people.owner("a1") is None

    assert people.claim("ada", token) == claimed("a1")
    assert people.claim("ada", token) == claimed("a1")
    assert people.claim("bob", token) == TAKEN

    assert people.claim("ada", token) == claimed("a1")
    assert people.owner("a1") == "ada"
    assert (people.owned_by("ada"), people.owned_by("bob"), people.owned_by(None)) == (["a1"], [], [])
    # Told once, of who got it.
    assert people.events == [AgentClaimed(agent_id="a1", user_id="ada")]


def test_a_user_may_have_many_agents_and_each_has_one_user(people: People) -> None:
    tokens = {agent_id: people.register(agent_id) for agent_id in ("b", "a", "Z", "é")}

    for agent_id, token in tokens.items():
        assert people.claim("bob" if agent_id == "a" else "ada", token) == claimed(agent_id)

    assert people.owned_by("ada") == ["Z", "b", "é"]
    assert people.owned_by("bob") == ["a"]
    assert len(people.events) == 4


@pytest.mark.catalogue("M3")
def test_what_is_no_token_of_an_agent_is_nobodys(people: People) -> None:
    token = people.register()
    assert token.swapcase() != token
    near = [token[:-1], f"{token}A", token.swapcase(), token[::-1], f"{token[:-1]}é", f"{token}=", f" {token}"]
    far = ["A" * 43, token.encode().hex(), f"{token}\n", f"{token}\0", "", "x", "%" * 43, "A" * 9999]
    bodies: list[dict[str, object]] = [{"claimToken": one} for one in near + far]
    bodies += [{"claimToken": one} for one in (None, 0, 1.5, True, [token], {}, {"claimToken": token})]
    bodies += [{}, {"token": token}, {"claimtoken": token}, {"claimToken ": token}]
    bodies.append({"claimToken": None, "claim_token": token})
    unknown = {f"{token[:-1]}A", token.swapcase(), token[::-1], "A" * 43}

    with people.nothing_done():
        for body in bodies:
            given = body.get("claimToken")
            expected = NOBODYS if isinstance(given, str) and given in unknown else MALFORMED
            assert said(people.post("ada", body)) == expected, body

    assert people.claim("ada", token) == claimed("a1")


def test_each_failure_of_a_claim_has_a_message_of_its_own(people: People) -> None:
    token, taken = people.register("a1"), people.register("a2")
    people.claim("bob", taken)

    bodies: list[dict[str, object]] = [{}, {"claimToken": token[:-1]}, {"claimToken": "A" * 43}, {"claimToken": taken}]
    answers = [people.post("ada", body).json() for body in bodies]

    assert [one["error"] for one in answers] == ["invalid_request", "invalid_request", "expired", "already_used"]
    for one, word in zip(answers, ("missing", "malformed", "replaced by a newer one", "another user"), strict=True):
        assert word in one["message"]
    assert token not in str(answers)
    status, refusal = people.registering("a2")
    assert (status, refusal["code"]) == (409, "agent_owned")


def test_a_token_may_come_in_either_spelling(people: People) -> None:
    token = people.register()

    assert said(people.post("ada", {"claim_token": token})) == claimed("a1")


@pytest.mark.catalogue("M3")
def test_a_token_is_good_for_seven_days(people: People) -> None:
    early, late = people.register("a1"), people.register("a2")
    people.web.sandbox.advance(WEEK - 60)
    assert people.claim("ada", early) == claimed("a1")
    people.web.sandbox.advance(60)

    # As one that never was; for its owner too.
    assert people.claim("ada", late) == NOBODYS
    assert people.claim("ada", early) == people.claim("bob", early) == NOBODYS
    assert (people.owner("a1"), people.owner("a2")) == ("ada", None)

    again = people.register("a2")
    assert people.claim("bob", late) == NOBODYS
    assert people.claim("bob", again) == claimed("a2")


def test_a_new_registration_makes_the_old_token_worthless(people: People) -> None:
    first, second, third = (people.register() for _ in range(3))
    assert len({first, second, third}) == 3

    with people.nothing_done():
        assert people.claim("ada", first) == people.claim("ada", second) == NOBODYS
    assert people.claim("ada", third) == claimed("a1")
    assert people.claim("bob", first) == NOBODYS


def test_an_agent_that_somebody_has_is_not_registered_again(people: People) -> None:
    token = people.register()
    people.claim("ada", token)

    for days in (0, 8):
        people.web.sandbox.advance(days * 24 * 3600)
        status, body = people.registering("a1")
        assert (status, body["code"]) == (409, "agent_owned")
        assert people.owner() == "ada"
    assert people.registering("a2")[0] == 200


def test_an_unclaimed_and_an_unknown_agent_have_no_owner(people: People) -> None:
    people.register("a1")

    answers = [people.browser(None).get(f"/agents/{agent_id}/owner") for agent_id in ("a1", "a2")]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["code"] == "agent_no_owner"
    assert "must claim it" in answers[0].json()["message"]


def test_an_id_that_no_store_can_keep_is_refused_in_a_sentence(people: People) -> None:
    for agent_id in ("x" * 256, "a%00b"):
        status, body = people.registering(agent_id)
        assert (status, body["code"]) == (500, "misconfigured")
        assert "agent_id must be the app's own id of an agent" in body["message"]
        assert people.browser(None).get(f"/agents/{agent_id}/owner").json() == body


def test_whoever_gets_a_forgotten_users_id_inherits_no_agent(people: People) -> None:
    tokens = {agent_id: people.register(agent_id) for agent_id in ("a1", "a2", "a3", "a4")}
    for agent_id, user_id in {"a1": "ada", "a2": "ada", "a3": "bob"}.items():
        people.claim(user_id, tokens[agent_id])

    assert people.browser(None).post("/forget/ada").status_code == 200

    assert (people.owned_by("ada"), people.owned_by("bob")) == ([], ["a3"])
    assert [people.owner(agent_id) for agent_id in tokens] == [None, None, "bob", None]
    # Neither does the old token bring one back.
    for user_id in ("ada", "bob"):
        assert people.claim(user_id, tokens["a1"]) == NOBODYS
    # The app may give them out again, and what nobody had is as it was.
    assert people.claim("bob", people.register("a1")) == claimed("a1")
    assert people.claim("bob", tokens["a4"]) == claimed("a4")


@pytest.mark.catalogue("B5")
def test_two_apps_on_one_store_never_see_each_others_agents(
    make_web: MakeWeb, store: str, stores_at: StoresAt, tmp_path: Path
) -> None:
    stores = {"store": memory_stores()} if store == "memory" else stores_at(store, tmp_path)
    app: dict[str, Any] = {"claims": {}, "link": None, "login": None, "stores": stores}
    web = make_web(**app)
    credentials = asdict(web.sandbox.add_agent("another"))
    named = {f"CONFIGURE_{name.upper()}": value for name, value in credentials.items()}
    named |= {f"CONFIGURE_OAUTH_{name.upper()}": credentials[name] for name in ("client_id", "client_secret")}
    with people_of(web) as ours, people_of(make_web(**app, settings=named)) as theirs:
        mine, yours = ours.register("a1"), theirs.register("a1")
        ours.register("a2")

        assert (theirs.claim("ada", mine), ours.claim("ada", yours)) == (NOBODYS, NOBODYS)
        assert ours.claim("ada", mine) == claimed("a1")
        assert (theirs.owner("a1"), theirs.owned_by("ada")) == (None, [])
        assert (theirs.claim("ada", mine), theirs.claim("bob", mine)) == (NOBODYS, NOBODYS)
        assert theirs.claim("bob", yours) == claimed("a1")
        assert theirs.registering("a2")[0] == 200
        assert (ours.owner("a1"), theirs.owner("a1")) == ("ada", "bob")

        for user_id in ("ada", "bob"):
            theirs.browser(None).post(f"/forget/{user_id}").raise_for_status()
        assert (ours.owner("a1"), theirs.owner("a1")) == ("ada", None)


durable = pytest.mark.parametrize("store", ["sqlite", "postgresql"])


@contextmanager
def commits(store: str, *, done: bool) -> Iterator[None]:
    """Within the block every commit of this process fails, done or not."""

    def fail(statement: str) -> None:
        if statement == "COMMIT":
            error = OperationalError if store == "sqlite" else psycopg.OperationalError
            raise error("disk I/O error")

    with each_statement(fail) if done else each_statement(len, before=fail):
        yield


@pytest.mark.catalogue("M6")
@durable
def test_a_claim_whose_commit_fails_is_none(people: People, store: str) -> None:
    token = people.register()
    browser = people.browser("ada")

    with people.nothing_done(), commits(store, done=False):
        answer = people.post("ada", {"claimToken": token})

    assert said(answer) == (503, {"error": "store_busy"})
    assert answer.headers["retry-after"] == "2"
    assert browser.get("/agents").json() == {"agents": []}
    # So anybody may still have it.
    assert people.claim("bob", token) == claimed("a1")
    assert people.claim("ada", token) == TAKEN
    assert people.events == [AgentClaimed(agent_id="a1", user_id="bob")]


@pytest.mark.catalogue("Q4")
@durable
def test_a_claim_whose_commit_gave_no_answer_is_asked_again(people: People, store: str) -> None:
    token = people.register()
    people.browser("ada")

    with commits(store, done=True):
        assert said(people.post("ada", {"claimToken": token})) == (503, {"error": "store_busy"})

    assert people.owner() == "ada"
    assert people.claim("bob", token) == TAKEN
    assert people.claim("ada", token) == claimed("a1")


@durable
def test_a_registration_whose_commit_fails_leaves_the_old_token_good(people: People, store: str) -> None:
    token = people.register()

    with commits(store, done=False):
        assert people.registering("a1")[0] == 503

    assert people.claim("ada", token) == claimed("a1")
