"""What every store must do, as tests: each sentence of the Protocols, asked through their own methods."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from itertools import count, product
from typing import Any, ClassVar, Protocol, TypeVar, cast

import pytest

from ..errors import StoreError
from ..values import Intent, Kind, PendingSignIn
from . import LINGER, REPLAY, Saved, StoredAccount, Stores

__all__ = ["AccountConformance", "LeaseConformance", "StateConformance", "StoreConformance"]

T = TypeVar("T")

NOW = 1_700_000_000.0
LIFETIME = 900.0
END = NOW + LIFETIME

KINDS: tuple[Kind, ...] = ("agent", "oauth")

PARTS = ("state", "browser", "intent", "agent")
"""What an attempt is known by."""

WRITES = ("put", "finish", "purge")

CONTESTANTS = 10
"""How many threads, or tasks, want the same thing at once."""

ROUNDS = 3
"""How often they do."""

ODD_IDS = (
    *("u", "U", "u ", " u", "u\t", "\nu", "ss", "ß", "é", "e\u0301", "É", "用户", "\U0001f600", "\u202eu"),
    *("'", '"', "'; DROP TABLE users; --", "\\", "$1", "%", "_", "u%", "u_", "%s", ":u", "*", "{0}", "a:b", "a b"),
    *("null", "None", "0", "00", "x" * 255, "X" * 255, "x" * 254, "é" * 255, "\U0001f600" * 255),
)
"""Ids of local and of Configure users that differ from each other, if only by a case, a mark or a space."""


class AtOnce(Protocol):
    def __call__(self, step: Callable[..., T], /, *given: object) -> list[T]:
        """Let each contestant take the step, with the stores, its number and what is given, all at the same time.

        What each of them got.
        """


class _Conformance:
    own_clock: ClassVar[bool] = False

    @pytest.fixture
    def store_runner(self) -> Iterator[asyncio.Runner]:
        """The event loop of one test."""
        with asyncio.Runner() as runner:
            yield runner

    @pytest.fixture
    def kept(self, stores: Stores, store_runner: asyncio.Runner) -> Iterator[Stores]:
        """The stores, with plain methods."""

        def plain(store: object) -> Any:
            return _Plain(store, store_runner)

        yield Stores(plain(stores.states), plain(stores.accounts), plain(stores.leases))
        _waited(stores.close(), store_runner)

    @pytest.fixture
    def at_once(self, stores: Stores, kept: Stores, store_runner: asyncio.Runner) -> AtOnce:
        # It gives back what nobody holds: that does nothing, and tells how the store is asked. `kept` closes it.
        said = cast(object, stores.leases.release("asked how", owner="nobody"))
        awaited = inspect.isawaitable(said)
        _waited(said, store_runner)

        def race(step: Callable[..., T], /, *given: object) -> list[T]:
            def take(number: int) -> T:
                return step(stores, number, *given)

            return store_runner.run(_tasks(take)) if awaited else _threads(take)

        return race


class StateConformance(_Conformance):
    """The attempts."""

    def test_an_attempt_is_read_and_claimed_as_it_was_put(self, kept: Stores) -> None:
        for record in (_odd_attempt(), attempt("s")):
            _put(kept, record)
            claimed = replace(record, claimed_at=NOW + 0.1234567)

            assert _read(kept, record) == record
            assert _claim(kept, record, now=NOW + 0.1234567) == claimed
            assert _read(kept, record) == claimed

    def test_an_attempt_is_claimed_once(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))

        assert _claim(kept, record, now=NOW + 1) is not None
        assert _claim(kept, record, now=NOW + 1) is None
        assert _claim(kept, record, now=NOW + 2) is None
        assert _read(kept, record) == replace(record, claimed_at=NOW + 1)

    def test_one_of_many_claims_an_attempt(self, kept: Stores, at_once: AtOnce) -> None:
        for number in range(ROUNDS):
            record = _put(kept, attempt(f"s{number}"))

            got = at_once(lambda stores, number, record: _claim(stores, record, now=NOW + 1 + number), record)

            assert sum(one is not None for one in got) == 1
            (winner,) = [one for one in got if one is not None]
            assert _read(kept, record) == winner

    def test_a_claim_that_does_not_match_changes_nothing(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))

        for part in PARTS:
            assert _claim(kept, _wrong(record, part)) is None, part
            assert _read(kept, record) == record
        assert _claim(kept, record, now=END) is None
        assert _read(kept, record) == record
        assert _claim(kept, record) is not None

    def test_an_attempt_can_be_claimed_until_it_ends(self, kept: Stores) -> None:
        early, late = _put(kept, attempt("s1")), _put(kept, attempt("s2"))

        assert _claim(kept, early, now=END - 0.5) is not None
        assert _claim(kept, late, now=END) is None

    def test_an_attempt_is_read_by_its_own_browser_only(self, kept: Stores) -> None:
        for record in (_put(kept, attempt("s1")), _put(kept, attempt("s2"))):
            for part in PARTS:
                assert _read(kept, _wrong(record, part)) is None, part
            assert _read(kept, record) is not None
            _claim(kept, record)

            for part in PARTS:
                assert _read(kept, _wrong(record, part)) is None, part
            assert _read(kept, record) is not None

    def test_an_attempt_is_read_until_it_has_lingered(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))

        assert _read(kept, record, now=END) == record
        assert _read(kept, record, now=END + LINGER - 0.5) == record
        assert _read(kept, record, now=END + LINGER) is None

    def test_an_outcome_is_remembered_with_its_user(self, kept: Stores) -> None:
        outcome = "sealed 'outcome' é"
        for number, (starter, replay) in enumerate(product(("starter", None), ("sealed replay \U0001f600", None))):
            record = _put(kept, attempt(f"s{number}", user_id=starter))
            claimed = _claim(kept, record)
            assert claimed is not None

            _finish(kept, record, outcome=outcome, replay=replay, user_id="u1", now=NOW + 2.1234567)

            finished = replace(claimed, outcome=outcome, replay=replay, user_id="u1", finished_at=NOW + 2.1234567)
            assert _read(kept, record) == finished
            assert _read(kept, record, now=END + LINGER - 0.5) == finished

    def test_an_outcome_without_a_user_leaves_it_whose_it_was(self, kept: Stores) -> None:
        for starter in ("starter", None):
            record = _put(kept, attempt(f"s {starter}", user_id=starter))
            _claim(kept, record)

            _finish(kept, record)

            found = _read(kept, record)
            assert found is not None
            assert (found.outcome, found.user_id) == ("outcome", starter)

    def test_an_outcome_is_of_one_attempt_alone(self, kept: Stores) -> None:
        record, other = _put(kept, attempt("s1")), _put(kept, attempt("s2"))
        _claim(kept, record)
        claimed = _claim(kept, other)

        _finish(kept, record, replay="replay", user_id="u1")

        assert _read(kept, other) == claimed

    def test_an_unclaimed_attempt_is_not_finished(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))

        _finish(kept, record, replay="replay", user_id="u1")

        assert _read(kept, record) == record
        assert _claim(kept, record) is not None

    def test_an_unknown_attempt_is_not_finished(self, kept: Stores) -> None:
        _finish(kept, attempt("s"), replay="replay", user_id="u1")

        assert _read(kept, attempt("s")) is None

    def test_a_forgotten_attempt_does_not_come_back_when_it_is_finished(self, kept: Stores) -> None:
        record = _put(kept, attempt("s", user_id="u1"))
        _claim(kept, record)
        kept.states.forget("a", "u1")

        _finish(kept, record, replay="replay", user_id="u1")

        assert _read(kept, record) is None

    def test_a_finished_attempt_is_not_claimed_again(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))
        _claim(kept, record)
        _finish(kept, record)

        assert _claim(kept, record, now=NOW + 3) is None

    def test_a_replay_is_there_for_a_while(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))
        _claim(kept, record)
        _finish(kept, record, replay="replay", now=NOW + 2)

        late = NOW + 2 + REPLAY - 0.5
        for write in WRITES:
            _write(kept, write, now=late)

            found = _read(kept, record, now=late)
            assert found is not None
            assert found.replay == "replay", write

    def test_a_replay_goes_with_a_later_write_and_the_outcome_stays(self, kept: Stores) -> None:
        if self.own_clock:
            pytest.skip("its own clock wipes it")
        for number, write in enumerate(WRITES):
            record, ended = _put(kept, attempt(f"s{number}")), NOW + 100 * number
            claimed = _claim(kept, record)
            assert claimed is not None
            _finish(kept, record, replay="replay", now=ended)

            _write(kept, write, now=ended + REPLAY)

            assert _read(kept, record) == replace(claimed, outcome="outcome", finished_at=ended), write

    def test_the_oldest_open_attempts_of_a_browser_go(self, kept: Stores) -> None:
        intents: tuple[Intent, ...] = ("link", "login", "provider")
        records = [attempt(f"s{n}", created_at=NOW + n, intent=intents[n % 3]) for n in range(6)]
        for record in records:
            _put(kept, record, limit=3)

        assert [_read(kept, record) for record in records] == [None, None, None, *records[3:]]
        assert [_claim(kept, record) for record in records[:3]] == [None, None, None]

    def test_one_attempt_of_a_browser_may_be_all(self, kept: Stores) -> None:
        records = [_put(kept, attempt(f"s{n}", created_at=NOW + n), limit=1) for n in range(3)]

        assert [_read(kept, record) for record in records] == [None, None, records[2]]

    def test_no_more_attempts_of_a_browser_than_may_be_are_left_after_many_at_once(
        self, kept: Stores, at_once: AtOnce
    ) -> None:
        records = [attempt(f"s{n}", created_at=NOW + n) for n in range(CONTESTANTS)]
        at_once(lambda stores, number: _step_put(stores, records[number]))

        # Those that came at the same moment may not have seen each other; the next one sees them all.
        last = _put(kept, attempt("last", created_at=NOW + 100), limit=3)

        assert sum(_read(kept, record) is not None for record in records) == 2
        assert _read(kept, last) == last

    def test_claimed_attempts_neither_count_nor_go(self, kept: Stores) -> None:
        claimed = _put(kept, attempt("s0"), limit=2)
        _claim(kept, claimed)
        records = [_put(kept, attempt(f"s{n}", created_at=NOW + n), limit=2) for n in (1, 2)]

        assert [_read(kept, record) for record in records] == records
        assert _read(kept, claimed) is not None
        _finish(kept, claimed)
        _put(kept, attempt("s3", created_at=NOW + 3), limit=2)
        assert [_read(kept, record) for record in records] == [None, records[1]]
        assert _read(kept, claimed) is not None

    def test_the_attempts_of_another_browser_and_agent_neither_count_nor_go(self, kept: Stores) -> None:
        others = [attempt("s1", browser_hash=_hash("another browser")), attempt("s2", agent="b")]
        for other in others:
            _put(kept, other, limit=1)
        record = _put(kept, attempt("s3", created_at=NOW + 1), limit=1)

        assert [_read(kept, one) for one in (*others, record)] == [*others, record]

    def test_the_attempts_of_a_user_are_forgotten(self, kept: Stores) -> None:
        # They started it signed in; they ended as that user; they were there before as another one.
        started, ended, changed = attempt("s1", user_id="u1"), attempt("s2"), attempt("s3", user_id="starter")
        for record in (started, ended, changed):
            _put(kept, record)
        for record in (ended, changed):
            _claim(kept, record)
            _finish(kept, record, replay="replay", user_id="u1")

        kept.states.forget("a", "u1")

        assert [_read(kept, record) for record in (started, ended, changed)] == [None, None, None]
        assert _claim(kept, started) is None

    def test_the_attempts_of_nobody_else_are_forgotten(self, kept: Stores) -> None:
        records = [attempt("s1", user_id="u2"), attempt("s2"), attempt("s3", user_id="u1", agent="b")]
        for record in records:
            _put(kept, record)

        kept.states.forget("a", "u1")

        assert [_read(kept, record) for record in records] == records

    def test_an_attempt_that_was_forgotten_does_not_count(self, kept: Stores) -> None:
        _put(kept, attempt("s1", user_id="u1", created_at=NOW + 1), limit=2)
        other = _put(kept, attempt("s2", created_at=NOW), limit=2)
        kept.states.forget("a", "u1")

        newer = _put(kept, attempt("s3", created_at=NOW + 2), limit=2)

        assert [_read(kept, other), _read(kept, newer)] == [other, newer]

    def test_what_has_ended_is_purged_and_nothing_else(self, kept: Stores) -> None:
        ended = [_put(kept, attempt(f"s{n}", user_id="u1")) for n in range(5)]
        _claim(kept, ended[0])
        _finish(kept, ended[1])
        present = _put(kept, attempt("s5", expires_at=END + 0.5))

        counted = _purge(kept, now=END + LINGER)

        assert self.own_clock or counted == 5
        assert self.own_clock or [_read(kept, record) for record in ended] == [None] * 5
        assert _read(kept, present) == present

    def test_nothing_is_purged_that_lingers(self, kept: Stores) -> None:
        record = _put(kept, attempt("s"))

        assert _purge(kept, now=END + LINGER - 0.5) == 0
        assert _read(kept, record) == record

    def test_there_is_nothing_to_purge_where_nothing_is(self, kept: Stores) -> None:
        assert kept.states.purge(now=NOW) == 0

    def test_attempts_of_odd_users_are_told_apart(self, kept: Stores) -> None:
        records = [
            _put(kept, attempt(f"s{number}", user_id=user_id, browser_hash=_hash(f"browser {number}")))
            for number, user_id in enumerate(ODD_IDS)
        ]
        for record in records[::3]:
            _claim(kept, record)
            _finish(kept, record, user_id=record.user_id)
        assert [found.user_id for one in records if (found := _read(kept, one))] == list(ODD_IDS)

        for half in (0, 1):
            for user_id in ODD_IDS[half::2]:
                kept.states.forget("a", user_id)
            left = [] if half else list(ODD_IDS[1::2])
            assert [found.user_id for one in records if (found := _read(kept, one))] == left


class AccountConformance(_Conformance):
    """The connections."""

    def test_a_version_is_random_and_stays(self, kept: Stores) -> None:
        users = [("a", "u1"), ("a", "u2"), ("a", "u3"), ("b", "u1")]

        versions = [kept.accounts.version(*user) for user in users]

        assert len(set(versions)) == len(users)
        assert [kept.accounts.version(*user) for user in users] == versions

    def test_versions_have_room_for_chance(self, kept: Stores) -> None:
        versions = [kept.accounts.version("a", f"u{number}") for number in range(16)]

        assert max(versions) - min(versions) > 2**32

    def test_many_are_told_the_same_new_version(self, kept: Stores, at_once: AtOnce) -> None:
        for number in range(ROUNDS):
            user_id = f"u{number}"
            told = at_once(lambda stores, _, user_id: stores.accounts.version("a", user_id), user_id)

            assert set(told) == {kept.accounts.version("a", user_id)}

    def test_a_connection_is_found_as_it_was_saved(self, kept: Stores) -> None:
        for number, account in enumerate(_odd_accounts()):
            assert kept.accounts.save(account, version=None) == Saved("saved"), number
            (found,) = kept.accounts.find("a", account.user_id)
            assert found == replace(account, serial=found.serial)
            assert found.serial not in ("", account.serial)
            assert kept.accounts.owner("a", account.configure_user_id) == (
                account.user_id,
                kept.accounts.version("a", account.user_id),
            )

    def test_a_connection_is_saved_at_its_users_version(self, kept: Stores) -> None:
        version = kept.accounts.version("a", "u1")

        assert kept.accounts.save(connection("u1", "c1"), version=version).end == "saved"
        assert _ids(kept, "u1") == ["agent c1"]

    def test_a_save_at_another_version_is_stale(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        versions = {user_id: kept.accounts.version("a", user_id) for user_id in ("u1", "u2")}
        before = _all(kept)

        # The neighbours too: a version that was rounded lets an old one pass.
        for (user_id, identity), off_by in product((("u1", "c1"), ("u2", "c2")), (1, -1, 2**40)):
            saved = kept.accounts.save(connection(user_id, identity, token="new"), version=versions[user_id] + off_by)
            assert saved == Saved("stale")
        saved = kept.accounts.save(connection("u1", "c1", token="new"), version=versions["u2"])
        assert saved == Saved("stale")
        assert _all(kept) == before

    def test_a_save_at_the_version_of_nobody_is_stale(self, kept: Stores) -> None:
        assert kept.accounts.save(connection("u1", "c1"), version=1) == Saved("stale")
        assert kept.accounts.find("a", "u1") == ()
        assert kept.accounts.owner("a", "c1") is None

    def test_a_stale_save_takes_nothing_over(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        kept.accounts.save(connection("u2", "c2"), version=None)
        before = _all(kept)
        version = kept.accounts.version("a", "u1")

        saved = kept.accounts.save(connection("u1", "c2"), version=version + 1, replace=True, move_from="u2")

        assert saved == Saved("stale")
        assert _all(kept) == before

    @pytest.mark.parametrize("replaces", [True, False], ids=["replace", "keep"])
    def test_the_same_pair_is_renewed(self, kept: Stores, replaces: bool) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        version = kept.accounts.version("a", "u1")
        (old,) = kept.accounts.find("a", "u1")
        newer = connection("u1", "c1", token="new", scopes=("email",), linked_at=NOW + 1, needs_reconnect=True)

        assert kept.accounts.save(newer, version=version, replace=replaces) == Saved("saved")

        (found,) = kept.accounts.find("a", "u1")
        assert found == replace(newer, serial=found.serial)
        assert found.serial != old.serial
        assert kept.accounts.owner("a", "c1") == ("u1", version)

    def test_the_same_save_twice_has_two_serials(self, kept: Stores) -> None:
        account = connection("u1", "c1", serial="mine")
        serials = set()
        for _ in range(3):
            kept.accounts.save(account, version=None)
            serials |= {one.serial for one in kept.accounts.find("a", "u1")}

        assert len(serials) == 3

    def test_both_kinds_of_one_pair_are_found_the_link_first(self, kept: Stores) -> None:
        for kind in reversed(KINDS):
            saved = kept.accounts.save(connection("u1", "c1", kind=kind), version=None)
            assert saved == Saved("saved")

        assert _ids(kept, "u1") == ["agent c1", "oauth c1"]

    def test_a_configure_user_of_another_user_is_taken(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1", kind="agent"), version=None)
        kept.accounts.save(connection("u2", "c2"), version=None)
        before = _all(kept)
        version = kept.accounts.version("a", "u2")

        for kind, replaces, move_from in product(KINDS, (True, False), (None, "u2", "u3")):
            account = connection("u2", "c1", kind=kind)
            saved = kept.accounts.save(account, version=version, replace=replaces, move_from=move_from)

            assert saved == Saved("taken", owner="u1"), (kind, replaces, move_from)
            assert _all(kept) == before

    def test_a_user_of_another_configure_user_is_connected(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1", kind="agent"), version=None)
        before = _all(kept)

        for kind in KINDS:
            assert kept.accounts.save(connection("u1", "c2", kind=kind), version=None) == Saved("connected"), kind
            assert _all(kept) == before

    @pytest.mark.parametrize("kind", ["agent", "oauth"])
    def test_another_configure_user_may_take_the_place(self, kept: Stores, kind: Kind) -> None:
        for old in KINDS:
            kept.accounts.save(connection("u1", "c1", kind=old), version=None)
        before = kept.accounts.find("a", "u1")
        version = kept.accounts.version("a", "u1")

        saved = kept.accounts.save(connection("u1", "c2", kind=kind), version=version, replace=True)

        assert saved.end == "saved"
        assert _by_kind(saved.unlinked) == before
        assert _ids(kept, "u1") == [f"{kind} c2"]
        assert kept.accounts.owner("a", "c1") is None
        assert kept.accounts.owner("a", "c2") == ("u1", kept.accounts.version("a", "u1"))
        assert kept.accounts.save(connection("u2", "c1"), version=None) == Saved("saved")

    def test_a_configure_user_moves_from_its_owner(self, kept: Stores) -> None:
        for kind in KINDS:
            kept.accounts.save(connection("u1", "c1", kind=kind), version=None)
        lost, raised = kept.accounts.find("a", "u1"), kept.accounts.version("a", "u1")
        version = kept.accounts.version("a", "u2")

        saved = kept.accounts.save(connection("u2", "c1", kind="oauth"), version=version, move_from="u1")

        assert saved.end == "saved"
        assert _by_kind(saved.unlinked) == lost
        assert _ids(kept, "u1") == []
        assert _ids(kept, "u2") == ["oauth c1"]
        assert kept.accounts.owner("a", "c1") == ("u2", kept.accounts.version("a", "u2"))
        # What is in flight for the one who lost it brings nothing back.
        assert kept.accounts.save(connection("u1", "c3"), version=raised) == Saved("stale")

    @pytest.mark.parametrize("move_from", ["u1", "u2"])
    def test_nothing_needs_to_move_where_nobody_is_the_owner(self, kept: Stores, move_from: str) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        before, version = kept.accounts.find("a", "u1"), kept.accounts.version("a", "u1")

        assert kept.accounts.save(connection("u2", "c2"), version=None, move_from=move_from) == Saved("saved")
        assert kept.accounts.find("a", "u1") == before
        assert kept.accounts.version("a", "u1") == version

    def test_a_renewal_moves_nothing(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        version = kept.accounts.version("a", "u1")

        assert kept.accounts.save(connection("u1", "c1"), version=version, move_from="u1") == Saved("saved")
        assert _ids(kept, "u1") == ["agent c1"]
        assert kept.accounts.version("a", "u1") == version

    def test_who_is_connected_moves_nothing_without_replace(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        kept.accounts.save(connection("u2", "c2"), version=None)
        before = _all(kept)

        assert kept.accounts.save(connection("u2", "c1"), version=None, move_from="u1") == Saved("connected")
        assert _all(kept) == before

    def test_a_move_may_take_the_place_of_another(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        kept.accounts.save(connection("u2", "c2"), version=None)
        lost = kept.accounts.find("a", "u1") + kept.accounts.find("a", "u2")

        saved = kept.accounts.save(connection("u2", "c1"), version=None, replace=True, move_from="u1")

        assert saved.end == "saved"
        assert tuple(sorted(saved.unlinked, key=lambda one: one.user_id)) == lost
        assert _all(kept)[:2] == ([], ["agent c1"])
        assert kept.accounts.owner("a", "c2") is None

    def test_one_of_many_users_gets_a_configure_user(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            identity = f"c{turn}"
            got = at_once(
                lambda stores, number, identity: stores.accounts.save(
                    connection(f"{identity} u{number}", identity, kind=KINDS[number % 2]), version=None
                ),
                identity,
            )

            assert Counter(saved.end for saved in got) == {"saved": 1, "taken": CONTESTANTS - 1}
            (winner,) = [number for number, saved in enumerate(got) if saved.end == "saved"]
            owner = f"{identity} u{winner}"
            assert {saved.owner for saved in got if saved.end == "taken"} == {owner}
            assert kept.accounts.owner("a", identity) == (owner, kept.accounts.version("a", owner))
            assert [n for n in range(CONTESTANTS) if _ids(kept, f"{identity} u{n}")] == [winner]

    def test_one_of_many_configure_users_gets_a_user(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            user_id = f"u{turn}"
            version = kept.accounts.version("a", user_id)
            got = at_once(
                lambda stores, number, user_id, version: stores.accounts.save(
                    connection(user_id, f"{user_id} c{number}", kind=KINDS[number % 2]), version=version
                ),
                user_id,
                version,
            )

            assert Counter(saved.end for saved in got) == {"saved": 1, "connected": CONTESTANTS - 1}
            (winner,) = [number for number, saved in enumerate(got) if saved.end == "saved"]
            assert _ids(kept, user_id) == [f"{KINDS[winner % 2]} {user_id} c{winner}"]

    def test_of_saves_and_an_unlink_at_once_the_unlink_wins(self, kept: Stores, at_once: AtOnce) -> None:
        def step(stores: Stores, number: int, user_id: str, version: int) -> object:
            if number == CONTESTANTS // 2:
                return stores.accounts.unlink("a", user_id)
            return stores.accounts.save(connection(user_id, f"{user_id} c"), version=version)

        for turn in range(ROUNDS):
            user_id = f"u{turn}"
            version = kept.accounts.version("a", user_id)

            at_once(step, user_id, version)

            assert kept.accounts.find("a", user_id) == ()
            assert kept.accounts.owner("a", f"{user_id} c") is None
            assert kept.accounts.version("a", user_id) != version

    def test_a_connection_is_changed_by_its_serial(self, kept: Stores) -> None:
        for account in _odd_accounts():
            kept.accounts.save(connection(account.user_id, account.configure_user_id), version=None)
            (old,) = kept.accounts.find("a", account.user_id)
            version = kept.accounts.version("a", account.user_id)

            assert kept.accounts.update(replace(account, serial="new"), serial=old.serial) is True

            assert kept.accounts.find("a", account.user_id) == (replace(account, serial="new"),)
            assert kept.accounts.owner("a", account.configure_user_id) == (account.user_id, version)

    def test_a_connection_that_changed_is_not_changed_by_its_old_serial(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        (old,) = kept.accounts.find("a", "u1")
        newer = replace(old, token="new", serial="newer")
        assert kept.accounts.update(newer, serial=old.serial) is True

        assert kept.accounts.update(replace(old, token="late", serial="late"), serial=old.serial) is False
        assert kept.accounts.find("a", "u1") == (newer,)

    def test_a_connection_that_was_saved_anew_is_not_changed_by_its_old_serial(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        (old,) = kept.accounts.find("a", "u1")
        kept.accounts.unlink("a", "u1")
        kept.accounts.save(connection("u1", "c1", token="new"), version=None)

        assert kept.accounts.update(replace(old, token="late", serial="late"), serial=old.serial) is False
        assert [one.token for one in kept.accounts.find("a", "u1")] == ["new"]

    @pytest.mark.parametrize("gone", ["unlink", "forget"])
    def test_a_connection_that_is_gone_is_not_changed(self, kept: Stores, gone: str) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        (old,) = kept.accounts.find("a", "u1")
        getattr(kept.accounts, gone)("a", "u1")

        assert kept.accounts.update(replace(old, serial="late"), serial=old.serial) is False
        assert kept.accounts.find("a", "u1") == ()

    def test_of_two_kinds_one_is_changed(self, kept: Stores) -> None:
        for kind in KINDS:
            kept.accounts.save(connection("u1", "c1", kind=kind), version=None)
        link, login = kept.accounts.find("a", "u1")
        newer = replace(login, token="new", serial="newer")

        assert kept.accounts.update(newer, serial=link.serial) is False
        assert kept.accounts.update(newer, serial=login.serial) is True
        assert kept.accounts.find("a", "u1") == (link, newer)

    def test_one_of_many_changes_a_connection(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            kept.accounts.save(connection(f"u{turn}", f"c{turn}"), version=None)
            (old,) = kept.accounts.find("a", f"u{turn}")

            got = at_once(
                lambda stores, number, old: stores.accounts.update(
                    replace(old, token=f"by {number}", serial=str(number)), serial=old.serial
                ),
                old,
            )

            assert sum(got) == 1
            winner = got.index(True)
            assert [one.token for one in kept.accounts.find("a", f"u{turn}")] == [f"by {winner}"]

    def test_a_user_is_unlinked(self, kept: Stores) -> None:
        for kind in KINDS:
            kept.accounts.save(connection("u1", "c1", kind=kind), version=None)
        kept.accounts.save(connection("u2", "c2"), version=None)
        mine, others = kept.accounts.find("a", "u1"), kept.accounts.find("a", "u2")

        assert _by_kind(kept.accounts.unlink("a", "u1")) == mine
        assert kept.accounts.find("a", "u1") == ()
        assert kept.accounts.owner("a", "c1") is None
        assert kept.accounts.find("a", "u2") == others
        assert kept.accounts.unlink("a", "u1") == ()

    def test_what_was_unlinked_can_be_connected_by_another(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        kept.accounts.unlink("a", "u1")

        assert kept.accounts.save(connection("u2", "c1"), version=None) == Saved("saved")
        assert kept.accounts.save(connection("u1", "c2"), version=None) == Saved("saved")

    @pytest.mark.parametrize("gone", ["unlink", "forget"])
    def test_a_save_in_flight_brings_nothing_back(self, kept: Stores, gone: str) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        for user_id, identity in (("u1", "c1"), ("u2", "c2")):
            version = kept.accounts.version("a", user_id)
            getattr(kept.accounts, gone)("a", user_id)

            assert kept.accounts.save(connection(user_id, identity), version=version) == Saved("stale")
            assert kept.accounts.version("a", user_id) != version
            assert kept.accounts.save(connection(user_id, identity), version=version) == Saved("stale")
            assert kept.accounts.find("a", user_id) == ()

    def test_only_the_unlinked_users_version_is_raised(self, kept: Stores) -> None:
        users = [("a", "u2"), ("b", "u1")]
        versions = [kept.accounts.version(*user) for user in users]
        kept.accounts.unlink("a", "u1")
        kept.accounts.forget("a", "u1")

        assert [kept.accounts.version(*user) for user in users] == versions

    def test_whoever_gets_a_forgotten_users_id_inherits_nothing(self, kept: Stores) -> None:
        for kind in KINDS:
            kept.accounts.save(connection("u1", "c1", kind=kind), version=None)
        mine, version = kept.accounts.find("a", "u1"), kept.accounts.version("a", "u1")

        assert _by_kind(kept.accounts.forget("a", "u1")) == mine

        assert kept.accounts.find("a", "u1") == ()
        assert kept.accounts.owner("a", "c1") is None
        assert kept.accounts.version("a", "u1") != version
        assert kept.accounts.save(connection("u1", "c2"), version=None) == Saved("saved")
        assert kept.accounts.save(connection("u2", "c1"), version=None) == Saved("saved")
        assert _ids(kept, "u1") == ["agent c2"]

    def test_to_forget_a_stranger_is_nothing(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)

        assert kept.accounts.forget("a", "u2") == ()
        assert kept.accounts.unlink("a", "u3") == ()
        assert _ids(kept, "u1") == ["agent c1"]

    def test_nobody_owns_an_unknown_configure_user(self, kept: Stores) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)

        assert kept.accounts.owner("a", "u1") is None
        assert kept.accounts.owner("a", "c2") is None
        assert kept.accounts.find("a", "c1") == ()

    def test_an_agents_connections_are_paged_in_order(self, kept: Stores) -> None:
        for user_id in ("u3", "u1", "u2"):
            for kind in reversed(KINDS):
                kept.accounts.save(connection(user_id, f"c {user_id}", kind=kind), version=None)
        kept.accounts.save(connection("u0", "c", agent="b"), version=None)
        places = [(user_id, kind) for user_id in ("u1", "u2", "u3") for kind in KINDS]

        def page(after: tuple[str, str] | None, limit: int) -> list[tuple[str, str]]:
            return [(one.user_id, one.kind) for one in kept.accounts.page("a", after=after, limit=limit)]

        assert page(None, 10) == places
        for place, limit in ((place, limit) for place in range(6) for limit in (1, 2, 10)):
            assert page(places[place], limit) == places[place + 1 :][:limit]
        assert page(("u1x", "agent"), 10) == places[2:]
        (first,) = kept.accounts.page("a", after=None, limit=1)
        assert first == kept.accounts.find("a", "u1")[0]
        assert kept.accounts.page("c", after=None, limit=10) == ()

    def test_odd_users_are_told_apart(self, kept: Stores) -> None:
        version = {user_id: kept.accounts.version("a", user_id) for user_id in ODD_IDS}
        assert len(set(version.values())) == len(ODD_IDS)
        identity = dict(zip(ODD_IDS, reversed(ODD_IDS), strict=True))
        for user_id in ODD_IDS:
            saved = kept.accounts.save(connection(user_id, identity[user_id]), version=version[user_id])
            assert saved == Saved("saved"), user_id

        for user_id in ODD_IDS:
            assert _ids(kept, user_id) == [f"agent {identity[user_id]}"]
            assert kept.accounts.owner("a", identity[user_id]) == (user_id, version[user_id])
        assert Counter(_paged(kept, 7)) == Counter(ODD_IDS)

        for number, user_id in enumerate(ODD_IDS):
            end = kept.accounts.unlink if number % 2 else kept.accounts.forget
            assert [one.user_id for one in end("a", user_id)] == [user_id]
        assert _paged(kept, 7) == []

    def test_of_two_agents_neither_meets_the_other(self, kept: Stores) -> None:
        mine, yours = connection("u1", "c1"), connection("u1", "c1", agent="b", token="yours")
        kept.accounts.save(mine, version=None)
        assert kept.accounts.find("b", "u1") == ()
        assert kept.accounts.owner("b", "c1") is None
        version = kept.accounts.version("b", "u1")
        assert kept.accounts.save(connection("u2", "c1", agent="b"), version=None, move_from="u1") == Saved("saved")
        kept.accounts.unlink("b", "u2")
        assert kept.accounts.save(yours, version=version) == Saved("saved")
        (found,) = kept.accounts.find("b", "u1")
        assert found.token == "yours"
        (kept_back,) = kept.accounts.find("a", "u1")
        assert kept.accounts.update(replace(found, token="newer", serial="s"), serial=found.serial) is True
        assert kept.accounts.update(replace(found, serial="s"), serial=kept_back.serial) is False
        assert kept.accounts.find("a", "u1") == (kept_back,)
        assert [one.agent for one in kept.accounts.unlink("b", "u1")] == ["b"]
        assert kept.accounts.forget("b", "u1") == ()
        assert kept.accounts.find("a", "u1") == (kept_back,)
        assert kept.accounts.owner("a", "c1") == ("u1", kept.accounts.version("a", "u1"))


class LeaseConformance(_Conformance):
    """The leases."""

    def test_a_lease_is_one_holders(self, kept: Stores) -> None:
        assert kept.leases.acquire("l", owner="o1", until=NOW + 30, now=NOW) is True
        assert kept.leases.acquire("l", owner="o2", until=NOW + 30, now=NOW) is False
        assert kept.leases.acquire("l", owner="o1", until=NOW + 60, now=NOW) is False
        assert kept.leases.acquire("l", owner="o2", until=NOW + 90, now=NOW + 29.5) is False

    def test_a_lease_that_is_given_back_is_free(self, kept: Stores) -> None:
        for owner in ("o1", "o2", "o1"):
            assert kept.leases.acquire("l", owner=owner, until=NOW + 30, now=NOW) is True
            kept.leases.release("l", owner=owner)

    def test_a_lease_whose_time_is_over_is_free(self, kept: Stores) -> None:
        kept.leases.acquire("l", owner="o1", until=NOW + 30.25, now=NOW)

        assert kept.leases.acquire("l", owner="o2", until=NOW + 60, now=NOW + 30) is False
        assert kept.leases.acquire("l", owner="o2", until=NOW + 60, now=NOW + 30.25) is True
        assert kept.leases.acquire("l", owner="o1", until=NOW + 60, now=NOW + 31) is False

    def test_a_lease_is_given_back_by_its_owner_only(self, kept: Stores) -> None:
        kept.leases.acquire("l", owner="o1", until=NOW + 30, now=NOW)
        kept.leases.release("l", owner="o2")
        kept.leases.release("other", owner="o1")
        assert kept.leases.acquire("l", owner="o2", until=NOW + 60, now=NOW + 1) is False

        # Too late: it's another's by now.
        assert kept.leases.acquire("l", owner="o2", until=NOW + 60, now=NOW + 30) is True
        kept.leases.release("l", owner="o1")
        assert kept.leases.acquire("l", owner="o3", until=NOW + 60, now=NOW + 31) is False

    def test_leases_of_odd_names_are_told_apart(self, kept: Stores) -> None:
        names = [f"refresh {'a' * 63} {user_id}" for user_id in ODD_IDS]

        assert all(kept.leases.acquire(name, owner="o1", until=NOW + 30, now=NOW) for name in names)
        assert not any(kept.leases.acquire(name, owner="o2", until=NOW + 30, now=NOW) for name in names)
        for name in names[::2]:
            kept.leases.release(name, owner="o1")
        again = [kept.leases.acquire(name, owner="o2", until=NOW + 30, now=NOW) for name in names]
        assert again == [number % 2 == 0 for number in range(len(names))]

    @pytest.mark.parametrize("over", [True, False], ids=["over", "free"])
    def test_one_of_many_gets_a_lease(self, at_once: AtOnce, kept: Stores, over: bool) -> None:
        for turn in range(ROUNDS):
            name = f"l{turn}"
            if over:
                kept.leases.acquire(name, owner="o", until=NOW, now=NOW - 30)

            got = at_once(
                lambda stores, number, name: stores.leases.acquire(name, owner=f"o{number}", until=NOW + 30, now=NOW),
                name,
            )

            assert sum(got) == 1
            winner = got.index(True)
            for number in range(CONTESTANTS):
                if number != winner:
                    kept.leases.release(name, owner=f"o{number}")
            assert kept.leases.acquire(name, owner="late", until=NOW + 60, now=NOW + 1) is False
            kept.leases.release(name, owner=f"o{winner}")
            assert kept.leases.acquire(name, owner="late", until=NOW + 60, now=NOW + 1) is True


class StoreConformance(StateConformance, AccountConformance, LeaseConformance):
    """Holds a store of your own to what `configure_auth.stores` says of it. In a test module:

        class TestMyStore(StoreConformance):
            @pytest.fixture
            def stores(self) -> Iterator[Stores]:
                yield my_stores()  # new and empty for each test, which also calls `close`

    Its methods may be plain or awaited; awaited ones all run on the loop of `store_runner`, an `asyncio.Runner`, which
    the fixture can ask for too. Set `own_clock = True` where a database wipes what has ended by a clock of its own.
    """


def attempt(name: str, **changes: Any) -> PendingSignIn:
    """An open attempt, of the same browser unless `changes` name another."""
    given: dict[str, Any] = {
        "state_hash": _hash(f"state {name}"),
        "browser_hash": _hash("browser"),
        "intent": "login",
        "agent": "a",
        "user_id": None,
        "next": None,
        "verifier": None,
        "redirect_uri": "https://app.example/auth/configure/callback",
        "version": None,
        "replace": False,
        "created_at": NOW,
        "expires_at": END,
    }
    return PendingSignIn(**(given | changes))


def connection(user_id: str, configure_user_id: str, **changes: Any) -> StoredAccount:
    given: dict[str, Any] = {
        "agent": "a",
        "kind": "agent",
        "user_id": user_id,
        "configure_user_id": configure_user_id,
        "token": "sealed",
        "expires_at": None,
        "scopes": (),
        "linked_at": NOW,
    }
    return StoredAccount(**(given | changes))


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _odd_attempt() -> PendingSignIn:
    return attempt(
        "odd",
        intent="link",
        agent="a" * 63,
        user_id="\U0001f600'\"%s" + "é" * 249,
        next="/é?a=%20&b='\"\\\n\U0001f600#" + "x" * 2000,
        verifier="sealed.verifier-é_=",
        code="sealed code" * 300,
        version=2**62 - 1,
        replace=True,
        created_at=NOW + 0.1234567,
        expires_at=END + 0.7654321,
    )


def _odd_accounts() -> tuple[StoredAccount, ...]:
    return (
        connection("u1", "c1"),
        connection(
            "é" * 255,
            "\U0001f600" * 255,
            token="sealed 'é' \\ \U0001f600" * 500,
            expires_at=NOW + 3600.1234567,
            scopes=("profile", "email", "offline_access", "urn:x:é"),
            linked_at=NOW + 0.7654321,
            needs_reconnect=True,
            refresh_sent_at=NOW + 1.1234567,
            refresh_sends=2,
            serial="mine",
        ),
        connection("u2", "c2", expires_at=0.0, scopes=("one",), linked_at=0.0, refresh_sent_at=0.0, refresh_sends=1),
    )


def _put(stores: Stores, record: PendingSignIn, *, limit: int = 1000) -> PendingSignIn:
    stores.states.put(record, limit=limit, now=NOW)
    return record


def _step_put(stores: Stores, record: PendingSignIn) -> object:
    return cast(object, stores.states.put(record, limit=3, now=NOW))


def _claim(stores: Stores, record: PendingSignIn, *, now: float = NOW + 1) -> PendingSignIn | None:
    return stores.states.claim(
        record.state_hash, browser_hash=record.browser_hash, intent=record.intent, agent=record.agent, now=now
    )


def _read(stores: Stores, record: PendingSignIn, *, now: float = NOW + 5) -> PendingSignIn | None:
    return stores.states.read(
        record.state_hash, browser_hash=record.browser_hash, intent=record.intent, agent=record.agent, now=now
    )


def _finish(stores: Stores, record: PendingSignIn, **given: Any) -> None:
    stores.states.finish(
        record.state_hash, **({"outcome": "outcome", "replay": None, "user_id": None, "now": NOW + 2} | given)
    )


def _wrong(record: PendingSignIn, part: str) -> PendingSignIn:
    """The same attempt as somebody else would ask for it."""
    wrong: dict[str, dict[str, Any]] = {
        "state": {"state_hash": _hash("another state")},
        "browser": {"browser_hash": _hash("another browser")},
        "intent": {"intent": "link"},
        "agent": {"agent": "b"},
    }
    return replace(record, **wrong[part])


def _write(stores: Stores, name: str, *, now: float) -> None:
    if name == "put":
        stores.states.put(attempt("written"), limit=1000, now=now)
    elif name == "finish":
        _finish(stores, attempt("unknown"), now=now)
    else:
        stores.states.purge(now=now)


def _purge(stores: Stores, *, now: float) -> int:
    """Purge until nothing is left; how many went."""
    gone = 0
    for _ in range(100):
        step = stores.states.purge(now=now)
        if step == 0:
            return gone
        gone += step
    raise AssertionError("a purge finds something for ever")


def _ids(stores: Stores, user_id: str) -> list[str]:
    return [f"{one.kind} {one.configure_user_id}" for one in stores.accounts.find("a", user_id)]


def _all(stores: Stores) -> tuple[Any, ...]:
    """All that can be known of the users u1 and u2, and of c1 and c2."""
    accounts = stores.accounts
    ids = tuple(_ids(stores, user_id) for user_id in ("u1", "u2"))
    found = tuple(accounts.find("a", user_id) for user_id in ("u1", "u2"))
    owners = tuple(accounts.owner("a", identity) for identity in ("c1", "c2"))
    return (*ids, found, owners, tuple(accounts.version("a", user_id) for user_id in ("u1", "u2")))


def _paged(stores: Stores, limit: int) -> list[str]:
    """The user ids of all pages, one after the other."""
    found: list[str] = []
    after: tuple[str, str] | None = None
    for _ in count():
        page = stores.accounts.page("a", after=after, limit=limit)
        if not page:
            break
        assert len(page) <= limit
        found += [one.user_id for one in page]
        assert len(found) <= len(ODD_IDS), "a page comes again"
        after = page[-1].user_id, page[-1].kind
    return found


def _by_kind(accounts: tuple[StoredAccount, ...]) -> tuple[StoredAccount, ...]:
    """What was unlinked comes in any order."""
    return tuple(sorted(accounts, key=lambda one: one.kind))


class _Plain:
    """A store whose methods are waited for, where they are to be awaited."""

    def __init__(self, store: object, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        return lambda *given, **named: _waited(method(*given, **named), self._runner)


def _waited(said: object, runner: asyncio.Runner) -> object:
    return runner.run(_result(said)) if inspect.isawaitable(said) else said


async def _result(said: Awaitable[T]) -> T:
    return await said


TRIES = 10
"""How often a step is taken whose store can't do it now: nothing was done, so it's the same step."""


async def _tasks(step: Callable[[int], Any]) -> list[Any]:
    async def patiently(number: int) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await step(number)
            except StoreError:
                continue
        return await step(number)

    return await asyncio.gather(*(patiently(number) for number in range(CONTESTANTS)))


def _threads(step: Callable[[int], T]) -> list[T]:
    ready = threading.Barrier(CONTESTANTS)

    def patiently(number: int) -> T:
        ready.wait()
        for _ in range(TRIES - 1):
            try:
                return step(number)
            except StoreError:
                continue
        return step(number)

    with ThreadPoolExecutor(CONTESTANTS) as pool:
        return list(pool.map(patiently, range(CONTESTANTS)))
