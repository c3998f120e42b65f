"""What every `Leases` must do."""

from __future__ import annotations

import pytest

from ...stores import Stores
from .asking import CONTESTANTS, ROUNDS, AtOnce, Conformance
from .records import NOW, ODD_IDS


class LeaseConformance(Conformance):
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
