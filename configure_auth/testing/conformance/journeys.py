"""What every `JourneyStore` must do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import cast

import pytest

from ...stores import Completed, StoredSubject, Stores
from ...values import Journey
from .asking import CONTESTANTS, ROUNDS, AtOnce, Conformance, paged, purge_all
from .records import END, NOW, ODD_IDS, hashed, journey, link, odd_journey, odd_link

TOKEN = hashed("token")


class JourneyConformance(Conformance):
    """The journeys of senders, and their links."""

    def test_a_journey_is_read_as_it_was_put(self, kept: Stores) -> None:
        for record in (odd_journey(), journey("j")):
            _put(kept, record)
            assert _read(kept, record) == record

    def test_a_journey_is_read_by_its_own_agent_only(self, kept: Stores) -> None:
        record = _put(kept, journey("j"))
        assert _read(kept, replace(record, agent="b")) is None
        assert _read(kept, journey("unknown")) is None
        assert _read(kept, record) == record

    def test_a_journey_is_read_until_its_end(self, kept: Stores) -> None:
        records = [_put(kept, journey("j1")), _put(kept, journey("j2"))]
        _complete(kept, records[1])
        for record in records:
            assert _read(kept, record, now=END - 0.5) is not None
            assert _read(kept, record, now=END) is None

    @pytest.mark.parametrize("limit", [3, 1])
    def test_the_oldest_open_journeys_of_a_sender_go(self, kept: Stores, limit: int) -> None:
        records = [_put(kept, journey(f"j{n}", created_at=NOW + n), limit=limit) for n in range(6)]
        gone, left = records[:-limit], records[-limit:]
        assert [_read(kept, record) for record in records] == [*(None for _ in gone), *left]
        assert [_complete(kept, record) for record in gone] == ["over" for _ in gone]

    def test_completed_journeys_neither_count_nor_go(self, kept: Stores) -> None:
        done = _put(kept, journey("j0"), limit=2)
        _complete(kept, done)
        records = [_put(kept, journey(f"j{n}", created_at=NOW + n), limit=2) for n in (1, 2)]
        assert [_read(kept, record) for record in records] == records
        _put(kept, journey("j3", created_at=NOW + 3), limit=2)
        assert [_read(kept, record) for record in records] == [None, records[1]]
        assert _read(kept, done) is not None

    def test_the_journeys_of_another_sender_and_agent_neither_count_nor_go(self, kept: Stores) -> None:
        others = [journey("j1", subject="s2"), journey("j2", agent="b")]
        for other in others:
            _put(kept, other, limit=1)
        record = _put(kept, journey("j3", created_at=NOW + 1), limit=1)
        assert [_read(kept, one) for one in (*others, record)] == [*others, record]

    def test_no_more_journeys_of_a_sender_than_may_be_are_left_after_many_at_once(
        self, kept: Stores, at_once: AtOnce
    ) -> None:
        records = [journey(f"j{n}", created_at=NOW + n) for n in range(CONTESTANTS)]
        at_once(lambda stores, number: cast(object, stores.journeys.put(records[number], limit=3, now=NOW)))
        # Those that came at the same moment may not have seen each other; the next one sees them all.
        last = _put(kept, journey("last", created_at=NOW + 100), limit=3)
        assert sum(_read(kept, record) is not None for record in records) == 2
        assert _read(kept, last) == last

    def test_tries_are_counted_up_to_their_limit(self, kept: Stores) -> None:
        record, other = _put(kept, journey("j1")), _put(kept, journey("j2"))
        assert [_attempt(kept, record, limit=3) for _ in range(5)] == [True, True, True, False, False]
        assert _read(kept, record) == replace(record, tries=3)
        assert _attempt(kept, record, limit=4) is True
        assert _read(kept, other) == other

    def test_a_try_is_of_an_open_journey(self, kept: Stores) -> None:
        record, done = _put(kept, journey("j1")), _put(kept, journey("j2"))
        _complete(kept, done)
        completed = _read(kept, done)
        assert _attempt(kept, done) is False
        assert _attempt(kept, replace(record, agent="b")) is False
        assert _attempt(kept, journey("unknown")) is False
        assert _attempt(kept, record, now=END) is False
        assert [_read(kept, record), _read(kept, done)] == [record, completed]
        assert _attempt(kept, record, now=END - 0.5) is True

    def test_many_tries_at_once_are_counted_up_to_their_limit(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            record = _put(kept, journey(f"j{turn}"))
            got = at_once(lambda stores, _, record: _attempt(stores, record, limit=3), record)
            assert sum(got) == 3
            assert _read(kept, record) == replace(record, tries=3)

    def test_a_completion_uses_the_journey_up_and_saves_its_link(self, kept: Stores) -> None:
        for record, saved in ((odd_journey(), odd_link()), (journey("j"), link("s1", "c1"))):
            _put(kept, record)
            assert _complete(kept, record, saved, token_hash=TOKEN) == "linked"
            assert _read(kept, record) == replace(record, token_hash=TOKEN, sender=None)
            assert _find(kept, saved) == saved

    def test_the_same_token_again_repeats_and_changes_nothing(self, kept: Stores) -> None:
        record = _put(kept, journey("j"))
        saved = link("s1", "c1")
        _complete(kept, record, saved)
        completed = _read(kept, record)
        for again in (link("s1", "c1", token="new", serial="again"), link("s1", "c2", serial="again")):
            assert _complete(kept, record, again) == "repeated"
        assert _find(kept, saved) == saved
        # Nor does it bring back a link that is gone meanwhile.
        kept.journeys.remove("a", "s1", serial=saved.serial)
        assert _complete(kept, record, saved) == "repeated"
        assert _find(kept, saved) is None
        assert _read(kept, record) == completed

    def test_another_token_comes_too_late(self, kept: Stores) -> None:
        record = _put(kept, journey("j"))
        saved = link("s1", "c1")
        _complete(kept, record, saved)
        completed = _read(kept, record)
        for late in (link("s1", "c1", serial="late"), link("s1", "c2", serial="late")):
            assert _complete(kept, record, late, token_hash=hashed("another token")) == "over"
        assert (_read(kept, record), _find(kept, saved)) == (completed, saved)

    def test_a_completion_that_does_not_match_changes_nothing(self, kept: Stores) -> None:
        record = _put(kept, journey("j"))
        strangers = [link("s1", "c1", agent="b"), link("s2", "c1")]
        for stranger in strangers:
            assert _complete(kept, record, stranger) == "over"
        assert _complete(kept, journey("unknown")) == "over"
        assert _complete(kept, record, now=END) == "over"
        assert _read(kept, record) == record
        assert [_find(kept, one) for one in (link("s1", "c1"), *strangers)] == [None, None, None]
        assert _complete(kept, record, now=END - 0.5) == "linked"

    def test_a_sender_of_another_configure_user_is_taken(self, kept: Stores) -> None:
        present = link("s1", "c1")
        kept.journeys.save(present, serial=None)
        record = _put(kept, journey("j"))
        assert _complete(kept, record, link("s1", "c2", serial="other")) == "taken"
        assert (_read(kept, record), _find(kept, present)) == (record, present)
        # It is open still: nothing was used up.
        kept.journeys.remove("a", "s1", serial=present.serial)
        assert _complete(kept, record, link("s1", "c2", serial="other")) == "linked"

    def test_a_link_to_the_same_configure_user_is_renewed(self, kept: Stores) -> None:
        kept.journeys.save(link("s1", "c1", proven=True), serial=None)
        newer = link("s1", "c1", token="new", linked_at=NOW + 1, serial="newer")
        assert _complete(kept, _put(kept, journey("j")), newer) == "linked"
        assert _find(kept, newer) == newer

    def test_one_configure_user_may_be_several_senders(self, kept: Stores) -> None:
        links = [link(subject, "c1", serial=subject) for subject in ("s1", "s2")]
        for saved in links:
            record = _put(kept, journey(saved.subject, subject=saved.subject))
            assert _complete(kept, record, saved) == "linked"
        assert kept.journeys.save(link("s3", "c1"), serial=None) is True
        assert [_find(kept, saved) for saved in links] == links

    @pytest.mark.parametrize("others", ["over", "repeated"], ids=["own tokens", "the same token"])
    def test_of_many_tokens_one_completes_a_journey(self, kept: Stores, at_once: AtOnce, others: Completed) -> None:
        tokens = [hashed(f"token {number}") if others == "over" else TOKEN for number in range(CONTESTANTS)]
        for turn in range(ROUNDS):
            record = _put(kept, journey(f"j{turn}", subject=f"s{turn}"))
            got = at_once(
                lambda stores, number, record: _complete(
                    stores, record, _numbered(record, number), token_hash=tokens[number]
                ),
                record,
            )
            assert Counter(got) == {"linked": 1, others: CONTESTANTS - 1}
            winner = got.index("linked")
            assert _read(kept, record) == replace(record, token_hash=tokens[winner], sender=None)
            assert _find(kept, _numbered(record, winner)) == _numbered(record, winner)

    def test_of_many_journeys_one_gets_a_sender(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            subject = f"s{turn}"
            records = [_put(kept, journey(f"{subject} {n}", subject=subject)) for n in range(CONTESTANTS)]
            got = at_once(
                lambda stores, number, records: _complete(
                    stores, records[number], _numbered(records[number], number, f"c{number}")
                ),
                records,
            )
            assert Counter(got) == {"linked": 1, "taken": CONTESTANTS - 1}
            winner = got.index("linked")
            expected = _numbered(records[winner], winner, f"c{winner}")
            assert _find(kept, expected) == expected
            # Both or neither: whoever came too late has used nothing up.
            assert [_read(kept, one) == one for one in records] == [n != winner for n in range(CONTESTANTS)]

    def test_a_link_is_found_as_it_was_saved(self, kept: Stores) -> None:
        for saved in (odd_link(), link("s1", "c1")):
            assert _find(kept, saved) is None
            assert kept.journeys.save(saved, serial=None) is True
            assert _find(kept, saved) == saved

    def test_a_link_is_added_where_there_is_none(self, kept: Stores) -> None:
        saved = link("s1", "c1")
        kept.journeys.save(saved, serial=None)
        for identity in ("c1", "c2"):
            assert kept.journeys.save(link("s1", identity, serial="second"), serial=None) is False
        assert _find(kept, saved) == saved

    def test_a_link_is_replaced_by_its_serial(self, kept: Stores) -> None:
        saved = link("s1", "c1")
        kept.journeys.save(saved, serial=None)
        newer = link("s1", "c2", token="new", linked_at=NOW + 1, proven=True, serial="newer")
        assert kept.journeys.save(newer, serial=saved.serial) is True
        assert _find(kept, newer) == newer
        assert kept.journeys.save(replace(newer, serial="late"), serial=saved.serial) is False
        assert _find(kept, newer) == newer

    @pytest.mark.parametrize("gone", ["never there", "remove", "forget"])
    def test_a_link_that_is_gone_is_not_replaced(self, kept: Stores, gone: str) -> None:
        saved = link("s1", "c1")
        if gone != "never there":
            kept.journeys.save(saved, serial=None)
            _gone(kept, saved, gone)
        assert kept.journeys.save(replace(saved, serial="late"), serial=saved.serial) is False
        assert _find(kept, saved) is None
        assert kept.journeys.save(replace(saved, serial="new"), serial=None) is True

    @pytest.mark.parametrize("serial", [None, "first"], ids=["adds", "replaces"])
    def test_one_of_many_saves_a_link(self, kept: Stores, at_once: AtOnce, serial: str | None) -> None:
        for turn in range(ROUNDS):
            record = journey("j", subject=f"s{turn}")
            if serial is not None:
                kept.journeys.save(link(record.subject, "c1", serial=serial), serial=None)
            got = at_once(
                lambda stores, number, record: stores.journeys.save(_numbered(record, number), serial=serial), record
            )
            assert sum(got) == 1
            winner = _numbered(record, got.index(True))
            assert _find(kept, winner) == winner

    def test_a_link_is_removed_by_its_serial(self, kept: Stores) -> None:
        record = _put(kept, journey("j"))
        saved, other = link("s1", "c1"), link("s2", "c1")
        for one in (saved, other):
            kept.journeys.save(one, serial=None)
        assert kept.journeys.remove("a", "s1", serial="another") is False
        assert kept.journeys.remove("b", "s1", serial="first") is False
        assert _find(kept, saved) == saved
        assert kept.journeys.remove("a", "s1", serial="first") is True
        assert kept.journeys.remove("a", "s1", serial="first") is False
        # The link alone: the other sender's stays, and a journey on its way.
        assert [_find(kept, saved), _find(kept, other), _read(kept, record)] == [None, other, record]

    def test_of_two_who_remove_a_link_one_did(self, kept: Stores, at_once: AtOnce) -> None:
        for turn in range(ROUNDS):
            saved = link(f"s{turn}", "c1")
            kept.journeys.save(saved, serial=None)
            got = at_once(
                lambda stores, _, subject: stores.journeys.remove("a", subject, serial="first"), saved.subject
            )
            assert sum(got) == 1
            assert _find(kept, saved) is None

    def test_all_there_is_of_a_sender_is_forgotten(self, kept: Stores) -> None:
        done, on_its_way = _put(kept, journey("j1")), _put(kept, journey("j2"))
        saved = link("s1", "c1")
        _complete(kept, done, saved)
        assert kept.journeys.forget("a", "s1") == saved
        assert [_find(kept, saved), _read(kept, done), _read(kept, on_its_way)] == [None, None, None]
        assert _complete(kept, on_its_way, saved) == "over"
        assert _complete(kept, done, saved) == "over"
        assert _find(kept, saved) is None

    def test_the_journeys_of_a_sender_without_a_link_are_forgotten(self, kept: Stores) -> None:
        record = _put(kept, journey("j"))
        assert kept.journeys.forget("a", "s1") is None
        assert _read(kept, record) is None

    def test_nobody_else_is_forgotten(self, kept: Stores) -> None:
        others = [("a", "s2"), ("b", "s1")]
        records = [_put(kept, journey(f"j {agent}", agent=agent, subject=subject)) for agent, subject in others]
        links = [link(subject, "c1", agent=agent) for agent, subject in others]
        for saved in links:
            kept.journeys.save(saved, serial=None)
        assert kept.journeys.forget("a", "s1") is None
        assert [_read(kept, record) for record in records] == records
        assert [_find(kept, saved) for saved in links] == links

    @pytest.mark.parametrize("how", ["forget", "unlink"])
    def test_of_many_who_forget_a_sender_one_gets_the_link(self, kept: Stores, at_once: AtOnce, how: str) -> None:
        def step(stores: Stores, number: int, subject: str) -> StoredSubject | None:
            if how == "forget":
                return stores.journeys.forget("a", subject)
            return stores.journeys.unlink(link(subject, "", token="", serial=f"opt_out {number}"))

        for turn in range(ROUNDS):
            saved = link(f"s{turn}", "c1")
            assert kept.journeys.save(saved, serial=None)
            got = at_once(step, saved.subject)
            found = [one for one in got if one is not None]
            assert [one for one in found if how == "forget" or not one.is_opt_out] == [saved]
            left = _find(kept, saved)
            assert (left is not None and left.is_opt_out) is (how == "unlink")

    @pytest.mark.parametrize("how", ["forget", "unlink"])
    def test_of_completions_and_a_forgetting_at_once_no_link_is_left(
        self, kept: Stores, at_once: AtOnce, how: str
    ) -> None:
        def step(stores: Stores, number: int, records: list[Journey]) -> object:
            subject = records[number].subject
            if how == "forget" and number == CONTESTANTS // 2:
                return cast(object, stores.journeys.forget("a", subject))
            if how == "unlink" and number % 2:
                return cast(object, stores.journeys.unlink(link(subject, "", token="", serial=f"opt_out {number}")))
            return _complete(stores, records[number])

        for turn in range(ROUNDS):
            subject = f"s{turn}"
            records = [_put(kept, journey(f"{subject} {n}", subject=subject)) for n in range(CONTESTANTS)]
            at_once(step, records)
            found = _find(kept, link(subject, "c1"))
            assert found is None if how == "forget" else found is not None and found.is_opt_out
            assert [_read(kept, record) for record in records] == [None] * CONTESTANTS

    def test_a_wish_takes_the_place_of_a_link_and_of_journeys(self, kept: Stores) -> None:
        saved, waiting = link("s1", "c1"), _put(kept, journey("j1", subject="s1"))
        kept.journeys.save(saved, serial=None)
        opt_out = link("s1", "", token="", serial="opt_out")
        assert kept.journeys.unlink(opt_out) == saved
        assert _find(kept, saved) == opt_out
        assert _read(kept, waiting) is None
        # Again, and of a sender who had no link.
        assert kept.journeys.unlink(replace(opt_out, serial="again")) == opt_out
        assert kept.journeys.unlink(link("s2", "", token="", serial="opt_out")) is None

    def test_a_wish_is_of_one_sender_alone(self, kept: Stores) -> None:
        others = [link("s2", "c1"), link("s1", "c1", agent="b")]
        records = [_put(kept, journey(f"j {one.agent}", agent=one.agent, subject=one.subject)) for one in others]
        for one in others:
            kept.journeys.save(one, serial=None)
        kept.journeys.unlink(link("s1", "", token="", serial="opt_out"))
        assert [_find(kept, one) for one in others] == others
        assert [_read(kept, record) for record in records] == records
        assert kept.journeys.forget("a", "s1") == link("s1", "", token="", serial="opt_out")

    def test_a_wish_is_over_with_a_new_link_only(self, kept: Stores) -> None:
        opt_out = link("s1", "", token="", serial="opt_out")
        kept.journeys.unlink(opt_out)
        assert kept.journeys.save(link("s1", "c1", serial="recognised"), serial=None) is False
        assert _complete(kept, _put(kept, journey("j1", subject="s1"))) == "linked"
        assert _find(kept, opt_out) != opt_out

    def test_an_agents_links_are_paged(self, kept: Stores) -> None:
        links = {subject: link(subject, "c1", serial=subject) for subject in ("s3", "s1", "s5", "s2", "s4")}
        for saved in (*links.values(), link("s0", "c1", agent="b")):
            kept.journeys.save(saved, serial=None)
        order = [saved.subject for saved in kept.journeys.page("a", after=None, limit=10)]
        assert sorted(order) == sorted(links)
        for limit in (1, 2, 10):
            assert kept.journeys.page("a", after=None, limit=limit) == tuple(links[one] for one in order[:limit])
            for place, subject in enumerate(order, 1):
                page = kept.journeys.page("a", after=subject, limit=limit)
                assert page == tuple(links[one] for one in order[place:][:limit])
        # One that was seen may be gone meanwhile.
        kept.journeys.remove("a", order[1], serial=order[1])
        assert [one.subject for one in kept.journeys.page("a", after=order[1], limit=10)] == order[2:]
        assert kept.journeys.page("c", after=None, limit=10) == ()

    def test_journeys_at_their_end_are_purged_and_nothing_else(self, kept: Stores) -> None:
        ended = [_put(kept, journey(f"j{n}")) for n in range(5)]
        saved = link("s1", "c1")
        _complete(kept, ended[0], saved)
        present = _put(kept, journey("j5", expires_at=END + 0.5))
        counted = purge_all(kept.journeys, now=END)
        assert self.own_clock or counted == 5
        # Before their end as they see it, so that only a deletion hides them.
        assert self.own_clock or [_read(kept, record) for record in ended] == [None] * 5
        assert (_read(kept, present), _find(kept, saved)) == (present, saved)

    def test_no_journey_is_purged_before_its_end(self, kept: Stores) -> None:
        kept.journeys.save(link("s1", "c1"), serial=None)
        assert kept.journeys.purge(now=END) == 0
        record = _put(kept, journey("j"))
        assert purge_all(kept.journeys, now=END - 0.5) == 0
        assert _read(kept, record) == record

    def test_odd_senders_are_told_apart(self, kept: Stores) -> None:
        links = {subject: link(subject, subject, serial=str(number)) for number, subject in enumerate(ODD_IDS)}
        records = {subject: _put(kept, journey(subject, subject=subject), limit=1) for subject in ODD_IDS}
        for subject in ODD_IDS[::2]:
            assert _complete(kept, records[subject], links[subject]) == "linked"
        for subject in ODD_IDS[1::2]:
            assert kept.journeys.save(links[subject], serial=None) is True
        assert [_find(kept, links[subject]) for subject in ODD_IDS] == list(links.values())
        assert Counter(paged(kept.journeys, lambda one: one.subject, 7)) == Counter(ODD_IDS)
        for subject in ODD_IDS[::3]:
            assert kept.journeys.forget("a", subject) == links[subject]
        left = [subject for number, subject in enumerate(ODD_IDS) if number % 3]
        assert [subject for subject in ODD_IDS if _find(kept, links[subject])] == left
        assert [subject for subject in ODD_IDS if _read(kept, records[subject])] == left

    def test_of_two_agents_neither_meets_the_others_senders(self, kept: Stores) -> None:
        mine, yours = link("s1", "c1"), link("s1", "c2", agent="b")
        record = _put(kept, journey("j", agent="b"))
        kept.journeys.save(mine, serial=None)
        assert _find(kept, yours) is None
        assert kept.journeys.save(replace(yours, serial="new"), serial=mine.serial) is False
        assert _complete(kept, record, yours) == "linked"
        assert kept.journeys.save(replace(yours, token="new"), serial=yours.serial) is True
        assert _find(kept, mine) == mine
        assert kept.journeys.remove("b", "s1", serial=yours.serial) is True
        assert kept.journeys.forget("b", "s1") is None
        assert _find(kept, mine) == mine


def _put(stores: Stores, record: Journey, *, limit: int = 1000) -> Journey:
    stores.journeys.put(record, limit=limit, now=NOW)
    return record


def _read(stores: Stores, record: Journey, *, now: float = NOW + 5) -> Journey | None:
    return stores.journeys.read(record.journey_hash, agent=record.agent, now=now)


def _attempt(stores: Stores, record: Journey, *, limit: int = 100, now: float = NOW + 1) -> bool:
    return stores.journeys.attempt(record.journey_hash, agent=record.agent, limit=limit, now=now)


def _complete(
    stores: Stores,
    record: Journey,
    saved: StoredSubject | None = None,
    *,
    token_hash: str = TOKEN,
    now: float = NOW + 2,
) -> Completed:
    """Complete a journey by its own sender, unless the link is another one's."""
    mine = saved or link(record.subject, "c1", agent=record.agent)
    return stores.journeys.complete(record.journey_hash, link=mine, token_hash=token_hash, now=now)


def _numbered(record: Journey, number: int, configure_user_id: str = "c1") -> StoredSubject:
    """The link that one of many contestants brings."""
    return link(record.subject, configure_user_id, token=f"by {number}", serial=f"by {number}")


def _find(stores: Stores, saved: StoredSubject) -> StoredSubject | None:
    return stores.journeys.find(saved.agent, saved.subject)


def _gone(stores: Stores, saved: StoredSubject, how: str) -> None:
    if how == "remove":
        stores.journeys.remove(saved.agent, saved.subject, serial=saved.serial)
    else:
        stores.journeys.forget(saved.agent, saved.subject)
