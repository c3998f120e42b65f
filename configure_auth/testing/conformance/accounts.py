"""What every `AccountStore` must do. Long, since its few methods have many cases, and each is one test."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from ...stores import Saved, StoredAccount, Stores
from ...values import Kind
from .asking import CONTESTANTS, ROUNDS, AtOnce, Conformance, paged
from .records import KINDS, NOW, ODD_IDS, connection, odd_accounts


class AccountConformance(Conformance):
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
        for number, account in enumerate(odd_accounts()):
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
        for account in odd_accounts():
            kept.accounts.save(connection(account.user_id, account.configure_user_id), version=None)
            (old,) = kept.accounts.find("a", account.user_id)
            version = kept.accounts.version("a", account.user_id)
            assert kept.accounts.update(replace(account, serial="new"), serial=old.serial) is True
            assert kept.accounts.find("a", account.user_id) == (replace(account, serial="new"),)
            assert kept.accounts.owner("a", account.configure_user_id) == (account.user_id, version)

    @pytest.mark.parametrize("change", ["update", "save anew", "unlink", "forget"])
    def test_a_connection_that_changed_is_not_changed_by_its_old_serial(self, kept: Stores, change: str) -> None:
        kept.accounts.save(connection("u1", "c1"), version=None)
        (old,) = kept.accounts.find("a", "u1")
        if change == "update":
            assert kept.accounts.update(replace(old, token="new", serial="newer"), serial=old.serial) is True
        else:
            (kept.accounts.forget if change == "forget" else kept.accounts.unlink)("a", "u1")
        if change == "save anew":
            kept.accounts.save(connection("u1", "c1", token="new"), version=None)
        left = kept.accounts.find("a", "u1")
        assert [(one.token, one.serial != old.serial) for one in left] == [("new", True)] * len(left)
        assert len(left) == (change in ("update", "save anew"))
        assert kept.accounts.update(replace(old, token="late", serial="late"), serial=old.serial) is False
        assert kept.accounts.find("a", "u1") == left

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

    @pytest.mark.parametrize("method", ["unlink", "forget"])
    def test_of_many_who_unlink_a_user_one_gets_the_connections(
        self, kept: Stores, at_once: AtOnce, method: str
    ) -> None:
        for turn in range(ROUNDS):
            user_id = f"u{turn}"
            kept.accounts.save(connection(user_id, f"c{turn}"), version=None)
            saved = kept.accounts.find("a", user_id)

            def step(stores: Stores, _: int, user_id: str = user_id) -> tuple[StoredAccount, ...]:
                chosen: tuple[StoredAccount, ...] = getattr(stores.accounts, method)("a", user_id)
                return chosen

            assert [gone for gone in at_once(step) if gone] == [saved]

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
        seen = paged(kept.accounts, lambda one: (one.user_id, one.kind), 7)
        assert Counter(user_id for user_id, _kind in seen) == Counter(ODD_IDS)
        for number, user_id in enumerate(ODD_IDS):
            end = kept.accounts.unlink if number % 2 else kept.accounts.forget
            assert [one.user_id for one in end("a", user_id)] == [user_id]
        assert paged(kept.accounts, lambda one: (one.user_id, one.kind), 7) == []

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


def _ids(stores: Stores, user_id: str) -> list[str]:
    return [f"{one.kind} {one.configure_user_id}" for one in stores.accounts.find("a", user_id)]


def _all(stores: Stores) -> tuple[Any, ...]:
    """All that can be known of the users u1 and u2, and of c1 and c2."""
    accounts = stores.accounts
    ids = tuple(_ids(stores, user_id) for user_id in ("u1", "u2"))
    found = tuple(accounts.find("a", user_id) for user_id in ("u1", "u2"))
    owners = tuple(accounts.owner("a", identity) for identity in ("c1", "c2"))
    return (*ids, found, owners, tuple(accounts.version("a", user_id) for user_id in ("u1", "u2")))


def _by_kind(accounts: tuple[StoredAccount, ...]) -> tuple[StoredAccount, ...]:
    """What was unlinked comes in any order."""
    return tuple(sorted(accounts, key=lambda one: one.kind))
