"""What is disconnected, deleted or taken while a callback is on its way stays so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from configure_auth import StoreError
from configure_auth.stores import StoredAccount, Stores
from configure_auth.stores.memory import memory_stores
from configure_auth.values import PendingSignIn

from ..stores.opened import opened
from ..support.stores import first
from ..support.visitor import EXCHANGE, Got, Visitor, at_once
from ..support.web import Web

T = TypeVar("T")

ONE, OTHER = "+15550100001", "+15550100002"


def account(visitor: Visitor) -> dict[str, Any] | None:
    found: dict[str, Any] | None = visitor.ask("/account").json["account"]
    return found


def interrupted(got: Got) -> bool:
    return got.status == 409 and "interrupted" in got.text


@pytest.mark.catalogue("I12")
@pytest.mark.parametrize("gone", ["/unlink", "/configure/disconnect", "/forget/u1"])
def test_a_callback_brings_nothing_back(web: Web, visitor: Visitor, gone: str) -> None:
    visitor.sign_in_locally("u1")
    callback = visitor.start("link")

    with web.sandbox.hold(EXCHANGE) as held, ThreadPoolExecutor(1) as other:
        answer = other.submit(visitor.ask, callback, site="cross-site")
        held.arrived.wait()
        assert visitor.post(gone).status in (200, 303)
        held.release()

    assert interrupted(answer.result())
    assert account(visitor) is None


@pytest.mark.catalogue("Q10")
@pytest.mark.parametrize("phone", [ONE, OTHER], ids=["same-person", "another-person"])
def test_a_callback_changes_nothing_of_a_newer_connection(web: Web, visitor: Visitor, phone: str) -> None:
    visitor.sign_in_locally("u1")
    assert visitor.run("link", OTHER).status == 303
    callback = visitor.start("link", ONE, "?replace=1")

    with web.sandbox.hold(EXCHANGE) as held, ThreadPoolExecutor(1) as other:
        answer = other.submit(visitor.ask, callback, site="cross-site")
        held.arrived.wait()
        # Only the request that is there already stays held.
        held.path = "/nowhere"
        visitor.post("/unlink")
        assert visitor.run("link", phone).status == 303
        newer = account(visitor), visitor.ask("/token").text
        held.release()

    assert interrupted(answer.result())
    assert (account(visitor), visitor.ask("/token").text) == newer
    assert newer[0] is not None


@pytest.mark.catalogue("I7")
def test_of_two_users_who_connect_one_configure_user_at_once_one_wins(web: Web, visitor: Visitor) -> None:
    visitors = [visitor, Visitor.of(web)]
    for number, one in enumerate(visitors):
        one.sign_in_locally(f"u{number}")
    callbacks = [one.start("link", ONE) for one in visitors]

    with web.sandbox.hold(EXCHANGE) as held, ThreadPoolExecutor(2) as others:
        answers = [
            others.submit(one.ask, callback, site="cross-site")
            for one, callback in zip(visitors, callbacks, strict=True)
        ]
        held.arrived.wait(2)
        held.release()

    got = [answer.result() for answer in answers]
    assert sorted(one.status for one in got) == [303, 409], [one.text for one in got]
    assert ["account_taken" in one.text for one in got] == [one.status == 409 for one in got]
    assert [account(one) is not None for one in visitors] == [one.status == 303 for one in got]


@pytest.fixture(params=first(["sqlite", "memory", "two-engines"]))
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Stores, Stores]:
    """Stores for half of the threads each, which stand for two processes where they are two engines."""
    if request.param == "memory":
        one = memory_stores()
        return one, one

    def engine() -> Stores:
        stores = opened("sqlite:///x.db", tmp_path)
        request.addfinalizer(stores.close)
        return stores

    first = engine()
    return first, first if request.param == "sqlite" else engine()


def _account(user_id: str, configure_user_id: str) -> StoredAccount:
    return StoredAccount(
        agent="a",
        kind="agent",
        user_id=user_id,
        configure_user_id=configure_user_id,
        token="sealed",
        expires_at=None,
        scopes=(),
        linked_at=0,
    )


def patiently(step: Callable[[], T]) -> T:
    """A step of a store, taken again where SQLite was busy for 2 s, which a busy machine may be: nothing was done."""
    for _ in range(9):
        with suppress(StoreError):
            return step()
    return step()


def test_many_pairs_in_16_threads_have_one_winner_each(engines: tuple[Stores, Stores]) -> None:
    """16 users claim each of 20 Configure users, every one of them in another order."""
    pairs = 20

    def claim_all(number: int) -> list[tuple[str, str]]:
        accounts, user = engines[number % 2].accounts, f"u{number}"
        ends: list[tuple[str, str]] = []
        for step in range(pairs):
            configure_user_id = f"c{(step + number) % pairs}"
            account = _account(f"{user}-{configure_user_id}", configure_user_id)
            version = patiently(partial(accounts.version, "a", account.user_id))
            saved = patiently(partial(accounts.save, account, version=version))
            ends.append((configure_user_id, saved.end))
        return ends

    ends = Counter(end for ends in at_once(16, claim_all) for end in ends)

    assert ends == Counter(
        {(f"c{n}", "saved"): 1 for n in range(pairs)} | {(f"c{n}", "taken"): 15 for n in range(pairs)}
    )
    accounts = engines[0].accounts
    for number in range(pairs):
        assert sum(bool(accounts.find("a", f"u{user}-c{number}")) for user in range(16)) == 1


def test_16_threads_that_connect_one_user_to_different_people_leave_one(engines: tuple[Stores, Stores]) -> None:
    def claim(number: int) -> str:
        accounts = engines[number % 2].accounts
        return accounts.save(_account("u1", f"c{number}"), version=None).end

    ends = Counter(at_once(16, claim))

    assert ends == {"saved": 1, "connected": 15}


def test_a_lease_is_held_by_one_of_16_threads(engines: tuple[Stores, Stores]) -> None:
    held = at_once(16, lambda n: engines[n % 2].leases.acquire("refresh", owner=str(n), until=100, now=0))

    assert Counter(held) == {True: 1, False: 15}


@pytest.mark.catalogue("Q13", "A15")
def test_each_of_10_states_is_claimed_by_one_of_16_threads(engines: tuple[Stores, Stores]) -> None:
    pending = PendingSignIn(
        state_hash="",
        browser_hash="browser",
        intent="login",
        agent="a",
        user_id=None,
        next=None,
        verifier=None,
        redirect_uri="http://localhost/callback",
        version=None,
        replace=False,
        created_at=0,
        expires_at=900,
    )
    for number in range(10):
        engines[0].states.put(replace(pending, state_hash=f"s{number}"), limit=10, now=0)

    def claim_all(number: int) -> list[str]:
        states, order = engines[number % 2].states, [f"s{(number + step) % 10}" for step in range(10)]
        return [s for s in order if states.claim(s, browser_hash="browser", intent="login", agent="a", now=1)]

    assert Counter(s for won in at_once(16, claim_all) for s in won) == {f"s{n}": 1 for n in range(10)}
