"""What every `StateStore` must do."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, cast

import pytest

from ...stores import OUTCOME_TTL, REPLAY, Stores
from ...values import Intent, PendingSignIn
from .asking import CONTESTANTS, ROUNDS, AtOnce, Conformance, purge_all
from .records import END, NOW, ODD_IDS, attempt, hashed, odd_attempt

PARTS = ("state", "browser", "intent", "agent")
"""What an attempt is known by."""


WRITES = ("put", "finish", "purge")


class StateConformance(Conformance):
    """The attempts."""

    def test_an_attempt_is_read_and_claimed_as_it_was_put(self, kept: Stores) -> None:
        for record in (odd_attempt(), attempt("s")):
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
        _finish(kept, record)
        assert _claim(kept, record, now=NOW + 3) is None

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
        assert _read(kept, record, now=END + OUTCOME_TTL - 0.5) == record
        assert _read(kept, record, now=END + OUTCOME_TTL) is None

    def test_an_outcome_is_remembered_with_its_user(self, kept: Stores) -> None:
        outcome = "sealed 'outcome' é"
        for number, (starter, replay) in enumerate(product(("starter", None), ("sealed replay \U0001f600", None))):
            record = _put(kept, attempt(f"s{number}", user_id=starter))
            claimed = _claim(kept, record)
            assert claimed is not None
            _finish(kept, record, outcome=outcome, replay=replay, user_id="u1", now=NOW + 2.1234567)
            finished = replace(claimed, outcome=outcome, replay=replay, user_id="u1", finished_at=NOW + 2.1234567)
            assert _read(kept, record) == finished
            assert _read(kept, record, now=END + OUTCOME_TTL - 0.5) == finished

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

    @pytest.mark.parametrize("limit", [3, 1])
    def test_the_oldest_open_attempts_of_a_browser_go(self, kept: Stores, limit: int) -> None:
        intents: tuple[Intent, ...] = ("link", "login", "provider")
        records = [attempt(f"s{n}", created_at=NOW + n, intent=intents[n % 3]) for n in range(6)]
        for record in records:
            _put(kept, record, limit=limit)
        gone, left = records[:-limit], records[-limit:]
        assert [_read(kept, record) for record in records] == [*(None for _ in gone), *left]
        assert [_claim(kept, record) for record in gone] == [None for _ in gone]

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
        others = [attempt("s1", browser_hash=hashed("another browser")), attempt("s2", agent="b")]
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

    def test_the_attempts_of_a_user_are_listed(self, kept: Stores) -> None:
        # They started it signed in, or ended as that user.
        late, ended = attempt("s1", user_id="u1", created_at=NOW + 1), attempt("s2")
        for record in (late, ended, attempt("s3", user_id="u2"), attempt("s4", user_id="u1", agent="b")):
            _put(kept, record)
        _claim(kept, ended)
        _finish(kept, ended, user_id="u1")
        assert kept.states.of_user("a", "u1") == (_read(kept, ended), _read(kept, late))
        assert kept.states.of_user("a", "u3") == ()

    def test_the_replays_of_a_browser_are_forgotten(self, kept: Stores) -> None:
        mine, open_one = attempt("s1"), attempt("s2")
        others = attempt("s3", browser_hash=hashed("another browser")), attempt("s4", agent="b")
        for record in (mine, open_one, *others):
            _put(kept, record)
        for record in (mine, *others):
            _claim(kept, record)
            _finish(kept, record, replay="replay", user_id="u1")
        ended, *left = (_read(kept, one) for one in (mine, open_one, *others))
        assert ended is not None
        for _ in range(2):
            kept.states.forget_replays(mine.agent, mine.browser_hash)
        assert [_read(kept, one) for one in (mine, open_one, *others)] == [replace(ended, replay=None), *left]
        assert [one.replay for one in left if one is not None] == [None, "replay", "replay"]

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
        counted = purge_all(kept.states, now=END + OUTCOME_TTL)
        assert self.own_clock or counted == 5
        assert self.own_clock or [_read(kept, record) for record in ended] == [None] * 5
        assert _read(kept, present) == present

    def test_nothing_is_purged_that_lingers(self, kept: Stores) -> None:
        assert kept.states.purge(now=NOW) == 0
        record = _put(kept, attempt("s"))
        assert purge_all(kept.states, now=END + OUTCOME_TTL - 0.5) == 0
        assert _read(kept, record) == record

    def test_attempts_of_odd_users_are_told_apart(self, kept: Stores) -> None:
        records = [
            _put(kept, attempt(f"s{number}", user_id=user_id, browser_hash=hashed(f"browser {number}")))
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
        "state": {"state_hash": hashed("another state")},
        "browser": {"browser_hash": hashed("another browser")},
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
