"""How many transactions and statements each verb and each callback costs, so that one more is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from configure_auth import ConfigureAuthError, Settings
from configure_auth.flask import ConfigureAuth
from configure_auth.sandbox import Sandbox
from configure_auth.stores import Ended
from configure_auth.testing.conformance.records import NOW, attempt, connection

from ..behaviour.conftest import make_web, store, web
from ..support.adapters import either
from ..support.servers import PostgreSQL
from ..support.statements import each_statement
from ..support.stores import StoresAt
from ..support.visitor import Visitor
from ..support.web import Web, query_of
from .asked import claimed, found
from .opened import opened

__all__ = ["either", "make_web", "store", "web"]

ADA, BOB = "+15550100001", "+15550100002"


@dataclass
class Count:
    """`cost` is (transactions, statements in them). A read without a transaction of its own counts as one."""

    statements: list[str] = field(default_factory=list)

    @property
    def cost(self) -> tuple[int, int]:
        ends = [one.split()[0] for one in self.statements]
        assert ends.count("COMMIT") + ends.count("ROLLBACK") == ends.count("BEGIN")
        single, within = 0, False
        for one in ends:
            within = one == "BEGIN" or (within and one not in ("COMMIT", "ROLLBACK"))
            single += not within and one not in ("BEGIN", "COMMIT", "ROLLBACK")
        return ends.count("BEGIN") + single, len(ends) - 2 * ends.count("BEGIN")


@contextmanager
def counted() -> Iterator[Count]:
    count = Count()
    with each_statement(count.statements.append):
        yield count


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
def test_what_callbacks_cost(web: Web) -> None:
    Visitor.of(web).run("login", BOB)  # prepares the store

    def cost(flow: Any, visitor: Visitor) -> tuple[tuple[int, int], tuple[int, int]]:
        with counted() as start:
            callback = visitor.start(flow, ADA)
        with counted() as end:
            assert visitor.come_back(callback).status == 303
        return start.cost, end.cost

    first, again = cost("login", Visitor.of(web)), cost("login", Visitor.of(web))
    linker = Visitor.of(web)
    linker.sign_in_locally("u9")
    with counted() as reload:
        assert linker.get("/account").status == 200

    # A start: the surplus of this browser, and its row; a sweep (2) at most once a second.
    # A callback: claim; look for the owner; version, whether the user was forgotten, accounts, ownership, account and
    # outcome in one transaction.
    assert first[0] in ((1, 2), (1, 4))
    assert first[1] == (3, 8)
    assert again[1] == (3, 6)
    assert reload.cost == (1, 1)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
def test_what_a_link_costs(web: Web) -> None:
    Visitor.of(web).run("login", BOB)
    visitor = Visitor.of(web)
    visitor.sign_in_locally("u9")

    with counted() as start:
        callback = visitor.start("link", ADA)
    with counted() as end:
        assert visitor.come_back(callback).status == 303

    assert start.cost in ((2, 3), (2, 5))
    assert end.cost == (2, 6)


@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
def test_what_verbs_cost(kept_in: str, configure_sandbox: Sandbox, stores_at: StoresAt, tmp_path: Path) -> None:
    settings = Settings.from_mapping(configure_sandbox.environment(app_url="http://localhost"))
    auth = ConfigureAuth(settings, store=stores_at(kept_in, tmp_path)["store"], user_id=lambda: "u1")
    app = Flask(__name__)
    app.secret_key = "a secret key of the app, long enough"
    auth.init_app(app)
    app.register_blueprint(auth.messages())
    app.register_blueprint(auth.agent_claims())
    client, browser = app.test_client(), {"Sec-Fetch-Site": "same-origin", "Cookie": f"__Host-configure={'x' * 43}"}
    ada = configure_sandbox.add_person(ADA)
    completion = {"agent": configure_sandbox.agent, "userId": ada.user_id}
    completion["token"] = configure_sandbox.issue_agent_token(ada)

    def complete() -> None:
        response = client.post("/configure/messages/complete", json=completion)
        assert response.status_code == 200, response.text

    def claim() -> None:
        response = client.post("/api/v1/agents/claim", json=claimed_by, headers=browser)
        assert response.status_code == 200, response.text

    with app.test_request_context("/", headers=browser):
        auth.external_id_for("u1")
        auth.start_journey("somebody")
        claimed_by = {"claimToken": auth.register_agent("before").reveal()}
        completion["journeyId"] = query_of(auth.start_journey("somebody else"))["journey"]
        verbs: dict[str, tuple[Callable[[], object], tuple[int, int]]] = {
            "account": (auth.account, (1, 1)),
            "export_user": (lambda: auth.export_user("u1"), (3, 3)),
            "external_id": (lambda: auth.external_id_for("u1"), (1, 1)),
            "external_id, first": (lambda: auth.external_id_for("u2"), (2, 2)),
            "unlink": (lambda: auth.unlink_for("u1"), (1, 2)),
            "forget_user": (lambda: auth.forget_user("u1"), (9, 11)),
            "start_journey": (lambda: auth.start_journey("somebody"), (1, 2)),
            "message_identity, first": (lambda: auth.message_identity("somebody"), (3, 3)),
            "message_identity": (lambda: auth.message_identity("somebody"), (2, 2)),
            "unlink_subject": (lambda: auth.unlink_subject("somebody"), (1, 3)),
            "forget_subject": (lambda: auth.forget_subject("somebody"), (5, 8)),
            "export_subject": (lambda: auth.export_subject("somebody"), (1, 1)),
            "register_agent": (lambda: auth.register_agent("one"), (1, 1)),
            "agent_owner": (lambda: auth.agent_owner("before"), (1, 1)),
            "agents_owned_by": (lambda: auth.agents_owned_by("u1"), (1, 1)),
            "access_token": (auth.access_token, (1, 1)),
            "forget_browser": (auth.forget_browser, (3, 3)),
            "identity_before_link": (lambda: auth.identity_before_link("somebody"), (2, 2)),
            "message_sign_in_url": (auth.message_sign_in_url, (0, 0)),
            "once": (lambda: auth.once("a message"), (1, 2)),
            "once, again": (lambda: auth.once("a message"), (1, 1)),
            "a journey's callback": (complete, (3, 5)),
            "a journey's callback, again": (complete, (1, 1)),
            "a claim": (claim, (1, 1)),
            "a claim, again": (claim, (1, 2)),
            "reseal": (auth.reseal, (4, 4)),
            "health": (auth.health, (1, 1)),
            "purge": (auth.purge, (2, 3)),
        }
        costs = {}
        for name, (verb, _) in verbs.items():
            with counted() as count, suppress(ConfigureAuthError):
                verb()
            costs[name] = count.cost
    auth.close()

    assert costs == {name: cost for name, (_, cost) in verbs.items()}


@pytest.mark.catalogue("I14")
@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
def test_a_save_ends_its_attempt_in_the_same_transaction_or_not_at_all(
    kept_in: str, stores_at: StoresAt, tmp_path: Path
) -> None:
    stores: Any = opened(stores_at(kept_in, tmp_path)["store"], tmp_path)
    record = attempt("s")
    stores.states.put(record, limit=10, now=NOW)
    assert claimed(stores, record) is not None
    ended = Ended(state_hash=record.state_hash, outcome="sealed", replay="replay", user_id="u1", now=NOW + 2)

    refused = stores.accounts.save(connection("u1", "c1"), version=7, ended=ended)
    before = found(stores, record)
    saved = stores.accounts.save(connection("u1", "c1"), version=None, ended=ended)
    after = found(stores, record)
    stores.close()

    assert stores.finishes
    assert (refused.end, refused.is_finished) == ("stale", False)
    assert before is not None
    assert before.outcome is None
    assert (saved.end, saved.is_finished) == ("saved", True)
    assert after is not None
    assert (after.outcome, after.replay, after.user_id, after.finished_at) == ("sealed", "replay", "u1", NOW + 2)


def test_stores_in_two_databases_are_asked_one_after_the_other(postgresql: PostgreSQL, tmp_path: Path) -> None:
    with postgresql.schema() as url:
        elsewhere = opened(url, tmp_path)
        assert not opened("sqlite:///x.db", tmp_path, elsewhere.states).finishes
        elsewhere.close()
