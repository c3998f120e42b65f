"""A claim token is in the answer that gives it out, and nowhere else that anybody looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from configure_auth.stores.schema import TABLES

from ..secrecy.conftest import Ear, Evidence, listening_to_everything, see_files
from ..support.stores import StoresAt
from ..support.web import Adapter, MakeWeb
from .conftest import TAKEN, People, claimed, given_out, people_of, said
from .tables import make_table

durable = pytest.mark.parametrize("store", ["sqlite", "postgresql"])


@pytest.fixture
def ear() -> Iterator[Ear]:
    with listening_to_everything() as ear:
        yield ear


def dump(store: str) -> dict[str, str]:
    """The rows of every table of ours, as text."""
    engine = create_engine(store.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.connect() as connection:
        return {name: repr(connection.execute(text(f"SELECT * FROM {name}")).fetchall()) for name in TABLES}


def in_every_way(people: People, evidence: Evidence) -> None:
    """Claims that are made, and refused at each step."""
    tokens = {name: people.register(name) for name in ("old", "a1", "a2")}
    tokens |= {"new": people.register("old")}
    evidence.plant(**tokens)
    token = tokens["a1"]
    answers = [
        people.post("ada", {"claimToken": token}),
        people.post("ada", {"claimToken": token}),
        people.post("bob", {"claimToken": token}),
        people.post("ada", {"claimToken": tokens["old"]}),
        people.post(None, {"claimToken": token}),
        people.post("ada", {"claimToken": token}, site="cross-site"),
        people.post("ada", {"claimToken": token}, content_type="text/plain"),
        people.post("ada", f'{{"claimToken": "{token}"'.encode()),
        people.post("ada", {"claimToken": token, "x": "x" * 20_000}),
        people.post("ada", {"claimToken": f"{token}x"}),
        people.post("ada", {"claimToken": token}, query=f"?token={token}"),
        people.post("ada", {"claimToken": token}, method="PUT"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 404, 401, 403, 415, 400, 413, 400, 400, 405]
    assert people.registering("a1")[0] == 409
    for answer in answers:
        evidence.see("answer", answer.text, *(f"{name}: {value}" for name, value in answer.headers.items()))
    evidence.see("events", *(repr(event) + str(event) for event in people.events))
    assert len(people.events) == 1


@pytest.mark.catalogue("A21")
@durable
def test_the_store_has_a_hash_of_it_and_no_log_has_it(
    make_web: MakeWeb, store: str, stores_at: StoresAt, ear: Ear
) -> None:
    evidence = Evidence(ear)
    web = make_web(claims={})
    with people_of(web) as people:
        in_every_way(people, evidence)

    stores: Mapping[str, str] = stores_at(store, web.folder)
    rows = dump(stores["store"])
    evidence.see("rows", *rows.values())
    see_files(evidence, web.folder)
    # The test's own client says where it goes; a claim calls nobody.
    ear.heard = [(name, heard) for name, heard in ear.heard if name != "httpx2"]
    assert evidence.leaks() == []
    # So the look was at the right place; and the hash is of the token with what it's for.
    for name, token in evidence.known.items():
        assert (sha256(f"claim:{token}".encode()).hexdigest() in rows["configure_agents"]) == (name != "old")
        assert sha256(token.encode()).hexdigest() not in rows["configure_agents"]


@pytest.mark.parametrize("store", ["memory"])
def test_neither_has_the_trace_of_a_table_that_fails(
    make_web: MakeWeb, adapter: Adapter, ear: Ear, tmp_path: Path
) -> None:
    evidence = Evidence(ear)
    table = make_table(adapter, tmp_path / "app.db")

    def fail() -> None:
        raise RuntimeError("out of order")

    with people_of(make_web(claims={"table": table})) as people:
        token = people.register("7")
        evidence.plant(token=token)
        people.browser("1")
        table.before_commit = fail
        assert said(people.post("1", {"claimToken": token})) == (500, {"error": "misconfigured"})
        table.before_commit = lambda: None
        assert people.claim("1", token) == claimed("7")
        assert people.claim("2", token) == TAKEN

    assert "app.db" in see_files(evidence, tmp_path)
    heard = [said for name, said in ear.heard if name.startswith("configure_auth")]
    assert [said for said in heard if "out of order" in said and "claims.py" in said]
    assert evidence.leaks() == []


@pytest.mark.catalogue("M5")
@pytest.mark.parametrize("store", ["memory"])
def test_it_hides_itself_where_it_is_given_out(make_web: MakeWeb, adapter: Adapter) -> None:
    token = given_out(make_web(claims={}), "a1")

    assert token.reveal() not in repr(token) + str(token) + f"{token}" + repr(vars(type(token)))
    # 256 bits, that no program guesses: there is no other limit to guessing.
    assert len(token.reveal()) == 43
